package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A promise is what a server may have told others, and what it has tried since: the bounds of what a crash may leave.
type promise struct {
	acked    znode.Zxid // synced, and said so
	tried    znode.Zxid // appended or truncated away, perhaps
	accepted [2]int64   // epoch promised, epoch being written
	current  [2]int64
	// installing is the snapshot that may have become all there is; -1: none
	installing znode.Zxid
}

// A life is a server's store with its promises. Each step of the script is one call, so that a crash in it is bounded by what was
// promised before.
type life struct {
	fsys disk.FS
	opts Options
	p    promise
	s    *Store
}

// script is a bit of everything a server does to its disk. It stops at the first error.
func (l *life) script() error {
	steps := []func() error{
		l.open,
		func() error { return save(l.s, 0) },
		l.append(1), l.append(3), l.append(12),
		l.unsynced(2, 5),
		func() error { return l.s.Settle() },
		func() error { return l.s.Roll() },
		l.append(4),
		func() error { return l.snapshotBeside(2) },
		l.append(2),
		l.epochs,
		l.accept(2), l.follow(2),
		l.epoch(2), l.append(6),
		func() error { l.opts.Compression = snapshot.Gzip; return l.reopen() },
		l.append(3),
		func() error { return save(l.s, l.p.acked) },
		l.append(2),
		func() error { return save(l.s, l.p.acked) },
		func() error { return saveOf(l.s, l.p.acked, 31) }, // again, in place of the other, of another size
		func() error { _, err := l.s.PurgeBefore(znode.MakeZxid(2, 1)); return err },
		l.append(9),
		l.truncate(4),
		l.append(2),
		l.unsynced(1, 1, 1),
		func() error { return l.s.Close() },
		l.open,
		l.append(1),
		// An election, and a leader that has less: TRUNC, then what it has, then its epoch (section 2.5's order).
		l.accept(3), l.truncate(2), l.append(1), l.follow(3), l.epoch(3), l.append(5),
		func() error { return save(l.s, l.p.acked) },
		l.append(4),
		// One that has less, and sends all of it: below the end of the log, and below a snapshot.
		l.accept(4), l.install(func() znode.Zxid { return l.p.acked - 6 }), l.follow(4), l.append(2), l.epoch(4), l.append(2),
		// One that is far ahead, of whose epoch this server has followed nothing.
		l.accept(6), l.install(func() znode.Zxid { return znode.MakeZxid(6, 50) }), l.append(1), l.follow(6), l.append(2),
		l.truncate(2), l.append(3),
		func() error { return save(l.s, l.p.acked) },
		l.reopen,
		// One whose snapshot ends just where this server's history does.
		l.accept(7), l.install(func() znode.Zxid { return l.p.acked }), l.follow(7), l.epoch(7), l.append(1),
		func() error { return l.s.MarkServed() },
		func() error { return l.s.Close() },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (l *life) open() error {
	s, _, _, err := recoverIn(l.fsys, l.opts)
	l.s = s
	return err
}

func (l *life) reopen() error {
	if err := l.s.Close(); err != nil {
		return err
	}
	return l.open()
}

func (l *life) write(n int) error {
	l.p.tried = l.s.Last() + znode.Zxid(n)
	if err := l.s.Reserve(int64(n) * 1000); err != nil {
		return err
	}
	return l.s.Append(records(l.s.Last()+1, n))
}

func (l *life) sync() error {
	synced, err := l.s.Sync()
	if err == nil {
		l.p.acked = synced
	}
	return err
}

func (l *life) append(n int) func() error {
	return func() error {
		if err := l.write(n); err != nil {
			return err
		}
		return l.sync()
	}
}

// unsynced appends several groups before one sync.
func (l *life) unsynced(groups ...int) func() error {
	return func() error {
		for _, n := range groups {
			if err := l.write(n); err != nil {
				return err
			}
		}
		return l.sync()
	}
}

// epoch appends the first transaction of an epoch.
func (l *life) epoch(e uint32) func() error {
	return func() error {
		l.p.tried = znode.MakeZxid(e, 1)
		if err := l.s.Append(records(l.p.tried, 1)); err != nil {
			return err
		}
		return l.sync()
	}
}

// snapshotBeside writes a snapshot while records go on.
func (l *life) snapshotBeside(n int) error {
	w, err := l.s.BeginSnapshot(l.p.acked)
	if err != nil {
		return err
	}
	at := l.p.acked
	if err := l.append(n)(); err != nil {
		return err
	}
	if err := writeImage(w, at, 20); err != nil {
		return err
	}
	if err := l.append(n)(); err != nil {
		return err
	}
	return l.s.CommitSnapshot(w)
}

func (l *life) epochs() error {
	l.p.accepted, l.p.current = [2]int64{noEpoch, 0}, [2]int64{noEpoch, 0}
	_, _, err := l.s.Epochs(l.s.Last())
	if err == nil {
		l.p.accepted, l.p.current = [2]int64{0, 0}, [2]int64{0, 0}
	}
	return err
}

func (l *life) accept(e int64) func() error {
	return func() error {
		l.p.accepted[1] = e
		err := l.s.SaveAcceptedEpoch(e)
		if err == nil {
			l.p.accepted[0] = e
		}
		return err
	}
}

func (l *life) follow(e int64) func() error {
	return func() error {
		l.p.current[1] = e
		err := l.s.SaveCurrentEpoch(e)
		if err == nil {
			l.p.current[0] = e
		}
		return err
	}
}

// truncate goes back by n transactions, after which anything between may be there if it is cut short.
func (l *life) truncate(n int) func() error {
	return func() error {
		to := l.p.acked - znode.Zxid(n)
		l.p.acked = to
		if err := l.s.Truncate(to); err != nil {
			return err
		}
		l.p.tried = to
		for range 2 { // as often as need be
			d := &database{}
			if rec, err := l.s.Reload(d.load, d.apply); err != nil || rec.Last != to || d.last != to {
				return fmt.Errorf("reload after truncate to %v: %v, %w", to, rec.Last, err)
			}
		}
		return nil
	}
}

// install takes a snapshot from a leader. It has another size than one of this server's own.
func (l *life) install(at func() znode.Zxid) func() error {
	return func() error {
		z := at()
		w, err := l.s.BeginSnapshot(z)
		if err != nil {
			return err
		}
		if err := writeImage(w, z, 25); err != nil {
			return err
		}
		l.p.installing = z
		if err := l.s.Install(w); err != nil {
			return err
		}
		l.p.acked, l.p.tried, l.p.installing = z, z, -1
		if l.s.Last() != z {
			return fmt.Errorf("after installing %v the last is %v", z, l.s.Last())
		}
		for range 2 {
			d := &database{}
			if rec, err := l.s.Reload(d.load, d.apply); err != nil || rec.Last != z || rec.Records != 0 {
				return fmt.Errorf("reload after installing %v: %v, %w", z, rec.Last, err)
			}
		}
		return nil
	}
}

func newLife(fsys disk.FS) *life {
	l := &life{fsys: fsys, opts: small()}
	l.p.installing = -1
	l.p.accepted, l.p.current = [2]int64{noEpoch, noEpoch}, [2]int64{noEpoch, noEpoch}
	return l
}

// mustKeep recovers a crashed disk and holds it to the promises; then goes on with it, and does without a witness.
func (p promise) mustKeep(t *testing.T, m *disk.Mem, what string) {
	t.Helper()
	opts := small()
	opts.TrustEmpty = true // the first snapshot may not have been written yet
	s, d, rec, err := recoverIn(m, opts)
	require.NoError(t, err, what)
	require.Empty(t, rec.Foreign, what)
	require.Empty(t, rec.Skipped, what)
	installed := rec.Snapshot != nil && rec.Snapshot.Zxid == p.installing && imageSize(t, m, p.installing) == 25
	if installed {
		require.Equal(t, p.installing, rec.Last, what)
		require.Len(t, mustNames(t, m), 1, what)
	} else {
		require.GreaterOrEqual(t, rec.Last, p.acked, what)
		require.LessOrEqual(t, rec.Last, max(p.tried, p.acked), what)
	}
	require.Equal(t, rec.Last, d.last, what)
	for i, bound := range [2][2]int64{p.accepted, p.current} {
		v, err := s.readEpoch(epochNames[i])
		require.NoError(t, err, what)
		require.Contains(t, bound[:], v, what)
	}
	a, c, err := s.Epochs(rec.Last)
	require.NoError(t, err, what)
	require.GreaterOrEqual(t, c, int64(rec.Last.Epoch()), what)
	require.GreaterOrEqual(t, a, c, what)
	require.NoError(t, s.Append(records(rec.Last+1, 2)), what)
	_, err = s.Sync()
	require.NoError(t, err, what)
	last := s.Last()
	m = m.CrashClone(disk.KeepNone)
	s, _, rec, err = recoverIn(m, opts)
	require.NoError(t, err, what)
	require.Equal(t, last, rec.Last, what)
	require.NoError(t, s.Close(), what)

	require.NoError(t, m.Remove(filepath.Join(dataDir, versionDir, witnessName)))
	s, _, rec, err = recoverIn(m, opts)
	require.NoError(t, err, "%s; as Apache sees it", what)
	require.Equal(t, last, rec.Last, what)
	require.NoError(t, s.Close(), what)
}

// mustNames are the snapshots in the directory.
func mustNames(t *testing.T, m *disk.Mem) []snapshot.Name {
	t.Helper()
	names, err := snapshot.Names(m, filepath.Join(dataDir, versionDir))
	require.NoError(t, err)
	return names
}

// imageSize is how many nodes the newest snapshot of that zxid has, without the root.
func imageSize(t *testing.T, m *disk.Mem, zxid znode.Zxid) int {
	t.Helper()
	for _, name := range mustNames(t, m) {
		if name.Zxid != zxid {
			continue
		}
		r, err := snapshot.Open(m, filepath.Join(dataDir, versionDir), name)
		require.NoError(t, err)
		defer r.Close()
		_, err = r.Sessions()
		require.NoError(t, err)
		_, err = r.ACLs()
		require.NoError(t, err)
		for n := -1; ; n++ {
			if err := r.Next(&snapshot.Node{}); err != nil {
				return n
			}
		}
	}
	return -1
}

// keeps are the crashes tried at each point: what is unsynced is lost, is kept, or any part of it is.
func keeps(seeds int) map[string]func(disk.Unsynced) bool {
	m := map[string]func(disk.Unsynced) bool{"none": disk.KeepNone, "all": disk.KeepAll}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(uint64(seed), 11))
		m[fmt.Sprintf("some %d", seed)] = disk.KeepSome(r, 0.2+0.2*float64(seed%4))
	}
	return m
}

