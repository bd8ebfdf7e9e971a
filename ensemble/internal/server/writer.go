package server

import (
	"errors"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/admin"
	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/store"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
)

// A writer is the store's goroutine: it does what the core hands over, in order, and says what is done. Records that have come by
// the time a sync is over share the next one; while it waits for the disk the core goes on.
type writer struct {
	server *Server
	wake   chan struct{} // room for one
	jobs   chan job

	mu       sync.Mutex
	queued   []replica.DiskOp // handed over, oldest first
	finished []finishedOp     // done, and not taken by the core

	stage stage // at work on an operation or a job
	fsync latency
	group []txnlog.Record // the goroutine's own
	ops   []replica.DiskOp
}

// A finishedOp is an operation that is done.
type finishedOp struct {
	op          replica.DiskOp
	tree        *tree.Tree // what was read again
	unreachable error      // why it could not be done, and has changed nothing
}

func newWriter(s *Server) *writer {
	return &writer{server: s, wake: make(chan struct{}, 1), jobs: make(chan job), stage: stage{name: "disk"}}
}

// A job is something to be done with the store between two operations.
type job struct {
	do   func() error
	done chan error // has room for one
}

// do runs f on the store's goroutine, between two operations, and waits for it: ErrClosed if the server stops before. Which of the
// operations that were handed over are done by then is not said.
func (w *writer) do(f func() error) error {
	j := job{f, make(chan error, 1)}
	select {
	case w.jobs <- j:
		return <-j.done
	case <-w.server.stopping:
		return ErrClosed
	}
}

// enqueue hands operations over. What would take history back waits until no snapshot of it is being written any more, and with it
// what comes after.
func (s *Server) enqueue(ops []replica.DiskOp) {
	for i := range ops {
		if ops[i].Kind == replica.DiskAppend {
			s.sinceSnapshot += len(ops[i].Records.List)
			for _, r := range ops[i].Records.List {
				s.bytesSinceSnapshot += int64(len(r.Payload)) + txnlog.RecordOverhead
			}
		}
		if ops[i].Kind == replica.DiskTruncate && s.dump.writing() || len(s.withheld) > 0 {
			s.dump.interrupt()
			s.withheld = append(s.withheld, ops[i])
			continue
		}
		s.writer.enqueue(ops[i])
	}
}

// release hands over what was withheld, once no snapshot is being written any more.
func (s *Server) release() {
	if len(s.withheld) == 0 || s.dump.writing() {
		return
	}
	for _, op := range s.withheld {
		s.writer.enqueue(op)
	}
	s.withheld = nil
}

// completed takes note of what is done.
func (s *Server) completed(now replica.Time) error {
	s.release()
	w := s.writer
	w.mu.Lock()
	s.finished, w.finished = w.finished, s.finished[:0]
	w.mu.Unlock()
	for i := range s.finished {
		f := &s.finished[i]
		switch {
		case errors.Is(f.unreachable, disk.ErrDamaged):
			s.replica.Unreachable(&f.op, f.unreachable, now)
		case f.unreachable != nil:
			s.replica.Unreachable(&f.op, nil, now)
		case f.tree != nil:
			s.tree.Lock()
			s.replica.Written(&f.op, f.tree, now)
			s.tree.Unlock()
		default:
			s.replica.Written(&f.op, nil, now)
		}
	}
	clear(s.finished)
	return nil
}

func (w *writer) enqueue(op replica.DiskOp) {
	w.mu.Lock()
	w.queued = append(w.queued, op)
	w.mu.Unlock()
	w.kick()
}

func (w *writer) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// settleAfter is how long the log has to be quiet before the store is asked to put its notes in order.
const settleAfter = time.Second

// run writes until the server stops or the disk fails. What is queued then was never acknowledged, and after a failure nothing of it may
// be done: it relies on what was to be done before.
func (w *writer) run() {
	quiet := time.NewTimer(settleAfter)
	defer quiet.Stop()
	for {
		select {
		case <-w.wake:
		case j := <-w.jobs:
			w.work(j)
		case <-quiet.C:
			w.stage.begin(w.server)
			err := w.server.store.Settle()
			w.stage.end()
			if err != nil {
				w.server.fail(err)
				return
			}
			continue
		case <-w.server.stopping:
			return
		}
		for more := true; more; {
			var err error
			if more, err = w.turn(); err != nil {
				w.server.fail(err)
				return
			}
			select {
			case j := <-w.jobs: // also when there never is nothing to do
				w.work(j)
			default:
			}
		}
		quiet.Reset(settleAfter)
	}
}

