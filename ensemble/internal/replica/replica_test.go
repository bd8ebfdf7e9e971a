package replica_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/auth"
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/session"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const wall = 1_700_000_000_000

// desk is a replica that stands alone, with somebody who hands it requests and time, one after the other, and carries out what it wants.
type desk struct {
	*testing.T
	r     *replica.Replica
	now   replica.Time
	space space
	log   []replica.Record // everything that was given to the log
	owed  []replica.DiskOp // of that, what is not on disk yet
	conn  request.ConnID
	id    znode.SessionID // which conn speaks for
	xid   int32
	done  replica.Applied

	greeted         map[request.ConnID]wire.ConnectResponse
	refused, closed []request.ConnID
}

// space is a log that has as much of it as it is told.
type space struct {
	err   error
	taken int64
}

func (s *space) Reserve(bytes int64) error {
	if s.err == nil {
		s.taken += bytes
	}
	return s.err
}

func (s *space) Release(bytes int64) { s.taken -= bytes }

func newDesk(t *testing.T) *desk {
	d := &desk{T: t, now: replica.Time{Mono: 0, Wall: wall}, conn: 1, greeted: make(map[request.ConnID]wire.ConnectResponse)}
	d.r = d.replica(tree.New(tree.Options{Extended: true}))
	resp := d.mustOpen(d.conn, 10_000)
	require.Equal(t, int32(10_000), resp.Timeout)
	d.id = resp.Session
	return d
}

func (d *desk) replica(t *tree.Tree) *replica.Replica {
	reg, err := auth.New(auth.Config{})
	require.NoError(d, err)
	return replica.New(replica.Config{
		ServerID: 1, Tick: 1000, MinTimeout: 2000, MaxTimeout: 20_000, Auth: reg, MaxWatches: 5, Space: &d.space,
		Sweep: replica.Sweep{Interval: 60_000, PerMinute: 60, MaxNeverUsed: 300_000},
	}, replica.Boot{Tree: t}, d.now)
}

// take notes what the replica wants done.
func (d *desk) take() {
	d.Helper()
	rd := d.r.Ready()
	require.Empty(d, rd.Votes)
	require.Empty(d, rd.Links)
	for _, op := range rd.Disk {
		require.Equal(d, replica.DiskAppend, op.Kind, "there is nothing else to write for who stands alone")
		for _, rec := range op.Records.List {
			op.Zxid = rec.Zxid
			d.log = append(d.log, replica.Record{Zxid: rec.Zxid, Payload: bytes.Clone(rec.Payload)})
		}
		d.owed = append(d.owed, op)
	}
	for _, op := range rd.Clients {
		switch op.Kind {
		case replica.ClientGreet:
			d.greeted[op.Conn] = op.Response
		case replica.ClientRefuse:
			d.refused = append(d.refused, op.Conn)
		case replica.ClientClose:
			d.closed = append(d.closed, op.Conn)
		}
	}
	rd.Reset()
}

// sync says that everything given to the log is on disk.
func (d *desk) sync() {
	d.Helper()
	for i := range d.owed {
		d.r.Written(&d.owed[i], nil, d.now)
	}
	d.owed = d.owed[:0]
}

// apply applies one transaction if there is one.
func (d *desk) apply() bool {
	d.Helper()
	ok, err := d.r.Apply(&d.done, d.now)
	require.NoError(d, err)
	d.r.Proceed(d.now)
	d.take()
	return ok
}

// mustApply applies what was just submitted, on disk first.
func (d *desk) mustApply() *replica.Applied {
	d.Helper()
	d.take()
	require.False(d, d.apply(), "nothing is applied before it is on disk")
	d.sync()
	require.True(d, d.apply())
	return &d.done
}

func (d *desk) submit(q request.Request) {
	d.r.Submit([]request.Request{q}, d.now)
}

func (d *desk) connect(conn request.ConnID, req wire.ConnectRequest) {
	d.Helper()
	d.r.Connect(conn, &req, d.now)
	d.r.Proceed(d.now)
	d.take()
}