// stride is how many changes of a script the tests that try each of them go on at a time. With -short, as the race detector is run,
// that is not each of them: the run without it tries them all.
func stride() int64 {
	if testing.Short() {
		return 11
	}
	return 1
}

// The script is crashed at every change it makes on the disk, before it and after it, with what was unsynced lost, kept, and in
// part. Every time all that was promised is there after a restart, nothing is half there, and the server goes on.
func TestCrashEverywhere(t *testing.T) {
	seeds := 3
	if testing.Short() {
		seeds = 1
	}
	whole := crashable()
	require.NoError(t, newLife(whole).script())
	runs := 0
	for step := int64(1); step <= whole.Steps(); step += stride() {
		for _, after := range []bool{false, true} {
			m := crashable()
			m.CrashAt(step, after)
			l := newLife(m)
			require.ErrorIs(t, l.script(), disk.ErrCrashed, "step %d", step)
			for how, keep := range keeps(seeds) {
				l.p.mustKeep(t, m.CrashClone(keep), fmt.Sprintf("change %d of %d, after %v, keeping %s", step, whole.Steps(), after, how))
				runs++
			}
		}
	}
	t.Logf("%d changes, %d crashes", whole.Steps(), runs)
}

// A crash while recovering from a crash while recovering from a crash.
func TestCrashInRecovery(t *testing.T) {
	whole := crashable()
	require.NoError(t, newLife(whole).script())
	r := rand.New(rand.NewPCG(5, 5))
	runs, tries := 0, 150
	if testing.Short() {
		tries = 30
	}
	for range tries {
		m := crashable()
		m.CrashAt(1+r.Int64N(whole.Steps()), r.IntN(2) == 0)
		l := newLife(m)
		require.Error(t, l.script())
		m = m.CrashClone(disk.KeepSome(r, 0.5))
		for depth := 0; ; depth++ {
			again := m.CrashClone(disk.KeepAll)
			again.CrashAt(int64(1+r.IntN(7)), r.IntN(2) == 0)
			opts := small()
			opts.TrustEmpty = true
			if _, _, _, err := recoverIn(again, opts); err == nil || depth == 3 {
				break
			} else {
				require.ErrorIs(t, err, disk.ErrCrashed)
			}
			m = again.CrashClone(disk.KeepSome(r, 0.5))
			runs++
		}
		l.p.mustKeep(t, m, "after several")
	}
	require.Greater(t, runs, tries*2/3)
}

