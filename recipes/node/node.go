package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/bellwether-zk/bellwether/client"
)

// ErrTaken tells that somebody else's node is at the path.
var ErrTaken = errors.New("node is somebody else's")

// ErrClosed tells that a node is not kept any more.
var ErrClosed = errors.New("node closed")

// Options say how a node is kept. The zero value works, and nil means the zero value.
type Options struct {
	// TTL, if not 0, makes the node one that outlives sessions, and goes when it was not touched for so long. The servers must allow such
	// nodes (zookeeper.extendedTypesEnabled). At least a second. Default: an ephemeral node.
	TTL time.Duration
	// Persistent makes the node one that stays until somebody deletes it; Close does. Default: an ephemeral node.
	Persistent bool
	// Sequential makes the node an ephemeral one that gets a number and a protected name when it is made, "_c_<uuid>-<name><number>", see
	// client.CreateOptions. It keeps that name, also if it has to be made again, and [Node.Path] tells it.
	Sequential bool
	// ACL is the node's, and that of parents made for it. Default: the client's.
	ACL []client.ACL
	// Replace has a node of somebody else's replaced instead of waited for. Two who both do so take it from each other, again and again.
	Replace bool
	// Succeeds is asked about somebody else's node that is found before this one was ever in place: whether these data are a former life's
	// of who asks, such as a process that has died a moment ago. Then the node is replaced, and otherwise waited for. Of two who believe that
	// of each other the one that comes last has the node. It is called on the node's goroutine and must return soon. Default: it is nobody's.
	Succeeds func(data []byte) bool
	// Leave has Close leave the node as it is: an ephemeral one for as long as the session lives.
	Leave bool
	// Patience is how long Keep waits for a node of somebody else's to go, from when it is seen first, before it fails with ErrTaken: a
	// little more than a session's timeout is enough for the node of one who died. If it is negative Keep does not wait. Once the node
	// was kept it has no meaning. Default: as long as Keep's context.
	Patience time.Duration
	// Retry makes the policy of pauses after a failure that may pass, such as ErrNoAuth; when it says Stop, its last pause is repeated.
	// Default: exponential with jitter, 50 ms to 10 s.
	Retry func() backoff.BackOff
}

// Status is what is known of a node.
type Status struct {
	Present bool  // it was there, as it should be, when last looked at
	Err     error // why it is not; nil while nothing is known to be wrong
	Czxid   int64 // the transaction that created it, of the last one that was present
	Session int64 // the session it was present in
}

// Node is a node that is kept, from Keep until Close. Its methods may be called by many goroutines.
type Node struct {
	client *client.Client
	opts   Options

	life    context.Context
	end     context.CancelCauseFunc
	running sync.WaitGroup
	closing sync.Once
	removed chan struct{} // closed when nothing is left to do
	failure error         // why it could not be removed; written before removed is closed
	sight   *sight        // how it is seen; nil: not at all

	// Of run alone.
	tried    bool   // to create the node, which is done once without a look at what is there
	batch    *batch // it is to be made in, nil: none
	repairs  pacer
	repaired time.Time

	mu      sync.Mutex
	path    string // written by run alone, when a sequential node has got its name
	named   bool   // path is the node's; until then a sequential node has none
	data    []byte
	wish    uint64 // counts the changes of data
	granted uint64 // the newest that was in place
	placed  []byte // the data that were
	refused uint64 // the newest that can never be in place
	refusal error  // why
	status  Status
	changed chan struct{}  // closed and replaced when one of these changes
	former  map[int64]bool // the sessions that have owned the node
}

// Keep begins to keep a node with these data, and returns when it is there. While somebody else's node is there it waits for that to go.
// ctx bounds the waiting alone, and Options.Patience that for somebody else's node; if they end, the node is given up, removed should it
// come about, and Keep fails with ctx's cause and, if there is one, the reason. The node is kept until Close, or until the client is closed;
// a view of a session keeps it for that session. It fails at once with client.ErrInvalidPath if there can be no such node, with
// client.ErrTooLarge if the client sends none of that size, and with client.ErrUnimplemented if the servers allow none with a time to live.
func Keep(ctx context.Context, c *client.Client, path string, data []byte, opts *Options) (*Node, error) {
	n, err := Begin(ctx, c, path, data, opts)
	if err != nil {
		return nil, err
	}
	if err := n.await(ctx, 1, n.opts.Patience); err != nil {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = n.Close(bounded)
		return nil, n.failed("keep", err)
	}
	return n, nil
}

