package rawclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A script plays the server's side of a net.Pipe.
type script struct {
	t    *testing.T
	conn net.Conn
	hail wire.ConnectRequest
}

type dialFunc func() (net.Conn, error)

func (f dialFunc) DialContext(context.Context, string, string) (net.Conn, error) { return f() }

// serve starts play on the far end of the pipe that the returned network dials; the test ends when play has.
func serve(t *testing.T, play func(*script)) rawclient.Dialer {
	return dialFunc(func() (net.Conn, error) {
		near, far := net.Pipe()
		done := make(chan struct{})
		go func() { // ends with play, for which the cleanup waits
			defer close(done)
			defer far.Close()
			play(&script{t: t, conn: far})
		}()
		t.Cleanup(func() { near.Close(); <-done })
		return near, nil
	})
}

func (s *script) readFrame() ([]byte, bool) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(s.conn, head); err != nil {
		return nil, false
	}
	d := jute.NewDecoder(head)
	body := make([]byte, d.Int32())
	_, err := io.ReadFull(s.conn, body)
	return body, err == nil
}

// accept answers the handshake with a session of timeout milliseconds, 0 refuses it.
func (s *script) accept(timeout int32) {
	b, ok := s.readFrame()
	if !ok {
		return
	}
	d := jute.NewDecoder(b)
	s.hail.DecodeJute(&d)
	id := znode.SessionID(0x1234)
	if timeout == 0 {
		id = 0
	}
	s.frame(&wire.ConnectResponse{Timeout: timeout, Session: id, Password: []byte("0123456789abcdef"), Legacy: s.hail.Legacy})
}

// request reads one request's header, zero once the client has gone.
func (s *script) request() wire.RequestHeader {
	var h wire.RequestHeader
	if b, ok := s.readFrame(); ok {
		d := jute.NewDecoder(b)
		h.DecodeJute(&d)
	}
	return h
}

func (s *script) frame(records ...interface{ AppendJute([]byte) []byte }) {
	b, start := wire.BeginFrame(nil)
	for _, r := range records {
		b = r.AppendJute(b)
	}
	_, _ = s.conn.Write(wire.EndFrame(b, start))
}

func (s *script) event(zxid znode.Zxid, path string) {
	_, _ = s.conn.Write(wire.AppendNotification(nil, zxid, znode.EventDataChanged, path))
}

func mustDial(t *testing.T, o rawclient.Options) *rawclient.Conn {
	t.Helper()
	o.Addr = "server"
	c, err := rawclient.Dial(t.Context(), o)
	require.NoError(t, err)
	return c
}

func TestHandshakeSaysWhatIsAsked(t *testing.T) {
	for _, o := range []rawclient.Options{
		{},
		{Timeout: 3 * time.Second, LastZxid: 7, ReadOnly: true},
		{Session: 5, Password: []byte("fedcba9876543210"), Legacy: true},
	} {
		hail := make(chan wire.ConnectRequest, 1)
		o.Network = serve(t, func(s *script) { s.accept(4000); hail <- s.hail })
		c := mustDial(t, o)
		got := <-hail
		require.Equal(t, o.LastZxid, got.LastZxidSeen)
		require.Equal(t, o.Session, got.Session)
		require.Equal(t, o.ReadOnly, got.ReadOnly)
		require.Equal(t, o.Legacy, got.Legacy)
		require.Len(t, got.Password, wire.PasswordLen)
		if o.Timeout == 0 {
			require.EqualValues(t, 10_000, got.Timeout)
		} else {
			require.EqualValues(t, o.Timeout.Milliseconds(), got.Timeout)
		}
		require.Equal(t, znode.SessionID(0x1234), c.Session())
		require.Equal(t, 4*time.Second, c.Timeout())
		require.Equal(t, "0123456789abcdef", string(c.Password()))
		require.Equal(t, o.Legacy, c.Handshake().Legacy)
		require.NoError(t, c.Close())
	}
}

