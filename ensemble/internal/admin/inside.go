package admin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// javaDate is how Java prints a moment.
func javaDate(t time.Time) string { return t.Format("Mon Jan 02 15:04:05 MST 2006") }

func dump(s Source) string {
	var b strings.Builder
	deadlines := s.SessionDeadlines()
	sessions := 0
	for _, d := range deadlines {
		sessions += len(d.Sessions)
	}
	fmt.Fprintf(&b, "SessionTracker dump:\nSession Sets (%d)/(%d):\n", len(deadlines), sessions)
	for _, d := range deadlines {
		fmt.Fprintf(&b, "%d expire at %s:\n", len(d.Sessions), javaDate(d.At))
		for _, id := range d.Sessions {
			fmt.Fprintf(&b, "\t%v\n", id)
		}
	}
	owned := s.Ephemerals()
	fmt.Fprintf(&b, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(owned))
	for _, o := range owned {
		fmt.Fprintf(&b, "%v:\n", o.Session)
		for _, p := range o.Paths {
			b.WriteString("\t" + p + "\n")
		}
	}
	dumpConnections(&b, s.IdleDeadlines())
	return b.String()
}

func dumpConnections(b *strings.Builder, conns []IdleConnection) {
	byTime := make(map[int64][]IdleConnection)
	for _, c := range conns {
		byTime[c.At.UnixMilli()] = append(byTime[c.At.UnixMilli()], c)
	}
	fmt.Fprintf(b, "Connections dump:\nConnections Sets (%d)/(%d):\n", len(byTime), len(conns))
	for _, at := range slices.Sorted(maps.Keys(byTime)) {
		set := byTime[at]
		fmt.Fprintf(b, "%d expire at %s:\n", len(set), javaDate(set[0].At))
		for _, c := range set {
			fmt.Fprintf(b, "\tip: /%s sessionId: %v\n", c.Addr, c.Session)
		}
	}
}

func watchSummary(s Source) string {
	conns, paths, watches := s.WatchCounts()
	return fmt.Sprintf("%d connections watching %d paths\nTotal watches:%d\n", conns, paths, watches)
}

func watchesBySession(s Source) string {
	var b strings.Builder
	for _, w := range s.Watches() {
		fmt.Fprintf(&b, "%v\n", w.Session)
		for _, p := range w.Paths {
			b.WriteString("\t" + p + "\n")
		}
	}
	b.WriteByte('\n')
	return b.String()
}

func watchesByPath(s Source) string {
	byPath := make(map[string][]string)
	for _, w := range s.Watches() {
		for _, p := range w.Paths {
			byPath[p] = append(byPath[p], w.Session.String())
		}
	}
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(byPath)) {
		b.WriteString(p + "\n")
		for _, id := range byPath[p] {
			b.WriteString("\t" + id + "\n")
		}
	}
	b.WriteByte('\n')
	return b.String()
}

func monitor(s Source) string {
	sum := s.Summary()
	var b strings.Builder
	line := func(key, format string, v any) { fmt.Fprintf(&b, "zk_%s\t"+format+"\n", key, v) }
	line("version", "%s", sum.Version)
	line("server_state", "%s", sum.Mode)
	line("avg_latency", "%s", double(sum.Latency.Avg))
	for _, g := range []struct {
		key string
		v   int64
	}{
		{"min_latency", sum.Latency.Min}, {"max_latency", sum.Latency.Max},
		{"packets_received", sum.Received}, {"packets_sent", sum.Sent},
		{"num_alive_connections", int64(sum.Connections)}, {"outstanding_requests", sum.Outstanding},
		{"uptime", sum.Uptime.Milliseconds()},
		{"znode_count", int64(sum.Nodes)}, {"watch_count", int64(sum.Watches)}, {"ephemerals_count", int64(sum.Ephemerals)},
		{"approximate_data_size", sum.DataSize}, {"global_sessions", int64(sum.Sessions)}, {"local_sessions", 0},
		{"open_file_descriptor_count", sum.OpenFiles}, {"max_file_descriptor_count", sum.MaxFiles},
		{"last_client_response_size", sum.LastReply}, {"min_client_response_size", sum.MinReply}, {"max_client_response_size", sum.MaxReply},
		{"auth_failed_count", sum.AuthFailures}, {"connection_rejected", sum.Rejected}, {"connection_request_count", sum.Handshakes},
	} {
		line(g.key, "%d", g.v)
	}
	for _, t := range []struct {
		key string
		t   Timing
	}{{"fsynctime", sum.Fsync}, {"snapshottime", sum.Snapshot}} {
		avg := 0.0
		if t.t.Count > 0 {
			avg = float64(t.t.Sum) / float64(t.t.Count)
		}
		line("avg_"+t.key, "%s", double(avg))
		line("min_"+t.key, "%d", t.t.Min)
		line("max_"+t.key, "%d", t.t.Max)
		line("cnt_"+t.key, "%d", t.t.Count)
		line("sum_"+t.key, "%d", t.t.Sum)
	}
	return b.String()
}
