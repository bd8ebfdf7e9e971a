package peers_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/peers"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
)

// A world is some servers' machines and a network that loses dials, breaks connections, tells one end long before the other, and
// restarts machines. Everything follows from one seed.
type world struct {
	t      require.TestingT
	rng    *rand.Rand
	config *quorum.Config
	now    int64
	agenda agenda
	seq    int
	nodes  map[packet.ServerID]*node
	wires  []*wire
	cut    map[[2]packet.ServerID]bool // dials from one to the other come to nothing
	faulty bool
	log    []string
}

type node struct {
	id     packet.ServerID
	m      *peers.Peers
	lastID peers.ConnID
	ends   map[peers.ConnID]*end
	uses   map[packet.ServerID]*end
	up     map[packet.ServerID]bool
	dials  map[packet.ServerID]bool
	tries  map[packet.ServerID]int // dials since the world is whole
	dead   bool                    // replaced by a new incarnation
}

// A wire is a connection; 0 is the end of who dialled.
type wire struct{ ends [2]*end }

type end struct {
	wire  *wire
	node  *node
	id    peers.ConnID
	open  bool
	heard int64 // when the last thing that this end is to hear arrives
}

func (e *end) other() *end {
	if e.wire.ends[0] == e {
		return e.wire.ends[1]
	}
	return e.wire.ends[0]
}

type event struct {
	at  int64
	seq int
	do  func()
}

type agenda []event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(event)) }
func (a *agenda) Pop() any {
	x := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return x
}

func newWorld(t require.TestingT, config *quorum.Config, seed uint64) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), config: config, faulty: true,
		nodes: map[packet.ServerID]*node{}, cut: map[[2]packet.ServerID]bool{},
	}
	for _, m := range config.Members {
		w.boot(m.ID)
	}
	return w
}

func (w *world) after(d int64, do func()) {
	w.seq++
	heap.Push(&w.agenda, event{w.now + d, w.seq, do})
}

// some is how long something takes: mostly little.
func (w *world) some() int64 {
	if w.faulty && w.rng.IntN(10) == 0 {
		return w.rng.Int64N(5000)
	}
	return w.rng.Int64N(30)
}

func (w *world) boot(id packet.ServerID) {
	n := &node{
		id: id, m: peers.New(peers.Config{Self: id, Quorum: w.config, Rand: rand.New(rand.NewPCG(w.rng.Uint64(), 2))}),
		ends: map[peers.ConnID]*end{}, uses: map[packet.ServerID]*end{}, up: map[packet.ServerID]bool{},
		dials: map[packet.ServerID]bool{}, tries: map[packet.ServerID]int{},
	}
	w.nodes[id] = n
	for _, m := range w.config.Members {
		w.after(w.some(), func() { w.step(n, "wants "+fmt.Sprint(m.ID), func(out *[]peers.Effect) { n.m.Want(m.ID, w.now, out) }) })
	}
}

// step gives a machine an input and does what it says.
func (w *world) step(n *node, what string, input func(out *[]peers.Effect)) {
	if n.dead {
		return
	}
	w.log = append(w.log, fmt.Sprintf("%d ms: %d %s", w.now, n.id, what))
	var out []peers.Effect
	input(&out)
	for _, e := range out {
		w.log = append(w.log, "    "+e.String())
		w.perform(n, e)
	}
	if at, ok := n.m.Next(); ok {
		w.after(max(at-w.now, 0), func() {
			if next, ok := n.m.Next(); ok && next <= w.now && !n.dead {
				w.step(n, "ticks", func(out *[]peers.Effect) { n.m.Tick(w.now, out) })
				next, ok := n.m.Next()
				require.True(w.t, !ok || next > w.now, "something is due and was not done")
			}
		})
	}
}

func (w *world) perform(n *node, e peers.Effect) {
	switch e.Kind {
	case peers.Dial:
		require.False(w.t, n.dials[e.Server], "two dials to one server at once")
		n.dials[e.Server] = true
		if !w.faulty {
			n.tries[e.Server]++
		}
		w.after(w.some(), func() { w.reach(n, e.Server) })
	case peers.Say:
		mine := n.ends[e.Conn]
		w.tell(mine, func(other *end) {
			w.step(other.node, fmt.Sprintf("accepts #%d of %d", other.id, e.Hello.Server), func(out *[]peers.Effect) { other.node.m.Accepted(other.id, &e.Hello, w.now, out) })
		})
	case peers.Use:
		require.True(w.t, n.up[e.Server], "in use and not up")
		n.uses[e.Server] = n.ends[e.Conn]
		require.Equal(w.t, e.Server, n.ends[e.Conn].other().node.id)
	case peers.Close:
		w.hangUp(n.ends[e.Conn])
	case peers.Up, peers.Down:
		require.NotEqual(w.t, n.up[e.Server], e.Kind == peers.Up, "up and down take turns")
		n.up[e.Server] = e.Kind == peers.Up
		if e.Kind == peers.Down {
			delete(n.uses, e.Server)
		}
	}
}

// reach ends a dial.
func (w *world) reach(n *node, server packet.ServerID) {
	if n.dead {
		return
	}
	n.dials[server] = false
	if w.cut[[2]packet.ServerID{n.id, server}] || w.faulty && w.rng.IntN(4) == 0 {
		w.step(n, fmt.Sprintf("does not reach %d", server), func(out *[]peers.Effect) { n.m.Dialled(server, 0, w.now, out) })
		return
	}
	wire := &wire{}
	for i, at := range []*node{n, w.nodes[server]} {
		at.lastID++
		wire.ends[i] = &end{wire: wire, node: at, id: at.lastID, open: true}
		at.ends[at.lastID] = wire.ends[i]
	}
	w.wires = append(w.wires, wire)
	id := wire.ends[0].id
	w.step(n, fmt.Sprintf("reaches %d by #%d", server, id), func(out *[]peers.Effect) { n.m.Dialled(server, id, w.now, out) })
}

