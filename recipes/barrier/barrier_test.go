package barrier_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
	"github.com/bellwether-zk/bellwether/recipes/barrier"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() { // as the race detector is run
		*runs = min(*runs, 1)
	}
	goleak.VerifyTestMain(m)
}

const path = "/meetings/one"

var (
	runs = flag.Int("barrier.runs", 3, "how many random runs there are")
	seed = flag.Uint64("barrier.seed", 0, "the first one's; 0: a random one")
)

func TestBarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		gate := barrier.New(c, path)
		require.Equal(t, path, gate.Path())
		require.NoError(t, gate.Wait(ctx), "it is not raised")
		require.Empty(t, e.Watches(), "who does not wait leaves no watch")
		require.NoError(t, gate.Lower(ctx))
		require.NoError(t, gate.Raise(ctx))
		require.NoError(t, gate.Raise(ctx))
		raised, err := gate.Raised(ctx)
		require.NoError(t, err)
		require.True(t, raised)

		why := errors.New("no time")
		bounded, cancel := context.WithTimeoutCause(ctx, time.Hour, why)
		defer cancel()
		require.ErrorIs(t, gate.Wait(bounded), why)

		var passed atomic.Int32
		var waiting sync.WaitGroup
		for range 10 {
			waiting.Go(func() { // ends when the gate is lowered
				if barrier.New(other, path).Wait(ctx) == nil {
					passed.Add(1)
				}
			})
		}
		time.Sleep(time.Minute)
		require.Zero(t, passed.Load())
		// Somebody lowers and raises it in one transaction: nobody sees it down, and who waited goes.
		_, err = other.Multi(ctx, client.DeleteOp(path, client.AnyVersion), client.CreateOp(path, nil, nil))
		require.NoError(t, err)
		waiting.Wait()
		require.EqualValues(t, 10, passed.Load())
		e.Proxy(c).Lose(proxy.Reply(proxy.OpDelete, ""))
		require.NoError(t, gate.Lower(ctx))
		require.Empty(t, e.Watches(), "nor does who has waited")
		e.Proxy(c).Lose(proxy.Reply(proxy.OpCreate, ""))
		require.NoError(t, gate.Raise(ctx))
		raised, err = gate.Raised(ctx)
		require.NoError(t, err)
		require.True(t, raised)
	})
}

// Who waits at a gate waits on in the next session, and goes when it hears that its gate was lowered, though it was raised again.
func TestWaitOverAnOutage(t *testing.T) {
	for _, outage := range []time.Duration{2 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second}})
			c, other := e.Connect(t), e.Connect(t)
			gate := barrier.New(other, path)
			require.NoError(t, gate.Raise(ctx))
			passed := make(chan error, 1)
			go func() { passed <- barrier.New(c, path).Wait(ctx) }() // ends when the gate is lowered
			synctest.Wait()
			old := c.Session()
			cut := func(meanwhile func()) {
				e.CutClient(c)
				time.Sleep(outage)
				meanwhile()
				e.Heal()
				time.Sleep(10 * time.Second)
			}
			cut(func() {})
			require.Equal(t, outage == time.Minute, old.Err() != nil)
			require.Empty(t, passed)
			cut(func() {
				require.NoError(t, gate.Lower(ctx))
				require.NoError(t, gate.Raise(ctx))
			})
			require.NoError(t, <-passed)
		})
	}
}

// What is not allowed fails, and leaves nothing.
func TestWithoutPermission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		p := newParty(t, 1, 1)
		c := p.clients[0]
		mustAllow := func(perms client.Perm) {
			t.Helper()
			_, err := p.e.Connect(t).SetACL(ctx, path, client.WorldACL(perms|client.PermAdmin), client.AnyVersion)
			require.NoError(t, err)
		}
		_, err := c.Create(ctx, path, nil, &client.CreateOptions{Parents: client.ContainerParents})
		require.NoError(t, err)
		for _, perms := range []client.Perm{client.PermRead, client.PermCreate | client.PermDelete, client.PermRead | client.PermCreate | client.PermDelete} {
			mustAllow(perms)
			_, err := p.double(0).Enter(ctx)
			require.ErrorIs(t, err, client.ErrNoAuth, "%v", perms)
			mustAllow(client.PermAll)
			require.Empty(t, p.names(t))
		}
		_, err = c.Create(ctx, path+"/ready", nil, nil)
		require.NoError(t, err)
		mustAllow(client.PermRead | client.PermCreate | client.PermWrite)
		_, err = p.double(0).Enter(ctx)
		require.ErrorIs(t, err, client.ErrNoAuth, "it cannot remove what means nothing")
		gate := barrier.New(c, path+"/ready")
		require.ErrorIs(t, gate.Lower(ctx), client.ErrNoAuth)
		mustAllow(client.PermRead)
		require.ErrorIs(t, barrier.New(c, path+"/gate").Raise(ctx), client.ErrNoAuth)
	})
}