// mustOpen opens a session on a connection.
func (d *desk) mustOpen(conn request.ConnID, timeout int32) wire.ConnectResponse {
	d.Helper()
	d.connect(conn, wire.ConnectRequest{Timeout: timeout})
	require.NotContains(d, d.greeted, conn, "a session is not before its transaction is applied")
	require.Equal(d, wire.OpCreateSession, d.mustApply().Type)
	require.Contains(d, d.greeted, conn)
	resp := d.greeted[conn]
	require.Equal(d, session.Password(resp.Session), [wire.PasswordLen]byte(resp.Password))
	return resp
}

// mustAttach gives the session of an earlier connection to a new one.
func (d *desk) mustAttach(conn request.ConnID, id znode.SessionID, timeout int32) wire.ConnectResponse {
	d.Helper()
	password := session.Password(id)
	d.connect(conn, wire.ConnectRequest{Session: id, Password: password[:], Timeout: timeout})
	require.Contains(d, d.greeted, conn)
	require.Equal(d, id, d.greeted[conn].Session)
	return d.greeted[conn]
}

// mustNotAttach is told that there is no such session.
func (d *desk) mustNotAttach(conn request.ConnID, id znode.SessionID, password []byte) {
	d.Helper()
	d.connect(conn, wire.ConnectRequest{Session: id, Password: password, Timeout: 5000})
	require.Equal(d, wire.ConnectResponse{Password: make([]byte, wire.PasswordLen)}, d.greeted[conn])
}

func (d *desk) write(op wire.Op, rec wire.Record) *replica.Applied {
	d.Helper()
	d.xid++
	d.submit(request.Request{Conn: d.conn, Session: d.id, Xid: d.xid, Op: op, Record: rec})
	return d.mustApply()
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
	q := &request.Request{Conn: d.conn, Session: d.id, Xid: d.xid, Op: op}
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
		d.r.Tick(d.now)
		d.take()
		d.sync()
		for d.apply() {
			switch d.done.Type {
			case wire.OpDeleteContainer:
				removed = append(removed, d.logged(d.done.Zxid).Body.(*txn.Delete).Path)
			case wire.OpCloseSession:
				closed = append(closed, d.done.Session)
			}
		}
	}
	return removed, closed
}

// logged is a transaction as the log has it.
func (d *desk) logged(zxid znode.Zxid) txn.Txn {
	d.Helper()
	for _, rec := range d.log {
		if rec.Zxid == zxid {
			x, err := txn.Decode(rec.Payload)
			require.NoError(d, err)
			return x
		}
	}
	require.Fail(d, "not in the log", "%v", zxid)
	return txn.Txn{}
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

	require.Equal(t, znode.Zxid(3), d.log[len(d.log)-1].Zxid)
	require.Equal(t, wire.OpError, d.logged(3).Type)
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
	d.r.Gone(d.conn, d.now)
	d.conn++
	d.mustAttach(d.conn, d.id, 10_000)
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
		h, _, _ := d.parse(c.op, d.r.Answer(nil, &request.Request{Conn: d.conn, Session: d.id, Xid: 5, Op: c.op, Body: c.body}))
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
	require.Equal(t, []request.ConnID{d.conn}, d.closed, "and so does its connection")
	password := session.Password(d.id)
	d.mustNotAttach(2, d.id, password[:])
}

func TestAttach(t *testing.T) {
	d := newDesk(t)
	resp := d.mustOpen(2, 1)
	require.Equal(t, int32(2000), resp.Timeout, "negotiated up")
	d.mustNotAttach(3, resp.Session, make([]byte, wire.PasswordLen))
	require.Equal(t, []request.ConnID{2}, d.closed, "whoever spoke for it is cut off before the password is looked at")
	require.Equal(t, int32(20_000), d.mustAttach(4, resp.Session, 100_000).Timeout)
	require.Equal(t, []request.ConnID{2}, d.closed, "nobody spoke for it")
	d.mustAttach(5, resp.Session, 5000)
	require.Equal(t, []request.ConnID{2, 4}, d.closed)
}

