package txnlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const dir = "/log"

// record is a setData with n bytes of data that no sector of zeros can be mistaken for.
func record(z znode.Zxid, n int) Record {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i)*7 | 1
	}
	t := txn.Txn{
		Header: txn.Header{Session: 0x1234, Cxid: int32(z), Zxid: z, Time: 1_700_000_000_000, Type: wire.OpSetData},
		Body:   &txn.SetData{Path: fmt.Sprintf("/node-%v", z), Data: data, Version: 3}, Digest: 99, HasDigest: true,
	}
	return Record{Zxid: z, Payload: t.AppendPayload(nil)}
}

func group(from znode.Zxid, n, size int) []Record {
	var g []Record
	for i := range n {
		g = append(g, record(from+znode.Zxid(i), size))
	}
	return g
}

func newMem(t testing.TB) *disk.Mem {
	t.Helper()
	m := disk.NewMem(&disk.MemOptions{CrashModel: true})
	require.NoError(t, m.MkdirAll(dir))
	return m
}

func mustOpen(t testing.TB, fsys disk.FS, opts *Options) *Log {
	t.Helper()
	l, err := Open(fsys, dir, opts)
	require.NoError(t, err)
	return l
}

func mustAppend(t testing.TB, l *Log, g []Record) {
	t.Helper()
	require.NoError(t, l.Append(g))
	_, err := l.Sync()
	require.NoError(t, err)
}

