package barrier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// ready is the name of the node that lets a round's members in.
const ready = "ready"

// Why a round's context ended, beside the end of its session.
var (
	// ErrLeft is the cause when this member has begun to leave.
	ErrLeft = errors.New("member has left the round")
	// ErrRemoved is the cause when somebody else removed this member's node, so that the others take it for one who has left.
	ErrRemoved = fmt.Errorf("%w: somebody removed the node of a member", client.ErrNoNode)
)

// DefaultCleanup is how long an Enter that was cancelled waits for its node to be removed.
const DefaultCleanup = 5 * time.Second

// Options of a Double. The zero value works, and nil means the zero value.
type Options struct {
	// ACL is that of all nodes and of directories made for them. All members must be able to list the directory, and to add and remove
	// children. Default: the client's.
	ACL []client.ACL
	// Data is the content of the members' nodes, for people who look; not nil and of no length it is empty. Default: ticket.Identity, the
	// host's name and the process's number.
	Data []byte
	// Cleanup bounds how long a cancelled Enter still waits for the removal of its node; the removal itself goes on until it is done or
	// the session ends. Default: 5 s.
	Cleanup time.Duration
}

// Double is a place where a number of processes meet. It may be used by many goroutines, each of which is one of that number.
type Double struct {
	client *client.Client
	path   string
	size   int
	opts   Options
	kit    *telemetry.Kit // nil: nobody looks
}

// NewDouble describes the meeting of size processes at a path, at least 1. It sends nothing. All who meet there must have the same size: the
// least of them begins a round, and whoever of it has a greater one is told by Enter.
func NewDouble(c *client.Client, path string, size int, opts *Options) *Double {
	d := &Double{client: c, path: path, size: size, kit: telemetry.Of(c)}
	if opts != nil {
		d.opts = *opts
	}
	if d.opts.Data == nil {
		d.opts.Data = []byte(ticket.Identity())
	}
	if d.opts.Cleanup == 0 {
		d.opts.Cleanup = DefaultCleanup
	}
	return d
}

// Path returns the path of the directory.
func (d *Double) Path() string { return d.path }

// Enter waits until as many are there as are to meet, and returns the round they begin. If ctx ends before that it fails with ctx's cause,
// and its node is gone or known to be going; having entered at that moment counts. It fails with client.ErrBadArguments, and leaves, when
// others begin a round of another number with it.
func (d *Double) Enter(ctx context.Context) (*Round, error) {
	if d.size < 1 {
		return nil, d.failed("enter", fmt.Errorf("%w: a meeting of %d", client.ErrBadArguments, d.size))
	}
	ctx, wait := d.kit.Wait(ctx, &measuredDouble, d.path)
	r, err := d.enter(ctx)
	if err != nil {
		wait.Failed(err)
		return nil, d.failed("enter", err)
	}
	r.begin()
	wait.Held(telemetry.Held{Session: r.session, Life: r.ctx, Path: r.own()})
	return r, nil
}

// enter enters in one session after the other.
func (d *Double) enter(ctx context.Context) (*Round, error) {
	former := ""
	for {
		s, err := d.client.AwaitSession(ctx)
		if err != nil {
			return nil, err
		}
		m := &member{Double: d, session: s, view: d.client.In(s), name: client.NewProtectionID(), former: former}
		r, err := m.enter(ctx)
		switch {
		case err == nil:
			return r, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, ErrRemoved):
		case s.Err() == nil, d.client.Bound(), errors.Is(s.Err(), client.ErrClosed):
			return nil, err
		default: // with the next session
			former = m.own()
		}
	}
}

func (d *Double) failed(op string, err error) error {
	return &client.Error{Op: op, Path: d.path, Err: err}
}

func (d *Double) child(name string) string { return client.Join(d.path, name) }

// member is one who is there, in one session.
type member struct {
	*Double
	session *client.Session
	view    *client.Client
	name    string
	former  string // the node it had in the session before, which the servers may not have ended yet; "": none
}

func (m *member) own() string { return m.child(m.name) }

