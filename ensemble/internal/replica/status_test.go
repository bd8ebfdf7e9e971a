package replica_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/zab"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func TestStatus(t *testing.T) {
	worlds(t, shape{servers: 3, observers: 1}, func(w *world) {
		w.start()
		for _, h := range w.hosts {
			require.Equal(w, zab.Election, h.r.Phase())
		}
		leader := w.mustServe()
		none := leader.r.Status(nil).Proposals
		require.Equal(w, replica.Sizes{Last: -1, Min: -1, Max: -1}, none)
		c := leader.mustOpen(20 * tick)
		c.must(c.create("/a", znode.ModePersistent))
		c.must(c.create("/a-long-name", znode.ModePersistent))
		w.everywhere("/a-long-name", true)

		s := leader.r.Status(nil)
		require.Equal(w, zab.Broadcast, s.Phase)
		require.Len(w, s.Learners, len(w.hosts)-1)
		observers := 0
		for _, l := range s.Learners {
			require.True(w, l.Synced)
			if l.Observer {
				observers++
			}
		}
		require.Equal(w, 1, observers)
		require.Zero(w, s.Syncs)
		require.Greater(w, s.Proposals.Last, s.Proposals.Min)
		require.Equal(w, s.Proposals.Last, s.Proposals.Max)
		require.EqualValues(w, 3, s.Counts.Proposed, "the session and two nodes")
		require.EqualValues(w, 3, s.Counts.Committed)
		require.EqualValues(w, 1, s.Counts.Reign.Count)
		leader.r.ResetStatus()
		require.Equal(w, none, leader.r.Status(nil).Proposals)
		require.EqualValues(w, 3, leader.r.Status(nil).Counts.Proposed, "counts go on")

		for _, h := range w.followers() {
			s := h.r.Status(nil)
			require.Equal(w, zab.Broadcast, s.Phase)
			require.Empty(w, s.Learners)
			require.EqualValues(w, 3, s.Counts.Received)
			require.EqualValues(w, 3, s.Counts.Informed)
			require.Zero(w, s.Counts.Proposed)
			require.EqualValues(w, 1, s.Counts.Sync.Count)
			require.EqualValues(w, 1, s.Counts.Absence.Count)
			require.GreaterOrEqual(w, s.Counts.Elections, int64(1))
		}

		w.isolate(leader)
		xid := c.sync()
		w.until(func() bool { return leader.r.Status(nil).Syncs == 1 }, "the sync waits for a quorum")
		w.until(func() bool { return leader.r.Phase() == zab.Election }, "it has lost the quorum")
		require.Zero(w, leader.r.Status(nil).Syncs)
		w.connectAll()
		s = w.mustServe().r.Status(nil)
		require.GreaterOrEqual(w, s.Counts.Absence.Count, int64(2))
		require.Equal(w, s.Counts.Absence.Count, s.Counts.Reign.Count+s.Counts.Sync.Count)
		c.must(xid)
	})
}

// Every server says who the servers are as it was told itself, whatever the tree it began with or took over said.
func TestConfigNode(t *testing.T) {
	worlds(t, shape{servers: 3, history: 3}, func(w *world) {
		w.config.Version = 0x100000002
		w.start()
		leader := w.mustServe()
		says := func(h *host) {
			w.Helper()
			n := h.node(znode.ConfigNode)
			require.Equal(w, w.config.String(), string(n.Data()))
			stat := n.Stat()
			require.EqualValues(w, 0x100000002, stat.Mzxid)
			require.EqualValues(w, -1, stat.Version)
			require.Equal(w, znode.ReadACL(), n.ACL())
		}
		for _, h := range w.hosts {
			says(h)
		}
		behind := w.followers()[0]
		w.isolate(behind)
		c := leader.mustOpen(20 * tick)
		for range 8 { // more than anybody remembers
			c.must(c.create("/n-", znode.ModePersistentSequential))
		}
		leader.r.Tree().SetConfig("server.9=elsewhere:1:2:participant\nversion=7", 7, 7) // as of a server that was told otherwise
		w.trace = nil
		w.connectAll()
		w.mustServe()
		w.until(func() bool { return behind.r.Tree().Zxid() == leader.r.Tree().Zxid() }, "it has all")
		says(behind)
		behind.crash()
		behind.boot(nil)
		says(behind)
	})
}
