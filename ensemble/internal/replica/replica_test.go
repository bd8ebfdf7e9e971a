package replica_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/auth"
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const (
	wall = 1_700_000_000_000
	conn = request.ConnID(1)
)

// desk is a replica with somebody who hands it requests and time, one after the other.
type desk struct {
	*testing.T
	r    *replica.Replica
	now  replica.Time
	log  replica.Records
	done replica.Applied
	xid  int32
	id   znode.SessionID
}

func newDesk(t *testing.T) *desk {
	d := &desk{T: t, now: replica.Time{Mono: 0, Wall: wall}}
	d.r = d.replica(tree.New(tree.Options{Extended: true}))
	q := d.r.NewSession(conn, 10_000)
	a := d.mustApply(&q)
	require.Equal(t, wire.OpCreateSession, a.Type)
	require.Equal(t, int32(10_000), a.Timeout)
	d.id = a.Session
	return d
}

func (d *desk) replica(t *tree.Tree) *replica.Replica {
	reg, err := auth.New(auth.Config{})
	require.NoError(d, err)
	return replica.New(t, replica.Config{
		ServerID: 1, Tick: 1000, MinTimeout: 2000, MaxTimeout: 20_000, Auth: reg, MaxWatches: 5,
		Sweep: replica.Sweep{Interval: 60_000, PerMinute: 60, MaxNeverUsed: 300_000},
	}, d.now)
}

// mustApply proposes q, says that it is on disk, and applies it.
func (d *desk) mustApply(q *request.Request) *replica.Applied {
	d.Helper()
	d.r.Propose(q, d.now, &d.log)
	ok, err := d.r.Apply(&d.done)
	require.NoError(d, err)
	require.False(d, ok, "nothing is applied before it is on disk")
	d.r.Synced(d.r.Zxid())
	ok, err = d.r.Apply(&d.done)
	require.NoError(d, err)
	require.True(d, ok)
	return &d.done
}

func (d *desk) write(op wire.Op, rec wire.Record) *replica.Applied {
	d.Helper()
	d.xid++
	return d.mustApply(&request.Request{Conn: conn, Session: d.id, Xid: d.xid, Op: op, Record: rec})
}

func (d *desk) create(path string, mode znode.CreateMode) *replica.Applied {
	d.Helper()
	op := wire.OpCreate
	if mode == znode.ModeContainer {
		op = wire.OpCreateContainer
	}
	a := d.write(op, &wire.CreateRequest{Path: path, Data: []byte("d"), ACL: znode.OpenACL(), Mode: mode, TTL: -1})
	require.Equal(d, op, a.Type, path)
	return a
}

func (d *desk) createTTL(path string, ttl int64) {
	d.Helper()
	a := d.write(wire.OpCreateTTL, &wire.CreateRequest{Path: path, ACL: znode.OpenACL(), Mode: znode.ModeTTL, TTL: ttl, HasTTL: true})
	require.Equal(d, wire.OpCreateTTL, a.Type)
}

func (d *desk) read(op wire.Op, rec wire.Record) (wire.ReplyHeader, wire.Record, []wire.WatcherEvent) {
	d.Helper()
	d.xid++
	q := &request.Request{Conn: conn, Session: d.id, Xid: d.xid, Op: op}
	if rec != nil {
		q.Body = rec.AppendJute(nil)
	}
	return d.parse(op, d.r.Answer(nil, q))
}

