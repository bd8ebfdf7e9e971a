package replica_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// How servers take it that their trees are not what a leader of Apache's has foreseen. They must stay voters, whoever is wrong.

var strangers = shape{servers: 3, strangers: true}

// trusting lets the world go on until done, and no server ever stops to believe in its disk.
func (w *world) trusting(done func() bool, what string) {
	w.Helper()
	w.until(func() bool {
		for _, h := range w.hosts {
			if h.r != nil {
				require.NoError(w, h.r.Untrusted(), "server %d", h.id)
			}
		}
		return done()
	}, what)
}

// write makes n nodes, and some more, through a client that it opens at a leader, and again at the next one should that have gone.
func (w *world) write(name string, n int) {
	w.Helper()
	var c *client
	for i := range n {
		for done := false; !done; {
			if c == nil || c.closed || !c.h.serves(replica.Leading) {
				w.trusting(w.served, "all serve")
				c = w.leader().mustOpen(20 * tick)
			}
			xid := c.create(fmt.Sprintf("/%s-%d", name, i), znode.ModePersistent)
			for n := w.rng.IntN(4); n > 0; n-- { // there is more on its way than one
				xid = c.create("/"+name+"-", znode.ModePersistentSequential)
			}
			w.trusting(func() bool {
				_, done = c.answers[xid]
				return done || c.closed
			}, "it is written")
			w.pass(tick / 20)
		}
	}
}

// rest waits until all servers have applied everything.
func (w *world) rest() {
	w.Helper()
	w.trusting(func() bool {
		if !w.served() {
			return false
		}
		leader := w.leader()
		for _, h := range w.hosts {
			if h.r.Waiting() > 0 || h.r.Tree().Zxid() != leader.r.Tree().Zxid() {
				return false
			}
		}
		return true
	}, "all have applied everything")
}

func TestADigestThatWasForeseenWrongly(t *testing.T) {
	worlds(t, strangers, func(w *world) {
		w.start()
		leader := w.mustServe()
		h := w.followers()[0]
		c := h.mustOpen(20 * tick)
		w.rest()
		elections := h.r.Elections()
		require.Equal(w, replica.Mismatch{}, h.r.Mismatch())
		bad := leader.r.Zxid() + 2
		leader.misjudges = func(to *host, zxid znode.Zxid) bool {
			return to == h && (zxid == bad || zxid == bad+1 || zxid == bad+4)
		}
		w.write("a", 10)
		w.rest()
		m := h.r.Mismatch()
		require.EqualValues(w, 2, m.Rows)
		require.Equal(w, bad+4, m.Zxid)
		require.Equal(w, m.Tree^1, m.Digest)
		require.EqualValues(w, 3, h.r.Status(nil).Counts.Mismatches)
		require.Equal(w, elections, h.r.Elections())
		require.False(w, c.closed)
		require.True(w, h.serves(replica.Following))
	})
}

// A tree that is wrong only in memory is read again.
func TestAWrongTreeUnderAStranger(t *testing.T) {
	worlds(t, strangers, func(w *world) {
		w.start()
		leader := w.mustServe()
		w.write("a", 1)
		w.rest()
		h := w.followers()[w.rng.IntN(2)]
		c := h.mustOpen(20 * tick)
		w.rest()
		h.corrupt("/a-0")
		w.trace = nil
		w.write("b", 120)
		w.rest()
		require.False(w, h.wrong)
		require.False(w, w.seen("SNAP"))
		require.Empty(w, h.node("/a-0").Data())
		require.True(w, c.closed, "it may have seen what is not so")
		require.ErrorIs(w, h.r.Left(), replica.ErrDiffers)
		require.Equal(w, leader.id, w.leader().id)
		_, epoch := h.r.Epochs()
		require.EqualValues(w, 1, epoch, "nobody else had to be elected")
	})
}

// A tree that is wrong on disk, too, is replaced by the leader's.
func TestAWrongDiskUnderAStranger(t *testing.T) {
	worlds(t, strangers, func(w *world) {
		w.start()
		leader := w.mustServe()
		w.write("a", 1)
		w.rest()
		h := w.followers()[w.rng.IntN(2)]
		h.corrupt("/a-0")
		h.compact()
		w.trace = nil
		w.write("b", 240)
		w.rest()
		require.False(w, h.wrong)
		require.GreaterOrEqual(w, h.r.Elections(), int64(3), "it has left for its own disk's sake, and for the leader's")
		require.Empty(w, h.node("/a-0").Data())
		require.Equal(w, leader.id, w.leader().id)
		_, epoch := h.r.Epochs()
		require.EqualValues(w, 1, epoch, "nobody else had to be elected")
	})
}

// A leader that never gets a digest right costs each of its followers two roles, and then nothing any more.
func TestALeaderThatForeseesNothing(t *testing.T) {
	worlds(t, shape{servers: 3, observers: 1, strangers: true}, func(w *world) {
		w.start()
		for _, h := range w.hosts {
			h.misjudges = func(*host, znode.Zxid) bool { return true }
		}
		leader := w.mustServe()
		w.write("a", 270)
		w.rest()
		require.Equal(w, leader.id, w.leader().id, "they do not all leave at once")
		before := make(map[*host]int64)
		for _, h := range w.hosts {
			if before[h] = h.r.Elections(); h != leader {
				require.GreaterOrEqual(w, before[h], int64(3), "it has left twice")
			}
		}
		var c []*client
		for _, h := range w.hosts {
			c = append(c, h.mustOpen(20*tick))
		}
		w.write("b", 270)
		w.rest()
		for i, h := range w.hosts {
			require.Equal(w, before[h], h.r.Elections())
			require.False(w, c[i].closed)
			if h != leader {
				require.Greater(w, h.r.Status(nil).Counts.Mismatches, int64(500))
			}
		}
	})
}

// What a leader of Apache's has foreseen may be applied when it is gone, and by who leads after it.
func TestAWrongDigestOutlivesItsLeader(t *testing.T) {
	worlds(t, strangers, func(w *world) {
		w.start()
		for _, h := range w.hosts {
			h.misjudges = func(*host, znode.Zxid) bool { return true }
		}
		leader := w.mustServe()
		c := leader.mustOpen(20 * tick)
		w.rest()
		f := w.followers()
		f[0].stall, f[1].stall = everything, everything
		for i := range 5 {
			c.create(fmt.Sprintf("/a-%d", i), znode.ModePersistent)
		}
		w.until(func() bool { return f[0].r.Waiting() == 5 && f[1].r.Waiting() == 5 }, "they have the proposals")
		leader.crash()
		f[0].stall, f[1].stall = nil, nil
		w.trusting(w.served, "one of them leads")
		w.everywhere("/a-4", true)
		w.trusting(func() bool { return f[0].r.Waiting() == 0 && f[1].r.Waiting() == 0 }, "all is applied")
		w.start()
		w.rest()
	})
}
