package zab

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

var (
	seeds     = flag.Int("seeds", 0, "how many worlds TestWorlds makes; 0: 2000, with -short 300")
	firstSeed = flag.Uint64("seed", 1, "the first of them")
)

// TestWorlds runs ensembles of machines on disks that lag and crash, over links that break, under leaders that come and go, and
// checks what must never happen while it happens. Afterwards everything heals, and all must be as one.
func TestWorlds(t *testing.T) {
	worlds := *seeds
	switch {
	case worlds > 0:
	case testing.Short(): // as the race detector is run: a world has one goroutine, which races with nobody
		worlds = 300
	default:
		worlds = 2000
	}
	var sum tally
	for seed := *firstSeed; seed < *firstSeed+uint64(worlds); seed++ {
		w := newWorld(t, seed)
		w.run(2500)
		w.heal()
		sum.add(&w.tally)
	}
	t.Logf("%d worlds: %+v", worlds, sum)
	require.Greater(t, sum.Agreed, 10*worlds)
	require.Greater(t, sum.Established, 2*worlds)
	for _, n := range []int{sum.Crashes, sum.Cuts, sum.Truncations, sum.Snapshots, sum.Repaired, sum.Confirmed} {
		require.Greater(t, n, worlds/20, "the worlds are too quiet to prove anything")
	}
	if worlds >= 2000 {
		require.NotZero(t, sum.Uncut, "the worlds are too quiet to prove anything")
	}
}

// A tally counts what happened.
type tally struct {
	Agreed, Established, Crashes, Cuts, Truncations, Snapshots, Repaired, Exhausted, Confirmed, Uncut, Partial int
}

func (s *tally) add(o *tally) {
	s.Agreed += o.Agreed
	s.Established += o.Established
	s.Crashes += o.Crashes
	s.Cuts += o.Cuts
	s.Truncations += o.Truncations
	s.Snapshots += o.Snapshots
	s.Repaired += o.Repaired
	s.Exhausted += o.Exhausted
	s.Confirmed += o.Confirmed
	s.Uncut += o.Uncut
	s.Partial += o.Partial
}

type world struct {
	tally
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	now    int64
	calm   bool
	start  uint32
	config *quorum.Config

	servers []*server // by id, from 1
	wires   []*wire
	links   packet.LinkID
	writes  int

	ledger      []Record              // what any client may have been told is done
	logged      map[znode.Zxid]uint64 // who ever had it on disk
	payloads    map[znode.Zxid][]byte // proposed under this zxid
	sealed      map[int64]uint64      // who ever had this current epoch on disk
	initial     map[int64][]Record    // what the leader of the epoch had when it began
	leaders     map[int64]packet.ServerID
	established map[int64]int64 // when
}

// A wire is the connection of a learner to a leader.
type wire struct {
	id              packet.LinkID
	leader, learner *server
	down            bool
	half            bool // the learner has left, and the leader does not know yet; what was sent still arrives
	toLeader        []packet.Packet
	toLearner       []packet.Packet
	snapshots       [][]Record // that follow the SNAPs in toLearner
	incoming        []Record   // that the learner is to install
	wanted          bool       // TakeSnapshot was asked for
}

// A write is something a disk does in its time, in order.
type write struct {
	kind    EffectKind
	epoch   int64
	zxid    znode.Zxid
	record  Record
	replace []Record
	partial bool
}

type server struct {
	id       packet.ServerID
	observer bool
	up       bool

	// On disk.
	accepted, current int64
	disk              []Record
	damaged           bool
	floor             znode.Zxid // of the snapshot it begins with: it cannot be cut before

	queue   []write  // of the log
	epochs  []write  // of the epoch files, which are others
	log     []Record // as it will be when the queue is done
	history *History

	leader  *Leader
	learner *Learner
	wire    *wire      // of the learner
	applied znode.Zxid // of the tree, which may lag behind
	uncut   Uncut      // by uncutBy
	uncutBy *server
	partial bool             // installed, and lacks what must follow
	asked   map[uint64]int64 // barriers, and the highest epoch established when they were asked
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 5)), config: &quorum.Config{}, logged: map[znode.Zxid]uint64{},
		payloads: map[znode.Zxid][]byte{}, sealed: map[int64]uint64{}, initial: map[int64][]Record{},
		leaders: map[int64]packet.ServerID{}, established: map[int64]int64{},
	}
	voters := []int{1, 3, 3, 3, 4, 5}[w.rng.IntN(6)]
	if w.rng.IntN(20) == 0 {
		w.start = lastCounter - 5
	}
	for i := range voters + w.rng.IntN(2) {
		s := &server{id: packet.ServerID(i + 1), observer: i >= voters, up: true}
		s.history = NewHistory(0, 1+w.rng.IntN(8), 1<<20)
		w.servers = append(w.servers, s)
		w.config.Members = append(w.config.Members, quorum.Member{ID: s.id, Observer: s.observer})
	}
	return w
}

func (w *world) must(ok bool, format string, args ...any) {
	if !ok {
		w.t.Helper()
		w.t.Fatalf("seed %d: %s\n(go test -run TestWorlds -seeds 1 -seed %d)", w.seed, fmt.Sprintf(format, args...), w.seed)
	}
}

