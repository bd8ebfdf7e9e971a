package migrate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/client"
)

// Migration is one change, done in one transaction. It has Ops or Func.
type Migration struct {
	// Name is for people: it stands in errors, and in what Apply returns. Unique in its set, and not stored.
	Name string
	// Ops are what it does. They may be none; then there is only the record.
	Ops []client.Op
	// Func gives the ops instead, once for each Apply, also when it was applied long ago: they must be the same each time, in each
	// process and release.
	Func func() []client.Op
}

// Set is a list of migrations that are applied in this order. Later releases add to its end.
type Set struct {
	// ID is the name of the node that has the records, a single element of a path.
	ID         string
	Migrations []Migration
}

// Options say how a set is applied. The zero value works, and nil means the zero value.
type Options struct {
	// LockPath is the lockPath of Curator's MigrationManager, below which it locks a set while it applies it; Apply waits for that, and is
	// kept apart from it, see the package comment. Default: there is no such program.
	LockPath string
	// DryRun changes nothing, and tells what would be applied.
	DryRun bool
}

// ErrMismatch tells that the metadata are not those of the set: a migration was changed after it was applied, or taken out, or moved; or
// there are more than the set has, since a later release was here.
var ErrMismatch = errors.New("not what was applied")

// Error is a failure of a set: of one of its migrations, or of all if that has no name.
type Error struct {
	Set       string
	Migration string
	Err       error
}

// Error returns "migrate set/migration: reason".
func (e *Error) Error() string {
	if e.Migration == "" {
		return "migrate " + e.Set + ": " + e.Err.Error()
	}
	return "migrate " + e.Set + "/" + e.Migration + ": " + e.Err.Error()
}

// Unwrap returns the reason, for errors.Is and errors.AsType.
func (e *Error) Unwrap() error { return e.Err }

// Apply applies the migrations that have not been, and returns the names of those it applied, in order, also when a later one fails. One
// whose answer was lost, and that is found to be done, is among them. metadataPath is the directory of the metadata of all sets;
// it is made, as a container, when there is something to apply.
//
// Apply waits for connections, sessions and Curator's lock until ctx ends. Every error is an *Error. A set that cannot be right is refused
// with all that is wrong with it, and nothing is sent. ErrMismatch is found before anything is applied, unless somebody records
// something else meanwhile. A migration that is refused by the servers, with ErrNoNode, ErrBadVersion and so on, is not done, and none after
// it. ErrUnknown is only found with the cause of ctx, or the end of a client or a session c is bound to: it says that the named migration may
// have been applied, which the next Apply will find out.
func Apply(ctx context.Context, c *client.Client, metadataPath string, set Set, opts *Options) ([]string, error) {
	if opts == nil {
		opts = &Options{}
	}
	steps, err := prepare(c, set)
	if err != nil {
		return nil, &Error{Set: set.ID, Err: err}
	}
	r := &runner{c: c, set: set.ID, dir: client.Join(metadataPath, set.ID), steps: steps}
	if opts.LockPath != "" {
		r.leases = client.Join(client.Join(opts.LockPath, set.ID), leasesName)
	}
	if opts.DryRun {
		return r.missing(ctx)
	}
	err = r.run(ctx)
	return r.applied, err
}

// step is a migration that is ready to be applied.
type step struct {
	name string
	ops  []client.Op
	hash []byte
}

// prepare makes ready what a set consists of, or tells all that is wrong with it.
func prepare(c *client.Client, set Set) ([]step, error) {
	var problems []error
	if set.ID == "" || set.ID == "." || set.ID == ".." || strings.ContainsAny(set.ID, "/\x00") {
		problems = append(problems, fmt.Errorf("the set's id %q is not the name of a node", set.ID))
	}
	steps, names := make([]step, 0, len(set.Migrations)), make(map[string]bool)
	for i, m := range set.Migrations {
		if m.Name == "" {
			problems = append(problems, fmt.Errorf("migration %d has no name", i))
		} else if names[m.Name] {
			problems = append(problems, fmt.Errorf("migration %d has the name of an earlier one: %s", i, m.Name))
		}
		names[m.Name] = true
		s, err := m.prepare(c)
		if err != nil {
			problems = append(problems, fmt.Errorf("migration %d %s: %w", i, m.Name, err))
		}
		steps = append(steps, s)
	}
	return steps, errors.Join(problems...)
}

func (m *Migration) prepare(c *client.Client) (step, error) {
	if (m.Ops == nil) == (m.Func == nil) {
		return step{}, errors.New("has Ops and Func, or neither")
	}
	ops := m.Ops
	if m.Func != nil {
		ops = m.Func()
	}
	var problems []error
	intents := make([]client.Intent, len(ops))
	for i, op := range ops {
		var err error
		if intents[i], err = c.Intent(op); err != nil {
			problems = append(problems, err)
		}
	}
	return step{name: m.Name, ops: ops, hash: hash(intents)}, errors.Join(problems...)
}

// runner applies a set.
type runner struct {
	c       *client.Client
	set     string
	dir     string // of the set's metadata
	leases  string // of Curator's lock, or ""
	steps   []step
	applied []string
	open    *attempt // a transaction of which it is not known whether it happened
}

