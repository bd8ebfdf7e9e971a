package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	minBuffer = 4 << 10
	maxBuffer = 64 << 10 // bytes written and not yet read before a writer blocks
)

// A stream is one direction of a connection: a bounded ring of bytes between the end that writes and the end that reads.
// Whatever is to happen to bytes on their way happens here.
type stream struct {
	mu     sync.Mutex
	ring   []byte // allocated at the first write, doubled when full up to maxBuffer
	start  int    // where the first unread byte is; 0 ≤ start < len(ring)
	length int    // unread bytes; 0 ≤ length ≤ len(ring)

	writing bool  // a write is under way: others wait, so that writes do not mix
	eof     bool  // the writer has said all it will
	broken  error // why the peer is gone: EPIPE for a writer, ECONNRESET for both
	reader  side
	writer  side
}

// A side is one end's waiting: for bytes, or for room.
type side struct {
	cond     sync.Cond // broadcast when what the side waits for may have come; L is the stream's mu
	deadline time.Time // zero: none
	timer    *time.Timer
	closed   bool // this end closed its connection
}

func newStream() *stream {
	s := &stream{}
	s.reader.cond.L, s.writer.cond.L = &s.mu, &s.mu
	return s
}

// err is why an operation of this side may not go on.
func (d *side) err() error {
	switch {
	case d.closed:
		return net.ErrClosed
	case !d.deadline.IsZero() && !time.Now().Before(d.deadline):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wait waits for a broadcast, at most until the deadline. A timer exists only while somebody waits with a deadline.
func (d *side) wait() {
	if d.deadline.IsZero() {
		d.cond.Wait()
		return
	}
	left := time.Until(d.deadline)
	if d.timer == nil {
		d.timer = time.AfterFunc(left, d.wake)
	} else {
		d.timer.Reset(left)
	}
	d.cond.Wait()
	d.timer.Stop()
}

// wake runs when the deadline passes; taking the lock makes sure that who armed the timer already waits.
func (d *side) wake() {
	d.cond.L.Lock()
	defer d.cond.L.Unlock()
	d.cond.Broadcast()
}

func (s *stream) setDeadline(d *side, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	d.deadline = t
	d.cond.Broadcast()
	return nil
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.reader.err(); err != nil {
			return 0, err
		}
		switch {
		case s.broken == syscall.ECONNRESET:
			return 0, s.broken
		case len(p) == 0:
			return 0, nil
		case s.length > 0:
			n := s.takeOut(p)
			s.writer.cond.Broadcast()
			return n, nil
		case s.eof:
			return 0, io.EOF
		}
		s.reader.wait()
	}
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.writing {
		if err := s.writeErr(); err != nil {
			return 0, err
		}
		s.writer.wait()
	}
	s.writing = true
	defer func() {
		s.writing = false
		s.writer.cond.Broadcast()
	}()
	for {
		if err := s.writeErr(); err != nil {
			return n, err
		}
		if m := s.putIn(p[n:]); m > 0 {
			n += m
			s.reader.cond.Broadcast()
		}
		if n == len(p) {
			return n, nil
		}
		s.writer.wait()
	}
}

// tryWrite takes what there is room for, nothing while somebody else's write is under way.
func (s *stream) tryWrite(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writeErr(); err != nil || s.writing {
		return 0, err
	}
	n := s.putIn(p)
	if n > 0 {
		s.reader.cond.Broadcast()
	}
	return n, nil
}

func (s *stream) writeErr() error {
	if err := s.writer.err(); err != nil {
		return err
	}
	if s.eof {
		return syscall.EPIPE
	}
	return s.broken
}

// putIn copies as much of p as there is room for into the ring.
func (s *stream) putIn(p []byte) int {
	for s.length+len(p) > len(s.ring) && len(s.ring) < maxBuffer {
		s.grow()
	}
	total := 0
	for len(p) > 0 && s.length < len(s.ring) {
		end := (s.start + s.length) & (len(s.ring) - 1)
		n := copy(s.ring[end:min(len(s.ring), end+len(s.ring)-s.length)], p)
		s.length += n
		total += n
		p = p[n:]
	}
	return total
}

// takeOut copies as much as there is and fits out of the ring.
func (s *stream) takeOut(p []byte) int {
	total := 0
	for len(p) > 0 && s.length > 0 {
		n := copy(p, s.ring[s.start:min(len(s.ring), s.start+s.length)])
		s.start = (s.start + n) & (len(s.ring) - 1)
		s.length -= n
		total += n
		p = p[n:]
	}
	return total
}

// grow doubles the ring; its length stays a power of two.
func (s *stream) grow() {
	ring := make([]byte, max(minBuffer, 2*len(s.ring)))
	n := s.length
	s.takeOut(ring)
	s.ring, s.start, s.length = ring, 0, n
}

// shutdown ends the stream at its writer's end; the writer's connection stays open.
func (s *stream) shutdown() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer.closed {
		return net.ErrClosed
	}
	s.eof = true
	s.wakeBoth()
	return nil
}

// closeWriter is the writer's Close.
func (s *stream) closeWriter(reset bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writer.closed, s.eof = true, true
	if reset {
		s.reset()
	}
	s.wakeBoth()
}

// closeReader is the reader's Close: what is unread is lost and what is written from now on fails.
func (s *stream) closeReader(reset bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reader.closed = true
	s.ring, s.start, s.length = nil, 0, 0
	s.broken = syscall.EPIPE
	if reset {
		s.reset()
	}
	s.wakeBoth()
}

func (s *stream) reset() {
	s.ring, s.start, s.length = nil, 0, 0
	s.broken = syscall.ECONNRESET
}

func (s *stream) wakeBoth() {
	s.reader.cond.Broadcast()
	s.writer.cond.Broadcast()
}
