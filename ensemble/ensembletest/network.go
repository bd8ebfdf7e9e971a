package ensembletest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
)

// sharedHost is what dials through [Ensemble.Dial]; each client of Connect has a host of its own.
const sharedHost = "127.0.1.0"

// A way is one direction between two hosts.
type way struct{ from, to string }

// An ill is what is wrong with a way. The zero ill is nothing.
type ill struct {
	cut   bool
	delay time.Duration
}

// faults are what is wrong with the network: what was asked for, from which what each way suffers is worked out. Its methods may be
// called by many goroutines.
type faults struct {
	wires *memnet.Network

	mu       sync.Mutex
	servers  []string
	clients  map[string]bool // hosts
	last     int             // of the clients' hosts that were given away
	group    map[string]int  // of each server while there is a partition; nil: there is none
	cuts     map[way]bool
	delays   map[way]time.Duration
	garbled  map[way]garble
	isolated map[string]bool // servers that are paused
	apart    map[string]bool // while leadership is transferred: who hears only those of the same value; others hear all
	applied  map[way]ill     // what wires has been told
}

func (f *faults) init(wires *memnet.Network, n int) {
	f.wires = wires
	for id := range n {
		f.servers = append(f.servers, serverHost(id+1))
	}
	f.clients = map[string]bool{sharedHost: true}
	f.cuts, f.delays, f.garbled = map[way]bool{}, map[way]time.Duration{}, map[way]garble{}
	f.isolated, f.applied = map[string]bool{}, map[way]ill{}
}

// newHost is one that nobody has; what is wrong with everybody's ways is wrong with its ways too.
func (f *faults) newHost() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	host := "127." + strconv.Itoa(1+f.last>>16) + "." + strconv.Itoa(f.last>>8&0xff) + "." + strconv.Itoa(f.last&0xff)
	f.clients[host] = true
	f.apply()
	return host
}

// forget takes a client's host away, and what was wrong with its ways.
func (f *faults) forget(host string) {
	f.change(func() {
		delete(f.clients, host)
		maps.DeleteFunc(f.cuts, func(w way, _ bool) bool { return w.from == host || w.to == host })
		maps.DeleteFunc(f.delays, func(w way, _ time.Duration) bool { return w.from == host || w.to == host })
	})
}

// change changes what is wrong, and tells the network.
func (f *faults) change(what func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what()
	f.apply()
}

// isolate cuts a server off from everybody, clients too, or takes that back.
func (f *faults) isolate(host string, on bool) {
	f.change(func() {
		delete(f.isolated, host)
		if on {
			f.isolated[host] = true
		}
	})
}

// separate keeps two groups of servers from hearing each other.
func (f *faults) separate(one, other []string) {
	f.change(func() {
		f.apart = map[string]bool{}
		for _, host := range one {
			f.apart[host] = false
		}
		for _, host := range other {
			f.apart[host] = true
		}
	})
}

// apply tells the network what has changed. f.mu is held.
func (f *faults) apply() {
	if len(f.applied) == 0 && f.group == nil && len(f.cuts)+len(f.delays)+len(f.isolated)+len(f.apart) == 0 {
		return
	}
	wanted := map[way]ill{}
	for _, s := range f.servers {
		for _, other := range f.servers {
			f.note(wanted, way{s, other})
		}
		for c := range f.clients {
			f.note(wanted, way{s, c})
			f.note(wanted, way{c, s})
		}
	}
	for w, was := range f.applied {
		if is := wanted[w]; was.cut && !is.cut || was.delay > 0 && is.delay == 0 {
			f.wires.Heal(w.from, w.to)
			delete(f.applied, w)
		}
	}
	for w, is := range wanted {
		was := f.applied[w]
		if is.cut && !was.cut {
			f.wires.Cut(w.from, w.to)
		}
		if is.delay != was.delay {
			f.wires.Delay(w.from, w.to, is.delay)
		}
	}
	f.applied = wanted
}

// note puts what is wrong with a way in all. f.mu is held.
func (f *faults) note(all map[way]ill, w way) {
	if w.from == w.to {
		return
	}
	if is := (ill{cut: f.isCut(w), delay: f.delays[w]}); is != (ill{}) {
		all[w] = is
	}
}

// isCut reports whether nothing arrives. f.mu is held.
func (f *faults) isCut(w way) bool {
	from, in := f.group[w.from]
	to, too := f.group[w.to]
	a, one := f.apart[w.from]
	b, other := f.apart[w.to]
	return one && other && a != b || f.cuts[w] || f.isolated[w.from] || f.isolated[w.to] || in && too && from != to
}

