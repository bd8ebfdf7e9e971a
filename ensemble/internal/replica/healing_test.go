package replica_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// How servers that have fallen behind, gone astray or lost everything come back.

// seen reports whether the trace of the world speaks of something.
func (w *world) seen(what string) bool {
	for _, line := range w.trace {
		if strings.Contains(line, what) {
			return true
		}
	}
	return false
}

// fall makes a follower miss something while it is cut off, and returns it, with a client that has stayed connected.
func (w *world) fall(writes int) (behind *host, c *client) {
	leader := w.mustServe()
	behind = w.followers()[0]
	c = behind.mustOpen(20 * tick)
	d := leader.mustOpen(20 * tick)
	w.isolate(behind)
	w.until(func() bool { return !behind.serves(replica.Following) }, "it has lost its leader")
	for range writes {
		d.must(d.create("/missed-", znode.ModePersistentSequential))
	}
	w.trace = nil
	w.connectAll()
	w.mustServe()
	w.until(func() bool { return behind.r.Tree().Zxid() == leader.r.Tree().Zxid() }, "it has all")
	return behind, c
}

func TestDiffKeepsConnections(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		_, c := w.fall(5)
		require.False(w, w.seen("SNAP"))
		require.False(w, c.closed)
		c.must(c.create("/on", znode.ModePersistent))
	})
}

func TestSnapshotClosesConnections(t *testing.T) {
	worlds(t, shape{servers: 3, history: 3}, func(w *world) {
		w.start()
		behind, c := w.fall(5)
		require.True(w, w.seen("SNAP"))
		require.True(w, c.closed, "nobody can say what its requests have become")
		c = behind.mustAttach(c.session)
		c.must(c.create("/on", znode.ModePersistent))
	})
}

// What fails whenever it is tried is tried ever more seldom; and when it works again, that is seen soon.
func TestInVain(t *testing.T) {
	worlds(t, shape{servers: 3, history: 3}, func(w *world) {
		w.start()
		leader := w.mustServe()
		behind := w.followers()[0]
		d := leader.mustOpen(20 * tick)
		w.isolate(behind)
		w.until(func() bool { return !behind.serves(replica.Following) }, "it has lost its leader")
		for range 5 {
			d.must(d.create("/missed-", znode.ModePersistentSequential))
		}
		behind.deaf, behind.dialled = true, nil
		w.connectAll()
		w.until(func() bool { return len(behind.dialled) >= 2 }, "it has tried again")
		begun := w.now
		w.pass(30_000)
		require.Less(w, len(behind.dialled), 8+30_000/1000, "a second is the longest wait")
		require.Greater(w, behind.dialled[len(behind.dialled)-1], begun+25_000, "it goes on trying")
		require.True(w, leader.serves(replica.Leading))
		behind.deaf = false
		begun = w.now
		w.mustServe()
		require.Less(w, w.now-begun, int64(4*tick))
	})
}

// A server that is empty while others are not takes over their data before it counts.
func TestNewcomer(t *testing.T) {
	worlds(t, three, func(w *world) {
		one, two, three := w.hosts[0], w.hosts[1], w.hosts[2]
		one.boot(nil)
		two.boot(nil)
		c := w.mustServe().mustOpen(20 * tick)
		c.must(c.create("/a", znode.ModePersistent))
		if w.rng.IntN(2) == 0 {
			three.boot(nil)
			w.until(func() bool { return w.seen("3 gets from") && w.served() }, "it has joined")
			require.NoError(w, three.r.Untrusted())
			require.NotNil(w, three.node("/a"))
			require.False(w, c.closed)
			return
		}
		w.until(func() bool { return two.node("/a") != nil && one.node("/a") != nil }, "both have it")
		two.crash()
		three.boot(nil)
		w.pass(30 * tick)
		for _, h := range []*host{one, three} {
			_, serving := h.r.Role()
			require.False(w, serving, "one that knows and one that does not are no quorum")
		}
		require.ErrorIs(w, three.r.Untrusted(), replica.ErrNewcomer)
		two.boot(nil)
		w.mustServe()
		require.NotNil(w, three.node("/a"))
	})
}

