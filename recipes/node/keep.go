package node

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
)

// touch is the name of the child that keeps a node with a time to live alive, as in Curator's PersistentTtlNode.
const touch = "touch"

// touches is how often it is written in that time.
const touches = 3

// run keeps the node in one session after the other, and removes it in the end.
func (n *Node) run() {
	defer close(n.removed)
	pauses := &pacer{policy: n.opts.Retry(), last: time.Second}
	n.repairs = pacer{policy: n.opts.Retry(), last: time.Second}
	for n.life.Err() == nil {
		s, err := n.client.AwaitSession(n.life)
		if err != nil {
			n.note(Status{Err: err}, 0, nil)
			break
		}
		n.keepIn(s, pauses)
	}
	if n.batch != nil {
		n.batch.leave(n)
	}
	if !n.opts.Leave {
		n.failure = n.remove(context.WithoutCancel(n.life), pauses)
	}
	last := cmp.Or(n.Status().Err, ErrClosed)
	n.sight.end(last)
	n.note(Status{Err: last}, 0, nil)
}

// keepIn keeps the node until the session ends, or nobody wants it any more. What it sends it waits for, so that nothing is under way when
// the node is removed.
func (n *Node) keepIn(s *client.Session, pauses *pacer) {
	k := keeper{node: n, session: s, view: n.client.In(s), pauses: pauses}
	for n.life.Err() == nil && s.Err() == nil {
		data, wish, _ := n.wanted()
		w, err := k.settle(n.sight.below(s.Context()), data)
		var again <-chan time.Time
		var never refusal
		switch {
		case err == nil:
			pauses.policy.Reset()
			n.sight.present(s, k.czxid)
			n.note(Status{Present: true, Czxid: k.czxid, Session: s.ID()}, wish, data)
			again = k.nextTouch()
		case s.Err() != nil:
			n.sight.absent(s.Err())
			n.note(Status{Err: s.Err()}, 0, nil)
			return
		case errors.As(err, &never) && n.refuse(wish, err):
			if _, now, _ := n.wanted(); now != wish || n.contented() {
				continue // with other data, or those before
			}
			n.sight.absent(err)
			n.note(Status{Err: err}, 0, nil) // until there are others
		default:
			n.sight.absent(err)
			n.note(Status{Err: err}, 0, nil)
			if !errors.Is(err, ErrTaken) { // of whose end w tells
				again = time.After(pauses.next())
			}
		}
		_, now, changed := n.wanted()
		if now != wish {
			continue
		}
		var woken <-chan struct{}
		if w != nil {
			woken = w.Done()
		}
		select {
		case <-woken:
			n.pauseRepairs(s.Context(), changed)
		case <-changed:
		case <-again:
		case <-s.Context().Done():
			n.sight.absent(s.Err())
			n.note(Status{Err: s.Err()}, 0, nil)
		case <-n.life.Done():
		}
	}
}

// calm is how long a node must be left alone for the next repair to be made at once.
const calm = 30 * time.Second

// pauseRepairs waits before the node is looked at again, if that was necessary a short time ago: somebody else may have another opinion of
// it, and have it as often.
func (n *Node) pauseRepairs(ctx context.Context, changed <-chan struct{}) {
	defer func() { n.repaired = time.Now() }()
	if time.Since(n.repaired) > calm {
		n.repairs.policy.Reset()
		return
	}
	timer := time.NewTimer(n.repairs.next())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
	case <-n.life.Done():
	}
}

// keeper does the work in one session.
type keeper struct {
	node    *Node
	session *client.Session
	view    *client.Client
	pauses  *pacer
	took    bool
	czxid   int64
}

