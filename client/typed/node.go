package typed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/bellwether-zk/bellwether/client"
)

// Failures of codecs. They are found in a *client.Error with the node's path, together with the codec's own error.
var (
	// ErrDecode tells that a node's data are no value of the type.
	ErrDecode = errors.New("data do not decode")
	// ErrEncode tells that a value has no form as data. Nothing was sent.
	ErrEncode = errors.New("value does not encode")
)

// Options say how values are written and how nodes are made. The zero value works, and nil means the zero value.
type Options[T any] struct {
	// Codec is the form of the data. Default: JSON.
	Codec Codec[T]
	// Create says how nodes are made. Mode must be one of those without a number; a Directory's Add uses the one with a number in its
	// place. Protected is for Add alone. Default: persistent nodes with the client's ACL, and no parents are made.
	Create client.CreateOptions
	// Marks is the path of a node below which Update, Set and Delete leave an ephemeral node while they run, so that they happen
	// exactly once, also when an answer is lost; see [client.Client.MultiOnce]. It is made where it is missing, and should not be
	// a Directory. Set with AnyVersion reads the node then, too. Default: no marks, and ErrUnknown when an answer is lost.
	Marks string
}

// withDefaults returns a complete copy.
func (o *Options[T]) withDefaults() Options[T] {
	var out Options[T]
	if o != nil {
		out = *o
	}
	if out.Codec == nil {
		out.Codec = JSON[T]()
	}
	return out
}

// Node is a node with values of type T. It is a name and not a connection: whether there is such a node its methods tell. Their
// errors are those of the client's methods of the same name, and the kinds above.
type Node[T any] struct {
	c    *client.Client
	path string
	o    Options[T]
}

// NewNode names a node. Nothing is sent.
func NewNode[T any](c *client.Client, path string, opts *Options[T]) *Node[T] {
	return &Node[T]{c, path, opts.withDefaults()}
}

// Path returns the node's path.
func (n *Node[T]) Path() string { return n.path }

// Name returns the last element of the node's path.
func (n *Node[T]) Name() string { return n.path[strings.LastIndexByte(n.path, '/')+1:] }

// Create makes the node with a value, at version 0. Among its failures is client.ErrNodeExists.
func (n *Node[T]) Create(ctx context.Context, v T) error {
	switch o := n.o.Create; {
	case numbered(o.Mode):
		return n.fail("create", fmt.Errorf("%w: mode %d would give the node another name", client.ErrBadArguments, o.Mode))
	case o.Protected:
		return n.fail("create", fmt.Errorf("%w: protection would give the node another name", client.ErrBadArguments))
	}
	data, err := n.encode(v)
	if err != nil {
		return err
	}
	_, err = n.c.Create(ctx, n.path, data, &n.o.Create)
	return err
}

// Get returns the node's value, and its Stat with the version that Set asks for. With ErrDecode the Stat is there, too.
func (n *Node[T]) Get(ctx context.Context) (T, client.Stat, error) {
	data, stat, err := n.c.Get(ctx, n.path)
	if err != nil {
		var none T
		return none, stat, err
	}
	v, err := n.decode(data)
	return v, stat, err
}

// Set replaces the node's value if its version is the given one, and returns the new version. client.AnyVersion is for those who
// want to overwrite what they have not read.
func (n *Node[T]) Set(ctx context.Context, v T, version int32) (int32, error) {
	data, err := n.encode(v)
	switch {
	case err != nil:
		return 0, err
	case version == client.AnyVersion && n.o.Marks != "":
		return n.replace(ctx, func([]byte) ([]byte, error) { return data, nil })
	}
	return n.write(ctx, data, version)
}

// Update replaces the node's value by what change makes of it, and returns that and its version. Where somebody else writes
// in between, the node is read and change called again, until ctx ends; so change does nothing but compute. An error of change ends
// Update, changes nothing and is returned as it is. Update does not create: client.ErrNoNode.
//
// With Options.Marks a change that was returned without an error is in the node exactly once, whichever answers were lost. Without,
// Update does not go on after a lost answer, and returns ErrUnknown.
func (n *Node[T]) Update(ctx context.Context, change func(T) (T, error)) (T, int32, error) {
	var next T
	version, err := n.replace(ctx, func(old []byte) ([]byte, error) {
		v, err := n.decode(old)
		if err != nil {
			return nil, err
		}
		if next, err = change(v); err != nil {
			return nil, err
		}
		return n.encode(next)
	})
	if err != nil {
		var none T
		return none, 0, err
	}
	return next, version, nil
}

