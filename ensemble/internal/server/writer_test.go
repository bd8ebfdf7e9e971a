package server

import (
	"context"
	"errors"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/image"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/store"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// bareWriter is the store's goroutine without a core: what it has done stays in finished.
type bareWriter struct {
	*writer
	fs *disk.Mem

	mu   sync.Mutex
	done []string // what reached the disk for good, in order: epoch files by name, and the log
}

func newBareWriter(t *testing.T) *bareWriter {
	b := &bareWriter{fs: disk.NewMem(nil)}
	s := &Server{log: slog.New(slog.DiscardHandler), wake: make(chan struct{}, 1), stopping: make(chan struct{})}
	s.cfg.MaxBatch = 3
	s.ctx, s.cancel = context.WithCancel(context.Background())
	var err error
	s.store, err = store.Open(b.fs, store.Options{DataDir: "data", Log: txnlog.Options{Prealloc: -1}})
	require.NoError(t, err)
	_, err = s.store.Recover(func(*snapshot.Reader) error { return nil }, func(txnlog.Record) error { return nil })
	require.NoError(t, err)
	d := tree.New(tree.Options{}).Dump()
	w, err := s.store.BeginSnapshot(0)
	require.NoError(t, err)
	require.NoError(t, image.Write(w, image.Source{Dump: d}))
	require.NoError(t, s.store.CommitSnapshot(w))
	b.fs.SetFault(func(op disk.Op) disk.Fault {
		b.mu.Lock()
		defer b.mu.Unlock()
		name := path.Base(op.Path)
		if op.Kind == disk.OpRename {
			name = path.Base(op.To)
		}
		switch {
		case op.Kind == disk.OpSync && (strings.HasPrefix(name, "log.") || name == txnlog.SpareName): // which becomes the next log
			name = "log"
		case op.Kind == disk.OpRename && strings.HasSuffix(name, "Epoch"):
		default:
			return disk.Fault{}
		}
		if len(b.done) == 0 || b.done[len(b.done)-1] != name {
			b.done = append(b.done, name)
		}
		return disk.Fault{}
	})
	b.writer = newWriter(s)
	s.running.Go(b.writer.run) // ends with stop
	t.Cleanup(func() {
		b.fs.SetFault(nil)
		s.stop()
		s.running.Wait()
		_ = s.store.Close()
	})
	return b
}

// logged is an operation that appends transactions.
func logged(zxids ...znode.Zxid) replica.DiskOp {
	rs := new(replica.Records)
	for _, z := range zxids {
		x := txn.Txn{Header: txn.Header{Zxid: z, Type: wire.OpError}, Body: &txn.Error{Code: znode.CodeNoNode}}
		rs.List = append(rs.List, replica.Record{Zxid: z, Payload: x.AppendPayload(nil)})
	}
	return replica.DiskOp{Kind: replica.DiskAppend, Records: rs}
}

const (
	e1 = znode.Zxid(1) << 32
	e2 = znode.Zxid(2) << 32
)

// aLife is what a member asks of its store that follows one leader and then another, who knows nothing of the end of its log.
func aLife() []replica.DiskOp {
	return []replica.DiskOp{
		{Kind: replica.DiskAcceptedEpoch, Epoch: 1},
		logged(e1+1, e1+2), logged(e1 + 3), logged(e1 + 4),
		{Kind: replica.DiskCurrentEpoch, Epoch: 1},
		{Kind: replica.DiskServed},
		logged(e1+5, e1+6),
		{Kind: replica.DiskAcceptedEpoch, Epoch: 2},
		{Kind: replica.DiskTruncate, Zxid: e1 + 4, Reload: true},
		logged(e2 + 1),
		{Kind: replica.DiskCurrentEpoch, Epoch: 2},
		{Kind: replica.DiskServed},
		{Kind: replica.DiskWhole},
	}
}

// taken is what is done, once nothing happens any more.
func (b *bareWriter) taken() []finishedOp {
	synctest.Wait()
	b.writer.mu.Lock()
	defer b.writer.mu.Unlock()
	return slices.Clone(b.finished)
}

func TestTheStoreWorksInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBareWriter(t)
		b.server.cfg.Tree = tree.Options{}
		life := aLife()
		for _, op := range life {
			b.enqueue(op)
		}
		done := b.taken()
		require.NoError(t, b.server.Err())
		require.Len(t, done, len(life))
		for i, f := range done {
			require.Equal(t, life[i].Kind, f.op.Kind)
			require.Equal(t, life[i].Epoch, f.op.Epoch)
			require.Equal(t, life[i].Kind == replica.DiskTruncate, f.tree != nil)
			require.NoError(t, f.unreachable)
		}
		require.Equal(t, []znode.Zxid{e1 + 2, e1 + 3, e1 + 4, e1 + 6, e2 + 1}, appended(done))
		require.Equal(t, []string{"acceptedEpoch", "log", "currentEpoch", "log", "acceptedEpoch", "log", "currentEpoch"}, b.done)
		accepted, current, err := b.server.store.Epochs(e2 + 1)
		require.NoError(t, err)
		require.Equal(t, []int64{2, 2}, []int64{accepted, current})
		require.True(t, b.server.store.Served())
		require.Equal(t, e2+1, b.server.store.Last())

		b.enqueue(replica.DiskOp{Kind: replica.DiskTruncate, Zxid: e1 + 5})
		done = b.taken()
		require.ErrorIs(t, done[len(done)-1].unreachable, store.ErrUnreachable, "it leads to no such state")
		require.NoError(t, b.server.Err())
		require.Equal(t, e2+1, b.server.store.Last(), "and nothing has changed")
	})
}

