package admin_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/admin"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// still is a server that stands still.
type still struct {
	Summary       admin.Summary
	mask          int64
	conns, server int
	ensemble      *admin.Ensemble
	membership    *admin.Membership
	learns        bool
}

type source struct{ *still }

func (s source) Summary() admin.Summary { return s.still.Summary }
func (s source) Connections() []admin.Connection {
	return []admin.Connection{
		{Addr: "10.1.2.3:41234", Interest: 1, Received: 12, Sent: 12, Session: 0x100001f2c4b0001, LastOp: "GETD", Established: time.UnixMilli(1718000000123),
			Timeout: 10000, LastCxid: 11, LastZxid: 0x10000002a, LastReply: 8812345, Latency: admin.Latency{Avg: 1.9, Max: 9}},
		{Addr: "10.1.2.9:50210", Received: 1},
	}
}
func (s source) Settings() []admin.Setting {
	return []admin.Setting{{Key: "clientPort", Value: "2181"}, {Key: "serverId", Value: "1"}}
}
func (s source) Membership() *admin.Membership { return s.membership }
func (s source) Ensemble() *admin.Ensemble     { return s.ensemble }
func (s source) SessionDeadlines() ([]admin.Deadline, bool) {
	if s.learns {
		return nil, false
	}
	return []admin.Deadline{{At: time.Date(2024, 6, 15, 10, 0, 12, 0, time.UTC), Sessions: []znode.SessionID{0x100001f2c4b0001}}}, true
}
func (s source) Leases() []admin.Lease {
	return []admin.Lease{{Session: 0x100001f2c4b0001, Timeout: 10 * time.Second}, {Session: 0x200001f2c4b0000, Timeout: 4 * time.Second}}
}
func (s source) Ephemerals() []admin.Owned {
	return []admin.Owned{{Session: 0x100001f2c4b0001, Paths: []string{"/locks/a-0000000003"}}}
}
func (s source) IdleDeadlines() []admin.IdleConnection {
	return []admin.IdleConnection{{At: time.Date(2024, 6, 15, 10, 0, 10, 0, time.UTC), Addr: "10.1.2.9:50210"}}
}
func (s source) Watches() []admin.Watched {
	return []admin.Watched{{Session: 1, Paths: []string{"/app/cfg", "/app/flag"}}, {Session: 2, Paths: []string{"/app/cfg"}}}
}
func (s source) WatchCounts() (conns, paths, watches int) { return 2, 2, 3 }
func (s source) Digests() []admin.Digest {
	return []admin.Digest{{Zxid: 0x100000080, Digest: 1<<63 + 7}}
}
func (s source) ResetConnections() { s.conns++ }
func (s source) ResetServer()      { s.server++ }
func (s source) TraceMask(set *int64) int64 {
	if set != nil {
		s.mask = *set
	}
	return s.mask
}

func serving() *still {
	return &still{mask: 306, Summary: admin.Summary{
		Version: "3.9.4-x, built on 11/21/2026 00:00 UTC", Serving: true, Mode: "standalone", Latency: admin.Latency{Avg: 5.0 / 12, Max: 9},
		Received: 31, Sent: 30, Connections: 2, Zxid: 0x10000002a, Nodes: 8, DataDirSize: 67108880, LogDirSize: 456, LastReply: -1,
	}}
}

