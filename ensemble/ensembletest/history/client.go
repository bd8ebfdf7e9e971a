package history

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/bellwether-zk/bellwether/client"
)

// Nodes is a history of nodes of ZooKeeper's, written by the clients that [Nodes.Client] makes. Its zero value is ready. Everything that
// changes a recorded node has to come from these clients, and none of the nodes exists at first.
type Nodes struct {
	Recorder[NodeInput, NodeOutput]

	mu       sync.Mutex
	volatile map[string]string // paths that cannot be judged, and why
}

// Check judges the nodes, as [Check] does. Nodes that were created to vanish by themselves are ErrUndecided.
func (n *Nodes) Check(o *Options) error {
	n.mu.Lock()
	var problems []error
	volatile := make(map[string]bool)
	for path, why := range n.volatile {
		volatile[path] = true
		problems = append(problems, &Error{Key: path, Err: ErrUndecided, Story: why})
	}
	n.mu.Unlock()
	var ops []Operation[NodeInput, NodeOutput]
	for _, op := range n.Operations() {
		if !volatile[op.Input.Path] {
			ops = append(ops, op)
		}
	}
	return errors.Join(Check(NodeModel(), ops, o), errors.Join(problems...))
}

// Client returns a client that does its operations through c, and records those on the paths, and on what is below them; on all if none
// is named. The name, a string or a number, is for errors and pictures.
func (n *Nodes) Client(name any, c *client.Client, paths ...string) *Client {
	return &Client{nodes: n, name: fmt.Sprint(name), c: c, paths: paths}
}

// A Client does what a [client.Client] does, and records it. What it does not offer may be done with the other one, as long as it does not
// change recorded nodes. It may be used by many goroutines.
type Client struct {
	nodes *Nodes
	name  string
	c     *client.Client
	paths []string
}

// begin begins an operation, or none if its path is not recorded.
func (c *Client) begin(in NodeInput) *Call[NodeInput, NodeOutput] {
	if !c.records(in.Path) {
		return nil
	}
	return c.nodes.Begin(c.name, in)
}

func (c *Client) records(path string) bool {
	if len(c.paths) == 0 {
		return true
	}
	for _, p := range c.paths {
		if below, ok := strings.CutPrefix(path, p); ok && (below == "" || below[0] == '/' || p == "/") {
			return true
		}
	}
	return false
}

// end ends an operation as its error says. write tells whether it may have happened without an answer.
func end(call *Call[NodeInput, NodeOutput], write bool, out NodeOutput, err error) {
	if call == nil {
		return
	}
	code, answered := errors.AsType[client.Code](err)
	switch {
	case err == nil:
		call.End(out)
	case write && errors.Is(err, client.ErrUnknown):
		call.Unknown()
	case answered && said(code):
		call.End(NodeOutput{Err: code})
	default:
		call.Never()
	}
}

// said reports whether a code is a server's word about a node, rather than one about the connection.
func said(code client.Code) bool {
	switch code {
	case client.ErrNoNode, client.ErrNodeExists, client.ErrBadVersion, client.ErrNotEmpty:
		return true
	}
	return false
}

// Create is [client.Client.Create]. A node whose name the server chooses, or extends, is not recorded; one that may vanish by itself
// cannot be judged, and Check says so.
func (c *Client) Create(ctx context.Context, path string, data []byte, opts *client.CreateOptions) (string, error) {
	var o client.CreateOptions
	if opts != nil {
		o = *opts
	}
	if o.Parents != client.NoParents {
		for parent := path; len(parent) > 1; {
			parent = parent[:max(1, strings.LastIndexByte(parent, '/'))]
			c.mark(parent, "created it as a parent, which is not recorded")
		}
	}
	if o.Mode != client.Persistent || o.Protected {
		if !sequential(o.Mode) && !o.Protected {
			c.mark(path, "created it as a node that may vanish by itself")
		}
		return c.c.Create(ctx, path, data, opts)
	}
	call := c.begin(NodeInput{Op: NodeCreate, Path: path, Data: string(data)})
	made, err := c.c.Create(ctx, path, data, opts)
	end(call, true, NodeOutput{}, err)
	return made, err
}

