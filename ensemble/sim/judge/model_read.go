package judge

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Read is what a request that changes nothing is answered now. Lists of names are sorted. Requests about watches are answered too;
// whose watches they are, and so whether there are any to remove, is not the model's business: see [Case.Watches].
func (m *Model) Read(op wire.Op, rec wire.Record, session znode.SessionID) Answer {
	switch op {
	case wire.OpGetData, wire.OpExists, wire.OpGetChildren, wire.OpGetChildren2:
		return m.look(op, rec.(*wire.WatchRequest).Path)
	case wire.OpGetACL:
		n := m.at(rec.(*wire.PathRequest).Path)
		if n == nil {
			return Answer{Err: znode.CodeNoNode}
		}
		return Answer{Response: &wire.ACLResponse{ACL: n.acl, Stat: m.statOf(n)}}
	case wire.OpGetAllChildrenNumber:
		return m.count(rec.(*wire.PathRequest).Path)
	case wire.OpGetEphemerals:
		return Answer{Response: &wire.PathsResponse{Paths: m.matching(session, rec.(*wire.PrefixRequest).Prefix)}}
	case wire.OpMultiRead:
		return m.multiRead(rec.(*wire.MultiRequest))
	case wire.OpSync:
		return Answer{Response: rec}
	case wire.OpAddWatch:
		return Answer{Response: &wire.ErrorResponse{}}
	}
	return Answer{}
}

// at is the node a read means: to reads the empty path is the root too.
func (m *Model) at(path string) *modelNode {
	if path == "" {
		path = znode.Root
	}
	return m.nodes[path]
}

func (m *Model) look(op wire.Op, path string) Answer {
	n := m.at(path)
	switch {
	case n == nil:
		return Answer{Err: znode.CodeNoNode}
	case !n.may(znode.PermRead):
		return Answer{Err: znode.CodeNoAuth}
	}
	switch op {
	case wire.OpGetData:
		return Answer{Response: &wire.DataResponse{Data: n.data, Stat: m.statOf(n)}}
	case wire.OpExists:
		return Answer{Response: &wire.StatResponse{Stat: m.statOf(n)}}
	case wire.OpGetChildren:
		return Answer{Response: &wire.ChildrenResponse{Children: n.names()}}
	}
	return Answer{Response: &wire.ChildrenResponse{Children: n.names(), Stat: m.statOf(n), HasStat: true}}
}

func (n *modelNode) names() []string {
	names := make([]string, 0, len(n.children))
	for name := range n.children {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (m *Model) count(path string) Answer {
	top := m.at(path)
	if top == nil {
		return Answer{Err: znode.CodeNoNode}
	}
	below := strings.TrimSuffix(top.path, "/") + "/"
	var n int32
	for p := range m.nodes {
		if p != znode.Root && strings.HasPrefix(p, below) {
			n++
		}
	}
	return Answer{Response: &wire.CountResponse{Count: n}}
}

func (m *Model) matching(session znode.SessionID, prefix string) []string {
	paths := slices.Sorted(maps.Keys(m.owned[session]))
	if strings.TrimSpace(prefix) == "" || prefix == znode.Root {
		return paths
	}
	return slices.DeleteFunc(paths, func(p string) bool { return !strings.HasPrefix(p, prefix) })
}

func (m *Model) multiRead(q *wire.MultiRequest) Answer {
	resp := &wire.MultiResponse{Results: make([]wire.MultiResult, len(q.Ops))}
	for i, op := range q.Ops {
		a := m.look(op.Op, op.Record.(*wire.WatchRequest).Path)
		switch r := a.Response.(type) {
		case nil:
			resp.Results[i] = wire.MultiResult{Op: wire.OpError, Err: a.Err}
		case *wire.DataResponse:
			resp.Results[i] = wire.MultiResult{Op: op.Op, Data: r.Data, Stat: r.Stat}
		case *wire.ChildrenResponse:
			resp.Results[i] = wire.MultiResult{Op: op.Op, Children: r.Children}
		}
	}
	return Answer{Response: resp}
}

// same reports whether two answers of one type say the same. A server may list names in any order.
func same(want, got wire.Record) bool {
	switch w := want.(type) {
	case nil:
		return got == nil
	case *wire.DataResponse:
		g, ok := got.(*wire.DataResponse)
		return ok && sameData(w.Data, g.Data) && w.Stat == g.Stat
	case *wire.StatResponse:
		g, ok := got.(*wire.StatResponse)
		return ok && w.Stat == g.Stat
	case *wire.ChildrenResponse:
		g, ok := got.(*wire.ChildrenResponse)
		return ok && sameNames(w.Children, g.Children) && w.HasStat == g.HasStat && w.Stat == g.Stat
	case *wire.CreateResponse:
		g, ok := got.(*wire.CreateResponse)
		return ok && w.Path == g.Path && w.HasStat == g.HasStat && w.Stat == g.Stat
	case *wire.ACLResponse:
		g, ok := got.(*wire.ACLResponse)
		return ok && slices.Equal(w.ACL, g.ACL) && w.Stat == g.Stat
	case *wire.CountResponse:
		g, ok := got.(*wire.CountResponse)
		return ok && w.Count == g.Count
	case *wire.PathsResponse:
		g, ok := got.(*wire.PathsResponse)
		return ok && sameNames(w.Paths, g.Paths)
	case *wire.MultiResponse:
		g, ok := got.(*wire.MultiResponse)
		return ok && slices.EqualFunc(w.Results, g.Results, sameResult)
	case *wire.SyncRequest:
		g, ok := got.(*wire.SyncRequest)
		return ok && sameData(w.Path, g.Path)
	case *wire.ErrorResponse:
		g, ok := got.(*wire.ErrorResponse)
		return ok && w.Err == g.Err
	}
	return false
}

func sameResult(w, g wire.MultiResult) bool {
	return w.Op == g.Op && w.Err == g.Err && w.Path == g.Path && w.Stat == g.Stat && sameData(w.Data, g.Data) && sameNames(w.Children, g.Children)
}

// sameData tells null from empty.
func sameData(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

func sameNames(sorted, got []string) bool {
	if len(sorted) != len(got) {
		return false
	}
	if slices.IsSorted(got) {
		return slices.Equal(sorted, got)
	}
	return slices.Equal(sorted, slices.Sorted(slices.Values(got)))
}