// A server whose disk is not to be trusted votes for nobody, whatever it has.
func TestUntrusted(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		c := w.mustServe().mustOpen(20 * tick)
		c.must(c.create("/a", znode.ModePersistent))
		w.everywhere("/a", true)
		a, b, other := w.hosts[w.rng.IntN(3)], (*host)(nil), (*host)(nil)
		for _, h := range w.hosts {
			if h != a {
				b, other = h, b
			}
			h.crash()
		}
		damaged := errors.New("damaged")
		a.boot(damaged)
		b.boot(nil)
		w.pass(30 * tick)
		require.ErrorIs(w, a.r.Untrusted(), damaged)
		_, serving := b.r.Role()
		require.False(w, serving, "there is no quorum that can be trusted")
		other.boot(nil)
		w.mustServe()
		require.NoError(w, a.r.Untrusted())
		require.NoError(w, a.disk.damaged)
		// It counts again.
		other.crash()
		w.mustServe()
	})
}

// corrupt changes a node of a server's tree behind its back.
func (h *host) corrupt(path string) {
	h.wrong = true
	var res tree.Result
	h.r.Tree().Apply(&txn.Txn{
		Header: txn.Header{Zxid: h.r.Tree().Zxid(), Time: wall, Type: wire.OpSetData},
		Body:   &txn.SetData{Path: path, Data: []byte("a bit has flipped"), Version: 1},
	}, &res)
}

func TestDivergence(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		leader := w.mustServe()
		c := leader.mustOpen(20 * tick)
		c.must(c.create("/a", znode.ModePersistent))
		w.everywhere("/a", true)
		h := w.hosts[w.rng.IntN(3)]
		d := h.mustOpen(20 * tick)
		w.until(func() bool { return h.r.Waiting() == 0 }, "all is applied")
		h.corrupt("/a")
		writer := c
		if h == leader {
			writer = w.followers()[0].mustOpen(20 * tick) // which may be what it stumbles over
		} else {
			writer.create("/b", znode.ModePersistent)
		}
		w.until(func() bool { return w.seen(fmt.Sprintf("%d distrusts itself", h.id)) }, "it sees that its tree is not what it should be")
		require.True(w, d.closed, "its clients may have seen what is not so")
		w.mustServe()
		require.Empty(w, h.node("/a").Data())
		require.Equal(w, w.leader().r.Tree().Digest(), h.r.Tree().Digest())
		require.False(w, writer.closed && writer.h != h)
	})
}

// What is committed and on disk is applied also while a server looks for a leader; and so it may see then that it has gone astray.
func TestDivergenceWithoutALeader(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		leader := w.mustServe()
		c := leader.mustOpen(20 * tick)
		c.must(c.create("/a", znode.ModePersistent))
		w.everywhere("/a", true)
		h := w.followers()[0]
		w.until(func() bool { return len(h.queued) == 0 && h.r.Waiting() == 0 }, "its disk is idle")
		h.corrupt("/a")
		h.stall = everything
		c.must(c.create("/b", znode.ModePersistent))
		w.trace = nil
		w.until(func() bool { return h.r.Waiting() == 1 && w.seen("COMMIT") && h.quiet() }, "it knows of the commit")
		w.isolate(h)
		w.until(func() bool { return !h.serves(replica.Following) }, "it has lost its leader")
		require.NoError(w, h.r.Untrusted())
		h.stall = nil
		w.until(func() bool { return h.r.Untrusted() != nil }, "it sees that its tree is not what it should be")
		w.connectAll()
		w.mustServe()
		require.Empty(w, h.node("/a").Data())
	})
}

// quiet reports whether nothing is on its way to a host.
func (h *host) quiet() bool {
	for _, e := range h.ends {
		if len(e.in) > 0 {
			return false
		}
	}
	return true
}

