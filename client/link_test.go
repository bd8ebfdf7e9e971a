package client_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
)

// link is the way from one client to its server, and what can happen on it.
type link struct {
	mu     sync.Mutex
	to     func(ctx context.Context, network, addr string) (net.Conn, error)
	down   bool
	silent bool
	lose   int32 // the operation whose next answer gets lost, 0 for none
	conns  []*linked
	dials  int
}

var errDown = errors.New("link is down")

func (l *link) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dials++
	if l.down {
		return nil, errDown
	}
	conn, err := l.to(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &linked{Conn: conn, link: l}
	l.conns = append(l.conns, c)
	return c, nil
}

// cut ends the connection and lets no other be made.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	l.breakLocked()
}

// drop ends the connection; the next one will do.
func (l *link) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.breakLocked()
}

func (l *link) breakLocked() {
	for _, c := range l.conns {
		c.Conn.Close()
	}
	l.conns = nil
}

func (l *link) plug() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

// mute swallows everything in both directions, without ending the connection.
func (l *link) mute() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = true
}

// loseAnswer lets the next request of this kind through, and ends the connection instead of delivering what comes back.
func (l *link) loseAnswer(op int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lose = op
}

func (l *link) redirect(s *ensemble.Server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = s.Dial
}

func (l *link) isSilent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.silent
}

// linked is one connection over a link.
type linked struct {
	net.Conn
	link *link
	lost bool // guarded by the link's mutex
}

func (c *linked) Write(p []byte) (int, error) {
	c.link.mu.Lock()
	if len(p) >= 12 && c.link.lose != 0 && int32(binary.BigEndian.Uint32(p[8:])) == c.link.lose {
		c.link.lose, c.lost = 0, true
	}
	silent := c.link.silent
	c.link.mu.Unlock()
	if silent {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *linked) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		c.link.mu.Lock()
		lost := c.lost
		c.link.mu.Unlock()
		if lost {
			c.Conn.Close()
			return 0, io.EOF
		}
		if err != nil || !c.link.isSilent() {
			return n, err
		}
	}
}

func startServer(t *testing.T, opts *ensemble.Options) *ensemble.Server {
	t.Helper()
	srv, err := ensemble.Start(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	return srv
}

// connect opens a client over a link of its own. The test's end closes it.
func connect(t *testing.T, srv *ensemble.Server, opts *client.Options) (*client.Client, *link) {
	t.Helper()
	return connectTo(t, srv, srv.ConnectString(), opts)
}

func connectTo(t *testing.T, srv *ensemble.Server, servers string, opts *client.Options) (*client.Client, *link) {
	t.Helper()
	l := &link{to: srv.Dial}
	o := client.Options{}
	if opts != nil {
		o = *opts
	}
	if o.SessionTimeout == 0 {
		o.SessionTimeout = 10 * time.Second
	}
	o.Dialer = l.dial
	c, err := client.Connect(t.Context(), servers, &o)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c, l
}

func mustCreate(t *testing.T, c *client.Client, path string, opts *client.CreateOptions) string {
	t.Helper()
	made, err := c.Create(t.Context(), path, []byte("data"), opts)
	require.NoError(t, err)
	return made
}
