package front

import (
	"net"
	"time"
)

// queued is how many bytes the peer has not taken. c.mu is held.
func (c *Conn) queued() int { return len(c.out) + len(c.pending) }

// flush sends the output if the socket takes it at once, and otherwise leaves it to a writer, so that the reader never waits
// for a peer that does not read. c.mu is held, but not while it writes; nobody else is flushing.
func (c *Conn) flush() {
	if c.try == nil {
		c.startWriter()
		return
	}
	whole := c.take()
	c.flushing = true
	c.mu.Unlock()
	n, err := c.try(whole)
	c.mu.Lock()
	c.flushing = false
	c.pending = whole[n:]
	switch {
	case err != nil:
		c.pending = nil
		c.close()
	case n < len(whole):
		c.startWriter()
	default:
		c.sent(whole)
	}
}

// take moves the output to pending and returns it. c.mu is held.
func (c *Conn) take() []byte {
	c.pending, c.out, c.spare = c.out, c.spare, nil
	return c.pending
}

// sent gives a buffer back that is written, and ends the connection if it was the last. c.mu is held.
func (c *Conn) sent(whole []byte) {
	c.pending = nil
	if c.spare == nil && cap(whole) <= keepOutput {
		c.spare = whole[:0]
	}
	if c.phase == finishing && len(c.out) == 0 {
		c.shut()
	}
}

// startWriter starts a writer. c.mu is held and nobody is flushing.
func (c *Conn) startWriter() {
	c.flushing = true
	go c.write() // ends when there is nothing to write, or the connection is closed; run waits for it
}

// write is the writer: it answers what may be answered and writes until there is nothing left.
func (c *Conn) write() {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { // before the mutex is given back
		c.flushing = false
		c.cond.Broadcast()
	}()
	defer c.isolate()
	for c.phase != closed {
		switch {
		case len(c.pending) > 0:
			if !c.writePending() {
				return
			}
		case c.lane.Runnable() != nil:
			c.unlocked(func() { c.turn(nil) })
		case len(c.out) > 0:
			c.take()
		default:
			return
		}
	}
}

// writePending writes what is pending, waiting for the peer to take it, a chunk at a time: each has to be taken within the
// session's timeout. c.mu is held, but not while it writes.
func (c *Conn) writePending() bool {
	whole := c.pending
	for len(c.pending) > 0 && c.phase != closed {
		chunk := c.pending[:min(len(c.pending), writeChunk)]
		c.writing, c.writeFrom = true, c.server.now()
		c.mu.Unlock()
		n, err := c.nc.Write(chunk)
		c.mu.Lock()
		c.writing = false
		c.pending = c.pending[n:]
		c.cond.Broadcast()
		if err != nil {
			c.close()
			return false
		}
	}
	c.sent(whole)
	return true
}

// shut says goodbye: the peer sees the end of the stream behind its last answer. The reader throws away what still comes, for a
// moment, since closing with unread bytes would make the kernel reset the connection and the peer lose the answer. c.mu is held.
func (c *Conn) shut() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		c.close()
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(linger))
}

// tryWriter returns nc's way of writing without waiting, nil if it has none.
func tryWriter(nc net.Conn) func(p []byte) (int, error) {
	switch t := nc.(type) {
	case interface{ TryWrite(p []byte) (int, error) }:
		return t.TryWrite
	case *net.TCPConn:
		return tryTCP(t)
	}
	return nil
}
