package sim

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/plan"
)

// faults carries out a plan: it strikes whom the plan means, keeps what has to be undone, and counts what took effect.
type faults struct {
	*simulation
	plan    plan.Plan
	r       *rand.Rand
	tally   plan.Tally
	struck  Struck
	lasting []*lasting
	waiting []plan.Fault // for their phase
	over    bool         // everything is healed
	churns  int          // leaders still to be killed as soon as they are established
	churn   plan.Fault
}

// A lasting fault has to be undone.
type lasting struct {
	who  int // the server it is about; 0: none, or several
	undo func()
}

// begin lets things go wrong as planned.
func (f *faults) begin() {
	for _, x := range f.plan.Faults {
		f.world.at(x.At, func() {
			switch {
			case f.over:
			case x.On != plan.Now:
				f.waiting = append(f.waiting, x)
			default:
				f.strike(x, f.choose(x.Who))
			}
		})
	}
}

// choose is the server a target means now.
func (f *faults) choose(t plan.Target) *server {
	leader := 0
	var voters, observers []int
	for _, s := range f.servers {
		if s.life != nil && s.life.told.role == replica.Leading && (leader == 0 || s.life.told.leads) {
			leader = int(s.id)
		}
		if s.observer {
			observers = append(observers, int(s.id))
		} else {
			voters = append(voters, int(s.id))
		}
	}
	if id := t.Choose(leader, voters, observers, f.plan.Frail); id > 0 {
		return f.servers[id-1]
	}
	return nil
}

// phase says that a server is in one, and strikes it if a fault has waited for that: a moment later, so that nothing is torn out of
// the middle of what a process does at once.
func (s *server) phase(p plan.Phase) {
	f := s.faults
	if f == nil || f.over {
		return
	}
	if p == plan.OnEstablished && f.churns > 0 {
		f.churns--
		f.world.after(1, func() { f.down(f.churn, s, false, f.churn.Delay) })
	}
	i := slices.IndexFunc(f.waiting, func(x plan.Fault) bool { return x.On == p })
	if i < 0 {
		return
	}
	x := f.waiting[i]
	f.waiting = slices.Delete(f.waiting, i, i+1)
	f.world.after(clock.Time(f.r.Int64N(20)), func() {
		if !f.over {
			f.strike(x, s)
		}
	})
}

// felt counts a fault that took effect.
func (f *faults) felt(x plan.Fault, who *server) {
	if who == nil {
		f.tally.Add(x.Class)
		f.world.say("fault: %v of server 0", x.Class)
		return
	}
	f.feltIn(x, who, who.moment())
}

// feltIn is felt by a server that was doing something else when it was struck than it does now.
func (f *faults) feltIn(x plan.Fault, who *server, m moment) {
	f.tally.Add(x.Class)
	f.struck.add(m, x.Class)
	f.world.say("fault: %v of server %d", x.Class, who.id)
}

// lasts has something undone after a while, or when everything is healed.
func (f *faults) lasts(span clock.Time, who *server, undo func()) {
	l := &lasting{undo: undo}
	if who != nil {
		l.who = int(who.id)
	}
	f.lasting = append(f.lasting, l)
	f.world.after(span, l.end)
}

func (l *lasting) end() {
	if l.undo != nil {
		l.undo()
		l.undo = nil
	}
}

// healQuorum ends all faults of some servers and between them, and starts those that are down.
func (f *faults) healQuorum(ids []int) {
	f.over = true
	f.churns = 0
	for _, l := range f.lasting {
		if slices.Contains(ids, l.who) {
			l.end()
		}
	}
	f.net.mend(func(n node) bool { return n >= firstClient || slices.Contains(ids, int(n)) })
	f.net.loss = 0
	for _, c := range f.clients {
		c.wake()
	}
	for _, id := range ids {
		f.servers[id-1].mended()
	}
}