// party is a number of processes that meet, each with a client of its own.
type party struct {
	e       *ensembletest.Ensemble
	size    int
	clients []*client.Client
	seen    telemetrytest.Recorder
}

func newParty(t *testing.T, size, clients int) *party { return newPartyOn(t, 1, size, clients) }

func newPartyOn(t *testing.T, servers, size, clients int) *party {
	p := &party{size: size}
	p.e = ensembletest.Start(t, servers, &ensembletest.Options{Client: client.Options{
		SessionTimeout: 10 * time.Second, TracerProvider: p.seen.TracerProvider(), MeterProvider: p.seen.MeterProvider(),
	}})
	for range clients {
		p.clients = append(p.clients, p.e.Connect(t))
	}
	return p
}

func (p *party) double(i int) *barrier.Double {
	return barrier.NewDouble(p.clients[i], path, p.size, nil)
}

// enter has a client enter in the background.
func (p *party) enter(ctx context.Context, i int) <-chan *barrier.Round {
	in := make(chan *barrier.Round, 1)
	go func() { // ends with ctx
		r, err := p.double(i).Enter(ctx)
		if err == nil {
			in <- r
		}
		close(in)
	}()
	return in
}

// names are what is at the meeting point.
func (p *party) names(t *testing.T) []string {
	witness := p.e.Connect(t)
	defer witness.Close()
	require.NoError(t, witness.Sync(t.Context(), path))
	names, _, err := witness.Children(t.Context(), path)
	if errors.Is(err, client.ErrNoNode) {
		return nil
	}
	require.NoError(t, err)
	return names
}

func isIn(in <-chan *barrier.Round) bool {
	time.Sleep(time.Second)
	synctest.Wait()
	return len(in) > 0
}

func TestNobodyGoesOnBeforeAllHaveComeNorLeavesBeforeAllAreDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		p := newParty(t, 3, 3)
		for range 4 {
			var ins []<-chan *barrier.Round
			for i := range 3 {
				for _, in := range ins {
					require.False(t, isIn(in))
				}
				ins = append(ins, p.enter(ctx, i))
			}
			var left sync.WaitGroup
			var out atomic.Int32
			for _, in := range ins {
				r := <-in
				require.Equal(t, 3, r.Members())
				require.NoError(t, r.Context().Err())
				time.Sleep(time.Minute)
				require.Zero(t, out.Load())
				left.Go(func() { // ends when all leave
					require.NoError(t, r.Leave(ctx))
					out.Add(1)
				})
			}
			left.Wait()
			require.Empty(t, p.names(t))
		}
		_, err := barrier.NewDouble(p.clients[0], path, 0, nil).Enter(ctx)
		require.ErrorIs(t, err, client.ErrBadArguments)
	})
}

// A ready that was left behind lets nobody in, whoever made it.
func TestStaleReady(t *testing.T) {
	for name, data := range map[string]string{"Curator's": "10.0.0.7", "empty": "", "ours": client.NewProtectionID() + "\n" + client.NewProtectionID()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newParty(t, 3, 3)
				_, err := p.clients[0].Create(t.Context(), path+"/ready", []byte(data), &client.CreateOptions{Parents: client.PersistentParents})
				require.NoError(t, err)
				one, two := p.enter(t.Context(), 0), p.enter(t.Context(), 1)
				require.False(t, isIn(one))
				require.False(t, isIn(two))
				three := p.enter(t.Context(), 2)
				for _, in := range []<-chan *barrier.Round{one, two, three} {
					r := <-in
					go r.Leave(t.Context()) // ends when all leave
				}
				time.Sleep(time.Minute)
				require.Empty(t, p.names(t))
			})
		})
	}
}