// sequential reports whether the server chooses a node's name.
func sequential(m client.Mode) bool {
	return m == client.PersistentSequential || m == client.EphemeralSequential || m == client.PersistentSequentialTTL
}

// mark remembers that a path, if it is recorded, cannot be judged.
func (c *Client) mark(path, why string) {
	if !c.records(path) {
		return
	}
	c.nodes.mu.Lock()
	defer c.nodes.mu.Unlock()
	if c.nodes.volatile == nil {
		c.nodes.volatile = make(map[string]string)
	}
	c.nodes.volatile[path] = c.name + " " + why
}

// Set is [client.Client.Set].
func (c *Client) Set(ctx context.Context, path string, data []byte, version int32) (client.Stat, error) {
	call := c.begin(NodeInput{Op: NodeSet, Path: path, Data: string(data), Version: version})
	stat, err := c.c.Set(ctx, path, data, version)
	end(call, true, NodeOutput{Version: stat.Version}, err)
	return stat, err
}

// Delete is [client.Client.Delete].
func (c *Client) Delete(ctx context.Context, path string, version int32) error {
	call := c.begin(NodeInput{Op: NodeDelete, Path: path, Version: version})
	err := c.c.Delete(ctx, path, version)
	end(call, true, NodeOutput{}, err)
	return err
}

// Get is [client.Client.Get] after a Sync in the same session: it returns what the ensemble has at some moment of the call.
func (c *Client) Get(ctx context.Context, path string) (data []byte, stat client.Stat, err error) {
	call := c.begin(NodeInput{Op: NodeRead, Path: path})
	err = c.synced(ctx, path, func(c *client.Client) error {
		data, stat, err = c.Get(ctx, path)
		return err
	})
	end(call, false, NodeOutput{Data: string(data), Version: stat.Version}, err)
	return data, stat, err
}

// Exists is [client.Client.Exists] after a Sync in the same session.
func (c *Client) Exists(ctx context.Context, path string) (stat client.Stat, there bool, err error) {
	call := c.begin(NodeInput{Op: NodeExists, Path: path})
	err = c.synced(ctx, path, func(c *client.Client) error {
		stat, there, err = c.Exists(ctx, path)
		return err
	})
	out := NodeOutput{Version: stat.Version}
	if !there {
		out.Err = client.ErrNoNode
	}
	end(call, false, out, err)
	return stat, there, err
}

// synced reads with a client that is in one session from the sync to the read: in another, opened meanwhile, the read might be older.
func (c *Client) synced(ctx context.Context, path string, read func(*client.Client) error) error {
	session, err := c.c.AwaitSession(ctx)
	if err != nil {
		return err
	}
	if err := session.Client().Sync(ctx, path); err != nil {
		return err
	}
	return read(session.Client())
}

// Multi is [client.Client.Multi], of creates (of persistent nodes), sets, deletes and checks; other parts are ErrBadArguments. What is judged
// is what it does to each node: not that it does so to all of them at once.
func (c *Client) Multi(ctx context.Context, parts ...NodeInput) ([]client.Result, error) {
	ops := make([]client.Op, len(parts))
	for i, p := range parts {
		switch p.Op {
		case NodeCreate:
			ops[i] = client.CreateOp(p.Path, []byte(p.Data), nil)
		case NodeSet:
			ops[i] = client.SetOp(p.Path, []byte(p.Data), p.Version)
		case NodeDelete:
			ops[i] = client.DeleteOp(p.Path, p.Version)
		case NodeCheck:
			ops[i] = client.CheckOp(p.Path, p.Version)
		default:
			return nil, fmt.Errorf("history: %w: %v is no part of a multi", client.ErrBadArguments, p.Op)
		}
	}
	calls := make([]*Call[NodeInput, NodeOutput], len(parts))
	for i, p := range parts {
		calls[i] = c.begin(p)
	}
	results, err := c.c.Multi(ctx, ops...)
	for i, call := range calls {
		switch {
		case call == nil:
		case err == nil:
			call.End(NodeOutput{Version: results[i].Stat.Version})
		case errors.Is(err, client.ErrUnknown) && parts[i].Op != NodeCheck:
			call.Unknown()
		default: // what hindered one part says nothing about the others
			call.Never()
		}
	}
	return results, err
}
