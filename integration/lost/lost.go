// Package lost takes requests and replies away from a client, on every kind of operation it has, and judges whether the client tells the
// truth about what became of them.
//
// A run has one client, which talks to its servers through a proxy, and a witness, which does not. A [Plan], made from a seed, says
// what the client does, what is lost meanwhile, and whether its caller leaves or its session ends on top of that. The witness looks at
// the tree before, at the moment the call has returned, and when everything is over: the faults, what waited in them, what the
// client cleans up behind itself, and its session. From these looks a judge counts how often the operation took effect, and requires:
//
//   - what is done took effect once, and is as it was said;
//   - what failed, and not with ErrUnknown, took no effect, and for a reason there was;
//   - what failed with ErrUnknown took effect once at most;
//   - what can be recognised, a protected create and a MultiOnce, is done for certain as long as its session lives and its caller waits,
//     and leaves nothing behind if they do not;
//   - a read is answered, rightly, as long as somebody waits for it, and a watch that it has left wakes.
//
// The count rests on what servers count by themselves, changes of data, of ACLs and of sets of children, so that what was done twice, or done
// and undone, shows. The servers may be ours in virtual time or processes of any kind.
package lost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// A World is where runs take place. Several may take place in it at once.
type World struct {
	// Servers are those of the client, without a chroot.
	Servers string
	// Dial reaches them. Default: TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Witness has a way of its own to the same servers.
	Witness *client.Client
	// Client are the options of the clients, whose Dialer a run sets. SessionTimeout has to be set.
	Client client.Options
	// Settle is how long what is late may take to come when all faults are over.
	Settle time.Duration
	// Expire ends a session at once. Without it sessions end by silence only.
	Expire func(ctx context.Context, session int64) error
}

// A Result is what became of a run.
type Result struct {
	Plan  Plan
	Err   error    // of the operation
	Wrong []string // what must not be

	story story
}

// Run carries out a plan. The error tells that nothing could be found out.
func Run(ctx context.Context, w World, p Plan) (Result, error) {
	r := &run{world: w, plan: p, root: fmt.Sprintf("/lost-%d", p.seed), proxy: proxy.New(&proxy.Options{Dial: w.Dial}), over: make(chan struct{})}
	defer r.end(ctx)
	if err := r.begin(ctx); err != nil {
		return Result{}, fmt.Errorf("seed %d: begin: %w", p.seed, err)
	}
	if err := r.work(ctx); err != nil {
		return Result{}, fmt.Errorf("seed %d: %w", p.seed, err)
	}
	return Result{Plan: p, Err: r.story.err, story: r.story, Wrong: append(r.wrong, verdict(p.kind, &r.story)...)}, nil
}

// errLeft is the cause with which a caller leaves.
var errLeft = errors.New("nobody waits for it any more")

// A run is one on its way.
type run struct {
	world World
	plan  Plan
	root  string
	proxy *proxy.Proxy

	client  *client.Client
	session *client.Session // the first
	faults  []*proxy.Fault
	hands   sync.WaitGroup // goroutines that see to faults
	others  sync.WaitGroup // the one of what others do, among them
	over    chan struct{}  // closed when faults that have not struck are not to any more
	cancel  context.CancelCauseFunc
	leftAt  atomic.Int64 // when the caller left, Unix nanoseconds
	expired atomic.Bool
	rivals  atomic.Int64

	story story
	wrong []string
}