// Who was there when Curator made ready is in, who came later is not.
func TestCuratorsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		p := newParty(t, 3, 3)
		early := p.enter(ctx, 0)
		require.False(t, isIn(early))
		curators := path + "/" + client.NewProtectionID()
		_, err := p.clients[1].Create(ctx, curators, nil, &client.CreateOptions{Mode: client.Ephemeral})
		require.NoError(t, err)
		_, err = p.clients[1].Create(ctx, path+"/ready", []byte("10.0.0.7"), nil)
		require.NoError(t, err)
		r := <-early
		require.Equal(t, 2, r.Members())
		late := p.enter(ctx, 2)
		require.False(t, isIn(late))
		go r.Leave(ctx) // ends when Curator's member has left
		time.Sleep(time.Second)
		require.NoError(t, p.clients[1].Delete(ctx, curators, 0))
		require.False(t, isIn(late))
		ins := []<-chan *barrier.Round{late, p.enter(ctx, 0), p.enter(ctx, 1)}
		for _, in := range ins {
			require.NotNil(t, <-in, "and the next round begins")
		}
	})
}

// kazoo's members have names without dashes, and count as all others; its ready is empty, and goes when one of them leaves.
func TestKazoosMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		p := newParty(t, 3, 3)
		kazoos := path + "/0123456789abcdef0123456789abcdef"
		one := p.enter(ctx, 0)
		require.False(t, isIn(one))
		_, err := p.clients[2].Create(ctx, kazoos, []byte("host-1"), &client.CreateOptions{Mode: client.Ephemeral})
		require.NoError(t, err)
		require.False(t, isIn(one))
		two := p.enter(ctx, 1)
		r, s := <-one, <-two
		require.Equal(t, 3, r.Members())
		left := make(chan error, 2)
		go func() { left <- r.Leave(ctx) }() // end when all leave
		go func() { left <- s.Leave(ctx) }()
		time.Sleep(time.Second)
		require.Empty(t, left)
		require.NoError(t, p.clients[2].Delete(ctx, path+"/ready", client.AnyVersion))
		require.NoError(t, p.clients[2].Delete(ctx, kazoos, client.AnyVersion))
		require.NoError(t, <-left)
		require.NoError(t, <-left)
		require.Empty(t, p.names(t))
	})
}

// One who is too many waits for the next round, whether it came before the round began or in it.
func TestOneTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		p := newParty(t, 2, 5)
		var ins []<-chan *barrier.Round
		for i := range 4 {
			ins = append(ins, p.enter(ctx, i))
		}
		time.Sleep(time.Second)
		var rounds []*barrier.Round
		for _, in := range ins {
			if len(in) > 0 {
				rounds = append(rounds, <-in)
			}
		}
		require.Len(t, rounds, 2)
		last := p.enter(ctx, 4)
		require.False(t, isIn(last))
		left := make(chan error, 2)
		for _, r := range rounds {
			go func() { left <- r.Leave(ctx) }() // ends when both leave
		}
		require.NoError(t, <-left)
		require.NoError(t, <-left)
		time.Sleep(time.Second)
		next := 0
		for _, in := range append(ins, last) {
			next += len(in)
		}
		require.Equal(t, 2, next, "of the three who waited")
	})
}

// Nobody goes in or out for what is neither the coming nor the going of others, though it wakes those who wait: a broken connection, or what
// strangers do to the directory and to members' nodes.
func TestWokenForNothing(t *testing.T) {
	for leaver := range 2 { // by their names one of them waits for the other to leave, the other for the whole end
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			p := newParty(t, 2, 2)
			stranger := p.e.Connect(t)
			disturb := func() {
				for _, name := range p.names(t) {
					_, err := stranger.Set(ctx, path+"/"+name, []byte("?"), client.AnyVersion)
					require.NoError(t, err)
				}
				_, err := stranger.Set(ctx, path, []byte("?"), client.AnyVersion)
				require.NoError(t, err)
				_, err = stranger.Create(ctx, path+"/stranger", nil, nil)
				require.NoError(t, err)
				synctest.Wait()
				p.e.Drop(p.clients...)
				time.Sleep(time.Second)
				require.NoError(t, stranger.Delete(ctx, path+"/stranger", client.AnyVersion))
			}
			one := p.enter(ctx, 0)
			require.False(t, isIn(one))
			disturb()
			require.False(t, isIn(one))
			two := p.enter(ctx, 1)
			rounds := []*barrier.Round{<-one, <-two}
			left := make(chan error, 2)
			go func() { left <- rounds[leaver].Leave(ctx) }() // ends when both leave
			time.Sleep(time.Second)
			disturb()
			require.Empty(t, left)
			require.NoError(t, rounds[1-leaver].Context().Err())
			go func() { left <- rounds[1-leaver].Leave(ctx) }() // ends when both leave
			require.NoError(t, <-left)
			require.NoError(t, <-left)
		})
	}
}

