package workload

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/judge"
)

func TestDrawSwarms(t *testing.T) {
	on := map[Habit]int{}
	for seed := range uint64(200) {
		m := Draw(rand.New(rand.NewPCG(seed, 0)))
		require.Equal(t, m, Draw(rand.New(rand.NewPCG(seed, 0))), "the seed is all there is")
		require.NotEmpty(t, m.String())
		for h, w := range m.Weights {
			if w > 0 {
				on[Habit(h)]++
			}
		}
	}
	for h := range habits {
		if h == Create || h == SetData || h == Delete {
			require.Equal(t, 200, on[h], "%v: a run needs writes", h)
			continue
		}
		require.InDelta(t, 100, on[h], 35, "%v", h)
	}
}

// A desk is a server's side of one client, played by the test.
type desk struct {
	t   *testing.T
	c   *Client
	h   *judge.History
	out []Effect
	now clock.Time
}

func newDesk(t *testing.T, edit func(*Mix)) *desk {
	mix := Mix{Clients: 1, Names: 2, Window: 2, Think: clock.Millisecond, Timeout: 6000}
	mix.Weights[SetData] = 1
	if edit != nil {
		edit(&mix)
	}
	h := judge.NewHistory()
	return &desk{t: t, c: New(3, []int{1, 2}, mix, rand.New(rand.NewPCG(1, 2)), h), h: h}
}

// take is the next effect, which has to be of that kind.
func (d *desk) take(kind EffectKind) Effect {
	d.t.Helper()
	require.NotEmpty(d.t, d.out)
	e := d.out[0]
	d.out = d.out[1:]
	require.Equal(d.t, kind, e.Kind)
	return e
}

func (d *desk) tick(at clock.Time) { d.now = at; d.c.Tick(at, &d.out) }

func (d *desk) receive(conn judge.ConnID, records ...wire.Record) {
	b, start := wire.BeginFrame(nil)
	for _, r := range records {
		b = r.AppendJute(b)
	}
	for _, piece := range wire.EndFrame(b, start) { // byte by byte
		d.c.Receive(d.now, conn, []byte{piece}, &d.out)
	}
}

// head makes a reply header a record.
type head struct{ wire.ReplyHeader }

func (h head) DecodeJute(d *jute.Decoder) { h.ReplyHeader.DecodeJute(d) }

// attach takes the client through the handshake and returns its connection and what it asked for.
func (d *desk) attach(session znode.SessionID) (judge.ConnID, wire.ConnectRequest) {
	d.t.Helper()
	dial := d.take(Dial)
	d.c.Connected(d.now, dial.Conn, &d.out)
	dec := jute.NewDecoder(d.take(Send).Bytes[4:])
	var q wire.ConnectRequest
	q.DecodeJute(&dec)
	require.NoError(d.t, dec.Err())
	d.receive(dial.Conn, &wire.ConnectResponse{Session: session, Timeout: 6000, Password: make([]byte, wire.PasswordLen)})
	return dial.Conn, q
}

func (d *desk) request() wire.RequestHeader {
	d.t.Helper()
	dec := jute.NewDecoder(d.take(Send).Bytes[4:])
	var h wire.RequestHeader
	h.DecodeJute(&dec)
	return h
}

// Two requests under way and no third, answers in turn, what a reply showed carried over to the next connection.
func TestConversation(t *testing.T) {
	d := newDesk(t, nil)
	d.tick(0)
	conn, q := d.attach(77)
	require.Zero(t, q.Session)
	d.tick(clock.Second)
	d.tick(clock.Second + clock.Second/2)
	require.Equal(t, wire.RequestHeader{Xid: 1, Op: wire.OpSetData}, d.request())
	require.Equal(t, wire.RequestHeader{Xid: 2, Op: wire.OpSetData}, d.request())
	d.tick(clock.Second + clock.Second*3/4)
	require.Empty(t, d.out, "the window is full")
	d.receive(conn, head{wire.ReplyHeader{Xid: 1, Zxid: 9, Err: znode.CodeNoNode}})
	d.receive(conn, head{wire.ReplyHeader{Xid: 2, Zxid: 10}}, &wire.StatResponse{Stat: znode.Stat{Version: 4}})
	require.Equal(t, znode.CodeNoNode, d.h.Ops[0].Err)
	require.True(t, d.h.Ops[1].Done())
	require.Equal(t, int32(4), d.h.Ops[1].Response.(*wire.StatResponse).Stat.Version)

	d.c.Quiet()
	d.tick(d.c.Next())
	require.Equal(t, wire.RequestHeader{Xid: wire.XidPing, Op: wire.OpPing}, d.request())
	d.tick(d.c.Next())
	require.Equal(t, wire.OpPing, d.request().Op)
	require.False(t, d.h.Ops[2].Returned.Happened())
	for d.c.conn != noConn { // nobody answers: it gives up
		d.tick(d.c.Next())
	}
	require.Equal(t, conn, d.out[len(d.out)-1].Conn)
	d.out = nil
	d.tick(d.c.Next())
	_, q = d.attach(77)
	require.Equal(t, znode.SessionID(77), q.Session)
	require.Equal(t, znode.Zxid(10), q.LastZxidSeen)
	require.Len(t, d.h.Conns, 2)
	require.NotEqual(t, d.h.Conns[0].Server, d.h.Conns[1].Server)
	require.True(t, d.h.Conns[0].Ended.Happened())
}

