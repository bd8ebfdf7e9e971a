package election_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/election"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Five empty servers start one after the other: two are not enough, the third leads though it is alone with its vote at
// first, and later ones follow it though they would have been better.
func TestStartOfFive(t *testing.T) {
	n := newNetwork(t, servers(5, 0), 1)
	n.join(1, election.Candidate{})
	n.run(10)
	n.join(2, election.Candidate{})
	n.run(1000)
	n.mustLook(t, 1, 2)
	n.join(3, election.Candidate{})
	n.run(1005)
	n.mustFollow(t, 3, 1, 2, 3)
	n.join(4, election.Candidate{})
	n.run(1010)
	n.join(5, election.Candidate{})
	n.run(1015)
	n.mustFollow(t, 3, 1, 2, 3, 4, 5)
}

// Where all links are up nobody waits: a vote to everybody, a better one back, and it is done.
func TestUnanimousVotersDoNotWait(t *testing.T) {
	n := newNetwork(t, servers(3, 0), 1)
	for _, i := range n.ids {
		n.start(i, election.Candidate{Zxid: znode.Zxid(10 - i)})
	}
	n.linkAll()
	for _, i := range n.ids {
		n.look(i)
	}
	n.run(100)
	n.mustFollow(t, 1, 1, 2, 3)
	for _, i := range n.ids {
		require.LessOrEqual(t, n.nodes[i].decidedAt, int64(2), "two messages of 1 ms each")
	}
}

// A voter that can be reached but does not vote holds the others up, for as long as Apache's servers always wait.
func TestSilentVoter(t *testing.T) {
	n := newNetwork(t, servers(3, 0), 1)
	for _, i := range n.ids {
		n.start(i, election.Candidate{})
	}
	n.linkAll()
	n.run(1000)
	n.look(1)
	n.look(2)
	n.run(1200)
	n.mustLook(t, 1, 2)
	n.run(1203)
	n.mustFollow(t, 2, 1, 2)
	require.Equal(t, int64(1202), n.nodes[2].decidedAt, "it heard server 1 agree at 1002, and waited")

	n.unlink(2, 3)
	n.unlink(1, 3)
	n.look(1)
	n.look(2)
	n.run(1206)
	n.mustFollow(t, 2, 1, 2)
	require.LessOrEqual(t, n.nodes[1].decidedAt, int64(1205), "nobody waits for one that is known to be gone")
}

// In the first moments of a server's life a voter without link may just not have been dialled yet.
func TestColdStartWaitsForLinks(t *testing.T) {
	n := newNetwork(t, servers(3, 0), 1)
	n.join(1, election.Candidate{})
	n.join(2, election.Candidate{})
	n.run(199)
	n.mustLook(t, 1, 2)
	n.run(203)
	n.mustFollow(t, 2, 1, 2)

	n = newNetwork(t, servers(3, 0), 1)
	n.join(1, election.Candidate{})
	n.join(2, election.Candidate{})
	n.run(50)
	n.join(3, election.Candidate{})
	n.run(53)
	n.mustFollow(t, 3, 1, 2, 3)
}

func TestSingleVoterDecidesAlone(t *testing.T) {
	n := newNetwork(t, servers(1, 1), 1)
	n.join(1, election.Candidate{})
	n.mustFollow(t, 1, 1)
	n.join(2, election.Candidate{})
	n.run(5)
	n.mustFollow(t, 1, 1, 2)
}

// The longest history leads: epoch before zxid before id.
func TestLongestHistoryLeads(t *testing.T) {
	for _, c := range []struct {
		one, two, three election.Candidate
		want            id
	}{
		{election.Candidate{Epoch: 3, Zxid: 1}, election.Candidate{Epoch: 2, Zxid: 9}, election.Candidate{Epoch: 2, Zxid: 9}, 1},
		{election.Candidate{Epoch: 2, Zxid: 8}, election.Candidate{Epoch: 2, Zxid: 9}, election.Candidate{Epoch: 2, Zxid: 1}, 2},
		{election.Candidate{Epoch: 2, Zxid: 9}, election.Candidate{Epoch: 2, Zxid: 9}, election.Candidate{Epoch: 2, Zxid: 9}, 3},
	} {
		n := newNetwork(t, servers(3, 0), 1)
		for i, candidate := range map[id]election.Candidate{1: c.one, 2: c.two, 3: c.three} {
			n.start(i, candidate)
		}
		n.linkAll()
		for _, i := range n.ids {
			n.look(i)
		}
		n.run(10)
		n.mustFollow(t, c.want, 1, 2, 3)
		require.Equal(t, election.Vote{Leader: c.want, Zxid: n.nodes[c.want].candidate.Zxid, Round: 1, Epoch: n.nodes[c.want].candidate.Epoch}, n.nodes[1].vote)
	}
}

