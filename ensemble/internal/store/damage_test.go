package store

import (
	"errors"
	"os"
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

// damaged builds a directory with a log of two files, a snapshot and epochs, all synced, and closed or left as a kill leaves it.
func damaged(t *testing.T, c snapshot.Compression, clean bool) *disk.Mem {
	m := crashable()
	opts := small()
	opts.Compression = c
	opts.Log.Prealloc = 100
	s, _ := mustRecover(t, m, opts, 0)
	mustAppend(t, s, 1, 2)
	mustSave(t, s, 2)
	mustAppend(t, s, 3, 2)
	require.NoError(t, s.Roll())
	_, _, err := s.Epochs(4)
	require.NoError(t, err)
	require.NoError(t, s.SaveAcceptedEpoch(3))
	mustAppend(t, s, 5, 1)
	mustAppend(t, s, 6, 1)
	if clean {
		require.NoError(t, s.Close())
	}
	return m.CrashClone(disk.KeepAll)
}

// A bit is flipped, one after the other, in every file that matters. Each is noticed; the report names the file. In files that
// are not needed any more, or past the last record, nothing is lost.
func TestEveryFlippedBit(t *testing.T) {
	for _, v := range []struct {
		clean       bool
		compression snapshot.Compression
	}{{true, snapshot.None}, {false, snapshot.None}, {true, snapshot.Gzip}} {
		m := damaged(t, v.compression, v.clean)
		counts := map[string]int{}
		for _, dir := range []string{dataDir, logDir} {
			for _, n := range names(t, m, dir) {
				if v.compression == snapshot.None || strings.HasSuffix(n, ".gz") {
					counts[n] = flipEvery(t, m, dir, n)
				}
			}
		}
		require.Positive(t, counts[snapshot.Name{Zxid: 2, Compression: v.compression}.String()])
		if v.compression == snapshot.None {
			for name, size := range map[string]int{"log.3": fileLen(3, 4), "log.5": fileLen(5, 6), acceptedName: 1, currentName: 1} {
				each := int(bits(name))
				require.Equal(t, (8*size+each-1)/each, counts[name], "every bit that was flipped in %s", name)
			}
		}
	}
}

// flipEvery flips the bits of one file and returns how many were refused. The others must not matter.
func flipEvery(t *testing.T, m *disk.Mem, dir, name string) (refused int) {
	t.Helper()
	path := filepath.Join(dir, versionDir, name)
	size, err := m.Stat(path)
	require.NoError(t, err)
	for bit := int64(0); bit < size.Size*8; bit += bits(name) {
		broken := m.CrashClone(disk.KeepAll)
		require.NoError(t, broken.FlipBit(path, bit/8, uint(bit%8)))
		s, d, rec, err := recoverIn(broken, small())
		if err != nil {
			require.ErrorIs(t, err, disk.ErrDamaged, "%s bit %d", name, bit)
			require.ErrorContains(t, err, name)
			refused++
			continue
		}
		require.EqualValues(t, 6, rec.Last, "%s bit %d", name, bit)
		require.Equal(t, rec.Last, d.last)
		mustNotMatter(t, name, bit)
		require.NoError(t, s.Close())
	}
	return refused
}

// bits goes through long files in larger steps: those that are not needed, and snapshots, whose every bit is tried where
// they are read.
func bits(name string) int64 {
	switch {
	case name == witnessName, name == txnlog.SpareName, name == "log.1":
		return 499
	case strings.HasPrefix(name, "snapshot."):
		return 7
	}
	return stride()
}

// mustNotMatter says where a flipped bit may go unnoticed: before the snapshot, behind the last record, in the witness itself.
func mustNotMatter(t *testing.T, name string, bit int64) {
	t.Helper()
	if name == witnessName || name == "log.1" || name == txnlog.SpareName {
		return
	}
	end := int64(fileLen(5, 6))
	require.Equal(t, "log.5", name, "bit %d", bit)
	require.GreaterOrEqual(t, bit/8, end)
}

func fileLen(zxids ...znode.Zxid) int {
	n := 16
	for _, z := range zxids {
		n += len(record(z).Payload) + txnlog.RecordOverhead
	}
	return n
}

// Whole files that are missing, empty, cut or exchanged.
func TestFilesThatAreNotRight(t *testing.T) {
	in := func(dir, name string) string { return filepath.Join(dir, versionDir, name) }
	put := func(t *testing.T, m *disk.Mem, path string, b []byte) {
		require.NoError(t, disk.Replace(m, path, b))
	}
	get := func(t *testing.T, m *disk.Mem, path string) []byte {
		b, err := disk.ReadFile(m, path, 1<<20)
		require.NoError(t, err)
		return b
	}
	for name, c := range map[string]struct {
		harm func(t *testing.T, m *disk.Mem)
		in   string // file named in the report; empty: all is well
	}{
		"nothing":          {func(*testing.T, *disk.Mem) {}, ""},
		"last log missing": {func(t *testing.T, m *disk.Mem) { require.NoError(t, m.Remove(in(logDir, "log.5"))) }, "log.5"},
		"last log empty":   {func(t *testing.T, m *disk.Mem) { put(t, m, in(logDir, "log.5"), nil) }, "log.5"},
		"last record cut": {func(t *testing.T, m *disk.Mem) {
			b := get(t, m, in(logDir, "log.5"))
			put(t, m, in(logDir, "log.5"), b[:fileLen(5)])
		}, "log.5"},
		"middle log missing": {func(t *testing.T, m *disk.Mem) { require.NoError(t, m.Remove(in(logDir, "log.3"))) }, "log.5"},
		"old log missing":    {func(t *testing.T, m *disk.Mem) { require.NoError(t, m.Remove(in(logDir, "log.1"))) }, ""},
		"logs exchanged":     {func(t *testing.T, m *disk.Mem) { put(t, m, in(logDir, "log.5"), get(t, m, in(logDir, "log.3"))) }, "log.5"},
		"snapshot missing":   {func(t *testing.T, m *disk.Mem) { require.NoError(t, m.Remove(in(dataDir, "snapshot.2"))) }, "no snapshot"},
		"snapshot cut": {func(t *testing.T, m *disk.Mem) {
			b := get(t, m, in(dataDir, "snapshot.2"))
			put(t, m, in(dataDir, "snapshot.2"), b[:len(b)-20])
		}, ""},
		"epoch missing": {func(t *testing.T, m *disk.Mem) { require.NoError(t, m.Remove(in(dataDir, acceptedName))) }, acceptedName},
		"epoch empty":   {func(t *testing.T, m *disk.Mem) { put(t, m, in(dataDir, acceptedName), nil) }, acceptedName},
		"epochs exchanged": {func(t *testing.T, m *disk.Mem) {
			put(t, m, in(dataDir, currentName), []byte("3"))
			put(t, m, in(dataDir, acceptedName), []byte("0"))
		}, "Epoch"},
		"witness missing": {func(t *testing.T, m *disk.Mem) { require.NoError(t, m.Remove(in(dataDir, witnessName))) }, ""},
		"witness empty":   {func(t *testing.T, m *disk.Mem) { put(t, m, in(dataDir, witnessName), nil) }, ""},
		"everything but it": {func(t *testing.T, m *disk.Mem) {
			for _, n := range []string{"log.1", "log.3", "log.5"} {
				require.NoError(t, m.Remove(in(logDir, n)))
			}
			require.NoError(t, m.Remove(in(dataDir, "snapshot.2")))
		}, "log.5"},
	} {
		t.Run(name, func(t *testing.T) {
			m := damaged(t, snapshot.None, true)
			c.harm(t, m)
			before := names(t, m, logDir)
			s, _, rec, err := recoverIn(m, small())
			if name == "snapshot cut" { // the witness says it was longer: somebody else's, and not finished
				require.Error(t, err)
				return
			}
			if c.in == "" {
				require.NoError(t, err)
				require.EqualValues(t, 6, rec.Last)
				require.NoError(t, s.Close())
				return
			}
			require.ErrorContains(t, err, c.in)
			require.Equal(t, before, names(t, m, logDir), "nothing has been touched")
		})
	}
}

// Directories Apache's server wrote, ours from there on, and a life after.
func TestApacheDirectories(t *testing.T) {
	for dir, want := range map[string]struct {
		last     znode.Zxid
		snapshot znode.Zxid
		records  int
	}{
		"voters/1":            {znode.MakeZxid(1, 14), 0, 14},
		"voters/2":            {znode.MakeZxid(1, 14), 0, 14},
		"observer-and-snap/4": {znode.MakeZxid(1, 7), znode.MakeZxid(1, 7), 0},
	} {
		t.Run(dir, func(t *testing.T) {
			tmp := t.TempDir()
			require.NoError(t, os.CopyFS(tmp, os.DirFS(filepath.Join("testdata", dir))))
			opts := Options{DataDir: tmp, Log: txnlog.Options{Prealloc: 1 << 16}}
			open := func() (*Store, Recovery) {
				s, err := Open(disk.OS(), opts)
				require.NoError(t, err)
				rec, err := s.Recover(func(r *snapshot.Reader) error { return r.Verify() }, func(txnlog.Record) error { return nil })
				require.NoError(t, err)
				return s, rec
			}
			s, rec := open()
			require.Equal(t, want.last, rec.Last)
			require.Equal(t, want.snapshot, rec.Snapshot.Zxid)
			require.Equal(t, want.records, rec.Records)
			require.NotEmpty(t, rec.Foreign)
			a, c, err := s.Epochs(rec.Last)
			require.NoError(t, err)
			require.Equal(t, []int64{1, 1}, []int64{a, c})
			mustAppend(t, s, want.last+1, 3)
			mustSave(t, s, want.last+3)
			require.NoError(t, s.Close())
			s, rec = open()
			require.Equal(t, want.last+3, rec.Last)
			require.Zero(t, rec.Records)
			require.NoError(t, s.Close())
		})
	}
}

// What Apache's server leaves behind after it has run on our directory is never taken for damage.
func TestAfterApache(t *testing.T) {
	in := func(dir, name string) string { return filepath.Join(dir, versionDir, name) }
	apacheSnapshot := func(t *testing.T, m *disk.Mem, z znode.Zxid, order int) {
		w, err := snapshot.Create(m, filepath.Join(dataDir, versionDir), z, snapshot.None)
		require.NoError(t, err)
		nodes := []snapshot.Node{{Path: "/"}, {Path: "/a"}, {Path: "/b"}}
		if order > 0 {
			slices.Reverse(nodes[1:])
		}
		require.NoError(t, errors.Join(w.Sessions(nil), w.ACLs(nil), w.Nodes(nodes), w.Finish(snapshot.Trailer{})))
		require.NoError(t, w.Publish())
	}
	apacheLog := func(t *testing.T, m *disk.Mem, from znode.Zxid, n int, garbage string) {
		tmp := disk.NewMem(nil)
		l, err := txnlog.Open(tmp, "/", nil)
		require.NoError(t, err)
		l.SetLast(from - 1)
		require.NoError(t, l.Append(records(from, n)))
		require.NoError(t, l.Close())
		b, err := disk.ReadFile(tmp, "/"+txnlog.Name(from), 1<<20)
		require.NoError(t, err)
		require.NoError(t, disk.Replace(m, in(logDir, txnlog.Name(from)), append(b, garbage...)))
	}
	for name, c := range map[string]struct {
		did  func(t *testing.T, m *disk.Mem)
		last znode.Zxid
	}{
		"started, nothing else": {func(t *testing.T, m *disk.Mem) { apacheSnapshot(t, m, 6, 0) }, 6},
		"wrote":                 {func(t *testing.T, m *disk.Mem) { apacheSnapshot(t, m, 6, 0); apacheLog(t, m, 7, 3, "") }, 9},
		"wrote and was killed": {func(t *testing.T, m *disk.Mem) {
			apacheLog(t, m, 7, 3, "\x00\x00\x00\x00\x12\x34\x56\x78\x00\x00\x00\x60half")
		}, 9},
		"was killed in a snapshot": {func(t *testing.T, m *disk.Mem) {
			require.NoError(t, disk.Replace(m, in(dataDir, "snapshot.6"), []byte("ZKSN\x00\x00\x00\x02")))
		}, 6},
		"followed a leader": {func(t *testing.T, m *disk.Mem) {
			for _, n := range epochNames {
				require.NoError(t, disk.Replace(m, in(dataDir, n), []byte("7")))
			}
		}, 6},
		"followed and logged": {func(t *testing.T, m *disk.Mem) {
			for _, n := range epochNames {
				require.NoError(t, disk.Replace(m, in(dataDir, n), []byte("7")))
			}
			apacheLog(t, m, znode.MakeZxid(7, 1), 2, "")
		}, znode.MakeZxid(7, 2)},
		"was truncated": {func(t *testing.T, m *disk.Mem) {
			f, err := m.Edit(in(logDir, "log.5"))
			require.NoError(t, err)
			require.NoError(t, f.Truncate(int64(fileLen(5))))
			require.NoError(t, f.Close())
			apacheSnapshot(t, m, 5, 0)
		}, 5},
		"purged": {func(t *testing.T, m *disk.Mem) {
			apacheSnapshot(t, m, 6, 0)
			apacheLog(t, m, 7, 1, "")
			for _, n := range []string{"log.1", "log.3", "log.5"} {
				require.NoError(t, m.Remove(in(logDir, n)))
			}
		}, 7},
	} {
		t.Run(name, func(t *testing.T) {
			m := damaged(t, snapshot.None, true)
			c.did(t, m)
			for range 2 {
				s, _, rec, err := recoverIn(m, small())
				require.NoError(t, err)
				require.Equal(t, c.last, rec.Last)
				require.NoError(t, s.Close())
			}
			s, _, rec, err := recoverIn(m, small())
			require.NoError(t, err)
			require.Empty(t, rec.Foreign, "it is ours again")
			mustAppend(t, s, c.last+1, 1)
			require.NoError(t, s.Close())
		})
	}
}

// Two epochs that have changed alike are another server's doing only where there is anything else: an emptied directory has none, and must
// not pass for one that has followed somebody (Recovery.Empty).
func TestEpochsAloneAreDamage(t *testing.T) {
	m := crashable()
	s, _ := mustRecover(t, m, small(), 0)
	_, _, err := s.Epochs(0)
	require.NoError(t, err)
	require.NoError(t, s.MarkServed())
	require.NoError(t, s.Close())
	for _, name := range epochNames {
		require.NoError(t, disk.Replace(m, filepath.Join(s.snapDir, name), []byte("4")))
	}
	s, err = Open(m, small())
	require.NoError(t, err)
	_, err = s.Recover(func(*snapshot.Reader) error { return nil }, func(txnlog.Record) error { return nil })
	require.ErrorIs(t, err, disk.ErrDamaged)
	require.NoError(t, s.Close())
}

// An epoch that changed, and was noticed, does not pass for another server's work once the other has changed alike: the directory is still
// not believed, until the numbers are put right or a leader's snapshot has replaced everything.
func TestOneEpochAfterTheOther(t *testing.T) {
	set := func(m *disk.Mem, name, epoch string) {
		require.NoError(t, disk.Replace(m, in(dataDir, name), []byte(epoch)))
	}
	for first, name := range epochNames {
		t.Run(name, func(t *testing.T) {
			m := damaged(t, snapshot.None, true)
			said := filesOf(t, m)
			distrust := func() {
				s, _, err := judge(m)
				require.ErrorIs(t, err, disk.ErrDamaged)
				_, err = s.Distrust()
				require.NoError(t, err)
				m = m.CrashClone(disk.KeepNone)
			}
			set(m, name, "7")
			distrust()
			set(m, epochNames[1-first], "7")
			distrust()
			distrust()

			doubted := m.CrashClone(disk.KeepAll)
			for _, n := range epochNames {
				set(m, n, said[in(dataDir, n)])
			}
			s, rec, err := judge(m)
			require.NoError(t, err, "it is as it was")
			require.Empty(t, rec.Foreign)
			require.NoError(t, s.Close())

			healing, _, err := judge(doubted)
			require.ErrorIs(t, err, disk.ErrDamaged)
			promised := int64(7)
			require.NoError(t, heal(healing, &promised))
			for _, m := range []*disk.Mem{m, doubted} {
				for _, n := range epochNames {
					set(m, n, "9")
				}
				s, rec, err := judge(m)
				require.NoError(t, err, "what is believed again may be another server's for a while")
				require.NotEmpty(t, rec.Foreign)
				require.NoError(t, s.Close())
			}
		})
	}
}
