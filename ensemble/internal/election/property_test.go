package election_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/election"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func drawCandidate(t *rapid.T) election.Candidate {
	return election.Candidate{Zxid: znode.Zxid(rapid.IntRange(0, 3).Draw(t, "zxid")), Epoch: rapid.Int64Range(0, 1).Draw(t, "epoch")}
}

// best is who should lead when all of them vote.
func (n *network) best() id {
	return slices.MaxFunc(n.ids, func(a, b id) int {
		ca, cb := n.nodes[a].candidate, n.nodes[b].candidate
		switch {
		case ca.Epoch != cb.Epoch:
			return int(ca.Epoch - cb.Epoch)
		case ca.Zxid != cb.Zxid:
			return int(ca.Zxid - cb.Zxid)
		}
		return int(a - b)
	})
}

// All voters look within a while that is shorter than Finalize, out of any rounds, and their links are made meanwhile; votes
// overtake each other but none is lost. Then all decide for the best of them.
func TestAllDecideForTheBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNetwork(t, servers(rapid.IntRange(1, 7).Draw(t, "voters"), 0), rapid.Uint64().Draw(t, "seed"))
		slowest := rapid.Int64Range(1, 12).Draw(t, "slowest message")
		spread := rapid.Int64Range(1, 60).Draw(t, "spread")
		n.delay = func() int64 { return 1 + n.rng.Int64N(slowest) }
		for _, i := range n.ids {
			candidate, rounds := drawCandidate(t), rapid.IntRange(1, 4).Draw(t, "rounds")
			n.after(n.rng.Int64N(spread), func() {
				n.start(i, candidate)
				for range rounds {
					n.look(i)
				}
				for _, other := range n.ids {
					n.after(n.rng.Int64N(spread), func() { n.link(i, other) })
				}
			})
		}
		n.after(2*spread, n.linkAll) // those for which the other end was not there yet
		n.run(2000)
		for _, i := range n.ids {
			require.NotEqual(t, packet.Looking, n.nodes[i].state)
			require.Equal(t, n.best(), n.nodes[i].vote.Leader, "server %d", i)
			require.Equal(t, n.nodes[1].vote, n.nodes[i].vote)
		}
	})
}

// havoc is five seconds of lost and doubled messages, of links and servers that go and come back, of servers that abstain; then
// everything is well again.
func havoc(t *rapid.T) *network {
	n := newNetwork(t, servers(rapid.SampledFrom([]int{3, 5}).Draw(t, "voters"), rapid.IntRange(0, 2).Draw(t, "observers")), rapid.Uint64().Draw(t, "seed"))
	slowest := rapid.Int64Range(1, 300).Draw(t, "slowest message")
	n.delay = func() int64 { return 1 + n.rng.Int64N(slowest) }
	n.loss, n.dup = rapid.Float64Range(0, 0.5).Draw(t, "loss"), rapid.Float64Range(0, 0.5).Draw(t, "dup")
	n.after(500, n.office)
	for range rapid.IntRange(5, 80).Draw(t, "troubles") {
		a, b := rapid.SampledFrom(n.ids).Draw(t, "server"), rapid.SampledFrom(n.ids).Draw(t, "other")
		kind := rapid.IntRange(0, 6).Draw(t, "trouble")
		candidate := drawCandidate(t)
		n.after(rapid.Int64Range(0, 5000).Draw(t, "at"), func() { n.trouble(kind, a, b, candidate) })
	}
	n.run(5000)
	n.loss, n.dup = 0, 0
	n.delay = func() int64 { return 1 + n.rng.Int64N(20) }
	for _, i := range n.ids {
		if !n.nodes[i].running {
			n.join(i, election.Candidate{})
		}
	}
	n.linkAll()
	return n
}

func (n *network) trouble(kind int, a, b id, c election.Candidate) {
	switch kind {
	case 0:
		n.unlink(a, b)
	case 1:
		n.crash(a)
	case 2, 3:
		n.link(a, b)
	default:
		if n.nodes[a].running {
			n.linkAll()
			return
		}
		c.Epoch = max(c.Epoch, n.nodes[a].candidate.Epoch)
		n.join(a, c)
	}
}