// Who is taken into a round of another number is told, and is in none; the others are told how many they are.
func TestSizesDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		p := newParty(t, 2, 3)
		failed := make(chan error, 1)
		go func() { // ends with the round
			_, err := barrier.NewDouble(p.clients[2], path, 3, nil).Enter(ctx)
			failed <- err
		}()
		time.Sleep(time.Second)
		r := <-p.enter(ctx, 0)
		require.Equal(t, 2, r.Members())
		require.ErrorIs(t, <-failed, client.ErrBadArguments)
		require.NoError(t, r.Leave(ctx))
		require.Empty(t, p.names(t))
		one, two := p.enter(ctx, 0), p.enter(ctx, 1)
		require.NotNil(t, <-one)
		require.NotNil(t, <-two)
	})
}

// Foreign children are nobody.
func TestForeignChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 2, 2)
		for _, name := range []string{"lock", "_c_", "ready2"} {
			_, err := p.clients[0].Create(t.Context(), path+"/"+name, nil, &client.CreateOptions{Parents: client.PersistentParents})
			require.NoError(t, err)
		}
		one := p.enter(t.Context(), 0)
		require.False(t, isIn(one))
		two := p.enter(t.Context(), 1)
		require.NotNil(t, <-one)
		require.NotNil(t, <-two)
	})
}

// Who gives up does not count, and leaves nothing.
func TestCancelledEnter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 2, 3)
		why := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, why)
		defer cancel()
		_, err := p.double(0).Enter(ctx)
		require.ErrorIs(t, err, why)
		require.Empty(t, p.names(t))
		one := p.enter(t.Context(), 1)
		require.False(t, isIn(one))
		two := p.enter(t.Context(), 2)
		rounds := []*barrier.Round{<-one, <-two}
		ctx, cancel = context.WithTimeoutCause(t.Context(), time.Minute, why)
		defer cancel()
		_, err = p.double(0).Enter(ctx)
		require.ErrorIs(t, err, why, "beside a round that goes on")
		require.Len(t, p.names(t), 3)
		for _, r := range rounds {
			require.NoError(t, r.Context().Err())
		}
	})
}

// A session that ends while waiting costs the place; one that ends in the round is a member that has left, and is told so.
func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		p := newParty(t, 2, 2)
		one := p.enter(ctx, 0)
		require.False(t, isIn(one))
		require.NoError(t, p.e.Expire(ctx, p.clients[0]))
		require.False(t, isIn(one))
		two := p.enter(ctx, 1)
		first, second := <-one, <-two
		require.NoError(t, p.e.Expire(ctx, p.clients[0]))
		<-first.Context().Done()
		require.ErrorIs(t, first.Leave(ctx), client.ErrSessionExpired)
		require.NoError(t, second.Leave(ctx))
		require.Empty(t, p.names(t))

		view := barrier.NewDouble(p.clients[0].Session().Client(), path, 2, nil)
		failed := make(chan error)
		go func() { // ends with the session
			_, err := view.Enter(ctx)
			failed <- err
		}()
		time.Sleep(time.Second)
		require.NoError(t, p.e.Expire(ctx, p.clients[0]))
		require.ErrorIs(t, <-failed, client.ErrSessionExpired)
	})
}

