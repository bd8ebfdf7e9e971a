package replica

import (
	"bytes"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/watch"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Answer appends the reply to a request that is no write, as one frame, to out. Events that setWatches catches up on are
// frames before it. It reads the tree as it stands: the caller keeps [Replica.Apply] from running meanwhile, but any number of
// goroutines may answer at the same time.
func (r *Replica) Answer(out []byte, q *request.Request) []byte {
	switch q.Op {
	case wire.OpGetData:
		return r.getData(out, q)
	case wire.OpExists:
		return r.exists(out, q)
	case wire.OpGetChildren, wire.OpGetChildren2:
		return r.getChildren(out, q)
	case wire.OpPing:
		return wire.AppendErrorFrame(out, wire.ReplyHeader{Xid: wire.XidPing, Zxid: r.tree.Zxid()})
	case wire.OpGetACL:
		return r.getACL(out, q)
	case wire.OpGetAllChildrenNumber:
		return r.allChildrenNumber(out, q)
	case wire.OpGetEphemerals:
		return r.ephemerals(out, q)
	case wire.OpMultiRead:
		return r.multiRead(out, q)
	case wire.OpWhoAmI:
		return r.reply(out, q, &wire.WhoAmIResponse{IDs: r.auth.Names(q.IDs)})
	case wire.OpAddWatch:
		return r.addWatch(out, q)
	case wire.OpCheckWatches, wire.OpRemoveWatches:
		return r.findWatches(out, q)
	case wire.OpSetWatches, wire.OpSetWatches2:
		return r.setWatches(out, q)
	}
	return wire.AppendErrorFrame(out, wire.ReplyHeader{Xid: q.Xid, Zxid: -1, Err: znode.CodeUnimplemented})
}

func (r *Replica) refuse(out []byte, q *request.Request, code znode.Code) []byte {
	return wire.AppendErrorFrame(out, wire.ReplyHeader{Xid: q.Xid, Zxid: r.tree.Zxid(), Err: code})
}

func (r *Replica) reply(out []byte, q *request.Request, body wire.Record) []byte {
	out, start := r.begin(out, q)
	return wire.EndFrame(body.AppendJute(out), start)
}

func (r *Replica) begin(out []byte, q *request.Request) ([]byte, int) {
	out, start := wire.BeginFrame(out)
	return wire.ReplyHeader{Xid: q.Xid, Zxid: r.tree.Zxid()}.AppendJute(out), start
}

// pathAndWatch reads a WatchRequest without copying the path: reads are what a server does most.
func pathAndWatch(q *request.Request) (path []byte, leave, ok bool) {
	d := jute.NewDecoder(q.Body)
	path, leave = d.Buffer(), d.Bool()
	return path, leave, path != nil && d.Err() == nil
}

// readable finds the node at path and checks that the asker may read it.
func (r *Replica) readable(path []byte, q *request.Request) (*tree.Node, znode.Code) {
	n := r.tree.NodeBytes(path)
	if n == nil {
		return nil, znode.CodeNoNode
	}
	if !r.auth.Permit(n.ACL(), q.IDs, znode.PermRead) {
		return nil, znode.CodeNoAuth
	}
	return n, znode.CodeOK
}

// lookAt finds the node a WatchRequest asks for and leaves a watch of that kind if it asks for one too: only where the node is
// there and may be read.
func (r *Replica) lookAt(q *request.Request, kind watch.Kind) (*tree.Node, znode.Code) {
	path, leave, ok := pathAndWatch(q)
	if !ok {
		return nil, znode.CodeMarshallingError
	}
	n, code := r.readable(path, q)
	if code == znode.CodeOK && leave && !r.watch(q.Conn, string(path), kind) {
		return nil, znode.CodeThrottledOp
	}
	return n, code
}

func (r *Replica) getData(out []byte, q *request.Request) []byte {
	n, code := r.lookAt(q, watch.Data)
	if code != znode.CodeOK {
		return r.refuse(out, q, code)
	}
	out, start := r.begin(out, q)
	out = jute.AppendBuffer(out, n.Data())
	stat := n.Stat()
	return wire.EndFrame(stat.AppendJute(out), start)
}

func (r *Replica) exists(out []byte, q *request.Request) []byte {
	path, leave, ok := pathAndWatch(q)
	if !ok {
		return r.refuse(out, q, znode.CodeMarshallingError)
	}
	if bytes.IndexByte(path, 0) >= 0 {
		return r.refuse(out, q, znode.CodeBadArguments)
	}
	n, code := r.readable(path, q)
	if code == znode.CodeNoAuth {
		return r.refuse(out, q, code)
	}
	if leave && !r.watch(q.Conn, string(path), watch.Data) {
		return r.refuse(out, q, znode.CodeThrottledOp)
	}
	if n == nil {
		return r.refuse(out, q, code)
	}
	out, start := r.begin(out, q)
	stat := n.Stat()
	return wire.EndFrame(stat.AppendJute(out), start)
}

func (r *Replica) getChildren(out []byte, q *request.Request) []byte {
	n, code := r.lookAt(q, watch.Child)
	if code != znode.CodeOK {
		return r.refuse(out, q, code)
	}
	out, start := r.begin(out, q)
	out = appendChildren(out, n)
	if q.Op == wire.OpGetChildren2 {
		stat := n.Stat()
		out = stat.AppendJute(out)
	}
	return wire.EndFrame(out, start)
}

// appendChildren writes the names straight from the tree: a list of them may be long.
func appendChildren(out []byte, n *tree.Node) []byte {
	out = jute.AppendInt32(out, int32(n.NumChildren()))
	for name := range n.Children() {
		out = jute.AppendString(out, name)
	}
	return out
}

func (r *Replica) getACL(out []byte, q *request.Request) []byte {
	var req wire.PathRequest
	if !decode(q, &req) {
		return r.refuse(out, q, znode.CodeMarshallingError)
	}
	n := r.tree.Node(req.Path)
	if n == nil {
		return r.refuse(out, q, znode.CodeNoNode)
	}
	acl := n.ACL()
	if !r.auth.Permit(acl, q.IDs, znode.PermRead|znode.PermAdmin) {
		return r.refuse(out, q, znode.CodeNoAuth)
	}
	if !r.auth.Permit(acl, q.IDs, znode.PermAdmin) {
		acl = r.auth.Mask(acl)
	}
	return r.reply(out, q, &wire.ACLResponse{ACL: acl, Stat: n.Stat()})
}

func (r *Replica) allChildrenNumber(out []byte, q *request.Request) []byte {
	var req wire.PathRequest
	if !decode(q, &req) {
		return r.refuse(out, q, znode.CodeMarshallingError)
	}
	n, code := r.readable([]byte(req.Path), q)
	if code != znode.CodeOK {
		return r.refuse(out, q, code)
	}
	count := r.tree.Descendants(n.Path())
	if req.Path == "" {
		count++ // to the root's other name Apache counts the root itself (class DataTree, getAllChildrenNumber)
	}
	return r.reply(out, q, &wire.CountResponse{Count: int32(count)})
}

func (r *Replica) ephemerals(out []byte, q *request.Request) []byte {
	var req wire.PrefixRequest
	if !decode(q, &req) {
		return r.refuse(out, q, znode.CodeMarshallingError)
	}
	paths := r.tree.Ephemerals(q.Session)
	if prefix := req.Prefix; strings.TrimSpace(prefix) != "" && prefix != znode.Root {
		kept := make([]string, 0, len(paths))
		for _, p := range paths {
			if strings.HasPrefix(p, prefix) {
				kept = append(kept, p)
			}
		}
		paths = kept
	}
	return r.reply(out, q, &wire.PathsResponse{Paths: paths})
}

// multiReadMost is from how many bytes on an answer to a multi-read is refused: a request of a few bytes for each of its parts could
// ask for the largest node ten thousand times over. (Apache's server runs out of memory. Its clients take a mebibyte.)
const multiReadMost = 64 << 20

func (r *Replica) multiRead(out []byte, q *request.Request) []byte {
	req := wire.MultiRequest{Read: true}
	if !decode(q, &req) {
		if len(req.Ops) == 0 && decode(q, &wire.MultiRequest{}) { // writes, to which Apache's server answers more than a header
			out, start := wire.BeginFrame(out)
			out = wire.ReplyHeader{Xid: q.Xid, Zxid: r.tree.Zxid(), Err: znode.CodeMarshallingError}.AppendJute(out)
			return wire.EndFrame((&wire.MultiResponse{}).AppendJute(out), start)
		}
		return r.refuse(out, q, znode.CodeMarshallingError)
	}
	resp := wire.MultiResponse{Results: make([]wire.MultiResult, len(req.Ops))}
	size := 0
	for i, op := range req.Ops {
		res := &resp.Results[i]
		if size > multiReadMost {
			return r.refuse(out, q, znode.CodeMarshallingError)
		}
		n, code := r.readable([]byte(op.Record.(*wire.WatchRequest).Path), q)
		if code != znode.CodeOK {
			res.Op, res.Err = wire.OpError, code
			continue
		}
		if res.Op = op.Op; op.Op == wire.OpGetData {
			res.Data, res.Stat = n.Data(), n.Stat()
			size += len(res.Data)
			continue
		}
		res.Children = make([]string, 0, n.NumChildren())
		for name := range n.Children() {
			res.Children = append(res.Children, name)
			size += 4 + len(name)
		}
	}
	return r.reply(out, q, &resp)
}

func decode(q *request.Request, rec wire.Record) bool {
	d := jute.NewDecoder(q.Body)
	rec.DecodeJute(&d)
	return d.Err() == nil
}