// enter goes in, or leaves no trace. It works on a goroutine of the session, whose requests end with the session and not with ctx: what became
// of a request that was given up could not be known.
func (m *member) enter(ctx context.Context) (*Round, error) {
	type outcome struct {
		round *Round
		err   error
	}
	done := make(chan outcome, 1)
	err := m.session.Go(func(life context.Context) {
		life = telemetry.Below(ctx, life)
		wanted, cancel := context.WithCancelCause(life)
		defer cancel(nil)
		defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
		r, err := m.attend(life, wanted)
		if err != nil {
			r = m.withdraw(life)
		}
		if r != nil {
			r.release, err = m.session.Keep(life)
		}
		if err != nil {
			r = nil
		}
		done <- outcome{r, err}
	})
	if err != nil {
		return nil, err
	}
	select {
	case o := <-done:
		return o.round, o.err
	case <-ctx.Done():
	}
	patience := time.NewTimer(m.opts.Cleanup)
	defer patience.Stop()
	select {
	case o := <-done:
		return o.round, o.err
	case <-patience.C:
	}
	_ = m.session.Go(func(life context.Context) { // ends when the member is out, or the session is over
		if o := <-done; o.round != nil {
			o.round.out(life)
		}
	})
	return nil, context.Cause(ctx)
}

// attend makes the own node and waits to be let in, as long as it is wanted.
func (m *member) attend(life, wanted context.Context) (*Round, error) {
	if err := m.forsake(life); err != nil {
		return nil, err
	}
	for {
		_, err := m.view.Create(life, m.own(), m.opts.Data, &client.CreateOptions{
			Mode: client.Ephemeral, ACL: m.opts.ACL, Parents: client.ContainerParents,
		})
		if err == nil || errors.Is(err, client.ErrNodeExists) { // the name is this member's alone
			break
		}
		if !errors.Is(err, client.ErrUnknown) || life.Err() != nil {
			return nil, err
		}
	}
	for {
		r, w, err := m.look(life)
		if r != nil || err != nil {
			return r, err
		}
		if w == nil {
			continue
		}
		if _, err := w.Wait(wanted); err != nil {
			return nil, err
		}
	}
}

// forsake removes the node of the session before: who comes again is not to be counted twice.
func (m *member) forsake(life context.Context) error {
	for m.former != "" {
		err := m.view.Delete(life, m.former, client.AnyVersion)
		switch {
		case err == nil, errors.Is(err, client.ErrNoNode):
			return nil
		case !retry.Transient(err) || !retry.Pause(life, retry.Soon):
			return err
		}
	}
	return nil
}

// look is one step: it returns a round if there is one this member is in, or a watch to wait for before the next step, or neither if there is
// nothing to wait for.
func (m *member) look(ctx context.Context) (*Round, *client.Watch, error) {
	names, dir, w, err := m.view.ChildrenW(ctx, m.path)
	if err != nil {
		return nil, nil, err
	}
	present := slices.DeleteFunc(names, func(n string) bool { return !isMember(n) && n != ready })
	if !slices.Contains(present, m.name) {
		return nil, nil, ErrRemoved
	}
	if slices.Contains(present, ready) {
		return m.lookReady(ctx, present, dir.Version, w)
	}
	if len(present) < m.size {
		return nil, w, nil
	}
	chosen, err := m.choose(ctx, present)
	if err != nil || !slices.Contains(chosen, m.name) { // then it waits for the next round
		return nil, w, err
	}
	return nil, nil, m.begin(ctx, chosen, dir.Version)
}

// choose returns those who came first, as many as are to meet.
func (m *member) choose(ctx context.Context, present []string) ([]string, error) {
	if len(present) == m.size {
		return present, nil
	}
	came, err := m.created(ctx, present)
	if err != nil {
		return nil, err
	}
	present = slices.SortedFunc(maps.Keys(came), func(a, b string) int { return cmp.Compare(came[a], came[b]) })
	return present[:min(m.size, len(present))], nil
}

// created returns by which transactions the nodes that are there were created.
func (m *member) created(ctx context.Context, names []string) (map[string]int64, error) {
	came := make(map[string]int64)
	for _, name := range names {
		stat, there, err := m.view.Exists(ctx, m.child(name))
		if err != nil {
			return nil, err
		}
		if there {
			came[name] = stat.Czxid
		}
	}
	return came, nil
}