// Every change of the script fails once, with an error of the disk or for lack of space: the store refuses or is broken for
// good, acknowledges nothing more, and what was promised is there after a restart.
func TestFailEverywhere(t *testing.T) {
	whole := crashable()
	require.NoError(t, newLife(whole).script())
	eio := errors.New("input/output error")
	for step := int64(1); step <= whole.Steps(); step += stride() {
		for _, cause := range []error{eio, disk.ErrNoSpace} {
			m := crashable()
			m.SetFault(func(op disk.Op) disk.Fault {
				if op.Step == step {
					return disk.Fault{Err: cause, Partial: op.Len / 2, Drop: true}
				}
				return disk.Fault{}
			})
			l := newLife(m)
			what := fmt.Sprintf("change %d fails with %v", step, cause)
			err := l.script()
			if err == nil {
				require.Equal(t, disk.ErrNoSpace, cause, what)
				continue // a note of the witness, or a smaller reservation did
			}
			if l.s != nil && errors.Is(err, disk.ErrBroken) && l.s.Err() != nil {
				require.NotErrorIs(t, err, disk.ErrNoSpace, what)
				require.Equal(t, l.s.Err(), l.s.Append(records(l.s.Last()+1, 1)), what)
				_, serr := l.s.Sync()
				require.Equal(t, l.s.Err(), serr, what)
				require.Equal(t, l.s.Err(), l.s.Reserve(1), what)
				require.Equal(t, l.s.Err(), l.s.SaveAcceptedEpoch(99), what)
				require.Equal(t, l.s.Err(), l.s.Roll(), what)
				require.Equal(t, l.s.Err(), l.s.Truncate(0), what)
				_, berr := l.s.BeginSnapshot(0)
				require.Equal(t, l.s.Err(), berr, what)
			}
			l.p.mustKeep(t, m.CrashClone(disk.KeepNone), what)
		}
	}
}
