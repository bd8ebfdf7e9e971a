package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func mustInstall(t testing.TB, s *Store, z znode.Zxid) {
	t.Helper()
	w, err := s.BeginSnapshot(z)
	require.NoError(t, err)
	require.NoError(t, writeImage(w, z, 25))
	require.NoError(t, s.Install(w))
	require.Equal(t, z, s.Last())
}

func TestInstall(t *testing.T) {
	m := crashable()
	s, _ := mustRecover(t, m, small(), 0)
	for z := znode.Zxid(1); z < 9; z += 2 {
		mustAppend(t, s, z, 2)
		mustSave(t, s, z+1)
	}
	mustAppend(t, s, 9, 3)
	require.NoError(t, s.Reserve(5000))
	require.ErrorIs(t, s.Install(nil), ErrMisuse)
	mustInstall(t, s, 5)
	require.Equal(t, []string{witnessName, "snapshot.5"}, names(t, m, dataDir), "what was before and behind is gone")
	require.Equal(t, []string{txnlog.SpareName}, names(t, m, logDir))
	require.ErrorIs(t, s.Append(records(12, 1)), txnlog.ErrOrder)
	require.ErrorIs(t, s.Truncate(4), ErrUnreachable)
	mustAppend(t, s, 6, 2)
	require.NoError(t, s.Truncate(5))
	require.NoError(t, s.Truncate(5), "again")
	mustAppend(t, s, 6, 1)
	require.NoError(t, s.Close())
	s, rec := mustRecover(t, m, small(), 6)
	require.Empty(t, rec.Foreign)
	require.Equal(t, 1, rec.Records)

	w, err := s.BeginSnapshot(9)
	require.NoError(t, err)
	require.ErrorIs(t, w.Nodes(nil), snapshot.ErrMisuse)
	require.ErrorIs(t, s.Install(w), snapshot.ErrMisuse, "a writer that failed is abandoned")
	mustAppend(t, s, 7, 1)
	require.NoError(t, s.Close())
}

// A crash at every change of an Install, and of the recovery from that, and with everything that may be left each time: what is
// there in the end is the old history whole, or the new.
func TestCrashInInstallAndAgainInRecovery(t *testing.T) {
	begin := func() (*life, *disk.Mem) {
		m := crashable()
		l := newLife(m)
		l.opts.LogDir = dataDir // all in one directory
		for _, step := range []func() error{
			l.open, func() error { return save(l.s, 0) }, l.append(3), l.epochs, func() error { return l.s.Roll() }, l.append(4),
			func() error { return save(l.s, l.p.acked) }, l.append(2), l.accept(2),
		} {
			require.NoError(t, step())
		}
		return l, m
	}
	whole, m := begin()
	from := m.Steps()
	require.NoError(t, whole.install(func() znode.Zxid { return 5 })())
	r := rand.New(rand.NewPCG(3, 4))
	old, fresh := 0, 0
	for step := from + 1; step <= m.Steps(); step++ {
		for _, after := range []bool{false, true} {
			l, m := begin()
			m.CrashAt(step, after)
			require.ErrorIs(t, l.install(func() znode.Zxid { return 5 })(), disk.ErrCrashed)
			for how, keep := range keeps(1) {
				for again := int64(1); ; again++ {
					n := m.CrashClone(keep)
					n.CrashAt(again, again%2 == 0)
					s, _, rec, err := recoverIn(n, l.opts)
					what := fmt.Sprintf("change %d, after %v, keeping %s, then change %d of recovery", step-from, after, how, again)
					if err == nil {
						require.Contains(t, []znode.Zxid{5, l.p.acked}, rec.Last, what)
						require.NoError(t, s.Close(), what)
						break
					}
					require.ErrorIs(t, err, disk.ErrCrashed, what)
					n = n.CrashClone(disk.KeepSome(r, 0.5))
					s, d, rec, err := recoverIn(n, l.opts)
					require.NoError(t, err, what)
					if rec.Snapshot.Zxid == 5 {
						fresh++
						require.EqualValues(t, 5, rec.Last, what)
						require.Len(t, mustNames(t, n), 1, what)
					} else {
						old++
						require.Equal(t, l.p.acked, rec.Last, what)
						require.Len(t, mustNames(t, n), 2, what)
					}
					require.Equal(t, rec.Last, d.last, what)
					require.NoError(t, s.Append(records(rec.Last+1, 1)), what)
					require.NoError(t, s.Close(), what)
				}
			}
		}
	}
	require.Positive(t, old)
	require.Positive(t, fresh)
	t.Logf("the old one %d times, the new one %d times", old, fresh)
}