// healAll ends all the rest.
func (f *faults) healAll() {
	for _, l := range f.lasting {
		l.end()
	}
	f.lasting = nil
	f.net.mend(func(node) bool { return true })
	for _, s := range f.servers {
		s.mended()
	}
}

// mended is a server with which nothing is wrong any more.
func (s *server) mended() {
	s.disarm()
	s.resume()
	s.stallTill = 0
	s.start(startAgain)
}

// strike does what a fault says to a server, nil if it is about none or there is none.
func (f *faults) strike(x plan.Fault, s *server) {
	switch x.Class {
	case plan.KillAll, plan.PowerOut:
		f.allDown(x)
		return
	case plan.PauseAll:
		for _, s := range f.servers {
			f.pause(x, s)
		}
		return
	case plan.PauseClient:
		if c := f.clients[x.N]; !c.asleep {
			c.pause(x.Span)
			f.felt(x, nil)
		}
		return
	case plan.CutClient:
		f.cut(x, nil, between([]port{clientPort}, []node{f.clients[x.N].node()}, f.allServers()))
		return
	case plan.Lossy:
		f.net.loss = x.Rate
		f.felt(x, nil)
		f.lasts(x.Span, nil, func() { f.net.loss = 0 })
		return
	case plan.Split:
		in, out := f.sides(x.Side, nil)
		f.part(x, nil, between(portsOf(x.Port), in, out), out)
		return
	case plan.Swizzle:
		f.swizzle(x)
		return
	}
	if s == nil {
		return
	}
	switch x.Class {
	case plan.Kill, plan.PowerLoss:
		f.down(x, s, x.Class == plan.PowerLoss, x.Span)
	case plan.Churn:
		if f.down(x, s, false, x.Delay) {
			f.churn, f.churns = x, x.N
		}
	case plan.Pause:
		f.pause(x, s)
	case plan.CrashPoint, plan.FullDisk, plan.BadWrite, plan.LostSync, plan.SlowDisk, plan.StallDisk, plan.BitFlip, plan.BitFlipLog, plan.Amnesia:
		f.onDisk(x, s)
	case plan.Drift:
		s.clock.SetRate(f.world.now, int64(x.Rate*1e6))
		f.felt(x, s)
		f.lasts(x.Span, s, func() { s.clock.SetRate(f.world.now, 0) })
	case plan.Jump:
		s.clock.Jump(x.Delay * clock.Time(1-2*x.N))
		f.felt(x, s)
	case plan.Starve:
		s.slowCore = x.Delay
		f.felt(x, s)
		f.lasts(x.Span, s, func() { s.slowCore = 0 })
	case plan.Echo:
		s.echo = x.Delay
		f.felt(x, s)
		f.lasts(x.Span, s, func() { s.echo = 0 })
	default:
		f.onNetwork(x, s)
	}
}

// down ends a server's process, and has it start again.
func (f *faults) down(x plan.Fault, s *server, powerless bool, span clock.Time) bool {
	if f.over || s.life == nil {
		return false
	}
	f.felt(x, s)
	s.crash(powerless)
	s.start(span)
	return true
}

func (f *faults) allDown(x plan.Fault) {
	for _, s := range f.servers {
		if s.life != nil {
			f.struck.add(s.moment(), x.Class)
			s.crash(x.Class == plan.PowerOut)
		}
		s.start(clock.Time(f.r.Int64N(int64(x.Span) + 1)))
	}
	f.felt(x, nil)
}

func (f *faults) pause(x plan.Fault, s *server) {
	if s.life == nil || s.paused {
		return
	}
	s.pause(x.Span)
	f.felt(x, s)
}

var errDevice = errors.New("input/output error")