func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

func (w *world) run(steps int) {
	for range steps {
		w.step()
		if w.chance(5) {
			w.trouble()
		}
	}
}

// step lets something happen, and time pass.
func (w *world) step() {
	before := w.now / 400
	w.now += w.rng.Int64N(30)
	if w.now/400 != before {
		for _, s := range w.servers {
			w.with(s, func(out *[]Effect) {
				if s.leader != nil {
					s.leader.Tick(w.now, out)
				} else if s.learner != nil {
					s.learner.Tick(w.now, out)
				}
			})
		}
	}
	s := w.servers[w.rng.IntN(len(w.servers))]
	switch n := w.rng.IntN(10); {
	case n < 5 && len(w.wires) > 0:
		w.deliver(w.wires[w.rng.IntN(len(w.wires))], 1+w.rng.IntN(6))
	case n < 7 && w.chance(75):
		w.write(s, &s.queue, 1+w.rng.IntN(6))
	case n < 7:
		w.write(s, &s.epochs, 1)
	case n < 9:
		if !w.calm || w.chance(10) {
			w.propose()
		}
	default:
		w.housekeeping(s)
	}
}

// trouble is something that should not happen but does.
func (w *world) trouble() {
	s := w.servers[w.rng.IntN(len(w.servers))]
	switch w.rng.IntN(6) {
	case 0:
		w.crash(s)
	case 1:
		if len(w.wires) > 0 {
			w.Cuts++
			w.cut(w.wires[w.rng.IntN(len(w.wires))])
		}
	case 2:
		if w.chance(30) {
			w.elect()
		}
	}
}

// housekeeping is what a replica does now and then.
func (w *world) housekeeping(s *server) {
	if !s.up {
		if w.calm || w.chance(50) {
			w.restart(s)
		}
		return
	}
	switch {
	case s.leader == nil && s.learner == nil:
		w.join(s)
	case s.leader != nil:
		w.lead(s)
	case s.learner.Established():
		s.applied = max(s.applied, min(s.learner.Committed(), last(s.disk)))
		s.history.Keep(s.applied)
	}
}

func (w *world) lead(s *server) {
	if !s.leader.Established() {
		return
	}
	s.applied = max(s.applied, min(s.leader.Committed(), last(s.disk)))
	s.leader.Applied(s.applied)
	w.with(s, func(out *[]Effect) {
		s.asked[s.leader.Barrier(w.now, out)] = w.highest()
	})
	if s.leader != nil && s.leader.Fresh(w.now) {
		for epoch, at := range w.established {
			w.must(epoch <= s.leader.Epoch() || at >= w.now-1500, "leader %d of epoch %d is fresh at %d, but epoch %d began at %d", s.id, s.leader.Epoch(), w.now, epoch, at)
		}
	}
	if s.leader != nil && s.leader.Exhausted() {
		w.Exhausted++
		w.leave(s)
	}
}

func (w *world) highest() int64 {
	var highest int64
	for epoch := range w.established {
		highest = max(highest, epoch)
	}
	return highest
}

func (w *world) propose() {
	for _, s := range w.servers {
		if s.leader == nil || !s.leader.Established() || s.leader.Exhausted() || w.chance(30) ||
			len(s.log)-len(w.ledger) > 40 {
			continue
		}
		w.writes++
		r := Record{Zxid: s.leader.Next(), Payload: fmt.Appendf(nil, "%d by %d", w.writes, s.id)}
		w.must(w.payloads[r.Zxid] == nil, "%v is given away twice", r.Zxid)
		w.payloads[r.Zxid] = r.Payload
		w.with(s, func(out *[]Effect) {
			require.NoError(w.t, s.leader.Propose(r, w.now, out))
			s.log = append(s.log, r)
			s.queue = append(s.queue, write{kind: Append, record: r})
		})
	}
}

// join lets a server without a role follow the newest leader there is.
func (w *world) join(s *server) {
	var leader *server
	for _, o := range w.servers {
		if o.leader != nil && (leader == nil || o.leader.Epoch() > leader.leader.Epoch()) {
			leader = o
		}
	}
	switch {
	case leader != nil:
		w.learn(s, leader)
	case !s.observer && !s.damaged:
		w.elect()
	}
}

// elect makes a quorum of voters leave what they do for a new leader: the best of them.
func (w *world) elect() {
	var voters []*server
	for _, i := range w.rng.Perm(len(w.servers)) {
		if s := w.servers[i]; s.up && !s.observer && !s.damaged {
			voters = append(voters, s)
		}
	}
	enough := len(w.config.Voters())/2 + 1
	if len(voters) < enough {
		return
	}
	if !w.calm {
		voters = voters[:enough+w.rng.IntN(len(voters)-enough+1)]
	}
	for _, s := range voters {
		w.leave(s)
	}
	best := voters[0]
	for _, s := range voters[1:] {
		if s.current > best.current || s.current == best.current && (last(s.disk) > last(best.disk) || last(s.disk) == last(best.disk) && s.id > best.id) {
			best = s
		}
	}
	best.asked = map[uint64]int64{}
	out := []Effect{}
	best.leader = NewLeader(LeaderConfig{
		Self: best.id, Quorum: w.config, Config: "", Tick: 1000, InitLimit: 10, SyncLimit: 5, AcceptedEpoch: best.accepted,
		CurrentEpoch: best.current, Last: last(best.disk), History: best.history, CounterStart: w.start,
	}, w.now, &out)
	best.leader.Applied(best.applied)
	w.perform(best, out)
	for _, s := range voters {
		if s != best && best.leader != nil {
			w.learn(s, best)
		}
	}
}