// The announced snapshot has been published and is damaged before the rest was cleared away: that is not passed over in silence.
func TestInstalledSnapshotDamagedBeforeItIsFinished(t *testing.T) {
	for _, after := range []int64{6, 9, 12} {
		m := crashable()
		s, _ := mustRecover(t, m, small(), 0)
		mustSave(t, s, 0)
		mustAppend(t, s, 1, 3)
		require.NoError(t, s.Roll())
		mustAppend(t, s, 4, 3)
		require.NoError(t, s.Settle())
		w, err := s.BeginSnapshot(2)
		require.NoError(t, err)
		require.NoError(t, writeImage(w, 2, 25))
		m.CrashAt(m.Steps()+after, true)
		require.ErrorIs(t, s.Install(w), disk.ErrCrashed)
		m = m.CrashClone(disk.KeepAll)
		require.NoError(t, m.FlipBit("/data/version-2/snapshot.2", 100, 1))
		if _, _, rec, err := recoverIn(m, small()); err != nil {
			require.ErrorIs(t, err, disk.ErrDamaged)
		} else {
			require.EqualValues(t, 6, rec.Last)
			require.Len(t, rec.Skipped, 1)
		}
	}
}

// The ways in which a directory may not be believed. Each comes with an accepted epoch of 3, and 6 as the last zxid.
var disbelieved = map[string]struct {
	harm func(t testing.TB, m *disk.Mem)
	want error // of Recover, or of Epochs if that is where it shows
	// heals: another SaveAcceptedEpoch is all it takes
	heals bool
}{
	"a record flipped":                  {flip(logDir, "log.5", 60), disk.ErrDamaged, false},
	"the first record":                  {flip(logDir, "log.3", 60), disk.ErrDamaged, false},
	"a log header":                      {flip(logDir, "log.5", 1), disk.ErrDamaged, false},
	"the last log missing":              {lose(logDir, "log.5"), disk.ErrDamaged, false},
	"a log missing":                     {lose(logDir, "log.3"), disk.ErrDamaged, false},
	"the log cut":                       {rewrite(logDir, "log.5", func(b []byte) []byte { return b[:fileLen(5)] }), disk.ErrDamaged, false},
	"a snapshot flipped":                {flip(dataDir, "snapshot.2", 60), disk.ErrDamaged, false},
	"no snapshot":                       {lose(dataDir, "snapshot.2"), ErrNoSnapshot, false},
	"current missing":                   {lose(dataDir, currentName), disk.ErrDamaged, false},
	"current garbage":                   {put(dataDir, currentName, "x"), disk.ErrDamaged, false},
	"current flipped":                   {put(dataDir, currentName, "4"), disk.ErrDamaged, false},
	"accepted missing":                  {lose(dataDir, acceptedName), disk.ErrDamaged, true},
	"accepted garbage":                  {put(dataDir, acceptedName, "3x"), disk.ErrDamaged, true},
	"accepted far too high":             {put(dataDir, acceptedName, "99999999999"), disk.ErrDamaged, true},
	"accepted behind current":           {all(lose(dataDir, witnessName), put(dataDir, currentName, "4")), ErrEpoch, true},
	"flipped, and no witness":           {all(lose(dataDir, witnessName), flip(logDir, "log.3", 60)), disk.ErrDamaged, false},
	"flipped, and a witness of garbage": {all(put(dataDir, witnessName, "???"), flip(logDir, "log.3", 60)), disk.ErrDamaged, false},
	"a sector lost, and no witness":     {all(lose(dataDir, witnessName), sectorLost), disk.ErrDamaged, false},
	"flipped, and a stale witness":      {all(put(dataDir, "snapshot.6", "somebody else's"), flip(logDir, "log.3", 60)), disk.ErrDamaged, false},
}

