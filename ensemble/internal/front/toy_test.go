package front_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/ensemble/internal/front"
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// toy is a small server of one level of nodes: getData and setData (which creates), one-shot data watches, sessions that are
// never checked. Writes are applied when the test says so, or with auto by a goroutine as they come.
type toy struct {
	mu      sync.RWMutex // the tree
	data    map[string][]byte
	zxid    znode.Zxid
	watchMu sync.Mutex
	watches map[string][]request.ConnID

	in       sync.Mutex // what follows
	auto     chan struct{}
	eager    bool // writes are applied before Submit returns
	waiting  []request.Request
	conns    map[request.ConnID]*front.Conn
	gone     map[request.ConnID]int
	sessions int64
	answer   func(*wire.ConnectRequest) (wire.ConnectResponse, bool) // nil: a new session, or the old one again
	hang     bool                                                    // Connect waits until its connection ends
	onAnswer func(*request.Request)
}

func newToy() *toy {
	return &toy{data: map[string][]byte{}, watches: map[string][]request.ConnID{}, conns: map[request.ConnID]*front.Conn{},
		gone: map[request.ConnID]int{}}
}

func (b *toy) RLock()           { b.mu.RLock() }
func (b *toy) RUnlock()         { b.mu.RUnlock() }
func (b *toy) Zxid() znode.Zxid { return b.zxid }

func (b *toy) Connect(ctx context.Context, c *front.Conn, r *wire.ConnectRequest) (wire.ConnectResponse, bool) {
	b.in.Lock()
	defer b.in.Unlock()
	b.conns[c.ID()] = c
	if b.hang {
		<-ctx.Done()
		return wire.ConnectResponse{}, false
	}
	if b.answer != nil {
		return b.answer(r)
	}
	if r.Session == 0 {
		b.sessions++
		r.Session = znode.SessionID(b.sessions)
	}
	return wire.ConnectResponse{Timeout: r.Timeout, Session: r.Session, Password: make([]byte, 16)}, true
}

func (b *toy) Disconnected(c *front.Conn) {
	b.in.Lock()
	defer b.in.Unlock()
	delete(b.conns, c.ID())
	b.gone[c.ID()]++
}

func (b *toy) Submit(_ *front.Conn, batch []request.Request) {
	b.in.Lock()
	b.waiting = append(b.waiting, batch...)
	eager := b.eager
	b.in.Unlock()
	if eager {
		b.commit(len(batch))
	}
	if b.auto != nil {
		select {
		case b.auto <- struct{}{}:
		default:
		}
	}
}

func (b *toy) Command(c *front.Conn, word string, arg int64) string {
	switch word {
	case "ruok":
		return "imok"
	case "stmk":
		return time.Duration(arg).String()
	case "wchp":
		return string(make([]byte, 1<<20))
	}
	return word + " is not executed because it is not in the whitelist.\n"
}

func (b *toy) Answer(out []byte, r *request.Request) []byte {
	if b.onAnswer != nil {
		b.onAnswer(r)
	}
	d := jute.NewDecoder(r.Body)
	reply := wire.ReplyHeader{Xid: r.Xid, Zxid: b.zxid}
	switch r.Op {
	case wire.OpGetData:
		var q wire.WatchRequest
		q.DecodeJute(&d)
		value, ok := b.data[q.Path]
		switch {
		case d.Err() != nil:
			reply.Err = znode.CodeMarshallingError
			return wire.AppendErrorFrame(out, reply)
		case !ok:
			reply.Err = znode.CodeNoNode
			return wire.AppendErrorFrame(out, reply)
		}
		if q.Watch {
			b.watchMu.Lock()
			b.watches[q.Path] = append(b.watches[q.Path], r.Conn)
			b.watchMu.Unlock()
		}
		out, start := wire.BeginFrame(out)
		out = (&wire.DataResponse{Data: value}).AppendJute(reply.AppendJute(out))
		return wire.EndFrame(out, start)
	case wire.OpWhoAmI:
		out, start := wire.BeginFrame(out)
		out = (&wire.WhoAmIResponse{IDs: r.IDs}).AppendJute(reply.AppendJute(out))
		return wire.EndFrame(out, start)
	}
	return wire.AppendErrorFrame(out, reply)
}

