package link

import (
	"bufio"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/peers"
)

// A line is one connection of the election port. Its goroutines are the reader, which runs run, and a writer for which that waits.
// Votes.mu guards what changes.
type line struct {
	votes   *Votes
	id      peers.ConnID
	nc      net.Conn
	settled chan struct{} // closed when the machine has said what to do with it, or it has ended
	done    chan struct{} // closed when the reader has read its last
	written chan struct{} // closed when the writer has gone

	wake   sync.Cond // the writer waits here; L is votes.mu
	hello  []byte    // what is to be said first, until it is
	server packet.ServerID
	box    *box          // whose messages it carries; nil: it is not in use
	before chan struct{} // done of the line it replaces, or nil
	ending bool          // it is closed once hello has gone
	closed bool
}

func newLine(v *Votes, id peers.ConnID, nc net.Conn) *line {
	l := &line{
		votes: v, id: id, nc: nc,
		settled: make(chan struct{}), done: make(chan struct{}), written: make(chan struct{}),
	}
	l.wake.L = &v.mu
	return l
}

// say has the first bytes of a dialled line sent. votes.mu is held, as in the following.
func (l *line) say(hello []byte) {
	l.hello = hello
	l.wake.Signal()
}

// use lets messages flow: the last one goes out again, and what comes in is read once nothing more comes from the line before.
func (l *line) use(server packet.ServerID, b *box) {
	if l.closed {
		return
	}
	if b.line != nil {
		l.before = b.line.done
	}
	l.server, l.box = server, b
	b.line, b.unsent = l, b.frame != nil
	l.settle()
	l.wake.Signal()
}

// end closes the line as soon as its hello has gone.
func (l *line) end() {
	l.ending = true
	if l.hello == nil {
		l.close()
	}
}

func (l *line) close() {
	if l.closed {
		return
	}
	l.closed = true
	l.settle()
	_ = l.nc.Close()
	l.wake.Signal()
}

func (l *line) settle() {
	select {
	case <-l.settled:
	default:
		close(l.settled)
	}
}

// run is the line's life: introduce tells the machine of it, or fails; then it reads while the line is in use.
func (l *line) run(introduce func(in *bufio.Reader) error) {
	v := l.votes
	go l.write() // ends when the line is closed; run waits for it
	in := bufio.NewReader(l.nc)
	err := introduce(in)
	if err == nil {
		err = l.read(in)
	}
	close(l.done)
	v.mu.Lock()
	l.close()
	delete(v.lines, l.id)
	if l.box != nil && l.box.line == l {
		l.box.line = nil
	}
	v.post(func(m *peers.Peers, now int64, out *[]peers.Effect) { m.Closed(l.id, now, out) })
	v.mu.Unlock()
	<-l.written
	v.opts.Log.Debug("election connection ended", "server", l.server, "remote", l.nc.RemoteAddr(), "error", err)
}

// greet reads the hello of a line that was accepted and lets the machine know who it is.
func (l *line) greet(in *bufio.Reader) error {
	v := l.votes
	err := l.nc.SetReadDeadline(time.Now().Add(v.opts.HandshakeTimeout))
	var hello packet.Hello
	if err == nil {
		hello, err = packet.ReadHello(in)
	}
	if err == nil {
		err = l.nc.SetReadDeadline(time.Time{})
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if i := slices.Index(v.waiting, l); i >= 0 {
		v.waiting = slices.Delete(v.waiting, i, i+1)
	}
	if err == nil {
		v.post(func(m *peers.Peers, now int64, out *[]peers.Effect) { m.Accepted(l.id, &hello, now, out) })
	}
	return err
}

// dialled lets the machine know of a line that was dialled.
func (l *line) dialled(server packet.ServerID) {
	v := l.votes
	v.mu.Lock()
	defer v.mu.Unlock()
	v.post(func(m *peers.Peers, now int64, out *[]peers.Effect) { m.Dialled(server, l.id, now, out) })
}

// errUnused ends a line that is closed without having been used.
var errUnused = errors.New("link: the connection was not needed")

// read reads notifications while the line is in use. One that is malformed concerns nobody but itself; a frame that is not one ends
// the line.
func (l *line) read(in *bufio.Reader) error {
	v := l.votes
	select {
	case <-l.settled:
	case <-v.ctx.Done():
		return ErrClosed
	}
	v.mu.Lock()
	server, before, used := l.server, l.before, l.box != nil
	v.mu.Unlock()
	if !used {
		return errUnused
	}
	if before != nil {
		<-before
	}
	for {
		var n packet.Notification
		err := packet.ReadNotification(in, &n)
		switch {
		case err == nil:
			v.opts.Receive(server, n)
		case errors.Is(err, jute.ErrMalformed):
			v.opts.Log.Warn("malformed notification", "server", server, "error", err)
		default:
			return err
		}
	}
}

// write is the writer: the hello, then each newest message, until the line is closed.
func (l *line) write() {
	defer close(l.written)
	for {
		b := l.next()
		if b == nil {
			return
		}
		err := l.nc.SetWriteDeadline(time.Now().Add(l.votes.opts.WriteTimeout))
		if err == nil {
			_, err = l.nc.Write(b)
		}
		l.wrote(err)
	}
}

// next waits for something to write; nil when the line is closed.
func (l *line) next() []byte {
	l.votes.mu.Lock()
	defer l.votes.mu.Unlock()
	for !l.closed {
		switch {
		case l.hello != nil:
			return l.hello
		case l.box != nil && l.box.unsent:
			l.box.unsent = false
			return l.box.frame
		}
		l.wake.Wait()
	}
	return nil
}

// wrote notes that what next returned has gone, or has not.
func (l *line) wrote(err error) {
	l.votes.mu.Lock()
	defer l.votes.mu.Unlock()
	l.hello = nil
	if err != nil || l.ending {
		l.close()
	}
}
