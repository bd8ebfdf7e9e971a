package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const (
	dataDir = "/data"
	logDir  = "/log"
)

func small() Options {
	return Options{DataDir: dataDir, LogDir: logDir, Log: txnlog.Options{Prealloc: 8192}}
}

// record is a transaction whose bytes depend on its zxid alone, none of them zeros for long.
func record(z znode.Zxid) txnlog.Record {
	data := make([]byte, 40+int(z/2%7)*130)
	for i := range data {
		data[i] = byte(int(z)*31+i*7) | 1
	}
	t := txn.Txn{
		Header: txn.Header{Session: 0x77, Cxid: int32(z), Zxid: z, Time: 1_700_000_000_000, Type: wire.OpSetData},
		Body:   &txn.SetData{Path: fmt.Sprintf("/n%d", z%100), Data: data, Version: 1}, Digest: uint64(z), HasDigest: true,
	}
	return txnlog.Record{Zxid: z, Payload: t.AppendPayload(nil)}
}

func records(from znode.Zxid, n int) (g []txnlog.Record) {
	for i := range n {
		g = append(g, record(from+znode.Zxid(i)))
	}
	return g
}

// A crash while an epoch is finished that a crash had left unfinished.
func TestEpochFinishedTwice(t *testing.T) {
	d := filepath.Join(dataDir, versionDir)
	for step := int64(1); step < 12; step++ {
		for _, after := range []bool{false, true} {
			m := crashable()
			require.NoError(t, m.MkdirAll(d))
			require.NoError(t, disk.Replace(m, filepath.Join(d, currentName), []byte("4")))
			require.NoError(t, disk.Replace(m, filepath.Join(d, "currentEpoch.tmp"), []byte("5")))
			s, _ := mustRecover(t, m, small(), 0)
			m.CrashAt(m.Steps()+step, after)
			if _, _, err := s.Epochs(znode.MakeZxid(5, 1)); err == nil {
				require.Greater(t, step, int64(5))
			}
			for _, keep := range []func(disk.Unsynced) bool{disk.KeepNone, disk.KeepAll} {
				s, _ = mustRecover(t, m.CrashClone(keep), small(), 0)
				_, current, err := s.Epochs(znode.MakeZxid(5, 1))
				require.NoError(t, err)
				require.EqualValues(t, 5, current)
			}
		}
	}
}

// A database is what a server would have in memory: the last transaction applied. Its snapshot holds that number many times.
type database struct{ last znode.Zxid }

func (d *database) load(r *snapshot.Reader) error {
	d.last = -1
	if _, err := r.Sessions(); err != nil {
		return err
	}
	if _, err := r.ACLs(); err != nil {
		return err
	}
	for {
		var n snapshot.Node
		if err := r.Next(&n); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		if len(n.Data) == 8 {
			d.last = znode.Zxid(binary.BigEndian.Uint64(n.Data))
		}
	}
	if d.last >= 0 && d.last != r.Name().Zxid {
		return fmt.Errorf("snapshot %v holds %v", r.Name(), d.last)
	}
	d.last = r.Name().Zxid
	return nil
}

func (d *database) apply(r txnlog.Record) error {
	if !txnlog.Follows(d.last, r.Zxid) {
		return fmt.Errorf("%v after %v", r.Zxid, d.last)
	}
	if want := record(r.Zxid); !slices.Equal(want.Payload, r.Payload) {
		return fmt.Errorf("%v is not what was written", r.Zxid)
	}
	d.last = r.Zxid
	return nil
}

func recoverIn(fsys disk.FS, opts Options) (*Store, *database, Recovery, error) {
	s, err := Open(fsys, opts)
	if err != nil {
		return nil, nil, Recovery{}, err
	}
	d := &database{}
	rec, err := s.Recover(d.load, d.apply)
	if err != nil {
		return nil, nil, rec, errors.Join(err, s.Close())
	}
	return s, d, rec, nil
}

func mustRecover(t testing.TB, fsys disk.FS, opts Options, last znode.Zxid) (*Store, Recovery) {
	t.Helper()
	s, d, rec, err := recoverIn(fsys, opts)
	require.NoError(t, err)
	require.Equal(t, last, rec.Last)
	require.Equal(t, last, d.last)
	require.Equal(t, last, s.Last())
	return s, rec
}

