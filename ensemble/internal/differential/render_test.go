package differential

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const owner znode.SessionID = 0x100000000000007

// messages are one of every sort, full of things to get wrong.
func messages(now int64) []rawclient.Message {
	stat := znode.Stat{Czxid: 1, Mzxid: 2, Ctime: now, Mtime: now, Version: 3, Cversion: 4, Aversion: 5, EphemeralOwner: owner, DataLength: 6,
		NumChildren: 7, Pzxid: 8}
	var all []rawclient.Message
	for op, record := range map[wire.Op]wire.Record{
		wire.OpNotification:         &wire.WatcherEvent{Type: znode.EventCreated, State: 3, Path: "/a"},
		wire.OpCreate:               &wire.CreateResponse{Path: "/a"},
		wire.OpCreate2:              &wire.CreateResponse{Path: "/a", Stat: stat, HasStat: true},
		wire.OpExists:               &wire.StatResponse{Stat: stat},
		wire.OpGetData:              &wire.DataResponse{Data: []byte("x"), Stat: stat},
		wire.OpGetACL:               &wire.ACLResponse{ACL: []znode.ACL{{Perms: 5, ID: znode.ID{Scheme: "ip", Name: "::1"}}}, Stat: stat},
		wire.OpGetChildren:          &wire.ChildrenResponse{Children: []string{"a", "b"}},
		wire.OpGetChildren2:         &wire.ChildrenResponse{Children: []string{"a"}, Stat: stat, HasStat: true},
		wire.OpSync:                 &wire.SyncRequest{Path: []byte("/a")},
		wire.OpGetEphemerals:        &wire.PathsResponse{Paths: []string{"/a"}},
		wire.OpGetAllChildrenNumber: &wire.CountResponse{Count: 3},
		wire.OpAddWatch:             &wire.ErrorResponse{},
		wire.OpWhoAmI:               &wire.WhoAmIResponse{IDs: []znode.ID{{Scheme: "ip", Name: "::1"}}},
	} {
		all = append(all, rawclient.Message{Op: op, Header: wire.ReplyHeader{Xid: 1, Zxid: 9}, Record: record, Body: record.AppendJute(nil)})
	}
	for _, res := range []wire.MultiResult{
		{Op: wire.OpCreate, Path: "/a"}, {Op: wire.OpCreate2, Path: "/b", Stat: stat}, {Op: wire.OpSetData, Stat: stat}, {Op: wire.OpDelete},
		{Op: wire.OpError, Err: -101}, {Op: wire.OpGetData, Data: []byte("x"), Stat: stat}, {Op: wire.OpGetChildren, Children: []string{"c"}},
	} {
		record := &wire.MultiResponse{Results: []wire.MultiResult{res}}
		all = append(all, rawclient.Message{Op: wire.OpMulti, Header: wire.ReplyHeader{Xid: 1, Zxid: 9}, Record: record, Body: record.AppendJute(nil)})
	}
	return append(all, rawclient.Message{Op: wire.OpPing, Header: wire.ReplyHeader{Xid: -2, Zxid: 9}})
}

// newTestRenderer knows the owner and the times of messages.
func newTestRenderer(now int64) *renderer {
	r := newRenderer()
	r.sessions[owner] = "S0.1"
	r.times[1], r.times[2] = now, now
	return r
}

