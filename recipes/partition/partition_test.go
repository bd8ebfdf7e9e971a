package partition_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/group"
	"github.com/bellwether-zk/bellwether/recipes/lock"
	"github.com/bellwether-zk/bellwether/recipes/partition"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const path = "/search"

var parts = []string{"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11"}

var errStopped = errors.New("the test has seen enough")

// journal is what happens to parts, as lines, and who owns them by what the functions know.
type journal struct {
	t *testing.T

	mu    sync.Mutex
	lines []string
	owner map[string]string
}

func newJournal(t *testing.T) *journal { return &journal{t: t, owner: map[string]string{}} }

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

// since returns the sorted lines since the last call, when so much time has passed.
func (j *journal) since(d time.Duration) []string {
	time.Sleep(d)
	synctest.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	out := j.lines
	j.lines = nil
	slices.Sort(out)
	return out
}

// owned are the parts of each member.
func (j *journal) owned() map[string][]string {
	synctest.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	out := map[string][]string{}
	for part, id := range j.owner {
		out[id] = append(out[id], part)
	}
	for _, names := range out {
		slices.Sort(names)
	}
	return out
}

func (j *journal) enter(part, id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if other := j.owner[part]; other != "" {
		j.t.Errorf("%s is %s's when %s gets it", part, other, id)
	}
	j.owner[part] = id
}

func (j *journal) leave(part string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.owner, part)
}

// work is a function for Run that lets go when it is told by its context.
func (j *journal) work(id string) func(context.Context, *partition.Part) error {
	return func(ctx context.Context, part *partition.Part) error {
		j.enter(part.Name(), id)
		j.add("%s gets %s", id, part.Name())
		<-ctx.Done()
		j.leave(part.Name())
		j.add("%s loses %s: %v", id, part.Name(), context.Cause(ctx))
		return context.Cause(ctx)
	}
}

// A running member.
type running struct {
	cancel context.CancelCauseFunc
	ended  chan error
}

func start(t *testing.T, p *partition.Partition, own func(context.Context, *partition.Part) error) *running {
	ctx, cancel := context.WithCancelCause(t.Context())
	r := &running{cancel, make(chan error, 1)}
	go func() { r.ended <- p.Run(ctx, own) }() // ends with ctx
	return r
}

func (r *running) mustEnd(t *testing.T) {
	t.Helper()
	r.cancel(errStopped)
	require.ErrorIs(t, <-r.ended, errStopped)
}

func member(c *client.Client, id string, opts partition.Options) *partition.Partition {
	opts.ID = id
	return partition.New(c, path, parts, &opts)
}

// chosen are the parts that each of some members of weight 1 is to have.
func chosen(ids ...string) map[string][]string {
	weights := map[string]int{}
	for _, id := range ids {
		weights[id] = 1
	}
	out := map[string][]string{}
	for _, part := range parts {
		id := partition.Choose(part, weights)
		out[id] = append(out[id], part)
	}
	for _, names := range out {
		slices.Sort(names)
	}
	return out
}

func mustInspect(t *testing.T, c *client.Client) []partition.State {
	t.Helper()
	require.NoError(t, c.Sync(t.Context(), "/"))
	all, err := partition.New(c, path, parts, nil).Inspect(t.Context())
	require.NoError(t, err)
	return all
}

// mustLeaveNothing sees that no node of anybody is left.
func mustLeaveNothing(t *testing.T, e *ensembletest.Ensemble, c *client.Client) {
	t.Helper()
	require.NoError(t, c.Sync(t.Context(), "/"))
	require.NoError(t, e.WaitCaughtUp(t.Context()))
	for p, n := range e.Server(1).Tree() {
		require.False(t, strings.HasPrefix(p, path) && n.Stat.EphemeralOwner != 0, "%s is left", p)
	}
}