// sectorLost makes a log that goes on behind a sector of zeros: what a crash may leave of what was not synced.
func sectorLost(t testing.TB, m *disk.Mem) {
	tmp := disk.NewMem(nil)
	l, err := txnlog.Open(tmp, "/", nil)
	require.NoError(t, err)
	l.SetLast(4)
	require.NoError(t, l.Append(records(5, 8)))
	require.NoError(t, l.Close())
	b, err := disk.ReadFile(tmp, "/log.5", 1<<20)
	require.NoError(t, err)
	clear(b[2*disk.SectorSize : 3*disk.SectorSize])
	require.NoError(t, disk.Replace(m, in(logDir, "log.5"), b))
}

func in(dir, name string) string { return filepath.Join(dir, versionDir, name) }

func flip(dir, name string, at int64) func(testing.TB, *disk.Mem) {
	return func(t testing.TB, m *disk.Mem) { require.NoError(t, m.FlipBit(in(dir, name), at, 2)) }
}

func lose(dir, name string) func(testing.TB, *disk.Mem) {
	return func(t testing.TB, m *disk.Mem) {
		require.NoError(t, m.Remove(in(dir, name)))
		require.NoError(t, m.SyncDir(filepath.Join(dir, versionDir)))
	}
}

func put(dir, name, content string) func(testing.TB, *disk.Mem) {
	return func(t testing.TB, m *disk.Mem) { require.NoError(t, disk.Replace(m, in(dir, name), []byte(content))) }
}

func rewrite(dir, name string, f func([]byte) []byte) func(testing.TB, *disk.Mem) {
	return func(t testing.TB, m *disk.Mem) {
		b, err := disk.ReadFile(m, in(dir, name), 1<<20)
		require.NoError(t, err)
		require.NoError(t, disk.Replace(m, in(dir, name), f(b)))
	}
}

func all(fs ...func(testing.TB, *disk.Mem)) func(testing.TB, *disk.Mem) {
	return func(t testing.TB, m *disk.Mem) {
		for _, f := range fs {
			f(t, m)
		}
	}
}

// judge opens a directory as a member of an ensemble does: data and epochs.
func judge(fsys disk.FS) (*Store, Recovery, error) {
	s, err := Open(fsys, small())
	if err != nil {
		return nil, Recovery{}, err
	}
	d := &database{}
	rec, err := s.Recover(d.load, d.apply)
	if err == nil {
		_, _, err = s.Epochs(rec.Last)
	}
	return s, rec, err
}

const healed = znode.Zxid(7<<32 | 4)

// heal goes through what an untrusted server does, up to where it is a server like others. promised is what it has promised so far.
func heal(s *Store, promised *int64) error {
	a, err := s.Distrust()
	if err != nil {
		return err
	}
	if a < *promised {
		return fmt.Errorf("promised %d, Distrust says %d", *promised, a)
	}
	if err := s.SaveAcceptedEpoch(max(a, 8)); err != nil {
		return err
	}
	*promised = max(a, 8)
	w, err := s.BeginSnapshot(healed)
	if err != nil {
		return err
	}
	if err := writeImage(w, healed, 25); err != nil {
		return err
	}
	if err := s.Install(w); err != nil {
		return err
	}
	if err := s.Append(records(healed+1, 2)); err != nil {
		return err
	}
	if _, err := s.Sync(); err != nil {
		return err
	}
	if err := s.SaveCurrentEpoch(8); err != nil {
		return err
	}
	return s.Close()
}