// Delete removes the node if its version is the given one, or any with client.AnyVersion.
func (n *Node[T]) Delete(ctx context.Context, version int32) error {
	if n.o.Marks == "" {
		return n.c.Delete(ctx, n.path, version)
	}
	_, err := n.c.MultiOnce(ctx, n.o.Marks, client.DeleteOp(n.path, version))
	return err
}

// State is a node as it was seen. Two States with different Stat.Czxid are of different nodes: the first was deleted in between.
type State[T any] struct {
	Exists bool
	Value  T
	Stat   client.Stat
}

// Watch follows the node as [client.Client.WatchNode] does: it yields its present state, existing or not, and then each new one; states
// that follow each other faster than the loop takes them are left out, but never the last one. A value that does not decode
// is yielded as ErrDecode, with a State that has no Value, and the loop goes on; every other error ends it.
func (n *Node[T]) Watch(ctx context.Context) iter.Seq2[State[T], error] {
	return func(yield func(State[T], error) bool) {
		for node, err := range n.c.WatchNode(ctx, n.path) {
			state := State[T]{Exists: node.Exists, Stat: node.Stat}
			if err == nil && node.Exists {
				state.Value, err = n.decode(node.Data)
			}
			if !yield(state, err) {
				return
			}
		}
	}
}

// replace writes what next makes of the data, until nobody was faster.
func (n *Node[T]) replace(ctx context.Context, next func(old []byte) ([]byte, error)) (int32, error) {
	pauses := backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Millisecond), backoff.WithMaxInterval(100*time.Millisecond),
		backoff.WithMaxElapsedTime(0))
	for {
		old, stat, err := n.c.Get(ctx, n.path)
		if err != nil {
			return 0, err
		}
		data, err := next(old)
		if err != nil {
			return 0, err
		}
		version, err := n.write(ctx, data, stat.Version)
		if !errors.Is(err, client.ErrBadVersion) {
			return version, err
		}
		if err := n.pause(ctx, pauses.NextBackOff()); err != nil {
			return 0, err
		}
		if err := n.c.Sync(ctx, n.path); err != nil { // this server may be behind the one that refused
			return 0, err
		}
	}
}

// write replaces data of a version by others, and returns theirs.
func (n *Node[T]) write(ctx context.Context, data []byte, version int32) (int32, error) {
	if version == beforeAny {
		return n.writeTwice(ctx, data)
	}
	if n.o.Marks == "" {
		stat, err := n.c.Set(ctx, n.path, data, version)
		return stat.Version, err
	}
	if _, err := n.c.MultiOnce(ctx, n.o.Marks, client.SetOp(n.path, data, version)); err != nil {
		return 0, err
	}
	return version + 1, nil // also where the answer, with the Stat, was lost
}

// beforeAny is the version behind which comes client.AnyVersion: versions have 32 bits and come round.
const beforeAny = client.AnyVersion - 1

// writeTwice replaces data of that version and goes past the next, which a writer who has read it could not ask for: its write would
// overwrite whatever came in between.
func (n *Node[T]) writeTwice(ctx context.Context, data []byte) (int32, error) {
	ops := []client.Op{client.SetOp(n.path, data, beforeAny), client.SetOp(n.path, data, client.AnyVersion)}
	var err error
	if n.o.Marks == "" {
		_, err = n.c.Multi(ctx, ops...)
	} else {
		_, err = n.c.MultiOnce(ctx, n.o.Marks, ops...)
	}
	return 0, err
}

// pause lets those who were faster finish. Without it, many who update one node get in each other's way at every try.
func (n *Node[T]) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return n.fail("update", context.Cause(ctx))
	}
}

func (n *Node[T]) encode(v T) ([]byte, error) {
	data, err := n.o.Codec.Encode(v)
	if err != nil {
		return nil, n.fail("encode", fmt.Errorf("%w: %w", ErrEncode, err))
	}
	return data, nil
}

func (n *Node[T]) decode(data []byte) (v T, err error) {
	v, err = n.o.Codec.Decode(data)
	if err != nil {
		var none T
		return none, n.fail("decode", fmt.Errorf("%w: %w", ErrDecode, err))
	}
	return v, nil
}

func (n *Node[T]) fail(op string, err error) error {
	return &client.Error{Op: op, Path: n.path, Err: err}
}

// numbered tells whether nodes made so get a number.
func numbered(m client.Mode) bool {
	return m == client.PersistentSequential || m == client.EphemeralSequential || m == client.PersistentSequentialTTL
}