func mustAppend(t testing.TB, s *Store, from znode.Zxid, n int) {
	t.Helper()
	require.NoError(t, s.Append(records(from, n)))
	synced, err := s.Sync()
	require.NoError(t, err)
	require.Equal(t, from+znode.Zxid(n-1), synced)
}

func save(s *Store, z znode.Zxid) error { return saveOf(s, z, 20) }

// saveOf writes a snapshot of so many nodes.
func saveOf(s *Store, z znode.Zxid, nodes int) error {
	w, err := s.BeginSnapshot(z)
	if err != nil {
		return err
	}
	if err := writeImage(w, z, nodes); err != nil {
		return errors.Join(err, s.AbandonSnapshot(w))
	}
	return s.CommitSnapshot(w)
}

func writeImage(w *snapshot.Writer, z znode.Zxid, count int) error {
	nodes := []snapshot.Node{{Path: "/"}}
	for i := range count {
		nodes = append(nodes, snapshot.Node{Path: fmt.Sprintf("/n%d", i), Data: binary.BigEndian.AppendUint64(nil, uint64(z))})
	}
	if err := errors.Join(w.Sessions([]snapshot.Session{{ID: 0x77, Timeout: 4000}}), w.ACLs(nil), w.Nodes(nodes)); err != nil {
		return err
	}
	return w.Finish(snapshot.Trailer{Digest: 5, DigestZxid: z, HasDigest: true, Last: z, HasLast: true})
}

func mustSave(t testing.TB, s *Store, z znode.Zxid) {
	t.Helper()
	require.NoError(t, save(s, z))
}

func names(t testing.TB, fsys disk.FS, dir string) []string {
	t.Helper()
	n, err := fsys.ReadDir(filepath.Join(dir, versionDir))
	require.NoError(t, err)
	return n
}

func crashable() *disk.Mem { return disk.NewMem(&disk.MemOptions{CrashModel: true}) }

func TestLife(t *testing.T) {
	m := crashable()
	s, rec := mustRecover(t, m, small(), 0)
	require.True(t, rec.Fresh)
	require.Nil(t, rec.Snapshot)
	mustSave(t, s, 0)
	mustAppend(t, s, 1, 3)
	mustAppend(t, s, 4, 2)
	mustSave(t, s, 5)
	mustAppend(t, s, 6, 4)
	require.NoError(t, s.Close())
	require.Equal(t, []string{witnessName, "snapshot.0", "snapshot.5"}, names(t, m, dataDir))
	require.Equal(t, []string{"log.1", "log.6"}, names(t, m, logDir))

	s, rec = mustRecover(t, m, small(), 9)
	require.Equal(t, &snapshot.Name{Zxid: 5}, rec.Snapshot)
	require.EqualValues(t, 5, rec.Trailer.Last)
	require.Equal(t, 4, rec.Records)
	require.False(t, rec.Fresh)
	require.Empty(t, rec.Foreign)
	mustAppend(t, s, 10, 1)
	_, err := s.Recover(nil, nil)
	require.ErrorIs(t, err, ErrMisuse)
	require.NoError(t, s.Close())
	require.Error(t, s.Append(records(11, 1)))
	s, _ = mustRecover(t, m, small(), 10)
	require.NoError(t, s.Close())
}

func TestOneDirectory(t *testing.T) {
	m := crashable()
	opts := Options{DataDir: "/d"}
	s, _ := mustRecover(t, m, opts, 0)
	mustSave(t, s, 0)
	mustAppend(t, s, 1, 1)
	_, err := Open(m, opts)
	require.ErrorIs(t, err, disk.ErrLocked)
	require.NoError(t, s.Close())
	require.Equal(t, []string{witnessName, "log.1", "snapshot.0"}, names(t, m, "/d"))
	require.Equal(t, "/d/version-2", filepath.ToSlash(s.DataDir()))
	require.Equal(t, "/d/version-2", filepath.ToSlash(s.LogDir()))
}

