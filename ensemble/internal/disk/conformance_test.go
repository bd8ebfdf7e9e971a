package disk

import (
	"bytes"
	"io"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every implementation of FS keeps the same contract.
func TestConformance(t *testing.T) {
	for _, impl := range []struct {
		name string
		make func(t *testing.T) (FS, string)
	}{
		{"OS", func(t *testing.T) (FS, string) { return OS(), t.TempDir() }},
		{"Mem", func(*testing.T) (FS, string) { return NewMem(nil), "/base" }},
		{"MemCrashModel", func(*testing.T) (FS, string) { return NewMem(&MemOptions{CrashModel: true}), "base/dir" }},
	} {
		for _, c := range []struct {
			name string
			test func(t *testing.T, fsys FS, dir string)
		}{
			{"write and read", conformWriteRead},
			{"open modes", conformOpenModes},
			{"sizes", conformSizes},
			{"names", conformNames},
			{"directories", conformDirectories},
			{"small files", conformSmallFiles},
			{"lock", conformLock},
		} {
			t.Run(impl.name+"/"+c.name, func(t *testing.T) {
				fsys, dir := impl.make(t)
				require.NoError(t, fsys.MkdirAll(dir))
				c.test(t, fsys, dir)
			})
		}
	}
}

func mustCreate(t *testing.T, fsys FS, name string, content []byte) {
	t.Helper()
	f, err := fsys.Create(name)
	require.NoError(t, err)
	n, err := f.WriteAt(content, 0)
	require.NoError(t, err)
	require.Equal(t, len(content), n)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
}

func mustRead(t *testing.T, fsys FS, name string) []byte {
	t.Helper()
	b, err := ReadFile(fsys, name, 1<<30)
	require.NoError(t, err)
	return b
}

func conformWriteRead(t *testing.T, fsys FS, dir string) {
	name := filepath.Join(dir, "f")
	f, err := fsys.Create(name)
	require.NoError(t, err)
	long := bytes.Repeat([]byte("0123456789abcde"), 20000) // more than one block, not a multiple of it
	_, err = f.WriteAt(long, 100)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("head"), 0)
	require.NoError(t, err)
	want := append(append([]byte("head"), make([]byte, 96)...), long...)

	got := make([]byte, len(want))
	n, err := f.ReadAt(got, 0)
	require.NoError(t, err)
	require.Equal(t, len(want), n)
	require.True(t, bytes.Equal(want, got))

	n, err = f.ReadAt(got, int64(len(want)-7))
	require.Equal(t, 7, n)
	require.Equal(t, io.EOF, err)
	require.Equal(t, want[len(want)-7:], got[:7])
	n, err = f.ReadAt(got[:1], int64(len(want))+5)
	require.Zero(t, n)
	require.Equal(t, io.EOF, err)
	_, err = f.ReadAt(got[:1], -1)
	require.Error(t, err)
	_, err = f.WriteAt(got[:1], -1)
	require.Error(t, err)

	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	require.ErrorIs(t, f.Close(), fs.ErrClosed)
	_, err = f.WriteAt(got[:1], 0)
	require.Error(t, err)
	require.True(t, bytes.Equal(want, mustRead(t, fsys, name)))
}

