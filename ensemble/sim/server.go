package sim

import (
	"errors"
	"math/rand/v2"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// A server is a machine with a disk and clocks, on which the process of a server runs, most of the time.
type server struct {
	*simulation
	id       packet.ServerID
	observer bool
	clock    *clock.Clock
	fs       *disk.Mem
	rand     *rand.Rand // of its disk and its scheduling
	crashes  *rand.Rand
	bugs     *rand.Rand // of those that are planted
	life     *life      // the process; nil: there is none
	lives    int
	powered  bool
	booting  int // of the lives, the one that is to begin; what was to begin an earlier one comes to nothing
	gone     bool
	paused   bool
	backlog  []func() // what came while paused

	slowDisk  clock.Time // each sync takes that much longer
	stallTill clock.Time // its disk does nothing before
	slowCore  clock.Time // added to each turn

	armed        bool       // its disk is going to crash at a step
	full         bool       // its disk has no space
	epochFlipped bool       // a bit of an epoch file has flipped, and the server has not looked at it yet
	echo         clock.Time // its election messages come twice, the copies up to so late
	because      func()     // called when the process ends because of its disk: that is what a fault wanted
	startLater   clock.Time // when it is to start again then
	failures     int        // in a row, to start
}

func (s *server) node() node { return node(s.id) }

// up implements machine.
func (s *server) up() (power, process bool) { return s.powered, s.life != nil }

// later implements machine.
func (s *server) later(f func()) {
	switch {
	case s.life == nil:
	case s.paused:
		s.backlog = append(s.backlog, f)
	default:
		f()
	}
}

// accept implements machine.
func (s *server) accept(p port, e *end) {
	l := s.life
	switch p {
	case electionPort:
		l.votes.accept(e)
	case quorumPort:
		l.admit(e)
	case clientPort:
		l.welcome(e)
	}
}

// pause stops the process for a while; the machine goes on.
func (s *server) pause(span clock.Time) {
	if s.life == nil || s.paused {
		return
	}
	s.paused = true
	life := s.life
	s.world.after(span, func() {
		if s.life == life {
			s.resume()
		}
	})
}

// resume lets a paused process go on with what has come meanwhile.
func (s *server) resume() {
	if !s.paused {
		return
	}
	life := s.life
	s.paused = false
	backlog := s.backlog
	s.backlog = nil
	for _, f := range backlog {
		if s.life == life {
			f()
		}
	}
}

// start makes the process begin after a while. It may be called while there is one: then nothing happens.
func (s *server) start(after clock.Time) {
	if s.life != nil || s.gone {
		return
	}
	s.powered = true
	s.booting++
	mine := s.booting
	s.world.after(after, func() {
		if s.life == nil && s.booting == mine && !s.gone {
			s.boot()
		}
	})
}

// startAgain is how soon a supervisor starts a process that ended.
const startAgain = 500 * clock.Millisecond

// boot begins a life, if the disk lets it.
func (s *server) boot() {
	s.lives++
	l := newLife(s)
	err := l.load()
	s.world.mix(uint64(s.id), uint64(s.lives))
	switch {
	case err == nil:
		s.failures = 0
		s.life = l
		s.world.say("server %d: starts, life %d, last %v", s.id, s.lives, l.r.Zxid())
		l.begin()
	case s.fs.Crashed():
		s.world.say("server %d: crashes while it starts", s.id)
		s.counts.add("crash while starting")
		s.lose(true)
		s.start(startAgain)
	default:
		s.failures++
		s.world.say("server %d: does not start: %v", s.id, err)
		l.abandon()
		s.lastRefusal = err
		s.counts.add("start refused: " + few(err))
		s.start(startAgain * clock.Time(min(s.failures, 8)))
	}
}

// fail ends the process because of an error it met.
func (s *server) fail(err error) {
	if s.life == nil {
		return
	}
	s.world.say("server %d: stops: %v", s.id, err)
	crashed := s.fs.Crashed()
	if s.because != nil && (crashed || errors.Is(err, errDevice) || s.full) {
		s.because()
		s.because = nil
	}
	if crashed {
		s.crash(true)
	} else {
		s.counts.add("stopped by itself: " + few(err))
		s.lastRefusal = err
		s.end(true)
		s.renew(nil)
	}
	s.start(max(s.startLater, startAgain))
	s.startLater = 0
}

// few is an error in few words.
func few(err error) string {
	for _, kind := range []error{errDevice, disk.ErrNoSpace, disk.ErrDamaged, disk.ErrBroken} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return err.Error()
}

// crash ends the process in the middle of whatever it does; powerless, the machine too.
func (s *server) crash(powerless bool) {
	l := s.life
	if l == nil {
		s.booting++
		if s.powered && powerless {
			s.powered = false
			s.lose(true)
		}
		return
	}
	if l.busy && !s.fs.Crashed() && s.crashes.IntN(4) > 0 { // it got some way with what it was doing
		s.fs.CrashAt(s.fs.Steps()+1+s.crashes.Int64N(12), s.crashes.IntN(2) == 0)
		l.doing.do()
	}
	s.end(!powerless)
	s.lose(powerless)
}

// end ends the process: the kernel closes its connections, if it still can.
func (s *server) end(power bool) {
	l := s.life
	s.life, s.paused, s.backlog = nil, false, nil
	s.booting++
	s.net.forget(s.node(), power)
	l.end()
	s.powered = power
	s.inv.Stop(s.world.now, int(s.id))
}

// renew is the disk as the next process finds it: after a power failure what that has left, and with a nil keep all that was written,
// synced or not, because the operating system lives on.
func (s *server) renew(keep func(disk.Unsynced) bool) {
	if keep != nil {
		s.fs = s.fs.CrashClone(keep)
	} else {
		s.fs = s.fs.Reopen()
	}
	s.armed = false
	if !s.full {
		s.because = nil
	}
	if s.full {
		s.fs.SetBudget(max(s.fs.Used(), 1))
	}
}

// disarm takes back what was to go wrong with the disk.
func (s *server) disarm() {
	s.fs.SetFault(nil)
	if !s.fs.Crashed() {
		s.fs.CrashAt(0, false)
	}
	s.armed, s.because = false, nil
}

// lose is what a crash does to the disk.
func (s *server) lose(powerless bool) {
	var keep func(disk.Unsynced) bool
	if powerless {
		switch s.crashes.IntN(4) {
		case 0:
			keep = disk.KeepNone
		case 1:
			keep = disk.KeepAll
		default:
			keep = disk.KeepSome(s.crashes, s.crashes.Float64())
		}
	}
	s.renew(keep)
}

// fsync draws how long the disk takes to make something durable.
func (s *server) fsync(bytes int) clock.Time {
	d := float64(s.opts.Fsync) * (0.5 + s.rand.ExpFloat64()/2)
	if s.rand.IntN(300) == 0 {
		d *= 20
	}
	d += float64(bytes) / 200 // 200 bytes a microsecond
	at := s.world.now + clock.Time(d) + s.slowDisk
	return max(at, s.stallTill+clock.Time(d)) - s.world.now
}