func TestNothingIsTakenFromAConnectionThatWasCut(t *testing.T) {
	d := newDesk(t)
	d.mustAttach(2, d.id, 10_000)
	d.submit(request.Request{Conn: 1, Session: d.id, Xid: 1, Op: wire.OpCreate, Record: &wire.CreateRequest{Path: "/a", ACL: znode.OpenACL(), TTL: -1}})
	d.take()
	require.Empty(t, d.owed)
	require.Equal(t, []request.ConnID{1}, d.closed)
}

func TestAttachComesAfterTheSessionsWrites(t *testing.T) {
	d := newDesk(t)
	other := d.mustOpen(2, 5000).Session
	write := request.Request{Conn: 2, Session: other, Op: wire.OpCreate, Record: &wire.CreateRequest{Path: "/a", ACL: znode.OpenACL(), TTL: -1}}
	d.submit(write)
	write.Conn, write.Session = d.conn, d.id
	d.submit(write)
	password := session.Password(other)
	d.connect(3, wire.ConnectRequest{Session: other, Password: password[:], Timeout: 5000})
	require.NotContains(t, d.greeted, request.ConnID(3))
	d.sync()
	require.True(t, d.apply())
	require.Equal(t, other, d.done.Session)
	require.Equal(t, other, d.greeted[3].Session, "others' writes do not count")
	require.True(t, d.apply())
	require.Equal(t, d.conn, d.done.Conn)
	d.mustAttach(4, other, 5000)
}

func TestOneHandshakeCutsAnother(t *testing.T) {
	d := newDesk(t)
	d.submit(request.Request{Conn: d.conn, Session: d.id, Op: wire.OpCreate, Record: &wire.CreateRequest{Path: "/a", ACL: znode.OpenACL(), TTL: -1}})
	password := session.Password(d.id)
	for conn := request.ConnID(2); conn <= 3; conn++ {
		d.connect(conn, wire.ConnectRequest{Session: d.id, Password: password[:], Timeout: 5000})
	}
	require.Equal(t, []request.ConnID{1, 2}, d.closed)
	d.sync()
	require.True(t, d.apply())
	require.NotContains(t, d.greeted, request.ConnID(2), "it has been closed before it was answered")
	require.Equal(t, d.id, d.greeted[3].Session)
}

func TestRefusalsWaitTheirTurn(t *testing.T) {
	d := newDesk(t)
	write := func(xid int32) request.Request {
		return request.Request{Conn: d.conn, Session: d.id, Xid: xid, Op: wire.OpCreate, Record: &wire.CreateRequest{Path: "/a", ACL: znode.OpenACL(), TTL: -1}}
	}
	d.submit(write(1))
	before := d.r.Zxid()
	d.space.err = errors.New("full")
	d.submit(write(2))
	d.connect(2, wire.ConnectRequest{Timeout: 5000})
	require.ErrorIs(t, d.r.Full(), d.space.err)
	require.Equal(t, before, d.r.Zxid(), "a refusal without a place in the order takes no zxid")
	require.False(t, d.r.Applicable())
	require.False(t, d.apply(), "the answer must not overtake that of the write before")
	require.Empty(t, d.refused)
	d.sync()
	require.True(t, d.r.Applicable())
	require.True(t, d.apply())
	require.Equal(t, before, d.done.Zxid)
	require.True(t, d.apply())
	h, _, _ := d.parse(wire.OpCreate, d.done.Reply)
	require.Equal(t, wire.ReplyHeader{Xid: 2, Err: znode.CodeSystemError}, h)
	require.True(t, d.apply())
	require.Zero(t, d.done.Conn)
	require.Equal(t, []request.ConnID{2}, d.refused, "a session is a write too")
	require.False(t, d.apply())
}