// astray makes a leader write what nobody else ever hears of, and the others go on without it. It is down then.
func (w *world) astray() *host {
	old := w.mustServe()
	c := old.mustOpen(20 * tick)
	c.must(c.create("/a", znode.ModePersistent))
	w.everywhere("/a", true)
	w.isolate(old)
	c.create("/never", znode.ModePersistent)
	w.until(func() bool {
		return len(old.queued) == 0 && old.disk.records[len(old.disk.records)-1].Zxid == old.r.Zxid()
	}, "it is on its disk")
	old.crash()
	d := w.mustServe().mustOpen(20 * tick)
	d.must(d.create("/b", znode.ModePersistent))
	return old
}

// A server's log may end in what never was; when it starts its tree has that too, until it hears better.
func TestTruncate(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		old := w.astray()
		old.boot(nil)
		require.NotNil(w, old.node("/never"))
		w.trace = nil
		w.connectAll()
		w.mustServe()
		require.True(w, w.seen("TRUNC"))
		require.False(w, w.seen("SNAP"))
		w.everywhere("/never", false)
		w.everywhere("/b", true)
	})
}

// What is on disk may not lead back to where histories part. It is as good as any other, also when without it there is no quorum.
func TestUnreachable(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		old := w.astray()
		old.boot(nil)
		old.compact()
		w.trace = nil
		if w.rng.IntN(2) == 0 { // the role is over when that is found
			old.stall = truncation
			w.connectAll()
			w.until(func() bool { return len(old.queued) > 0 && old.queued[0].Kind == replica.DiskTruncate }, "it is told to go back")
			w.isolate(old)
			w.until(func() bool { return old.r.Leader() == 0 }, "it has lost its leader")
			old.stall = nil
			w.until(func() bool { return len(old.queued) == 0 }, "it has seen that it cannot")
		}
		if other := w.others(old)[w.rng.IntN(2)]; w.rng.IntN(2) == 0 {
			other.crash()
		}
		w.connectAll()
		w.until(func() bool {
			require.NoError(w, old.r.Untrusted())
			return w.seen("cannot be taken back") && w.seen("SNAP") && w.served()
		}, "all serve")
		w.everywhere("/never", false)
		w.everywhere("/b", true)
	})
}

// A log that turns out damaged when it is to be cut is not to be trusted.
func TestUnreachableForDamage(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		old := w.astray()
		old.boot(nil)
		old.compact()
		old.disk.damaged = errors.New("a record is not what it was")
		w.connectAll()
		w.until(func() bool { return old.r.Untrusted() != nil }, "it has seen the damage")
		require.ErrorIs(w, old.r.Untrusted(), replica.ErrTruncate)
		require.ErrorIs(w, old.r.Untrusted(), old.disk.damaged)
		w.mustServe()
		w.everywhere("/never", false)
		w.everywhere("/b", true)
	})
}

// others are the hosts besides one.
func (w *world) others(than *host) (others []*host) {
	for _, h := range w.hosts {
		if h != than {
			others = append(others, h)
		}
	}
	return others
}

// untold makes a follower log what its leader forgets, and the others have another epoch without it. It goes back, as it runs.
func (w *world) untold(meanwhile func(follower *host)) (follower, leader, third *host) {
	leader = w.mustServe()
	follower, third = w.followers()[0], w.followers()[1]
	d := leader.mustOpen(20 * tick)
	w.until(func() bool {
		return follower.r.Waiting() == 0 && follower.quiet() && third.quiet() && len(leader.queued) == 0
	}, "rest")
	third.crash()
	leader.stall = everything
	d.create("/never", znode.ModePersistent)
	w.until(func() bool { return follower.r.Zxid() == leader.r.Zxid() && len(follower.queued) == 0 }, "it has the proposal")
	w.trace = nil
	meanwhile(follower)
	w.isolate(follower)
	leader.queued = nil // its disk is slow
	leader.crash()
	leader.boot(nil)
	third.boot(nil)
	w.mustServeAmong(leader, third)
	w.connectAll()
	return follower, leader, third
}

