package replica_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A leader that is cut off cannot know whether another has ended a session. Who comes to it with one is not greeted by it, neither
// while it believes that it leads nor when it has found out that it does not.
func TestADeposedLeaderGreetsNobody(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		old := w.mustServe()
		a := old.mustOpen(4 * tick)
		w.isolate(old)
		a.hangUp()
		b := old.attach(a.session)
		w.until(func() bool { return !old.serves(replica.Leading) }, "it finds out")
		for range 50 {
			w.step()
			require.False(w, b.greeted)
		}
		w.until(func() bool { return len(w.followers()) == 1 }, "the others have another leader")
		w.pass(8 * tick) // they end the session
		require.False(w, b.greeted)
		w.connectAll()
		w.mustServe()
		w.until(func() bool { return b.greeted || b.closed }, "who leads says that it is no more")
		require.Zero(w, b.session)
	})
}

// A connection whose session has written through another server is at its end, also where nothing has happened between the servers: the
// leader that would refuse what comes on it may not be the one that hears of it.
func TestLateRequestsOfMovedSessionsAreNotDone(t *testing.T) {
	for _, fails := range []bool{false, true} {
		worlds(t, three, func(w *world) {
			w.start()
			old := w.mustServe()
			followers := w.followers()
			from, to := followers[0], followers[1]
			if w.rng.IntN(2) == 0 { // the one that has more to say leads
				from, to = to, from
			}
			a := from.mustOpen(20 * tick)
			a.must(a.create("/first", znode.ModePersistent))
			b := to.mustAttach(a.session)
			if fails { // which it has been told, and so knows
				b.wait(b.create("/first", znode.ModePersistent))
			} else {
				b.must(b.create("/then", znode.ModePersistent))
			}
			w.until(func() bool { return from.r.Tree().Zxid() == to.r.Tree().Zxid() }, "the other server has it too")
			a.create("/late", znode.ModePersistent)
			old.crash()
			w.mustServeAmong(from, to)
			w.until(func() bool { return a.closed || len(a.waiting) == 0 }, "the old connection comes to an end")
			b.must(b.create("/last", znode.ModePersistent))
			w.until(func() bool { return from.node("/last") != nil }, "it has all")
			require.Nil(w, from.node("/late"))
			require.True(w, a.closed)
			require.False(w, b.closed)
		})
	}
}

// A request that waits on a connection while the session goes on elsewhere is not done any more: to its client it would happen after
// all that it has done there.
func TestRequestsOfMovedSessionsAreNotAskedForAgain(t *testing.T) {
	worlds(t, shape{servers: 5}, func(w *world) {
		w.start()
		old := w.mustServe()
		followers := w.followers()
		from, to := followers[0], followers[1]
		a := from.mustOpen(20 * tick)
		a.must(a.create("/first", znode.ModePersistent))
		w.isolate(from)
		w.until(func() bool { return !from.serves(replica.Following) }, "it knows that it is alone")
		a.create("/late", znode.ModePersistent) // its client gives up, of which this server hears nothing
		b := to.mustAttach(a.session)
		b.must(b.create("/then", znode.ModePersistent))
		old.crash()
		w.connectAll()
		w.mustServe()
		w.until(func() bool { return a.closed || len(a.waiting) == 0 }, "the old connection comes to an end")
		require.True(w, a.closed)
		b.must(b.create("/last", znode.ModePersistent))
		w.everywhere("/last", true)
		require.Nil(w, to.node("/late"))
	})
}
