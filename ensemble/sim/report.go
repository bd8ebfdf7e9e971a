package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/judge"
	"github.com/bellwether-zk/bellwether/ensemble/sim/plan"
)

// counts is how often what happened.
type counts map[string]int

func (c counts) add(what string) { c[what]++ }

// String is one line for each, in order.
func (c counts) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, "%8d  %s\n", c[name], name)
	}
	return b.String()
}

// A Report is what came of a run.
type Report struct {
	Options    Options
	Hash       uint64 // of everything that happened: the same for the same seed
	Span       clock.Time
	Events     uint64
	Summary    judge.Summary
	Changes    int // of leadership
	Faults     plan.Tally
	Struck     Struck
	Counts     map[string]int // what else there was
	Violations []judge.Violation
}

// What a run must have had to prove anything.
const (
	leastWrites  = 2000 // acknowledged
	leastFaults  = 20   // that took effect
	leastChanges = 2    // of leadership
)

// Proves reports whether enough happened in a run for its having passed to mean something.
func (r *Report) Proves() bool {
	return r.Summary.Acknowledged >= leastWrites && r.Faults.Total() >= leastFaults && r.Changes >= leastChanges
}

// Replay is the command that runs the seed again.
func (r *Report) Replay() string {
	return fmt.Sprintf("go test ./ensemble/sim -run 'TestSeed$' -v -sim.seed=%d -sim.trace", r.Options.Seed)
}

// String is a run in some lines.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v simulated, %d events, hash %016x, %d changes of leadership, proves something: %v\n%+v\n", r.Span, r.Events, r.Hash, r.Changes, r.Proves(), r.Summary)
	fmt.Fprintf(&b, "%v%v%v\n", counts(r.Counts), &r.Struck, &r.Faults)
	for _, v := range r.Violations {
		fmt.Fprintln(&b, v)
	}
	return b.String()
}

// A Sum is many runs together. The zero value is none.
type Sum struct {
	Runs, Proving, Failed int
	Span                  clock.Time
	Acknowledged          int
	Changes               int
	Faults                plan.Tally
	Struck                Struck
	Counts                map[string]int
}

// Add adds a run.
func (s *Sum) Add(r *Report) {
	s.Runs++
	if r.Proves() {
		s.Proving++
	}
	if len(r.Violations) > 0 {
		s.Failed++
	}
	s.Span += r.Span
	s.Acknowledged += r.Summary.Acknowledged
	s.Changes += r.Changes
	s.Faults.Join(&r.Faults)
	s.Struck.Join(&r.Struck)
	if s.Counts == nil {
		s.Counts = map[string]int{}
	}
	for name, n := range r.Counts {
		s.Counts[name] += n
	}
}

// String is the sum in some lines.
func (s *Sum) String() string {
	return fmt.Sprintf("%d seeds, of which %d prove something and %d failed: %.1f hours simulated, %d acknowledged writes, %d changes of leadership\n%v%v%v",
		s.Runs, s.Proving, s.Failed, float64(s.Span)/float64(3600*clock.Second), s.Acknowledged, s.Changes, counts(s.Counts), &s.Struck, &s.Faults)
}