// Parts are divided as the hash says; one that comes gets its own parts and no other one moves; one that goes leaves its own.
func TestPartsAreDivided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		admin, j := e.Connect(t), newJournal(t)
		anna := start(t, member(e.Connect(t), "anna", partition.Options{}), j.work("anna"))
		ben := start(t, member(e.Connect(t), "ben", partition.Options{}), j.work("ben"))
		require.Empty(t, j.since(4900*time.Millisecond), "they settle")
		require.Len(t, j.since(time.Second), len(parts), "each once")
		require.Equal(t, chosen("anna", "ben"), j.owned())
		for _, s := range mustInspect(t, admin) {
			require.Equal(t, s.Target, s.Owner)
			require.Empty(t, s.Waiting)
			require.NotZero(t, s.Token)
			require.NotZero(t, s.Session)
			require.False(t, s.Since.IsZero())
			require.True(t, strings.HasPrefix(s.Path, path+"/locks/"+s.Part+"/"))
		}

		carl := start(t, member(e.Connect(t), "carl", partition.Options{}), j.work("carl"))
		require.Empty(t, j.since(9*time.Second), "settle, and notice")
		moved := mustInspect(t, admin)
		lines := j.since(10 * time.Second)
		require.Equal(t, chosen("anna", "ben", "carl"), j.owned())
		require.Len(t, lines, 2*len(chosen("anna", "ben", "carl")["carl"]), "%v", lines)
		for _, s := range moved { // while they were moving
			require.NotEqual(t, "carl", s.Owner)
			require.Equal(t, s.Target == "carl", len(s.Waiting) == 1, "%+v", s)
		}

		ben.mustEnd(t)
		require.Len(t, j.since(0), len(chosen("anna", "ben", "carl")["ben"]))
		require.Empty(t, j.since(4*time.Second))
		j.since(2 * time.Second)
		require.Equal(t, chosen("anna", "carl"), j.owned())
		anna.mustEnd(t)
		carl.mustEnd(t)
		mustLeaveNothing(t, e, admin)
	})
}

// A connection that breaks and is made again moves nothing, and ends nobody's work.
func TestReconnectsMoveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		j := newJournal(t)
		clients := []*client.Client{e.Connect(t), e.Connect(t)}
		anna := start(t, member(clients[0], "anna", partition.Options{}), j.work("anna"))
		ben := start(t, member(clients[1], "ben", partition.Options{}), j.work("ben"))
		j.since(10 * time.Second)
		for i := range 10 {
			e.Drop(clients[i%2:]...)
			require.Empty(t, j.since(time.Second))
		}
		require.Empty(t, j.since(time.Minute))
		require.Equal(t, chosen("anna", "ben"), j.owned())
		anna.mustEnd(t)
		ben.mustEnd(t)
	})
}

// A restart moves nothing, if it does not take too long: neither in an orderly way, nor by a crash.
func TestRestartMovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		j := newJournal(t)
		anna := start(t, member(e.Connect(t), "anna", partition.Options{}), j.work("anna"))
		ben := start(t, member(e.Connect(t), "ben", partition.Options{}), j.work("ben"))
		j.since(10 * time.Second)
		ben.mustEnd(t)
		time.Sleep(4 * time.Second)
		c := e.Connect(t)
		ben = start(t, member(c, "ben", partition.Options{}), j.work("ben"))
		lines := j.since(time.Minute)
		require.NotContains(t, strings.Join(lines, "\n"), "anna")
		require.Equal(t, chosen("anna", "ben"), j.owned())

		e.CutClient(c)
		again := start(t, member(e.Connect(t), "ben", partition.Options{}), func(ctx context.Context, part *partition.Part) error {
			<-ctx.Done()
			return nil
		})
		lines = j.since(time.Minute)
		require.NotContains(t, strings.Join(lines, "\n"), "anna")
		owned := j.owned()
		require.NotContains(t, owned, "ben", "it has noticed")
		require.Equal(t, chosen("anna", "ben")["anna"], owned["anna"])
		e.Heal()
		j.since(time.Minute)
		require.NotContains(t, j.owned(), "ben", "its id is taken")
		for _, s := range mustInspect(t, e.Connect(t)) {
			require.Empty(t, s.Waiting, "nor does it wait")
		}
		again.mustEnd(t)
		j.since(time.Minute)
		require.Equal(t, chosen("anna", "ben"), j.owned(), "and free again")
		ben.mustEnd(t)
		anna.mustEnd(t)
	})
}

