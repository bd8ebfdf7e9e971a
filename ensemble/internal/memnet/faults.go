package memnet

import (
	"context"
	"time"
)

// A route is one direction between two hosts; "" is every host.
type route struct{ from, to string }

// holds reports whether the route is part of r.
func (r route) holds(o route) bool {
	return (r.from == "" || r.from == o.from) && (r.to == "" || r.to == o.to)
}

func (r route) back() route { return route{r.to, r.from} }

// A fault is what the network does to a route.
type fault struct {
	cut   bool
	delay time.Duration
}

// Cut loses the way from one host to another, in this direction only, for connections there are and connections to come, until
// Heal. As with TCP nothing is lost for good: bytes, the ends of streams and resets arrive when the way is there again, in their
// order; a writer goes on until 64 KiB wait. A dial waits for both ways. "" is every host, so Cut("a", "") and Cut("", "a") leave a
// alone in the world.
func (n *Network) Cut(from, to string) {
	n.change(route{canonical(from), canonical(to)}, func(f *fault) { f.cut = true })
}

// Delay lets everything take d from one host to another, until Heal or the next Delay of the same two; what is on its way already
// arrives as it would have. Between rules that concern the same way, one with "" and one without, the longest counts.
func (n *Network) Delay(from, to string, d time.Duration) {
	n.change(route{canonical(from), canonical(to)}, func(f *fault) { f.delay = d })
}

// Heal takes back each Cut and Delay from one host to another, and with "" those of every host: Heal("", "") makes the network
// whole.
func (n *Network) Heal(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	healed := route{canonical(from), canonical(to)}
	for r := range n.faults {
		if healed.holds(r) {
			delete(n.faults, r)
		}
	}
	n.enforce()
}

// Reset resets all connections between two hosts, whoever dialled, at both ends: reads and writes answer ECONNRESET. An end that is
// cut off hears of it when that is healed. "" is every host.
func (n *Network) Reset(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	there := route{canonical(a), canonical(b)}
	for w := range n.wires {
		if there.holds(w.route) || there.back().holds(w.route) {
			breakDown(w.up, w.down)
		}
	}
}

func (n *Network) change(r route, what func(*fault)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.faults == nil {
		n.faults = map[route]fault{}
	}
	f := n.faults[r]
	what(&f)
	n.faults[r] = f
	n.enforce()
}

// enforce tells all connections, and all who dial, what holds now. n.mu is held.
func (n *Network) enforce() {
	for w := range n.wires {
		n.afflict(w)
	}
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// afflict tells a connection what holds for it. n.mu is held.
func (n *Network) afflict(w *wire) {
	there, back := n.faultOf(w.route), n.faultOf(w.route.back())
	w.up.afflict(there, back.cut)
	w.down.afflict(back, there.cut)
}

// faultOf is what holds for the way between two hosts. n.mu is held.
func (n *Network) faultOf(way route) fault {
	var all fault
	for r, f := range n.faults {
		if r.holds(way) {
			all.cut = all.cut || f.cut
			all.delay = max(all.delay, f.delay)
		}
	}
	return all
}

// handshake waits as long as a connection takes to come about: until there is a way there and back, and then once both.
func (n *Network) handshake(ctx context.Context, way route) error {
	for {
		n.mu.Lock()
		there, back := n.faultOf(way), n.faultOf(way.back())
		if !there.cut && !back.cut {
			n.mu.Unlock()
			return pause(ctx, there.delay+back.delay)
		}
		if n.changed == nil {
			n.changed = make(chan struct{})
		}
		changed := n.changed
		n.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A wire is the two streams of a connection, for the network to find.
type wire struct {
	network  *Network
	route    route // from who dialled to who listened
	up, down *stream
	ends     int // not closed yet; the network's mu guards it
}

// lay puts a new connection into the network. n.mu is held.
func (n *Network) lay(way route) *wire {
	w := &wire{network: n, route: way, up: newStream(), down: newStream(), ends: 2}
	if n.wires == nil {
		n.wires = map[*wire]struct{}{}
	}
	n.wires[w] = struct{}{}
	n.afflict(w)
	return w
}

// release notes that one end is closed. With the second the network forgets the connection, for nobody waits for what is on its way.
func (w *wire) release() {
	w.network.mu.Lock()
	defer w.network.mu.Unlock()
	if w.ends--; w.ends == 0 {
		delete(w.network.wires, w)
	}
}

// Connections is how many connections have an end that is not closed.
func (n *Network) Connections() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.wires)
}