// Who is not in a round any more is told why.
func TestEndsOfRounds(t *testing.T) {
	for _, end := range []struct {
		word  string
		cause error
		says  string
		make  func(t *testing.T, p *party, r *barrier.Round)
	}{
		{"left", barrier.ErrLeft, "left the round", func(t *testing.T, _ *party, r *barrier.Round) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, r.Leave(ctx), context.DeadlineExceeded, "the other stays")
		}},
		{"removed", barrier.ErrRemoved, "somebody removed the node", func(t *testing.T, p *party, _ *barrier.Round) {
			s, err := p.double(1).Inspect(t.Context())
			require.NoError(t, err)
			require.NoError(t, p.clients[1].Delete(t.Context(), s.Present[0].Path, client.AnyVersion))
		}},
		{"session_lost", client.ErrSessionExpired, "session expired", func(t *testing.T, p *party, _ *barrier.Round) {
			require.NoError(t, p.e.Expire(t.Context(), p.clients[0]))
		}},
		{"session_lost", client.ErrSessionExpired, "session expired: no majority answered in time", func(_ *testing.T, p *party, _ *barrier.Round) {
			p.e.CutClient(p.clients[0])
		}},
		{"client_closed", client.ErrClosed, "client closed", func(t *testing.T, p *party, _ *barrier.Round) {
			require.NoError(t, p.clients[0].Close())
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newParty(t, 2, 2)
			in := p.enter(t.Context(), 0)
			require.False(t, isIn(in)) // it is the first
			other := <-p.enter(t.Context(), 1)
			r := <-in
			require.NoError(t, r.Context().Err())
			end.make(t, p, r)
			<-r.Context().Done()
			require.Error(t, r.Context().Err())
			require.ErrorIs(t, context.Cause(r.Context()), end.cause)
			require.ErrorContains(t, context.Cause(r.Context()), end.says)
			synctest.Wait()
			require.Equal(t, end.word, p.seen.Measured("bellwether.barrier.round.duration")[0].Attributes["bellwether.end"])
			require.NoError(t, other.Context().Err())
			require.NoError(t, other.Leave(t.Context()))
			if end.cause == barrier.ErrRemoved {
				require.NoError(t, r.Leave(t.Context()))
			}
			for _, name := range p.names(t) {
				require.Equal(t, "ready", name, "no member is left")
			}
			require.Empty(t, p.e.Watches(), "none is left behind")
		})
	}
}

// Whatever answer is lost, two meet and part, and leave nothing.
func TestLostAnswers(t *testing.T) {
	for _, op := range []proxy.Op{proxy.OpCreate, proxy.OpMulti, proxy.OpDelete, proxy.OpGetChildren, proxy.OpGetData} {
		for _, match := range []proxy.Match{proxy.Request(op, ""), proxy.Reply(op, "")} {
			synctest.Test(t, func(t *testing.T) {
				p := newParty(t, 2, 2)
				for _, c := range p.clients {
					p.e.Proxy(c).Lose(match.Times(2))
				}
				one, two := p.enter(t.Context(), 0), p.enter(t.Context(), 1)
				r, s := <-one, <-two
				left := make(chan error)
				go func() { left <- r.Leave(t.Context()) }() // ends when both leave
				require.NoError(t, s.Leave(t.Context()))
				require.NoError(t, <-left)
				require.Empty(t, p.names(t))
			})
		}
	}
}

// Many more than are to meet come again and again, give up, lose sessions, connections and servers. A round is of as many as are to meet, who
// have all come; none begins before those of the one before have left, or died, or never knew; nobody has left while another is still
// there; all get their turn; and nothing is left.
func TestRandomMeetings(t *testing.T) {
	entered, faults, struck := 0, 0, map[string]int{}
	inRuns(t, func(t *testing.T, seed uint64) { entered += meetings(t, rand.New(rand.NewPCG(seed, 9)), struck) })
	for _, n := range struck {
		faults += n
	}
	t.Logf("entered %d times, with %d faults that took effect: %v", entered, faults, struck)
	require.Greater(t, entered, 20**runs)
	require.Greater(t, faults, entered/10)
}

