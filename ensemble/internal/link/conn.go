package link

import (
	"io"
	"net"
	"sync"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
)

// A Conn is a link to one server on the quorum port. Its methods may be called by any goroutine and wait for nothing; once it is
// closed they do nothing.
type Conn struct {
	links   *Links
	id      packet.LinkID
	leader  packet.ServerID
	dialled bool
	nc      net.Conn
	in      inbound
	out     outbound
	written chan struct{} // closed when the writer has gone
	closing chan struct{} // closed when err is set

	mu     sync.Mutex
	wake   sync.Cond // the writer waits here; L is mu
	queue  []segment // in the order they leave
	queued int       // bytes that the transport has not taken, in queue and with the writer; ≤ MaxOutput
	due    bool      // the queue is to be sent
	spare  []byte    // an empty buffer for the next segment
	err    error     // why it is closed; nil: it is not
}

// A segment is either bytes or what makes them.
type segment struct {
	bytes  []byte
	stream func(w io.Writer) error
}

const keepBuffer = 1 << 20 // a buffer that grew beyond this is not kept

func newConn(l *Links, id packet.LinkID, nc net.Conn) *Conn {
	c := &Conn{links: l, id: id, nc: nc, written: make(chan struct{}), closing: make(chan struct{})}
	c.wake.L = &c.mu
	c.in.init(c)
	c.out.init(c)
	return c
}

// ID names the link; no other of these Links ever has the same.
func (c *Conn) ID() packet.LinkID { return c.id }

// Leader is whom Dial was to reach; ok is false for a link that was accepted.
func (c *Conn) Leader() (id packet.ServerID, ok bool) { return c.leader, c.dialled }

// Remote is the other end's address.
func (c *Conn) Remote() net.Addr { return c.nc.RemoteAddr() }

// Send puts a packet behind all that was to be sent before; it is encoded when Send returns, and leaves after the next Flush. More
// than Limits.MaxOutput bytes waiting close the link with ErrSlow.
func (c *Conn) Send(p *packet.Packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	last := len(c.queue) - 1
	if last < 0 || c.queue[last].stream != nil {
		c.queue = append(c.queue, segment{bytes: c.spare})
		c.spare = nil
		last++
	}
	s := &c.queue[last]
	before := len(s.bytes)
	s.bytes = p.AppendJute(s.bytes)
	c.queued += len(s.bytes) - before
	if c.queued > c.links.limits.MaxOutput {
		c.close(ErrSlow)
	}
}

// SendStream lets run write, on the link's own goroutine, when all that was sent before has gone; what is sent afterwards waits
// until run has returned. An error of run closes the link with it. Writes wait for the peer, hold back at most 64 KiB until run has
// returned, and fail once the link is closed or the peer takes nothing for Limits.WriteTimeout.
//
// With a nil error run is called exactly once, also when the link is closed before its turn: then with a writer that fails, so
// that run can give back what it holds. Otherwise the link was closed already and run is not called.
func (c *Conn) SendStream(run func(w io.Writer) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.queue = append(c.queue, segment{stream: run})
	return nil
}

// Flush has all sent that waits to be.
func (c *Conn) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && len(c.queue) > 0 && !c.due {
		c.due = true
		c.wake.Signal()
	}
}

// Close closes the link without a word: what it has not sent yet is lost. The handler hears Closed with err, or with ErrClosed if
// that is nil, unless something else has closed the link before; also if it is a handler that calls.
func (c *Conn) Close(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close(err)
}

// close is Close with c.mu held.
func (c *Conn) close(err error) {
	if c.err != nil {
		return
	}
	if err == nil {
		err = ErrClosed
	}
	c.err = err
	close(c.closing)
	_ = c.nc.Close()
	c.wake.Signal()
}

// reason is why the link is closed, nil while it is not.
func (c *Conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// run is the link's life: it starts the writer, reads to the end, and waits for the writer.
func (c *Conn) run() {
	go c.write() // ends when the link is closed; run waits for it
	opened, err := c.in.read()
	c.Close(err)
	<-c.written
	c.links.remove(c)
	if opened {
		c.links.handler.Closed(c, c.reason())
	} else {
		c.links.log.Debug("stranger turned away", "remote", c.Remote(), "error", c.reason())
	}
}