// settle looks at what is there, and writes what differs, until there is nothing left to do, or it cannot be done. The watch that it returns
// tells of the next change, also with ErrTaken; other failures are to be tried again.
func (k *keeper) settle(ctx context.Context, data []byte) (*client.Watch, error) {
	if !k.node.named {
		if err := k.name(ctx, data); err != nil {
			return nil, judge(err)
		}
	}
	seen, err := k.first(ctx, data)
	if err != nil {
		return nil, judge(err)
	}
	for {
		switch stat := &seen.stat; {
		case errors.Is(seen.err, client.ErrNoNode):
			k.node.sight.absent(errGone)
			err = k.create(ctx, data)
		case seen.err != nil:
			return nil, seen.err
		case !k.owns(stat) && !k.mayTake(stat, seen.data):
			return seen.watch, fmt.Errorf("%w: %s", ErrTaken, whose(stat))
		case !k.owns(stat):
			k.node.sight.absent(ErrTaken)
			if k.took && !retry.Pause(ctx, k.pauses.next()) {
				return nil, context.Cause(ctx)
			}
			k.took = true // the next time it is somebody who takes it, too
			err = k.take(ctx, data, stat.Version)
		case !bytes.Equal(seen.data, data):
			if k.node.contented() {
				k.node.sight.overwritten()
			}
			_, err = k.view.Set(ctx, k.node.path, data, stat.Version)
		default:
			k.czxid = stat.Czxid
			return seen.watch, k.touch(ctx)
		}
		if err != nil && !retry.LookAgain(err) {
			return nil, judge(err)
		}
		seen = k.look(ctx)
	}
}

// refusal is of a write that the client never sends, since it is too large.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// judge finds the refusals among the failures of writes; a too large answer leaves a write's outcome open.
func judge(err error) error {
	if errors.Is(err, client.ErrTooLarge) && !errors.Is(err, client.ErrUnknown) {
		return refusal{err}
	}
	return err
}

// seen is what is at the path.
type seen struct {
	data  []byte
	stat  client.Stat
	watch *client.Watch
	err   error
}

func (k *keeper) look(ctx context.Context) (s seen) {
	s.data, s.stat, s.watch, s.err = k.view.GetW(ctx, k.node.path)
	return s
}

// first looks at what is there, for the first time behind a create that does not wait to be told: most likely there is nothing, and then
// both take one round trip, since servers answer a session's requests in order.
func (k *keeper) first(ctx context.Context, data []byte) (s seen, err error) {
	if k.node.tried {
		return k.look(ctx), nil
	}
	k.node.tried = true
	if b := k.node.batch; b != nil && b.join(ctx, k) {
		return k.look(ctx), nil
	}
	var looking sync.WaitGroup
	looking.Go(func() { s = k.look(ctx) }) // ends with the answer
	err = k.create(ctx, data)
	looking.Wait()
	if err != nil && !retry.LookAgain(err) {
		return s, err
	}
	if s.err == nil && (k.owns(&s.stat) || errors.Is(err, client.ErrNodeExists)) {
		return s, nil
	}
	return k.look(ctx), nil // it has come before the create, after all, or the parent was missing
}

func whose(stat *client.Stat) string {
	if stat.EphemeralOwner == 0 {
		return "not ephemeral"
	}
	return fmt.Sprintf("of session 0x%x", uint64(stat.EphemeralOwner))
}

// owns tells whether a node is what this session would have made.
func (k *keeper) owns(stat *client.Stat) bool {
	if k.node.opts.TTL != 0 || k.node.opts.Persistent {
		return stat.EphemeralOwner == 0
	}
	return stat.EphemeralOwner == k.session.ID()
}

// mayTake tells whether a node that is not this session's may be replaced.
func (k *keeper) mayTake(stat *client.Stat, data []byte) bool {
	o := &k.node.opts
	if o.Replace || stat.EphemeralOwner != 0 && k.node.former[stat.EphemeralOwner] {
		return true
	}
	return o.Succeeds != nil && k.node.Status().Czxid == 0 && o.Succeeds(data)
}

// name makes a sequential node for the first time. If its session ends in between, the client sees to it that nothing is left of it.
func (k *keeper) name(ctx context.Context, data []byte) error {
	n := k.node
	path, err := k.view.Create(ctx, n.path, data, &client.CreateOptions{
		Mode: client.EphemeralSequential, ACL: n.opts.ACL, Parents: client.ContainerParents, Protected: true,
	})
	if err != nil {
		return err
	}
	n.former[k.session.ID()], n.tried = true, true
	n.mu.Lock()
	defer n.mu.Unlock()
	n.path, n.named = path, true
	return nil
}