func TestDistrust(t *testing.T) {
	for name, c := range disbelieved {
		t.Run(name, func(t *testing.T) {
			m := damaged(t, snapshot.None, true)
			c.harm(t, m)
			before := filesOf(t, m)
			for range 2 { // each time anew
				s, _, err := judge(m)
				require.ErrorIs(t, err, c.want)
				a, err := s.Distrust()
				require.NoError(t, err)
				require.GreaterOrEqual(t, a, int64(3))
				require.LessOrEqual(t, a, int64(4))
				again, err := s.Distrust()
				require.NoError(t, err)
				require.Equal(t, a, again)
				mustTakeNothingButASnapshot(t, s, a)
				require.NoError(t, s.Close())
				require.Equal(t, before, filesOf(t, m), "nothing is touched")
			}
			s, _, err := judge(m)
			require.ErrorIs(t, err, c.want)
			promised := int64(3)
			require.NoError(t, heal(s, &promised))
			mustBeHealed(t, m)
			for path, content := range before {
				if dir, name := filepath.Split(path); strings.HasPrefix(name, "log.") || strings.HasPrefix(name, "snapshot.") {
					b, err := disk.ReadFile(m, dir+asidePrefix+"700000004."+name, 1<<20)
					require.NoError(t, err, "it is set aside")
					require.Equal(t, content, string(b))
				}
			}
		})
	}
}

// The epochs are right as soon as the snapshot is there, also if the leader's had been promised before and is not reached again.
func TestEpochsAfterInstall(t *testing.T) {
	for name, c := range disbelieved {
		t.Run(name, func(t *testing.T) {
			m := damaged(t, snapshot.None, true)
			c.harm(t, m)
			s, _, err := judge(m)
			require.ErrorIs(t, err, c.want)
			a, err := s.Distrust()
			require.NoError(t, err)
			z := znode.MakeZxid(3, 4)
			mustInstall(t, s, z)
			mustAppend(t, s, z+1, 1)
			require.NoError(t, s.Close())
			s, rec, err := judge(m)
			require.NoError(t, err)
			require.Equal(t, z+1, rec.Last)
			accepted, current, err := s.Epochs(rec.Last)
			require.NoError(t, err)
			require.Equal(t, a, accepted)
			require.EqualValues(t, 3, current)
			require.NoError(t, s.Close())
		})
	}
}

func mustTakeNothingButASnapshot(t *testing.T, s *Store, accepted int64) {
	t.Helper()
	require.ErrorIs(t, s.Append(records(7, 1)), ErrUntrusted)
	_, err := s.Sync()
	require.ErrorIs(t, err, ErrUntrusted)
	require.ErrorIs(t, s.Reserve(1), ErrUntrusted)
	require.ErrorIs(t, s.Roll(), ErrUntrusted)
	require.ErrorIs(t, s.Settle(), ErrUntrusted)
	require.ErrorIs(t, s.Truncate(2), ErrUntrusted)
	require.ErrorIs(t, s.SaveCurrentEpoch(9), ErrUntrusted)
	require.ErrorIs(t, s.CommitSnapshot(nil), ErrUntrusted)
	require.ErrorIs(t, s.SaveAcceptedEpoch(accepted-1), ErrEpoch)
	_, _, err = s.Epochs(0)
	require.ErrorIs(t, err, ErrUntrusted)
	_, err = s.Reload(nil, nil)
	require.ErrorIs(t, err, ErrUntrusted)
	_, err = s.Recover(nil, nil)
	require.ErrorIs(t, err, ErrUntrusted)
	_, err = s.PurgeBefore(3)
	require.ErrorIs(t, err, ErrUntrusted)
	for _, err := range s.From(1) {
		require.ErrorIs(t, err, ErrUntrusted)
	}
	w, err := s.BeginSnapshot(9)
	require.NoError(t, err)
	require.NoError(t, s.AbandonSnapshot(w))
	require.Zero(t, s.Last())
}

// filesOf are the names and contents of all but the witness.
func filesOf(t *testing.T, m *disk.Mem) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, dir := range []string{dataDir, logDir} {
		for _, name := range names(t, m, dir) {
			if name != witnessName {
				b, err := disk.ReadFile(m, in(dir, name), 1<<20)
				require.NoError(t, err)
				files[in(dir, name)] = string(b)
			}
		}
	}
	return files
}

