package zab

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
)

// BenchmarkLeaderPropose takes a transaction of a leader with four followers from proposal to commit: proposed to all, durable here, acknowledged
// by two, committed to all. One in 4 billion would need a new epoch.
func BenchmarkLeaderPropose(b *testing.B) {
	l := reigning(b, NewHistory(0, 1000, 1<<20), 2, 3, 4, 5)
	payload := make([]byte, 150)
	out := make([]Effect, 0, 64)
	ack := packet.Packet{Type: packet.TypeAck}
	b.ReportAllocs()
	for b.Loop() {
		out = out[:0]
		r := Record{Zxid: l.Next(), Payload: payload}
		if err := l.Propose(r, 0, &out); err != nil {
			b.Fatal(err)
		}
		l.Synced(r.Zxid, 0, &out)
		ack.Zxid = r.Zxid
		l.Receive(2, &ack, 0, &out)
		l.Receive(3, &ack, 0, &out)
		l.Applied(r.Zxid)
	}
	require.Equal(b, l.Last(), l.Committed())
}

// BenchmarkLearnerReceive takes a transaction of a follower from PROPOSAL over the log to COMMIT.
func BenchmarkLearnerReceive(b *testing.B) {
	l := following(b, NewHistory(0, 1000, 1<<20))
	proposal := packet.Packet{Type: packet.TypeProposal, Data: make([]byte, 150)}
	commit := packet.Packet{Type: packet.TypeCommit}
	out := make([]Effect, 0, 64)
	b.ReportAllocs()
	for zxid := z(1, 1); b.Loop(); zxid++ {
		out = out[:0]
		proposal.Zxid, commit.Zxid = zxid, zxid
		l.Receive(&proposal, 0, &out)
		l.Synced(zxid, 0, &out)
		l.Receive(&commit, 0, &out)
	}
	require.Equal(b, l.Last(), l.Committed())
}
