package election_test

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/election"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
)

type id = packet.ServerID

// A network is an ensemble of elections in one goroutine, with virtual time in milliseconds.
type network struct {
	t      require.TestingT
	now    int64
	rng    *rand.Rand
	config *quorum.Config
	nodes  map[id]*node
	ids    []id // ascending
	events events
	seq    int
	links  map[[2]id]int // generation of the link, while there is one
	made   int           // links ever

	delay     func() int64 // of a message; messages overtake each other when it varies
	loss, dup float64
	sent      int
	trace     func(string)
}

// A node is one server: an election, and as much of the roles as an election must get along with.
type node struct {
	id        id
	e         *election.Election
	candidate election.Candidate
	state     packet.State
	vote      election.Vote
	decidedAt int64
	decisions int
	running   bool
	life      int // restarts
}

type event struct {
	at  int64
	seq int
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(e[i].at, e[j].at), e[i].seq-e[j].seq) < 0
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newNetwork(t require.TestingT, text string, seed uint64) *network {
	config, err := quorum.Parse(text)
	require.NoError(t, err)
	n := &network{t: t, rng: rand.New(rand.NewPCG(seed, 0)), config: config, nodes: make(map[id]*node), links: make(map[[2]id]int)}
	n.delay = func() int64 { return 1 }
	n.trace = func(string) {}
	for _, m := range config.Members {
		n.ids = append(n.ids, m.ID)
		n.nodes[m.ID] = &node{id: m.ID}
	}
	return n
}

// servers is the configuration of n voters and as many observers behind them as told.
func servers(voters, observers int) string {
	text := ""
	for i := range voters + observers {
		role := "participant"
		if i >= voters {
			role = "observer"
		}
		text += fmt.Sprintf("server.%d=h%d:1:2:%s\n", i+1, i+1, role)
	}
	return text
}

func (n *network) after(d int64, do func()) {
	n.seq++
	heap.Push(&n.events, event{n.now + d, n.seq, do})
}

// start makes an election for the server, without links.
func (n *network) start(of id, c election.Candidate) *node {
	s := n.nodes[of]
	s.e = election.New(election.Config{Self: of, Quorum: n.config, MaxInterval: 3000})
	s.candidate, s.running = c, true
	s.life++
	return s
}

func (n *network) crash(of id) {
	for _, other := range n.ids {
		n.unlink(of, other)
	}
	n.nodes[of].running = false
	n.nodes[of].life++
}

// join starts a server that looks and is linked to all that run.
func (n *network) join(of id, c election.Candidate) {
	n.start(of, c)
	n.linkAll()
	n.look(of)
}

func (n *network) look(of id) {
	s := n.nodes[of]
	s.state = packet.Looking
	n.input(s, func(out *[]election.Message) { s.e.Look(s.candidate, n.now, out) })
}

func pair(a, b id) [2]id { return [2]id{min(a, b), max(a, b)} }

func (n *network) link(a, b id) {
	if n.links[pair(a, b)] != 0 || a == b || !n.nodes[a].running || !n.nodes[b].running {
		return
	}
	n.made++
	n.links[pair(a, b)] = n.made
	n.tellLink(a, b, true)
}

func (n *network) unlink(a, b id) {
	if n.links[pair(a, b)] == 0 {
		return
	}
	delete(n.links, pair(a, b))
	n.tellLink(a, b, false)
}

func (n *network) tellLink(a, b id, up bool) {
	for _, ends := range [][2]id{{a, b}, {b, a}} {
		s := n.nodes[ends[0]]
		n.input(s, func(out *[]election.Message) { s.e.Reachable(ends[1], up, n.now, out) })
	}
}

func (n *network) linkAll() {
	for _, a := range n.ids {
		for _, b := range n.ids {
			n.link(a, b)
		}
	}
}