// running is an ensemble that has a leader, the highest id, with an epoch of its own.
func runningEnsemble(t testing.TB, text string) *network {
	n := newNetwork(t, text, 1)
	for _, i := range n.ids {
		n.start(i, election.Candidate{})
	}
	n.linkAll()
	for _, i := range n.ids {
		n.look(i)
	}
	n.run(1000)
	leader := n.nodes[n.nodes[1].vote.Leader]
	n.mustFollow(t, leader.id, n.ids...)
	n.settleEpoch(leader, 1)
	return n
}

func TestLeaderLost(t *testing.T) {
	n := runningEnsemble(t, servers(5, 0))
	n.crash(5)
	for i := range id(4) {
		n.run(1000 + 3*int64(i))
		n.look(i + 1) // they notice one after the other
	}
	n.run(1020)
	n.mustFollow(t, 4, 1, 2, 3, 4)
	require.LessOrEqual(t, n.nodes[1].decidedAt, int64(1011), "nobody waits for the dead")
	require.Equal(t, int64(2), n.nodes[1].vote.Round)

	n.join(5, election.Candidate{Epoch: 1, Zxid: 77})
	n.run(1025)
	n.mustFollow(t, 4, 5)
	require.Equal(t, int64(2), n.nodes[5].vote.Round, "the late one takes the round over")
}

// Followers of a leader that is gone are not enough to follow it.
func TestGoneLeaderIsNotFollowed(t *testing.T) {
	n := runningEnsemble(t, servers(3, 0))
	n.crash(3)
	n.look(1)
	n.run(1002)
	n.mustLook(t, 1)
	n.join(3, election.Candidate{}) // restarted, in the round its followers remember
	n.run(1100)
	n.mustLook(t, 1, 3)
	n.run(1300)
	n.mustFollow(t, 1, 1, 3)
}

// A late server sees a quorum only when all answers tell one epoch, and asks until they do.
func TestEpochsOfAnswers(t *testing.T) {
	n := runningEnsemble(t, servers(3, 0))
	n.crash(1)
	n.nodes[2].e.Settle(packet.Following, election.Vote{Leader: 3, Round: 1}) // it has not heard of the epoch
	n.join(1, election.Candidate{})
	n.run(3000)
	n.mustLook(t, 1)
	n.nodes[2].e.Settle(packet.Following, election.Vote{Leader: 3, Round: 8, Zxid: 9, Epoch: 1})
	n.run(4010)
	n.mustFollow(t, 3, 1)
}

// Answers of servers before 3.5 have no epoch that could be compared.
func TestOldAnswers(t *testing.T) {
	n := newNetwork(t, servers(3, 0), 1)
	n.start(1, election.Candidate{})
	n.look(1)
	var out []election.Message
	n.nodes[1].e.Receive(3, &packet.Notification{State: packet.Leading, Leader: 3, Round: 9, PeerEpoch: 5, Version: 2}, 1, &out)
	n.nodes[1].e.Receive(2, &packet.Notification{State: packet.Following, Leader: 3, Round: 9, PeerEpoch: 4}, 1, &out)
	v, ok := n.nodes[1].e.Decision()
	require.True(t, ok)
	require.Equal(t, id(3), v.Leader)
}

func TestObserver(t *testing.T) {
	n := newNetwork(t, servers(3, 2), 1)
	n.join(4, election.Candidate{Zxid: 99, Epoch: 99})
	n.join(1, election.Candidate{})
	n.run(2000)
	n.mustLook(t, 1, 4)
	n.join(2, election.Candidate{})
	n.run(2205)
	n.mustFollow(t, 2, 1, 2, 4)
	require.LessOrEqual(t, n.nodes[4].decidedAt, n.nodes[2].decidedAt+1, "who has asked is told")

	n.settleEpoch(n.nodes[2], 1)
	n.join(5, election.Candidate{Zxid: 99, Epoch: 99})
	n.run(2210)
	n.mustFollow(t, 2, 5)
	require.False(t, n.nodes[2].e.History(), "no voter has shown one")
	require.True(t, n.nodes[5].e.History())
}

// Servers that have looked before, some often, meet in the highest round.
func TestRoundsRace(t *testing.T) {
	n := newNetwork(t, servers(5, 0), 1)
	for _, i := range n.ids {
		n.start(i, election.Candidate{Zxid: znode.Zxid(i % 3)})
		for range i * 3 % 7 {
			n.look(i)
		}
	}
	n.linkAll()
	for _, i := range n.ids {
		n.look(i)
	}
	n.run(10)
	n.mustFollow(t, 5, n.ids...)
	for _, i := range n.ids {
		require.Equal(t, int64(7), n.nodes[i].vote.Round)
	}
}