func conformOpenModes(t *testing.T, fsys FS, dir string) {
	name := filepath.Join(dir, "f")
	for _, open := range []func(string) (File, error){fsys.Open, fsys.Edit} {
		_, err := open(name)
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
	mustCreate(t, fsys, name, []byte("one two"))

	f, err := fsys.Open(name)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("x"), 0)
	require.Error(t, err)
	require.NoError(t, f.Close())

	f, err = fsys.Edit(name)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("ONE"), 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Equal(t, "ONE two", string(mustRead(t, fsys, name)))

	mustCreate(t, fsys, name, []byte("3"))
	require.Equal(t, "3", string(mustRead(t, fsys, name)))
	_, err = fsys.Create(filepath.Join(dir, "none", "f"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func conformSizes(t *testing.T, fsys FS, dir string) {
	name := filepath.Join(dir, "f")
	f, err := fsys.Create(name)
	require.NoError(t, err)
	defer f.Close()
	size := func(want int64) {
		t.Helper()
		got, err := f.Size()
		require.NoError(t, err)
		require.Equal(t, want, got)
		i, err := fsys.Stat(name)
		require.NoError(t, err)
		require.Equal(t, Info{Size: want}, i)
	}
	size(0)
	_, err = f.WriteAt([]byte("abcdef"), 0)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(3))
	size(3)
	require.NoError(t, f.Truncate(200000))
	size(200000)
	require.Equal(t, append([]byte("abc"), make([]byte, 199997)...), mustRead(t, fsys, name))
	require.NoError(t, f.Reserve(1000)) // smaller than the file: the size stays
	size(200000)
	require.NoError(t, f.Reserve(300000))
	size(300000)
	_, err = f.WriteAt([]byte("z"), 299999)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(2))
	require.NoError(t, f.Truncate(70000))
	require.Equal(t, append([]byte("ab"), make([]byte, 69998)...), mustRead(t, fsys, name))
	require.Error(t, f.Truncate(-1))

	free, err := fsys.Free(dir)
	require.NoError(t, err)
	require.Positive(t, free)
}

func conformNames(t *testing.T, fsys FS, dir string) {
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	mustCreate(t, fsys, a, []byte("A"))
	mustCreate(t, fsys, b, []byte("B"))
	f, err := fsys.Open(b)
	require.NoError(t, err)
	require.NoError(t, fsys.Rename(a, a))
	require.NoError(t, f.Close())
	require.NoError(t, fsys.Rename(a, b))
	require.NoError(t, fsys.SyncDir(dir))
	require.Equal(t, "A", string(mustRead(t, fsys, b)))
	_, err = fsys.Stat(a)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, fsys.Rename(a, b), fs.ErrNotExist)
	require.NoError(t, fsys.Remove(b))
	require.ErrorIs(t, fsys.Remove(b), fs.ErrNotExist)
	names, err := fsys.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, names)
}

func conformDirectories(t *testing.T, fsys FS, dir string) {
	deep := filepath.Join(dir, "x", "y", "z")
	require.NoError(t, fsys.MkdirAll(deep))
	require.NoError(t, fsys.MkdirAll(deep))
	i, err := fsys.Stat(deep)
	require.NoError(t, err)
	require.Equal(t, Info{Dir: true}, i)
	for _, n := range []string{"c", "a", "b"} {
		mustCreate(t, fsys, filepath.Join(dir, n), nil)
	}
	names, err := fsys.ReadDir(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c", "x"}, names)
	require.Error(t, fsys.MkdirAll(filepath.Join(dir, "a")))
	require.Error(t, fsys.MkdirAll(filepath.Join(dir, "a", "b")))
	_, err = fsys.ReadDir(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = fsys.ReadDir(filepath.Join(dir, "a"))
	require.Error(t, err)
	_, err = fsys.Stat(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = fsys.Create(filepath.Join(dir, "x"))
	require.Error(t, err)
}

func conformSmallFiles(t *testing.T, fsys FS, dir string) {
	name := filepath.Join(dir, "f")
	require.NoError(t, Replace(fsys, name, []byte("12")))
	require.NoError(t, Replace(fsys, name, []byte("345")))
	b, err := ReadFile(fsys, name, 3)
	require.NoError(t, err)
	require.Equal(t, "345", string(b))
	_, err = ReadFile(fsys, name, 2)
	require.ErrorContains(t, err, "3 bytes, at most 2 expected")
	names, err := fsys.ReadDir(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"f"}, names)
}

func conformLock(t *testing.T, fsys FS, dir string) {
	name := filepath.Join(dir, "lock")
	l, err := fsys.Lock(name)
	require.NoError(t, err)
	_, err = fsys.Lock(name)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, l.Close())
	l, err = fsys.Lock(name)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}