func TestFullDisk(t *testing.T) {
	d := newDesk(t)
	d.create("/e", znode.ModeEphemeral)
	d.space.err = errors.New("full")
	_, closed := d.pass(60_000)
	require.Empty(t, closed, "what time makes due waits for space")
	d.submit(request.Request{Conn: d.conn, Session: d.id, Xid: 7, Op: wire.OpSync, Record: &wire.SyncRequest{Path: []byte("/e")}})
	require.True(t, d.apply())
	h, _, _ := d.parse(wire.OpSync, d.done.Reply)
	require.Equal(t, wire.ReplyHeader{Xid: 7, Zxid: 2}, h, "a sync needs none")
	d.space.err = nil
	_, closed = d.pass(20_000)
	require.Equal(t, []znode.SessionID{d.id}, closed)
	var used int64
	for _, rec := range d.log {
		used += int64(len(rec.Payload)) + 16
	}
	require.Equal(t, used, d.space.taken, "what was reserved and not used was given back")
}

func TestSyncWaitsItsTurn(t *testing.T) {
	d := newDesk(t)
	sync := request.Request{Conn: d.conn, Session: d.id, Xid: 9, Op: wire.OpSync, Record: &wire.SyncRequest{Path: []byte("/s")}}
	answered := func() {
		t.Helper()
		require.True(t, d.apply())
		h, rec, _ := d.parse(wire.OpSync, d.done.Reply)
		require.Equal(t, wire.ReplyHeader{Xid: 9, Zxid: d.r.Tree().Zxid()}, h)
		require.Equal(t, "/s", string(rec.(*wire.SyncRequest).Path))
		require.Equal(t, d.conn, d.done.Conn)
	}
	d.submit(sync)
	require.True(t, d.r.Applicable())
	answered()
	d.submit(request.Request{Conn: d.conn, Session: d.id, Xid: 1, Op: wire.OpCreate, Record: &wire.CreateRequest{Path: "/a", ACL: znode.OpenACL(), TTL: -1}})
	d.submit(sync)
	d.take()
	require.Len(t, d.owed, 1, "a sync takes no zxid")
	require.False(t, d.apply(), "not before the write before it")
	d.sync()
	require.True(t, d.apply())
	require.Equal(t, wire.OpCreate, d.done.Type)
	answered()
	require.False(t, d.apply())
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

// The last Tick may be long ago when a node is made: its time does not begin there.
func TestTimeToLiveBeginsWithTheNode(t *testing.T) {
	d := newDesk(t)
	d.now.Mono += 900
	d.createTTL("/t", 59_500)
	require.Empty(t, d.passTouched(60_000))
	require.Equal(t, []string{"/t"}, d.passTouched(60_000))
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
	look := func() (removals int) {
		d.now.Mono += 60_000
		d.r.Touch(d.id, d.now.Mono)
		before := len(d.log)
		d.r.Tick(d.now)
		d.take()
		for _, rec := range d.log[before:] {
			require.Equal(t, wire.OpDeleteContainer, d.logged(rec.Zxid).Type)
			removals++
		}
		return removals
	}
	require.Equal(t, 1, look())
	for range 10 {
		require.Zero(t, look(), "it is on its way, however long the disk takes")
	}
	d.sync()
	require.True(t, d.apply())
	d.create("/a", znode.ModeContainer)
	d.create("/a/x", znode.ModePersistent)
	d.write(wire.OpDelete, &wire.DeleteRequest{Path: "/a/x", Version: -1})
	require.Equal(t, 1, look())
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
	_, closed := d.pass(9000)
	require.Empty(t, closed)
	_, closed = d.pass(4000)
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
	_, closed = d.pass(1000)
	require.Equal(t, []znode.SessionID{77}, closed, "left over from a crash")
	require.Nil(t, d.r.Tree().Node("/dead"))
	require.Equal(t, znode.Zxid(10), d.r.Zxid())
}

func TestSessionIDsInUseArePassedOver(t *testing.T) {
	d := newDesk(t)
	d.r = d.replica(d.r.Tree()) // a second run that begins in the same millisecond
	require.NotEqual(t, d.id, d.mustOpen(2, 10_000).Session)
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