func (k *keeper) create(ctx context.Context, data []byte) error {
	o := k.node.opts.creation()
	o.Parents = client.ContainerParents
	k.node.former[k.session.ID()] = true // even if the answer is lost
	_, err := k.view.Create(ctx, k.node.path, data, o)
	return err
}

// creation says how the node is created, once it has its name.
func (o *Options) creation() *client.CreateOptions {
	c := &client.CreateOptions{Mode: client.Ephemeral, ACL: o.ACL, TTL: o.TTL}
	switch {
	case o.TTL != 0:
		c.Mode = client.PersistentTTL
	case o.Persistent:
		c.Mode = client.Persistent
	}
	return c
}

// take replaces a node, in one transaction where there is one for it.
func (k *keeper) take(ctx context.Context, data []byte, version int32) error {
	if k.node.opts.TTL != 0 { // multis make no such nodes
		return k.view.Delete(ctx, k.node.path, version)
	}
	k.node.former[k.session.ID()] = true
	_, err := k.view.Multi(ctx, client.DeleteOp(k.node.path, version),
		client.CreateOp(k.node.path, data, k.node.opts.creation()))
	return err
}

// touch shows that the owner lives, if nothing else does.
func (k *keeper) touch(ctx context.Context) error {
	if k.node.opts.TTL == 0 {
		return nil
	}
	path := k.node.path + "/" + touch
	_, err := k.view.Set(ctx, path, nil, client.AnyVersion)
	if !errors.Is(err, client.ErrNoNode) {
		return err
	}
	_, err = k.view.Create(ctx, path, nil, &client.CreateOptions{Mode: client.PersistentTTL, TTL: k.node.opts.TTL, ACL: k.node.opts.ACL})
	if errors.Is(err, client.ErrNodeExists) {
		return nil
	}
	return err
}

// nextTouch tells when to touch again.
func (k *keeper) nextTouch() <-chan time.Time {
	if k.node.opts.TTL == 0 {
		return nil
	}
	return time.After(k.node.opts.TTL / touches)
}

// remove deletes the node until it is certainly gone: by now or before, or with a session that is over, or somebody else's.
func (n *Node) remove(ctx context.Context, pauses *pacer) error {
	for n.named {
		s, err := n.client.AwaitSession(ctx)
		switch {
		case err != nil && n.opts.Persistent:
			return n.failed("close", err)
		case err != nil:
			return nil // the client is closed, or its session over, and the node with it
		}
		k := keeper{node: n, session: s, view: n.client.In(s)}
		err = k.remove(s.Context())
		switch {
		case err == nil:
			return nil
		case errors.Is(err, client.ErrNoAuth):
			return n.failed("close", err)
		}
		retry.Pause(s.Context(), pauses.next())
	}
	return nil
}

func (k *keeper) remove(ctx context.Context) error {
	if err := k.view.Sync(ctx, k.node.path); err != nil {
		return err
	}
	stat, there, err := k.view.Exists(ctx, k.node.path)
	if err != nil || !there || !k.owns(&stat) && !k.node.former[stat.EphemeralOwner] {
		return err
	}
	if k.node.opts.TTL != 0 {
		if err := k.view.Delete(ctx, k.node.path+"/"+touch, client.AnyVersion); err != nil && !errors.Is(err, client.ErrNoNode) {
			return err
		}
	}
	err = k.view.Delete(ctx, k.node.path, stat.Version)
	if errors.Is(err, client.ErrNoNode) {
		return nil
	}
	return err
}

// pacer is a policy of pauses that never ends.
type pacer struct {
	policy backoff.BackOff
	last   time.Duration
}

func (p *pacer) next() time.Duration {
	if d := p.policy.NextBackOff(); d != backoff.Stop {
		p.last = d
	}
	return p.last
}
