package sim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/judge"
)

// bounds are looked after now and then, rather than told of each step: what a server keeps waiting is not kept for too long, and what
// it keeps does not pile up (A9).
type bounds struct {
	idle map[*life]absence
	kept map[*life]map[request.ConnID]clock.Time // clients it should have let go, and since when that was seen
}

// An absence is a time in which a server does not serve.
type absence struct {
	since  int64 // on its monotonic clock, in milliseconds
	served int64 // how often it had served before
}

func newBounds() bounds {
	return bounds{idle: map[*life]absence{}, kept: map[*life]map[request.ConnID]clock.Time{}}
}

// linksMost is how many connections of a port a server may have for each server there is: the one in use, those before it, until
// their silence or their end is noticed, and of those who seek a leader several in the second for which they are kept.
const linksMost = 16

// look looks at all servers.
func (b *bounds) look(s *simulation) {
	maps.DeleteFunc(b.idle, func(l *life, _ absence) bool { return l.over })
	maps.DeleteFunc(b.kept, func(l *life, _ map[request.ConnID]clock.Time) bool { return l.over })
	for _, v := range s.servers {
		l := v.life
		if l == nil || l.paused {
			delete(b.kept, l)
			continue
		}
		s.inv.Bound(s.world.now, int(v.id), "connections to servers", len(l.links), linksMost*len(s.servers))
		s.inv.Bound(s.world.now, int(v.id), "connections of elections", len(l.votes.lines), linksMost*len(s.servers))
		b.patience(s, l)
	}
}

// patience sees that nobody waits for long for a server that does not serve: neither who has a session, nor who wants one.
func (b *bounds) patience(s *simulation, l *life) {
	now := l.clock.Mono(s.world.now)
	if l.told.serving {
		delete(b.idle, l)
		delete(b.kept, l)
		return
	}
	served := l.r.Status(nil).Counts.Absence.Count
	at, ok := b.idle[l]
	if !ok || at.served != served { // it may have served for a moment meanwhile
		b.idle[l] = absence{now, served}
		delete(b.kept, l)
		return
	}
	if now <= at.since+l.opts.Hold {
		return
	}
	before := b.kept[l]
	kept := map[request.ConnID]clock.Time{}
	for id, g := range l.guests {
		if !g.asked {
			continue
		}
		first, ok := before[id]
		if !ok {
			first = s.world.now
		}
		kept[id] = first
	}
	b.kept[l] = kept
	grace := l.opts.ticks(2) + 4*l.slowCore
	for _, id := range slices.Sorted(maps.Keys(kept)) {
		if s.world.now-kept[id] > grace {
			s.bad = append(s.bad, judge.Violation{Check: "A9", At: s.world.now, Text: fmt.Sprintf(
				"server %d has not served for %d ms, may hold clients for %d ms, and holds connection %d", l.id, now-at.since, l.opts.Hold, id)})
			s.world.over = true
			return
		}
	}
}
