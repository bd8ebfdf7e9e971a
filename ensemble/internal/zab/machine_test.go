package zab

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func of(voters ...packet.ServerID) *quorum.Config {
	c := &quorum.Config{}
	for _, id := range voters {
		c.Members = append(c.Members, quorum.Member{ID: id})
	}
	return c
}

// reigning is an established leader 1 with followers that are up to date, on links of their own numbers.
func reigning(t testing.TB, history *History, followers ...packet.ServerID) *Leader {
	var out []Effect
	l := NewLeader(LeaderConfig{Self: 1, Quorum: of(append(followers, 1)...), Tick: 1000, InitLimit: 10, SyncLimit: 5, History: history}, 0, &out)
	info := func(id packet.ServerID) *packet.Packet {
		i := packet.LearnerInfo{ServerID: id, Protocol: packet.Protocol, Ours: true}
		return &packet.Packet{Type: packet.TypeFollowerInfo, Data: i.AppendJute(nil)}
	}
	for _, id := range followers {
		l.Accept(packet.LinkID(id), 0, &out)
		l.Receive(packet.LinkID(id), info(id), 0, &out)
	}
	l.Saved(AcceptedEpoch, 1, 0, &out)
	for _, id := range followers {
		l.Receive(packet.LinkID(id), &packet.Packet{Type: packet.TypeAckEpoch, Data: make([]byte, 4)}, 0, &out)
	}
	l.Saved(CurrentEpoch, 1, 0, &out)
	for _, id := range followers {
		l.Receive(packet.LinkID(id), &packet.Packet{Type: packet.TypeAck, Zxid: z(1, 0)}, 0, &out)
	}
	require.True(t, l.Established())
	return l
}

// following is a learner that is up to date under leader 1 in epoch 1.
func following(t testing.TB, history *History) *Learner {
	var out []Effect
	l := NewLearner(LearnerConfig{Self: 2, Leader: 1, Tick: 1000, InitLimit: 10, SyncLimit: 5, History: history}, 0, &out)
	l.Connected(0, &out)
	info := packet.LeaderInfo{Protocol: packet.Protocol, Ours: true}
	l.Receive(&packet.Packet{Type: packet.TypeLeaderInfo, Zxid: z(1, 0), Data: info.AppendJute(nil)}, 0, &out)
	l.Saved(AcceptedEpoch, 1, 0, &out)
	l.Receive(&packet.Packet{Type: packet.TypeDiff}, 0, &out)
	l.Receive(&packet.Packet{Type: packet.TypeNewLeader, Zxid: z(1, 0)}, 0, &out)
	l.Saved(CurrentEpoch, 1, 0, &out)
	l.Receive(&packet.Packet{Type: packet.TypeUpToDate, Zxid: -1}, 0, &out)
	require.True(t, l.Established())
	return l
}

func TestErrorsSayWhoAndWhat(t *testing.T) {
	var out []Effect
	l := following(t, nil)
	l.Receive(&packet.Packet{Type: packet.TypeProposal, Zxid: z(1, 2)}, 0, &out)
	require.Len(t, out, 1)
	require.Equal(t, Abandon, out[0].Kind)
	require.ErrorIs(t, out[0].Err, ErrGap)
	var e *Error
	require.ErrorAs(t, out[0].Err, &e)
	require.Equal(t, packet.ServerID(1), e.Server)
	require.Equal(t, z(1, 2), e.Zxid)
	require.EqualError(t, e, "zab: server 1, zxid 0x100000002: transaction out of order: after 0x0")
}

// Strangers that connect and keep silent make room for members.
func TestCrowd(t *testing.T) {
	var out []Effect
	l := NewLeader(LeaderConfig{Self: 1, Quorum: of(1, 2, 3), Tick: 1000, InitLimit: 10, SyncLimit: 5, MaxLearners: 3}, 0, &out)
	for link := range packet.LinkID(10) {
		l.Accept(link, 0, &out)
	}
	require.Len(t, out, 7)
	for i, e := range out {
		require.Equal(t, Close, e.Kind)
		require.Equal(t, packet.LinkID(i), e.Link)
		require.ErrorIs(t, e.Err, ErrCrowded)
	}
}

func TestHeldPacketsAreBounded(t *testing.T) {
	var out []Effect
	l := NewLearner(LearnerConfig{Self: 2, Leader: 1, AcceptedEpoch: 1, Tick: 1000, InitLimit: 10, SyncLimit: 5, MaxHeld: 1000}, 0, &out)
	l.Connected(0, &out)
	info := packet.LeaderInfo{Protocol: packet.Protocol}
	l.Receive(&packet.Packet{Type: packet.TypeLeaderInfo, Zxid: z(1, 0), Data: info.AppendJute(nil)}, 0, &out)
	l.Receive(&packet.Packet{Type: packet.TypeSnap, Zxid: z(0, 5)}, 0, &out)
	out = nil
	for range 11 {
		l.Receive(&packet.Packet{Type: packet.TypeProposal, Data: make([]byte, 50)}, 0, &out)
	}
	require.Len(t, out, 1)
	require.ErrorIs(t, out[0].Err, ErrOverflow)
}

