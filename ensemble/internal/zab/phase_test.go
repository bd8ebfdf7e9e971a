package zab

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
)

func TestPhasesOfALeader(t *testing.T) {
	var out []Effect
	l := NewLeader(LeaderConfig{Self: 1, Quorum: of(1), Tick: 1000, InitLimit: 10, SyncLimit: 5}, 0, &out)
	require.Equal(t, Discovery, l.Phase())
	l.Saved(AcceptedEpoch, 1, 0, &out)
	require.Equal(t, Synchronization, l.Phase())
	l.Saved(CurrentEpoch, 1, 0, &out)
	require.Equal(t, Broadcast, l.Phase())
	require.Equal(t, "broadcast", l.Phase().String())

	l = reigning(t, nil, 2)
	l.Drop(2, 0, &out)
	l.Tick(1_000_000, &out)
	require.Equal(t, Abdicate, out[len(out)-1].Kind)
	require.Equal(t, Election, l.Phase())
}

func TestPhasesOfALearner(t *testing.T) {
	var out []Effect
	l := NewLearner(LearnerConfig{Self: 2, Leader: 1, Tick: 1000, InitLimit: 10, SyncLimit: 5}, 0, &out)
	require.Equal(t, Discovery, l.Phase())
	l.Connected(0, &out)
	info := packet.LeaderInfo{Protocol: packet.Protocol}
	l.Receive(&packet.Packet{Type: packet.TypeLeaderInfo, Zxid: z(1, 0), Data: info.AppendJute(nil)}, 0, &out)
	require.Equal(t, Discovery, l.Phase(), "the promise is not on disk")
	l.Saved(AcceptedEpoch, 1, 0, &out)
	require.Equal(t, Synchronization, l.Phase())
	l.Receive(&packet.Packet{Type: packet.TypeDiff}, 0, &out)
	l.Receive(&packet.Packet{Type: packet.TypeNewLeader, Zxid: z(1, 0)}, 0, &out)
	l.Saved(CurrentEpoch, 1, 0, &out)
	require.Equal(t, Synchronization, l.Phase(), "the leader has not said that it serves")
	l.Receive(&packet.Packet{Type: packet.TypeUpToDate, Zxid: -1}, 0, &out)
	require.Equal(t, Broadcast, l.Phase())

	l.Tick(1_000_000, &out)
	require.Equal(t, Abandon, out[len(out)-1].Kind)
	require.Equal(t, Election, l.Phase())
}