// parse takes apart a reply and the events before it.
func (d *desk) parse(op wire.Op, b []byte) (wire.ReplyHeader, wire.Record, []wire.WatcherEvent) {
	d.Helper()
	var events []wire.WatcherEvent
	for {
		dec := jute.NewDecoder(b)
		frame := jute.NewDecoder(dec.Buffer())
		b = dec.Rest()
		var h wire.ReplyHeader
		h.DecodeJute(&frame)
		require.NoError(d, frame.Err())
		if h.Xid == wire.XidNotification {
			var e wire.WatcherEvent
			e.DecodeJute(&frame)
			require.Equal(d, znode.Zxid(-1), h.Zxid)
			events = append(events, e)
			continue
		}
		require.Empty(d, b)
		rec := wire.NewResponse(op)
		if h.Err != 0 || rec == nil {
			require.Zero(d, frame.Len(), "an error is only a header")
			return h, nil, events
		}
		rec.DecodeJute(&frame)
		require.NoError(d, frame.Err())
		require.Zero(d, frame.Len())
		return h, rec, events
	}
}

// pass lets time go by, a second at a time, and carries out what it makes due.
func (d *desk) pass(ms int64) (removed []string, closed []znode.SessionID) {
	d.Helper()
	for end := d.now.Mono + ms; d.now.Mono < end; {
		d.now.Mono += 1000
		d.now.Wall += 1000
		for _, q := range d.r.Tick(d.now) {
			switch a := d.mustApply(&q); a.Type {
			case wire.OpDeleteContainer:
				removed = append(removed, q.Record.(*wire.PathRequest).Path)
			case wire.OpCloseSession:
				closed = append(closed, q.Session)
			}
		}
	}
	return removed, closed
}

func (d *desk) passTouched(ms int64) (removed []string) {
	d.Helper()
	for range ms / 1000 {
		d.r.Touch(d.id, d.now.Mono)
		r, closed := d.pass(1000)
		require.Empty(d, closed, "a session that is heard of does not expire")
		removed = append(removed, r...)
	}
	return removed
}

func TestWriteAndRead(t *testing.T) {
	d := newDesk(t)
	a := d.create("/a", znode.ModePersistent)
	require.Equal(t, znode.Zxid(2), a.Zxid)
	h, rec, _ := d.parse(wire.OpCreate, a.Reply)
	require.Equal(t, wire.ReplyHeader{Xid: 1, Zxid: 2}, h)
	require.Equal(t, "/a", rec.(*wire.CreateResponse).Path)

	h, rec, _ = d.read(wire.OpGetData, &wire.WatchRequest{Path: "/a"})
	require.Equal(t, znode.Zxid(2), h.Zxid)
	require.Equal(t, "d", string(rec.(*wire.DataResponse).Data))
	require.Equal(t, int64(wall), rec.(*wire.DataResponse).Stat.Ctime)

	a = d.write(wire.OpDelete, &wire.DeleteRequest{Path: "/none", Version: -1})
	h, _, _ = d.parse(wire.OpDelete, a.Reply)
	require.Equal(t, wire.ReplyHeader{Xid: 3, Zxid: 3, Err: znode.CodeNoNode}, h, "a refusal takes a zxid")

	last := d.log.List[len(d.log.List)-1]
	logged, err := txn.Decode(last.Payload)
	require.NoError(t, err)
	require.Equal(t, znode.Zxid(3), last.Zxid)
	require.Equal(t, wire.OpError, logged.Type)
}

