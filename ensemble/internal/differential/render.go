package differential

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A renderer turns what one server says into text without what may legitimately differ between two.
type renderer struct {
	sessions map[znode.SessionID]string
	times    map[znode.Zxid]int64 // of every change seen, in milliseconds; all nodes must agree on them
}

func newRenderer() *renderer {
	return &renderer{sessions: map[znode.SessionID]string{}, times: map[znode.Zxid]int64{0: 0}}
}

// message is the whole of m: every field a client can see, and how long its record was, which tells null from empty.
func (r *renderer) message(m rawclient.Message) string {
	if e := m.Event(); e != nil {
		return fmt.Sprintf("event zxid=%d err=%d %v state=%d %q (%d bytes)", m.Header.Zxid, m.Header.Err, e.Type, e.State, e.Path, len(m.Body))
	}
	head := fmt.Sprintf("%v xid=%d zxid=%d err=%d", m.Op, m.Header.Xid, m.Header.Zxid, m.Header.Err)
	if m.Record == nil && len(m.Body) == 0 {
		return head
	}
	return fmt.Sprintf("%s %s (%d bytes)", head, r.record(m.Record), len(m.Body))
}

func (r *renderer) record(record wire.Record) string {
	switch v := record.(type) {
	case nil:
		return "nothing"
	case *wire.CreateResponse:
		if !v.HasStat {
			return fmt.Sprintf("path=%q", v.Path)
		}
		return fmt.Sprintf("path=%q %s", v.Path, r.stat(&v.Stat))
	case *wire.StatResponse:
		return r.stat(&v.Stat)
	case *wire.DataResponse:
		return fmt.Sprintf("%s %s", buffer(v.Data), r.stat(&v.Stat))
	case *wire.ACLResponse:
		return fmt.Sprintf("acl=%q %s", acl(v.ACL), r.stat(&v.Stat))
	case *wire.ChildrenResponse:
		if !v.HasStat {
			return sorted(v.Children)
		}
		return fmt.Sprintf("%s %s", sorted(v.Children), r.stat(&v.Stat))
	case *wire.SyncRequest:
		return buffer(v.Path)
	case *wire.PathsResponse:
		return sorted(v.Paths)
	case *wire.CountResponse:
		return fmt.Sprintf("count=%d", v.Count)
	case *wire.ErrorResponse:
		return fmt.Sprintf("err=%d", v.Err)
	case *wire.WhoAmIResponse:
		return fmt.Sprintf("ids=%q", identities(v.IDs))
	case *wire.MultiResponse:
		return r.multi(v)
	}
	return fmt.Sprintf("%T", record)
}

func (r *renderer) multi(m *wire.MultiResponse) string {
	var b strings.Builder
	b.WriteByte('[')
	for i := range m.Results {
		v := &m.Results[i]
		fmt.Fprintf(&b, " {%v err=%d", v.Op, v.Err)
		switch {
		case v.Op == wire.OpError || v.Err != 0 || v.Op == wire.OpDelete || v.Op == wire.OpCheck:
		case v.Op == wire.OpCreate:
			fmt.Fprintf(&b, " path=%q", v.Path)
		case v.Op == wire.OpCreate2:
			fmt.Fprintf(&b, " path=%q %s", v.Path, r.stat(&v.Stat))
		case v.Op == wire.OpSetData:
			b.WriteString(" " + r.stat(&v.Stat))
		case v.Op == wire.OpGetData:
			fmt.Fprintf(&b, " %s %s", buffer(v.Data), r.stat(&v.Stat))
		case v.Op == wire.OpGetChildren:
			b.WriteString(" " + sorted(v.Children))
		}
		b.WriteByte('}')
	}
	b.WriteString(" ]")
	return b.String()
}

// stat shows the session that owns the node by its name. Of times it says whether they are those of the changes.
func (r *renderer) stat(s *znode.Stat) string {
	owner := "none"
	if s.EphemeralOwner != 0 {
		var known bool
		if owner, known = r.sessions[s.EphemeralOwner]; !known {
			owner = "unknown session"
		}
	}
	return fmt.Sprintf("stat{c=%d m=%d p=%d ctime %s mtime %s v=%d cv=%d av=%d owner=%s length=%d children=%d}", s.Czxid, s.Mzxid, s.Pzxid,
		r.time(s.Czxid, s.Ctime), r.time(s.Mzxid, s.Mtime), s.Version, s.Cversion, s.Aversion, owner, s.DataLength, s.NumChildren)
}

// time judges the time of a change: now when first seen, the same ever after.
func (r *renderer) time(z znode.Zxid, ms int64) string {
	known, seen := r.times[z]
	switch {
	case !seen:
		r.times[z] = ms
		if age := time.Since(time.UnixMilli(ms)); age < -5*time.Second || age > time.Hour {
			return "far from now"
		}
	case known != ms:
		return fmt.Sprintf("not the time of change %d: %d ms off", z, ms-known)
	}
	return "good"
}

// identities sorts them: a connection's are a set.
func identities(ids []znode.ID) []znode.ID {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, compareIDs)
	return ids
}

// acl sorts neighbours that may have come out of one entry of scheme auth, which stands for the connection's set.
func acl(list []znode.ACL) []string {
	list = slices.Clone(list)
	alike := func(a, b znode.ACL) bool {
		return a.Perms == b.Perms && a.ID.Scheme == "digest" && b.ID.Scheme == "digest"
	}
	var text []string
	for from := 0; from < len(list); {
		to := from + 1
		for to < len(list) && alike(list[from], list[to]) {
			to++
		}
		slices.SortFunc(list[from:to], func(a, b znode.ACL) int { return compareIDs(a.ID, b.ID) })
		for ; from < to; from++ {
			text = append(text, fmt.Sprintf("%d %s:%s", list[from].Perms, list[from].ID.Scheme, list[from].ID.Name))
		}
	}
	return text
}

func compareIDs(a, b znode.ID) int {
	return cmp.Or(strings.Compare(a.Scheme, b.Scheme), strings.Compare(a.Name, b.Name))
}

func buffer(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%q", b)
}

func sorted(names []string) string {
	if names == nil {
		return "null"
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return fmt.Sprintf("%q", names)
}
