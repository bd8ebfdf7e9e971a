package sim

import (
	"errors"
	"math/rand/v2"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// A port is what a connection is for; each can be cut by itself.
type port uint8

const (
	electionPort port = iota
	quorumPort
	clientPort
	ports
)

var portNames = [ports]string{"election", "quorum", "client"}

func (p port) String() string { return portNames[p] }

// A node is a machine on the network: a server by its id, below firstClient, or a client.
type node int

const firstClient node = 64

// Errors of connections.
var (
	errReset  = errors.New("connection reset by peer")
	errHangup = errors.New("closed by peer")
)

// A network carries streams of bytes between nodes. Inside a stream nothing is lost, doubled or reordered, as TCP has it: a lost
// segment is one that comes late, and with it all that follow. What two connections carry comes in any order.
type network struct {
	w    *world
	rand *rand.Rand

	base, jitter clock.Time             // of a delay, one way
	loss         float64                // probability that a segment has to be sent again
	slow         map[[2]node]clock.Time // added between two nodes, one way
	cuts         map[cut][]*shape       // what stands in one way on one port
	since        map[cut]clock.Time     // when the first of them began
	ends         []*end                 // of living connections, in order of their making
	shapes       []*shape               // those in the way, oldest first
	made         uint64
	carried      uint64 // bytes

	machine func(node) machine
}

// A cut is one way between two nodes on one port that nothing passes.
type cut struct {
	port     port
	from, to node
}

// A machine is what runs at a node, as the network sees it.
type machine interface {
	// up reports whether the machine has power, and whether its process is there to take in connections.
	up() (power, process bool)
	// later calls f as soon as the process runs: at once, or when a pause is over; never if it ends before.
	later(f func())
	// accept takes in a connection.
	accept(p port, e *end)
}

// An end is one of the two ends of a connection. Its owner sets the two functions when it gets it.
type end struct {
	net    *network
	id     uint64
	port   port
	at     node
	peer   *end
	open   bool       // this end's process has not closed it
	gone   bool       // the machine forgot it without a word: it lost its power
	last   clock.Time // when the last thing sent from here arrives
	held   []item     // sent and stopped by a cut
	bytes  func(b []byte, more bool)
	closed func(err error)
}

// An item is something on its way: bytes, or the end of the stream.
type item struct {
	b    []byte
	more bool  // more of a long stream follows, as of a snapshot
	fin  error // not nil: the sender has closed
}

func newNetwork(w *world) *network {
	return &network{
		w: w, rand: w.chance(ofNetwork), base: 100, jitter: 200,
		slow: map[[2]node]clock.Time{}, cuts: map[cut][]*shape{}, since: map[cut]clock.Time{},
	}
}

// A shape is one fault of the network: some cuts that come and go together.
type shape struct {
	cuts []cut
	felt func() // something was stopped by it for the first time; nil afterwards
}

// blocked reports whether something that wants to go one way is stopped.
func (n *network) blocked(p port, from, to node) bool {
	shapes := n.cuts[cut{p, from, to}]
	for _, s := range shapes {
		if s.felt != nil {
			s.felt()
			s.felt = nil
		}
	}
	return len(shapes) > 0
}

// delay draws how long a segment takes.
func (n *network) delay(from, to node) clock.Time {
	d := n.base + clock.Time(n.rand.Int64N(int64(n.jitter)+1))
	if n.rand.IntN(200) == 0 {
		d += clock.Time(n.rand.Int64N(int64(20 * clock.Millisecond)))
	}
	d += n.slow[[2]node{from, to}]
	for range 6 {
		if n.loss == 0 || n.rand.Float64() >= n.loss {
			break
		}
		d += 200*clock.Millisecond + d
	}
	return d
}

// dialTimeout is how long who dials waits for an answer.
const dialTimeout = 2 * clock.Second

// dial connects two nodes. done hears of it once: an end, or nil.
func (n *network) dial(p port, from, to node, done func(*end)) {
	begun := n.w.now
	fail := func(after clock.Time) { n.w.at(max(begun+after, n.w.now), func() { done(nil) }) }
	if n.blocked(p, from, to) {
		fail(dialTimeout)
		return
	}
	n.w.after(n.delay(from, to), func() {
		m := n.machine(to)
		power, process := m.up()
		if !power || n.blocked(p, to, from) {
			fail(dialTimeout)
			return
		}
		back := n.delay(to, from)
		if !process {
			n.w.after(back, func() { done(nil) })
			return
		}
		n.made++
		a := &end{net: n, id: n.made, port: p, at: from, open: true, last: n.w.now + back}
		b := &end{net: n, id: n.made, port: p, at: to, open: true, last: n.w.now, peer: a}
		a.peer = b
		n.keep(a, b)
		m.later(func() { m.accept(p, b) })
		n.w.after(back, func() { done(a) })
	})
}

// keep notes two living ends, and forgets the dead now and then.
func (n *network) keep(a, b *end) {
	if len(n.ends) > 256 {
		live := n.ends[:0]
		for _, e := range n.ends {
			if e.open || e.peer.open {
				live = append(live, e)
			}
		}
		clear(n.ends[len(live):])
		n.ends = live
	}
	n.ends = append(n.ends, a, b)
}

// send sends bytes, which belong to the network from now on. Now and then they are cut in two: a stream knows no borders.
func (e *end) send(b []byte) {
	if n := e.net; len(b) > 1 && n.rand.IntN(64) == 0 {
		at := 1 + n.rand.IntN(len(b)-1)
		e.put(item{b: b[:at:at]})
		b = b[at:]
	}
	e.put(item{b: b})
}

// stream sends a part of something long, and whether more of it follows.
func (e *end) stream(b []byte, more bool) { e.put(item{b: b, more: more}) }

func (e *end) put(i item) {
	if !e.open && i.fin == nil || e.gone {
		return
	}
	n := e.net
	n.carried += uint64(len(i.b))
	if len(e.held) > 0 || n.blocked(e.port, e.at, e.peer.at) {
		e.held = append(e.held, i)
		return
	}
	e.last = max(e.last+1, n.w.now+n.delay(e.at, e.peer.at))
	to := e.peer
	n.w.at(e.last, func() { to.arrive(i) })
}

// arrive is the moment at which something reaches the other machine.
func (e *end) arrive(i item) {
	n := e.net
	power, process := n.machine(e.at).up()
	if !power {
		return
	}
	if e.gone || !e.open || !process {
		if i.fin == nil {
			e.refuse()
		}
		return
	}
	n.w.mix(e.id, uint64(e.at), uint64(len(i.b)))
	n.w.mixBytes(i.b)
	n.machine(e.at).later(func() { e.take(i) })
}

// take gives what has come to whoever owns the end.
func (e *end) take(i item) {
	switch {
	case !e.open:
	case i.fin != nil:
		e.open = false
		if e.closed != nil {
			e.closed(i.fin)
		}
		if !errors.Is(i.fin, errReset) {
			e.put(item{fin: errHangup})
		}
	case e.bytes != nil:
		e.bytes(i.b, i.more)
	}
}

// refuse tells the other end that here is nobody any more.
func (e *end) refuse() {
	n := e.net
	if n.blocked(e.port, e.at, e.peer.at) {
		return
	}
	to := e.peer
	n.w.after(n.delay(e.at, to.at), func() { to.arrive(item{fin: errReset}) })
}

// close ends the connection, behind all that was sent.
func (e *end) close() {
	if e.open {
		e.open = false
		e.put(item{fin: errHangup})
	}
}

// reset ends the connection at both ends, and what is on its way is lost.
func (e *end) reset() {
	for _, x := range []*end{e, e.peer} {
		if !x.open {
			continue
		}
		x.held = nil
		e.net.machine(x.at).later(func() { x.take(item{fin: errReset}) })
	}
}

// lose ends the connection at this end alone. The other end hears of it when it says something and that arrives.
func (e *end) lose() {
	e.held = nil
	e.net.machine(e.at).later(func() { e.take(item{fin: errReset}) })
}

// block puts a shape in the way.
func (n *network) block(s *shape) {
	n.shapes = append(n.shapes, s)
	for _, c := range s.cuts {
		if n.cuts[c] = append(n.cuts[c], s); len(n.cuts[c]) == 1 {
			n.since[c] = n.w.now
		}
	}
}

// unblock takes a shape away.
func (n *network) unblock(s *shape) {
	for _, c := range s.cuts {
		n.lift(s, c)
	}
	if i := slices.Index(n.shapes, s); i >= 0 {
		n.shapes = slices.Delete(n.shapes, i, i+1)
	}
}

// lift takes one of a shape's cuts away.
func (n *network) lift(s *shape, c cut) {
	i := slices.Index(n.cuts[c], s)
	if i < 0 {
		return
	}
	if n.cuts[c] = slices.Delete(n.cuts[c], i, i+1); len(n.cuts[c]) == 0 {
		n.open(c)
	}
}

// mend takes away what stands between nodes that have nothing in the way any more.
func (n *network) mend(clear func(node) bool) {
	for _, s := range slices.Clone(n.shapes) {
		s.cuts = slices.DeleteFunc(s.cuts, func(c cut) bool {
			if clear(c.from) && clear(c.to) {
				n.lift(s, c)
				return true
			}
			return false
		})
	}
}

// open lets what was held go on when the sender tries again, which takes the longer the longer the cut.
func (n *network) open(c cut) {
	lasted := min(n.w.now-n.since[c], 5*clock.Second)
	for _, e := range n.ends {
		if e.port == c.port && e.at == c.from && e.peer.at == c.to && len(e.held) > 0 {
			n.w.after(clock.Time(n.rand.Int64N(int64(lasted)+1)), e.retry)
		}
	}
}

// retry sends what was held, if it may pass now.
func (e *end) retry() {
	if len(e.held) == 0 || e.net.blocked(e.port, e.at, e.peer.at) {
		return
	}
	held := e.held
	e.held = nil
	for _, i := range held {
		e.put(i)
	}
}

// forget ends all connections of a machine that stops: with a word to the other ends, or, if it lost its power, without one.
func (n *network) forget(at node, power bool) {
	for _, e := range n.ends {
		if e.at != at || !e.open {
			continue
		}
		e.bytes, e.closed = nil, nil
		if power {
			e.close()
		} else {
			e.open, e.gone, e.held = false, true, nil
		}
	}
}
