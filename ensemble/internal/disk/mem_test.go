package disk

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func crashable() *Mem { return NewMem(&MemOptions{CrashModel: true}) }

func mustEdit(t *testing.T, m *Mem, name string) File {
	t.Helper()
	f, err := m.Create(name)
	require.NoError(t, err)
	return f
}

func mustWrite(t *testing.T, f File, off int64, p []byte) {
	t.Helper()
	_, err := f.WriteAt(p, off)
	require.NoError(t, err)
}

func TestCrashLosesWhatIsNotSynced(t *testing.T) {
	m := crashable()
	f := mustEdit(t, m, "f")
	require.NoError(t, m.SyncDir("."))
	mustWrite(t, f, 0, []byte("synced"))
	require.NoError(t, f.Sync())
	mustWrite(t, f, 0, []byte("later."))
	require.NoError(t, f.Truncate(1000))

	require.Equal(t, "synced", string(mustRead(t, m.CrashClone(KeepNone), "f")))
	all := mustRead(t, m.CrashClone(KeepAll), "f")
	require.Equal(t, append([]byte("later."), make([]byte, 994)...), all)
	require.Equal(t, all, mustRead(t, m, "f"), "the disk itself goes on unharmed")
}

func TestCrashTearsAtSectors(t *testing.T) {
	m := crashable()
	f := mustEdit(t, m, "f")
	require.NoError(t, m.SyncDir("."))
	mustWrite(t, f, 100, bytes.Repeat([]byte{'x'}, 2000)) // sectors 0 to 4
	odd := m.CrashClone(func(u Unsynced) bool { return u.Kind == OpWrite && u.Off/SectorSize%2 == 1 })
	got := mustRead(t, odd, "f")
	require.Len(t, got, 4*SectorSize)
	for i, c := range got {
		want := byte(0)
		if i/SectorSize%2 == 1 {
			want = 'x'
		}
		require.Equal(t, want, c, "byte %d", i)
	}
	sized := m.CrashClone(func(u Unsynced) bool { return u.Kind == OpTruncate })
	require.Equal(t, make([]byte, 2100), mustRead(t, sized, "f"))
}

func TestCrashKeepsSectorsWhole(t *testing.T) {
	m := crashable()
	f := mustEdit(t, m, "f")
	require.NoError(t, m.SyncDir("."))
	mustWrite(t, f, 0, []byte("first "))
	mustWrite(t, f, 6, []byte("second "))
	mustWrite(t, f, 13, []byte("third"))
	second := m.CrashClone(func(u Unsynced) bool { return u.Kind == OpWrite && u.Off == 6 })
	require.Equal(t, "first second ", string(mustRead(t, second, "f")))
}