// The owner is told before its context ends, and nobody gets the part before it has let go; unless that takes too long.
func TestHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		late, overdue := make(chan struct{}), make(chan *partition.Part, len(parts))
		type event struct {
			what string
			at   time.Time
		}
		var mu sync.Mutex
		events := map[string][]event{}
		note := func(part *partition.Part, what string) {
			mu.Lock()
			defer mu.Unlock()
			events[part.Name()] = append(events[part.Name()], event{what, time.Now()})
		}
		moved := chosen("anna", "ben")["ben"]
		require.GreaterOrEqual(t, len(moved), 3)
		opts := partition.Options{Overdue: func(p *partition.Part) { overdue <- p }}
		anna := start(t, member(e.Connect(t), "anna", opts), func(ctx context.Context, part *partition.Part) error {
			<-part.Moving()
			note(part, "moving")
			if part.Name() == moved[0] { // at once
				return nil
			}
			<-ctx.Done()
			note(part, "over")
			if cause := context.Cause(ctx); !errors.Is(cause, partition.ErrMoved) && !errors.Is(cause, errStopped) {
				t.Error(cause)
			}
			if part.Name() == moved[1] { // much too late
				<-late
			} else {
				time.Sleep(3 * time.Second)
			}
			note(part, "returned")
			return nil
		})
		time.Sleep(10 * time.Second)
		ben := start(t, member(e.Connect(t), "ben", partition.Options{}), func(ctx context.Context, part *partition.Part) error {
			note(part, "got")
			<-ctx.Done()
			return nil
		})
		time.Sleep(time.Minute)
		mu.Lock()
		require.Len(t, events, len(moved))
		after := func(part string, i int, what string) time.Duration {
			require.Equal(t, what, events[part][i].what, "%v", events[part])
			return events[part][i].at.Sub(events[part][0].at)
		}
		require.Less(t, after(moved[0], 1, "got"), time.Second)
		require.Equal(t, 5*time.Second, after(moved[1], 1, "over"))
		require.Equal(t, 15*time.Second, after(moved[1], 2, "got").Truncate(time.Second), "over its head")
		require.Equal(t, 5*time.Second, after(moved[2], 1, "over"))
		require.Equal(t, 8*time.Second, after(moved[2], 2, "returned"))
		require.Less(t, after(moved[2], 3, "got"), 9*time.Second)
		mu.Unlock()
		require.Equal(t, moved[1], (<-overdue).Name())
		require.Empty(t, overdue)

		// Back again, while the late one has not returned: it is waited for.
		ben.mustEnd(t)
		time.Sleep(time.Minute)
		for _, s := range mustInspect(t, e.Connect(t)) {
			require.Equal(t, s.Part != moved[1], s.Owner == "anna", "%+v", s)
		}
		close(late)
		time.Sleep(time.Second)
		for _, s := range mustInspect(t, e.Connect(t)) {
			require.Equal(t, "anna", s.Owner)
		}
		anna.mustEnd(t)
	})
}

