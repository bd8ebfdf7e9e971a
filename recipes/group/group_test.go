package group_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
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
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const path = "/search/members"

func mustJoin(t *testing.T, c *client.Client, id, payload string) *group.Membership {
	t.Helper()
	m, err := group.New(c, path, nil).Join(t.Context(), id, []byte(payload))
	require.NoError(t, err)
	return m
}

func mustObserve(t *testing.T, c *client.Client, opts *group.Options) *group.View {
	t.Helper()
	v, err := group.New(c, path, opts).Observe(t.Context())
	require.NoError(t, err)
	t.Cleanup(v.Close)
	return v
}

// names are the members as text.
func names(all []group.Member) []string {
	out := []string{}
	for _, m := range all {
		out = append(out, m.ID+"="+string(m.Payload))
	}
	return out
}

func mustInspect(t *testing.T, c *client.Client, opts *group.Options) []group.Member {
	t.Helper()
	require.NoError(t, c.Sync(t.Context(), "/"))
	all, err := group.New(c, path, opts).Inspect(t.Context())
	require.NoError(t, err)
	return all
}

// told collects in the background what a loop is told.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (l *told) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func listen(ctx context.Context, v *group.View) *told {
	l := &told{}
	go func() { // ends with ctx or the view
		for e := range v.Events(ctx) {
			line := strings.TrimSpace(fmt.Sprint(e.Kind, " ", e.Member.ID))
			if e.Kind == group.Updated {
				line += fmt.Sprintf(" %s>%s", e.Old.Payload, e.Member.Payload)
			}
			l.add(line)
		}
	}()
	return l
}

// follow collects the statuses of a membership.
func follow(ctx context.Context, m *group.Membership) *told {
	l := &told{}
	go func() { // ends with ctx or the membership
		for s := range m.Watch(ctx) {
			l.add(fmt.Sprint(s.Registered))
		}
		l.add("end")
	}()
	return l
}

// since returns what was told since the last call, when nothing happens any more.
func (l *told) since() []string {
	time.Sleep(time.Second)
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.lines
	l.lines = nil
	return out
}

func TestMembersComeChangeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		v := mustObserve(t, other, nil)
		require.Empty(t, v.Members(), "it need not exist")
		events := listen(ctx, v)
		require.Equal(t, []string{"current"}, events.since())

		ben, anna := mustJoin(t, c, "ben", "two"), mustJoin(t, c, "anna", "one")
		require.ElementsMatch(t, []string{"joined ben", "joined anna"}, events.since())
		require.Equal(t, []string{"anna=one", "ben=two"}, names(v.Members()))
		require.Equal(t, []string{"ben=two", "anna=one"}, names(mustInspect(t, other, nil)), "by seniority")
		m, ok := v.Member("anna")
		require.True(t, ok)
		require.Equal(t, path+"/anna", m.Path)
		require.Equal(t, anna.Path(), m.Path)
		require.Equal(t, c.Session().ID(), m.Session)
		require.Equal(t, group.Status{Registered: true, Token: m.Token}, anna.Status())
		require.False(t, m.Joined.IsZero())
		for _, id := range []string{"carl", "", "anna/x"} {
			_, ok = v.Member(id)
			require.False(t, ok, id)
		}

		require.NoError(t, anna.Set(ctx, []byte("three")))
		require.Equal(t, []string{"updated anna one>three"}, events.since())
		require.NoError(t, ben.Leave(ctx))
		require.ErrorIs(t, context.Cause(ben.Context()), group.ErrLeft)
		require.False(t, ben.Status().Registered)
		require.NoError(t, ben.Leave(ctx))
		require.Equal(t, []string{"left ben"}, events.since())
		require.Equal(t, []string{"anna=three"}, names(v.Members()))

		require.NoError(t, anna.Context().Err())
		require.NoError(t, c.Close())
		<-anna.Context().Done()
		require.ErrorIs(t, context.Cause(anna.Context()), client.ErrClosed)
		require.Equal(t, []string{"left anna"}, events.since())
		require.Empty(t, mustInspect(t, other, nil))
	})
}

