//go:build unix

package process

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

// A Network is between the servers of an ensemble: whatever one sends to another passes through it. Servers are counted from 0. What it
// does to a direction holds for all connections there are and will be, until [Network.Heal].
type Network struct {
	proxies map[direction]proxies
	all     sync.WaitGroup // every goroutine

	mu    sync.Mutex
	paths map[direction]path
	// changed is closed, and made anew, whenever paths change.
	changed chan struct{}
	conns   map[*relay]struct{}
	ended   bool
}

// A direction is from one server to another.
type direction struct{ from, to int }

func (d direction) back() direction { return direction{d.to, d.from} }

// proxies are what a server dials to reach another.
type proxies struct{ quorum, election net.Listener }

// A path is what becomes of the bytes of one direction.
type path struct {
	refused bool          // no connection is made, by either side
	stalled bool          // bytes wait until this ends; nobody is told
	delay   time.Duration // until a byte arrives, however many follow it
}

// newNetwork listens for all servers, which are at these ports of 127.0.0.1. The test's end closes it.
func newNetwork(t testing.TB, quorum, election []int) *Network {
	t.Helper()
	n := &Network{proxies: map[direction]proxies{}, paths: map[direction]path{}, changed: make(chan struct{}), conns: map[*relay]struct{}{}}
	t.Cleanup(n.close)
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for i := range quorum {
		for j := range quorum {
			if i != j {
				n.proxies[direction{i, j}] = proxies{listen(), listen()}
			}
		}
	}
	for d, p := range n.proxies {
		// Each ends when close closes its listener.
		n.all.Go(func() { n.accept(p.quorum, d, quorum[d.to], false) })
		n.all.Go(func() { n.accept(p.election, d, election[d.to], true) })
	}
	return n
}

// ports are where server i finds server j: its quorum and its election port.
func (n *Network) ports(i, j int) (quorum, election int) {
	p := n.proxies[direction{i, j}]
	return portOf(p.quorum), portOf(p.election)
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// Refuse breaks the connections between two servers and lets none be made: each is told at once, as by the system of a dead process.
func (n *Network) Refuse(i, j int) {
	n.change(func(p *path) { p.refused = true }, direction{i, j}, direction{j, i})
	n.Reset(i, j)
}

// Reset breaks the connections between two servers. They may make new ones.
func (n *Network) Reset(i, j int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for r := range n.conns {
		if r.dialed == (direction{i, j}) || r.dialed == (direction{j, i}) {
			r.abort()
		}
	}
}

// Stall lets nothing pass from one server to another, and tells neither. What was sent meanwhile passes when this ends.
func (n *Network) Stall(from, to int) {
	n.change(func(p *path) { p.stalled = true }, direction{from, to})
}

// Delay lets everything pass from one server to another later by d.
func (n *Network) Delay(from, to int, d time.Duration) {
	n.change(func(p *path) { p.delay = d }, direction{from, to})
}

// Isolate stalls all directions from and to a server, as when its cable is pulled.
func (n *Network) Isolate(i int) {
	for d := range n.proxies {
		if d.from == i {
			n.Stall(d.from, d.to)
			n.Stall(d.to, d.from)
		}
	}
}

// Heal ends everything that was done to the network.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.paths)
	n.tell()
}

func (n *Network) change(f func(*path), ds ...direction) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range ds {
		p := n.paths[d]
		f(&p)
		n.paths[d] = p
	}
	n.tell()
}

// tell wakes whoever waits for a change. n.mu is held.
func (n *Network) tell() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// state is what becomes of the bytes of d now, and a channel that is closed when that may have changed.
func (n *Network) state(d direction) (path, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.paths[d], n.changed
}

// accept serves one proxy: connections that d.from dials, to a port of d.to.
func (n *Network) accept(l net.Listener, d direction, port int, election bool) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		n.all.Go(func() { n.relay(c.(*net.TCPConn), d, port, election) }) // ends with the connection, which close aborts
	}
}

// relay carries one connection until it ends.
func (n *Network) relay(dialer *net.TCPConn, d direction, port int, election bool) {
	if p, _ := n.state(d); p.refused {
		reset(dialer)
		return
	}
	// Nobody is told of a stall: the connection stands, and silence follows.
	acceptor, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		reset(dialer)
		return
	}
	r := &relay{network: n, dialed: d, dialer: dialer, acceptor: acceptor.(*net.TCPConn), done: make(chan struct{})}
	if !n.add(r) {
		r.abort()
		return
	}
	defer n.remove(r)
	var introduce func([]byte) []byte
	if election {
		back := portOf(n.proxies[d.back()].election)
		introduce = (&greeting{addr: fmt.Sprintf("127.0.0.1:%d", back)}).rewrite
	}
	r.carry(introduce)
}

// add registers a connection, unless the network has ended or does not allow it any more.
func (n *Network) add(r *relay) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended || n.paths[r.dialed].refused {
		return false
	}
	n.conns[r] = struct{}{}
	return true
}

func (n *Network) remove(r *relay) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, r)
}

// close ends everything and waits until it has ended.
func (n *Network) close() {
	for _, p := range n.proxies {
		_ = p.quorum.Close()
		_ = p.election.Close()
	}
	n.mu.Lock()
	n.ended = true
	for r := range n.conns {
		r.abort()
	}
	n.mu.Unlock()
	n.all.Wait()
}

// reset closes a connection so that the other side learns it at once, whatever it has not read yet.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