// onDisk strikes a disk.
func (f *faults) onDisk(x plan.Fault, s *server) {
	switch x.Class {
	case plan.SlowDisk:
		s.slowDisk = x.Delay
		f.felt(x, s)
		f.lasts(x.Span, s, func() { s.slowDisk = 0 })
	case plan.StallDisk:
		s.stallTill = max(s.stallTill, f.world.now+x.Span)
		f.felt(x, s)
	case plan.BitFlip, plan.BitFlipLog, plan.Amnesia:
		f.damage(x, s)
	case plan.FullDisk:
		if s.life == nil || s.full || s.because != nil {
			return
		}
		s.full = true
		s.fs.SetBudget(s.fs.Used() + int64(x.N)/16 + 1)
		s.because = func() {
			f.felt(x, s)
			s.startLater = x.Span
		}
		f.lasts(x.Span, s, func() {
			s.full = false
			s.fs.SetBudget(0)
		})
	default:
		f.arm(x, s)
	}
}

// arm has one of the next calls of a disk end in a crash, or fail.
func (f *faults) arm(x plan.Fault, s *server) {
	if s.life == nil || s.armed || s.because != nil {
		return
	}
	s.armed = true
	s.because = func() {
		f.felt(x, s)
		s.startLater = x.Span
	}
	if x.Class == plan.CrashPoint {
		s.fs.CrashAt(s.fs.Steps()+int64(x.N), f.r.IntN(2) == 0)
		return
	}
	n := x.N
	s.fs.SetFault(func(op disk.Op) disk.Fault {
		switch op.Kind {
		case disk.OpSync:
		case disk.OpWrite, disk.OpRename, disk.OpRemove:
			if x.Class == plan.LostSync {
				return disk.Fault{}
			}
		default:
			return disk.Fault{}
		}
		if n--; n != 0 {
			return disk.Fault{}
		}
		return disk.Fault{Err: errDevice, Drop: x.Class == plan.LostSync}
	})
}

// damage kills a server and does to its disk what no crash does.
func (f *faults) damage(x plan.Fault, s *server) {
	m := s.moment()
	if s.life != nil {
		s.crash(false)
	}
	defer s.start(x.Span)
	if x.Class == plan.Amnesia {
		for _, name := range s.files() {
			if s.fs.Remove(name) != nil {
				return
			}
		}
		f.harmed(x, s, m)
		return
	}
	var older, newest []string
	for _, name := range s.files() {
		if strings.HasPrefix(filepath.Base(name), "log.") {
			newest = []string{name}
		} else {
			older = append(older, name)
		}
	}
	if x.Class == plan.BitFlip {
		newest = older
	}
	if len(newest) == 0 {
		return
	}
	name := newest[f.r.IntN(len(newest))]
	info, err := s.fs.Stat(name)
	if err != nil || info.Size == 0 {
		return
	}
	off, bit := f.r.Int64N(info.Size), uint(f.r.IntN(8))
	if s.fs.FlipBit(name, off, bit) == nil {
		if strings.HasSuffix(name, "Epoch") {
			if s.epochFlipped && s.epochsAlike() { // nobody can tell that from what another server has written, see package store, the witness
				_ = s.fs.FlipBit(name, off, bit)
				return
			}
			s.epochFlipped = true
		}
		f.world.say("server %d: bit %d of byte %d of %s flips", s.id, bit, off, name)
		f.harmed(x, s, m)
	}
}

func (f *faults) harmed(x plan.Fault, s *server, m moment) {
	f.inv.Damage(int(s.id))
	f.feltIn(x, s, m)
}

// epochsAlike reports whether both epoch files say the same.
func (s *server) epochsAlike() bool {
	accepted, err := disk.ReadFile(s.fs, "/data/version-2/acceptedEpoch", 64)
	if err != nil {
		return false
	}
	current, err := disk.ReadFile(s.fs, "/data/version-2/currentEpoch", 64)
	return err == nil && string(accepted) == string(current)
}

// files are what is in a server's data directory, in order of their names.
func (s *server) files() []string {
	const dir = "/data/version-2"
	names, err := s.fs.ReadDir(dir)
	if err != nil {
		return nil
	}
	var list []string
	for _, n := range names {
		list = append(list, filepath.Join(dir, n))
	}
	return list
}