// Begin is Keep for who does not wait until the node is there: [Node.Await] does, and [Node.Status] tells. Options.Patience has no meaning then.
// It fails if the options cannot be meant, or the path. ctx has values, and bounds nothing.
func Begin(ctx context.Context, c *client.Client, path string, data []byte, opts *Options) (*Node, error) {
	n, err := prepare(c, path, data, opts)
	if err != nil {
		return nil, err
	}
	n.begin(ctx)
	return n, nil
}

// prepare describes a node that is not kept yet.
func prepare(c *client.Client, path string, data []byte, opts *Options) (*Node, error) {
	n := &Node{
		client: c, path: path, data: bytes.Clone(data), wish: 1,
		removed: make(chan struct{}), changed: make(chan struct{}), former: make(map[int64]bool),
	}
	if opts != nil {
		n.opts = *opts
	}
	if err := n.opts.validate(); err != nil {
		return nil, n.failed("keep", err)
	}
	n.named = !n.opts.Sequential
	if _, err := c.Intent(client.CreateOp(path, data, &client.CreateOptions{ACL: n.opts.ACL})); err != nil { // it never can be sent
		return nil, n.failed("keep", err)
	}
	if n.opts.Retry == nil {
		n.opts.Retry = func() backoff.BackOff {
			return backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxInterval(10*time.Second),
				backoff.WithMultiplier(2), backoff.WithMaxElapsedTime(0))
		}
	}
	return n, nil
}

// begin begins to keep a node.
func (n *Node) begin(ctx context.Context) {
	n.life, n.end = context.WithCancelCause(context.WithoutCancel(ctx))
	n.sight = n.look()
	n.running.Go(n.run) // ends with life, or the client
}

// Await returns when the node has the data that were wished for last, which it may have lost again. It fails with ctx's cause and, if there
// is one, the reason why the node is not there, with ErrClosed when it is not kept any more, and with client.ErrUnimplemented and
// client.ErrTooLarge as Keep does.
func (n *Node) Await(ctx context.Context) error {
	_, wish, _ := n.wanted()
	err := n.await(ctx, wish, 0)
	select {
	case <-n.removed: // whatever was in place before
		err = n.over()
	default:
	}
	if err != nil {
		return n.failed("keep", err)
	}
	return nil
}

// over is why the node is not kept any more.
func (n *Node) over() error { return errors.Join(context.Cause(n.life), n.Status().Err) }

func (o *Options) validate() error {
	kinds := 0
	for _, kind := range []bool{o.TTL != 0, o.Persistent, o.Sequential} {
		if kind {
			kinds++
		}
	}
	switch {
	case o.TTL != 0 && o.TTL < time.Second:
		return fmt.Errorf("%w: time to live %v", client.ErrBadArguments, o.TTL)
	case kinds > 1:
		return fmt.Errorf("%w: a node of several kinds", client.ErrBadArguments)
	}
	return nil
}

// Path returns the node's path.
func (n *Node) Path() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.path
}

// Done returns a channel that is closed when the node is not kept any more, after Close or with the client, and nothing is left to do.
func (n *Node) Done() <-chan struct{} { return n.removed }

// Set changes the data the node should have, and returns when it has. If ctx ends before that, Set fails with its cause and
// client.ErrUnknown, and the data are still what the node will have. If they are more than the client sends, Set fails with client.ErrTooLarge
// and without client.ErrUnknown, and the node goes on with the last data that were in place, if any.
func (n *Node) Set(ctx context.Context, data []byte) error {
	n.mu.Lock()
	n.data = bytes.Clone(data)
	n.wish++
	wish := n.wish
	n.wakeLocked()
	n.mu.Unlock()
	err := n.await(ctx, wish, 0)
	switch {
	case err == nil:
		return nil
	case n.refusalOf(wish) != nil:
		return n.failed("set", err)
	}
	return n.failed("set", fmt.Errorf("%w: %w", client.ErrUnknown, err))
}

