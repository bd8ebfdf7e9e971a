package differential

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Plan says what to play.
type Plan struct {
	Seed       uint64
	Operations int // at least so many, before the tree is compared
	// Single is the share of the operations, in percent, that come one at a time; the rest come in bursts of up to MaxBurst.
	Single   int
	MaxBurst int
}

// A Count is how often something was asked and how often it was done.
type Count struct{ Asked, Done int }

// A Report says what was played.
type Report struct {
	Seed              uint64
	Operations, Steps int
	Events            int            // told by each server
	Nodes             int            // compared at the end
	Writes            Count          // that reached the order, with the multis counted once
	Kinds             map[Kind]Count // by kind
}

func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d operations in %d steps, %d events, %d nodes at the end; %d of %d writes succeeded (%.1f %%)\n", r.Seed, r.Operations,
		r.Steps, r.Events, r.Nodes, r.Writes.Done, r.Writes.Asked, 100*float64(r.Writes.Done)/float64(r.Writes.Asked))
	for _, k := range slices.Sorted(maps.Keys(r.Kinds)) {
		n := r.Kinds[k]
		fmt.Fprintf(&b, "  %-30s %6d  %5.2f %%  %6d ok\n", k, n.Asked, 100*float64(n.Asked)/float64(r.Operations), n.Done)
	}
	return b.String()
}

// A Mismatch is where two servers stopped being the same.
type Mismatch struct {
	Plan        Plan
	Operations  int   // made so far
	Step        *Step // nil if the trees differ
	Earlier     []*Step
	Differences []Difference
}

func (m *Mismatch) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: the servers differ after %d operations\n", m.Plan.Seed, m.Operations)
	for _, s := range m.Earlier {
		fmt.Fprintf(&b, "  before: %v\n", s)
	}
	if m.Step != nil {
		fmt.Fprintf(&b, "  now: %v\n", m.Step)
	} else {
		fmt.Fprintf(&b, "  in the tree at the end (lines are nodes)\n")
	}
	for _, d := range m.Differences {
		fmt.Fprintf(&b, "  %v\n", d)
	}
	fmt.Fprintf(&b, "again: go test -tags interop -count=1 -run 'TestBellwetherIsApache$' ./ensemble/internal/differential -seed %d -operations %d -single %d",
		m.Plan.Seed, m.Plan.Operations, m.Plan.Single)
	return b.String()
}

// A run is the state of Run.
type run struct {
	plan                 Plan
	reference, candidate *Player
	generator            *Generator
	recent               []*Step
	report               Report
}

// Run plays plan against both servers, which must be fresh, and compares. The error is a *Mismatch if they differ, and
// anything else if one of them failed to go on.
func Run(ctx context.Context, plan Plan, reference, candidate *Player) (Report, error) {
	r := &run{plan: plan, reference: reference, candidate: candidate, generator: NewGenerator(plan.Seed, len(reference.slots))}
	r.report = Report{Seed: plan.Seed, Kinds: map[Kind]Count{}}
	r.generator.HardQuotas = true
	singles := plan.Operations * plan.Single / 100
	for r.generator.Operations() < singles {
		if err := r.step(ctx, r.generator.Next()); err != nil {
			return r.report, err
		}
	}
	if err := r.softenQuotas(ctx); err != nil {
		return r.report, err
	}
	r.generator.MaxBurst, r.generator.HardQuotas = plan.MaxBurst, false
	for r.generator.Operations() < plan.Operations {
		if err := r.step(ctx, r.generator.Next()); err != nil {
			return r.report, err
		}
	}
	return r.report, r.trees(ctx)
}

// both performs a step on both servers at the same time.
func (r *run) both(ctx context.Context, s *Step) (want, have Outcome, err error) {
	var candidateErr error
	done := make(chan struct{})
	go func() { // ends with Play, which has its own patience, and is waited for below
		defer close(done)
		have, candidateErr = r.candidate.Play(ctx, s)
	}()
	want, err = r.reference.Play(ctx, s)
	<-done
	if err == nil {
		err = candidateErr
	}
	return want, have, err
}