// appended is how far the log goes with each group.
func appended(done []finishedOp) (list []znode.Zxid) {
	for _, f := range done {
		if f.op.Kind == replica.DiskAppend {
			list = append(list, f.op.Zxid)
		}
	}
	return list
}

// TestNothingIsDoneAfterAFailure has the disk fail at every change in turn. What was reported before has to be there, the server ends
// and says why, and of what comes behind nothing may be done: a promise or an epoch on disk would vouch for a history that is not.
func TestNothingIsDoneAfterAFailure(t *testing.T) {
	for _, cause := range []error{errors.New("input/output error"), disk.ErrNoSpace} {
		failures := 0
		for at := int64(1); ; at++ {
			failed := false
			synctest.Test(t, func(t *testing.T) { failed = failAt(t, at, cause) })
			if !failed {
				break
			}
			failures++
		}
		require.Greater(t, failures, 20)
	}
}

// failAt has one change fail; false if there are not so many.
func failAt(t *testing.T, at int64, cause error) (failed bool) {
	b := newBareWriter(t)
	var after []disk.Op
	begin := b.fs.Steps()
	b.fs.SetFault(func(op disk.Op) disk.Fault {
		switch {
		case op.Step == begin+1:
			time.Sleep(2 * time.Millisecond) // so that all the rest waits
		case op.Step > begin+at && op.Kind != disk.OpRemove && op.Kind != disk.OpSyncDir: // what failed half-way is tidied up
			after = append(after, op)
		}
		if op.Step == begin+at {
			failed = true
			return disk.Fault{Err: cause}
		}
		return disk.Fault{}
	})
	for _, op := range aLife() {
		b.enqueue(op)
	}
	time.Sleep(time.Millisecond)
	b.kick() // and is known to wait
	time.Sleep(2 * settleAfter)
	done := b.taken()
	if !failed {
		require.Len(t, done, len(aLife()))
		return false
	}
	if b.server.Err() == nil { // a lack of space it could do without: the next file is made a little ahead
		require.ErrorIs(t, cause, disk.ErrNoSpace)
		require.Len(t, done, len(aLife()))
		return true
	}
	require.ErrorContains(t, b.server.Err(), cause.Error(), "change %d", at)
	require.Less(t, len(done), len(aLife()))
	require.Empty(t, after, "after change %d failed", at)
	require.ErrorIs(t, b.do(func() error { t.Error("a job is done after a failure"); return nil }), ErrClosed)
	for i, f := range done {
		require.Equal(t, aLife()[i].Kind, f.op.Kind)
	}
	return true
}

// TestSnapshotsAreWrittenUnderLoad has writes come as fast as the disk takes them, so that there always is something to be logged.
func TestSnapshotsAreWrittenUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, 0, func(c *Config) { c.SnapCount = 50 })
		m := c.mustServe()
		m.drive.slowDown(func() time.Duration { return 3 * time.Millisecond })
		var load sync.WaitGroup
		stop := make(chan struct{})
		for i := range 3 {
			v := m.mustDial()
			load.Go(func() { // ends with stop
				time.Sleep(time.Duration(i) * time.Millisecond)
				for {
					select {
					case <-stop:
						return
					default:
						v.mustCall(wire.OpSetData, set("/zookeeper", "x"))
					}
				}
			})
		}
		time.Sleep(20 * tick)
		require.Positive(t, c.ledger.count("snapshot written"))
		close(stop)
		load.Wait()
	})
}