// TestNoByteOfAMessageGoesUnseen flips every bit of everything a server can say, and decodes that again if it still can be:
// what reads differently must also look different.
func TestNoByteOfAMessageGoesUnseen(t *testing.T) {
	now := time.Now().UnixMilli()
	for _, m := range messages(now) {
		want := newTestRenderer(now).message(m)
		require.Equal(t, want, newTestRenderer(now).message(m))
		for bit := range 8 * len(m.Body) {
			changed := m
			changed.Body = append([]byte(nil), m.Body...)
			changed.Body[bit/8] ^= 1 << (bit % 8)
			changed.Record = reflect.New(reflect.TypeOf(m.Record).Elem()).Interface().(wire.Record)
			if c, ok := m.Record.(*wire.CreateResponse); ok {
				changed.Record.(*wire.CreateResponse).HasStat = c.HasStat
			}
			if c, ok := m.Record.(*wire.ChildrenResponse); ok {
				changed.Record.(*wire.ChildrenResponse).HasStat = c.HasStat
			}
			d := jute.NewDecoder(changed.Body)
			changed.Record.DecodeJute(&d)
			if d.Err() != nil || reflect.DeepEqual(m.Record, changed.Record) {
				continue
			}
			require.NotEqual(t, want, newTestRenderer(now).message(changed), "%v: bit %d of\n%+v", m.Op, bit, m.Record)
		}
		for _, change := range []func(*wire.ReplyHeader){
			func(h *wire.ReplyHeader) { h.Xid++ }, func(h *wire.ReplyHeader) { h.Zxid++ }, func(h *wire.ReplyHeader) { h.Err-- },
		} {
			changed := m
			if change(&changed.Header); m.Op == wire.OpNotification && changed.Header.Xid != m.Header.Xid {
				continue // without that xid it is no event
			}
			require.NotEqual(t, want, newTestRenderer(now).message(changed))
		}
	}
}

func TestRendererForgivesOnlyWhatMayDiffer(t *testing.T) {
	now := time.Now().UnixMilli()
	a, b := newRenderer(), newRenderer()
	a.sessions[5], b.sessions[6] = "S3.1", "S3.1"
	stat := func(session znode.SessionID, ms int64) *znode.Stat {
		return &znode.Stat{Czxid: 4, Mzxid: 4, Ctime: ms, Mtime: ms, EphemeralOwner: session}
	}
	require.Equal(t, a.stat(stat(5, now)), b.stat(stat(6, now-900)), "ids, and clocks")
	require.Contains(t, b.stat(stat(6, now-901)), "not the time of change 4", "but a change has one time")
	require.Contains(t, b.stat(stat(5, now-900)), "unknown session")
	require.Contains(t, newRenderer().stat(stat(0, now-2*time.Hour.Milliseconds())), "far from now")
	require.Equal(t, sorted([]string{"b", "a"}), sorted([]string{"a", "b"}))
	require.NotEqual(t, sorted(nil), sorted([]string{}))
	require.NotEqual(t, buffer(nil), buffer([]byte{}))

	digest := func(name string, p znode.Perms) znode.ACL {
		return znode.ACL{Perms: p, ID: znode.ID{Scheme: "digest", Name: name}}
	}
	require.Equal(t, acl([]znode.ACL{digest("a", 1), digest("b", 1)}), acl([]znode.ACL{digest("b", 1), digest("a", 1)}))
	require.NotEqual(t, acl([]znode.ACL{digest("a", 1), digest("b", 2)}), acl([]znode.ACL{digest("b", 2), digest("a", 1)}))
}

func TestCompare(t *testing.T) {
	of := func(lines ...string) Outcome {
		var o Outcome
		for _, l := range lines {
			o.Lines = append(o.Lines, strings.Fields(l))
		}
		return o
	}
	require.Empty(t, Compare(of("a b", "c"), of("a b", "c")))
	require.Equal(t, []Difference{{Slot: 0, Line: 1, Want: "b", Have: "x"}, {Slot: 1, Line: 1, Have: "d"}}, Compare(of("a b", "c"), of("a x y", "c d")))
	require.Equal(t, []Difference{{Slot: 1, Line: 0, Want: "c"}}, Compare(of("a", "c"), of("a")))
}

func TestOnlyEventsOfASessionsEndAreSorted(t *testing.T) {
	e := func(text string, z znode.Zxid) said { return said{text: text, event: true, zxid: z} }
	lines := []said{e("c", 4), e("b", 5), e("a", 5), {text: "reply", zxid: 5}, e("z", 5), e("y", 5), e("b", 6), e("a", 6)}
	orderVanished(lines, 5)
	var got string
	for _, l := range lines {
		got += l.text + " "
	}
	require.Equal(t, "c a b reply y z b a ", got)
}