// connected reports whether two hosts hear each other.
func (f *faults) connected(a, b string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return a == b || !f.isCut(way{a, b}) && !f.isCut(way{b, a})
}

// Partition divides the servers into groups that do not hear each other: nothing that is sent arrives, and nobody is told. Servers
// that are in none of the groups are one more. Clients reach all. It takes the place of the partition before; Heal ends it. It panics
// if there is no such server, or if one is in two groups.
func (e *Ensemble) Partition(groups ...[]int) {
	e.mustBelong()
	group := map[string]int{}
	for i, ids := range groups {
		for _, id := range ids {
			host := e.Server(id).host
			if _, in := group[host]; in {
				panic(fmt.Sprintf("ensembletest: server %d is in two groups of a partition", id))
			}
			group[host] = i + 1
		}
	}
	for _, s := range e.servers {
		group[s.host] += 0 // all others: the group 0
	}
	e.faults.change(func() { e.faults.group = group })
}

// Cut loses everything between two servers, in both directions, until Heal.
func (e *Ensemble) Cut(a, b int) {
	e.CutOneWay(a, b)
	e.CutOneWay(b, a)
}

// CutOneWay loses everything that one server says to another until Heal: that one hears nothing, but is heard. No new connection comes
// about between them, since that takes both ways.
func (e *Ensemble) CutOneWay(from, to int) {
	e.mustBelong()
	w := way{e.Server(from).host, e.Server(to).host}
	e.faults.change(func() { e.faults.cuts[w] = true })
}

// CutFromLeader cuts a server off from who leads at this moment, and from nobody else, until Heal. It returns the leader; nil, and
// nothing is cut, if nobody leads or the server does so itself.
func (e *Ensemble) CutFromLeader(id int) *Server {
	leader := e.Leader()
	if leader == nil || leader.id == id {
		return nil
	}
	e.Cut(id, leader.id)
	return leader
}

// CutClient loses everything between a client, one of Connect's, and servers, or all servers if none is given, until Heal. The client
// is not told: it has to notice.
func (e *Ensemble) CutClient(c *client.Client, servers ...int) {
	e.mustBelong()
	host := e.postOf(c).host
	hosts := e.hosts(servers)
	e.faults.change(func() {
		for _, s := range hosts {
			e.faults.cuts[way{host, s}], e.faults.cuts[way{s, host}] = true, true
		}
	})
}

// Delay lets everything take d from one server to another, in this direction, until Heal or the next Delay of the same two. 0 ends it.
func (e *Ensemble) Delay(from, to int, d time.Duration) {
	e.mustBelong()
	w := way{e.Server(from).host, e.Server(to).host}
	e.faults.change(func() { e.faults.delays[w] = d })
}

// DelayClient lets everything take d between a client, one of Connect's, and all servers, in each direction, until Heal. 0 ends it.
func (e *Ensemble) DelayClient(c *client.Client, d time.Duration) {
	e.mustBelong()
	host := e.postOf(c).host
	e.faults.change(func() {
		for _, s := range e.faults.servers {
			e.faults.delays[way{host, s}], e.faults.delays[way{s, host}] = d, d
		}
	})
}

// Drop breaks all connections of the clients, ones of Connect's, or of all clients if none is given. They notice at once, and may
// connect again. A request on its way is lost before it arrives, or its answer is.
func (e *Ensemble) Drop(clients ...*client.Client) {
	e.mustBelong()
	var hosts []string
	for _, c := range clients {
		hosts = append(hosts, e.postOf(c).host)
	}
	if len(clients) == 0 {
		e.faults.mu.Lock()
		hosts = slices.Collect(maps.Keys(e.faults.clients))
		e.faults.mu.Unlock()
	}
	for _, host := range hosts {
		for _, s := range e.servers {
			e.wires.Reset(host, s.host)
		}
	}
}

// DropBetween breaks the connections between two servers. They notice at once, and connect again.
func (e *Ensemble) DropBetween(a, b int) {
	e.mustBelong()
	e.wires.Reset(e.Server(a).host, e.Server(b).host)
}

// Heal ends the partition, all cuts, delays and what was done to notifications. What was late arrives. Servers that are paused stay so,
// and what proxies do is theirs to end.
func (e *Ensemble) Heal() {
	e.mustBelong()
	e.faults.change(func() {
		e.faults.group = nil
		clear(e.faults.cuts)
		clear(e.faults.delays)
		clear(e.faults.garbled)
	})
}

// hosts are those of servers, of all if none is given.
func (e *Ensemble) hosts(servers []int) []string {
	if len(servers) == 0 {
		return e.faults.servers
	}
	hosts := make([]string, len(servers))
	for i, id := range servers {
		hosts[i] = e.Server(id).host
	}
	return hosts
}