func (r *run) step(ctx context.Context, s *Step) error {
	want, have, err := r.both(ctx, s)
	if err != nil {
		return fmt.Errorf("seed %d, after %d operations: %w", r.plan.Seed, r.generator.Operations(), err)
	}
	if d := Compare(want, have); len(d) > 0 {
		return &Mismatch{Plan: r.plan, Operations: r.generator.Operations(), Step: s, Earlier: r.recent, Differences: d}
	}
	r.generator.Learn(s, &want)
	r.count(s, &want)
	if r.recent = append(r.recent, s); len(r.recent) > 8 {
		r.recent = r.recent[1:]
	}
	return nil
}

func (r *run) count(s *Step, out *Outcome) {
	r.report.Steps++
	r.report.Operations = r.generator.Operations()
	add := func(k Kind, done bool) {
		n := r.report.Kinds[k]
		n.Asked++
		if done {
			n.Done++
		}
		r.report.Kinds[k] = n
	}
	if s.Link != Stay {
		add(Kind(s.Link.String()), true)
	}
	for i := range s.Calls {
		m := &out.Replies[i]
		done := m.Op == s.Calls[i].Op && m.Header.Err == znode.CodeOK && !failedMulti(m.Record)
		add(s.Calls[i].Kind, done)
		if s.Calls[i].Op.Write() {
			r.report.Writes.Asked++
			if done {
				r.report.Writes.Done++
			}
		}
	}
	for _, lines := range out.Lines {
		for _, l := range lines {
			if strings.HasPrefix(l, "event ") {
				r.report.Events++
			}
		}
	}
}

func failedMulti(record wire.Record) bool {
	m, ok := record.(*wire.MultiResponse)
	return ok && slices.ContainsFunc(m.Results, func(res wire.MultiResult) bool { return res.Err != znode.CodeOK })
}

// connect brings every slot's session to both servers.
func (r *run) connect(ctx context.Context) error {
	for slices.ContainsFunc(r.generator.slots, func(a actor) bool { return !a.connected }) {
		if err := r.step(ctx, r.generator.Next()); err != nil {
			return err
		}
	}
	return nil
}

// command plays one call as the user super, outside the mix.
func (r *run) command(ctx context.Context, op wire.Op, record wire.Record) error {
	if err := r.connect(ctx); err != nil {
		return err
	}
	auth := &wire.AuthRequest{Scheme: "digest", Auth: []byte(superUser)}
	for _, c := range []Call{{Kind: "auth", Op: wire.OpAuth, Record: auth}, {Kind: Kind(op.String()), Op: op, Record: record}} {
		s := &Step{Number: r.generator.next, Calls: []Call{c}}
		r.generator.next++
		r.generator.calls++
		if err := r.step(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// softenQuotas takes all limits away: the generator has to set new ones.
func (r *run) softenQuotas(ctx context.Context) error {
	for _, root := range quotaRoots {
		if limits := quotaNode(root, znode.QuotaLimits); r.generator.tree.at[limits] != nil {
			if err := r.command(ctx, wire.OpDelete, &wire.DeleteRequest{Path: limits, Version: -1}); err != nil {
				return err
			}
		}
	}
	return nil
}

// trees compares all nodes, with their data, ACLs and Stats, as the user super sees them.
func (r *run) trees(ctx context.Context) error {
	if err := r.command(ctx, wire.OpExists, &wire.WatchRequest{Path: znode.Root}); err != nil {
		return err
	}
	want, err := r.reference.Tree(ctx, 0)
	if err != nil {
		return err
	}
	have, err := r.candidate.Tree(ctx, 0)
	if err != nil {
		return err
	}
	r.report.Nodes = len(want)
	if d := Compare(Outcome{Lines: [][]string{want}}, Outcome{Lines: [][]string{have}}); len(d) > 0 {
		return &Mismatch{Plan: r.plan, Operations: r.generator.Operations(), Earlier: r.recent, Differences: d}
	}
	return nil
}