// pending is how many writes wait.
func (b *toy) pending() int {
	b.in.Lock()
	defer b.in.Unlock()
	return len(b.waiting)
}

// commit applies n of the waiting writes as one batch.
func (b *toy) commit(n int) {
	b.in.Lock()
	batch := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	b.in.Unlock()
	var wake []*front.Conn
	b.mu.Lock()
	for i := range batch {
		wake = b.apply(&batch[i], wake)
	}
	b.mu.Unlock()
	for _, c := range wake {
		c.Wake()
	}
}

func (b *toy) apply(r *request.Request, wake []*front.Conn) []*front.Conn {
	b.zxid++
	tell := func(id request.ConnID, how func(*front.Conn) bool) {
		b.in.Lock()
		c := b.conns[id]
		b.in.Unlock()
		if c != nil && how(c) {
			wake = append(wake, c)
		}
	}
	if r.Op == wire.OpSetData {
		q := r.Record.(*wire.SetDataRequest)
		b.data[q.Path] = q.Data
		for _, id := range b.watches[q.Path] {
			tell(id, func(c *front.Conn) bool {
				return c.Notify(wire.AppendNotification(nil, b.zxid, znode.EventDataChanged, q.Path))
			})
		}
		delete(b.watches, q.Path)
	}
	reply := wire.AppendErrorFrame(nil, wire.ReplyHeader{Xid: r.Xid, Zxid: b.zxid})
	tell(r.Conn, func(c *front.Conn) bool { return c.Complete(reply) })
	return wake
}

// run commits what comes until stop is closed.
func (b *toy) run(stop <-chan struct{}) {
	for {
		select {
		case <-b.auto:
			b.commit(b.pending())
		case <-stop:
			return
		}
	}
}

// register is an Authenticator: a connection is its address, "digest" adds data as a name, anything else fails.
type register struct{ required string }

func (r register) Initial(remote netip.Addr) []znode.ID {
	return []znode.ID{{Scheme: "ip", Name: remote.String()}}
}

func (r register) Authenticate(scheme string, data []byte, _ netip.Addr, have []znode.ID) ([]znode.ID, znode.Code) {
	if scheme != "digest" {
		return have, znode.CodeAuthFailed
	}
	return append(have[:len(have):len(have)], znode.ID{Scheme: scheme, Name: string(data)}), znode.CodeOK
}

func (r register) SASL([]byte) ([]byte, znode.Code) { return nil, znode.CodeOK }

func (r register) Admits(ids []znode.ID) bool {
	if r.required == "" {
		return true
	}
	for _, id := range ids {
		if id.Scheme == r.required {
			return true
		}
	}
	return false
}

// house is a Server over memory with its toy.
type house struct {
	t       testing.TB
	network memnet.Network
	server  *front.Server
	backend *toy
	addr    string
}

// serve starts a Server; it is closed at the end of the test.
func serve(t testing.TB, o front.Options) *house { return serveFor(t, o, register{}) }

func serveFor(t testing.TB, o front.Options, a front.Authenticator) *house {
	t.Helper()
	h := &house{t: t, backend: newToy()}
	l, err := h.network.Listen("127.0.0.1:0")
	require.NoError(t, err)
	h.addr = l.Addr().String()
	h.server = front.New(h.backend, a, o)
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(l) }() // ends with Close
	t.Cleanup(func() {
		h.server.Close()
		require.NoError(t, <-served)
		for id, n := range h.backend.gone {
			require.Equal(t, 1, n, "connection %d went away %d times", id, n)
		}
		require.Empty(t, h.backend.conns)
		require.Zero(t, h.server.Totals().Outstanding, "outstanding requests of nobody")
	})
	return h
}

// commitAlways applies writes as they come.
func (h *house) commitAlways() {
	stop, done := make(chan struct{}), make(chan struct{})
	h.backend.auto = make(chan struct{}, 1)
	go func() { // ends with the test
		defer close(done)
		h.backend.run(stop)
	}()
	h.t.Cleanup(func() { close(stop); <-done })
}

// dial connects and says nothing.
func (h *house) dial() *client { return h.dialFrom("10.0.0.1") }