func TestMultiRepliesOfEveryKind(t *testing.T) {
	d := newDesk(t)
	acl := znode.OpenACL()
	a := d.write(wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{
		{Op: wire.OpCreate, Record: &wire.CreateRequest{Path: "/m", ACL: acl, TTL: -1}},
		{Op: wire.OpCreateContainer, Record: &wire.CreateRequest{Path: "/m/c", ACL: acl, Mode: znode.ModeContainer, TTL: -1}},
		{Op: wire.OpSetData, Record: &wire.SetDataRequest{Path: "/m", Data: []byte("x"), Version: 0}},
		{Op: wire.OpCheck, Record: &wire.CheckRequest{Path: "/m", Version: 1}},
		{Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: "/m/c", Version: -1}},
	}})
	h, rec, _ := d.parse(wire.OpMulti, a.Reply)
	require.Zero(t, h.Err)
	var got []wire.Op
	for _, r := range rec.(*wire.MultiResponse).Results {
		require.Zero(t, r.Err)
		got = append(got, r.Op)
	}
	require.Equal(t, []wire.Op{wire.OpCreate, wire.OpCreate2, wire.OpSetData, wire.OpCheck, wire.OpDelete}, got)

	a = d.write(wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{
		{Op: wire.OpCheck, Record: &wire.CheckRequest{Path: "/m", Version: 1}},
		{Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: "/none", Version: -1}},
		{Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: "/m", Version: -1}},
	}})
	h, rec, _ = d.parse(wire.OpMulti, a.Reply)
	require.Zero(t, h.Err, "a failed multi is not an error reply")
	res := rec.(*wire.MultiResponse).Results
	require.Equal(t, []znode.Code{0, znode.CodeNoNode, znode.CodeRuntimeInconsistency}, []znode.Code{res[0].Err, res[1].Err, res[2].Err})
	h, _, _ = d.read(wire.OpExists, &wire.WatchRequest{Path: "/m"})
	require.Zero(t, h.Err, "nothing of it was done")
}

func TestNoticesComeWithTheChange(t *testing.T) {
	d := newDesk(t)
	d.read(wire.OpExists, &wire.WatchRequest{Path: "/w", Watch: true})
	d.read(wire.OpGetChildren, &wire.WatchRequest{Path: "/", Watch: true})
	a := d.create("/w", znode.ModePersistent)
	require.Len(t, a.Notices, 2)
	require.Equal(t, znode.EventCreated, a.Notices[0].Type)
	require.Equal(t, "/w", a.Notices[0].Path)
	require.Equal(t, znode.EventChildrenChanged, a.Notices[1].Type)
	require.Equal(t, "/", a.Notices[1].Path)
	require.Empty(t, d.write(wire.OpSetData, &wire.SetDataRequest{Path: "/w", Version: -1}).Notices, "they were told once")

	d.read(wire.OpAddWatch, &wire.AddWatchRequest{Path: "/", Mode: wire.WatchPersistentRecursive})
	require.Len(t, d.write(wire.OpSetData, &wire.SetDataRequest{Path: "/w", Version: -1}).Notices, 1)
	h, _, _ := d.read(wire.OpRemoveWatches, &wire.WatcherRequest{Path: "/", Type: wire.WatcherAny})
	require.Zero(t, h.Err)
	h, _, _ = d.read(wire.OpCheckWatches, &wire.WatcherRequest{Path: "/", Type: wire.WatcherAny})
	require.Equal(t, znode.CodeNoWatcher, h.Err)

	d.read(wire.OpGetData, &wire.WatchRequest{Path: "/w", Watch: true})
	d.r.Drop(conn)
	require.Empty(t, d.write(wire.OpSetData, &wire.SetDataRequest{Path: "/w", Version: -1}).Notices, "its connection is gone")
}

func TestSetWatchesCatchesUp(t *testing.T) {
	d := newDesk(t)
	d.create("/old", znode.ModePersistent)
	seen := d.done.Zxid
	d.create("/new", znode.ModePersistent)
	d.create("/old/child", znode.ModePersistent)
	h, _, events := d.read(wire.OpSetWatches2, &wire.SetWatchesRequest{
		Two: true, RelativeZxid: seen,
		Data: []string{"/old", "/new", "/gone"}, Exist: []string{"/new", "/later"}, Child: []string{"/old", "/old/child"},
		Persistent: []string{"/old"}, PersistentRecursive: []string{"/x"},
	})
	require.Zero(t, h.Err)
	require.Equal(t, []wire.WatcherEvent{
		{Type: znode.EventDataChanged, State: 3, Path: "/new"},
		{Type: znode.EventDeleted, State: 3, Path: "/gone"},
		{Type: znode.EventCreated, State: 3, Path: "/new"},
		{Type: znode.EventChildrenChanged, State: 3, Path: "/old"},
		{Type: znode.EventChildrenChanged, State: 3, Path: "/old/child"},
	}, events)
	require.Len(t, d.create("/later", znode.ModePersistent).Notices, 1, "the rest is watched again")
}