// N4: two who have one id are not one member. The second is refused, and nobody's data are touched.
func TestOneIDIsOneMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		events := listen(t.Context(), mustObserve(t, c, nil))
		require.Equal(t, []string{"current"}, events.since())
		anna := mustJoin(t, c, "anna", "the first")
		began := time.Now()
		_, err := group.New(other, path, nil).Join(t.Context(), "anna", []byte("the second"))
		require.ErrorIs(t, err, group.ErrTaken)
		require.Equal(t, 18*time.Second, time.Since(began), "so long she may have been dead")
		_, err = group.New(other, path, &group.Options{Patience: -1}).Join(t.Context(), "anna", []byte("the third"))
		require.ErrorIs(t, err, group.ErrTaken)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = group.New(other, path, nil).Join(ctx, "anna", []byte("the fourth"))
		require.ErrorIs(t, err, group.ErrTaken)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, []string{"joined anna"}, events.since())
		require.Equal(t, []string{"anna=the first"}, names(mustInspect(t, other, nil)))
		require.True(t, anna.Status().Registered)

		// Who has died is waited for: it may be the former life of who comes.
		e.CutClient(c)
		again := mustJoin(t, other, "anna", "the second")
		require.Equal(t, []string{"anna=the second"}, names(mustInspect(t, other, nil)))
		// And who was only thought to be dead is told, and does not take anything back.
		e.Heal()
		time.Sleep(time.Minute)
		require.ErrorIs(t, anna.Status().Err, group.ErrTaken)
		require.False(t, anna.Status().Registered)
		require.Equal(t, []string{"anna=the second"}, names(mustInspect(t, other, nil)))
		require.NoError(t, again.Leave(t.Context()))
		time.Sleep(time.Second)
		require.True(t, anna.Status().Registered)
		require.Equal(t, []string{"anna=the first"}, names(mustInspect(t, other, nil)))
		require.NoError(t, anna.Leave(t.Context()))
	})
}

// Who has left and does not know it yet is waited for by who comes after: the late removal of the one does not meet the other.
func TestJoinAfterALeaveUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		events := listen(t.Context(), mustObserve(t, other, nil))
		g := group.New(c, path, nil)
		first, err := g.Join(t.Context(), "anna", []byte("the first"))
		require.NoError(t, err)
		e.Proxy(c).Lose(proxy.Request(proxy.OpDelete, "").Times(3))
		soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorIs(t, first.Leave(soon), client.ErrUnknown)
		again, err := g.Join(t.Context(), "anna", []byte("the second"))
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Equal(t, []string{"current", "joined anna", "left anna", "joined anna"}, events.since())
		require.True(t, again.Status().Registered)

		// A second one beside the first is refused as anybody's.
		_, err = g.Join(t.Context(), "anna", []byte("the third"))
		require.ErrorIs(t, err, group.ErrTaken)
		soon, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = g.Join(soon, "anna", []byte("the fourth"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, group.ErrTaken)
		require.NoError(t, again.Leave(t.Context()))
		last, err := g.Join(t.Context(), "anna", nil)
		require.NoError(t, err)
		require.NoError(t, last.Leave(t.Context()))
	})
}