// mustHave reads the log from zxid on.
func mustHave(t testing.TB, l *Log, from znode.Zxid, want ...znode.Zxid) {
	t.Helper()
	got, err := read(l, from)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func read(l *Log, from znode.Zxid) (got []znode.Zxid, err error) {
	for r, err := range l.From(from) {
		if err != nil {
			return got, err
		}
		got = append(got, r.Zxid)
	}
	return got, nil
}

func zxids(from, to znode.Zxid) []znode.Zxid {
	var v []znode.Zxid
	for z := from; z <= to; z++ {
		v = append(v, z)
	}
	return v
}

func names(t testing.TB, fsys disk.FS) []string {
	t.Helper()
	n, err := fsys.ReadDir(dir)
	require.NoError(t, err)
	return n
}

func TestNames(t *testing.T) {
	for name, want := range map[string]znode.Zxid{"log.0": 0, "log.1f": 0x1f, "log.100000001": 0x100000001} {
		z, ok := ParseName(name)
		require.True(t, ok, name)
		require.Equal(t, want, z)
		require.Equal(t, name, Name(z))
	}
	for _, name := range []string{"log.", "log.01", "log.1F", "log.1.bak", "log.-1", "log.+1", "log.g", "snapshot.1", "log", "log.ffffffffffffffff"} {
		_, ok := ParseName(name)
		require.False(t, ok, name)
	}
}

func TestWriteAndRead(t *testing.T) {
	m := newMem(t)
	l := mustOpen(t, m, nil)
	mustAppend(t, l, group(1, 3, 10))
	mustAppend(t, l, group(4, 2, 300_000)) // larger than the reader's window
	mustHave(t, l, 0, zxids(1, 5)...)
	require.NoError(t, l.Roll())
	mustAppend(t, l, group(6, 1, 0))
	require.EqualValues(t, 6, l.Last())
	require.Equal(t, []string{"log.1", "log.6"}, names(t, m))
	require.NoError(t, l.Close())

	l = mustOpen(t, m, nil)
	require.EqualValues(t, 6, l.Last())
	require.Zero(t, l.Tail().Cut)
	mustHave(t, l, 0, zxids(1, 6)...)
	mustHave(t, l, 3, zxids(3, 6)...)
	mustHave(t, l, 6, 6)
	mustHave(t, l, 7)
	mustAppend(t, l, []Record{record(znode.MakeZxid(1, 1), 5)}) // a later epoch
	require.Equal(t, []string{"log.1", "log.100000001", "log.6"}, names(t, m), "writing goes to a new file")
	mustHave(t, l, 6, 6, znode.MakeZxid(1, 1))
	mustHave(t, l, 7, znode.MakeZxid(1, 1))
	for r, err := range l.From(2) {
		require.NoError(t, err)
		require.Equal(t, record(2, 10), r)
		break
	}
}

func TestFileIsAsApacheWritesIt(t *testing.T) {
	m := newMem(t)
	l := mustOpen(t, m, nil)
	mustAppend(t, l, []Record{record(1, 4)})
	i, err := m.Stat(dir + "/log.1")
	require.NoError(t, err)
	require.EqualValues(t, 16+64<<20, i.Size, "space is reserved as zookeeper.preAllocSize says")
	require.NoError(t, l.Close())
	b, err := disk.ReadFile(m, dir+"/log.1", 1<<20)
	require.NoError(t, err)
	payload := record(1, 4).Payload
	require.Len(t, b, 16+13+len(payload))
	require.Equal(t, "ZKLG\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00", string(b[:16]))
	require.Equal(t, payload, b[28:28+len(payload)])
	require.EqualValues(t, 'B', b[len(b)-1])
}

// The example of a record in the format's description, to the byte.
func TestRecordBytes(t *testing.T) {
	m := newMem(t)
	l := mustOpen(t, m, nil)
	z := znode.MakeZxid(1, 1)
	x := txn.Txn{Header: txn.Header{Session: 0x100001, Zxid: z, Time: 0x18BCFE56800, Type: wire.OpCreateSession},
		Body: &txn.CreateSession{Timeout: 30000}, Digest: 0x51C6D660, HasDigest: true}
	mustAppend(t, l, []Record{{Zxid: z, Payload: x.AppendPayload(nil)}})
	require.NoError(t, l.Close())
	b, err := disk.ReadFile(m, dir+"/log.100000001", 1<<20)
	require.NoError(t, err)
	require.Equal(t, "00000000998609a3000000300000000000100001000000000000000100000001"+
		"0000018bcfe56800fffffff600007530000000020000000051c6d66042", fmt.Sprintf("%x", b[16:]))
}

func TestRefusals(t *testing.T) {
	m := newMem(t)
	l := mustOpen(t, m, &Options{MaxRecord: 200})
	mustAppend(t, l, group(1, 2, 4))
	for name, c := range map[string]struct {
		group []Record
		want  error
	}{
		"again":       {[]Record{record(2, 4)}, ErrOrder},
		"lower":       {[]Record{record(1, 4)}, ErrOrder},
		"gap":         {[]Record{record(4, 4)}, ErrOrder},
		"gap inside":  {[]Record{record(3, 4), record(5, 4)}, ErrOrder},
		"epoch at 2":  {[]Record{record(znode.MakeZxid(1, 2), 4)}, ErrOrder},
		"too large":   {[]Record{record(3, 4), record(4, 200)}, ErrRecord},
		"no header":   {[]Record{{Zxid: 3, Payload: make([]byte, 31)}}, ErrRecord},
		"other zxid":  {[]Record{{Zxid: 3, Payload: record(4, 4).Payload}}, ErrRecord},
		"nil payload": {[]Record{{Zxid: 3}}, ErrRecord},
	} {
		require.ErrorIs(t, l.Append(c.group), c.want, name)
	}
	mustAppend(t, l, group(3, 1, 4))
	mustHave(t, l, 0, zxids(1, 3)...)
	l.SetLast(10)
	require.ErrorIs(t, l.Append(group(4, 1, 4)), ErrOrder)
	require.NoError(t, l.Append(nil))
}

func TestAppendDoesNotAllocate(t *testing.T) {
	l := mustOpen(t, nullFS{disk.NewMem(nil)}, nil)
	groups := make([][]Record, 1100)
	for i := range groups {
		groups[i] = group(znode.Zxid(i*10+1), 10, 100)
	}
	next := 0
	run := func() {
		if l.Append(groups[next]) != nil {
			t.Fail()
		}
		next++
	}
	run()
	require.Zero(t, testing.AllocsPerRun(1000, run))
}

// nullFS has files that forget what is written.
type nullFS struct{ *disk.Mem }
type nullFile struct{ disk.File }

func (n nullFS) ReadDir(string) ([]string, error)         { return nil, nil }
func (n nullFS) Rename(string, string) error              { return nil }
func (n nullFS) Create(string) (disk.File, error)         { return nullFile{}, nil }
func (nullFile) Reserve(int64) error                      { return nil }
func (nullFile) WriteAt(p []byte, off int64) (int, error) { return len(p), nil }
func (nullFile) Sync() error                              { return nil }

func TestPreallocation(t *testing.T) {
	m := newMem(t)
	l := mustOpen(t, m, &Options{Prealloc: 1000})
	size := func() int64 {
		i, err := m.Stat(dir + "/log.1")
		require.NoError(t, err)
		return i.Size
	}
	mustAppend(t, l, group(1, 1, 100))
	require.EqualValues(t, 1016, size())
	mustAppend(t, l, group(2, 1, 2000))
	end := size()
	require.Equal(t, l.Written(), end)
	mustAppend(t, l, group(3, 1, 10))
	require.Equal(t, end+1000, size())
	mustHave(t, l, 0, 1, 2, 3)
	require.NoError(t, l.Roll())
	require.Less(t, size(), end+1000, "what is not used is given back")

	m = newMem(t)
	l = mustOpen(t, m, &Options{Prealloc: -1})
	mustAppend(t, l, group(1, 1, 100))
	require.Equal(t, l.Written(), size())
}

func TestReserve(t *testing.T) {
	m := newMem(t)
	m.SetBudget(10_000)
	l := mustOpen(t, m, nil) // 64 MiB at a time are not to be had: it makes do with less
	r := group(1, 3, 1000)
	need := int64(3*RecordOverhead + len(r[0].Payload) + len(r[1].Payload) + len(r[2].Payload))
	require.NoError(t, l.Reserve(need))
	require.NoError(t, l.Reserve(5000))
	used := m.Used()
	require.ErrorIs(t, l.Reserve(5000), disk.ErrNoSpace)
	l.Release(5000)
	require.NoError(t, l.Reserve(5000))
	mustAppend(t, l, r)
	require.ErrorIs(t, l.Append(group(4, 9, 1000)), disk.ErrNoSpace, "more than was reserved, or is left")
	mustHave(t, l, 0, 1, 2, 3)
	require.Equal(t, used, m.Used())
	mustAppend(t, l, group(4, 4, 1000)) // has its space
	require.NoError(t, l.Reserve(1500))
	require.ErrorIs(t, l.Roll(), disk.ErrNoSpace, "a new file would not have room for what is promised")
	mustHave(t, l, 0, zxids(1, 7)...)
	m.SetBudget(0)
	require.NoError(t, l.Roll())
	mustAppend(t, l, group(8, 9, 1000))
	require.NoError(t, l.Close())
	mustHave(t, mustOpen(t, m, nil), 1, zxids(1, 16)...)
}

// Promises survive a roll.
func TestReserveAcrossRoll(t *testing.T) {
	m := newMem(t)
	l := mustOpen(t, m, &Options{Prealloc: 1000})
	mustAppend(t, l, group(1, 1, 10))
	require.NoError(t, l.Reserve(20_000))
	require.NoError(t, l.Roll())
	m.SetBudget(m.Used())
	mustAppend(t, l, group(2, 10, 1000))
}

func TestNoSpaceForTheSpareBreaksNothing(t *testing.T) {
	for _, kind := range []disk.OpKind{disk.OpCreate, disk.OpReserve, disk.OpWrite, disk.OpSync} {
		m := newMem(t)
		l := mustOpen(t, m, nil)
		fail := true
		m.SetFault(func(op disk.Op) disk.Fault {
			if fail && op.Kind == kind {
				return disk.Fault{Err: disk.ErrNoSpace}
			}
			return disk.Fault{}
		})
		require.ErrorIs(t, l.Reserve(100), disk.ErrNoSpace, "%v", kind)
		require.NotErrorIs(t, l.Append(group(1, 1, 1)), disk.ErrBroken)
		fail = false
		require.NoError(t, l.Reserve(100))
		mustAppend(t, l, group(1, 1, 1))
	}
}

func TestAnyFailureIsForGood(t *testing.T) {
	boom := errors.New("boom")
	for _, kind := range []disk.OpKind{disk.OpCreate, disk.OpReserve, disk.OpWrite, disk.OpSync, disk.OpRename, disk.OpSyncDir, disk.OpTruncate} {
		for _, cause := range []error{boom, disk.ErrNoSpace} {
			m := newMem(t)
			l := mustOpen(t, m, &Options{Prealloc: 1})
			mustAppend(t, l, group(1, 1, 1))
			require.NoError(t, l.Roll())
			require.NoError(t, l.Reserve(200))
			armed := true
			m.SetFault(func(op disk.Op) disk.Fault {
				if armed && op.Kind == kind {
					armed = false
					return disk.Fault{Err: cause}
				}
				return disk.Fault{}
			})
			var first error
			synced := znode.Zxid(1)
			for _, step := range []func() error{
				func() error { return l.Append(group(2, 2, 20)) },
				func() error { z, err := l.Sync(); synced = z; return err },
				func() error { return l.Reserve(10_000) },
				l.Roll,
				func() error { return l.Append(group(4, 1, 100)) },
				func() error { z, err := l.Sync(); synced = z; return err },
			} {
				if first = step(); first != nil {
					break
				}
			}
			if (kind == disk.OpCreate || kind == disk.OpReserve) && cause == disk.ErrNoSpace {
				require.ErrorIs(t, first, cause, "%v", kind)
				require.NotErrorIs(t, first, disk.ErrBroken, "%v", kind)
				continue
			}
			require.ErrorIs(t, first, disk.ErrBroken, "%v", kind)
			require.Equal(t, cause == boom, errors.Is(first, cause), "only a refusal is ErrNoSpace")
			for _, again := range []error{l.Append(group(9, 1, 1)), l.Roll(), l.Reserve(1), l.Truncate(0), l.Close()} {
				require.Equal(t, first, again, "%v", kind)
			}
			got, err := l.Sync()
			require.Equal(t, first, err)
			require.Equal(t, synced, got, "nothing is called synced after a failure")
		}
	}
}

func TestTruncate(t *testing.T) {
	build := func(m *disk.Mem) *Log {
		l := mustOpen(t, m, &Options{Prealloc: 4096})
		for z := znode.Zxid(1); z <= 9; z++ {
			mustAppend(t, l, group(z, 1, 10))
			if z%3 == 0 {
				require.NoError(t, l.Roll())
			}
		}
		mustAppend(t, l, group(10, 2, 10))
		return l
	}
	for after := znode.Zxid(0); after <= 12; after++ {
		m := newMem(t)
		l := build(m)
		require.NoError(t, l.Truncate(after))
		end := min(after, 11)
		require.Equal(t, end, l.Last())
		mustHave(t, l, 0, zxids(1, end)...)
		mustAppend(t, l, group(end+1, 2, 10))
		crashed := mustOpen(t, m.CrashClone(disk.KeepNone), nil)
		mustHave(t, crashed, 0, zxids(1, end+2)...)
	}
	// A crash anywhere on the way leaves a log that ends between here and there.
	count := newMem(t)
	l := build(count)
	before := count.Steps()
	require.NoError(t, l.Truncate(2))
	for step := before + 1; step <= count.Steps(); step++ {
		for seed := range uint64(8) {
			m := newMem(t)
			l := build(m)
			m.CrashAt(step, seed%2 == 0)
			require.ErrorIs(t, l.Truncate(2), disk.ErrCrashed)
			l = mustOpen(t, m.CrashClone(disk.KeepSome(rand.New(rand.NewPCG(seed, 1)), 0.5)), nil)
			require.GreaterOrEqual(t, l.Last(), znode.Zxid(2))
			mustHave(t, l, 0, zxids(1, l.Last())...)
		}
	}
}

func TestPrune(t *testing.T) {
	m := newMem(t)
	l := mustOpen(t, m, nil)
	for _, z := range []znode.Zxid{1, 5, 9} {
		mustAppend(t, l, group(z, 4, 10))
		require.NoError(t, l.Roll())
	}
	removed, err := l.Prune(8)
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(dir, "log.1")}, removed)
	mustHave(t, l, 8, zxids(8, 12)...)
	_, err = read(l, 4)
	require.ErrorIs(t, err, disk.ErrDamaged, "the log does not reach back that far")
	removed, err = l.Prune(100)
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(dir, "log.5")}, removed)
	removed, err = l.Prune(100)
	require.NoError(t, err)
	require.Empty(t, removed)
	mustHave(t, mustOpen(t, m.CrashClone(disk.KeepNone), nil), 9, zxids(9, 12)...)
}

