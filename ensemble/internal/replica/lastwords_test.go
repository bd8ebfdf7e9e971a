package replica_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// An observer that comes back to its leader does not know whether a session's end that it asked for has been proposed. It does not ask
// again.
func TestEndOfASessionIsAskedForOnce(t *testing.T) {
	worlds(t, shape{servers: 3, observers: 1}, func(w *world) {
		w.start()
		leader := w.mustServe()
		observer := w.hosts[3]
		ends := observer.mustOpen(20 * tick)
		w.until(func() bool { return leader.r.Waiting() == 0 && observer.r.Waiting() == 0 && observer.quiet() }, "rest")
		before := leader.r.Zxid()
		for _, f := range w.followers() {
			f.stall = everything
		}
		ends.ask(wire.OpCloseSession, nil)
		ends.hangUp()
		w.until(func() bool { return leader.r.Zxid() > before }, "its end is proposed")
		w.until(observer.quiet, "it has nothing to hear")
		observer.ends[0].close()
		w.until(func() bool { return !observer.serves(replica.Observing) }, "the observer has lost its leader")
		w.until(func() bool { return observer.serves(replica.Observing) }, "it is back")
		require.Equal(w, leader, w.leader())
		w.until(func() bool { return observer.quiet() && leader.quiet() }, "the leader has heard it")
		for _, h := range w.hosts {
			h.stall = nil
		}
		w.until(func() bool { return leader.r.Tree().SessionCount() == 0 && leader.r.Waiting() == 0 }, "it has ended")
		require.Equal(w, before+1, leader.r.Zxid(), "once")
	})
}

// A leader whose counter is at its end can end no session. Nobody is told that one has ended.
func TestNoSessionEndsAtTheCountersEnd(t *testing.T) {
	worlds(t, shape{servers: 3, counterStart: 1<<32 - 12}, func(w *world) {
		w.start()
		leader := w.mustServe()
		f := w.followers()
		a, c := f[0].mustOpen(2*tick), leader.mustOpen(20*tick)
		a.must(a.create("/mine", znode.ModeEphemeral))
		w.until(func() bool { return leader.r.Waiting() == 0 && leader.quiet() }, "rest")
		_, epoch := leader.r.Epochs()
		a.silent = true
		w.pass(tick)
		for _, h := range f {
			h.stall = everything
		}
		for range 12 {
			c.create("/n-", znode.ModePersistentSequential)
		}
		w.until(func() bool { return leader.r.Zxid().Counter() == 1<<32-2 }, "the counter is at its end")
		w.pass(2 * tick)
		if _, now := leader.r.Epochs(); now != epoch || !leader.serves(replica.Leading) {
			return // it has been given up before
		}
		b := f[1].attach(a.session)
		for _, h := range f {
			h.stall = nil
		}
		w.until(func() bool { return b.greeted || b.closed }, "an answer")
		require.Equal(w, a.session, b.session)
		w.everywhere("/mine", true)
	})
}