func TestLayout(t *testing.T) {
	m := crashable()
	_, err := Open(m, Options{DataDir: "/x", NoAutocreate: true})
	require.ErrorIs(t, err, ErrLayout)
	_, err = Open(m, Options{DataDir: "/x", Compression: "zip"})
	require.ErrorIs(t, err, ErrLayout)

	for dir, file := range map[string]string{dataDir: "log.1", logDir: "snapshot.1"} {
		m := crashable()
		require.NoError(t, m.MkdirAll(filepath.Join(dir, versionDir)))
		require.NoError(t, disk.Replace(m, filepath.Join(dir, versionDir, file), nil))
		_, err := Open(m, small())
		require.ErrorIs(t, err, ErrLayout)
		require.ErrorContains(t, err, file)
	}

	m = crashable()
	d := filepath.Join(dataDir, versionDir)
	require.NoError(t, m.MkdirAll(d))
	for _, n := range []string{"snapshot.5.tmp", "bellwether.snapshot.5.tmp", "acceptedEpoch.tmp", "currentEpoch.tmp", "other.tmp"} {
		require.NoError(t, disk.Replace(m, filepath.Join(d, n), []byte("1")))
	}
	s, _ := mustRecover(t, m, small(), 0)
	require.NoError(t, s.Close())
	require.Equal(t, []string{witnessName, "currentEpoch.tmp", "other.tmp"}, names(t, m, dataDir))
}

func TestBeginning(t *testing.T) {
	m := crashable()
	opts := small()
	opts.NoInit = true
	s, rec := mustRecover(t, m, opts, 0)
	require.True(t, rec.Blank)
	require.False(t, rec.Fresh)
	require.NoError(t, s.Close())
	require.NoError(t, disk.Replace(m, filepath.Join(logDir, initializeName), nil))
	s, rec = mustRecover(t, m, opts, 0)
	require.True(t, rec.Fresh)
	require.True(t, rec.Initialize)
	require.NoError(t, s.MarkServed())
	require.NoError(t, s.Close())
	_, err := m.Stat(filepath.Join(logDir, initializeName))
	require.Error(t, err, "it counts once")

	m = crashable()
	s, _ = mustRecover(t, m, small(), 0)
	mustAppend(t, s, 1, 3)
	require.NoError(t, s.Close())
	_, _, _, err = recoverIn(m, small())
	require.ErrorIs(t, err, ErrNoSnapshot)
	opts = small()
	opts.TrustEmpty = true
	s, rec = mustRecover(t, m, opts, 3)
	require.Nil(t, rec.Snapshot)
	require.Equal(t, 3, rec.Records)
	require.NoError(t, s.Close())
}

func TestRollBySize(t *testing.T) {
	m := crashable()
	opts := small()
	opts.Log.SizeLimit = 2000
	s, _ := mustRecover(t, m, opts, 0)
	mustSave(t, s, 0)
	for z := znode.Zxid(1); z <= 20; z++ {
		mustAppend(t, s, z, 1)
	}
	require.NoError(t, s.Close())
	require.Greater(t, len(names(t, m, logDir)), 3)
	s, _ = mustRecover(t, m, opts, 20)
	require.NoError(t, s.Close())
}

func TestSnapshotBesideAppends(t *testing.T) {
	m := crashable()
	s, _ := mustRecover(t, m, small(), 0)
	mustAppend(t, s, 1, 5)
	w, err := s.BeginSnapshot(5)
	require.NoError(t, err)
	_, err = s.BeginSnapshot(5)
	require.ErrorIs(t, err, ErrMisuse)
	require.ErrorIs(t, s.CommitSnapshot(nil), ErrMisuse)
	mustAppend(t, s, 6, 2)
	require.NoError(t, writeImage(w, 5, 20))
	mustAppend(t, s, 8, 1)
	require.NoError(t, s.CommitSnapshot(w))
	after := m.CrashClone(disk.KeepNone)
	s, rec := mustRecover(t, after, small(), 8)
	require.Equal(t, 3, rec.Records)
	require.NoError(t, s.Close())
}