// Logs written by Apache ZooKeeper 3.8.
func TestApacheLogs(t *testing.T) {
	e1 := func(n uint32) znode.Zxid { return znode.MakeZxid(1, n) }
	for _, c := range []struct {
		path  string
		first znode.Zxid
		last  znode.Zxid
	}{
		{"voters/1", e1(1), e1(14)},
		{"voters/2", e1(1), e1(14)},
		{"observer-and-snap/1", e1(1), e1(7)},
		{"observer-and-snap/4", e1(1), e1(7)},
	} {
		t.Run(c.path, func(t *testing.T) {
			tmp := t.TempDir()
			require.NoError(t, os.CopyFS(tmp, os.DirFS(filepath.Join("testdata", c.path, "version-2"))))
			l, err := Open(disk.OS(), tmp, nil)
			require.NoError(t, err)
			require.Equal(t, c.last, l.Last())
			next := c.first
			for r, err := range l.From(c.first) {
				require.NoError(t, err)
				require.Equal(t, next, r.Zxid)
				x, err := txn.Decode(r.Payload)
				require.NoError(t, err)
				require.Equal(t, r.Zxid, x.Zxid)
				require.Equal(t, r.Payload, x.AppendPayload(nil), "encoding is the inverse of decoding")
				next++
			}
			require.Equal(t, c.last+1, next)
			require.NoError(t, l.Append([]Record{record(next, 5)}))
			require.NoError(t, l.Close())
		})
	}
}

