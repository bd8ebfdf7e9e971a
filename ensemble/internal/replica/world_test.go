package replica_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// How time is counted in a world, in milliseconds, or in ticks for the limits.
const (
	tick      = 1000
	initLimit = 5
	syncLimit = 3
	hold      = 20_000
)

// A world is an ensemble in one goroutine: hosts with replicas and disks, links between them, clients. What happens next is drawn
// from a seed among all that can: a packet arrives, a disk operation is done, a dump is taken. Time goes on when nothing else can
// happen, and now and then before.
type world struct {
	*testing.T
	rng    *rand.Rand
	now    int64
	config *quorum.Config
	shape  shape
	hosts  []*host // in order of their ids, which begin with 1
	cut    map[[2]packet.ServerID]bool
	links  packet.LinkID
	conns  request.ConnID
	trace  []string

	// What every server must agree on: the digest of the tree after each transaction that anybody applied.
	digests map[znode.Zxid]uint64
}

// A shape is how the servers of a world are made.
type shape struct {
	servers, observers int
	counterStart       uint32
	history            int  // records a server remembers for others
	strangers          bool // servers do not see that the others are Bellwethers, and take them for Apache's
}

var seeds = flag.Uint64("seeds", 0, "how many different courses each scenario takes; 0: twelve, with -short three")

// courses is how many that are. With -short, as the race detector is run, they are few: a world has one goroutine, which races with
// nobody.
func courses() uint64 {
	switch {
	case *seeds > 0:
		return *seeds
	case testing.Short():
		return 3
	}
	return 12
}

// worlds runs a scenario in many worlds of a shape.
func worlds(t *testing.T, s shape, scenario func(w *world)) {
	for seed := range courses() {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, seed, s)
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(strings.Join(w.trace[max(0, len(w.trace)-150):], "\n"))
				}
			})
			scenario(w)
			w.mustBeSound()
		})
	}
}

func newWorld(t *testing.T, seed uint64, s shape) *world {
	w := &world{
		T: t, rng: rand.New(rand.NewPCG(seed, 0)), now: 1000 * int64(seed), shape: s,
		cut: make(map[[2]packet.ServerID]bool), digests: make(map[znode.Zxid]uint64),
	}
	var text strings.Builder
	for id := 1; id <= s.servers+s.observers; id++ {
		role := "participant"
		if id > s.servers {
			role = "observer"
		}
		fmt.Fprintf(&text, "server.%d=host%d:2888:3888:%s\n", id, id, role)
		w.hosts = append(w.hosts, &host{w: w, id: packet.ServerID(id)})
	}
	var err error
	w.config, err = quorum.Parse(text.String())
	require.NoError(t, err)
	return w
}

func (w *world) note(format string, args ...any) {
	if len(w.trace) > 600 {
		w.trace = w.trace[300:]
	}
	w.trace = append(w.trace, fmt.Sprintf("%8d ", w.now)+fmt.Sprintf(format, args...))
}

func (w *world) host(id packet.ServerID) *host { return w.hosts[id-1] }

// start starts all servers that do not run.
func (w *world) start() {
	for _, h := range w.hosts {
		if h.r == nil {
			h.boot(nil)
		}
	}
}

// leader is the host that serves as the leader; it must be there.
func (w *world) leader() *host {
	for _, h := range w.hosts {
		if h.serves(replica.Leading) {
			return h
		}
	}
	require.Fail(w, "nobody leads", w.state())
	return nil
}

// followers are the hosts that serve as followers.
func (w *world) followers() (list []*host) {
	for _, h := range w.hosts {
		if h.serves(replica.Following) {
			list = append(list, h)
		}
	}
	return list
}

// served reports whether all servers that run serve.
func (w *world) served() bool {
	leading := 0
	for _, h := range w.hosts {
		if h.r == nil {
			continue
		}
		role, serving := h.r.Role()
		if !serving || h.r.Untrusted() != nil {
			return false
		}
		if role == replica.Leading {
			leading++
		}
	}
	return leading == 1
}

// mustServe lets the world go on until all servers that run serve, and returns the leader.
func (w *world) mustServe() *host {
	w.Helper()
	w.until(w.served, "all servers serve")
	return w.leader()
}

