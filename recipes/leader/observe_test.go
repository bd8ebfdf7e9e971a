package leader_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/leader"
)

func TestLookingOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, admin := srv.Connect(t), srv.Connect(t)
		e := election(admin, "")
		_, ok, err := e.Leader(t.Context())
		require.NoError(t, err)
		require.False(t, ok, "there is no directory")
		mustStand(t, admin)

		anna := run(t, election(c, "anna"))
		ben := run(t, leader.NewElection(admin, path, &leader.Options{ID: "ben", Priority: -7}))
		term := <-anna.terms
		now, ok, err := e.Leader(t.Context())
		require.NoError(t, err)
		require.True(t, ok)
		stat, _, err := admin.Exists(t.Context(), term.Path())
		require.NoError(t, err)
		require.Equal(t, leader.Participant{ID: "anna", Token: term.Token(), Path: term.Path(), Joined: stat.Ctime, Session: c.Session().ID()}, now)
		all, err := e.Participants(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.Equal(t, now, all[0])
		require.Equal(t, -7, all[1].Priority)

		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errStopped)
		_, _, err = e.Leader(ctx)
		require.ErrorIs(t, err, errStopped)
		require.ErrorContains(t, err, "leader "+path)
		_, err = e.Participants(ctx)
		require.ErrorIs(t, err, errStopped)
		ben.mustEnd(t)
		anna.mustEnd(t)
	})
}

// Of two with one number, as newer servers of Apache give out at the end of the range, the one that came first leads.
func TestTwins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c := srv.Connect(t)
		for _, name := range []string{"b", "c", "a"} {
			_, err := c.Create(t.Context(), path+"/_c_"+name+"-latch-2147483647", []byte(name), &client.CreateOptions{Mode: client.Ephemeral, Parents: client.ContainerParents})
			require.NoError(t, err)
		}
		for i, id := range []string{"b", "c", "a"} {
			now, ok, err := election(c, "").Leader(t.Context())
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, id, now.ID)
			mustStand(t, c, []string{"b", "c", "a"}[i:]...)
			for now, err := range election(c, "").Watch(t.Context()) {
				require.NoError(t, err)
				require.Equal(t, id, now.ID)
				break
			}
			require.NoError(t, c.Delete(t.Context(), now.Path, client.AnyVersion))
		}
	})
}

// Who may not read the leader's node is told so.
func TestLookingOnWithoutPermission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, admin := srv.Connect(t), srv.Connect(t)
		_, err := c.Create(t.Context(), path, nil, &client.CreateOptions{Parents: client.ContainerParents})
		require.NoError(t, err)
		require.NoError(t, c.AddAuth(t.Context(), "digest", []byte("anna:secret")))
		term := mustLead(t, leader.NewElection(c, path, &leader.Options{ID: "anna", ACL: client.DigestACL(client.PermAll, "anna", "secret")}))
		e := election(admin, "")
		_, _, err = e.Leader(t.Context())
		require.ErrorIs(t, err, client.ErrNoAuth)
		_, err = e.Participants(t.Context())
		require.ErrorIs(t, err, client.ErrNoAuth)
		for now, err := range e.Watch(t.Context()) {
			require.ErrorIs(t, err, client.ErrNoAuth)
			require.Equal(t, leader.Participant{}, now)
		}
		require.NoError(t, term.Resign(t.Context()))
	})
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, admin := srv.Connect(t), srv.Connect(t)
		seen := make(chan leader.Participant, 100)
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() { // ends with ctx
			var last error
			for now, err := range election(admin, "").Watch(ctx) {
				if last = err; err == nil {
					seen <- now
				}
			}
			ended <- last
		}()
		must := func(id string, token int64) {
			t.Helper()
			synctest.Wait()
			require.Len(t, seen, 1)
			now := <-seen
			require.Equal(t, id, now.ID)
			require.Equal(t, token, now.Token)
		}
		must("", 0)
		term := mustLead(t, election(c, "anna"))
		must("anna", term.Token())
		ben := run(t, election(c, "ben"))
		synctest.Wait()
		require.Empty(t, seen, "candidates that come are nothing new")
		var mine []ensembletest.Watch
		for _, w := range srv.Watches() {
			if w.Session == admin.Session().ID() {
				mine = append(mine, w)
			}
		}
		require.Equal(t, []ensembletest.Watch{{Path: term.Path(), Kind: ensembletest.WatchData, Session: admin.Session().ID()}}, mine)
		require.NoError(t, term.Resign(t.Context()))
		next := <-ben.terms
		must("ben", next.Token())
		srv.Drop()
		time.Sleep(5 * time.Second)
		require.Empty(t, seen)
		ben.mustEnd(t)
		must("", 0)
		for range 2 { // the directory goes, and comes again
			_, err := srv.Sweep(t.Context())
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Empty(t, seen)
		term = mustLead(t, election(c, "carl"))
		must("carl", term.Token())
		cancel(errStopped)
		require.ErrorIs(t, <-ended, errStopped)
		require.NoError(t, term.Resign(t.Context()))

		for range election(admin, "").Watch(t.Context()) {
			break
		}
		require.NoError(t, admin.Close())
		for _, err := range election(admin, "").Watch(t.Context()) {
			require.ErrorIs(t, err, client.ErrClosed)
		}
	})
}

