package memnet

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is one end of a connection. It implements net.Conn, and CloseWrite and SetLinger as *net.TCPConn does.
type conn struct {
	wire          *wire
	in, out       *stream
	local, remote Addr
	linger        atomic.Bool // false: Close lets the peer read what is buffered
	closing       sync.Once
}

// connect makes both ends.
func connect(w *wire, client, server Addr) (clientEnd, serverEnd *conn) {
	return &conn{wire: w, in: w.down, out: w.up, local: client, remote: server},
		&conn{wire: w, in: w.up, out: w.down, local: server, remote: client}
}

// abandon closes both ends of a connection that never came about.
func (c *conn) abandon(other *conn) {
	_ = c.Close()
	_ = other.Close()
}

// Read reads what is there, at least one byte, waiting for it. io.EOF means the peer closed or half closed.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

// Write blocks until all of p is buffered. Writes of several goroutines do not mix.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}

// TryWrite writes as much of p as there is room for now and does not wait.
func (c *conn) TryWrite(p []byte) (int, error) {
	n, err := c.out.tryWrite(p)
	return n, c.wrap("write", err)
}

// Close ends both directions at this end. The peer reads what is still buffered, then io.EOF; its writes fail with EPIPE.
// After SetLinger(0) the peer's reads and writes fail at once with ECONNRESET.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.closing.Do(func() {
		err = nil
		reset := c.linger.Load()
		c.in.closeReader(reset)
		c.out.closeWriter(reset)
		c.wire.release()
	})
	return c.wrap("close", err)
}

// CloseWrite ends the direction from here to the peer, which reads io.EOF after what is buffered.
func (c *conn) CloseWrite() error { return c.wrap("close", c.out.shutdown()) }

// SetLinger with 0 makes Close a reset; any other value makes it an orderly close again.
func (c *conn) SetLinger(sec int) error {
	c.linger.Store(sec == 0)
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	return c.wrap("set", c.in.setDeadline(&c.in.reader, t))
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.wrap("set", c.out.setDeadline(&c.out.writer, t))
}

// wrap adds what failed and where, but leaves io.EOF, which callers compare with ==.
func (c *conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "mem", Source: c.local, Addr: c.remote, Err: err}
}