func (w *world) state() string {
	var b strings.Builder
	for _, h := range w.hosts {
		if h.r == nil {
			fmt.Fprintf(&b, "\nserver %d is down", h.id)
			continue
		}
		role, serving := h.r.Role()
		accepted, current := h.r.Epochs()
		fmt.Fprintf(&b, "\nserver %d: %v serving=%v of %d, epochs %d %d, logged %v tree %v waiting %d, untrusted %v, left %v",
			h.id, role, serving, h.r.Leader(), accepted, current, h.r.Zxid(), h.r.Tree().Zxid(), h.r.Waiting(), h.r.Untrusted(), h.r.Left())
	}
	return b.String()
}

// until lets the world go on until done, for at most two minutes of its time and as many steps as that may take.
func (w *world) until(done func() bool, what string) {
	w.Helper()
	end := w.now + 120_000
	for steps := 0; ; steps++ {
		w.settleAll()
		if done() {
			return
		}
		if w.now > end || steps > 200_000 {
			require.Fail(w, "never: "+what, w.state())
		}
		w.step()
	}
}

// pass lets the world go on for a while.
func (w *world) pass(ms int64) {
	w.Helper()
	end := w.now + ms
	w.until(func() bool { return w.now >= end }, "time goes by")
}

// step lets one thing happen.
func (w *world) step() {
	var can []func()
	for _, h := range w.hosts {
		can = h.can(can)
	}
	if len(can) == 0 || w.rng.IntN(100) == 0 {
		w.wait(len(can) == 0)
		return
	}
	can[w.rng.IntN(len(can))]()
}

// wait lets time go on: to the next moment somebody has something to do, or only a little way.
func (w *world) wait(idle bool) {
	next := w.now + tick
	for _, h := range w.hosts {
		if h.r != nil {
			next = min(next, h.next)
		}
	}
	if !idle {
		next = min(next, w.now+1+w.rng.Int64N(20))
	}
	w.now = max(w.now, next)
	for _, h := range w.hosts {
		if h.r != nil && h.next <= w.now {
			h.tick()
		}
	}
}

func (w *world) settleAll() {
	for _, h := range w.hosts {
		h.settle()
	}
}

// mustBeSound lets the world come to rest and checks that all servers have the same tree.
func (w *world) mustBeSound() {
	w.Helper()
	w.connectAll()
	w.start()
	w.mustServe()
	leader := w.leader()
	w.until(func() bool {
		for _, h := range w.hosts {
			if h.r.Tree().Zxid() != leader.r.Zxid() {
				return false
			}
		}
		return w.served()
	}, "all servers have everything")
	for _, h := range w.hosts {
		require.Equal(w, leader.r.Tree().Digest(), h.r.Tree().Digest(), "server %d", h.id)
		require.Equal(w, leader.r.Tree().NodeCount(), h.r.Tree().NodeCount(), "server %d", h.id)
		require.Equal(w, leader.r.Tree().SessionCount(), h.r.Tree().SessionCount(), "server %d", h.id)
	}
}

// Partitions. Between hosts that are cut from each other nothing arrives and no connection is made; what is under way waits.

func pair(a, b packet.ServerID) [2]packet.ServerID { return [2]packet.ServerID{min(a, b), max(a, b)} }

// isolate cuts a host from all others.
func (w *world) isolate(h *host) {
	for _, o := range w.hosts {
		if o != h {
			w.setCut(h, o, true)
		}
	}
}

func (w *world) connectAll() {
	for _, a := range w.hosts {
		for _, b := range w.hosts {
			if a.id < b.id {
				w.setCut(a, b, false)
			}
		}
	}
}

func (w *world) setCut(a, b *host, cut bool) {
	if w.cut[pair(a.id, b.id)] == cut {
		return
	}
	w.note("%d and %d cut: %v", a.id, b.id, cut)
	w.cut[pair(a.id, b.id)] = cut
	a.reach(b)
	b.reach(a)
}

// Links.

// An end is one host's side of a link.
type end struct {
	id      packet.LinkID
	host    *host
	peer    *end
	leader  packet.ServerID // who was dialled; 0 on the other side
	in      []item          // on the way to this end
	closed  bool            // by its host, or because it has heard of its end
	dead    bool            // its host has not heard of the link, or no longer wants to
	stream  []byte          // a snapshot that is taken in
	install func()          // says that it replaces what was on disk
}

// An item is a packet, or something else that arrives in order with packets.
type item struct {
	packet   []byte
	snapshot []byte
	opened   bool
	down     bool
}

