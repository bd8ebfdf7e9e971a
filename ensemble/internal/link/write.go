package link

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// writeChunk is how much of the output is written at once.
const writeChunk = 128 << 10

// An outbound is the writer's half of a Conn; nobody else uses it.
type outbound struct {
	c        *Conn
	queue    []segment // taken over from the Conn
	armed    time.Time // when the write deadline was last set
	progress pace
	buffer   *bufio.Writer // what streams write into; made for the first
	rate     *rate         // of the stream that is being sent; nil: none is
}

func (o *outbound) init(c *Conn) {
	o.c = c
	o.progress.least = c.links.limits.Progress
}

// write is the writer: it sends what is due until the link is closed, and then lets the streams go whose turn never came.
func (c *Conn) write() {
	defer close(c.written)
	for c.out.take() {
		for i := range c.out.queue {
			if err := c.out.send(&c.out.queue[i]); err != nil {
				c.Close(err)
				break
			}
		}
	}
	c.mu.Lock()
	rest, reason := append(c.out.queue, c.queue...), c.err
	c.queue, c.out.queue = nil, nil
	c.mu.Unlock()
	for i := range rest {
		if rest[i].stream != nil {
			_ = rest[i].stream(failing{reason})
		}
	}
}

// take waits until something is due and takes it over; false when the link is closed.
func (o *outbound) take() bool {
	c := o.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && !c.due {
		c.wake.Wait()
	}
	if c.err != nil {
		return false
	}
	o.queue, c.queue = c.queue, o.queue[:0]
	c.due = false
	return true
}

// send sends one segment, which is spent afterwards.
func (o *outbound) send(s *segment) error {
	run, bytes := s.stream, s.bytes
	*s = segment{}
	if run != nil {
		return o.sendStream(run)
	}
	for rest := bytes; len(rest) > 0; {
		chunk := rest[:min(len(rest), writeChunk)]
		if err := o.put(chunk); err != nil {
			return err
		}
		rest = rest[len(chunk):]
		o.taken(len(chunk))
	}
	o.giveBack(bytes)
	return nil
}

func (o *outbound) sendStream(run func(io.Writer) error) error {
	if o.buffer == nil {
		o.buffer = bufio.NewWriterSize(streaming{o}, 64<<10)
	}
	o.rate = &rate{least: o.c.links.limits.StreamRate, period: o.c.links.limits.StreamPeriod}
	defer func() { o.rate = nil }()
	if err := run(o.buffer); err != nil {
		return fmt.Errorf("link: sending a stream: %w", err)
	}
	return o.buffer.Flush()
}

// taken notes that the transport has taken n bytes of the queue.
func (o *outbound) taken(n int) {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	o.c.queued -= n
}

// giveBack keeps a buffer for packets to come.
func (o *outbound) giveBack(b []byte) {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	if o.c.spare == nil && cap(b) <= keepBuffer {
		o.c.spare = b[:0]
	}
}

// put writes p, waiting for the peer as long as it takes anything at all. The deadline is set anew only when an eighth of it has gone,
// which costs nothing while packets flow.
func (o *outbound) put(p []byte) error {
	limit := o.c.links.limits.WriteTimeout
	for {
		if now := time.Now(); now.Sub(o.armed) > limit/8 {
			o.armed = now
			if err := o.c.nc.SetWriteDeadline(now.Add(limit + limit/8)); err != nil {
				return err
			}
		}
		begun := time.Now()
		n, err := o.c.nc.Write(p)
		if o.rate != nil && o.rate.slow(n, time.Since(begun)) {
			return fmt.Errorf("%w: less than %d bytes of a snapshot in a second", ErrSlow, o.rate.least)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: %w", ErrSlow, err)
		}
		p = p[n:]
	}
}

// streaming is the connection as a stream sees it.
type streaming struct{ *outbound }

func (s streaming) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		chunk := p[n:min(len(p), n+writeChunk)]
		if err := s.put(chunk); err != nil {
			return n, err
		}
		n += len(chunk)
		if s.progress.due() {
			s.c.links.handler.Progress(s.c)
		}
	}
	return n, nil
}

// A rate watches how fast a peer takes a stream. Only the time that passes while the peer is waited for counts.
type rate struct {
	least  int           // bytes a second
	period time.Duration // after which it is looked at
	taken  int
	waited time.Duration // less than period
}

// slow notes that the peer has taken n bytes in d, and reports whether that was too little.
func (r *rate) slow(n int, d time.Duration) bool {
	r.taken += n
	if r.waited += d; r.waited < r.period {
		return false
	}
	tooFew := float64(r.taken) < float64(r.least)*r.waited.Seconds()
	r.taken, r.waited = 0, 0
	return tooFew
}

// failing is what a stream gets whose turn never comes.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// A pace lets through one in a while.
type pace struct {
	least time.Duration
	last  time.Time
}

func (p *pace) due() bool {
	now := time.Now()
	if now.Sub(p.last) < p.least {
		return false
	}
	p.last = now
	return true
}