func TestCrashAndNames(t *testing.T) {
	m := crashable()
	require.NoError(t, Replace(m, "f", []byte("old")))
	g := mustEdit(t, m, "g")
	mustWrite(t, g, 0, []byte("new"))
	require.NoError(t, m.Rename("g", "f")) // renamed before its content was synced

	require.Equal(t, "old", string(mustRead(t, m.CrashClone(KeepNone), "f")))
	require.Equal(t, "new", string(mustRead(t, m.CrashClone(KeepAll), "f")))
	empty := m.CrashClone(func(u Unsynced) bool { return u.Kind == OpRename })
	require.Empty(t, mustRead(t, empty, "f"))
	created := m.CrashClone(func(u Unsynced) bool { return u.Kind == OpCreate })
	require.Equal(t, "old", string(mustRead(t, created, "f")))
	require.Empty(t, mustRead(t, created, "g"))

	require.NoError(t, g.Sync())
	require.NoError(t, m.SyncDir("."))
	require.Equal(t, "new", string(mustRead(t, m.CrashClone(KeepNone), "f")))

	require.NoError(t, m.Remove("f"))
	require.Equal(t, "new", string(mustRead(t, m.CrashClone(KeepNone), "f")))
	_, err := m.CrashClone(KeepAll).Stat("f")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestCrashAtEveryStep(t *testing.T) {
	run := func(m *Mem) error { return Replace(m, "f", []byte("content")) }
	count := crashable()
	require.NoError(t, run(count))
	require.EqualValues(t, 5, count.Steps()) // create, write, sync, rename, syncdir
	for step := int64(1); step <= count.Steps(); step++ {
		for _, after := range []bool{false, true} {
			m := crashable()
			m.CrashAt(step, after)
			require.ErrorIs(t, run(m), ErrCrashed)
			require.True(t, m.Crashed())
			_, err := m.ReadDir(".")
			require.ErrorIs(t, err, ErrCrashed)
			if step == 5 && after {
				require.Equal(t, "content", string(mustRead(t, m.CrashClone(KeepNone), "f")))
			} else if _, err := m.CrashClone(KeepNone).Stat("f"); err == nil {
				require.Fail(t, "f is there", "step %d after %v", step, after)
			}
		}
	}
}

func TestFaults(t *testing.T) {
	m := crashable()
	f := mustEdit(t, m, "f")
	require.NoError(t, m.SyncDir("."))
	boom := errors.New("boom")
	failNext := func(kind OpKind, fault Fault) {
		m.SetFault(func(op Op) Fault {
			if op.Kind != kind {
				return Fault{}
			}
			m.SetFault(nil)
			return fault
		})
	}
	for _, c := range []struct {
		kind OpKind
		call func() error
	}{
		{OpOpen, func() error { _, err := m.Open("f"); return err }},
		{OpCreate, func() error { _, err := m.Create("g"); return err }},
		{OpRead, func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err }},
		{OpReadDir, func() error { _, err := m.ReadDir("."); return err }},
		{OpStat, func() error { _, err := m.Stat("f"); return err }},
		{OpTruncate, func() error { return f.Truncate(9) }},
		{OpReserve, func() error { return f.Reserve(9) }},
		{OpMkdir, func() error { return m.MkdirAll("d") }},
		{OpRename, func() error { return m.Rename("f", "g") }},
		{OpRemove, func() error { return m.Remove("f") }},
		{OpSyncDir, func() error { return m.SyncDir(".") }},
	} {
		failNext(c.kind, Fault{Err: boom})
		require.ErrorIs(t, c.call(), boom, "%v", c.kind)
	}
	names, err := m.ReadDir(".")
	require.NoError(t, err)
	require.Equal(t, []string{"f"}, names, "a failed call has no effect")
	require.Empty(t, mustRead(t, m, "f"))

	failNext(OpWrite, Fault{Err: boom, Partial: 2})
	n, err := f.WriteAt([]byte("abcd"), 0)
	require.ErrorIs(t, err, boom)
	require.Equal(t, 2, n)
	require.Equal(t, "ab", string(mustRead(t, m, "f")))

	failNext(OpSync, Fault{Err: boom, Drop: true})
	require.ErrorIs(t, f.Sync(), boom)
	require.NoError(t, f.Sync(), "a second sync claims success")
	require.Equal(t, "ab", string(mustRead(t, m, "f")), "reads still see it")
	require.Empty(t, mustRead(t, m.CrashClone(KeepAll), "f"), "but it never gets to the disk")

	next := m.Reopen()
	require.Equal(t, "ab", string(mustRead(t, next, "f")), "the next process still sees it")
	require.Empty(t, mustRead(t, next.CrashClone(KeepAll), "f"), "and the disk has it no more than before")
	_, err = f.WriteAt([]byte("x"), 0)
	require.ErrorIs(t, err, ErrCrashed, "the process before has no say in it")
	f, err = next.Edit("f")
	require.NoError(t, err)
	mustWrite(t, f, 0, []byte("ab"))
	require.NoError(t, f.Sync())
	require.NoError(t, next.SyncDir("."))
	require.Equal(t, "ab", string(mustRead(t, next.CrashClone(KeepNone), "f")), "until it is written once more")
}

