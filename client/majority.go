package client

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// seekLocked has a majority looked for while the connection lasts. The caller holds mu.
func (g *generation) seekLocked() {
	ctx, stay := context.WithCancel(g.ctx)
	g.stay = stay
	g.calls.Add(1)
	go func() { // ends with the connection, with the session, or when there is a majority
		defer g.calls.Done()
		g.seek(ctx)
	}()
}

// seek asks the servers whether they have a majority, all of them in each round, and leaves the present one for the first that has. That one
// is asked like the others: its name may lead to another server by now.
func (g *generation) seek(ctx context.Context) {
	pauses := newPacer(g.core.opts.Reconnect())
	for sleep(ctx, pauses.next()) == nil {
		servers, _ := g.core.roster.servers()
		for _, i := range rand.Perm(len(servers)) { // not everybody to the same one
			if g.core.hasMajority(ctx, servers[i]) {
				g.moveTo(ctx, servers[i])
				return
			}
		}
	}
}

// moveTo ends the present connection, unless it has ended, so that the next one is to that server.
func (g *generation) moveTo(ctx context.Context, server string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	g.core.prefer(server)
	g.raw.Close()
}

// hasMajority asks one server, with the command that its administrators and Java's client use. It reports false where there is no answer.
func (c *core) hasMajority(ctx context.Context, server string) bool {
	ctx, cancel := context.WithTimeout(ctx, c.opts.ConnectTimeout)
	defer cancel()
	conn, err := c.dial(ctx, "tcp", server)
	if err != nil {
		return false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, "isro"); err != nil {
		return false
	}
	answer, _ := io.ReadAll(io.LimitReader(conn, 8)) // the end of the connection is that of the answer
	return string(bytes.TrimSpace(answer)) == "rw"
}

// prefer has the next connection made to that server.
func (c *core) prefer(server string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.majority = server
}

// preferred returns the server to go to next, once.
func (c *core) preferred() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	server := c.majority
	c.majority = ""
	return server
}

// dial calls the Dialer, for one at a time, and tells the hook.
func (c *core) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	select {
	case c.dialing <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-c.dialing }()
	begun := time.Now()
	conn, err := c.opts.Dialer(ctx, network, addr)
	if c.opts.Hooks.Dialled != nil {
		c.opts.Hooks.Dialled(addr, time.Since(begun), err)
	}
	return conn, err
}