// tell lets the other end hear something, after all that it was told before.
func (w *world) tell(from *end, what func(other *end)) {
	to := from.other()
	to.heard = max(to.heard, w.now+w.some())
	w.after(to.heard-w.now, func() {
		if to.open {
			what(to)
		}
	})
}

func (w *world) hangUp(e *end) {
	if !e.open {
		return
	}
	e.open = false
	w.tell(e, w.broken)
}

// broken tells an end that its connection has ended.
func (w *world) broken(e *end) {
	if !e.open {
		return
	}
	w.hangUp(e)
	w.step(e.node, fmt.Sprintf("sees the end of #%d", e.id), func(out *[]peers.Effect) { e.node.m.Closed(e.id, w.now, out) })
}

// mischief does something bad.
func (w *world) mischief() {
	ids := w.config.Members
	a, b := ids[w.rng.IntN(len(ids))].ID, ids[w.rng.IntN(len(ids))].ID
	switch w.rng.IntN(6) {
	case 0: // the machine restarts; the others notice sooner or later
		old := w.nodes[a]
		old.dead = true
		w.log = append(w.log, fmt.Sprintf("%d ms: %d restarts", w.now, a))
		for id := peers.ConnID(1); id <= old.lastID; id++ {
			w.hangUp(old.ends[id])
		}
		w.boot(a)
	case 1:
		w.cut[[2]packet.ServerID{a, b}] = true
	case 2:
		delete(w.cut, [2]packet.ServerID{a, b})
	default: // a connection breaks, as one end sees it
		if len(w.wires) > 0 {
			w.broken(w.wires[w.rng.IntN(len(w.wires))].ends[w.rng.IntN(2)])
		}
	}
}

func (w *world) run(until int64) {
	for len(w.agenda) > 0 && w.agenda[0].at <= until {
		e := heap.Pop(&w.agenda).(event)
		w.now = e.at
		e.do()
	}
	w.now = until
}

// mustHaveConverged: between each two servers there is one connection, in use at both ends, and the larger has dialled it.
func (w *world) mustHaveConverged() {
	open := map[[2]packet.ServerID]int{}
	for _, wire := range w.wires {
		require.Equal(w.t, wire.ends[0].open, wire.ends[1].open, "one end is gone")
		if wire.ends[0].open {
			dialler, acceptor := wire.ends[0].node, wire.ends[1].node
			require.Greater(w.t, dialler.id, acceptor.id, "the smaller has dialled")
			open[[2]packet.ServerID{dialler.id, acceptor.id}]++
		}
	}
	for _, a := range w.config.Members {
		for _, b := range w.config.Members {
			if a.ID >= b.ID {
				continue
			}
			require.Equal(w.t, 1, open[[2]packet.ServerID{b.ID, a.ID}], "connections between %d and %d", a.ID, b.ID)
			x, y := w.nodes[a.ID].uses[b.ID], w.nodes[b.ID].uses[a.ID]
			require.NotNil(w.t, x)
			require.True(w.t, y != nil && y == x.other(), "%d and %d use different connections", a.ID, b.ID)
		}
	}
}

// After whatever has happened, there is exactly one connection between each two servers (ZOOKEEPER-2164, 4220).
func TestConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.IntRange(2, 5).Draw(rt, "size")
		w := newWorld(rt, members(t, size), rapid.Uint64().Draw(rt, "seed"))
		defer func() {
			if rt.Failed() {
				for _, line := range w.log[max(0, len(w.log)-200):] {
					rt.Log(line)
				}
			}
		}()
		for range rapid.IntRange(0, 60).Draw(rt, "mischiefs") {
			w.run(w.now + w.rng.Int64N(400))
			w.mischief()
		}
		w.faulty = false
		clear(w.cut)
		w.run(w.now + 20_000)
		for _, n := range w.nodes {
			for id, tries := range n.tries {
				require.LessOrEqual(rt, tries, 30, "%d dials %d too often", n.id, id)
			}
			clear(n.tries)
		}
		w.mustHaveConverged()
		w.run(w.now + 600_000)
		for _, n := range w.nodes {
			require.Empty(rt, n.tries, "it does not rest")
		}
		w.mustHaveConverged()
	})
}

// All dial all at the same moment, which is what happens when a power cut ends.
func TestSimultaneousDials(t *testing.T) {
	for seed := range uint64(500) {
		w := newWorld(t, members(t, 2+int(seed%4)), seed)
		w.faulty = false
		w.run(10_000)
		w.mustHaveConverged()
	}
}

// A machine that answers nothing delays nobody but itself (ZOOKEEPER-822, 3756), and is not pestered.
func TestDeadMachine(t *testing.T) {
	w := newWorld(t, members(t, 3), 1)
	w.faulty = false
	w.nodes[3].dead = true
	for _, id := range []packet.ServerID{1, 2} {
		w.cut[[2]packet.ServerID{id, 3}] = true
	}
	w.run(1_000)
	require.NotNil(t, w.nodes[1].uses[2])
	require.NotNil(t, w.nodes[2].uses[1])
	clear(w.nodes[1].tries)
	w.run(61_000)
	require.InDelta(t, 80, w.nodes[1].tries[3], 20, "dials a minute")
	require.NotContains(t, w.nodes[1].tries, packet.ServerID(2))
}