// A model of the whole log: appends, syncs, rolls, truncates and crashes, against a list of zxids.
func TestLogAgainstAList(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newMem(t)
		opts := &Options{Prealloc: int64(rapid.SampledFrom([]int{-1, 700, 100_000}).Draw(rt, "prealloc"))}
		l := mustOpen(t, m, opts)
		var last, synced znode.Zxid
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0, 1:
				g := group(last+1, rapid.IntRange(1, 5).Draw(rt, "n"), rapid.IntRange(0, 1500).Draw(rt, "size"))
				require.NoError(rt, l.Append(g))
				last += znode.Zxid(len(g))
			case 2:
				z, err := l.Sync()
				require.NoError(rt, err)
				require.Equal(rt, last, z)
				synced, opts.Mark = last, l.Mark()
			case 3:
				require.NoError(rt, l.Roll())
				synced = last
			case 4:
				last = znode.Zxid(rapid.IntRange(0, int(last)).Draw(rt, "after"))
				opts.Mark = Mark{}
				require.NoError(rt, l.Truncate(last))
				synced = last
			case 5:
				_, err := l.Sync()
				require.NoError(rt, err)
				m = m.CrashClone(disk.KeepSome(rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)), 0.5))
				var oerr error
				l, oerr = Open(m, dir, opts)
				require.NoError(rt, oerr)
				require.GreaterOrEqual(rt, l.Last(), synced)
				last, synced = l.Last(), l.Last()
			}
			got, err := read(l, 0)
			require.NoError(rt, err)
			require.Equal(rt, zxids(1, last), got)
		}
	})
}