func meetings(t *testing.T, r *rand.Rand, struck map[string]int) (entered int) {
	size := 2 + r.IntN(3)
	p := newPartyOn(t, 1+2*r.IntN(2), size, size+1+r.IntN(3))
	end, stop := context.WithCancel(t.Context())
	var (
		mu      sync.Mutex
		inside  = map[int]*barrier.Round{}
		forced  = map[int]bool{} // since it came last somebody has removed its node, or ended its session: nobody can know before
		turns   = make([]int, len(p.clients))
		come    = make([]visit, len(p.clients))
		running sync.WaitGroup
	)
	for i := range p.clients {
		r := rand.New(rand.NewPCG(r.Uint64(), 0))
		running.Go(func() { // ends with end
			for end.Err() == nil {
				patience := time.Hour
				if r.IntN(4) == 0 {
					patience = time.Duration(r.IntN(3000)) * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(end, patience)
				mu.Lock()
				forced[i] = false
				come[i] = visit{began: time.Now(), session: p.clients[i].Session()}
				mu.Unlock()
				round, err := p.double(i).Enter(ctx)
				cancel()
				mu.Lock()
				if err != nil {
					deadline, _ := ctx.Deadline()
					come[i].end(time.Since(deadline) >= barrier.DefaultCleanup)
					mu.Unlock()
					continue
				}
				there := 0
				for _, v := range come {
					if v.lasted(come[i].began) {
						there++
					}
				}
				if there < size {
					t.Errorf("a round of %d has begun when %d have come", size, there)
				}
				alive := 0
				for j, other := range inside {
					switch {
					case other.Context().Err() != nil:
						delete(inside, j)
					case !forced[j]:
						alive++
					}
				}
				inside[i] = round
				turns[i]++
				entered++
				if alive+1 > size && !forced[i] {
					t.Errorf("%d are in a round of %d", alive+1, size)
				}
				if round.Members() != size {
					t.Errorf("a round of %d, not %d", round.Members(), size)
				}
				mu.Unlock()
				time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
				mu.Lock()
				delete(inside, i)
				come[i].end(false)
				others := maps.Clone(inside)
				mu.Unlock()
				if round.Leave(end) != nil {
					continue
				}
				mu.Lock()
				for j, other := range others {
					select {
					case <-other.Context().Done():
					default:
						if inside[j] == other && !forced[j] && !forced[i] {
							t.Error("somebody has left while another is there")
						}
					}
				}
				mu.Unlock()
			}
		})
	}
	admin := p.e.Connect(t)
	force := func(i int) {
		mu.Lock()
		defer mu.Unlock()
		forced[i] = true
	}
	maker := trouble.New(p.e, r)
	maker.Also("expired", func(ctx context.Context) bool {
		i := r.IntN(len(p.clients))
		force(i)
		return p.e.ExpireSession(ctx, p.clients[i].Session().ID()) == nil
	})
	maker.Also("removed", func(ctx context.Context) bool {
		state, err := barrier.NewDouble(admin, path, size, nil).Inspect(ctx)
		if err != nil || len(state.Present) == 0 {
			return false
		}
		one := state.Present[r.IntN(len(state.Present))]
		for i, c := range p.clients {
			if c.Session().ID() == one.Session {
				force(i)
			}
		}
		return admin.Delete(ctx, one.Path, client.AnyVersion) == nil
	})
	maker.Also("foreign child", func(ctx context.Context) bool {
		_, err := admin.Create(ctx, path+"/ready-", nil, &client.CreateOptions{Mode: client.EphemeralSequential, Parents: client.ContainerParents})
		return err == nil
	})
	for range 100 {
		maker.Strike(p.clients[r.IntN(len(p.clients))])
		time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
	}
	require.NoError(t, maker.End(t.Context()))
	for what, n := range maker.Struck() {
		struck[what] += n
	}
	time.Sleep(30 * time.Second) // sessions that were lost are over
	require.NoError(t, admin.Close())
	mu.Lock()
	clear(turns)
	mu.Unlock()
	time.Sleep(2 * time.Minute)
	stop()
	running.Wait()
	time.Sleep(time.Minute)
	for i, n := range turns {
		require.Positive(t, n, fmt.Sprint("client ", i, " never had its turn when all was well"))
	}
	for _, name := range p.names(t) {
		require.Equal(t, "ready", name, "no member is left")
	}
	for _, c := range p.clients { // a round whose Leave was given up is over with its session
		require.NoError(t, c.Close())
	}
	require.Empty(t, p.seen.Open(), "each span ends, and each count goes back")
	return entered
}

// A visit is from when somebody calls Enter until it fails, or until Leave is called.
type visit struct {
	began, ended time.Time // ended is zero while it lasts
	session      *client.Session
}

// end ends it. The node may be there for longer if its session has ended, or it could not be removed in time.
func (v *visit) end(late bool) {
	v.ended = time.Now()
	if late || v.session.Err() != nil {
		v.ended = v.ended.Add(time.Minute)
	}
}

// lasted tells whether somebody was there then, or came later.
func (v *visit) lasted(then time.Time) bool {
	return v.ended.IsZero() && !v.began.IsZero() || !v.ended.Before(then)
}

// Who comes again in another session, while the servers still know the one before, is one and not two.
func TestWhoComesAgainIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second}})
		c, other := e.Connect(t), e.Connect(t)
		entered := make(chan *barrier.Round, 2)
		enter := func(c *client.Client) {
			r, err := barrier.NewDouble(c, path, 2, nil).Enter(ctx)
			if err != nil {
				t.Error(err)
			}
			entered <- r
		}
		go enter(c) // each ends when both are there
		synctest.Wait()
		before, _, err := other.Children(ctx, path)
		require.NoError(t, err)
		require.Len(t, before, 1)

		old := c.Session()
		e.Proxy(c).Drop()
		closed := e.Proxy(c).Lose(proxy.Request(proxy.OpConnect, "").Always())
		<-old.Context().Done()
		_, there, err := other.Exists(ctx, path+"/"+before[0])
		require.NoError(t, err)
		require.True(t, there, "the servers have not ended the session")
		closed.End()
		s, err := c.AwaitSession(ctx)
		require.NoError(t, err)
		require.NotEqual(t, old.ID(), s.ID())
		synctest.Wait()
		after, _, err := other.Children(ctx, path)
		require.NoError(t, err)
		require.Len(t, after, 1)
		require.NotEqual(t, before, after)
		require.Empty(t, entered)

		go enter(other)
		one, two := <-entered, <-entered
		left := make(chan error, 2)
		for _, r := range []*barrier.Round{one, two} {
			go func() { left <- r.Leave(ctx) }() // ends when both have
		}
		require.NoError(t, <-left)
		require.NoError(t, <-left)
	})
}