func TestTexts(t *testing.T) {
	s := serving()
	w := admin.NewWords(source{s}, []string{"*"})
	for word, want := range map[string]string{
		"ruok": "imok",
		"isro": "rw",
		"gtmk": "306",
		"crst": "Connection stats reset.\n",
		"srst": "Server stats reset.\n",
		"dirs": "datadir_size: 67108880\nlogdir_size: 456\n",
		"conf": "clientPort=2181\nserverId=1\n",
		"hash": "100000080: 9223372036854775815\n",
		"wchs": "2 connections watching 2 paths\nTotal watches:3\n",
		"wchc": "0x1\n\t/app/cfg\n\t/app/flag\n0x2\n\t/app/cfg\n\n",
		"wchp": "/app/cfg\n\t0x1\n\t0x2\n/app/flag\n\t0x1\n\n",
		"srvr": "Zookeeper version: 3.9.4-x, built on 11/21/2026 00:00 UTC\nLatency min/avg/max: 0/0.4167/9\nReceived: 31\nSent: 30\n" +
			"Connections: 2\nOutstanding: 0\nZxid: 0x10000002a\nMode: standalone\nNode count: 8\n",
		"stat": "Zookeeper version: 3.9.4-x, built on 11/21/2026 00:00 UTC\nClients:\n /10.1.2.3:41234[1](queued=0,recved=12,sent=12)\n" +
			" /10.1.2.9:50210[0](queued=0,recved=1,sent=0)\n\nLatency min/avg/max: 0/0.4167/9\nReceived: 31\nSent: 30\n" +
			"Connections: 2\nOutstanding: 0\nZxid: 0x10000002a\nMode: standalone\nNode count: 8\n",
		"cons": " /10.1.2.3:41234[1](queued=0,recved=12,sent=12,sid=0x100001f2c4b0001,lop=GETD,est=1718000000123,to=10000,lcxid=0xb," +
			"lzxid=0x10000002a,lresp=8812345,llat=0,minlat=0,avglat=1,maxlat=9)\n /10.1.2.9:50210[0](queued=0,recved=1,sent=0)\n\n",
		"dump": "SessionTracker dump:\nSession Sets (1)/(1):\n1 expire at Sat Jun 15 10:00:12 UTC 2024:\n\t0x100001f2c4b0001\n" +
			"ephemeral nodes dump:\nSessions with Ephemerals (1):\n0x100001f2c4b0001:\n\t/locks/a-0000000003\n" +
			"Connections dump:\nConnections Sets (1)/(1):\n1 expire at Sat Jun 15 10:00:10 UTC 2024:\n\tip: /10.1.2.9:50210 sessionId: 0x0\n",
	} {
		require.True(t, admin.Known(word), word)
		require.Equal(t, want, w.Answer(word, 0), word)
	}
	require.Equal(t, []int{1, 1}, []int{s.conns, s.server}, "the resets reset")
	require.Equal(t, "5", w.Answer("stmk", 5))
	require.Equal(t, "5", w.Answer("gtmk", 0))
}

// What go-zookeeper's FLWSrvr and kazoo's server_version look for.
func TestTextsAsParsedElsewhere(t *testing.T) {
	w := admin.NewWords(source{serving()}, []string{"*"})
	require.Regexp(t, regexp.MustCompile(`^Zookeeper version: ([A-Za-z0-9\.\-]+), built on (\d\d/\d\d/\d\d\d\d \d\d:\d\d [A-Za-z0-9:\+\-]+)`), w.Answer("srvr", 0))
	require.Regexp(t, `(?m)^zookeeper\.version=\d+\.\d+\.\d+`, w.Answer("envi", 0))
	for _, line := range strings.Split(strings.TrimSpace(w.Answer("mntr", 0)), "\n") {
		require.Regexp(t, `^zk_[a-z0-9_]+\t\S`, line)
	}
	require.Contains(t, w.Answer("mntr", 0), "\nzk_znode_count\t8\n")
}

func TestWhitelist(t *testing.T) {
	w := admin.NewWords(source{serving()}, nil)
	require.Equal(t, "ruok is not executed because it is not in the whitelist.\n", w.Answer("ruok", 0))
	require.Contains(t, w.Answer("srvr", 0), "Mode: standalone")
	w = admin.NewWords(source{serving()}, []string{" ruok", "stat "})
	require.Equal(t, "imok", w.Answer("ruok", 0))
	require.Contains(t, w.Answer("mntr", 0), "not in the whitelist")

	require.True(t, admin.Known("\xff\xf4\xff\xfd"), "telnet's interrupt")
	require.Empty(t, admin.NewWords(source{serving()}, []string{"*"}).Answer("\xff\xf4\xff\xfd", 0))
	require.False(t, admin.Known("kill"))
}

func TestNotServing(t *testing.T) {
	s := serving()
	s.Summary.Serving = false
	w := admin.NewWords(source{s}, []string{"*"})
	const no = "This ZooKeeper instance is not currently serving requests"
	require.Equal(t, no+"\n", w.Answer("srvr", 0))
	require.Equal(t, no, w.Answer("hash", 0))
	require.Equal(t, "imok", w.Answer("ruok", 0))
	require.Equal(t, "null", w.Answer("isro", 0))
	require.Contains(t, w.Answer("envi", 0), "zookeeper.version=")
}
