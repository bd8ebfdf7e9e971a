package txnlog

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// While the disk hangs in whatever a Log does to it, Reserve and Release answer at once, as long as there is room ahead.
func TestReserveBesideAHangingDisk(t *testing.T) {
	for name, c := range map[string]struct {
		hangs disk.OpKind
		does  func(l *Log) error
	}{
		"write":        {disk.OpWrite, func(l *Log) error { return l.Append(group(2, 1, 50)) }},
		"sync":         {disk.OpSync, func(l *Log) error { _, err := l.Sync(); return err }},
		"end of file":  {disk.OpTruncate, (*Log).Roll},
		"name of file": {disk.OpRename, func(l *Log) error { return l.Append(group(2, 1, 50)) }},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMem(t)
			l := mustOpen(t, m, &Options{Prealloc: 10_000})
			require.NoError(t, l.Append(group(1, 1, 50)))
			if c.hangs == disk.OpRename {
				require.NoError(t, l.Roll())
			}
			hanging, release := make(chan struct{}), make(chan struct{})
			var once sync.Once
			m.SetFault(func(op disk.Op) disk.Fault {
				if op.Kind == c.hangs {
					once.Do(func() { close(hanging); <-release })
				}
				return disk.Fault{}
			})
			var wait sync.WaitGroup
			wait.Go(func() { require.NoError(t, c.does(l)) }) // ends when the disk goes on
			<-hanging
			answered := make(chan error, 1)
			wait.Go(func() { // ends at once, or when the disk goes on
				err := l.Reserve(100)
				l.Release(100)
				answered <- err
			})
			select {
			case err := <-answered:
				require.NoError(t, err)
			case <-time.After(10 * time.Second):
				t.Error("Reserve waits for the disk")
			}
			close(release)
			wait.Wait()
			m.SetFault(nil)
			require.NoError(t, l.Close())
		})
	}
}

// What was promised is there on a disk that has become full, whoever reserves beside whatever is done with the log.
func TestReserveBesideEverything(t *testing.T) {
	m := newMem(t)
	l := mustOpen(t, m, &Options{Prealloc: 3000})
	stop := make(chan struct{})
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() { // ends with stop
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := l.Reserve(500); err == nil {
					l.Release(500)
				} else if !errors.Is(err, disk.ErrNoSpace) {
					t.Error(err)
					return
				}
			}
		})
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		g := group(l.Last()+1, 1+r.IntN(4), 60)
		n := int64(0)
		for _, x := range g {
			n += int64(len(x.Payload)) + RecordOverhead
		}
		require.NoError(t, l.Reserve(n))
		m.SetBudget(m.Used())
		if r.IntN(20) == 0 {
			if err := l.Roll(); err != nil {
				require.ErrorIs(t, err, disk.ErrNoSpace)
			}
		}
		require.NoError(t, l.Append(g))
		if r.IntN(5) == 0 {
			_, err := l.Sync()
			require.NoError(t, err)
		}
		m.SetBudget(0)
	}
	close(stop)
	wait.Wait()
	require.NoError(t, l.Close())
	mustHave(t, mustOpen(t, m, nil), l.Last(), l.Last())
}

func TestClear(t *testing.T) {
	m := newMem(t)
	l := mustOpen(t, m, &Options{Prealloc: 1000})
	for z := znode.Zxid(1); z < 9; z++ {
		mustAppend(t, l, group(z, 1, 50))
		require.NoError(t, l.Roll())
	}
	mustAppend(t, l, group(9, 3, 50))
	h, err := Highest(m, dir)
	require.NoError(t, err)
	require.EqualValues(t, 11, h)
	require.NoError(t, l.Reserve(100))
	require.NoError(t, l.Clear(5))
	require.EqualValues(t, 5, l.Last())
	require.Zero(t, l.Mark())
	require.Empty(t, l.Files())
	require.ErrorIs(t, l.Append(group(12, 1, 50)), ErrOrder)
	mustAppend(t, l, group(6, 2, 50))
	mustHave(t, l, 6, 6, 7)
	require.NoError(t, l.Close())
	l = mustOpen(t, m, nil)
	mustHave(t, l, 6, 6, 7)
	require.NoError(t, l.Clear(znode.MakeZxid(4, 2)), "ahead of it, too")
	require.NoError(t, l.Close())
	h, err = Highest(m, dir)
	require.NoError(t, err)
	require.Zero(t, h)
	require.Error(t, l.Clear(1))
}
