package server

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/admin"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A writer is the log's goroutine: it writes the groups the core hands over, syncs them together and says how far the disk has
// come. While it waits for the disk the core plans on; all that has come by the time a sync is over shares the next one.
type writer struct {
	server *Server
	wake   chan struct{} // room for one
	jobs   chan job

	mu     sync.Mutex
	queued []*replica.Records // handed over, oldest first
	free   []*replica.Records // empty room

	synced atomic.Int64 // zxid up to which the log is on disk
	fsync  latency
	group  []txnlog.Record // the goroutine's own
}

func newWriter(s *Server) *writer {
	w := &writer{server: s, wake: make(chan struct{}, 1), jobs: make(chan job)}
	w.synced.Store(int64(s.replica.Zxid()))
	return w
}

// freeMost is how many empty groups are kept to be filled again.
const freeMost = 4

// A job is something to be done with the store between two groups.
type job struct {
	do   func() error
	done chan error // has room for one
}

// do runs f on the log's goroutine, which the store belongs to, and waits for it: ErrClosed if the server stops before.
func (w *writer) do(f func() error) error {
	j := job{f, make(chan error, 1)}
	select {
	case w.jobs <- j:
		return <-j.done
	case <-w.server.stopping:
		return ErrClosed
	}
}

// append hands over what rs holds and leaves it empty.
func (w *writer) append(rs *replica.Records) {
	w.mu.Lock()
	var room *replica.Records
	if n := len(w.free); n > 0 {
		room, w.free = w.free[n-1], w.free[:n-1]
	} else {
		room = new(replica.Records)
	}
	*room, *rs = *rs, *room
	w.queued = append(w.queued, room)
	w.mu.Unlock()
	w.kick()
}

func (w *writer) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// progress is the zxid up to which the log is on disk.
func (w *writer) progress() znode.Zxid { return znode.Zxid(w.synced.Load()) }

// settleAfter is how long the log has to be quiet before the store is asked to put its notes in order.
const settleAfter = time.Second

// run writes until the server stops. What is queued then was never acknowledged.
func (w *writer) run() {
	quiet := time.NewTimer(settleAfter)
	defer quiet.Stop()
	for {
		select {
		case <-w.wake:
		case j := <-w.jobs:
			j.done <- j.do()
		case <-quiet.C:
			if err := w.server.store.Settle(); err != nil {
				w.server.fail(err)
			}
			continue
		case <-w.server.stopping:
			return
		}
		for w.turn() {
		}
		quiet.Reset(settleAfter)
	}
}

// turn writes and syncs what is queued, at most Config.MaxBatch transactions and at least one group; false if there is nothing or
// the disk failed.
func (w *writer) turn() bool {
	w.mu.Lock()
	n, size := 0, 0
	for n < len(w.queued) && (n == 0 || size < w.server.cfg.MaxBatch) {
		size += len(w.queued[n].List)
		n++
	}
	groups := w.queued[:n:n]
	w.queued = w.queued[n:]
	w.mu.Unlock()
	if n == 0 {
		return false
	}
	if err := w.write(groups); err != nil {
		w.server.fail(err)
		return false
	}
	for _, g := range groups {
		g.Reset()
	}
	w.mu.Lock()
	w.free = append(w.free, groups[:min(len(groups), freeMost-len(w.free))]...)
	w.mu.Unlock()
	w.server.kick()
	return true
}

func (w *writer) write(groups []*replica.Records) error {
	w.group = w.group[:0]
	for _, g := range groups {
		for i := range g.List {
			w.group = append(w.group, txnlog.Record{Zxid: g.List[i].Zxid, Payload: g.List[i].Payload})
		}
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
	w.synced.Store(int64(last))
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
