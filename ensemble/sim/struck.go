package sim

import (
	"fmt"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/zab"
	"github.com/bellwether-zk/bellwether/ensemble/sim/plan"
)

// A moment is what a server was doing when a fault struck it.
type moment struct {
	down  bool // it did not run; nothing else counts
	phase zab.Phase
	role  replica.Role
}

// moments are all there are, in the order of a server's way to serving.
func moments() []moment {
	list := []moment{{down: true}, {phase: zab.Election, role: replica.Looking}}
	for p := zab.Discovery; p <= zab.Broadcast; p++ {
		for _, r := range []replica.Role{replica.Leading, replica.Following, replica.Observing} {
			list = append(list, moment{phase: p, role: r})
		}
	}
	return list
}

func (m moment) String() string {
	switch {
	case m.down:
		return "while down"
	case m.role == replica.Looking:
		return fmt.Sprintf("in %v", m.phase)
	}
	return fmt.Sprintf("in %v, %v", m.phase, m.role)
}

// moment is what the server is doing now.
func (s *server) moment() moment {
	if s.life == nil {
		return moment{down: true}
	}
	role, _ := s.life.r.Role()
	return moment{phase: s.life.r.Phase(), role: role}
}

// Struck counts the faults of single servers that took effect, by what the server was doing then. What strikes several at once
// counts for each where it ends them or stops them; what strikes the network or a client alone does not count.
type Struck struct {
	all    map[moment]int
	deadly map[moment]int // of these, those that ended the process
}

func (s *Struck) add(m moment, c plan.Class) {
	if s.all == nil {
		s.all, s.deadly = map[moment]int{}, map[moment]int{}
	}
	s.all[m]++
	if c.Deadly() && !m.down {
		s.deadly[m]++
	}
}

// Join adds another's counts.
func (s *Struck) Join(o *Struck) {
	if s.all == nil {
		s.all, s.deadly = map[moment]int{}, map[moment]int{}
	}
	for m, n := range o.all {
		s.all[m] += n
		s.deadly[m] += o.deadly[m]
	}
}

// Never are the moments at which nobody was struck, in the order of a server's way to serving.
func (s *Struck) Never() (list []string) {
	for _, m := range moments() {
		if s.all[m] == 0 {
			list = append(list, m.String())
		}
	}
	return list
}

// String is one line for each moment at which somebody was struck, in order; the others are named, since what was never tried proves
// nothing.
func (s *Struck) String() string {
	var b strings.Builder
	for _, m := range moments() {
		if n := s.all[m]; n > 0 {
			fmt.Fprintf(&b, "%8d  struck %v; %d of them ended the process\n", n, m, s.deadly[m])
		}
	}
	if never := s.Never(); len(never) > 0 {
		fmt.Fprintf(&b, "          never struck: %s\n", strings.Join(never, "; "))
	}
	return b.String()
}
