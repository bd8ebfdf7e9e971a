package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/node"
)

// ErrUnhealthy tells that an instance is not listed since its health check fails, or has not succeeded yet.
var ErrUnhealthy = errors.New("instance is not healthy")

// RegisterOptions say how an instance is registered. The zero value works, and nil means the zero value.
type RegisterOptions struct {
	// Drain is how long Registration.Close lets the instance stand as Draining before it removes it, for those who have chosen it, and the
	// requests it has, to come to an end. Default: it is removed at once, which watchers do not tell from an instance that has lost the
	// servers: many that go like this at once are kept, as LookupOptions.MassLoss says. An instance that is not up is removed at once, too.
	Drain time.Duration
	// Check decides whether the instance is listed: it is removed when the check fails, and registered again when it succeeds. Its context
	// ends after CheckTimeout; it must return then. Package health has checks. Default: it is always listed.
	Check func(context.Context) error
	// CheckEvery is the pause between checks. Default: 5 s.
	CheckEvery time.Duration
	// CheckTimeout is how long a check may take. Default: 2 s.
	CheckTimeout time.Duration
	// Rise is how many checks must succeed, one after the other, before an instance is listed, and Fall how many must fail before it is
	// removed. Default: 1 and 3.
	Rise, Fall int
}

// Registration is an instance that is kept registered, from Register until Close. Its methods may be called by many goroutines.
type Registration[T any] struct {
	registry *Registry[T]
	opts     RegisterOptions
	path     string // of a sequential one without number
	key      string // in the registry

	life     context.Context // ends with Close
	end      context.CancelCauseFunc
	hurry    context.CancelFunc // ends the draining
	draining context.Context
	running  sync.WaitGroup
	done     chan struct{} // closed when nothing is left to do
	failure  error         // of Close; written before done is closed

	turn chan struct{} // has one token: of who changes the instance

	listed    bool // it was, or was to be; of run alone, and before it
	unhealthy bool // it is counted among those; of run alone

	mu       sync.Mutex
	instance Instance[T]
	data     []byte
	node     *node.Node    // nil while it is not listed
	status   node.Status   // while there is no node
	changed  chan struct{} // closed and replaced when the status changes
}

// Register keeps an instance registered: whatever happens to its node, it is put right, and the next session takes it over from the one
// before, so that nobody sees it missing. It returns when the instance is listed; with a Check it returns at once. ctx bounds that alone; if
// it ends before, nothing stays behind.
//
// If there is an instance of that id, with the same address and ports, it is taken for a former life of this one, and replaced. Any
// other is waited for, and what Register fails with when ctx ends says node.ErrTaken. Two of a registry cannot have one name and id,
// unless they are sequential: client.ErrNodeExists. A static or permanent one that is there belongs to all who register it, and is
// overwritten. An instance that the client cannot send is refused: client.ErrTooLarge.
func (r *Registry[T]) Register(ctx context.Context, i Instance[T], opts *RegisterOptions) (*Registration[T], error) {
	g, err := r.prepare(ctx, i, opts)
	if err != nil {
		return nil, err
	}
	if err := r.register(ctx, g); err != nil {
		return nil, err
	}
	return g, nil
}

// register does what Register does with a registration that is prepared.
func (r *Registry[T]) register(ctx context.Context, g *Registration[T]) error {
	if err := r.add(ctx, g); err != nil {
		err = g.failed("register", err)
		g.abandon(err)
		return err
	}
	if g.opts.Check != nil {
		g.running.Go(g.run)  // ends with life
		g.running.Go(g.mind) // ends with life, and ends it with the client
		return nil
	}
	n, err := g.list()
	if err != nil {
		g.abandon(err)
		return err
	}
	g.running.Go(g.run) // ends with life, or the client
	if err := n.Await(ctx); err != nil {
		r.undo(ctx, []*Registration[T]{g})
		return err
	}
	return nil
}