func TestReadsThatFail(t *testing.T) {
	d := newDesk(t)
	for _, c := range []struct {
		op   wire.Op
		body []byte
		want znode.Code
	}{
		{wire.OpGetData, nil, znode.CodeMarshallingError},
		{wire.OpGetData, (&wire.SyncRequest{}).AppendJute(nil), znode.CodeMarshallingError}, // null path
		{wire.OpExists, (&wire.WatchRequest{Path: "/a\x00"}).AppendJute(nil), znode.CodeBadArguments},
		{wire.OpGetChildren2, (&wire.WatchRequest{Path: "/a/"}).AppendJute(nil), znode.CodeNoNode},
		{wire.OpGetACL, []byte{1}, znode.CodeMarshallingError},
		{wire.OpGetAllChildrenNumber, (&wire.PathRequest{Path: "none"}).AppendJute(nil), znode.CodeNoNode},
		{wire.OpMultiRead, []byte{0, 0, 0, 1}, znode.CodeMarshallingError},
		{wire.OpAddWatch, (&wire.AddWatchRequest{Path: "/", Mode: 7}).AppendJute(nil), znode.CodeMarshallingError},
		{wire.OpRemoveWatches, (&wire.WatcherRequest{Path: "/", Type: 9}).AppendJute(nil), znode.CodeMarshallingError},
		{wire.OpSetWatches, []byte{0}, znode.CodeMarshallingError},
	} {
		h, _, _ := d.parse(c.op, d.r.Answer(nil, &request.Request{Conn: conn, Session: d.id, Xid: 5, Op: c.op, Body: c.body}))
		require.Equal(t, wire.ReplyHeader{Xid: 5, Zxid: 1, Err: c.want}, h, "%v %q", c.op, c.body)
	}
}

func TestSessionExpires(t *testing.T) {
	d := newDesk(t)
	d.create("/e", znode.ModeEphemeral)
	require.Empty(t, d.passTouched(30_000))
	_, closed := d.pass(9000)
	require.Empty(t, closed)
	_, closed = d.pass(3000)
	require.Equal(t, []znode.SessionID{d.id}, closed)
	require.Nil(t, d.r.Tree().Node("/e"))
	_, _, ok := d.r.Attach(d.id, nil, 5000, d.now)
	require.False(t, ok)
}

func TestAttach(t *testing.T) {
	d := newDesk(t)
	q := d.r.NewSession(2, 1)
	a := d.mustApply(&q)
	require.Equal(t, int32(2000), a.Timeout, "negotiated up")
	_, _, ok := d.r.Attach(a.Session, make([]byte, 16), 5000, d.now)
	require.False(t, ok, "wrong password")
	got, _, ok := d.r.Attach(a.Session, a.Password[:], 100_000, d.now)
	require.True(t, ok)
	require.Equal(t, int32(20_000), got)
}

func TestAttachComesAfterTheSessionsWrites(t *testing.T) {
	d := newDesk(t)
	q := d.r.NewSession(2, 5000)
	a := d.mustApply(&q)
	other, password := a.Session, a.Password
	write := request.Request{Conn: 2, Session: other, Op: wire.OpCreate, Record: &wire.CreateRequest{Path: "/a", ACL: znode.OpenACL()}}
	d.r.Propose(&write, d.now, &d.log)
	write.Session = d.id
	d.r.Propose(&write, d.now, &d.log)
	_, after, ok := d.r.Attach(other, password[:], 5000, d.now)
	require.True(t, ok)
	require.Equal(t, d.r.Zxid()-1, after, "others' writes do not count")
	d.r.Synced(d.r.Zxid())
	for range 2 {
		ok, err := d.r.Apply(&d.done)
		require.NoError(t, err)
		require.True(t, ok)
	}
	_, after, ok = d.r.Attach(other, password[:], 5000, d.now)
	require.True(t, ok)
	require.Zero(t, after)
}

