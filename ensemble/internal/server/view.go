package server

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/admin"
)

// Version is what a server says it is: the release of Apache's whose protocol it speaks, then itself. The date has the form that
// Apache's servers printed for a decade and that go-zookeeper's parser insists on.
const Version = "3.9.4-bellwether, built on 11/21/2026 00:00 UTC"

// view is the server as the four-letter words see it.
type view struct{ s *Server }

// held runs f while the tree holds still.
func (v view) held(f func()) {
	v.s.tree.RLock()
	defer v.s.tree.RUnlock()
	f()
}

func (v view) Summary() admin.Summary {
	s := v.s
	totals := s.front.Totals()
	sum := admin.Summary{
		Version: Version, Serving: s.Err() == nil && s.mode.Load()&1 == 1, Mode: v.s.role().String(),
		Latency:  admin.Latency{Min: totals.Latency.Min, Avg: totals.Latency.Avg(), Max: totals.Latency.Max},
		Received: totals.Received, Sent: totals.Sent, Connections: totals.Connections, Outstanding: totals.Outstanding,
		Uptime:    time.Since(s.begun),
		LastReply: totals.LastReply, MinReply: totals.MinReply, MaxReply: totals.MaxReply,
		AuthFailures: totals.AuthFailures, Rejected: totals.Rejected, Handshakes: totals.Handshakes,
		Fsync: s.writer.fsync.timing(), Snapshot: s.snapshots.timing(),
	}
	sum.OpenFiles, sum.MaxFiles = openFiles()
	sum.DataDirSize, sum.LogDirSize = s.dirSizes()
	v.held(func() {
		t := s.replica.Tree()
		sum.Zxid, sum.Nodes, sum.DataSize = t.Zxid(), t.NodeCount(), t.DataSize()
		sum.Ephemerals, sum.Sessions = t.EphemeralCount(), t.SessionCount()
	})
	s.watching.Lock()
	sum.Watches = s.replica.Watches().Count()
	s.watching.Unlock()
	return sum
}

func (v view) Connections() []admin.Connection {
	var out []admin.Connection
	for c := range v.s.front.Conns() {
		st := c.Stats()
		out = append(out, admin.Connection{
			Addr: st.Addr, Interest: st.Interest, Queued: st.Queued, Received: st.Received, Sent: st.Sent,
			Session: st.Session, LastOp: st.LastOp, Established: st.Established, Timeout: st.Timeout.Milliseconds(),
			LastCxid: st.LastCxid, LastZxid: st.LastZxid, LastReply: st.LastReply.Milliseconds(), LastLatency: st.LastLatency.Milliseconds(),
			Latency: admin.Latency{Min: st.Latency.Min, Avg: st.Latency.Avg(), Max: st.Latency.Max},
		})
	}
	return out
}

func (v view) Settings() []admin.Setting {
	c := &v.s.cfg
	id := int64(0) // of a server that stands alone, whatever its session ids begin with
	if c.Ensemble != nil {
		id = int64(c.Ensemble.Self)
	}
	data, log := v.s.dirSizes()
	n := func(i int64) string { return strconv.FormatInt(i, 10) }
	return []admin.Setting{
		{Key: "clientPort", Value: n(int64(c.clientPort()))},
		{Key: "secureClientPort", Value: "-1"},
		{Key: "dataDir", Value: v.s.store.DataDir()},
		{Key: "dataDirSize", Value: n(data)},
		{Key: "dataLogDir", Value: v.s.store.LogDir()},
		{Key: "dataLogSize", Value: n(log)},
		{Key: "tickTime", Value: n(c.Tick.Milliseconds())},
		{Key: "maxClientCnxns", Value: n(int64(c.Front.MaxPerHost))},
		{Key: "minSessionTimeout", Value: n(c.MinTimeout.Milliseconds())},
		{Key: "maxSessionTimeout", Value: n(c.MaxTimeout.Milliseconds())},
		{Key: "clientPortListenBacklog", Value: "-1"},
		{Key: "serverId", Value: n(id)},
	}
}

func (v view) SessionDeadlines() (out []admin.Deadline, ours bool) {
	v.s.inCore(func() {
		now := time.Now()
		mono := v.s.mono(now)
		if v.s.replica.Sessions() == nil {
			return // only a leader knows when sessions end
		}
		ours = true
		for _, b := range v.s.replica.Sessions().Buckets() {
			at := now.Add(time.Duration(b.Deadline-mono) * time.Millisecond)
			out = append(out, admin.Deadline{At: at, Sessions: b.Sessions})
		}
	})
	return out, ours
}

func (v view) Leases() (out []admin.Lease) {
	v.held(func() {
		for id, timeout := range v.s.replica.Tree().Sessions() {
			out = append(out, admin.Lease{Session: id, Timeout: time.Duration(timeout) * time.Millisecond})
		}
	})
	slices.SortFunc(out, func(a, b admin.Lease) int { return cmp.Compare(a.Session, b.Session) })
	return out
}

func (v view) Ephemerals() (out []admin.Owned) {
	v.held(func() {
		t := v.s.replica.Tree()
		for _, id := range slices.Sorted(t.EphemeralSessions()) {
			out = append(out, admin.Owned{Session: id, Paths: t.Ephemerals(id)})
		}
	})
	return out
}

func (v view) IdleDeadlines() (out []admin.IdleConnection) {
	for c := range v.s.front.Conns() {
		st := c.Stats()
		out = append(out, admin.IdleConnection{At: st.IdleDeadline, Addr: st.Addr, Session: st.Session})
	}
	return out
}

func (v view) Watches() (out []admin.Watched) {
	v.s.watching.Lock()
	for conn, paths := range v.s.replica.Watches().ByConn() {
		if c := v.s.connByID(conn); c != nil {
			out = append(out, admin.Watched{Session: c.Session(), Paths: paths})
		}
	}
	v.s.watching.Unlock()
	slices.SortFunc(out, func(a, b admin.Watched) int { return cmp.Compare(a.Session, b.Session) })
	return out
}

func (v view) WatchCounts() (conns, paths, watches int) {
	v.s.watching.Lock()
	defer v.s.watching.Unlock()
	sum := v.s.replica.Watches().Summary()
	return sum.Conns, sum.Paths, sum.Watches
}

func (v view) Digests() (out []admin.Digest) {
	v.held(func() {
		for d := range v.s.replica.Tree().History() {
			out = append(out, admin.Digest{Zxid: d.Zxid, Digest: d.Digest})
		}
	})
	return out
}

func (v view) ResetConnections() {
	for c := range v.s.front.Conns() {
		c.ResetStats()
	}
}

func (v view) ResetServer() {
	v.s.front.ResetStats()
	v.s.inCore(v.s.replica.ResetStatus)
}

func (v view) TraceMask(set *int64) int64 {
	if set != nil {
		v.s.traceMask.Store(*set)
	}
	return v.s.traceMask.Load()
}
