package history

import (
	"fmt"

	"github.com/bellwether-zk/bellwether/client"
)

// NodeOp is what is done to a node of ZooKeeper's.
type NodeOp byte

// What is done to nodes.
const (
	NodeRead   NodeOp = iota // data and version, as of now: after a sync
	NodeExists               // whether it is there, and its version, as of now
	NodeCreate               // with version 0
	NodeSet                  // the data, if the version is the one in the input
	NodeDelete               // likewise
	NodeCheck                // changes nothing, and succeeds if the version is the one in the input: part of a multi
)

func (o NodeOp) String() string {
	return [...]string{"get", "exists", "create", "set", "delete", "check"}[o]
}

// NodeInput is an operation on a node.
type NodeInput struct {
	Op      NodeOp
	Path    string
	Data    string // to create or set
	Version int32  // to set, delete or check; client.AnyVersion is any
}

// NodeOutput is what was told of a node.
type NodeOutput struct {
	Err     client.Code // 0: it is done. ErrNoNode is what exists says of a node that is not there
	Data    string      // read
	Version int32       // of the node's data now, after read, exists or set
}

// NodeState is a node as a register.
type NodeState struct {
	Exists  bool
	Version int32
	Data    string
}

// NodeModel is the model of ZooKeeper's nodes: registers with versions, each by itself, that are made and removed. At first there are
// none. Nodes that vanish by themselves, ephemeral ones for instance, do not follow it. Of a node's relations to others
// it knows only that a node with children is one, and that a missing parent has no children.
func NodeModel() Model[NodeState, NodeInput, NodeOutput] {
	return Model[NodeState, NodeInput, NodeOutput]{
		Init:     func() NodeState { return NodeState{} },
		Step:     NodeState.step,
		Key:      func(in NodeInput) string { return in.Path },
		Describe: describeNode,
	}
}

// step does what is asked, if it may have been done, or refused, here.
func (s NodeState) step(in NodeInput, out *NodeOutput) (NodeState, bool) {
	matches := s.Exists && (in.Version == client.AnyVersion || in.Version == s.Version)
	after, possible := s, false
	switch in.Op {
	case NodeCreate:
		after, possible = NodeState{Exists: true, Data: in.Data}, !s.Exists
	case NodeSet:
		after, possible = NodeState{Exists: true, Version: s.Version + 1, Data: in.Data}, matches
	case NodeDelete:
		after, possible = NodeState{}, matches
	case NodeCheck:
		possible = matches
	default:
		possible = s.Exists
	}
	if out == nil {
		return after, possible
	}
	switch out.Err {
	case 0:
		return after, possible && after.agrees(in.Op, out)
	case client.ErrNoNode: // the parent, if it was to be created; then this one is not there either
		return s, !s.Exists
	case client.ErrNodeExists, client.ErrNotEmpty:
		return s, s.Exists
	case client.ErrBadVersion:
		return s, s.Exists && !matches
	}
	return s, true // such as ErrNoAuth, which says nothing about what the node holds
}

// agrees reports whether this is what was told.
func (s NodeState) agrees(op NodeOp, out *NodeOutput) bool {
	switch op {
	case NodeRead:
		return s.Version == out.Version && s.Data == out.Data
	case NodeExists, NodeSet:
		return s.Version == out.Version
	}
	return true
}

func describeNode(in NodeInput, out *NodeOutput) string {
	text := in.Op.String() + " " + in.Path
	if in.Op == NodeCreate || in.Op == NodeSet {
		text += fmt.Sprintf(" %q", in.Data)
	}
	if in.Op >= NodeSet && in.Version != client.AnyVersion {
		text += fmt.Sprintf(" if version %d", in.Version)
	}
	switch {
	case out == nil:
		return text + " -> ?"
	case out.Err != 0:
		return text + " -> " + out.Err.Error()
	case in.Op == NodeRead:
		return fmt.Sprintf("%s -> %q, version %d", text, out.Data, out.Version)
	case in.Op == NodeExists || in.Op == NodeSet:
		return fmt.Sprintf("%s -> version %d", text, out.Version)
	}
	return text + " -> done"
}