// Status returns what is known of the node.
func (n *Node) Status() Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status
}

// Watch yields the node's status, and then each other one, the last of those that follow each other quickly. It ends with ctx, or when the
// node is not kept any more.
func (n *Node) Watch(ctx context.Context) iter.Seq[Status] {
	return func(yield func(Status) bool) {
		var last Status
		for first := true; ; first = false {
			n.mu.Lock()
			now, changed := n.status, n.changed
			n.mu.Unlock()
			if first || now != last {
				if !yield(now) {
					return
				}
			}
			last = now
			select {
			case <-changed:
			case <-ctx.Done():
				return
			case <-n.removed:
				return
			}
		}
	}
}

// Close stops keeping the node and removes it, unless Options.Leave says otherwise. It returns when the node is certainly gone, or somebody
// else's. If ctx ends before that, it fails with ctx's cause and client.ErrUnknown while the removal goes on, and a further Close waits for
// it. It fails with ErrNoAuth if the node must not be removed, and with ErrClosed if the client was closed before a persistent node was.
func (n *Node) Close(ctx context.Context) error {
	n.closing.Do(func() { n.end(ErrClosed) })
	select {
	case <-n.removed:
		n.running.Wait()
		return n.failure
	case <-ctx.Done():
		return n.failed("close", fmt.Errorf("%w: %w", client.ErrUnknown, context.Cause(ctx)))
	}
}

// await waits until the data of a wish, or of a later one, are in place; with a patience other than 0, for so long while the node is
// somebody else's.
func (n *Node) await(ctx context.Context, wish uint64, patience time.Duration) error {
	var enough <-chan time.Time
	for {
		n.mu.Lock()
		granted, status, changed := n.granted, n.status, n.changed
		n.mu.Unlock()
		if err := n.refusalOf(wish); err != nil {
			return err
		}
		if granted >= wish {
			return nil
		}
		if errors.Is(status.Err, client.ErrUnimplemented) {
			return status.Err
		}
		taken := errors.Is(status.Err, ErrTaken)
		if patience < 0 && taken {
			return status.Err
		}
		if patience > 0 && taken && enough == nil {
			enough = time.After(patience)
		}
		over := enough
		if !taken { // whoever it was may be gone: nobody knows while there is no connection
			over = nil
		}
		select {
		case <-changed:
		case <-over:
			return status.Err
		case <-n.removed:
			return n.over()
		case <-ctx.Done():
			if status.Err != nil {
				return fmt.Errorf("%w (last: %w)", context.Cause(ctx), status.Err)
			}
			return context.Cause(ctx)
		}
	}
}

// wakeLocked wakes those who wait for a change. The caller holds mu.
func (n *Node) wakeLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// note makes a status known, and with a wish other than 0 that its data are in place.
func (n *Node) note(s Status, granted uint64, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.Czxid == 0 {
		s.Czxid, s.Session = n.status.Czxid, n.status.Session
	}
	n.status = s
	if granted > n.granted {
		n.granted, n.placed = granted, data
	}
	n.wakeLocked()
}

// refuse gives data up that can never be in place, and goes back to those that were. It tells whether there is anything else to do than to
// try again: not if these data were in place before, which a larger request failed to bring back.
func (n *Node) refuse(wish uint64, why error) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.granted >= wish {
		return false
	}
	n.refused, n.refusal = wish, why
	if n.granted > 0 && n.wish == wish {
		n.data = n.placed
		n.granted = wish
	}
	n.wakeLocked()
	return true
}

// refusalOf is why the data of a wish can never be in place, nil if they can.
func (n *Node) refusalOf(wish uint64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refused == wish {
		return n.refusal
	}
	return nil
}

// wanted returns the data the node should have, and a channel that is closed when that may have changed.
func (n *Node) wanted() (data []byte, wish uint64, changed <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.data, n.wish, n.changed
}

// contented tells whether the data that are wished for were in place before.
func (n *Node) contented() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.granted == n.wish
}

func (n *Node) failed(op string, err error) error {
	return &client.Error{Op: op, Path: n.Path(), Err: err}
}