func (h *house) dialFrom(host string) *client {
	h.t.Helper()
	nc, err := h.network.DialFrom(h.t.Context(), host, h.addr)
	require.NoError(h.t, err)
	return newClient(h.t, nc)
}

// join connects and opens a session of 10 s.
func (h *house) join() *client {
	h.t.Helper()
	c := h.dial()
	c.handshake(&wire.ConnectRequest{Timeout: 10_000})
	return c
}

// client is the other end of a connection.
type client struct {
	net.Conn
	t testing.TB
}

func newClient(t testing.TB, nc net.Conn) *client {
	t.Cleanup(func() { _ = nc.Close() })
	return &client{Conn: nc, t: t}
}

func (c *client) handshake(r *wire.ConnectRequest) wire.ConnectResponse {
	c.t.Helper()
	b, start := wire.BeginFrame(nil)
	c.send(wire.EndFrame(r.AppendJute(b), start))
	var resp wire.ConnectResponse
	d := jute.NewDecoder(c.frame())
	resp.DecodeJute(&d)
	require.NoError(c.t, d.Err())
	return resp
}

func (c *client) send(b []byte) {
	c.t.Helper()
	_, err := c.Write(b)
	require.NoError(c.t, err)
}

// frame receives a frame.
func (c *client) frame() []byte {
	c.t.Helper()
	var head [4]byte
	_, err := io.ReadFull(c, head[:])
	require.NoError(c.t, err)
	d := jute.NewDecoder(head[:])
	body := make([]byte, d.Int32())
	_, err = io.ReadFull(c, body)
	require.NoError(c.t, err)
	return body
}

// reply receives a reply or an event.
func (c *client) reply() (wire.ReplyHeader, jute.Decoder) {
	c.t.Helper()
	d := jute.NewDecoder(c.frame())
	var h wire.ReplyHeader
	h.DecodeJute(&d)
	require.NoError(c.t, d.Err())
	return h, d
}

// mustGet receives the answer to a getData.
func (c *client) mustGet(xid int32, want string) {
	c.t.Helper()
	h, d := c.reply()
	require.Equal(c.t, xid, h.Xid)
	require.Equal(c.t, znode.CodeOK, h.Err)
	var data wire.DataResponse
	data.DecodeJute(&d)
	require.NoError(c.t, d.Err())
	require.Equal(c.t, want, string(data.Data))
}

// mustReply receives an answer that is only a header.
func (c *client) mustReply(want wire.ReplyHeader) {
	c.t.Helper()
	h, d := c.reply()
	require.Equal(c.t, want, h)
	require.Zero(c.t, d.Len())
}

// mustEnd receives the end of the stream, and nothing before it.
func (c *client) mustEnd() {
	c.t.Helper()
	n, err := c.Read(make([]byte, 1))
	require.Zero(c.t, n, "something came before the end")
	require.Error(c.t, err)
	var timeout net.Error
	require.False(c.t, errors.As(err, &timeout) && timeout.Timeout(), "still open: %v", err)
}

// mustWait receives nothing for a while.
func (c *client) mustWait() {
	c.t.Helper()
	require.NoError(c.t, c.SetReadDeadline(time.Now().Add(time.Millisecond)))
	n, err := c.Read(make([]byte, 1))
	require.Zero(c.t, n)
	var timeout net.Error
	require.True(c.t, errors.As(err, &timeout) && timeout.Timeout(), "got %v", err)
	require.NoError(c.t, c.SetReadDeadline(time.Time{}))
}

// ask is the frame of a request; record nil for none.
func ask(b []byte, xid int32, op wire.Op, record wire.Record) []byte {
	b, start := wire.BeginFrame(b)
	b = wire.RequestHeader{Xid: xid, Op: op}.AppendJute(b)
	if record != nil {
		b = record.AppendJute(b)
	}
	return wire.EndFrame(b, start)
}

func get(xid int32, path string) []byte {
	return ask(nil, xid, wire.OpGetData, &wire.WatchRequest{Path: path})
}

func set(xid int32, path, value string) []byte {
	return ask(nil, xid, wire.OpSetData, &wire.SetDataRequest{Path: path, Data: []byte(value), Version: -1})
}

func ping() []byte { return ask(nil, wire.XidPing, wire.OpPing, nil) }
