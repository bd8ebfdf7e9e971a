package sim

import (
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/plan"
)

// What is done to the network.

// cut puts cuts in the way for a while. It has taken effect when something was stopped.
func (f *faults) cut(x plan.Fault, who *server, cuts []cut) {
	f.cutFor(x, who, x.Span, cuts)
}

func (f *faults) cutFor(x plan.Fault, who *server, span clock.Time, cuts []cut) {
	if len(cuts) == 0 || f.over {
		return
	}
	s := &shape{cuts: cuts, felt: func() { f.felt(x, who) }}
	f.net.block(s)
	f.lasts(span, nil, func() { f.net.unblock(s) })
}

// part is cut, of which others may hear at once.
func (f *faults) part(x plan.Fault, who *server, cuts []cut, others []node) {
	if f.cut(x, who, cuts); x.N == 1 && !f.over {
		f.breakOff(cuts, others)
	}
}

// breakOff ends the connections between two sides at the ends of one of them alone, as when a router answers it in the name of the
// other: that one finds out when it hears nothing, or says something, once it is let through.
func (f *faults) breakOff(cuts []cut, informed []node) {
	for _, e := range slices.Clone(f.net.ends) {
		if e.open && slices.Contains(informed, e.at) && slices.Contains(cuts, cut{e.port, e.at, e.peer.at}) {
			e.lose()
		}
	}
}

// portsOf are the ports between servers that a fault means.
func portsOf(p plan.Port) []port {
	switch p {
	case plan.ElectionPort:
		return []port{electionPort}
	case plan.QuorumPort:
		return []port{quorumPort}
	}
	return []port{electionPort, quorumPort}
}

// between are the cuts between two sides, both ways.
func between(on []port, left, right []node) []cut {
	return slices.Concat(from(on, left, right), from(on, right, left))
}

// from are the cuts of what one side sends to the other.
func from(on []port, left, right []node) (cuts []cut) {
	for _, p := range on {
		for _, a := range left {
			for _, b := range right {
				if a != b {
					cuts = append(cuts, cut{p, a, b})
				}
			}
		}
	}
	return cuts
}

// sides are the servers in a list and those that are not, without one.
func (f *faults) sides(ids []int, without *server) (in, out []node) {
	for _, s := range f.servers {
		switch {
		case s == without:
		case slices.Contains(ids, int(s.id)):
			in = append(in, s.node())
		default:
			out = append(out, s.node())
		}
	}
	return in, out
}

func (f *faults) allServers() []node {
	in, _ := f.sides(nil, nil)
	_, out := f.sides(nil, nil)
	return append(in, out...)
}

func (f *faults) allClients() (list []node) {
	for _, c := range f.clients {
		list = append(list, c.node())
	}
	return list
}

// onNetwork strikes the connections of a server.
func (f *faults) onNetwork(x plan.Fault, s *server) {
	on, me := portsOf(x.Port), []node{s.node()}
	in, out := f.sides(x.Side, s)
	all := slices.Concat(in, out)
	switch x.Class {
	case plan.Bridge:
		f.cut(x, s, between(on, in, out))
	case plan.Isolate:
		f.part(x, s, between(on, me, all), all)
	case plan.OneWay:
		f.cut(x, s, from(on, me, in))
	case plan.Deaf:
		f.cut(x, s, from(on, in, me))
	case plan.Flap:
		for at := clock.Time(0); at < x.Span; at += 2 * x.Delay {
			f.world.after(at, func() { f.cutFor(x, s, x.Delay, between(on, me, all)) })
		}
	case plan.CutClients:
		f.cut(x, s, between([]port{clientPort}, me, f.allClients()))
	case plan.Strand:
		f.strand(x, s, in, out)
	case plan.Reset:
		f.reset(x, s, on, in)
	case plan.SlowLink:
		for _, n := range f.allServers() {
			f.net.slow[[2]node{n, s.node()}] += x.Delay
			f.net.slow[[2]node{s.node(), n}] += x.Delay
		}
		f.felt(x, s)
		f.lasts(x.Span, s, func() {
			for _, n := range f.allServers() {
				f.net.slow[[2]node{n, s.node()}] -= x.Delay
				f.net.slow[[2]node{s.node(), n}] -= x.Delay
			}
		})
	}
}

// strand cuts servers and their clients off from all others.
func (f *faults) strand(x plan.Fault, s *server, company, others []node) {
	side := append([]node{s.node()}, company...)
	for _, e := range f.net.ends {
		if e.port == clientPort && e.open && e.at >= firstClient && slices.Contains(side, e.peer.at) && !slices.Contains(side, e.at) {
			side = append(side, e.at)
		}
	}
	f.part(x, s, between([]port{electionPort, quorumPort, clientPort}, side, others), others)
}

// reset breaks connections, once.
func (f *faults) reset(x plan.Fault, s *server, on []port, others []node) {
	felt := false
	for _, e := range slices.Clone(f.net.ends) {
		if e.at == s.node() && (e.open || e.peer.open) && slices.Contains(on, e.port) && slices.Contains(others, e.peer.at) {
			felt = true
			e.reset()
		}
	}
	if felt {
		f.felt(x, s)
	}
}

// swizzle cuts servers off one by one and lets them back in another order.
func (f *faults) swizzle(x plan.Fault) {
	for i, j := range f.r.Perm(len(x.Side)) {
		s := f.servers[x.Side[i]-1]
		_, others := f.sides(nil, s)
		gone := clock.Time(i) * x.Delay
		back := x.Span + clock.Time(j)*x.Delay
		f.world.after(gone, func() { f.cutFor(x, s, max(back-gone, 1), between(portsOf(x.Port), []node{s.node()}, others)) })
	}
}