// An owner works on until the one whose the part is to be waits for it: one that is listed and does nothing gets nothing, nor does somebody else
// who waits.
func TestOwnerWorksOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, j := e.Connect(t), newJournal(t)
		anna := start(t, member(e.Connect(t), "anna", partition.Options{}), j.work("anna"))
		j.since(10 * time.Second)
		g := group.New(c, path+"/members", nil)
		all, err := g.Inspect(ctx)
		require.NoError(t, err)
		ghost, err := g.Join(ctx, "ghost", all[0].Payload)
		require.NoError(t, err)
		require.Empty(t, j.since(time.Minute))
		part := chosen("anna", "ghost")["ghost"][0]
		for _, s := range mustInspect(t, c) {
			require.Equal(t, "anna", s.Owner)
			require.Equal(t, slices.Contains(chosen("anna", "ghost")["ghost"], s.Part), s.Target == "ghost")
		}
		stand := func(id string) (hold chan *lock.Hold) {
			hold = make(chan *lock.Hold, 1)
			go func() { // ends with the lock
				h, err := lock.NewMutex(c, path+"/locks/"+part, &lock.Options{Data: []byte(id)}).Lock(ctx)
				if err == nil {
					hold <- h
				}
			}()
			return hold
		}
		other := stand("other")
		require.Empty(t, j.since(time.Minute))
		second := stand("ghost")
		require.Empty(t, j.since(4*time.Second), "notice")
		require.Equal(t, []string{"anna loses " + part + ": part has moved"}, j.since(2*time.Second))
		require.NoError(t, (<-other).Release(ctx))
		require.NoError(t, (<-second).Release(ctx))
		require.NoError(t, ghost.Leave(ctx))
		j.since(time.Minute)
		require.Equal(t, chosen("anna"), j.owned())
		anna.mustEnd(t)
	})
}

// In the hand: parts come one after the other, are released by whoever has them, and come again while they are this member's. Guard fences.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, admin := e.Connect(t), e.Connect(t)
		s, err := member(c, "anna", partition.Options{Settle: -1}).Join(ctx)
		require.NoError(t, err)
		require.Equal(t, "anna", s.ID())
		require.True(t, s.Member().Status().Registered)
		time.Sleep(time.Second)
		require.Len(t, s.Owned(), len(parts))
		var got []*partition.Part
		for part := range s.Parts(ctx) {
			got = append(got, part)
			if len(got) == len(parts) {
				break
			}
		}
		first := got[0]
		require.Same(t, c.Session(), first.Session())
		_, err = c.Multi(ctx, first.Guard(), client.CreateOp("/done", nil, nil))
		require.NoError(t, err)
		require.NoError(t, first.Release(ctx))
		require.NoError(t, first.Release(ctx))
		require.ErrorIs(t, context.Cause(first.Context()), partition.ErrReleased)
		<-first.Moving()
		require.Len(t, s.Owned(), len(parts)-1)
		_, err = c.Multi(ctx, first.Guard(), client.CreateOp("/late", nil, nil))
		require.ErrorIs(t, err, client.ErrNoNode)
		for part := range s.Parts(ctx) {
			require.Equal(t, first.Name(), part.Name())
			require.Greater(t, part.Token(), first.Token())
			got[0] = part
			break
		}

		// The node of an owner is removed by somebody: it is told, and stands in line again.
		require.NoError(t, admin.Delete(ctx, got[1].Path(), client.AnyVersion))
		<-got[1].Context().Done()
		require.ErrorIs(t, context.Cause(got[1].Context()), partition.ErrRemoved)
		require.NoError(t, got[1].Release(ctx))
		for part := range s.Parts(ctx) {
			require.Equal(t, got[1].Name(), part.Name())
			got[1] = part
			break
		}

		bounded, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		require.ErrorIs(t, s.Leave(bounded), client.ErrUnknown, "nobody has let go")
		for _, part := range got {
			require.ErrorIs(t, context.Cause(part.Context()), partition.ErrLeft)
			require.NoError(t, part.Release(ctx))
		}
		require.NoError(t, s.Leave(ctx))
		require.ErrorIs(t, context.Cause(s.Context()), partition.ErrLeft)
		for range s.Parts(ctx) {
			t.Error("a part of one who has left")
		}
		require.Empty(t, s.Owned())
		mustLeaveNothing(t, e, admin)
	})
}