// Who is registered is never pretended: neither while nobody knows, nor when the session is lost (kazoo's Party, N3). A view says when it is
// out of date.
func TestStatusIsHonest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		c, other := e.Connect(t), e.Connect(t)
		events, v := listen(t.Context(), mustObserve(t, other, nil)), mustObserve(t, c, nil)
		require.Equal(t, []string{"current"}, events.since())
		anna := mustJoin(t, c, "anna", "one")
		statuses := follow(t.Context(), anna)
		require.Equal(t, []string{"true"}, statuses.since())
		first := anna.Status().Token

		for range 3 { // reconnects are no event to anybody
			e.Drop(c)
			synctest.Wait()
			time.Sleep(time.Second)
			require.True(t, anna.Status().Registered)
		}
		require.Equal(t, []string{"joined anna"}, events.since())
		statuses.since()

		// The connection is gone: nobody knows.
		f := e.Proxy(c).Lose(proxy.Request(proxy.OpConnect, "").Always())
		e.Drop(c)
		synctest.Wait()
		cut := time.Now()
		require.Equal(t, cut, v.StaleSince())
		require.ErrorIs(t, anna.Status().Err, client.ErrConnectionLoss)
		require.Equal(t, []string{"false"}, statuses.since())
		require.Equal(t, []string{"anna=one"}, names(v.Members()), "the last known")
		// The session is gone: she is not.
		time.Sleep(time.Minute)
		require.Error(t, anna.Status().Err)
		require.Equal(t, cut, v.StaleSince())
		require.Equal(t, []string{"left anna"}, events.since())
		require.Empty(t, mustInspect(t, other, nil))
		require.NoError(t, anna.Context().Err())
		// It is back, and so is she.
		f.End()
		_, err := c.AwaitSession(t.Context())
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		require.Greater(t, anna.Status().Token, first)
		require.True(t, anna.Status().Registered)
		require.Contains(t, statuses.since(), "true")
		require.Zero(t, v.StaleSince())
		require.Equal(t, []string{"joined anna"}, events.since())
		require.NoError(t, anna.Leave(t.Context()))
		require.ErrorIs(t, anna.Status().Err, group.ErrLeft)
		require.Equal(t, []string{"false", "end"}, statuses.since())
	})
}

// N1: the node of the session before is not taken for the new one's. The member is there all the time: its next session has registered it
// before the servers have ended the one before.
func TestNodeOfTheSessionBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		c, other := e.Connect(t), e.Connect(t)
		events := listen(t.Context(), mustObserve(t, other, nil))
		require.Equal(t, []string{"current"}, events.since())
		anna := mustJoin(t, c, "anna", "one")
		require.Equal(t, []string{"joined anna"}, events.since())
		first, token := c.Session(), anna.Status().Token
		release, err := c.Session().Keep(t.Context()) // so that it ends by itself, before the servers can
		require.NoError(t, err)
		defer release()
		f := e.Proxy(c).Lose(proxy.Request(proxy.OpConnect, "").Always())
		e.Drop(c)
		<-first.Context().Done()
		f.End()
		_, err = c.AwaitSession(t.Context())
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.Greater(t, anna.Status().Token, token)
		all := mustInspect(t, other, nil)
		require.Equal(t, c.Session().ID(), all[0].Session)
		require.Equal(t, []string{"left anna", "joined anna"}, events.since())
		time.Sleep(time.Minute) // the servers have ended it
		require.Empty(t, events.since())
		require.True(t, anna.Status().Registered)
		require.NoError(t, anna.Leave(t.Context()))
	})
}

// N2: what is refused for a while is tried again, and told.
func TestRefusalIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		anna := mustJoin(t, c, "anna", "one")
		_, err := other.SetACL(t.Context(), path, client.WorldACL(client.PermRead|client.PermDelete|client.PermAdmin), client.AnyVersion)
		require.NoError(t, err)
		require.NoError(t, other.Delete(t.Context(), anna.Path(), client.AnyVersion))
		time.Sleep(time.Second)
		require.ErrorIs(t, anna.Status().Err, client.ErrNoAuth)
		_, err = other.SetACL(t.Context(), path, client.WorldACL(client.PermAll), client.AnyVersion)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.True(t, anna.Status().Registered)
		require.NoError(t, anna.Leave(t.Context()))
	})
}

// What is in the directory that is no member is left alone, and told once.
func TestForeignChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		anna := mustJoin(t, c, "anna", "one")
		_, err := other.Create(t.Context(), path+"/config", nil, nil)
		require.NoError(t, err)
		secret := &client.CreateOptions{Mode: client.Ephemeral, ACL: client.DigestACL(client.PermAll, "ben", "secret")}
		_, err = other.Create(t.Context(), path+"/ben", nil, secret)
		require.NoError(t, err)
		var log bytes.Buffer
		opts := &group.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
		g := group.New(c, path, opts)
		v, err := g.Observe(t.Context())
		require.NoError(t, err)
		defer v.Close()
		for _, all := range [][]group.Member{v.Members(), mustInspect(t, c, nil)} {
			slices.SortFunc(all, func(a, b group.Member) int { return strings.Compare(a.ID, b.ID) })
			require.Equal(t, []string{"anna=one", "ben="}, names(all))
			require.ErrorIs(t, all[1].Err, client.ErrNoAuth)
		}
		_, err = g.Inspect(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(log.String(), "no members"), log.String())
		require.NoError(t, anna.Leave(t.Context()))
	})
}