// dial connects a host to a leader, if that takes in learners.
func (w *world) dial(from *host, leader packet.ServerID) {
	to := w.host(leader)
	if to.swallows {
		return
	}
	if to.r == nil || !to.accepting || w.cut[pair(from.id, leader)] {
		from.failed++
		return
	}
	a := &end{id: w.links + 1, host: from, leader: leader, in: []item{{opened: true}}}
	b := &end{id: w.links + 2, host: to, peer: a, in: []item{{opened: true}}}
	a.peer = b
	w.links += 2
	from.ends, to.ends = append(from.ends, a), append(to.ends, b)
}

// unmark takes out of a packet what Apache's servers do not say.
func unmark(p *packet.Packet) {
	switch p.Type {
	case packet.TypeFollowerInfo, packet.TypeObserverInfo, packet.TypeLeaderInfo:
		p.Data = bytes.TrimSuffix(p.Data, []byte(packet.Mark))
	}
}

func (e *end) send(i item) {
	if !e.closed && !e.dead && !e.peer.dead {
		e.peer.in = append(e.peer.in, i)
	}
}

// close ends a link from this side. What the other has not got yet may be lost with it.
func (e *end) close() {
	if e.closed || e.dead {
		return
	}
	if lost := len(e.peer.in); lost > 0 && !e.peer.in[0].opened {
		e.peer.in = e.peer.in[:lost-e.host.w.rng.IntN(lost+1)]
	}
	e.send(item{down: true})
	e.closed, e.in = true, []item{{down: true}}
}

// kill ends a link whose host is gone.
func (e *end) kill() {
	e.close()
	e.dead, e.in = true, nil
}

// can reports whether something has arrived.
func (e *end) can() bool {
	w := e.host.w
	switch {
	case e.install != nil || e.stream != nil:
		return e.install != nil || len(e.host.queued) == 0
	case len(e.in) == 0:
		return false
	}
	return e.closed || e.in[0].opened || !w.cut[pair(e.host.id, e.peer.host.id)]
}

// deliver hands over what comes next.
func (e *end) deliver() {
	h, w := e.host, e.host.w
	now := w.time()
	switch {
	case e.install != nil:
		e.install()
		e.install = nil
		return
	case e.stream != nil:
		e.replaceDisk()
		return
	}
	next := e.in[0]
	switch {
	case next.opened:
		e.in = e.in[1:]
		if e.leader != 0 {
			w.note("%d is linked to %d by %d", h.id, e.leader, e.id)
			h.r.Linked(e.leader, e.id, now)
		} else {
			h.r.Accepted(e.id, now)
		}
	case next.down:
		w.note("%d hears that link %d is down", h.id, e.id)
		e.dead = true
		e.close()
		e.in = nil
		h.r.LinkDown(e.id, errReset, now)
	case next.snapshot != nil:
		e.in = e.in[1:]
		if !h.r.Installing(e.id) {
			e.close()
			break
		}
		e.stream = next.snapshot
		h.r.Progress(e.id, now)
	default:
		h.r.Packets(e.id, e.batch(), now)
	}
}

// batch takes some of the packets that have arrived. The stream of a snapshot begins a new one.
func (e *end) batch() (batch []packet.Packet) {
	for n := 1 + e.host.w.rng.IntN(8); n > 0 && len(e.in) > 0 && e.in[0].packet != nil; n-- {
		var p packet.Packet
		d := jute.NewDecoder(e.in[0].packet)
		p.DecodeJute(&d)
		require.NoError(e.host.w, d.Err())
		e.host.w.note("%d gets from %d: %v", e.host.id, e.peer.host.id, &p)
		batch = append(batch, p)
		e.in = e.in[1:]
	}
	return batch
}

// replaceDisk makes a snapshot that has come whole all that is on disk; the replica is told later.
func (e *end) replaceDisk() {
	h := e.host
	stream := e.stream
	e.stream = nil
	if !h.r.BeginInstall(e.id) {
		e.close()
		return
	}
	t := receive(h.w, stream)
	if h.deaf || h.w.rng.IntN(8) == 0 {
		h.w.note("%d has not got a whole snapshot", h.id)
		e.install = func() {
			h.r.NotInstalled(h.w.time())
			e.close()
		}
		return
	}
	h.w.note("%d has a snapshot at %v on disk", h.id, t.Zxid())
	h.disk.image, h.disk.base, h.disk.records = bytes.Clone(stream), t.Zxid(), nil
	h.disk.damaged, h.disk.fuzzy = nil, h.r.Partial()
	e.install = func() {
		h.w.note("%d has installed it", h.id)
		h.r.Installed(e.id, t, h.w.time())
	}
}

func (w *world) time() replica.Time { return replica.Time{Mono: w.now, Wall: wall + w.now} }