// lookReady finds out what the node ready means to this member, and removes one that means nothing to anybody.
func (m *member) lookReady(ctx context.Context, present []string, round int32, w *client.Watch) (*Round, *client.Watch, error) {
	data, stat, err := m.view.Get(ctx, m.child(ready))
	if errors.Is(err, client.ErrNoNode) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	members, ok := parseMembers(data)
	if !ok {
		if members, err = m.before(ctx, present, stat.Czxid); err != nil {
			return nil, nil, err
		}
	}
	switch {
	case !slices.Contains(members, m.name):
	case ok && len(members) != m.size:
		return nil, nil, fmt.Errorf("%w: a round of %d has begun, with one who meets %d", client.ErrBadArguments, len(members), m.size)
	default:
		return &Round{member: m, members: members}, nil, nil
	}
	if slices.ContainsFunc(members, func(name string) bool { return slices.Contains(present, name) }) {
		return nil, w, nil // a round goes on, without this member
	}
	// Unless another round has begun meanwhile, which would have counted in the directory's version.
	_, err = m.view.Multi(ctx, client.CheckOp(m.path, round), client.DeleteOp(m.child(ready), client.AnyVersion))
	if err != nil && !retry.LookAgain(err) {
		return nil, nil, err
	}
	return nil, nil, nil
}

// before returns who was there already when Curator's ready was made: they are in.
func (m *member) before(ctx context.Context, present []string, made int64) ([]string, error) {
	came, err := m.created(ctx, present)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(came, func(name string, czxid int64) bool { return name == ready || czxid > made })
	return slices.Collect(maps.Keys(came)), nil
}

// begin lets the members in, if all of them are there at that moment, and no round has begun since the directory was read.
func (m *member) begin(ctx context.Context, members []string, round int32) error {
	data, _, err := m.view.Get(ctx, m.path)
	if err != nil {
		return err
	}
	ops := []client.Op{client.SetOp(m.path, data, round)}
	for _, name := range members {
		ops = append(ops, client.CheckOp(m.child(name), client.AnyVersion))
	}
	ops = append(ops, client.CreateOp(m.child(ready), formatMembers(members), &client.CreateOptions{ACL: m.opts.ACL}))
	if _, err := m.view.Multi(ctx, ops...); err != nil && !retry.LookAgain(err) {
		return err
	}
	return nil
}

// withdraw removes the own node, but not while a round begins that this member is in: then it returns that round.
func (m *member) withdraw(life context.Context) *Round {
	for life.Err() == nil {
		_, err := m.view.Multi(life, client.CreateOp(m.child(ready), nil, nil), client.DeleteOp(m.child(ready), client.AnyVersion),
			client.DeleteOp(m.own(), client.AnyVersion)) // fails if there is a ready
		if errors.Is(err, client.ErrNodeExists) {
			var r *Round
			if r, err = m.withdrawBeside(life); r != nil {
				return r
			}
		}
		if err == nil || errors.Is(err, client.ErrNoNode) || !retry.LookAgain(err) {
			return nil
		}
	}
	return nil
}

// withdrawBeside is withdraw while a round goes on: it removes the own node unless this member is in that round, or another has begun by then,
// which would have counted in the directory's version.
func (m *member) withdrawBeside(life context.Context) (*Round, error) {
	dir, _, err := m.view.Exists(life, m.path)
	if err != nil {
		return nil, err
	}
	r, _, err := m.look(life)
	switch {
	case r != nil:
		return r, nil
	case err != nil:
		return nil, (&Round{member: m}).remove(life)
	}
	_, err = m.view.Multi(life, client.CheckOp(m.path, dir.Version), client.DeleteOp(m.own(), client.AnyVersion))
	return nil, err
}

// Round is one meeting, from Enter to Leave. Its methods may be called by many goroutines.
type Round struct {
	*member
	members []string
	release func() // lets the session go, which is kept
	ctx     context.Context
	end     context.CancelCauseFunc
}

// begin begins what lasts until this member leaves.
func (r *Round) begin() {
	r.ctx, r.end = context.WithCancelCause(r.session.Context())
	_ = r.session.Go(func(context.Context) { r.guard() }) // ends with the round; if it cannot begin, the round is over
}

// guard ends the round's context when somebody removes the own node.
func (r *Round) guard() {
	for r.ctx.Err() == nil {
		_, _, w, err := r.view.GetW(r.ctx, r.own())
		if errors.Is(err, client.ErrNoNode) {
			r.end(ErrRemoved)
		}
		if err != nil {
			return
		}
		_, _ = w.Wait(r.ctx)
	}
}

// Context returns a context that ends when this member is not in the round any more, with the cause: ErrLeft, ErrRemoved, or that of the end of
// the session it is there with (client.ErrSessionExpired, client.ErrClosed). The session is kept, see client.Session.Keep, until the member
// leaves: the context ends before the others can take this member for one who has left, and its Err looks at the clocks; unless somebody
// removes the node, of which the client is told no sooner than the others. What is done in the round runs under it.
func (r *Round) Context() context.Context { return roundContext{r.ctx, r.session} }