// The directory may vanish while nobody is in it.
func TestDirectoryIsSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		v := mustObserve(t, c, nil)
		for range 3 {
			anna := mustJoin(t, c, "anna", "one")
			time.Sleep(time.Second)
			require.Len(t, v.Members(), 1)
			require.NoError(t, anna.Leave(t.Context()))
			for range 2 { // the container, and the one it was in
				_, err := e.Sweep(t.Context())
				require.NoError(t, err)
			}
			require.Empty(t, mustInspect(t, c, nil))
			require.NotContains(t, e.Server(1).Tree(), path)
			synctest.Wait()
			require.Empty(t, v.Members())
		}
	})
}

func TestBadArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ensembletest.Start(t, 1, nil).Connect(t)
		for _, id := range []string{"", "a/b", "..", "a\x00b"} {
			_, err := group.New(c, path, nil).Join(t.Context(), id, nil)
			require.ErrorIs(t, err, client.ErrInvalidPath, id)
		}
		_, err := group.New(c, path, &group.Options{Layout: group.PartyLayout}).Join(t.Context(), "anna", []byte("x"))
		require.ErrorIs(t, err, client.ErrBadArguments)
		_, err = group.New(c, "relative", nil).Observe(t.Context())
		require.ErrorIs(t, err, client.ErrInvalidPath)
		require.Empty(t, mustInspect(t, c, nil))
		require.NotContains(t, group.Kind(9).String(), "joined")
	})
}

// kazoo's members are read, and ours named like them; two may have one id there.
func TestPartyLayouts(t *testing.T) {
	for layout, pattern := range map[group.Layout]string{
		group.PartyLayout: "^" + path + "/[0-9a-f]{32}__party__$", group.ShallowPartyLayout: "^" + path + "/[0-9a-f]{32}-anna$",
	} {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, nil)
			c, other := e.Connect(t), e.Connect(t)
			opts := &group.Options{Layout: layout}
			v := mustObserve(t, other, opts)
			events := listen(t.Context(), v)
			require.Equal(t, []string{"current"}, events.since())
			anna, err := group.New(c, path, opts).Join(t.Context(), "anna", nil)
			require.NoError(t, err)
			require.Regexp(t, pattern, anna.Path())
			too, err := group.New(other, path, opts).Join(t.Context(), "anna", nil)
			require.NoError(t, err)
			_, err = other.Create(t.Context(), path+"/other", []byte("no member"), &client.CreateOptions{Mode: client.Ephemeral})
			require.NoError(t, err)
			_, err = other.Create(t.Context(), path+"/0123456789abcdef0123456789abcdef__party__0000000001", []byte("old"), &client.CreateOptions{Mode: client.Ephemeral})
			require.NoError(t, err)
			lines := events.since()
			want := []string{"joined anna", "joined anna"}
			if layout == group.PartyLayout {
				want = append(want, "joined old")
			}
			require.ElementsMatch(t, want, lines)
			m, ok := v.Member("anna")
			require.True(t, ok)
			require.Equal(t, anna.Path(), m.Path, "the longest-serving")
			_, ok = v.Member("ben")
			require.False(t, ok)
			require.Len(t, mustInspect(t, c, opts), len(want))
			require.NoError(t, anna.Leave(t.Context()))
			require.NoError(t, too.Set(t.Context(), nil))
			require.NoError(t, too.Leave(t.Context()))
		})
	}
}

// A membership in a view of a session is over with that session.
func TestMembershipOfASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		anna := mustJoin(t, c.Session().Client(), "anna", "one")
		require.NoError(t, e.Expire(t.Context(), c))
		<-anna.Context().Done()
		require.ErrorIs(t, context.Cause(anna.Context()), client.ErrSessionExpired)
		_, err := c.AwaitSession(t.Context())
		require.NoError(t, err)
		require.False(t, anna.Status().Registered)
		require.Empty(t, mustInspect(t, c, nil))
	})
}