// A handshake that an earlier leader has allowed waited for what never was.
func TestAttachAcrossATruncation(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		w.mustServe()
		id := w.followers()[0].mustOpen(20 * tick).session
		var c *client
		w.untold(func(h *host) {
			c = h.attach(id)
			w.until(func() bool { return w.seen("REVALIDATE 0xffffffffffffffff 9 bytes") }, "the leader's word")
			require.False(w, c.greeted)
		})
		w.until(func() bool { return c.greeted }, "the new leader's word")
		require.Equal(w, id, c.session)
		w.everywhere("/never", false)
		require.True(w, w.seen("TRUNC"))
		require.False(w, w.seen("SNAP"))
	})
}

// What a server was told to forget it does not tell others when it leads.
func TestTruncatedHistory(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		h, leader, third := w.untold(func(*host) {})
		w.until(func() bool { return w.seen("TRUNC") && w.served() }, "it has gone back")
		w.until(func() bool { return h.quiet() && third.quiet() && leader.quiet() }, "rest")
		third.crash()
		c := h.mustOpen(20 * tick)
		c.must(c.create("/then", znode.ModePersistent))
		leader.crash()
		w.trace = nil
		third.boot(nil)
		require.Equal(w, h, w.mustServe(), "it has the longer history")
		w.everywhere("/then", true)
		w.everywhere("/never", false)
		require.False(w, w.seen("SNAP"))
	})
}

// mustServeAmong waits until two hosts serve with each other.
func (w *world) mustServeAmong(a, b *host) {
	w.Helper()
	w.until(func() bool {
		return a.serves(replica.Leading) && b.serves(replica.Following) || b.serves(replica.Leading) && a.serves(replica.Following)
	}, "two serve")
}

// What a leader has is not the ensemble's before a quorum has it too, although the leader tells it as if it were: a server that has
// heard it must answer nobody from it.
func TestNothingIsAnsweredBeforeAQuorumHasIt(t *testing.T) {
	worlds(t, shape{servers: 5}, func(w *world) {
		w.start()
		leader := w.mustServe()
		f := w.followers()
		h, helper, others := f[0], f[1], f[2:]
		c := h.mustOpen(20 * tick)
		w.until(func() bool { return h.quiet() && helper.quiet() && others[0].quiet() && others[1].quiet() }, "rest")
		before := leader.r.Zxid()
		xid := c.create("/asked", znode.ModePersistent)
		w.until(func() bool { return leader.r.Zxid() > before }, "the leader has the request")
		for _, h := range w.hosts {
			w.isolate(h)
		}
		if h.r.Zxid() > before || helper.r.Zxid() > before {
			w.connectAll()
			return // they have heard already
		}
		w.until(func() bool { return w.nobodyServes() && len(leader.queued) == 0 }, "all have lost each other")
		helper.stall = func(k replica.DiskKind) bool { return k != replica.DiskAcceptedEpoch }
		for _, p := range [][2]*host{{leader, h}, {leader, helper}, {h, helper}} {
			w.setCut(p[0], p[1], false)
		}
		w.until(func() bool {
			_, current := h.r.Epochs()
			return current == 2 && h.r.Zxid() > before && len(h.queued) == 0
		}, "it has the history")
		for range 100 {
			w.step()
			require.Empty(w, c.answers)
			require.Nil(w, h.node("/asked"))
		}
		leader.crash()
		helper.queued = nil
		helper.crash()
		helper.boot(nil)
		w.isolate(h)
		for _, o := range others {
			w.setCut(helper, o, false)
		}
		w.setCut(others[0], others[1], false)
		w.until(func() bool { return helper.serves(replica.Following) || helper.serves(replica.Leading) }, "others lead")
		w.connectAll()
		c.must(xid)
		w.everywhere("/asked", true)
	})
}

func (w *world) nobodyServes() bool {
	for _, h := range w.hosts {
		if h.r == nil {
			continue
		}
		if _, serving := h.r.Role(); serving {
			return false
		}
	}
	return true
}
