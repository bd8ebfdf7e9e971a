package ticket_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// link is the way from one client to its server, and what can happen on it.
type link struct {
	to    func(ctx context.Context, network, addr string) (net.Conn, error)
	delay time.Duration // of each answer

	mu    sync.Mutex
	down  bool
	lose  int32 // the operation whose next answer gets lost, 0 for none
	conns []*linked
}

func (l *link) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, errors.New("link is down")
	}
	conn, err := l.to(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &linked{Conn: conn, link: l}
	l.conns = append(l.conns, c)
	return c, nil
}

// cut ends the connection and lets no other be made, until plug.
func (l *link) cut() { l.set(true) }

// drop ends the connection; the next one will do.
func (l *link) drop() { l.set(false) }

func (l *link) set(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
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

// loseAnswer lets the next request of this kind through, and ends the connection instead of delivering what comes back.
func (l *link) loseAnswer(op int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lose = op
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
	c.link.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *linked) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	time.Sleep(c.link.delay) // the way is long
	c.link.mu.Lock()
	lost := c.lost
	c.link.mu.Unlock()
	if lost {
		c.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}