// RegisterAll registers several instances, such as all services of a process, and returns when all are listed, in their order. A few go to the
// servers together, in one round trip; many are made in few transactions, see node.BeginAll, in two, which costs the servers less. One that is
// in the way of its transaction keeps none of the others from being listed. With a Check it returns at once. If one cannot be registered, for
// reasons that Register tells, RegisterAll fails with the first failure, or with all when ctx has ended; those that were listed are closed,
// without a drain. Nothing is begun if that can be told before.
func (r *Registry[T]) RegisterAll(ctx context.Context, instances []Instance[T], opts *RegisterOptions) ([]*Registration[T], error) {
	all := make([]*Registration[T], len(instances))
	for i, instance := range instances {
		g, err := r.prepare(ctx, instance, opts)
		if err != nil {
			return nil, err
		}
		all[i] = g
	}
	waiting, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	nodes, err := r.beginAll(ctx, all)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(all))
	var registering sync.WaitGroup
	for i, g := range all {
		registering.Go(func() { // ends when it is listed, with ctx, or when another fails
			if nodes[i] != nil {
				errs[i] = nodes[i].Await(waiting)
			} else {
				errs[i] = r.register(waiting, g)
			}
			if errs[i] != nil {
				fail(errs[i])
			}
		})
	}
	registering.Wait()
	failure := errors.Join(errs...)
	if failure == nil {
		return all, nil
	}
	r.undo(ctx, all)
	if ctx.Err() == nil {
		failure = context.Cause(waiting) // the others are its consequences
	}
	return nil, failure
}

// beginAll begins to keep the nodes of registrations, together, and returns them; nil for one that has a check, or that another registration
// of its path is in the way of.
func (r *Registry[T]) beginAll(ctx context.Context, all []*Registration[T]) ([]*node.Node, error) {
	var wishes []node.Wish
	var whose []int
	for i, g := range all {
		if g.opts.Check == nil && r.claim(g) == nil {
			wishes, whose = append(wishes, g.wish()), append(whose, i)
		}
	}
	begun, err := node.BeginAll(telemetry.As(ctx, telemetry.Discovery, registration), r.client, wishes)
	if err != nil {
		for _, i := range whose {
			all[i].abandon(err)
		}
		return nil, err
	}
	nodes := make([]*node.Node, len(all))
	for k, i := range whose {
		g, n := all[i], begun[k]
		g.mu.Lock()
		g.holdLocked(n)
		g.mu.Unlock()
		g.running.Go(g.run) // ends with life, or the client
		nodes[i] = n
	}
	return nodes, nil
}

// registration is how one is called in spans and metrics.
const registration = "registration"

// abandon ends a registration that was never listed.
func (g *Registration[T]) abandon(why error) {
	g.hurry()
	g.registry.drop(g)
	g.end(why)
	close(g.done)
}

// undo closes those that were registered for nothing.
func (r *Registry[T]) undo(ctx context.Context, some []*Registration[T]) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	var closing sync.WaitGroup
	for _, g := range some {
		if g != nil {
			g.hurry()
			closing.Go(func() { _ = g.Close(bounded) }) // ends with bounded, or before; the removal goes on
		}
	}
	closing.Wait()
}

// cleanup bounds how long it is waited for removals that go on in the background.
const cleanup = 5 * time.Second