func TestFullDisk(t *testing.T) {
	m := crashable()
	s, _ := mustRecover(t, m, small(), 0)
	mustSave(t, s, 0)
	mustAppend(t, s, 1, 2)
	require.NoError(t, s.Reserve(3000))
	m.SetBudget(m.Used())
	require.ErrorIs(t, s.Reserve(20_000), disk.ErrNoSpace)
	require.NoError(t, s.Append(records(3, 2)), "reserved before")
	_, err := s.Sync()
	require.NoError(t, err)
	require.ErrorIs(t, s.Append(records(5, 60)), disk.ErrNoSpace)
	require.NoError(t, s.Err())

	full := disk.OpCreate
	m.SetFault(func(op disk.Op) disk.Fault {
		if op.Kind == full && strings.Contains(op.Path, "bellwether.snapshot") {
			return disk.Fault{Err: disk.ErrNoSpace}
		}
		return disk.Fault{}
	})
	_, err = s.BeginSnapshot(4)
	require.ErrorIs(t, err, disk.ErrNoSpace)
	require.NoError(t, s.Err())
	s.Release(3000)
	m.SetBudget(0)
	for _, full = range []disk.OpKind{disk.OpWrite, disk.OpSync} {
		w, err := s.BeginSnapshot(4)
		require.NoError(t, err)
		require.ErrorIs(t, writeImage(w, 4, 20), disk.ErrNoSpace)
		require.NoError(t, s.AbandonSnapshot(w), "a healthy server outlives it")
	}
	require.Equal(t, []string{witnessName, "snapshot.0"}, names(t, m, dataDir))
	m.SetFault(nil)
	mustAppend(t, s, 5, 1)
	mustSave(t, s, 5)
	mustAppend(t, s, 6, 60)
	require.NoError(t, s.Close())
	m.SetBudget(m.Used()) // and full again: it starts all the same, to be read
	s, _ = mustRecover(t, m, small(), 65)
	require.ErrorIs(t, s.Reserve(1000), disk.ErrNoSpace)
	require.NoError(t, s.Close())
}

func TestMoreSnapshotsThanTheWitnessNames(t *testing.T) {
	m := crashable()
	s, _ := mustRecover(t, m, small(), 0)
	for z := range znode.Zxid(maxImages + 20) {
		mustSave(t, s, z)
		mustAppend(t, s, z+1, 1)
	}
	for range 2 {
		require.NoError(t, s.Close())
		var rec Recovery
		s, rec = mustRecover(t, m, small(), maxImages+20)
		require.Empty(t, rec.Foreign)
	}
	for z := range znode.Zxid(maxImages) { // twice as many as would fit
		mustAppend(t, s, maxImages+21+z, 1)
		mustSave(t, s, maxImages+21+z)
	}
	require.NoError(t, s.Close())
	require.NoError(t, m.Remove(filepath.Join(dataDir, versionDir, witnessName)))
	for range 2 {
		s, _ = mustRecover(t, m, small(), 2*maxImages+20)
		require.NoError(t, s.Close())
	}
}

func TestPurge(t *testing.T) {
	m := crashable()
	s, _ := mustRecover(t, m, small(), 0)
	mustSave(t, s, 0)
	for z := znode.Zxid(1); z <= 9; z += 2 {
		mustAppend(t, s, z, 2)
		mustSave(t, s, z+1)
	}
	_, ok, err := s.RetainFrom(7)
	require.NoError(t, err)
	require.False(t, ok, "there are six")
	require.NoError(t, m.FlipBit("/data/version-2/snapshot.a", 80, 1)) // the newest does not count
	z, ok, err := s.RetainFrom(3)
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 4, z)
	removed, err := s.PurgeBefore(z)
	require.NoError(t, err)
	require.Equal(t, []string{"/data/version-2/snapshot.2", "/data/version-2/snapshot.0", "/log/version-2/log.1"}, slashed(removed))
	require.Equal(t, []string{witnessName, "snapshot.4", "snapshot.6", "snapshot.8", "snapshot.a"}, names(t, m, dataDir))
	require.Equal(t, []string{txnlog.SpareName, "log.3", "log.5", "log.7", "log.9"}, names(t, m, logDir), "log.3 is the one the oldest snapshot may need")
	s, rec := mustRecover(t, m.CrashClone(disk.KeepNone), small(), 10)
	require.Len(t, rec.Skipped, 1)
	require.Equal(t, &snapshot.Name{Zxid: 8}, rec.Snapshot)
	require.NoError(t, s.Close())
}

func slashed(paths []string) []string {
	for i := range paths {
		paths[i] = filepath.ToSlash(paths[i])
	}
	return paths
}