func mustBeHealed(t *testing.T, m *disk.Mem) {
	t.Helper()
	s, rec, err := judge(m)
	require.NoError(t, err)
	require.Equal(t, healed+2, rec.Last)
	require.Empty(t, rec.Foreign)
	a, c, err := s.Epochs(rec.Last)
	require.NoError(t, err)
	require.EqualValues(t, 8, c)
	require.GreaterOrEqual(t, a, c)
	mustAppend(t, s, rec.Last+1, 1)
	require.NoError(t, s.Close())
}

// Healing is crashed at every change: the directory is still disbelieved, for whatever reason, or it is healed; it never looks good
// with what was in it. And it can be healed afterwards, with every promise kept.
func TestCrashInHealing(t *testing.T) {
	for name, c := range disbelieved {
		t.Run(name, func(t *testing.T) {
			start := damaged(t, snapshot.None, true)
			c.harm(t, start)
			start = start.CrashClone(disk.KeepAll)
			seeds := 1
			for step := int64(1); ; step += stride() {
				done := false
				for _, after := range []bool{false, true} {
					m := start.CrashClone(disk.KeepAll)
					m.CrashAt(step, after)
					promised := int64(3)
					s, _, err := judge(m)
					if !errors.Is(err, disk.ErrCrashed) {
						err = heal(s, &promised)
					}
					if done = err == nil; done {
						break
					}
					require.ErrorIs(t, err, disk.ErrCrashed)
					for how, keep := range keeps(seeds) {
						mustHealStill(t, m.CrashClone(keep), promised, c.heals, fmt.Sprintf("change %d, after %v, keeping %s", step, after, how))
					}
				}
				if done {
					require.Greater(t, step, int64(15))
					return
				}
			}
		})
	}
}

func mustHealStill(t *testing.T, m *disk.Mem, promised int64, heals bool, what string) {
	t.Helper()
	s, rec, err := judge(m)
	if err == nil {
		a, _, err := s.Epochs(rec.Last)
		require.NoError(t, err, what)
		require.GreaterOrEqual(t, a, promised, what)
		if rec.Last < healed {
			require.True(t, heals, "%s: it ends with %v", what, rec.Last)
			require.EqualValues(t, 6, rec.Last, what)
		}
	}
	require.NoError(t, heal(s, &promised), what)
	mustBeHealed(t, m)
}

// What was set aside goes with the next one, so that there is one set at most.
func TestOneSetAside(t *testing.T) {
	m := damaged(t, snapshot.None, true)
	for i := range 3 {
		logs := names(t, m, logDir)
		require.NoError(t, m.FlipBit(in(logDir, logs[slices.IndexFunc(logs, func(n string) bool { return strings.HasPrefix(n, "log.") })]), 1, 1))
		s, _, err := judge(m)
		if i > 0 {
			require.ErrorIs(t, err, disk.ErrDamaged)
		}
		a, err := s.Distrust()
		require.NoError(t, err)
		require.NoError(t, s.SaveAcceptedEpoch(a+1))
		z := healed + znode.Zxid(10*i)
		mustInstall(t, s, z)
		mustAppend(t, s, z+1, 1)
		mustAppend(t, s, z+2, 1)
		require.NoError(t, s.Close())
		for _, dir := range []string{dataDir, logDir} {
			aside := 0
			for _, n := range names(t, m, dir) {
				if rest, ok := strings.CutPrefix(n, asidePrefix); ok {
					require.True(t, strings.HasPrefix(rest, z.Hex()+"."), n)
					aside++
				}
			}
			require.Positive(t, aside)
		}
	}
}

