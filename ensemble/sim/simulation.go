package sim

import (
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/judge"
)

// A simulation is one run.
type simulation struct {
	opts    Options
	world   *world
	net     *network
	config  *quorum.Config
	servers []*server
	clients []*client
	history *judge.History
	inv     *judge.Invariants
	rules   judge.Rules
	counts  counts
	faults  *faults
	bounds  bounds

	lastRefusal error // why a server did not start, or stopped
	bad         []judge.Violation
	restarted   bool
}

// Run runs a seed's ensemble and judges it. What happens is written to trace, if that is not nil.
func Run(o Options, trace io.Writer) Report {
	s := newSimulation(o, trace)
	s.play()
	return s.report()
}

func newSimulation(o Options, trace io.Writer) *simulation {
	s := &simulation{opts: o, world: newWorld(o.Seed, trace), config: o.members(), history: judge.NewHistory(), counts: counts{}, bounds: newBounds()}
	s.rules = judge.Rules{Tick: o.ticks(1), Patience: max(60*clock.Second, o.ticks(75)), Extended: treeOptions.Extended}
	if o.CounterStart > 0 {
		s.rules.FirstCounter = o.CounterStart + 1
	}
	s.net = newNetwork(s.world)
	s.net.base, s.net.jitter, s.net.machine = o.Delay, o.Jitter, s.machine
	clocks := s.world.chance(ofClocks)
	for id := 1; id <= o.Voters+o.Observers; id++ {
		n := packet.ServerID(id)
		if id <= o.Voters {
			s.rules.Voters = append(s.rules.Voters, id)
		}
		s.servers = append(s.servers, &server{
			simulation: s, id: n, observer: id > o.Voters,
			clock:   clock.New(clock.Time(clocks.Int64N(int64(1000*clock.Second))), clocks.Int64N(2000)-1000, clock.Time(clocks.Int64N(int64(2*clock.Second)))),
			fs:      disk.NewMem(&disk.MemOptions{CrashModel: true}),
			rand:    s.world.chance(ofDisk + uint64(id)),
			crashes: s.world.chance(ofCrashes<<8 + uint64(id)),
			bugs:    s.world.chance(ofBugs<<8 + uint64(id)),
		})
	}
	s.inv = judge.NewInvariants(s.history, s.rules)
	s.faults = &faults{simulation: s, r: s.world.chance(ofFaults), plan: o.Plan}
	for n := range o.Mix.Clients {
		s.clients = append(s.clients, s.newClient(n))
	}
	return s
}

func (s *simulation) machine(n node) machine {
	if n >= firstClient {
		return s.clients[n-firstClient]
	}
	return s.servers[n-1]
}

// play lets everything happen: a quiet beginning, faults, healing, the end.
func (s *simulation) play() {
	r := s.world.chance(ofSchedule)
	for _, v := range s.servers {
		v.start(clock.Time(r.Int64N(int64(300 * clock.Millisecond))))
	}
	for _, c := range s.clients {
		s.world.at(clock.Time(r.Int64N(int64(clock.Second))), c.tick)
	}
	s.watch()
	f := s.faults
	f.begin()
	s.suffer()
	s.heal()
	s.settleDown("after the faults")
	if s.opts.Restart && !s.world.over {
		s.restartAll(r)
		s.settleDown("after the restart")
	}
}

// suffer lets things go wrong until enough has happened, or the plan is at its end.
func (s *simulation) suffer() {
	shape := s.faults.plan.Shape
	least, end := shape.Start+shape.Span/16, shape.Start+shape.Span
	for s.world.now < end && !s.world.over && (s.world.now < least || !s.enough()) {
		s.world.run(min(s.world.now+s.opts.ticks(2), end))
	}
}

// enough reports whether the run has what it needs to prove something, and all the writes that its options ask for. Of faults that
// are not planned nothing is expected.
func (s *simulation) enough() bool {
	return s.history.Acknowledged() >= s.opts.Writes &&
		(len(s.faults.plan.Faults) == 0 || s.faults.tally.Total() >= leastFaults && s.inv.LeaderChanges() >= leastChanges)
}

// watch ends the run when an invariant does not hold.
func (s *simulation) watch() {
	s.bounds.look(s)
	if len(s.inv.Violations()) > 0 {
		s.world.over = true
		return
	}
	s.world.after(100*clock.Millisecond, s.watch)
}

// heal makes a quorum whole, waits until it commits again, and then makes everything whole.
func (s *simulation) heal() {
	if s.world.over {
		return
	}
	s.world.say("servers %v are healed", s.faults.plan.Quorum)
	s.faults.healQuorum(s.faults.plan.Quorum)
	before := s.inv.Committed()
	for limit := s.world.now + s.patience(); s.inv.Committed() <= before && !s.world.over; {
		if s.world.now > limit {
			s.bad = append(s.bad, judge.Violation{Check: "C13", At: s.world.now, Text: "a quorum that is healed commits nothing: " + s.unrest()})
			s.world.over = true
		}
		s.world.run(s.world.now + 100*clock.Millisecond)
	}
	if s.world.over {
		return
	}
	s.world.say("everything is healed")
	s.faults.healAll()
	s.history.Heal(s.world.now)
}