// Who gives up beside a round, and is slow to leave, is not taken into the next one and missing in it: it has entered, or is not counted.
func TestSlowToGiveUp(t *testing.T) {
	for _, soon := range []bool{true, false} { // the next round begins while it is waited for the removal, or later
		synctest.Test(t, func(t *testing.T) {
			p := newParty(t, 2, 3)
			one, two := p.enter(t.Context(), 0), p.enter(t.Context(), 1)
			rounds := []*barrier.Round{<-one, <-two}
			type outcome struct {
				round *barrier.Round
				err   error
			}
			gaveUp := make(chan outcome, 1)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { // ends soon after ctx
				r, err := p.double(2).Enter(ctx)
				gaveUp <- outcome{r, err}
			}()
			synctest.Wait()
			held := p.e.Proxy(p.clients[2]).Freeze(proxy.Request(proxy.OpDelete, "").Skip(1)) // behind the try to leave beside no round
			cancel()
			time.Sleep(time.Second)
			left := make(chan error, 2)
			for _, r := range rounds {
				go func() { left <- r.Leave(t.Context()) }() // ends when both leave
			}
			require.NoError(t, <-left)
			require.NoError(t, <-left)
			if !soon {
				time.Sleep(4 * time.Second) // longer than Enter waits
			}
			next := p.enter(t.Context(), 0)
			require.True(t, isIn(next))
			require.Equal(t, 1, held.Strikes())
			held.End()
			synctest.Wait()
			o := <-gaveUp
			first := <-next
			if soon {
				require.NoError(t, o.err)
				require.Len(t, p.names(t), 3, "both, and a round")
				go func() { left <- o.round.Leave(t.Context()) }() // ends when both leave
			} else {
				require.ErrorIs(t, o.err, context.Canceled)
			}
			require.NoError(t, first.Leave(t.Context()))
			require.Empty(t, p.names(t))
		})
	}
}

// A round whose members all give up waiting for each other leaves nothing, whoever of them is the last.
func TestNobodyWaitsToTheEnd(t *testing.T) {
	for last := range 2 {
		synctest.Test(t, func(t *testing.T) {
			p := newParty(t, 2, 2)
			one, two := p.enter(t.Context(), 0), p.enter(t.Context(), 1)
			rounds := []*barrier.Round{<-one, <-two}
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			require.ErrorIs(t, rounds[1-last].Leave(gone), context.Canceled)
			time.Sleep(time.Second)
			require.Len(t, p.names(t), 2, "the other one, and the round")
			lost := p.e.Proxy(p.clients[last]).Lose(proxy.Reply(proxy.OpMulti, ""))
			require.ErrorIs(t, rounds[last].Leave(gone), context.Canceled)
			time.Sleep(time.Second)
			require.Empty(t, p.names(t))
			require.Equal(t, 1, lost.Strikes())
			require.Empty(t, p.e.Watches(), "none is left behind")
		})
	}
}