func TestRefuseWaitsItsTurn(t *testing.T) {
	d := newDesk(t)
	first := request.Request{Conn: conn, Session: d.id, Xid: 1, Op: wire.OpCreate, Record: &wire.CreateRequest{Path: "/a", ACL: znode.OpenACL(), TTL: -1}}
	d.r.Propose(&first, d.now, &d.log)
	before := d.r.Zxid()
	d.r.Refuse(&request.Request{Conn: conn, Session: d.id, Xid: 2, Op: wire.OpCreate}, znode.CodeSystemError)
	require.Equal(t, before, d.r.Zxid(), "a refusal without a place in the order takes no zxid")
	ok, err := d.r.Apply(&d.done)
	require.NoError(t, err)
	require.False(t, ok, "the answer must not overtake that of the write before")
	d.r.Synced(before)
	_, err = d.r.Apply(&d.done)
	require.NoError(t, err)
	ok, err = d.r.Apply(&d.done)
	require.NoError(t, err)
	require.True(t, ok)
	h, _, _ := d.parse(wire.OpCreate, d.done.Reply)
	require.Equal(t, wire.ReplyHeader{Xid: 2, Err: znode.CodeSystemError}, h)
}

func TestContainersAreSwept(t *testing.T) {
	d := newDesk(t)
	d.create("/used", znode.ModeContainer)
	d.create("/used/x", znode.ModePersistent)
	d.create("/never", znode.ModeContainer)
	d.create("/plain", znode.ModePersistent)
	require.Empty(t, d.passTouched(120_000), "one has a child, the other has not waited long enough")
	d.write(wire.OpDelete, &wire.DeleteRequest{Path: "/used/x", Version: -1})
	require.Equal(t, []string{"/used"}, d.passTouched(60_000))
	require.Equal(t, []string{"/never"}, d.passTouched(300_000))
	require.NotNil(t, d.r.Tree().Node("/plain"))
}

func TestTTLNodesAreSweptAndJumpsOfTheClockRemoveNothing(t *testing.T) {
	d := newDesk(t)
	d.createTTL("/t", 90_000)
	d.now.Wall += 365 * 24 * 3600 * 1000
	require.Empty(t, d.passTouched(85_000), "a year by the wall clock is no time at all")
	d.write(wire.OpSetData, &wire.SetDataRequest{Path: "/t", Version: -1})
	require.Empty(t, d.passTouched(85_000), "setting it starts its time again")
	require.Equal(t, []string{"/t"}, d.passTouched(70_000))
}

func TestSweepIsPaced(t *testing.T) {
	d := newDesk(t)
	for _, p := range []string{"/a", "/b", "/c"} {
		d.create(p, znode.ModeContainer)
		d.create(p+"/x", znode.ModePersistent)
		d.write(wire.OpDelete, &wire.DeleteRequest{Path: p + "/x", Version: -1})
	}
	d.passTouched(59_000)
	require.Equal(t, []string{"/a"}, d.passTouched(1000), "sixty a minute is one a second")
	require.Equal(t, []string{"/b"}, d.passTouched(1000))
	d.create("/c/y", znode.ModePersistent)
	require.Empty(t, d.passTouched(3000), "it is used again since it was queued")
}

func TestSweepWaitsForWhatItHasRemoved(t *testing.T) {
	d := newDesk(t)
	d.create("/a", znode.ModeContainer)
	d.create("/a/x", znode.ModePersistent)
	d.write(wire.OpDelete, &wire.DeleteRequest{Path: "/a/x", Version: -1})
	look := func() []request.Request {
		d.now.Mono += 60_000
		d.r.Touch(d.id, d.now.Mono)
		return d.r.Tick(d.now)
	}
	due := look()
	require.Len(t, due, 1)
	d.r.Propose(&due[0], d.now, &d.log)
	for range 10 {
		require.Empty(t, look(), "it is on its way, however long the disk takes")
	}
	d.r.Synced(d.r.Zxid())
	_, err := d.r.Apply(&d.done)
	require.NoError(t, err)
	d.create("/a", znode.ModeContainer)
	d.create("/a/x", znode.ModePersistent)
	d.write(wire.OpDelete, &wire.DeleteRequest{Path: "/a/x", Version: -1})
	require.Len(t, look(), 1)
}