// Who is to go for good hands over first: no part is nobody's for a moment. A weight is a share.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		admin, j := e.Connect(t), newJournal(t)
		s, err := member(e.Connect(t), "anna", partition.Options{Notice: -1}).Join(ctx)
		require.NoError(t, err)
		var owners sync.WaitGroup
		owners.Go(func() { // ends with the share
			for part := range s.Parts(ctx) {
				owners.Go(func() { // ends with the part
					j.enter(part.Name(), "anna")
					<-part.Moving()
					j.leave(part.Name())
					require.NoError(t, part.Release(ctx))
				})
			}
		})
		ben := start(t, member(e.Connect(t), "ben", partition.Options{Weight: -1}), j.work("ben"))
		time.Sleep(20 * time.Second)
		require.Len(t, j.owned()["anna"], len(parts))
		ben.mustEnd(t)
		ben = start(t, member(e.Connect(t), "ben", partition.Options{Weight: 3}), j.work("ben"))
		time.Sleep(20 * time.Second)
		require.Greater(t, len(j.owned()["ben"]), len(j.owned()["anna"]))

		require.NoError(t, s.SetWeight(ctx, 5))
		time.Sleep(20 * time.Second)
		require.Greater(t, len(j.owned()["anna"]), len(j.owned()["ben"]))
		require.ErrorIs(t, s.SetWeight(ctx, -1), client.ErrBadArguments)

		require.NoError(t, s.Drain(ctx))
		require.Empty(t, s.Owned())
		time.Sleep(time.Second)
		require.Len(t, j.owned()["ben"], len(parts))
		for _, state := range mustInspect(t, admin) {
			require.Equal(t, "ben", state.Target)
		}
		require.NoError(t, s.Leave(ctx))
		owners.Wait()
		ben.mustEnd(t)

		last, err := member(e.Connect(t), "carl", partition.Options{Settle: -1}).Join(ctx)
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.Len(t, last.Owned(), len(parts))
		require.NoError(t, last.Drain(ctx), "there is nobody, and nobody to wait for")
		require.NoError(t, last.Leave(ctx))
		mustLeaveNothing(t, e, admin)
	})
}

// Parts that are the children of a node come and go with them.
func TestPartsOfANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		admin, j := e.Connect(t), newJournal(t)
		of := func(id string) *partition.Partition {
			return partition.NewOfChildren(e.Connect(t), path, "/topics", &partition.Options{ID: id})
		}
		anna, ben := start(t, of("anna"), j.work("anna")), start(t, of("ben"), j.work("ben"))
		require.Empty(t, j.since(10*time.Second))
		for _, p := range []string{"/topics", "/topics/p0", "/topics/p1", "/topics/p2"} {
			_, err := admin.Create(ctx, p, nil, nil)
			require.NoError(t, err)
		}
		require.Len(t, j.since(time.Second), 3, "there is nothing to settle")
		owner := partition.Choose("p1", map[string]int{"anna": 1, "ben": 1})
		require.NoError(t, admin.Delete(ctx, "/topics/p1", client.AnyVersion))
		require.Empty(t, j.since(4*time.Second), "notice")
		require.Equal(t, []string{owner + " loses p1: part has moved"}, j.since(2*time.Second))
		all, err := of("").Inspect(ctx)
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.Equal(t, all[0].Target, all[0].Owner)
		anna.mustEnd(t)
		ben.mustEnd(t)
		mustLeaveNothing(t, e, admin)
	})
}

// Members who divide other parts are not counted; what both know is owned by one.
func TestOtherParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		j := newJournal(t)
		old := start(t, partition.New(e.Connect(t), path, []string{"a", "b"}, &partition.Options{ID: "old"}), j.work("old"))
		time.Sleep(10 * time.Second)
		more := start(t, partition.New(e.Connect(t), path, []string{"a", "b", "c", "c"}, &partition.Options{ID: "new"}), j.work("new"))
		time.Sleep(time.Minute)
		require.Equal(t, map[string][]string{"old": {"a", "b"}, "new": {"c"}}, j.owned())
		_, err := group.New(e.Connect(t), path+"/members", nil).Join(t.Context(), "foreign", []byte("10.0.0.7"))
		require.NoError(t, err)
		old.mustEnd(t)
		time.Sleep(time.Second)
		require.Equal(t, map[string][]string{"new": {"a", "b", "c"}}, j.owned())
		more.mustEnd(t)
	})
}

