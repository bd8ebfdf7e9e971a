package typed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/bellwether-zk/bellwether/client"
)

// readers is how many values of a directory are asked for at the same time.
const readers = 16

// Directory is a node whose children have values of type T. It is a name and not a connection. A directory that does not exist is
// empty; Options.Create with Parents lets its first node make it.
type Directory[T any] struct {
	c    *client.Client
	path string
	o    Options[T]
}

// NewDirectory names a directory. The options are those of its nodes. Nothing is sent.
func NewDirectory[T any](c *client.Client, path string, opts *Options[T]) *Directory[T] {
	return &Directory[T]{c, path, opts.withDefaults()}
}

// Path returns the directory's own path.
func (d *Directory[T]) Path() string { return d.path }

// Node names a node of the directory. A name that is none, because it is empty or has a slash in it, is found out when the node
// is used: client.ErrInvalidPath.
func (d *Directory[T]) Node(name string) *Node[T] {
	slash := "/"
	if strings.Contains(name, "/") {
		slash = "//" // which no path has: the name would reach below the directory's own nodes
	}
	return &Node[T]{d.c, strings.TrimSuffix(d.path, "/") + slash + name, d.o}
}

// Add makes a node for a value, named prefix, which may be empty, and then a number of ten digits that the server counts up, and returns it. If its answer
// is lost it returns ErrUnknown, unless Options.Create says Protected: then it finds out, in the same session, and Curator's
// protection stands before the prefix.
func (d *Directory[T]) Add(ctx context.Context, prefix string, v T) (*Node[T], error) {
	n := d.Node(prefix)
	o := n.o.Create
	switch o.Mode {
	case client.Persistent:
		o.Mode = client.PersistentSequential
	case client.Ephemeral:
		o.Mode = client.EphemeralSequential
	case client.PersistentTTL:
		o.Mode = client.PersistentSequentialTTL
	default:
		return nil, n.fail("create", fmt.Errorf("%w: mode %d has none with a number", client.ErrBadArguments, o.Mode))
	}
	data, err := n.encode(v)
	if err != nil {
		return nil, err
	}
	made, err := d.c.Create(ctx, n.path, data, &o)
	if err != nil {
		return nil, err
	}
	return &Node[T]{d.c, made, d.o}, nil
}

// Names returns the names of the directory's nodes, in order.
func (d *Directory[T]) Names(ctx context.Context) ([]string, error) {
	names, _, err := d.c.Children(ctx, d.path)
	if errors.Is(err, client.ErrNoNode) {
		return nil, nil
	}
	slices.Sort(names)
	return names, err
}

// Listing is what there is in a directory, by name.
type Listing[T any] struct {
	// Nodes are those with a value.
	Nodes map[string]State[T]
	// Bad are those whose value cannot be had, and why: ErrDecode, or client.ErrNoAuth. Neither map is ever nil.
	Bad map[string]error
}

// List reads the directory's nodes, several at the same time. It is no snapshot: a node that changes while List runs is there as it was at
// some moment of it, and one that comes or goes is there or not.
func (d *Directory[T]) List(ctx context.Context) (Listing[T], error) {
	none := Listing[T]{}
	names, err := d.Names(ctx)
	if err != nil {
		return none, err
	}
	found, err := each(names, func(name string) (entry[T], error) {
		n := d.Node(name)
		v, stat, err := n.Get(ctx)
		return entryOf(v, stat, err)
	})
	if err != nil {
		return none, err
	}
	return listing(found), nil
}

// entry is one node of a directory as it was read: with a value, or the reason why there is none.
type entry[T any] struct {
	state State[T]
	err   error
	watch *client.Watch // in a Watch: for the next change
}

// entryOf tells what concerns a node alone from what ends the reading of all of them.
func entryOf[T any](v T, stat client.Stat, err error) (entry[T], error) {
	switch {
	case errors.Is(err, client.ErrNoNode):
		return entry[T]{}, nil
	case err == nil, errors.Is(err, ErrDecode), errors.Is(err, client.ErrNoAuth):
		return entry[T]{state: State[T]{Exists: true, Value: v, Stat: stat}, err: err}, nil
	}
	return entry[T]{}, err
}

func listing[T any](entries map[string]entry[T]) Listing[T] {
	l := Listing[T]{Nodes: make(map[string]State[T], len(entries)), Bad: make(map[string]error)}
	for name, e := range entries {
		switch {
		case e.err != nil:
			l.Bad[name] = e.err
		case e.state.Exists:
			l.Nodes[name] = e.state
		}
	}
	return l
}

// each reads the nodes of some names, a bounded number at the same time, and returns the error of the first that fails.
func each[T any](names []string, read func(name string) (entry[T], error)) (map[string]entry[T], error) {
	var (
		turn    = make(chan struct{}, readers)
		reading sync.WaitGroup

		mu      sync.Mutex
		found   = make(map[string]entry[T], len(names))
		failure error
	)
	for _, name := range names {
		turn <- struct{}{}
		reading.Go(func() { // ends with the answer, or the caller's context
			defer func() { <-turn }()
			e, err := read(name)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && failure == nil {
				failure = err
			}
			found[name] = e
		})
	}
	reading.Wait()
	return found, failure
}