// attempt is a transaction without an answer.
type attempt struct {
	index   int             // of its step
	session *client.Session // the client's before it was sent
	err     error           // with ErrUnknown
}

func (r *runner) fail(s *step, err error) error {
	e := &Error{Set: r.set, Err: err}
	if s != nil {
		e.Migration = s.name
	}
	return e
}

func (r *runner) missing(ctx context.Context) ([]string, error) {
	m, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range r.steps[len(m.records):] {
		names = append(names, s.name)
	}
	return names, nil
}

// run goes on until all migrations are recorded. Whatever leaves a doubt, it looks again: no transaction can succeed on what is not so any
// more.
func (r *runner) run(ctx context.Context) error {
	for doubts := 0; ; doubts++ {
		m, err := r.load(ctx)
		if err != nil {
			return r.withDoubt(err)
		}
		r.settle(m)
		if err := r.advance(ctx, m); err != nil {
			return r.withDoubt(err)
		}
		if len(m.records) == len(r.steps) {
			return nil
		}
		if err := pause(ctx, doubts); err != nil {
			return r.withDoubt(r.fail(nil, err))
		}
	}
}

// withDoubt adds to an error that a transaction is open. The migration it names is that transaction's.
func (r *runner) withDoubt(err error) error {
	if r.open == nil {
		return err
	}
	var e *Error
	if errors.As(err, &e) {
		err = e.Err
	}
	return r.fail(&r.steps[r.open.index], fmt.Errorf("%w; looking for it: %w", r.open.err, err))
}

// settle finds out what became of an open transaction. That it is not there proves something only in its own session: one that was
// sent in an earlier session may be still on its way to a server that does not know of the session's end. Then the next transaction, which
// wants the same name, decides.
func (r *runner) settle(m *metadata) {
	switch {
	case r.open == nil:
	case r.open.index < len(m.records):
		r.applied = append(r.applied, r.steps[r.open.index].name)
		r.open = nil
	case r.open.session == r.c.Session():
		r.open = nil
	}
}

// advance applies what m does not have, as long as there is no doubt that m is right. It fails with what no further try can mend.
func (r *runner) advance(ctx context.Context, m *metadata) error {
	for len(m.records) < len(r.steps) {
		if !m.there {
			if err := r.makeDir(ctx); err != nil {
				return err
			}
			m.there = true
		}
		s := &r.steps[len(m.records)]
		done, err := r.apply(ctx, m, s)
		if err != nil {
			return r.fail(s, err)
		}
		if !done {
			return nil
		}
		r.applied, r.open = append(r.applied, s.name), nil
		m.records = append(m.records, s.hash)
		m.next++
	}
	return nil
}

// apply sends a migration and its metadata node. It is not done, without an error, when that has to be looked at again.
func (r *runner) apply(ctx context.Context, m *metadata, s *step) (done bool, err error) {
	proof, err := r.proveFree(ctx)
	if err != nil {
		return false, err
	}
	index, session := len(m.records), r.c.Session()
	record := client.CreateOp(client.Join(r.dir, metaName(m.next)), s.hash, nil)
	results, err := r.c.Multi(ctx, slices.Concat(proof, []client.Op{record}, s.ops)...)
	if err == nil {
		return true, nil
	}
	if errors.Is(err, client.ErrUnknown) {
		r.open = &attempt{index: index, session: session, err: err}
		return false, nil
	}
	blamed := slices.IndexFunc(results, func(p client.Result) bool {
		return p.Err != nil && !errors.Is(p.Err, client.ErrRuntimeInconsistency)
	})
	if blamed >= 0 && blamed <= len(proof) && changedMeanwhile(err) {
		return false, nil
	}
	return false, err
}

// changedMeanwhile tells whether a transaction was refused since something is not as it was when it was read.
func changedMeanwhile(err error) bool {
	return errors.Is(err, client.ErrNodeExists) || errors.Is(err, client.ErrNoNode) || errors.Is(err, client.ErrNotEmpty)
}

// makeDir makes the directory of the set's metadata, a container where the servers know them, as Curator's is. Whether it is there the
// next transaction tells.
func (r *runner) makeDir(ctx context.Context) error {
	o := client.CreateOptions{Mode: client.Container, Parents: client.ContainerParents}
	_, err := r.c.Create(ctx, r.dir, nil, &o)
	if errors.Is(err, client.ErrUnimplemented) || errors.Is(err, client.ErrBadArguments) {
		o.Mode = client.Persistent // a server before containers
		_, err = r.c.Create(ctx, r.dir, nil, &o)
	}
	switch {
	case err == nil, errors.Is(err, client.ErrNodeExists):
		return nil
	case errors.Is(err, client.ErrUnknown) && ctx.Err() == nil:
		return nil
	case errors.Is(err, client.ErrUnknown):
		err = context.Cause(ctx) // of a directory nobody needs to know
	}
	return r.fail(nil, err)
}

// pause waits a little longer after each doubt, and not at all after the first.
func pause(ctx context.Context, doubts int) error {
	if doubts == 0 {
		return nil
	}
	longest := min(time.Second, 5*time.Millisecond<<min(doubts, 10))
	t := time.NewTimer(longest/2 + rand.N(longest/2))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