func TestDialTellsRefusals(t *testing.T) {
	refused := errors.New("refused")
	for name, c := range map[string]struct {
		network rawclient.Dialer
		want    error
	}{
		"no server":         {dialFunc(func() (net.Conn, error) { return nil, refused }), refused},
		"expired":           {serve(t, func(s *script) { s.accept(0) }), rawclient.ErrSessionExpired},
		"closed":            {serve(t, func(s *script) { s.readFrame() }), io.EOF},
		"too long a frame":  {serve(t, func(s *script) { s.readFrame(); _, _ = s.conn.Write([]byte("HTTP")) }), rawclient.ErrFrameTooLong},
		"negative length":   {serve(t, func(s *script) { s.readFrame(); _, _ = s.conn.Write([]byte{0xff, 0, 0, 0}) }), rawclient.ErrFrameTooLong},
		"undecodable frame": {serve(t, func(s *script) { s.readFrame(); _, _ = s.conn.Write([]byte{0, 0, 0, 1, 9}) }), jute.ErrMalformed},
	} {
		_, err := rawclient.Dial(t.Context(), rawclient.Options{Addr: "server", Network: c.network})
		require.ErrorIs(t, err, c.want, name)
		where, ok := errors.AsType[*rawclient.Error](err)
		require.True(t, ok, name)
		require.Equal(t, "server", where.Addr, name)
	}
}

func TestCallKeepsWhatArrivesMeanwhile(t *testing.T) {
	c := mustDial(t, rawclient.Options{Network: serve(t, func(s *script) {
		s.accept(4000)
		s.request()
		get := s.request()
		s.event(8, "/a")
		s.frame(wire.ReplyHeader{Xid: 1, Zxid: 8, Err: znode.CodeNoNode})
		s.event(9, "/b")
		s.frame(wire.ReplyHeader{Xid: get.Xid, Zxid: 9}, &wire.DataResponse{Data: []byte("x")})
		s.event(10, "/c")
	})})
	require.EqualValues(t, 1, c.Send(wire.OpDelete, &wire.DeleteRequest{Path: "/a"}))
	m, err := c.Call(t.Context(), wire.OpGetData, &wire.WatchRequest{Path: "/b"})
	require.NoError(t, err)
	require.NoError(t, m.Err())
	require.Equal(t, "x", string(m.Record.(*wire.DataResponse).Data))
	require.Nil(t, m.Event())
	require.Zero(t, c.Outstanding())

	m, err = c.Receive(t.Context())
	require.NoError(t, err)
	require.Equal(t, "/a", m.Event().Path)
	rest := c.Arrived()
	require.Len(t, rest, 2, "what came before the reply, no more")
	require.ErrorIs(t, rest[0].Err(), znode.CodeNoNode)
	require.Nil(t, rest[0].Record)
	require.Equal(t, "/b", rest[1].Event().Path)
	m, err = c.Receive(t.Context())
	require.NoError(t, err)
	require.Equal(t, wire.OpNotification, m.Op)
	require.Equal(t, znode.Zxid(10), m.Header.Zxid)
	require.Equal(t, "/c", m.Event().Path)

	_, err = c.Receive(t.Context())
	require.ErrorIs(t, err, io.EOF)
	_, err = c.Call(t.Context(), wire.OpPing, nil)
	require.ErrorIs(t, err, io.EOF, "a connection that ended stays so")
}

func TestPipelinedRequestsShareAFlush(t *testing.T) {
	c := mustDial(t, rawclient.Options{Network: serve(t, func(s *script) {
		s.accept(4000)
		who, _, _ := s.request(), s.request(), s.request()
		s.frame(wire.ReplyHeader{Xid: who.Xid, Zxid: 1})
	})})
	c.Send(wire.OpWhoAmI, nil)
	require.Equal(t, wire.XidAuth, c.Send(wire.OpAuth, &wire.AuthRequest{Scheme: "ip"}))
	require.Equal(t, wire.XidPing, c.Send(wire.OpPing, nil))
	require.Equal(t, 3, c.Outstanding())
	_, err := c.Receive(t.Context())
	require.ErrorIs(t, err, jute.ErrMalformed, "a whoAmI without a body")
}

func TestUnexpectedReply(t *testing.T) {
	c := mustDial(t, rawclient.Options{Network: serve(t, func(s *script) {
		s.accept(4000)
		s.request()
		s.frame(wire.ReplyHeader{Xid: 7})
	})})
	_, err := c.Call(t.Context(), wire.OpPing, nil)
	require.ErrorIs(t, err, rawclient.ErrUnexpectedReply)
}

func TestEndOfContextLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustDial(t, rawclient.Options{Network: serve(t, func(s *script) {
			s.accept(4000)
			s.request()
			b := wire.AppendErrorFrame(nil, wire.ReplyHeader{Xid: wire.XidPing, Zxid: 3})
			_, _ = s.conn.Write(b[:9])
			time.Sleep(2 * time.Second)
			_, _ = s.conn.Write(b[9:])
		})})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, os.ErrNoDeadline)
		defer cancel()
		_, err := c.Call(ctx, wire.OpPing, nil)
		require.ErrorIs(t, err, os.ErrNoDeadline, "the cause")
		m, err := c.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, wire.ReplyHeader{Xid: wire.XidPing, Zxid: 3}, m.Header)
	})
}

