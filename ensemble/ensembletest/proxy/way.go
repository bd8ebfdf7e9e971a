package proxy

import (
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/dialogue"
)

const (
	minRead = 4 << 10
	maxRead = 64 << 10
	// maxHeld is how many bytes wait in one way of a connection before the proxy stops reading, so that who writes has to wait.
	maxHeld = 1 << 20
)

// A way is one direction of a connection. Its reader passes on what comes, itself as long as nothing has to wait. Once something has, a
// second goroutine does that, until nothing waits any more.
type way struct {
	c        *conn
	from, to net.Conn
	read     func(b []byte, out []dialogue.Frame) []dialogue.Frame // c.mu is held
	rest     func() []byte

	// The reader's.
	frames []dialogue.Frame
	batch  []byte // what the parcels alias that judge makes
	over   bool   // a fault has cut this way, and what comes now is too late

	draining sync.WaitGroup // the second goroutine
	room     chan struct{}  // holds one when there may be room in the queue

	mu    sync.Mutex
	busy  bool     // there is a second goroutine
	queue []parcel // what waits
	held  int      // bytes in it
}

// A parcel is some bytes on their way, and what comes behind them.
type parcel struct {
	bytes   []byte
	waits   []*Fault
	arrived time.Time
	end     ending
}

// An ending is what comes behind a parcel.
type ending int8

const (
	goesOn ending = iota
	severed
	finished // the end of the stream
	failed   // a reset
)

// run carries what comes until there is no more, and nothing waits.
func (w *way) run() {
	defer w.draining.Wait()
	buf := make([]byte, minRead)
	for {
		n, err := w.from.Read(buf)
		if n > 0 && !w.pass(w.judge(buf[:n])) {
			return
		}
		if err != nil {
			w.finish(err)
			return
		}
		if n == len(buf) && n < maxRead {
			buf = make([]byte, 2*n)
		}
	}
}

// finish passes on that there is no more. It takes its turn like everything else.
func (w *way) finish(err error) {
	last := parcel{end: failed}
	if err == io.EOF {
		last = parcel{end: finished, bytes: w.rest()}
	}
	if !w.over {
		w.pass([]parcel{last}) // nothing follows
	}
}

// judge makes parcels of what has come, as faults will have it. They are valid until the next call.
func (w *way) judge(b []byte) (parcels []parcel) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.frames = w.read(b, w.frames[:0])
	if cap(w.batch) > maxRead {
		w.batch = nil
	}
	w.batch = w.batch[:0]
	begin := 0 // of the last parcel, in w.batch
	for i := 0; i < len(w.frames) && !w.over; i++ {
		f := &w.frames[i]
		v := w.c.p.judge(&f.Message)
		if i == 0 || len(v.waits) > 0 {
			begin = len(w.batch)
			parcels = append(parcels, parcel{waits: v.waits, arrived: time.Now()})
		}
		p := &parcels[len(parcels)-1] // what does not wait by itself is behind what does
		if v.fate == arrives || v.fate == isCut {
			w.batch = append(w.batch, f.Bytes...)
			p.bytes = w.batch[begin:len(w.batch):len(w.batch)]
		}
		if v.fate == isLost || v.fate == isCut {
			p.end, w.over = severed, true
		}
	}
	return parcels
}

// pass delivers parcels, or lets them wait behind what waits. It reports whether more may follow: not when the connection is over.
func (w *way) pass(parcels []parcel) bool {
	for i, p := range parcels {
		if w.enqueue(parcels[i:]) {
			return w.roomy()
		}
		if !w.deliver(p) {
			return false
		}
	}
	return true
}

// enqueue lets all of them wait if the first has to, and reports whether it has.
func (w *way) enqueue(parcels []parcel) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.busy && len(parcels[0].waits) == 0 {
		return false
	}
	for _, p := range parcels {
		p.bytes = slices.Clone(p.bytes)
		w.queue = append(w.queue, p)
		w.held += len(p.bytes)
	}
	if !w.busy {
		w.busy = true
		w.draining.Go(w.drain) // ends when nothing waits any more, or the connection is over
	}
	return true
}

// roomy waits until not too much waits. It reports false when the connection is over.
func (w *way) roomy() bool {
	for {
		w.mu.Lock()
		full := w.held > maxHeld
		w.mu.Unlock()
		if !full {
			return true
		}
		select {
		case <-w.room:
		case <-w.c.done:
			return false
		}
	}
}

// drain delivers what waits, each when its time has come.
func (w *way) drain() {
	for {
		w.mu.Lock()
		if len(w.queue) == 0 {
			w.busy, w.queue = false, nil
			w.mu.Unlock()
			return
		}
		p := w.queue[0]
		w.queue = w.queue[1:]
		w.mu.Unlock()
		if !w.waited(p) || !w.deliver(p) {
			return
		}
		w.mu.Lock()
		w.held -= len(p.bytes)
		w.mu.Unlock()
		select {
		case w.room <- struct{}{}:
		default: // it is known already
		}
	}
}

// waited waits until the time of a parcel has come, or the connection is cut. It reports false when the connection is over.
func (w *way) waited(p parcel) bool {
	for _, f := range p.waits {
		var due <-chan time.Time // never, if it is frozen
		if f.delay > 0 {
			timer := time.NewTimer(time.Until(p.arrived.Add(f.delay)))
			defer timer.Stop()
			due = timer.C
		}
		select {
		case <-due:
		case <-f.ended:
		case <-w.c.cut:
		case <-w.c.done:
			return false
		}
	}
	return true
}

// deliver writes a parcel, unless the connection is cut, and ends what it ends. It reports false when the connection is over.
func (w *way) deliver(p parcel) bool {
	if w.c.isCut() {
		return true
	}
	if p.end == severed {
		w.c.sever(w.to, p.bytes)
		return true
	}
	if len(p.bytes) > 0 {
		if _, err := w.to.Write(p.bytes); err != nil {
			if w.c.isCut() {
				return true
			}
			w.c.abort()
			return false
		}
	}
	switch p.end {
	case finished:
		w.finishTo()
	case failed:
		w.c.abort()
		return false
	}
	return true
}

// finishTo ends the stream at its other end, and the other way too if nobody hears what comes there.
func (w *way) finishTo() {
	if deaf(w.from) {
		_ = w.to.Close()
		return
	}
	closeWrite(w.to)
}