// What the function of Run returns: nil is no end, an error is, and one that comes too late is not.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		errBroken := errors.New("broken")
		calls := 0
		p := partition.New(c, path, []string{"one"}, &partition.Options{ID: "anna", Settle: -1})
		began := time.Now()
		err := p.Run(ctx, func(ctx context.Context, part *partition.Part) error {
			if calls++; calls < 4 {
				return nil
			}
			return errBroken
		})
		require.ErrorIs(t, err, errBroken)
		require.Equal(t, 3*time.Second, time.Since(began))
		mustLeaveNothing(t, e, c)

		other := e.Connect(t)
		r := start(t, partition.New(other, path, []string{"one"}, &partition.Options{ID: "ben", Settle: -1}),
			func(ctx context.Context, part *partition.Part) error { <-ctx.Done(); return errBroken })
		time.Sleep(time.Second)
		_, err = partition.New(c, path, []string{"one"}, &partition.Options{ID: "ben"}).Join(ctx)
		require.ErrorIs(t, err, group.ErrTaken)
		require.NoError(t, other.Close())
		require.ErrorIs(t, <-r.ended, client.ErrClosed)

		_, err = partition.New(c, path, []string{"a/b"}, nil).Join(ctx)
		require.ErrorIs(t, err, client.ErrInvalidPath)
		_, err = c.Create(ctx, "/secret", nil, &client.CreateOptions{ACL: client.WorldACL(client.PermRead)})
		require.NoError(t, err)
		bounded, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		_, err = partition.New(c, "/secret", []string{"a"}, nil).Join(bounded)
		require.ErrorIs(t, err, client.ErrNoAuth)
		none, err := p.Inspect(ctx)
		require.NoError(t, err)
		require.Equal(t, []partition.State{{Part: "one"}}, none)
		v := c.Session().Client()
		r = start(t, partition.New(v, path, []string{"one"}, &partition.Options{ID: "view", Settle: -1}), newJournal(t).work("view"))
		time.Sleep(time.Second)
		require.NoError(t, e.Expire(ctx, c))
		require.ErrorIs(t, <-r.ended, client.ErrSessionExpired, "it was of that session")
	})
}

// The parts of one who is cut off are over before anybody else gets them; when it is back it has its own again.
func TestCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		j := newJournal(t)
		c := e.Connect(t)
		anna := start(t, member(c, "anna", partition.Options{}), j.work("anna"))
		ben := start(t, member(e.Connect(t), "ben", partition.Options{}), j.work("ben"))
		time.Sleep(10 * time.Second)
		e.Proxy(c).Freeze(proxy.Request(proxy.OpAll, "").Always())
		f := e.Proxy(c).Freeze(proxy.Reply(proxy.OpAll, "").Always())
		time.Sleep(time.Minute)
		require.Equal(t, chosen("ben"), j.owned())
		f.End()
		e.Proxy(c).Heal()
		time.Sleep(time.Minute)
		require.Equal(t, chosen("anna", "ben"), j.owned())
		anna.mustEnd(t)
		ben.mustEnd(t)
	})
}

// Who has no name says where it is from, and is nobody else all the same.
func TestDefaultID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := partition.New(ensembletest.Start(t, 1, nil).Connect(t), path, parts, nil)
		one, err := p.Join(t.Context())
		require.NoError(t, err)
		two, err := p.Join(t.Context())
		require.NoError(t, err)
		require.NotEqual(t, one.ID(), two.ID())
		for _, s := range []*partition.Share{one, two} {
			require.True(t, strings.HasPrefix(s.ID(), ticket.Identity()+"-"), s.ID())
			require.NoError(t, s.Leave(t.Context()))
		}
	})
}