// work does a job.
func (w *writer) work(j job) {
	w.stage.begin(w.server)
	err := j.do()
	w.stage.end()
	j.done <- err
}

// turn does what is queued: one operation, or records in one sync, at most Config.MaxBatch of them and at least one group.
// There is more to do unless nothing was.
func (w *writer) turn() (more bool, err error) {
	w.mu.Lock()
	n, size := 0, 0
	for n < len(w.queued) && w.queued[n].Kind == replica.DiskAppend && (n == 0 || size < w.server.cfg.MaxBatch) {
		size += len(w.queued[n].Records.List)
		n++
	}
	n = min(max(n, 1), len(w.queued))
	w.ops = append(w.ops[:0], w.queued[:n]...)
	left := copy(w.queued, w.queued[n:])
	clear(w.queued[left:])
	w.queued = w.queued[:left]
	w.mu.Unlock()
	if n == 0 {
		return false, nil
	}
	var done finishedOp
	w.stage.begin(w.server)
	if w.ops[0].Kind == replica.DiskAppend {
		err = w.write(w.ops)
	} else {
		done, err = w.change(w.ops[0])
	}
	w.stage.end()
	if err != nil {
		return false, err
	}
	w.mu.Lock()
	if w.ops[0].Kind == replica.DiskAppend {
		for _, op := range w.ops {
			w.finished = append(w.finished, finishedOp{op: op})
		}
	} else {
		w.finished = append(w.finished, done)
	}
	w.mu.Unlock()
	clear(w.ops)
	w.server.kick()
	return true, nil
}

// change does what is not appending records.
func (w *writer) change(op replica.DiskOp) (done finishedOp, err error) {
	st := w.server.store
	done.op = op
	switch op.Kind {
	case replica.DiskAcceptedEpoch:
		err = st.SaveAcceptedEpoch(op.Epoch)
	case replica.DiskCurrentEpoch:
		err = st.SaveCurrentEpoch(op.Epoch)
	case replica.DiskServed:
		err = st.MarkServed()
	case replica.DiskWhole:
		err = st.SetFuzzy(false)
	case replica.DiskTruncate:
		if err = st.Truncate(op.Zxid); errors.Is(err, store.ErrUnreachable) {
			done.unreachable = err
			return done, nil
		}
		if err == nil && op.Reload {
			done.tree, err = w.server.reload()
		}
	}
	return done, err
}

// write appends groups of records and syncs them, and notes in each how far the log goes with it.
func (w *writer) write(ops []replica.DiskOp) error {
	w.group = w.group[:0]
	for i := range ops {
		for _, r := range ops[i].Records.List {
			w.group = append(w.group, txnlog.Record{Zxid: r.Zxid, Payload: r.Payload})
		}
		ops[i].Zxid = w.group[len(w.group)-1].Zxid
	}
	st := w.server.store
	if err := st.Append(w.group); err != nil {
		return err
	}
	begun := time.Now()
	last, err := st.Sync()
	if err != nil {
		return err
	}
	took := time.Since(begun)
	w.fsync.add(took)
	if warn := w.server.cfg.FsyncWarning; warn > 0 && took > warn {
		w.server.log.Warn("slow fsync of the transaction log", "server", w.server.cfg.ID, "took", took, "zxid", last)
	}
	return nil
}

// latency sums up how long something took. Its methods may be called by many goroutines.
type latency struct {
	mu  sync.Mutex
	sum admin.Timing
}

func (l *latency) add(d time.Duration) {
	ms := d.Milliseconds()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sum.Count == 0 || ms < l.sum.Min {
		l.sum.Min = ms
	}
	l.sum.Count++
	l.sum.Sum += ms
	l.sum.Max = max(l.sum.Max, ms)
}

func (l *latency) timing() admin.Timing {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sum
}