func (w *world) learn(s, leader *server) {
	if s == leader || s.leader != nil || s.learner != nil {
		return
	}
	w.drain(s)
	s.history.Keep(s.applied)
	if s.uncutBy != leader {
		s.uncut = Uncut{}
	}
	w.links++
	s.wire = &wire{id: w.links, leader: leader, learner: s}
	w.wires = append(w.wires, s.wire)
	w.with(s, func(out *[]Effect) {
		s.learner = NewLearner(LearnerConfig{
			Self: s.id, Leader: leader.id, Quorum: w.config, Observer: s.observer, Untrusted: s.damaged, Tick: 1000, InitLimit: 10, SyncLimit: 5,
			AcceptedEpoch: s.accepted, CurrentEpoch: s.current, Last: last(s.disk), History: s.history, Uncut: s.uncut,
		}, w.now, out)
		s.learner.Connected(w.now, out)
	})
	w.with(leader, func(out *[]Effect) { leader.leader.Accept(s.wire.id, w.now, out) })
}

// leave ends a server's role: its links are gone, its disk finishes what was asked of it.
func (w *world) leave(s *server) {
	s.leader, s.learner = nil, nil
	s.wire = nil
	for _, link := range slices.Clone(w.wires) {
		if link.leader == s || link.learner == s {
			w.cut(link)
		}
	}
	w.drain(s)
}

// cut ends a link, and both ends notice, the leader perhaps later.
func (w *world) cut(link *wire) {
	if link.down {
		return
	}
	late := !link.half && link.leader.leader != nil && w.chance(40)
	if link.half = late; !late {
		link.down = true
		w.wires = slices.DeleteFunc(w.wires, func(o *wire) bool { return o == link })
		if leader := link.leader; leader.leader != nil {
			w.with(leader, func(out *[]Effect) { leader.leader.Drop(link.id, w.now, out) })
		}
	}
	if s := link.learner; s.wire == link {
		w.leave(s)
	}
}

func (w *world) drain(s *server) {
	w.commitToDisk(s, &s.queue, len(s.queue))
	w.commitToDisk(s, &s.epochs, len(s.epochs))
	s.log = slices.Clone(s.disk)
	if s.history.Last() != last(s.disk) {
		w.remember(s)
	}
}

// remember fills the history from the disk, or from some part of it.
func (w *world) remember(s *server) {
	from := 0
	if len(s.disk) > 0 {
		from = w.rng.IntN(len(s.disk) + 1)
	}
	s.applied = last(s.disk)
	s.history = NewHistory(last(s.disk[:from]), 1+w.rng.IntN(40), 1<<20)
	for _, r := range s.disk[from:] {
		require.NoError(w.t, s.history.Add(r))
	}
}

// crash takes a server's memory, and any part of what its disk was still to do. Sometimes the disk is lost as well, but never of so many
// that what was agreed upon could be lost.
func (w *world) crash(s *server) {
	if !s.up {
		return
	}
	w.Crashes++
	w.commitToDisk(s, &s.queue, w.rng.IntN(len(s.queue)+1))
	w.commitToDisk(s, &s.epochs, w.rng.IntN(len(s.epochs)+1))
	s.queue, s.epochs, s.up = nil, nil, false
	w.leave(s)
	if w.chance(25) && w.spare() && len(s.disk) > 0 {
		s.disk, s.log, s.floor, s.damaged, s.partial, s.uncut = nil, nil, 0, true, false, Uncut{}
	}
	w.remember(s)
}

// spare reports whether one more disk may be lost.
func (w *world) spare() bool {
	lost := 0
	for _, o := range w.servers {
		if o.damaged && !o.observer {
			lost++
		}
	}
	return lost < (len(w.config.Voters())-1)/2
}

// restart brings a server back with a tree of all it has on disk.
func (w *world) restart(s *server) { s.up, s.applied = true, last(s.disk) }

func last(log []Record) znode.Zxid {
	if len(log) == 0 {
		return 0
	}
	return log[len(log)-1].Zxid
}

// upTo is the part of a log that ends with z.
func upTo(log []Record, z znode.Zxid) []Record {
	n, _ := slices.BinarySearchFunc(log, z+1, func(r Record, z znode.Zxid) int { return int(min(max(r.Zxid-z, -1), 1)) })
	return log[:n]
}

func same(a, b []Record) bool {
	return slices.EqualFunc(a, b, func(x, y Record) bool { return x.Zxid == y.Zxid && bytes.Equal(x.Payload, y.Payload) })
}
