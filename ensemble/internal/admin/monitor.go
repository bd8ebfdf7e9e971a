package admin

import (
	"fmt"
	"strings"
)

// A gauge is a line of mntr that is a whole number.
type gauge struct {
	key string
	v   int64
}

func line(b *strings.Builder, key, format string, v any) {
	fmt.Fprintf(b, "zk_%s\t"+format+"\n", key, v)
}

// timing is the five lines in which mntr says how long something took.
func timing(b *strings.Builder, key string, t Timing) {
	avg := 0.0
	if t.Count > 0 {
		avg = float64(t.Sum) / float64(t.Count)
	}
	line(b, "avg_"+key, "%s", double(avg))
	line(b, "min_"+key, "%d", t.Min)
	line(b, "max_"+key, "%d", t.Max)
	line(b, "cnt_"+key, "%d", t.Count)
	line(b, "sum_"+key, "%d", t.Sum)
}

// monitor is mntr: names and meanings are Apache's; what this server does not measure is not in it.
func monitor(s Source) string {
	sum := s.Summary()
	var b strings.Builder
	line(&b, "version", "%s", sum.Version)
	line(&b, "server_state", "%s", sum.Mode)
	line(&b, "avg_latency", "%s", double(sum.Latency.Avg))
	for _, g := range []gauge{
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
		line(&b, g.key, "%d", g.v)
	}
	monitorEnsemble(&b, s.Ensemble())
	timing(&b, "fsynctime", sum.Fsync)
	timing(&b, "snapshottime", sum.Snapshot)
	return b.String()
}