func (r *run) failed(format string, args ...any) {
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

// begin makes the tree and the client.
func (r *run) begin(ctx context.Context) (err error) {
	ops := []client.Op{client.CreateOp(r.root, nil, nil)}
	for _, node := range r.plan.kind.nodes {
		ops = append(ops, client.CreateOp(r.root+node, []byte("before"), nil))
	}
	if r.plan.kind.grants {
		ops = append(ops, client.CreateOp(r.root+secret, nil, &client.CreateOptions{ACL: client.DigestACL(client.PermAll, "u", "p")}))
	}
	if _, err := r.world.Witness.Multi(ctx, ops...); err != nil {
		return err
	}
	o := r.world.Client
	o.Dialer = r.proxy.Dial
	if r.client, err = client.Connect(ctx, r.world.Servers+r.root, &o); err != nil {
		return err
	}
	r.session = r.client.Session()
	if _, err = r.client.Create(ctx, canary, nil, &client.CreateOptions{Mode: client.Ephemeral}); err != nil {
		return err
	}
	r.story.before, err = r.look(ctx)
	return err
}

// work does what is planned and looks what comes of it.
func (r *run) work(ctx context.Context) (err error) {
	watch := r.operate(ctx)
	if r.story.err == nil {
		if r.story.soon, err = r.look(ctx); err != nil {
			return err
		}
	}
	if r.plan.kind.cleans && r.story.err != nil {
		pause(ctx, r.timeout()/4) // what cleans up is hit too
	}
	close(r.over)
	r.hands.Wait()
	r.heal()
	pause(ctx, r.world.Settle)
	if r.plan.kind.closes {
		r.story.late, err = r.await(ctx, gone)
		return err
	}
	r.wake(ctx, watch)
	if r.plan.kind.grants {
		r.story.granted = r.granted(ctx)
	}
	if _, _, err := r.client.Exists(ctx, "/"); err != nil {
		r.failed("the client is of no use any more: %v", err)
	}
	if r.story.calm, err = r.await(ctx, func(t tree) bool { return r.plan.kind.clean(&r.story, t) }); err != nil {
		return err
	}
	_ = r.client.Close() // of a session nobody may have confirmed
	r.story.late, err = r.await(ctx, gone)
	return err
}

// heal ends all faults, and breaks what has swallowed something: nobody who waits for that would ever hear.
func (r *run) heal() {
	r.proxy.Heal()
	for i, f := range r.plan.faults {
		if f.way == swallow && r.faults[i].Strikes() > 0 {
			r.proxy.Drop()
		}
	}
}

// operate calls the operation with everything that happens to it, and notes what the caller is told.
func (r *run) operate(ctx context.Context) *client.Watch {
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.cancel = cancel
	r.arm(ctx)
	if r.plan.away {
		r.part(ctx)
	}
	returned := r.call(own)
	if left := r.leftAt.Load(); left != 0 {
		r.story.left = true
		if late := returned.Sub(time.Unix(0, left)); late > r.timeout()/4 {
			r.failed("it returned %v after its caller had left", late)
		}
	}
	for _, f := range r.faults {
		r.story.strikes += f.Strikes()
	}
	if r.faults[0].Strikes() > 0 {
		r.others.Wait()
	}
	r.story.ended = r.expired.Load() || r.session.Err() != nil
	r.story.rivals = int(r.rivals.Load())
	return r.story.answer.watch
}

// part breaks the connection, and waits until the client knows.
func (r *run) part(ctx context.Context) {
	r.story.away = true
	r.proxy.Drop()
	for now := range r.client.States(ctx) {
		if now.State == client.StateSuspended {
			return
		}
	}
}

// call calls the operation, and tells when it returned.
func (r *run) call(ctx context.Context) time.Time {
	c := r.client
	if r.plan.bound {
		c = r.session.Client()
	}
	returned := make(chan time.Time, 1)
	go func() { // ends with the operation, which is cancelled if it takes too long
		r.story.answer, r.story.err = r.plan.kind.do(ctx, c)
		returned <- time.Now()
	}()
	patience := time.NewTimer(20 * r.timeout())
	defer patience.Stop()
	select {
	case at := <-returned:
		return at
	case <-patience.C:
	}
	r.failed("it has not returned for %v", 20*r.timeout())
	r.cancel(errLeft)
	return <-returned
}

func (r *run) timeout() time.Duration { return r.world.Client.SessionTimeout }

// arm lets the faults of the plan happen, and what happens besides when the first one strikes.
func (r *run) arm(ctx context.Context) {
	for _, f := range r.plan.faults {
		r.faults = append(r.faults, f.begin(r.proxy))
	}
	for i, f := range r.plan.faults {
		strikes := r.faults[i]
		if f.way == freeze || f.way == swallow {
			r.upon(strikes, func() {
				pause(ctx, f.hold)
				strikes.End()
				if f.way == swallow {
					r.proxy.Drop()
				}
			})
		}
	}
	first := r.faults[0]
	if r.plan.rival || r.plan.end == told {
		r.meanwhile(ctx, first)
	}
	if r.plan.leave {
		r.upon(first, func() {
			pause(ctx, r.plan.leaveAfter)
			r.leftAt.Store(time.Now().UnixNano())
			r.cancel(errLeft)
		})
	}
	if r.plan.end == silent {
		r.upon(first, func() { r.silence(ctx) })
	}
}

// meanwhile does what others do before a client that has lost its connection is back.
func (r *run) meanwhile(ctx context.Context, first *proxy.Fault) {
	way := r.proxy.Freeze(proxy.Request(proxy.OpConnect, "").Always())
	r.others.Add(1)
	r.upon(first, func() {
		defer r.others.Done()
		defer way.End()
		if r.plan.rival && r.plan.kind.rival(ctx, r.world.Witness, r.root) == nil {
			r.rivals.Add(1)
		}
		if r.plan.end == told && r.world.Expire(ctx, r.session.ID()) == nil {
			r.expired.Store(true)
		}
	})
	r.hands.Go(func() { // ends soon: another fault may have broken the connection, and the first may never strike
		select {
		case <-first.Struck():
		case <-r.over:
			way.End()
		case <-time.After(r.timeout() / 2):
			way.End()
		}
	})
}

// upon does something on a goroutine when a fault has struck.
func (r *run) upon(f *proxy.Fault, do func()) {
	r.hands.Go(func() { // ends with what is done, or when there will be nothing to do
		select {
		case <-f.Struck():
			do()
		case <-r.over:
			select {
			case <-f.Struck():
				do()
			default:
			}
		}
	})
}

// silence lets nobody hear anybody until the servers have ended the session.
func (r *run) silence(ctx context.Context) {
	up := r.proxy.Freeze(proxy.Request(proxy.OpAll, "").Always())
	down := r.proxy.Freeze(proxy.Reply(proxy.OpAll, "").Always())
	defer up.End()
	defer down.End()
	_, _ = r.await(ctx, func(t tree) bool { _, there := t[canary]; return !there })
	r.expired.Store(true)
}

// wake sees whether a watch is woken by a change.
func (r *run) wake(ctx context.Context, watch *client.Watch) {
	if watch == nil {
		return
	}
	if err := r.plan.kind.touch(ctx, r.world.Witness, r.root); err != nil {
		r.failed("what wakes the watch: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*r.timeout())
	defer cancel()
	if _, err := watch.Wait(ctx); err != nil && !errors.Is(err, client.ErrSessionExpired) {
		r.failed("the watch does not wake: %v", err)
	}
}

// granted tells whether the client has the identity that AddAuth gives it. What is done counts on the next connection too, and in the
// next session.
func (r *run) granted(ctx context.Context) bool {
	_, _, err := r.client.Get(ctx, secret)
	if err != nil || r.story.err != nil {
		return err == nil
	}
	r.proxy.Drop()
	if _, _, err = r.client.Get(ctx, secret); err != nil {
		r.failed("on the next connection: %v", err)
	}
	if r.world.Expire == nil {
		return true
	}
	if err = r.world.Expire(ctx, r.client.Session().ID()); err == nil {
		_, _, err = r.client.Get(ctx, secret)
	}
	if err != nil {
		r.failed("in the next session: %v", err)
	}
	return true
}

// await looks until the tree is as it should be, but no longer than what is late may take.
func (r *run) await(ctx context.Context, right func(tree) bool) (tree, error) {
	until := time.Now().Add(6 * r.timeout())
	for {
		t, err := r.look(ctx)
		if err != nil || right(t) || time.Now().After(until) {
			return t, err
		}
		pause(ctx, r.timeout()/40)
	}
}

// look is what the witness sees, with the client's paths.
func (r *run) look(ctx context.Context) (tree, error) {
	if err := r.world.Witness.Sync(ctx, r.root); err != nil {
		return nil, err
	}
	t := tree{}
	return t, t.add(ctx, r.world.Witness, r.root, "")
}

// end leaves nothing of the run.
func (r *run) end(ctx context.Context) {
	r.proxy.Heal()
	if r.client != nil {
		_ = r.client.Close()
	}
	_ = r.proxy.Close()
	_, _ = r.world.Witness.DeleteTree(ctx, r.root, nil)
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// String is the run in one line.
func (r Result) String() string {
	return fmt.Sprintf("%v: %v: %s", r.Plan, r.Err, strings.Join(r.Wrong, "; "))
}