func TestWatchesComeBack(t *testing.T) {
	d := newDesk(t, func(m *Mix) { m.Weights = [habits]int{Exists: 1}; m.Watch, m.Names = 1, 1; m.Window = 1 })
	d.tick(0)
	conn, _ := d.attach(77)
	for zxid := znode.Zxid(5); ; zxid++ {
		d.tick(d.now + clock.Second)
		d.request()
		o := &d.h.Ops[len(d.h.Ops)-1]
		d.receive(conn, head{wire.ReplyHeader{Xid: o.Xid, Zxid: zxid, Err: znode.CodeNoNode}})
		if len(d.c.tells.exist) == 3 {
			break
		}
	}
	gone := sorted(d.c.tells.exist)[0]
	d.receive(conn, head{wire.ReplyHeader{Xid: wire.XidNotification, Zxid: 1000}}, &wire.WatcherEvent{Type: znode.EventCreated, State: 3, Path: gone})
	d.out = nil
	d.c.Disconnected(d.now, conn, &d.out)
	d.tick(d.c.Next())
	d.attach(77)
	require.Equal(t, wire.OpSetWatches, d.request().Op)
	q := d.h.Ops[len(d.h.Ops)-1].Request.(*wire.SetWatchesRequest)
	require.Len(t, q.Exist, 2)
	require.NotContains(t, q.Exist, gone)
	require.Less(t, q.RelativeZxid, znode.Zxid(1000), "events do not count as seen")
	require.False(t, d.c.Idle())
}

func TestNonsenseEndsAConnection(t *testing.T) {
	for name, answer := range map[string]wire.ReplyHeader{
		"another's turn": {Xid: 9, Zxid: 3}, "a ping nobody sent": {Xid: wire.XidPing, Zxid: 3}, "no body": {Xid: 1, Zxid: 3},
	} {
		d := newDesk(t, nil)
		d.tick(0)
		conn, _ := d.attach(77)
		d.tick(clock.Second)
		d.request()
		d.receive(conn, head{answer})
		d.take(Close)
		require.Len(t, d.h.Strays, 1, name)
	}
}

func TestExpiredSessionIsForgotten(t *testing.T) {
	d := newDesk(t, nil)
	d.tick(0)
	conn, _ := d.attach(77)
	d.c.Disconnected(d.now, conn, &d.out)
	d.tick(d.c.Next())
	_, q := d.attach(0)
	require.Equal(t, znode.SessionID(77), q.Session)
	d.take(Close)
	d.tick(d.c.Next())
	_, q = d.attach(78)
	require.Zero(t, q.Session)
}

func TestLeave(t *testing.T) {
	d := newDesk(t, nil)
	d.tick(0)
	conn, _ := d.attach(77)
	d.c.Leave()
	d.tick(d.c.Next())
	require.Equal(t, wire.OpCloseSession, d.request().Op)
	d.receive(conn, head{wire.ReplyHeader{Xid: 1, Zxid: 3}})
	d.take(Close)
	require.True(t, d.c.Idle())
	require.Equal(t, clock.Never, d.c.Next())
}

// Every wish can be made, and a wish on the wire is the record the history has.
func TestWishes(t *testing.T) {
	for h := range habits {
		d := newDesk(t, nil)
		d.c.knows.extra = []string{"/k0/s-0000000001"}
		for range 200 {
			op, rec := d.c.wish(h)
			if rec == nil {
				continue
			}
			again := wire.NewRequest(op)
			dec := jute.NewDecoder(rec.AppendJute(nil))
			again.DecodeJute(&dec)
			require.NoError(t, dec.Err())
			require.Equal(t, rec, again, "%v", h)
		}
	}
}