// prepare describes a registration, and finds out what can be found out before anything is sent.
func (r *Registry[T]) prepare(ctx context.Context, i Instance[T], opts *RegisterOptions) (*Registration[T], error) {
	i.ID = cmp.Or(i.ID, client.NewProtectionID())
	i.Type = i.kind()
	if i.Registered.IsZero() {
		i.Registered = time.Now()
	}
	g := &Registration[T]{
		registry: r, instance: i, done: make(chan struct{}), turn: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	if opts != nil {
		g.opts = *opts
	}
	if g.opts.Check != nil {
		g.status.Err = ErrUnhealthy
	}
	g.opts.CheckEvery = cmp.Or(g.opts.CheckEvery, 5*time.Second)
	g.opts.CheckTimeout = cmp.Or(g.opts.CheckTimeout, 2*time.Second)
	g.opts.Rise, g.opts.Fall = max(g.opts.Rise, 1), cmp.Or(max(g.opts.Fall, 0), 3)
	if err := g.examine(); err != nil {
		return nil, g.failed("register", err)
	}
	if g.key = g.path; i.Type == DynamicSequential {
		g.key += "/" + client.NewProtectionID() // they do not meet
	}
	g.life, g.end = context.WithCancelCause(telemetry.As(context.WithoutCancel(ctx), telemetry.Discovery, registration))
	g.draining, g.hurry = context.WithCancel(context.WithoutCancel(ctx))
	return g, nil
}

func (g *Registration[T]) examine() (err error) {
	if g.path, err = g.registry.path(g.instance.Name, g.instance.ID); err != nil {
		return err
	}
	if g.data, err = g.registry.codec.Encode(&g.instance); err != nil {
		return fmt.Errorf("%w: %w", client.ErrBadArguments, err)
	}
	if g.instance.Type == Permanent && g.opts.Check != nil {
		return fmt.Errorf("%w: a permanent instance with a check", client.ErrBadArguments)
	}
	if _, err = g.registry.client.Intent(client.CreateOp(g.path, g.data, nil)); err != nil || g.opts.Check == nil {
		return err
	}
	return g.fits(g.data) // of others it is told when they are sent
}

// fits fails with client.ErrTooLarge if the client does not send an instance with these data. Nothing is sent: of a request whose context is
// over its size is judged, and no more.
func (g *Registration[T]) fits(data []byte) error {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := g.registry.client.Multi(over, client.CreateOp(g.path, data, &client.CreateOptions{ACL: g.registry.acl}))
	if errors.Is(err, client.ErrTooLarge) {
		return errors.Unwrap(err)
	}
	return nil
}

// add notes a registration. If there is one with its path, it refuses, or waits for it to be gone if it is closed.
func (r *Registry[T]) add(ctx context.Context, g *Registration[T]) error {
	for {
		there := r.claim(g)
		switch {
		case there == nil:
			return nil
		case there.life.Err() == nil:
			return fmt.Errorf("%w: registered by this registry already", client.ErrNodeExists)
		}
		select {
		case <-there.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// claim notes a registration, unless there is one with its path, which it returns.
func (r *Registry[T]) claim(g *Registration[T]) (there *Registration[T]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if there = r.registered[g.key]; there == nil {
		r.registered[g.key] = g
	}
	return there
}

func (r *Registry[T]) drop(g *Registration[T]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.registered[g.key] == g {
		delete(r.registered, g.key)
	}
}

// Instance returns the instance as it is wished for.
func (g *Registration[T]) Instance() Instance[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.instance
}

// Path returns the path of the instance's node; of a sequential one that is not listed the path without its number.
func (g *Registration[T]) Path() string {
	g.mu.Lock()
	n := g.node
	g.mu.Unlock()
	if n == nil {
		return g.path
	}
	return n.Path()
}

// Status returns what is known of the instance's node: whether it is listed, and if not, why: ErrUnhealthy, node.ErrTaken, the end of a
// session, …
func (g *Registration[T]) Status() node.Status {
	s, _ := g.state()
	return s
}

// state returns the status, and a channel that is closed when there may be another one.
func (g *Registration[T]) state() (node.Status, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.statusLocked(), g.changed
}

// statusLocked returns the status. The caller holds mu.
func (g *Registration[T]) statusLocked() node.Status {
	if g.node != nil {
		return g.node.Status()
	}
	return g.status
}

// Watch yields the status, and then each other one, the last of those that follow each other quickly. It ends with ctx, or when the instance
// is not kept registered any more.
func (g *Registration[T]) Watch(ctx context.Context) iter.Seq[node.Status] {
	return func(yield func(node.Status) bool) {
		var last node.Status
		for first := true; ; first = false {
			now, changed := g.state()
			if (first || now != last) && !yield(now) {
				return
			}
			last = now
			select {
			case <-changed:
			case <-g.done:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// Update changes the instance in place, and returns when the servers have it: the same node with other data. edit is given a copy, and must
// leave name, id and type alone, or Update fails with client.ErrBadArguments. Tags and payload may share memory with what others have
// been given: edit replaces them, and does not write into them. One Update waits for another. If ctx ends before it is done, it fails with its
// cause and client.ErrUnknown, and the change is still wished for, unless it had to wait. While the instance is not healthy the change waits
// for it to be listed, and Update does not. What is more than the client sends fails at once with client.ErrTooLarge, and changes nothing.
func (g *Registration[T]) Update(ctx context.Context, edit func(*Instance[T])) error {
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-g.life.Done():
		return g.failed("update", node.ErrClosed)
	case <-ctx.Done():
		return g.failed("update", context.Cause(ctx))
	}
	if g.life.Err() != nil {
		return g.failed("update", node.ErrClosed)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(g.life, func() { cancel(node.ErrClosed) })() // ends here
	return g.change(ctx, edit)
}

// change does it for who has the turn.
func (g *Registration[T]) change(ctx context.Context, edit func(*Instance[T])) error {
	before := g.Instance()
	after := before
	edit(&after)
	if after.Name != before.Name || after.ID != before.ID || after.kind() != before.kind() {
		return g.failed("update", fmt.Errorf("%w: name, id and type stay", client.ErrBadArguments))
	}
	data, err := g.registry.codec.Encode(&after)
	if err != nil {
		return g.failed("update", fmt.Errorf("%w: %w", client.ErrBadArguments, err))
	}
	g.mu.Lock()
	if !g.statusLocked().Present { // when it can be sent it is too late to refuse it
		g.mu.Unlock()
		if err := g.fits(data); err != nil {
			return g.failed("update", err)
		}
		g.mu.Lock()
	}
	old := g.data
	g.instance, g.data = after, data
	n := g.node
	g.mu.Unlock()
	if n == nil {
		return nil // who lists it takes these
	}
	err = n.Set(ctx, data)
	if errors.Is(err, client.ErrTooLarge) && !errors.Is(err, client.ErrUnknown) { // it never can be
		g.mu.Lock()
		defer g.mu.Unlock()
		g.instance, g.data = before, old
	}
	return err
}

// Close ends the registration: the instance is Draining for RegisterOptions.Drain, if it is listed and up, and then removed, a permanent one
// excepted, which stays as it is. Close returns when it is certainly gone. If ctx ends before, the draining ends too; Close fails with ctx's
// cause and client.ErrUnknown while the removal goes on, and a further Close waits for it. What node.Node.Close fails with, Close does.
func (g *Registration[T]) Close(ctx context.Context) error {
	g.end(node.ErrClosed)
	select {
	case <-g.done:
	case <-ctx.Done():
		g.hurry()
		return g.failed("close", fmt.Errorf("%w: %w", client.ErrUnknown, context.Cause(ctx)))
	}
	g.running.Wait()
	return g.failure
}

// run keeps the instance listed, or has the check decide, and removes it in the end. It alone changes node, which it reads without mu.
func (g *Registration[T]) run() {
	defer close(g.done)
	defer g.registry.drop(g)
	defer g.hurry()
	if g.opts.Check == nil {
		select {
		case <-g.life.Done():
		case <-g.node.Done(): // the client is closed, or the session of a view over
		}
	} else {
		g.gate()
	}
	g.end(node.ErrClosed)
	g.turn <- struct{}{} // nobody changes it any more; who did is on the way out
	g.drain()
	g.failure = g.unlist(node.ErrClosed)
}

// drain lets those who have chosen the instance finish.
func (g *Registration[T]) drain() {
	if i := g.Instance(); g.opts.Drain <= 0 || i.Type == Permanent || !i.Available() || !g.Status().Present {
		return // of who is not up nobody expects anything, and Draining may be chosen where Down is not
	}
	ctx, cancel := context.WithTimeout(g.draining, g.opts.Drain)
	defer cancel()
	if g.change(ctx, func(i *Instance[T]) { i.Status = Draining }) == nil {
		select {
		case <-ctx.Done():
		case <-g.node.Done():
		}
	}
}

// mind ends the registration when the client is closed, or the session of a view over.
func (g *Registration[T]) mind() {
	for g.life.Err() == nil {
		s, err := g.registry.client.AwaitSession(g.life)
		if err != nil {
			g.end(node.ErrClosed)
			return
		}
		select {
		case <-s.Context().Done():
		case <-g.life.Done():
		}
	}
}

// gate lists the instance while it is healthy, until life ends.
func (g *Registration[T]) gate() {
	good, bad := 0, 0
	defer g.doubt(false)
	g.doubt(true)
	for {
		err := g.check()
		if g.life.Err() != nil {
			return
		}
		if good, bad = good+1, bad+1; err == nil {
			bad = 0
		} else {
			good = 0
		}
		switch {
		case g.node == nil && good >= g.opts.Rise:
			if _, err := g.list(); err != nil {
				g.note(err)
				break
			}
			g.doubt(false)
		case g.node != nil && bad >= g.opts.Fall:
			g.registry.log.Warn("instance is not listed any more", "path", g.path, "cause", err)
			g.doubt(true)
			_ = g.unlist(fmt.Errorf("%w: %w", ErrUnhealthy, err))
		case g.node == nil && err != nil:
			g.note(fmt.Errorf("%w: %w", ErrUnhealthy, err))
		}
		if !g.pause() {
			return
		}
	}
}

// doubt counts the instances that are not listed since their checks do not succeed.
func (g *Registration[T]) doubt(unhealthy bool) {
	if unhealthy == g.unhealthy {
		return
	}
	g.unhealthy = unhealthy
	by := int64(-1)
	if unhealthy {
		by = 1
	}
	telemetry.Of(g.registry.client).Count(telemetry.DiscoveryUnhealthy, by)
}

// pause waits until it is time for the next check, unless there is none.
func (g *Registration[T]) pause() bool {
	timer := time.NewTimer(g.opts.CheckEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-g.life.Done():
		return false
	}
}

func (g *Registration[T]) check() error {
	ctx, cancel := context.WithTimeoutCause(g.life, g.opts.CheckTimeout, errSlow)
	defer cancel()
	err := g.opts.Check(ctx)
	if ctx.Err() != nil {
		return cmp.Or(err, context.Cause(ctx))
	}
	return err
}

var errSlow = errors.New("the check takes too long")

// list has the instance's node kept.
func (g *Registration[T]) list() (*node.Node, error) {
	w := g.wish()
	g.mu.Lock()
	defer g.mu.Unlock()
	n, err := node.Begin(g.life, g.registry.client, w.Path, g.data, w.Options)
	if err != nil {
		return nil, err
	}
	g.holdLocked(n)
	return n, nil
}

// wish says how the instance's node is to be kept. While the node is not, it is for run alone, and before that for who registers.
func (g *Registration[T]) wish() node.Wish {
	o := &node.Options{ACL: g.registry.acl}
	if !g.listed { // who was here before is replaced once, and then has the right to come back
		g.listed, o.Succeeds = true, g.succeeds
	}
	switch g.instance.Type {
	case DynamicSequential:
		o.Sequential = true
	case Static:
		o.Persistent = true
	case Permanent:
		o.Persistent, o.Leave = true, true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return node.Wish{Path: g.path, Data: g.data, Options: o}
}

// holdLocked notes the node that is kept. The caller holds mu.
func (g *Registration[T]) holdLocked(n *node.Node) {
	g.node = n
	g.running.Go(func() { g.follow(n) }) // ends with the node
}

// succeeds tells whether what is in a node is a former life of this instance.
func (g *Registration[T]) succeeds(data []byte) bool {
	old, err := g.registry.codec.Decode(data)
	if err != nil {
		return false
	}
	now := g.Instance()
	return now.Address != "" && old.Address == now.Address && old.Port == now.Port && old.TLSPort == now.TLSPort
}

// follow tells how a node is, as long as it is kept.
func (g *Registration[T]) follow(n *node.Node) {
	for s := range n.Watch(context.WithoutCancel(g.life)) {
		if s.Err != nil && !errors.Is(s.Err, node.ErrClosed) {
			g.registry.log.Warn("instance is not listed", "path", g.path, "cause", s.Err)
		}
		g.mu.Lock()
		g.wakeLocked()
		g.mu.Unlock()
	}
}

// unlist has the instance's node removed, and returns when it is gone.
func (g *Registration[T]) unlist(why error) error {
	g.mu.Lock()
	n := g.node
	g.node = nil
	g.status = node.Status{Err: why}
	g.wakeLocked()
	g.mu.Unlock()
	if n == nil {
		return nil
	}
	return n.Close(context.WithoutCancel(g.life))
}

// note makes it known why there is no node.
func (g *Registration[T]) note(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.status.Err != nil && g.status.Err.Error() == why.Error() {
		return
	}
	g.status = node.Status{Err: why}
	g.wakeLocked()
}

// wakeLocked wakes those who wait for another status. The caller holds mu.
func (g *Registration[T]) wakeLocked() {
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *Registration[T]) failed(op string, err error) error {
	return &client.Error{Op: op, Path: g.path, Err: err}
}