// roundContext is a round's context, which asks for the session's end before it says that there is none.
type roundContext struct {
	context.Context
	session *client.Session
}

// Err is context.Context's.
func (c roundContext) Err() error {
	_ = c.session.Err() // ends the session, and with it the context, if its time is over
	return c.Context.Err()
}

// Members returns how many began the round.
func (r *Round) Members() int { return len(r.members) }

// Leave ends the round's context, waits until all members have left or died, and returns then. If ctx ends first, it fails with ctx's cause: this
// member leaves then in any case, in the background, and a further Leave goes on waiting for the others. It fails with the cause of the
// session's end, with which this member has left, but cannot wait for the others any more.
func (r *Round) Leave(ctx context.Context) error {
	_ = r.Context().Err() // what has ended it before counts
	r.end(ErrLeft)
	for {
		if r.session.Err() != nil {
			return r.failed("leave", r.session.Err())
		}
		left, err := r.leave(ctx)
		if err != nil {
			if ctx.Err() == nil {
				r.release() // it may not leave, and is in the round no more
			} else { // nobody has to wait for one who does not wait
				_ = r.session.Go(r.out)
			}
			return r.failed("leave", err)
		}
		if left {
			r.release()
			return nil
		}
	}
}

// leave is one step. The last of the names stays until the others have gone, and ends the round; they wait for it. So each has one node to
// watch.
func (r *Round) leave(ctx context.Context) (bool, error) {
	names, _, err := r.view.Children(ctx, r.path)
	if errors.Is(err, client.ErrNoNode) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	there := r.among(names)
	switch {
	case len(there) == 0:
		return true, nil
	case len(there) == 1 && there[0] == r.name:
		return r.finish(ctx)
	case there[0] == r.name:
		return false, r.await(ctx, there[len(there)-1])
	}
	if err := r.remove(ctx); err != nil {
		return false, err
	}
	r.release()
	return false, r.await(ctx, there[0])
}

// among returns which of the round's members are there, in order.
func (r *Round) among(names []string) []string {
	return slices.DeleteFunc(slices.Sorted(slices.Values(r.members)), func(n string) bool { return !slices.Contains(names, n) })
}

// finish ends the round, as the last of its members, and tells whether that is certain. The own node goes with it: it must not be counted for
// the next round.
func (r *Round) finish(ctx context.Context) (bool, error) {
	_, err := r.view.Multi(ctx, client.DeleteOp(r.child(ready), client.AnyVersion), client.DeleteOp(r.own(), client.AnyVersion))
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, client.ErrNoNode): // somebody has removed either
		return true, r.remove(ctx)
	case retry.LookAgain(err) && ctx.Err() == nil:
		return false, nil
	}
	return false, err
}

// remove deletes the own node until that is certain. Its name is this member's alone.
func (r *Round) remove(ctx context.Context) error {
	for {
		err := r.view.Delete(ctx, r.own(), client.AnyVersion)
		switch {
		case err == nil, errors.Is(err, client.ErrNoNode):
			return nil
		case !errors.Is(err, client.ErrUnknown) || ctx.Err() != nil || r.session.Err() != nil:
			return err
		}
	}
}

// out removes the member, for good, and does not wait for others. If there are none, the round goes with it.
func (r *Round) out(life context.Context) {
	defer r.release()
	names, _, err := r.view.Children(life, r.path)
	if err == nil && slices.Equal(r.among(names), []string{r.name}) {
		for {
			if done, err := r.finish(life); done || err != nil {
				return
			}
		}
	}
	_ = r.remove(life)
}

// await returns when a member's node may be gone.
func (r *Round) await(ctx context.Context, name string) error {
	_, _, w, err := r.view.GetW(ctx, r.child(name)) // which leaves no watch if it is gone
	if errors.Is(err, client.ErrNoNode) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = w.Wait(ctx)
	return err
}

// isMember tells whether a name is a member's: a UUID, with its dashes as Curator's and ours, or without them as kazoo's.
func isMember(name string) bool {
	id, _, ok := client.ParseProtected("_c_" + name + "-")
	return ok && id == name
}

func formatMembers(names []string) []byte { return []byte(strings.Join(names, "\n")) }

// parseMembers reads the names of a round's members. Data of anybody else's are not ok.
func parseMembers(data []byte) (names []string, ok bool) {
	names = strings.Split(string(data), "\n")
	return names, !slices.ContainsFunc(names, func(n string) bool { return !isMember(n) })
}
