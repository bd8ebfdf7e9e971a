package node

import (
	"context"
	"errors"
	"path"
	"slices"
	"sync"

	"github.com/bellwether-zk/bellwether/client"
)

// Wish is a node that BeginAll begins to keep, and what Begin would be told of it.
type Wish struct {
	Path    string
	Data    []byte
	Options *Options
}

// BeginAll begins to keep several nodes, as Begin does each, and returns them in the order of the wishes. Eight or more of them are first tried
// to be made together, up to 128 nodes or 48 KiB in one transaction, which costs the servers far less than as many creates, and takes two round
// trips instead of one. If that fails, since one of them is there already, say, each makes itself; they have nothing else in common. Nodes
// with a time to live and sequential ones always make themselves. BeginAll itself waits for nothing. If one of the wishes cannot be meant it
// fails as Begin does, and keeps none.
func BeginAll(ctx context.Context, c *client.Client, wishes []Wish) ([]*Node, error) {
	all := make([]*Node, len(wishes))
	for i, w := range wishes {
		var err error
		if all[i], err = prepare(c, w.Path, w.Data, w.Options); err != nil {
			return nil, err
		}
	}
	gather(all)
	for _, n := range all {
		n.begin(ctx)
	}
	return all, nil
}

// What goes into one transaction. Fewer are sent one by one, in one round trip; others' requests wait behind more.
const (
	batchLeast = 8
	batchNodes = 128
	batchBytes = 48 << 10 // of paths and data
)

// gather puts nodes into batches.
func gather(all []*Node) {
	var some []*Node
	size := 0
	end := func() {
		if len(some) >= batchLeast {
			b := &batch{done: make(chan struct{}), first: some[0], nodes: some}
			for _, n := range some {
				n.batch = b
			}
		}
		some, size = nil, 0
	}
	for _, n := range all {
		if n.opts.TTL != 0 || n.opts.Sequential { // multis make no such nodes, or none that is known if the answer is lost
			continue
		}
		need := len(n.path) + len(n.data)
		if len(some) == batchNodes || size+need > batchBytes {
			end()
		}
		some, size = append(some, n), size+need
	}
	end()
}

// batch is some nodes that are tried to be made in one transaction before each of them makes itself. The first one sends it, in its first
// session, and the others wait for that; whoever is not kept any more by then takes no part.
type batch struct {
	first *Node         // who sends it
	done  chan struct{} // closed when the outcome is known, or it will not be sent

	// Written before done is closed.
	session *client.Session // in which it was sent, nil if it was not
	made    bool            // it was done

	mu    sync.Mutex
	nodes []*Node // nil when it is about to be sent, or will not be
}

// join has the node made in its batch, and tells whether it was.
func (b *batch) join(ctx context.Context, k *keeper) bool {
	if k.node == b.first {
		b.send(ctx, k)
	}
	select {
	case <-b.done:
	case <-k.node.life.Done():
	}
	return b.leave(k.node)
}

// leave ends a node's part in its batch, and tells whether it was made. If it is being made leave waits for the answer, or for the end of the
// session.
func (b *batch) leave(n *Node) bool {
	n.batch = nil
	if b.withdraw(n) {
		return false
	}
	<-b.done
	if b.session != nil {
		n.former[b.session.ID()] = true // even if the answer is lost
	}
	return b.made
}

// withdraw takes a node out that is not sent yet. Without the first nothing is sent.
func (b *batch) withdraw(n *Node) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.nodes == nil {
		return false
	}
	b.nodes = slices.DeleteFunc(b.nodes, func(other *Node) bool { return other == n })
	if n == b.first {
		b.nodes = nil
		close(b.done)
	}
	return true
}

// send makes the nodes.
func (b *batch) send(ctx context.Context, k *keeper) {
	b.mu.Lock()
	nodes := b.nodes
	b.nodes = nil
	b.mu.Unlock()
	defer close(b.done)
	b.session = k.session
	err := multi(ctx, k.view, nodes)
	if errors.Is(err, client.ErrNoNode) {
		if nodes = makeParents(ctx, k.view, nodes); len(nodes) > 0 {
			err = multi(ctx, k.view, nodes)
		}
	}
	b.made = err == nil
}

func multi(ctx context.Context, view *client.Client, nodes []*Node) error {
	ops := make([]client.Op, len(nodes))
	for i, n := range nodes {
		data, _, _ := n.wanted()
		ops[i] = client.CreateOp(n.path, data, n.opts.creation())
	}
	_, err := view.Multi(ctx, ops...)
	return err
}

// makeParents makes the first node of each directory, and the directories with them if they are missing, and returns the other nodes.
func makeParents(ctx context.Context, view *client.Client, nodes []*Node) (others []*Node) {
	begun := make(map[string]bool)
	var making sync.WaitGroup
	for _, n := range nodes {
		dir := path.Dir(n.path)
		if begun[dir] {
			others = append(others, n)
			continue
		}
		begun[dir] = true
		making.Go(func() { // ends with the answer
			o := n.opts.creation()
			o.Parents = client.ContainerParents
			data, _, _ := n.wanted()
			_, _ = view.Create(ctx, n.path, data, o) // if it fails it finds out itself
		})
	}
	making.Wait()
	return others
}