// input gives a server one input, sends what it says, and puts it into the role it decides for.
func (n *network) input(s *node, do func(*[]election.Message)) {
	var out []election.Message
	do(&out)
	for _, m := range out {
		n.sent++
		n.trace(fmt.Sprintf("%d: %d to %d: %v %d %v round %d epoch %d", n.now, s.id, m.To, m.Notification.State, m.Notification.Leader,
			m.Notification.Zxid, m.Notification.Round, m.Notification.PeerEpoch))
		n.post(s.id, m)
		if n.rng.Float64() < n.dup {
			n.post(s.id, m)
		}
	}
	v, ok := s.e.Decision()
	if !ok {
		return
	}
	n.trace(fmt.Sprintf("%d: %d decides %+v", n.now, s.id, v))
	s.vote, s.decidedAt, s.state = v, n.now, packet.Following
	s.decisions++
	switch {
	case v.Leader == s.id:
		s.state = packet.Leading
	case !n.config.Voter(s.id):
		s.state = packet.Observing
	}
	s.e.Settle(s.state, v)
}

// post carries a message as its frame.
func (n *network) post(from id, m election.Message) {
	generation := n.links[pair(from, m.To)]
	if generation == 0 || n.rng.Float64() < n.loss {
		return
	}
	frame := m.Notification.AppendJute(nil)
	n.after(n.delay(), func() {
		if n.links[pair(from, m.To)] != generation {
			return
		}
		var got packet.Notification
		require.NoError(n.t, packet.Decode(frame, &got))
		require.Equal(n.t, m.Notification, got)
		s := n.nodes[m.To]
		n.input(s, func(out *[]election.Message) { s.e.Receive(from, &got, n.now, out) })
	})
}

// run lets everything happen that happens until the given time.
func (n *network) run(until int64) {
	for {
		at := until + 1
		if len(n.events) > 0 {
			at = min(at, n.events[0].at)
		}
		for _, s := range n.running() {
			at = min(at, max(s.e.Next(), n.now))
		}
		if at > until {
			n.now = until
			return
		}
		n.now = at
		for len(n.events) > 0 && n.events[0].at == at {
			heap.Pop(&n.events).(event).do()
		}
		for _, s := range n.running() {
			if s.e.Next() <= at {
				n.input(s, func(out *[]election.Message) { s.e.Tick(at, out) })
				require.Greater(n.t, s.e.Next(), at, "a tick leaves nothing due")
			}
		}
	}
}

func (n *network) running() []*node {
	var all []*node
	for _, i := range n.ids {
		if n.nodes[i].running {
			all = append(all, n.nodes[i])
		}
	}
	return all
}

// office makes the roles real enough: every 500 ms whoever follows a server that is gone or does not lead looks again, and so
// does a leader without a quorum of linked followers; the others agree on the leader's epoch.
func (n *network) office() {
	for _, s := range n.running() {
		switch leader := n.nodes[s.vote.Leader]; {
		case s.state == packet.Looking:
		case s.state == packet.Leading && !n.config.Quorum(func(i id) bool { return i == s.id || n.follows(i, s.id) }):
			n.look(s.id)
		case s.state == packet.Leading:
			n.settleEpoch(s, s.vote.Epoch+1)
		case !n.follows(s.id, leader.id):
			n.look(s.id)
		}
	}
	n.after(500, n.office)
}

func (n *network) follows(follower, leader id) bool {
	f, l := n.nodes[follower], n.nodes[leader]
	return f.running && l.running && f.state != packet.Looking && f.vote.Leader == leader && l.state == packet.Leading && n.links[pair(follower, leader)] != 0
}

// settleEpoch is the end of a leader's way into office; it happens once.
func (n *network) settleEpoch(leader *node, epoch int64) {
	if leader.candidate.Epoch >= epoch {
		return
	}
	for _, s := range n.running() {
		if s == leader || n.follows(s.id, leader.id) {
			s.candidate.Epoch = epoch
			s.vote.Epoch = epoch
			s.e.Settle(s.state, s.vote)
		}
	}
}

// mustFollow requires that all those servers have decided for the leader.
func (n *network) mustFollow(t testing.TB, leader id, all ...id) {
	t.Helper()
	for _, i := range all {
		s := n.nodes[i]
		want := packet.Following
		switch {
		case i == leader:
			want = packet.Leading
		case !n.config.Voter(i):
			want = packet.Observing
		}
		require.Equal(t, want, s.state, "server %d", i)
		require.Equal(t, leader, s.vote.Leader, "server %d", i)
	}
}

func (n *network) mustLook(t testing.TB, all ...id) {
	t.Helper()
	for _, i := range all {
		require.Equal(t, packet.Looking, n.nodes[i].state, "server %d", i)
	}
}

func (n *network) shuffled() []id {
	ids := slices.Clone(n.ids)
	n.rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids
}
