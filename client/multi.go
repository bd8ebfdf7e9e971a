package client

import (
	"context"
	"fmt"

	"github.com/go-zookeeper/zk"
)

// Op is one part of a multi: a create, set, delete or check, made by the functions below.
type Op struct {
	kind    opKind
	path    string
	data    []byte
	version int32
	options CreateOptions
}

type opKind int

const (
	opCreate opKind = iota + 1
	opSet
	opDelete
	opCheck
)

var opNames = map[opKind]string{opCreate: "create", opSet: "set", opDelete: "delete", opCheck: "check"}

// CreateOp makes a node as Create does. A multi makes persistent and ephemeral nodes, sequential or not; parents, protection, containers
// and times to live are refused with ErrBadArguments.
func CreateOp(path string, data []byte, opts *CreateOptions) Op {
	op := Op{kind: opCreate, path: path, data: data}
	if opts != nil {
		op.options = *opts
	}
	return op
}

// SetOp replaces a node's data if its version is the given one.
func SetOp(path string, data []byte, version int32) Op {
	return Op{kind: opSet, path: path, data: data, version: version}
}

// DeleteOp removes a node if its version is the given one.
func DeleteOp(path string, version int32) Op {
	return Op{kind: opDelete, path: path, version: version}
}

// CheckOp changes nothing, and fails the multi unless the node exists and its version is the given one.
func CheckOp(path string, version int32) Op {
	return Op{kind: opCheck, path: path, version: version}
}

// Result is what became of one part of a multi.
type Result struct {
	Path string // of a create: the node that was made
	Stat Stat   // of a set: the new one
	Err  error  // why this part failed; ErrRuntimeInconsistency in the parts that were not to blame
}

// Multi carries out all the parts, in order and as one transaction, or none of them. When it fails because of one part, the error names
// that part's path and reason, and the results tell of each part. Whether a multi that ends with ErrUnknown took effect can be told by
// reading, if it contained something to tell it by.
func (c *Client) Multi(ctx context.Context, ops ...Op) ([]Result, error) {
	requests := make([]any, len(ops))
	size := 0
	for i, op := range ops {
		op.options.ACL = c.aclOf(op.path, op.options.ACL)
		r, err := c.request(&op)
		if err == nil {
			err = c.permit(op.intent())
		}
		if err != nil {
			return nil, &Error{Op: "multi", Path: op.path, Err: reason(err)}
		}
		requests[i] = r
		size += fixedSize + createSize(c.absolute(op.path), op.data, op.options.ACL)
	}
	// The library's answers are read in the closure: they must not be touched when the call was abandoned.
	results, err := run(ctx, c, operation{name: "multi", size: size, write: true}, func(conn *zk.Conn) (parts, error) {
		responses, err := conn.Multi(requests...)
		p := parts{results: c.results(ops, responses)}
		if err != nil && p.blame() >= 0 {
			p.failed, err = true, nil
		}
		return p, err
	})
	if err != nil {
		return nil, err
	}
	if results.failed {
		i := results.blame()
		return results.results, &Error{Op: "multi", Path: ops[i].path, Err: results.results[i].Err}
	}
	return results.results, nil
}

// request turns a part into the library's form.
func (c *Client) request(op *Op) (any, error) {
	o := &op.options
	if err := checkPath(op.path, o.Mode.sequential()); err != nil {
		return nil, err
	}
	path := c.absolute(op.path)
	switch op.kind {
	case opCreate:
		if o.Mode < Persistent || o.Mode > EphemeralSequential || o.Parents != NoParents || o.Protected || o.TTL != 0 {
			return nil, fmt.Errorf("%w: a create in a multi is plain, ephemeral or sequential", ErrBadArguments)
		}
		return &zk.CreateRequest{Path: path, Data: notNil(op.data), Acl: libraryACL(o.ACL), Flags: int32(o.Mode)}, nil
	case opSet:
		return &zk.SetDataRequest{Path: path, Data: notNil(op.data), Version: op.version}, nil
	case opDelete:
		return &zk.DeleteRequest{Path: path, Version: op.version}, nil
	case opCheck:
		return &zk.CheckVersionRequest{Path: path, Version: op.version}, nil
	}
	return nil, fmt.Errorf("%w: an Op made by none of its functions", ErrBadArguments)
}

// intent is what Options.Check is asked about a part.
func (op *Op) intent() *Intent {
	i := Intent{Op: opNames[op.kind], Path: op.path, Data: op.data, Version: op.version}
	if op.kind == opCreate {
		i.Mode, i.ACL = op.options.Mode, op.options.ACL
	}
	return &i
}

// parts are the results of a multi and whether it failed by one of them.
type parts struct {
	results []Result
	failed  bool
}

// blame returns the part that made the multi fail, or -1.
func (p *parts) blame() int {
	for i, r := range p.results {
		if r.Err != nil && r.Err != error(ErrRuntimeInconsistency) {
			return i
		}
	}
	return -1
}

func (c *Client) results(ops []Op, responses []zk.MultiResponse) []Result {
	out := make([]Result, 0, len(responses))
	for i, r := range responses {
		if i >= len(ops) {
			break
		}
		result := Result{Stat: statOf(r.Stat), Err: translate(r.Error)}
		if r.String != "" {
			result.Path = c.relative(r.String)
		}
		out = append(out, result)
	}
	return out
}

// notNil keeps null data out of the tree: some clients cannot read it.
func notNil(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}