// A disk that fails is another matter.
func TestNoDistrustOfABrokenDisk(t *testing.T) {
	eio := errors.New("input/output error")
	m := crashable()
	s, _ := mustRecover(t, m, small(), 0)
	require.NoError(t, s.Append(records(1, 1)))
	m.SetFault(func(op disk.Op) disk.Fault {
		if op.Kind == disk.OpSync {
			return disk.Fault{Err: eio}
		}
		return disk.Fault{}
	})
	_, err := s.Sync()
	require.ErrorIs(t, err, disk.ErrBroken)
	_, err = s.Distrust()
	require.ErrorIs(t, err, disk.ErrBroken)
	require.ErrorIs(t, err, eio)

	m = damaged(t, snapshot.None, true)
	flip(logDir, "log.3", 60)(t, m)
	s, _, err = judge(m)
	require.ErrorIs(t, err, disk.ErrDamaged)
	m.SetReadOnly(true)
	_, err = s.Distrust()
	require.ErrorIs(t, err, disk.ErrReadOnly)
	m.SetReadOnly(false)
	promised := int64(3)
	require.NoError(t, heal(s, &promised), "and when it works again")
	mustBeHealed(t, m)
}

// A running server whose data turns out wrong gives it up, and is a server like others after it has got it anew.
func TestDistrustWhileRunning(t *testing.T) {
	m := damaged(t, snapshot.None, true)
	s, _, err := judge(m)
	require.NoError(t, err)
	mustAppend(t, s, 7, 1)
	w, err := s.BeginSnapshot(7)
	require.NoError(t, err)
	_, err = s.Distrust()
	require.ErrorIs(t, err, ErrMisuse)
	require.NoError(t, s.AbandonSnapshot(w))
	promised := int64(3)
	require.NoError(t, heal(s, &promised))
	mustBeHealed(t, m)
}

func TestServed(t *testing.T) {
	m := crashable()
	s, rec := mustRecover(t, m, small(), 0)
	require.False(t, s.Served())
	require.True(t, rec.Empty)
	require.False(t, rec.Initialize)
	mustSave(t, s, 0)
	require.NoError(t, s.Close())
	s, rec = mustRecover(t, m, small(), 0)
	require.True(t, rec.Empty, "a snapshot of nothing is nothing")
	_, _, err := s.Epochs(0)
	require.NoError(t, err)
	require.NoError(t, s.MarkServed())
	require.True(t, s.Served())
	steps := m.Steps()
	require.NoError(t, s.MarkServed())
	require.Equal(t, steps, m.Steps(), "it costs nothing")
	m = m.CrashClone(disk.KeepNone)
	require.NoError(t, disk.Replace(m, filepath.Join(logDir, initializeName), nil))
	s, rec = mustRecover(t, m, small(), 0)
	require.False(t, s.Served(), "it may begin anew, which has to be noted")
	require.True(t, rec.Empty)
	require.True(t, rec.Initialize)
	require.NoError(t, s.SaveAcceptedEpoch(1))
	require.NoError(t, s.Close())
	s, rec = mustRecover(t, m, small(), 0)
	require.True(t, rec.Empty, "it has only promised something, perhaps after its data was lost")
	require.True(t, rec.Initialize, "not used yet")
	require.NoError(t, s.SaveCurrentEpoch(1))
	require.NoError(t, s.Close())
	s, rec = mustRecover(t, m, small(), 0)
	require.False(t, rec.Empty, "it has followed somebody who had nothing, either")
	require.NoError(t, s.MarkServed())
	m = m.CrashClone(disk.KeepNone)
	s, rec = mustRecover(t, m, small(), 0)
	require.True(t, s.Served())
	require.False(t, rec.Initialize)
	mustAppend(t, s, 1, 1)
	require.NoError(t, s.Close())
	_, rec = mustRecover(t, m, small(), 1)
	require.False(t, rec.Empty)

	m = crashable()
	s, _ = mustRecover(t, m, small(), 0)
	m.SetFault(func(op disk.Op) disk.Fault {
		if strings.HasSuffix(op.Path, servedName) {
			return disk.Fault{Err: disk.ErrNoSpace}
		}
		return disk.Fault{}
	})
	require.ErrorIs(t, s.MarkServed(), disk.ErrNoSpace)
	require.False(t, s.Served())
	require.NoError(t, s.Err())
	m.SetFault(nil)
	require.NoError(t, s.MarkServed())
}