// An epoch that can be read, because the process before was not able to sync it, is on the disk once it has been finished.
func TestEpochThatWasNeverSynced(t *testing.T) {
	m := crashable()
	d := filepath.Join(dataDir, versionDir)
	require.NoError(t, m.MkdirAll(d))
	require.NoError(t, disk.Replace(m, filepath.Join(d, acceptedName), []byte("5")))
	require.NoError(t, disk.Replace(m, filepath.Join(d, currentName), []byte("4")))
	f, err := m.Create(filepath.Join(d, currentName+tmpSuffix))
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("5"), 0)
	require.NoError(t, err)
	m.SetFault(func(op disk.Op) disk.Fault {
		if op.Kind != disk.OpSync {
			return disk.Fault{}
		}
		return disk.Fault{Err: errors.New("boom"), Drop: true}
	})
	require.Error(t, f.Sync())
	m = m.Reopen()
	s, _ := mustRecover(t, m, small(), 0)
	_, current, err := s.Epochs(znode.MakeZxid(5, 1))
	require.NoError(t, err)
	require.EqualValues(t, 5, current)
	b, err := disk.ReadFile(m.CrashClone(disk.KeepNone), filepath.Join(d, currentName), 100)
	require.NoError(t, err)
	require.Equal(t, "5", string(b))
}

func TestEpochs(t *testing.T) {
	type files = map[string]string
	for name, c := range map[string]struct {
		files             files
		last              znode.Zxid
		accepted, current int64
		want              error
	}{
		"none":                        {nil, 0, 0, 0, nil},
		"none, with data":             {nil, znode.MakeZxid(3, 9), 3, 3, nil},
		"both":                        {files{acceptedName: "5", currentName: "4"}, znode.MakeZxid(4, 1), 5, 4, nil},
		"first line counts":           {files{acceptedName: "5\n", currentName: "4\r\nx"}, 0, 5, 4, nil},
		"accepted missing":            {files{currentName: "4"}, znode.MakeZxid(4, 1), 4, 4, nil},
		"accepted missing, too late":  {files{currentName: "4"}, znode.MakeZxid(3, 1), 0, 0, ErrEpoch},
		"accepted behind":             {files{acceptedName: "3", currentName: "4"}, 0, 0, 0, ErrEpoch},
		"data ahead of both":          {files{acceptedName: "4", currentName: "4"}, znode.MakeZxid(5, 1), 0, 0, ErrEpoch},
		"data ahead, none accepted":   {files{currentName: "4"}, znode.MakeZxid(5, 1), 0, 0, ErrEpoch},
		"data ahead, but accepted":    {files{acceptedName: "7", currentName: "4"}, znode.MakeZxid(5, 1), 7, 5, nil},
		"data ahead, rename finished": {files{acceptedName: "5", currentName: "4", "currentEpoch.tmp": "5"}, znode.MakeZxid(5, 1), 5, 5, nil},
		"data ahead, tmp behind":      {files{acceptedName: "5", currentName: "3", "currentEpoch.tmp": "4"}, znode.MakeZxid(5, 1), 5, 5, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := crashable()
			d := filepath.Join(dataDir, versionDir)
			require.NoError(t, m.MkdirAll(d))
			for _, n := range []string{acceptedName, currentName, "currentEpoch.tmp"} {
				if v, ok := c.files[n]; ok {
					require.NoError(t, disk.Replace(m, filepath.Join(d, n), []byte(v)))
				}
			}
			s, _ := mustRecover(t, m, small(), 0)
			a, e, err := s.Epochs(c.last)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []int64{c.accepted, c.current}, []int64{a, e})
			require.NoError(t, s.SaveAcceptedEpoch(a+2))
			require.NoError(t, s.SaveCurrentEpoch(a+1))
			require.ErrorIs(t, s.SaveAcceptedEpoch(a+1), ErrEpoch)
			m = m.CrashClone(disk.KeepNone)
			b, err := disk.ReadFile(m, filepath.Join(d, acceptedName), 100)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(a+2), string(b), "digits and nothing else, as Apache writes it")
			s, _ = mustRecover(t, m, small(), 0)
			a2, e2, err := s.Epochs(0)
			require.NoError(t, err)
			require.Equal(t, []int64{a + 2, a + 1}, []int64{a2, e2})
		})
	}
	for _, bad := range []string{"", "x", "-1", "+1", " 1", "1 ", "99999999999999999999", "0x1", "٣"} {
		m := crashable()
		require.NoError(t, m.MkdirAll(filepath.Join(dataDir, versionDir)))
		require.NoError(t, disk.Replace(m, filepath.Join(dataDir, versionDir, currentName), []byte(bad)))
		_, _, _, err := recoverIn(m, small())
		require.ErrorIs(t, err, disk.ErrDamaged, "%q", bad)
	}
}

