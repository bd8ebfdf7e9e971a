//go:build unix

package process

import (
	"encoding/binary"
	"net"
	"sync"
	"time"
)

// A relay is one connection between two servers, as two, with the network in the middle.
type relay struct {
	network          *Network
	dialed           direction // from the one that dialed
	dialer, acceptor *net.TCPConn

	once sync.Once
	done chan struct{} // closed when the relay is over
}

// chunk is some bytes on their way, or, without bytes, the end of the stream.
type chunk struct {
	bytes []byte
	due   time.Time
}

// What is on its way in one direction of a connection: at most this many chunks of this size.
const (
	maxChunks = 256
	chunkSize = 32 << 10
)

// carry moves bytes both ways until one end closes or the network breaks the connection. introduce, if not nil, gets all that the
// dialer sends and says what to pass on.
func (r *relay) carry(introduce func([]byte) []byte) {
	var both sync.WaitGroup
	// Both end when either end of the connection is closed, or the relay is aborted.
	both.Go(func() { r.pump(r.dialed, r.dialer, r.acceptor, introduce) })
	both.Go(func() { r.pump(r.dialed.back(), r.acceptor, r.dialer, nil) })
	both.Wait()
}

// pump moves the bytes of one direction.
func (r *relay) pump(d direction, from, to *net.TCPConn, introduce func([]byte) []byte) {
	way := make(chan chunk, maxChunks)
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() { r.read(d, from, way, introduce) }) // ends when from is closed or the relay is over
	for c := range way {
		if !r.hold(d, c.due) {
			return
		}
		if c.bytes == nil {
			// What ends one direction ends the connection: no server goes on speaking to one that has stopped.
			r.finish()
			return
		}
		if _, err := to.Write(c.bytes); err != nil {
			r.abort()
			return
		}
	}
}

// read puts what comes in on its way, and in the end that it has ended.
func (r *relay) read(d direction, from *net.TCPConn, way chan<- chunk, introduce func([]byte) []byte) {
	defer close(way)
	buffer := make([]byte, chunkSize)
	for {
		n, err := from.Read(buffer)
		b := append([]byte(nil), buffer[:n]...)
		if introduce != nil {
			b = introduce(b)
		}
		if len(b) > 0 && !r.put(d, way, b) {
			return
		}
		if err != nil {
			r.put(d, way, nil)
			return
		}
	}
}

func (r *relay) put(d direction, way chan<- chunk, b []byte) bool {
	p, _ := r.network.state(d)
	select {
	case way <- chunk{b, time.Now().Add(p.delay)}:
		return true
	case <-r.done:
		return false
	}
}

// hold waits until a chunk may pass. It reports whether it may: not if the relay is over.
func (r *relay) hold(d direction, due time.Time) bool {
	if wait := time.Until(due); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.done:
			return false
		}
	}
	for {
		p, changed := r.network.state(d)
		if !p.stalled {
			return true
		}
		select {
		case <-changed:
		case <-r.done:
			return false
		}
	}
}

// finish closes both ends after what was written.
func (r *relay) finish() {
	r.once.Do(func() {
		close(r.done)
		_ = r.dialer.Close()
		_ = r.acceptor.Close()
	})
}

// abort breaks both ends at once.
func (r *relay) abort() {
	r.once.Do(func() {
		close(r.done)
		reset(r.dialer)
		reset(r.acceptor)
	})
}

// A greeting is the first thing a dialer says on an election port: a version, who it is, and where it may be dialed itself, which is
// replaced. It is passed on in one piece: Apache's server reads it so.
//
//	int64 version, below 0 | int64 server | int32 length | address
type greeting struct {
	addr string
	head []byte
	over bool
}

const greetingHead = 8 + 8 + 4

// rewrite takes what the dialer sent and returns what is to be passed on.
func (g *greeting) rewrite(b []byte) []byte {
	if g.over {
		return b
	}
	g.head = append(g.head, b...)
	if len(g.head) < 8 || int64(binary.BigEndian.Uint64(g.head)) < 0 && len(g.head) < greetingHead {
		return nil
	}
	b = g.head
	if int64(binary.BigEndian.Uint64(b)) >= 0 { // the oldest form has no address
		return g.end(b)
	}
	length := binary.BigEndian.Uint32(b[greetingHead-4:])
	if length > chunkSize {
		return g.end(b) // nonsense, which is not ours to refuse
	}
	if uint32(len(b)-greetingHead) < length {
		return nil
	}
	out := append([]byte(nil), b[:greetingHead-4]...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(g.addr)))
	out = append(out, g.addr...)
	return g.end(append(out, b[greetingHead+int(length):]...))
}

func (g *greeting) end(b []byte) []byte {
	g.over, g.head = true, nil
	return b
}