// patience is how long the ensemble may take to come to rest.
func (s *simulation) patience() clock.Time { return max(120*clock.Second, s.opts.ticks(150)) }

// settleDown lets the clients go on for a while, then waits until everything is at rest, and looks at what every server holds.
func (s *simulation) settleDown(when string) {
	if s.world.over {
		return
	}
	s.world.run(s.world.now + s.opts.ticks(10))
	for _, c := range s.clients {
		c.c.Calm()
	}
	s.world.run(s.world.now + s.opts.ticks(5))
	for _, c := range s.clients {
		c.c.Quiet()
	}
	for limit := s.world.now + s.patience(); !s.atRest() && !s.world.over; {
		if s.world.now > limit {
			s.bad = append(s.bad, judge.Violation{Check: "C13", At: s.world.now, Text: "the ensemble does not come to rest " + when + ": " + s.unrest()})
			s.world.over = true
			return
		}
		s.world.run(s.world.now + 100*clock.Millisecond)
	}
	if !s.world.over {
		s.inspect()
	}
}

// atRest reports whether nobody waits for anything and all servers have the same tree.
func (s *simulation) atRest() bool { return s.unrest() == "" }

// unrest says who still waits; empty: nobody does.
func (s *simulation) unrest() string {
	var zxid znode.Zxid
	for i, v := range s.servers {
		switch l := v.life; {
		case l == nil:
			return fmt.Sprintf("server %d does not run: %v", v.id, s.lastRefusal)
		case !l.told.serving:
			return fmt.Sprintf("server %d is %v and does not serve: %v", v.id, l.told.role, l.r.Left())
		case l.r.Waiting() > 0:
			return fmt.Sprintf("server %d has %d transactions to apply", v.id, l.r.Waiting())
		case l.r.Tree().Zxid() != l.r.Zxid() || i > 0 && l.r.Zxid() != zxid:
			return fmt.Sprintf("server %d is at %v and %v, others at %v", v.id, l.r.Tree().Zxid(), l.r.Zxid(), zxid)
		default:
			zxid = l.r.Zxid()
		}
	}
	for _, c := range s.clients {
		if !c.c.Idle() {
			return fmt.Sprintf("client %d is not done", c.number)
		}
	}
	return ""
}

// restartAll takes the power from all at once, and lets them start from their disks.
func (s *simulation) restartAll(r *rand.Rand) {
	s.restarted = true
	for _, v := range s.servers {
		v.crash(true)
	}
	for _, v := range s.servers {
		v.start(clock.Time(r.Int64N(int64(2 * clock.Second))))
	}
	for _, c := range s.clients {
		c.c.Resume()
	}
}

// inspect shows the judge what every server holds.
func (s *simulation) inspect() {
	for _, v := range s.servers {
		if l := v.life; l != nil {
			s.inv.Inspect(s.world.now, l.image())
		}
	}
}

// image is all a server holds.
func (l *life) image() judge.Image {
	t := l.r.Tree()
	img := judge.Image{Server: int(l.id), Zxid: t.Zxid(), Digest: t.Digest(), Sessions: map[znode.SessionID]int32{}}
	img.AcceptedEpoch, img.CurrentEpoch = l.r.Epochs()
	if l.dump.d != nil {
		img.Faulty = true // its tree is being read
		return img
	}
	d := t.Dump()
	defer d.Close()
	for _, x := range d.Sessions {
		img.Sessions[x.ID] = x.Timeout
	}
	lists := map[int64][]znode.ACL{tree.OpenACLID: znode.OpenACL()}
	for _, x := range d.ACLs {
		lists[x.ID] = x.List
	}
	for pieces := d.Next(nil, 1<<20); len(pieces) > 0; pieces = d.Next(pieces[:0], 1<<20) {
		for _, x := range pieces {
			img.Nodes = append(img.Nodes, judge.Node{Path: cmpOr(x.Path, "/"), Data: x.Data, ACL: lists[x.ACL], Stat: x.Stat})
		}
	}
	for rec, err := range l.st.From(l.history.Base() + 1) {
		if err != nil {
			break
		}
		img.Log = append(img.Log, judge.Record{Zxid: rec.Zxid, Payload: rec.Payload})
	}
	return img
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func (s *simulation) report() Report {
	rep := Report{
		Options: s.opts, Hash: s.world.hash, Span: s.world.now, Events: s.world.asked, Summary: s.history.Summary(),
		Changes: s.inv.LeaderChanges(), Counts: s.counts, Faults: s.faults.tally, Struck: s.faults.struck,
	}
	rep.Violations = append(rep.Violations, s.inv.Violations()...)
	rep.Violations = append(rep.Violations, s.bad...)
	if len(rep.Violations) == 0 {
		rep.Violations = append(rep.Violations, judge.Judge(s.history, s.rules)...)
	}
	return rep
}