// Who comes between the two looks at an empty directory is not missed.
func TestWatchMissesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c, observer := srv.Connect(t), srv.Connect(t)
		require.NoError(t, mustLead(t, election(c, "")).Resign(t.Context()))
		held := srv.Proxy(observer).Freeze(proxy.Request(proxy.OpGetChildren, "").Skip(1))
		go func() { // ends when it leads
			<-held.Struck()
			if _, err := election(c, "anna").Lead(t.Context()); err != nil {
				t.Error(err)
			}
			held.End()
		}()
		for now, err := range election(observer, "").Watch(t.Context()) {
			require.NoError(t, err)
			require.Equal(t, "anna", now.ID)
			break
		}
	})
}

// A leader that was followed by another is not told again, whatever a server says.
func TestWatchTellsNobodyTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t)
		c := srv.Connect(t)
		node := func(id string, number int) string { // the servers' numbers would never be so
			name := fmt.Sprintf("%s/_c_%s-latch-%010d", path, id, number)
			_, err := c.Create(t.Context(), name, []byte(id), &client.CreateOptions{Mode: client.Ephemeral, Parents: client.ContainerParents})
			require.NoError(t, err)
			return name
		}
		old := node("old", 3)
		young := node("young", 2)
		next, stop := iter.Pull2(election(srv.Connect(t), "").Watch(t.Context()))
		defer stop()
		now, err, _ := next()
		require.NoError(t, err)
		require.Equal(t, "young", now.ID)
		require.NoError(t, c.Delete(t.Context(), young, client.AnyVersion))
		time.AfterFunc(time.Minute, func() { node("youngest", 1) })
		deleted := make(chan error, 1)
		time.AfterFunc(2*time.Minute, func() { // the watch is still on the old one, which is not to be seen
			deleted <- c.Delete(t.Context(), old, client.AnyVersion)
		})
		now, err, _ = next()
		require.NoError(t, err)
		require.Equal(t, "youngest", now.ID)
		require.NoError(t, <-deleted)
	})
}

// An observer whose sessions come and go, on servers that are behind, never sees a leader again who was followed by another, and sees the
// last one in the end.
func TestWatchNeverGoesBack(t *testing.T) {
	for range 3 {
		seed := rand.Uint64()
		synctest.Test(t, func(t *testing.T) {
			t.Logf("seed %d", seed)
			r := rand.New(rand.NewPCG(seed, 1))
			srv := ensembletest.Start(t, 3, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second}})
			at := srv.Leader()
			c, observer := at.Connect(t), srv.Connect(t)
			for _, s := range srv.Servers() { // what is committed reaches the followers late, each in its own time
				if s != at {
					srv.Delay(at.ID(), s.ID(), time.Duration(r.Int64N(int64(2*time.Second))))
				}
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			tokens := make(chan []int64)
			go func() { // ends with ctx
				var got []int64
				for now, err := range election(observer, "").Watch(ctx) {
					if err == nil && now.Token != 0 {
						got = append(got, now.Token)
					}
				}
				tokens <- got
			}()
			var last int64
			for i := range 40 {
				term := mustLead(t, election(c, fmt.Sprint(i)))
				last = term.Token()
				switch r.IntN(4) {
				case 0:
					srv.Drop(observer)
				case 1:
					_ = srv.Expire(t.Context(), observer) // it may be between two sessions
				}
				time.Sleep(time.Duration(r.Int64N(int64(time.Second))))
				if i < 39 {
					require.NoError(t, term.Resign(t.Context()))
				}
			}
			time.Sleep(20 * time.Second)
			cancel(errStopped)
			got := <-tokens
			require.Greater(t, len(got), 5)
			for i := 1; i < len(got); i++ {
				require.GreaterOrEqual(t, got[i], got[i-1])
			}
			require.Equal(t, last, got[len(got)-1])
		})
	}
}