// A server that must not vote is neither elected nor counted nor waited for, and yet finds the leader.
func TestAbstain(t *testing.T) {
	n := newNetwork(t, servers(3, 0), 1)
	n.start(1, election.Candidate{})
	n.start(2, election.Candidate{})
	n.start(3, election.Candidate{Zxid: 99, Epoch: 99, Abstain: true})
	n.linkAll()
	for _, i := range n.ids {
		n.look(i)
	}
	n.run(10)
	n.mustFollow(t, 2, 1, 2, 3)
	require.LessOrEqual(t, n.nodes[1].decidedAt, int64(2))
	require.True(t, n.nodes[1].e.History(), "the one that abstains has seen one")

	n = newNetwork(t, servers(3, 0), 1)
	n.join(1, election.Candidate{})
	n.join(2, election.Candidate{Abstain: true})
	n.join(3, election.Candidate{Abstain: true})
	n.run(60_000)
	n.mustLook(t, 1, 2, 3)
}

// Followers that still name it do not make a leader of a server that has lost what it had.
func TestAbstainingServerDoesNotLead(t *testing.T) {
	n := runningEnsemble(t, servers(3, 0))
	n.crash(3)
	n.join(3, election.Candidate{Abstain: true})
	n.run(5000)
	n.mustLook(t, 3)
	n.look(1)
	n.look(2)
	n.run(7000)
	n.mustFollow(t, 2, 1, 2, 3)
}

func TestWeightlessServerDoesNotLead(t *testing.T) {
	n := newNetwork(t, servers(3, 0)+"group.1=1:2:3\nweight.3=0", 1)
	for _, i := range n.ids {
		n.start(i, election.Candidate{Zxid: znode.Zxid(i)})
	}
	n.linkAll()
	for _, i := range n.ids {
		n.look(i)
	}
	n.run(10)
	n.mustFollow(t, 2, 1, 2, 3)
}

// A vote that nobody answers is sent again, ever more seldom; who can only ask goes on asking.
func TestResend(t *testing.T) {
	for _, c := range []struct {
		self      id
		candidate election.Candidate
		want      []int64
	}{
		{1, election.Candidate{}, []int64{0, 200, 600, 1400, 3000, 6200, 11200}},
		{1, election.Candidate{Abstain: true}, []int64{0, 200, 600, 1400, 2400, 3400, 4400}},
		{4, election.Candidate{}, []int64{0, 200, 600, 1400, 2400, 3400, 4400}},
	} {
		config, err := quorum.Parse(servers(3, 1))
		require.NoError(t, err)
		e := election.New(election.Config{Self: c.self, Quorum: config, MaxInterval: 5000})
		require.Equal(t, int64(math.MaxInt64), e.Next())
		var out []election.Message
		e.Look(c.candidate, 0, &out)
		sent := []int64{0}
		for len(sent) < len(c.want) {
			before := len(out)
			at := e.Next()
			e.Tick(at-1, &out)
			require.Len(t, out, before, "nothing before its time")
			e.Tick(at, &out)
			require.Greater(t, len(out), before)
			sent = append(sent, at)
		}
		require.Equal(t, c.want, sent)
	}
}

// A voter that can be reached again hears at once what it has missed.
func TestReachableAgain(t *testing.T) {
	n := newNetwork(t, servers(3, 0), 1)
	n.join(1, election.Candidate{})
	n.run(50_000)
	n.join(2, election.Candidate{})
	n.unlink(1, 2)
	n.run(53_100)
	n.link(1, 2)
	n.run(53_105)
	n.mustFollow(t, 2, 1, 2)
}

func TestAnswers(t *testing.T) {
	n := runningEnsemble(t, servers(3, 1))
	e := n.nodes[1].e
	ask := func(from id, state packet.State) []election.Message {
		var out []election.Message
		e.Receive(from, &packet.Notification{State: state, Leader: from, Round: 1, Version: 2}, 1000, &out)
		return out
	}
	n.look(1)
	n.run(1010)
	kept := packet.Notification{State: packet.Following, Leader: 3, Round: 1, PeerEpoch: 1, Version: 2, Config: n.config.String()}
	require.Equal(t, []election.Message{{To: 2, Notification: kept}}, ask(2, packet.Looking), "the vote as kept, in the round it was elected")
	require.Empty(t, ask(2, packet.Following))
	require.Empty(t, ask(1, packet.Looking), "one does not talk to oneself")
	kept.Round = 2
	require.Equal(t, []election.Message{{To: 4, Notification: kept}}, ask(4, packet.Looking), "outsiders get the own round")
	require.Equal(t, []election.Message{{To: 99, Notification: kept}}, ask(99, packet.Looking), "strangers too, they may be joining")
	require.Empty(t, ask(99, packet.Leading))
	answered := 0
	for range 1000 {
		answered += len(ask(99, packet.Looking))
	}
	require.Less(t, answered, 30, "not without end")
}

func TestSilentBeforeLook(t *testing.T) {
	config, err := quorum.Parse(servers(3, 0))
	require.NoError(t, err)
	e := election.New(election.Config{Self: 1, Quorum: config})
	var out []election.Message
	e.Reachable(2, true, 0, &out)
	e.Receive(2, &packet.Notification{Leader: 2, Round: 1, Zxid: 5, Version: 2}, 0, &out)
	e.Tick(1000, &out)
	require.Empty(t, out)
	require.True(t, e.History())
	_, ok := e.Decision()
	require.False(t, ok)
}