func TestPendingProposalsAreBounded(t *testing.T) {
	var out []Effect
	l := following(t, nil)
	for i := range uint32(maxPending + 1) {
		out = out[:0]
		l.Receive(&packet.Packet{Type: packet.TypeProposal, Zxid: z(1, i+1)}, 0, &out)
	}
	require.ErrorIs(t, out[0].Err, ErrOverflow)
}

// A link that does not answer gets no more than maxPings, and goes on when it does.
func TestPingsAreBounded(t *testing.T) {
	l := reigning(t, nil, 2, 3)
	var out []Effect
	sent := 0
	l.Receive(3, &packet.Packet{Type: packet.TypePing, Data: []byte{}}, 0, &out)
	for range 3 * maxPings {
		out = out[:0]
		l.Barrier(0, &out)
		l.Receive(3, &packet.Packet{Type: packet.TypePing, Data: []byte{}}, 0, &out)
		for _, e := range out {
			if e.Kind == Send && e.Link == 2 {
				sent++
			}
		}
	}
	require.Equal(t, maxPings-1, sent, "one was sent when leadership was established")
	out = out[:0]
	l.Receive(2, &packet.Packet{Type: packet.TypePing, Data: []byte{}}, 0, &out)
	l.Barrier(0, &out)
	require.Contains(t, fmt.Sprint(describeAll(out)), "send to 2 PING")
}

func describeAll(out []Effect) (all []string) {
	for i := range out {
		all = append(all, describe(&out[i], false))
	}
	return all
}

func TestLearners(t *testing.T) {
	l := reigning(t, nil, 2, 3)
	var out []Effect
	l.Accept(9, 0, &out)
	require.NoError(t, l.Propose(Record{Zxid: z(1, 1)}, 0, &out))
	l.Receive(3, &packet.Packet{Type: packet.TypeAck, Zxid: z(1, 1)}, 7, &out)
	require.Equal(t, []LearnerStatus{
		{Link: 2, Server: 2, Voter: true, Ours: true, Synced: true},
		{Link: 3, Server: 3, Voter: true, Ours: true, Synced: true, Acked: z(1, 1), Heard: 7},
	}, l.Learners(nil))
}

// Weights and groups decide here as everywhere.
func TestWeightedQuorum(t *testing.T) {
	c := of(1, 2, 3)
	c.Groups = map[packet.ServerID]int64{1: 1, 2: 1, 3: 1}
	c.Weights = map[packet.ServerID]int64{1: 3, 2: 1, 3: 1}
	var out []Effect
	l := NewLeader(LeaderConfig{Self: 1, Quorum: c, Tick: 1000, InitLimit: 10, SyncLimit: 5}, 0, &out)
	l.Saved(AcceptedEpoch, 1, 0, &out)
	l.Saved(CurrentEpoch, 1, 0, &out)
	require.True(t, l.Established(), "1 outweighs the others")
}

func TestEffectsDescribeThemselves(t *testing.T) {
	for want, e := range map[string]Effect{
		"send 3 " + (&packet.Packet{Type: packet.TypeUpToDate, Zxid: -1}).String(): {Kind: Send, Link: 3, Packet: packet.Packet{Type: packet.TypeUpToDate, Zxid: -1}},
		"close 3: too many learners": {Kind: Close, Link: 3, Err: ErrCrowded},
		"save current epoch 4":       {Kind: SaveCurrentEpoch, Epoch: 4},
		"take snapshot 3":            {Kind: TakeSnapshot, Link: 3},
		"confirmed 8":                {Kind: Confirmed, Round: 8},
		"append 0x100000002":         {Kind: Append, Record: Record{Zxid: z(1, 2)}},
		"truncate 0x100000002":       {Kind: Truncate, Zxid: z(1, 2)},
		"unknown effect 0x0":         {},
	} {
		require.Equal(t, want, e.String())
	}
	require.Equal(t, "acceptedEpoch currentEpoch", fmt.Sprint(AcceptedEpoch, " ", CurrentEpoch))
}

// Of a truncation to something that lies in a gap between epochs nothing is left in memory.
func TestTruncationToWhatHistoryDoesNotHave(t *testing.T) {
	h := NewHistory(0, 10, 1000)
	for _, zxid := range []znode.Zxid{z(1, 1), z(1, 2), z(2, 1)} {
		require.NoError(t, h.Add(Record{Zxid: zxid}))
	}
	var out []Effect
	l := NewLearner(LearnerConfig{Self: 2, Leader: 1, AcceptedEpoch: 3, Last: z(2, 1), History: h, Tick: 1000, InitLimit: 10, SyncLimit: 5}, 0, &out)
	l.Connected(0, &out)
	info := packet.LeaderInfo{Protocol: packet.Protocol}
	l.Receive(&packet.Packet{Type: packet.TypeLeaderInfo, Zxid: z(3, 0), Data: info.AppendJute(nil)}, 0, &out)
	l.Receive(&packet.Packet{Type: packet.TypeTrunc, Zxid: z(1, 7)}, 0, &out)
	l.Truncated(z(1, 7), true, 0, &out)
	require.Equal(t, []any{z(1, 7), 0}, []any{h.Last(), h.Len()})
	l.Receive(&packet.Packet{Type: packet.TypeProposal, Zxid: z(1, 8)}, 0, &out)
	require.Equal(t, z(1, 8), h.Last())
}