func TestTruncate(t *testing.T) {
	build := func(t *testing.T) (*disk.Mem, *Store) {
		m := crashable()
		s, _ := mustRecover(t, m, small(), 0)
		mustSave(t, s, 0)
		mustAppend(t, s, 1, 4)
		mustSave(t, s, 4)
		mustAppend(t, s, 5, 4)
		mustSave(t, s, 8)
		mustAppend(t, s, 9, 2)
		return m, s
	}
	for z := znode.Zxid(0); z <= 10; z++ {
		m, s := build(t)
		require.NoError(t, s.Truncate(z))
		d := &database{}
		rec, err := s.Reload(d.load, d.apply)
		require.NoError(t, err)
		require.Equal(t, z, rec.Last)
		require.Equal(t, z, d.last)
		mustAppend(t, s, z+1, 3)
		s, _ = mustRecover(t, m.CrashClone(disk.KeepNone), small(), z+3)
		require.NoError(t, s.Close())
	}
	_, s := build(t)
	require.ErrorIs(t, s.Truncate(11), ErrUnreachable)
	_, err := s.PurgeBefore(8)
	require.NoError(t, err)
	require.ErrorIs(t, s.Truncate(7), ErrUnreachable, "no snapshot so early is left")
	require.Equal(t, znode.Zxid(10), s.Last())
	mustAppend(t, s, 11, 1)

	// A snapshot that began before and has later transactions in it must go, unlike with Apache.
	m, s := build(t)
	w, err := s.BeginSnapshot(6)
	require.NoError(t, err)
	require.NoError(t, errors.Join(w.Sessions(nil), w.ACLs(nil), w.Nodes([]snapshot.Node{{Path: "/"}}),
		w.Finish(snapshot.Trailer{Digest: 1, DigestZxid: 9, HasDigest: true, Last: 9})))
	require.NoError(t, s.CommitSnapshot(w))
	require.NoError(t, s.Truncate(7))
	require.Equal(t, []string{witnessName, "snapshot.0", "snapshot.4"}, names(t, m, dataDir))
}

func TestMisuse(t *testing.T) {
	s, err := Open(crashable(), small())
	require.NoError(t, err)
	_, err = s.Sync()
	require.ErrorIs(t, err, ErrMisuse)
	require.ErrorIs(t, s.Append(nil), ErrMisuse)
	require.ErrorIs(t, s.Reserve(1), ErrMisuse)
	require.ErrorIs(t, s.Truncate(1), ErrMisuse)
	for _, err := range s.From(1) {
		require.ErrorIs(t, err, ErrMisuse)
	}
	require.NoError(t, s.Close())
}

// Several servers' directories on one disk in memory, each opened once at a time, and their clones.
func TestSeveralOnOneDisk(t *testing.T) {
	m := crashable()
	var stores []*Store
	for i := range 3 {
		opts := Options{DataDir: fmt.Sprintf("/%d", i), Log: txnlog.Options{Prealloc: -1}}
		s, _, _, err := recoverIn(m, opts)
		require.NoError(t, err)
		_, err = Open(m, opts)
		require.ErrorIs(t, err, disk.ErrLocked)
		require.NoError(t, save(s, 0))
		mustAppend(t, s, 1, 3+i)
		stores = append(stores, s)
	}
	clone := m.CrashClone(disk.KeepNone)
	for i, s := range stores {
		mustAppend(t, s, znode.Zxid(4+i), 1)
		opts := Options{DataDir: fmt.Sprintf("/%d", i), Log: txnlog.Options{Prealloc: -1}}
		c, rec := mustRecover(t, clone, opts, znode.Zxid(3+i))
		require.Equal(t, 3+i, rec.Records)
		require.NoError(t, s.Close())
		mustAppend(t, c, znode.Zxid(4+i), 2)
		require.NoError(t, c.Close())
		s, _ = mustRecover(t, m, opts, znode.Zxid(4+i))
		require.NoError(t, s.Close())
	}
}
