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
// What happens to bytes on their way happens here.
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

	cut     bool          // nothing arrives
	deaf    bool          // nor does what the reader's end answers: the writer does not hear that it is gone
	delay   time.Duration // how long what is written takes
	taken   int64         // bytes read in all
	arrived int64         // bytes that have arrived in all, while there are marks; else all have
	marks   []mark        // what is on its way, the first first
}

// A mark is when a stream's bytes up to one have arrived, and behind the last the end of the stream, if it has one.
type mark struct {
	bytes int64
	at    time.Time
}

// A side is one end's waiting: for bytes, or for room.
type side struct {
	cond     sync.Cond // broadcast when what the side waits for may have come; L is the stream's mu
	deadline time.Time // zero: none
	timer    *time.Timer
	waiting  int  // goroutines in wait
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

// wait waits for a broadcast, at most until the deadline and until something is to arrive, if that is not zero. A timer runs only
// while somebody waits for a time.
func (d *side) wait(arrival time.Time) {
	until := d.deadline
	if until.IsZero() || !arrival.IsZero() && arrival.Before(until) {
		until = arrival
	}
	d.waiting++
	defer func() { d.waiting-- }()
	if until.IsZero() {
		d.cond.Wait()
		return
	}
	left := time.Until(until)
	if d.timer == nil {
		d.timer = time.AfterFunc(left, d.wake)
	} else {
		d.timer.Reset(left)
	}
	d.cond.Wait()
	if d.waiting == 1 { // others set it for themselves
		d.timer.Stop()
	}
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
		n, next := s.here()
		switch {
		case s.broken == syscall.ECONNRESET && !s.cut:
			return 0, s.broken
		case len(p) == 0:
			return 0, nil
		case n > 0:
			n = s.takeOut(p[:min(n, len(p))])
			s.writer.cond.Broadcast()
			return n, nil
		case s.eof && !s.cut && next.IsZero():
			return 0, io.EOF
		}
		s.reader.wait(next)
	}
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.writing {
		if err := s.writeErr(); err != nil {
			return 0, err
		}
		s.writer.wait(time.Time{})
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
		s.writer.wait(time.Time{})
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
	switch {
	case s.eof:
		return syscall.EPIPE
	case s.deaf:
		return nil
	}
	return s.broken
}

// here is how many bytes can be read, and when more will have arrived, zero if nothing is on its way by itself.
func (s *stream) here() (n int, next time.Time) {
	if s.cut {
		return 0, time.Time{}
	}
	if len(s.marks) == 0 {
		return s.length, time.Time{}
	}
	now := time.Now()
	for len(s.marks) > 0 && !now.Before(s.marks[0].at) {
		s.arrived = s.marks[0].bytes
		s.marks = s.marks[1:]
	}
	if len(s.marks) == 0 {
		return s.length, time.Time{}
	}
	return int(s.arrived - s.taken), s.marks[0].at
}

// depart puts a mark behind what has been written, if it takes its time or what goes before it does. before is how many bytes were
// unread.
func (s *stream) depart(before int) {
	if s.delay == 0 && len(s.marks) == 0 {
		return
	}
	m := mark{bytes: s.taken + int64(s.length), at: time.Now().Add(s.delay)}
	if last := len(s.marks) - 1; last < 0 {
		s.arrived = s.taken + int64(before)
	} else if !m.at.After(s.marks[last].at) {
		s.marks[last].bytes = m.bytes
		return
	}
	s.marks = append(s.marks, m)
}

// afflict says what the network does to the stream from now on.
func (s *stream) afflict(f fault, deaf bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut, s.delay, s.deaf = f.cut, f.delay, deaf
	s.wakeBoth()
}

// breakDown is a reset that neither end of a connection has asked for. Both ways break at one moment: an end that has seen one of them
// break would close the other, and what was to be a reset there would be an orderly end.
func breakDown(up, down *stream) {
	for _, s := range []*stream{up, down} {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	for _, s := range []*stream{up, down} {
		s.reset()
		s.wakeBoth()
	}
}

// putIn copies as much of p as there is room for into the ring.
func (s *stream) putIn(p []byte) int {
	for s.length+len(p) > len(s.ring) && len(s.ring) < maxBuffer {
		s.grow()
	}
	total, before := 0, s.length
	for len(p) > 0 && s.length < len(s.ring) {
		end := (s.start + s.length) & (len(s.ring) - 1)
		n := copy(s.ring[end:min(len(s.ring), end+len(s.ring)-s.length)], p)
		s.length += n
		total += n
		p = p[n:]
	}
	if total > 0 {
		s.depart(before)
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
	s.taken += int64(total)
	return total
}

// grow doubles the ring; its length stays a power of two.
func (s *stream) grow() {
	ring := make([]byte, max(minBuffer, 2*len(s.ring)))
	n := s.length
	s.takeOut(ring)
	s.taken -= int64(n) // nobody has read them
	s.ring, s.start, s.length = ring, 0, n
}

// shutdown ends the stream at its writer's end; the writer's connection stays open.
func (s *stream) shutdown() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer.closed {
		return net.ErrClosed
	}
	s.end()
	s.wakeBoth()
	return nil
}

// closeWriter is the writer's Close.
func (s *stream) closeWriter(reset bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writer.closed = true
	s.end()
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
	s.ring, s.start, s.length, s.marks = nil, 0, 0, nil
	s.broken = syscall.EPIPE
	if reset {
		s.reset()
	}
	s.wakeBoth()
}

// end ends the stream behind what has been written.
func (s *stream) end() {
	if !s.eof {
		s.eof = true
		s.depart(s.length)
	}
}

func (s *stream) reset() {
	s.ring, s.start, s.length, s.marks = nil, 0, 0, nil
	s.broken = syscall.ECONNRESET
}

func (s *stream) wakeBoth() {
	s.reader.cond.Broadcast()
	s.writer.cond.Broadcast()
}