func TestBudget(t *testing.T) {
	m := NewMem(&MemOptions{Budget: 1000})
	f := mustEdit(t, m, "f")
	require.NoError(t, f.Reserve(900))
	require.EqualValues(t, 900, m.Used())
	mustWrite(t, f, 0, make([]byte, 900)) // has its space already
	_, err := f.WriteAt(make([]byte, 101), 900)
	require.ErrorIs(t, err, ErrNoSpace)
	require.ErrorIs(t, f.Reserve(1001), ErrNoSpace)
	size, err := f.Size()
	require.NoError(t, err)
	require.EqualValues(t, 900, size)
	free, err := m.Free("/")
	require.NoError(t, err)
	require.EqualValues(t, 100, free)
	require.NoError(t, f.Truncate(100))
	require.EqualValues(t, 100, m.Used())
	require.NoError(t, m.Remove("f"))
	require.Zero(t, m.Used())

	late := NewMem(&MemOptions{Budget: 10, LateNoSpace: true})
	f = mustEdit(t, late, "f")
	mustWrite(t, f, 0, make([]byte, 11))
	require.ErrorIs(t, f.Sync(), ErrNoSpace)
	require.ErrorIs(t, f.Reserve(12), ErrNoSpace, "reserving is never late")
	late.SetBudget(100)
	require.NoError(t, f.Sync())
}

func TestBroken(t *testing.T) {
	cause := &fs.PathError{Op: "write", Path: "f", Err: errors.Join(ErrNoSpace, ErrReadOnly)}
	err := Broken(cause)
	require.ErrorIs(t, err, ErrBroken)
	require.ErrorIs(t, err, ErrReadOnly)
	require.NotErrorIs(t, err, ErrNoSpace, "which is a refusal")
	var p *fs.PathError
	require.ErrorAs(t, err, &p)
	require.Equal(t, cause, p)
	require.ErrorContains(t, err, "write f")
	require.Equal(t, err, Broken(err))
}

func TestReadOnly(t *testing.T) {
	m := NewMem(nil)
	f := mustEdit(t, m, "f")
	mustWrite(t, f, 0, []byte("abc"))
	m.SetReadOnly(true)
	_, err := f.WriteAt([]byte("x"), 0)
	require.ErrorIs(t, err, ErrReadOnly)
	require.ErrorIs(t, f.Sync(), ErrReadOnly)
	require.ErrorIs(t, m.Rename("f", "g"), ErrReadOnly)
	_, err = m.Create("g")
	require.ErrorIs(t, err, ErrReadOnly)
	_, err = m.Edit("f")
	require.ErrorIs(t, err, ErrReadOnly)
	require.Equal(t, "abc", string(mustRead(t, m, "f")))
	m.SetReadOnly(false)
	mustWrite(t, f, 0, []byte("x"))
}

func TestFlipBit(t *testing.T) {
	m := crashable()
	require.NoError(t, Replace(m, "f", []byte("abc")))
	require.NoError(t, m.FlipBit("f", 1, 0))
	require.Equal(t, "acc", string(mustRead(t, m, "f")))
	require.Equal(t, "acc", string(mustRead(t, m.CrashClone(KeepNone), "f")))
	require.Error(t, m.FlipBit("f", 3, 0))
	require.Error(t, m.FlipBit("g", 0, 0))
}

// Content against a plain slice of bytes, which is also what a crash keeping all must leave.
func TestContentIsAByteSlice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := crashable()
		f := mustEdit(t, m, "f")
		require.NoError(t, m.SyncDir("."))
		var want []byte
		resize := func(n int) {
			if n > len(want) {
				want = append(want, make([]byte, n-len(want))...)
			}
			want = want[:n:n]
		}
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			at := rapid.IntRange(0, 3*blockSize).Draw(rt, "at")
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0, 1:
				p := bytes.Repeat([]byte{byte(at) | 1}, rapid.IntRange(0, blockSize+9).Draw(rt, "len"))
				mustWrite(t, f, int64(at), p)
				if len(p) > 0 {
					resize(max(len(want), at+len(p)))
					copy(want[at:], p)
				}
			case 2:
				require.NoError(t, f.Truncate(int64(at)))
				resize(at)
			case 3:
				require.NoError(t, f.Sync())
			}
		}
		require.True(t, bytes.Equal(want, mustRead(t, m, "f")))
		require.True(t, bytes.Equal(want, mustRead(t, m.CrashClone(KeepAll), "f")))
	})
}