func TestMultiReadIsBounded(t *testing.T) {
	d := newDesk(t)
	d.write(wire.OpCreate, &wire.CreateRequest{Path: "/big", Data: make([]byte, 1<<20), ACL: znode.OpenACL(), TTL: -1})
	req := &wire.MultiRequest{Read: true}
	for range 66 {
		req.Ops = append(req.Ops, wire.MultiOp{Op: wire.OpGetData, Record: &wire.WatchRequest{Path: "/big"}})
	}
	h, _, _ := d.read(wire.OpMultiRead, req)
	require.Equal(t, znode.CodeMarshallingError, h.Err)
	req.Ops = req.Ops[:3]
	h, _, _ = d.read(wire.OpMultiRead, req)
	require.Zero(t, h.Err)
}

func TestGoesOnFromATree(t *testing.T) {
	d := newDesk(t)
	d.create("/e", znode.ModeEphemeral)
	d.r = d.replica(d.r.Tree())
	require.Empty(t, d.r.Orphans())
	_, closed := d.pass(13_000)
	require.Equal(t, []znode.SessionID{d.id}, closed, "a session in the tree gets its full timeout, and no more")

	load := tree.NewLoader(tree.Options{})
	load.ACL(1, znode.OpenACL())
	for _, img := range []tree.Image{{Path: ""}, {Path: "/zookeeper"}, {Path: "/dead", Stat: znode.StatPersisted{Owner: 77}}} {
		img.ACL = -1
		require.NoError(t, load.Node(img))
	}
	old, err := load.Tree(9)
	require.NoError(t, err)
	d.r = d.replica(old)
	orphans := d.r.Orphans()
	require.Len(t, orphans, 1)
	require.Equal(t, znode.SessionID(77), orphans[0].Session)
	d.mustApply(&orphans[0])
	require.Nil(t, d.r.Tree().Node("/dead"))
	require.Equal(t, znode.Zxid(10), d.r.Zxid())
}

func TestSessionIDsInUseArePassedOver(t *testing.T) {
	d := newDesk(t)
	d.r = d.replica(d.r.Tree()) // a second run that begins in the same millisecond
	q := d.r.NewSession(2, 10_000)
	require.NotEqual(t, d.id, q.Session)
}

func TestWatchesAreBounded(t *testing.T) {
	d := newDesk(t)
	for _, p := range []string{"/1", "/2", "/3", "/4", "/5"} {
		h, _, _ := d.read(wire.OpExists, &wire.WatchRequest{Path: p, Watch: true})
		require.Equal(t, znode.CodeNoNode, h.Err)
	}
	for _, op := range []wire.Op{wire.OpExists, wire.OpGetData, wire.OpGetChildren} {
		h, _, _ := d.read(op, &wire.WatchRequest{Path: "/", Watch: true})
		require.Equal(t, znode.CodeThrottledOp, h.Err, "%v", op)
	}
	h, _, _ := d.read(wire.OpAddWatch, &wire.AddWatchRequest{Path: "/"})
	require.Equal(t, znode.CodeThrottledOp, h.Err)
	h, _, _ = d.read(wire.OpSetWatches, &wire.SetWatchesRequest{Exist: []string{"/6"}})
	require.Equal(t, znode.CodeThrottledOp, h.Err)
	h, _, _ = d.read(wire.OpAddWatch, &wire.AddWatchRequest{Path: "/5"})
	require.Zero(t, h.Err, "another way of watching the same path is not another path")
}
