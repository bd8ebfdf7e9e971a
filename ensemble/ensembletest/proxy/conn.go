package proxy

import (
	"net"
	"sync"

	"github.com/bellwether-zk/bellwether/ensemble/internal/dialogue"
)

// A conn is one connection of a client with a server, as two, with the proxy in the middle.
type conn struct {
	p        *Proxy
	up, down *way // to the server, and back

	broken sync.Once
	cut    chan struct{} // closed when a fault has broken the connection: nothing passes any more
	over   sync.Once
	done   chan struct{} // closed when both ends are gone, or are to be

	mu   sync.Mutex
	talk dialogue.Dialogue
}

func newConn(p *Proxy, client, server net.Conn) *conn {
	c := &conn{p: p, cut: make(chan struct{}), done: make(chan struct{})}
	c.up = &way{c: c, from: client, to: server, read: c.talk.Client, rest: c.talk.ClientRest, room: make(chan struct{}, 1)}
	c.down = &way{c: c, from: server, to: client, read: c.talk.Server, rest: c.talk.ServerRest, room: make(chan struct{}, 1)}
	return c
}

// run carries until both ways are over.
func (c *conn) run() {
	var ways sync.WaitGroup
	// Both end when both ends of the connection are closed, or it is aborted.
	ways.Go(c.up.run)
	ways.Go(c.down.run)
	ways.Wait()
	c.over.Do(func() {
		close(c.done)
		_ = c.up.from.Close()
		_ = c.up.to.Close()
	})
}

// sever breaks the connection in order behind the last that one end is told: each end reads what has been sent to it, and then that
// there is no more. What the ends say from now on is thrown away, so that of an answer to the last nothing is heard.
func (c *conn) sever(to net.Conn, last []byte) {
	c.broken.Do(func() {
		close(c.cut)
		if len(last) > 0 {
			_, _ = to.Write(last) // to one that is gone: it is cut anyway
		}
		closeWrite(c.up.to)
		closeWrite(c.down.to)
	})
}

// abort breaks both ends at once.
func (c *conn) abort() {
	c.over.Do(func() {
		close(c.done)
		reset(c.up.from)
		reset(c.up.to)
	})
}

// isCut reports whether a fault has broken the connection.
func (c *conn) isCut() bool {
	select {
	case <-c.cut:
		return true
	default:
		return false
	}
}

// A duplex is what connections are that can end one way and go on the other.
type duplex interface{ CloseWrite() error }

// closeWrite lets the other end read the end. An error says that it is gone.
func closeWrite(c net.Conn) {
	if d, ok := c.(duplex); ok {
		_ = d.CloseWrite()
		return
	}
	_ = c.Close()
}

// reset closes a connection so that the other end notices at once.
func reset(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = c.Close()
}

// deaf reports whether the other end of a connection in memory is closed for both ways. Of others nobody can tell.
func deaf(c net.Conn) bool {
	t, ok := c.(interface{ TryWrite([]byte) (int, error) })
	if !ok {
		return false
	}
	_, err := t.TryWrite(nil)
	return err != nil
}