// Whatever a crash keeps, each byte is one that was there at some time since the last sync.
func TestCrashInventsNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := crashable()
		f := mustEdit(t, m, "f")
		require.NoError(t, m.SyncDir("."))
		mustWrite(t, f, 0, bytes.Repeat([]byte{'s'}, 3000))
		require.NoError(t, f.Sync())
		for i := range rapid.IntRange(1, 5).Draw(rt, "writes") {
			off := rapid.IntRange(0, 4000).Draw(rt, "off")
			mustWrite(t, f, int64(off), bytes.Repeat([]byte{'0' + byte(i)}, rapid.IntRange(1, 1500).Draw(rt, "len")))
		}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		got := mustRead(t, m.CrashClone(KeepSome(r, 0.5)), "f")
		require.GreaterOrEqual(t, len(got), 3000)
		for i, c := range got {
			if i < 3000 {
				require.NotZero(t, c, "byte %d was never zero", i)
			}
			require.Contains(t, "s01234\x00", string(c))
		}
	})
}

func BenchmarkMemWriteSync(b *testing.B) {
	m := NewMem(nil)
	f, err := m.Create("f")
	require.NoError(b, err)
	p := make([]byte, 4096)
	b.SetBytes(int64(len(p)))
	for i := 0; b.Loop(); i++ {
		_, _ = f.WriteAt(p, int64(i%10000)*4096)
		_ = f.Sync()
	}
}

// Who crashes a disk gets all that was acknowledged before, and nothing is acknowledged afterwards.
func TestCrashIsOneMoment(t *testing.T) {
	for range 50 {
		m := NewMem(&MemOptions{CrashModel: true})
		f, err := m.Create("/f")
		require.NoError(t, err)
		require.NoError(t, m.SyncDir("/"))
		acked, begun := make(chan int64), make(chan struct{})
		go func() { // ends with the disk
			n := int64(0)
			for ; ; n++ {
				if _, err := f.WriteAt([]byte{1}, n); err != nil {
					break
				}
				if err := f.Sync(); err != nil {
					break
				}
				if n == 10 {
					close(begun)
				}
			}
			acked <- n
		}()
		<-begun
		left := m.Reopen().CrashClone(KeepNone)
		_, err = m.Open("/f")
		require.ErrorIs(t, err, ErrCrashed)
		info, err := left.Stat("/f")
		require.NoError(t, err)
		require.Equal(t, <-acked, info.Size)
	}
}

// A clone and what it was cloned from share bytes in memory and nothing else: whatever becomes of one, the other stays as it was.
func TestClonesAreIndependent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type disk struct {
			m    *Mem
			want []byte
		}
		first := disk{NewMem(&MemOptions{CrashModel: true}), nil}
		f, err := first.m.Create("/f")
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.NoError(t, first.m.SyncDir("/"))
		disks := []disk{first}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			d := &disks[rapid.IntRange(0, len(disks)-1).Draw(t, "disk")]
			f, err := d.m.Edit("/f")
			require.NoError(t, err)
			at := rapid.SampledFrom([]int{0, 1, 700, blockSize - 1, blockSize, blockSize + 5, 2 * blockSize}).Draw(t, "at")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				disks = append(disks, disk{d.m.CrashClone(KeepAll), bytes.Clone(d.want)})
			case 1:
				require.NoError(t, f.Truncate(int64(at)))
				d.want = append(d.want, make([]byte, max(0, at-len(d.want)))...)[:at:at]
			case 2:
				require.NoError(t, f.Sync())
			default:
				b := bytes.Repeat([]byte{byte(rapid.IntRange(1, 255).Draw(t, "byte"))}, rapid.SampledFrom([]int{1, 600, blockSize}).Draw(t, "length"))
				_, err := f.WriteAt(b, int64(at))
				require.NoError(t, err)
				d.want = append(d.want, make([]byte, max(0, at+len(b)-len(d.want)))...)
				copy(d.want[at:], b)
			}
			for i := range disks {
				got, err := ReadFile(disks[i].m, "/f", 1<<20)
				require.NoError(t, err)
				require.True(t, bytes.Equal(disks[i].want, got), "disk %d of %d", i, len(disks))
				got, err = ReadFile(disks[i].m.CrashClone(KeepAll), "/f", 1<<20)
				require.NoError(t, err)
				require.True(t, bytes.Equal(disks[i].want, got), "disk %d of %d, crashed", i, len(disks))
			}
		}
	})
}