// Whatever has happened, soon after it is over all have the same leader and keep it.
func TestLiveness(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := havoc(t)
		n.run(15_000)
		leader := n.nodes[1].vote.Leader
		decisions := 0
		for _, i := range n.ids {
			require.NotEqual(t, packet.Looking, n.nodes[i].state, "server %d", i)
			require.Equal(t, leader, n.nodes[i].vote.Leader, "server %d", i)
			decisions += n.nodes[i].decisions
		}
		sent := n.sent
		n.run(75_000)
		for _, i := range n.ids {
			decisions -= n.nodes[i].decisions
		}
		require.Zero(t, decisions, "nobody looks again")
		require.Equal(t, sent, n.sent, "and all are silent")
	})
}

// The same inputs have the same outputs, in the same order.
func TestDeterministic(t *testing.T) {
	run := func(seed uint64) string {
		n := newNetwork(t, servers(5, 1), seed)
		var b strings.Builder
		n.trace = func(s string) { b.WriteString(s + "\n") }
		n.delay = func() int64 { return 1 + n.rng.Int64N(50) }
		n.loss, n.dup = 0.2, 0.2
		n.after(500, n.office)
		for _, i := range n.shuffled() {
			n.after(n.rng.Int64N(300), func() { n.join(i, election.Candidate{Zxid: znode.Zxid(n.rng.Int64N(3))}) })
		}
		n.after(2000, func() { n.crash(5) })
		n.run(5000)
		return b.String()
	}
	first := run(7)
	require.Greater(t, strings.Count(first, "decides"), 5)
	require.Equal(t, first, run(7))
	require.NotEqual(t, first, run(8))
}

func drawNotification(t *rapid.T) packet.Notification {
	number := rapid.OneOf(rapid.Int64Range(-2, 6), rapid.SampledFrom([]int64{-1 << 63, 1<<63 - 1, 1 << 40, -1 << 40}))
	return packet.Notification{
		State: packet.State(rapid.Int32Range(-1, 4).Draw(t, "state")), Leader: id(number.Draw(t, "leader")), Zxid: znode.Zxid(number.Draw(t, "zxid")),
		Round: number.Draw(t, "round"), PeerEpoch: number.Draw(t, "epoch"), Version: rapid.Int32Range(-1, 3).Draw(t, "version"), Config: "nonsense",
	}
}

// Nonsense from whomever does no harm: no panic, no flood, no leader that is no voter, no decision of who abstains for itself.
func TestNonsense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config, err := quorum.Parse(servers(3, 1))
		require.NoError(t, err)
		self := id(rapid.Int64Range(1, 5).Draw(t, "self"))
		e := election.New(election.Config{Self: self, Quorum: config})
		abstain, now := false, int64(0)
		for range rapid.IntRange(1, 100).Draw(t, "inputs") {
			var out []election.Message
			now += rapid.Int64Range(0, 300).Draw(t, "ms")
			switch rapid.IntRange(0, 9).Draw(t, "input") {
			case 0:
				c := drawCandidate(t)
				c.Abstain = rapid.Bool().Draw(t, "abstain")
				abstain = c.Abstain
				e.Look(c, now, &out)
			case 1:
				e.Reachable(id(rapid.Int64Range(-1, 6).Draw(t, "peer")), rapid.Bool().Draw(t, "up"), now, &out)
			case 2:
				e.Tick(now, &out)
				require.Greater(t, e.Next(), now)
			default:
				n := drawNotification(t)
				e.Receive(id(rapid.Int64Range(-1, 6).Draw(t, "from")), &n, now, &out)
			}
			require.LessOrEqual(t, len(out), 8)
			for _, m := range out {
				require.NotEqual(t, self, m.To)
				require.Equal(t, config.String(), m.Notification.Config)
			}
			if v, ok := e.Decision(); ok {
				require.True(t, config.Voter(v.Leader), strconv.Itoa(int(v.Leader)))
				require.False(t, abstain && v.Leader == self)
				e.Settle(packet.Following, v)
			}
		}
	})
}