func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := mustDial(t, rawclient.Options{KeepAlive: true, Network: serve(t, func(s *script) {
			s.accept(6000)
			for range 3 {
				require.Equal(t, wire.RequestHeader{Xid: wire.XidPing, Op: wire.OpPing}, s.request())
				s.frame(wire.ReplyHeader{Xid: wire.XidPing})
			}
			s.event(4, "/a")
			s.request()
			s.request()
		})})
		m, err := c.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, "/a", m.Event().Path, "replies to its own pings are not handed over")
		require.Equal(t, 6*time.Second, time.Since(began), "a ping every third of the timeout")

		_, err = c.Receive(t.Context())
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "a ping was not answered")
		require.Equal(t, 10*time.Second, time.Since(began))
	})
}

func TestCloseSession(t *testing.T) {
	op := make(chan wire.Op, 1)
	c := mustDial(t, rawclient.Options{Network: serve(t, func(s *script) {
		s.accept(4000)
		h := s.request()
		op <- h.Op
		s.frame(wire.ReplyHeader{Xid: h.Xid})
	})})
	require.NoError(t, c.CloseSession(t.Context()))
	require.Equal(t, wire.OpCloseSession, <-op)
	_, err := c.Receive(t.Context())
	require.Error(t, err)
}

func TestCloseEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustDial(t, rawclient.Options{Network: serve(t, func(s *script) { s.accept(4000); s.request() })})
		got := make(chan error)
		go func() { // ends when the connection is closed
			_, err := c.Receive(context.Background())
			got <- err
		}()
		synctest.Wait()
		require.NoError(t, c.Close())
		require.Error(t, <-got)
	})
}

func TestAuth(t *testing.T) {
	c := mustDial(t, rawclient.Options{Network: serve(t, func(s *script) {
		s.accept(4000)
		require.Equal(t, wire.OpAuth, s.request().Op)
		s.frame(wire.ReplyHeader{Xid: wire.XidAuth, Err: znode.CodeAuthFailed})
	})})
	m, err := c.Auth(t.Context(), "digest", []byte("u:p"))
	require.NoError(t, err)
	require.ErrorIs(t, m.Err(), znode.CodeAuthFailed)
}

func FuzzAnswers(f *testing.F) {
	var good []byte
	for _, r := range []interface{ AppendJute([]byte) []byte }{
		&wire.ConnectResponse{Timeout: 4000, Session: 1, Password: make([]byte, 16)},
		wire.ReplyHeader{Xid: wire.XidPing}, wire.ReplyHeader{Xid: 1, Err: znode.CodeNoNode},
	} {
		b, start := wire.BeginFrame(nil)
		good = append(good, wire.EndFrame(r.AppendJute(b), start)...)
	}
	f.Add(good)
	f.Add(wire.AppendNotification(good, 7, znode.EventDeleted, "/a"))
	f.Add([]byte("\x7f\xff\xff\xff"))
	f.Add([]byte("\x00\x00\x00\x03abc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := serve(t, func(s *script) {
			done := make(chan struct{})
			go func() { // ends with the client's end of the pipe, or with this
				defer close(done)
				_, _ = io.Copy(io.Discard, s.conn)
			}()
			_, _ = s.conn.Write(b)
			s.conn.Close()
			<-done
		})
		c, err := rawclient.Dial(t.Context(), rawclient.Options{Network: n, Addr: "server"})
		if err != nil {
			require.ErrorAs(t, err, new(*rawclient.Error))
			return
		}
		defer c.Close()
		c.Send(wire.OpPing, nil)
		c.Send(wire.OpGetChildren2, &wire.WatchRequest{Path: "/"})
		c.Send(wire.OpMulti, &wire.MultiRequest{})
		for n := 0; ; n++ {
			m, err := c.Receive(t.Context())
			if err != nil {
				require.ErrorAs(t, err, new(*rawclient.Error))
				require.LessOrEqual(t, n, len(b)/(4+wire.ReplyHeaderLen))
				return
			}
			require.True(t, m.Header.Err != znode.CodeOK || m.Record != nil || m.Op == wire.OpPing, "%+v", m)
		}
	})
}
