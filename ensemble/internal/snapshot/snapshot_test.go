package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

const dir = "/data"

// An image is what a snapshot holds, for comparing.
type image struct {
	Sessions []Session
	ACLs     []ACL
	Nodes    []Node
	Trailer  Trailer
}

func sample(nodes int) image {
	img := image{
		Sessions: []Session{{0x1000001, 30000}, {-5, 4000}},
		ACLs:     []ACL{{1, znode.ReadACL()}, {7, []znode.ACL{{Perms: 3, ID: znode.ID{Scheme: "digest", Name: "u:p"}}, {Perms: 31, ID: znode.Anyone}}}},
		Nodes:    []Node{{Path: "/", Data: []byte{}, ACL: OpenACL}},
		Trailer:  Trailer{Digest: 0xfedcba9876543210, DigestZxid: 0x105, HasDigest: true, Last: 0x106, HasLast: true},
	}
	for i := range nodes {
		n := Node{Path: fmt.Sprintf("/n%d", i), ACL: 7, Stat: znode.StatPersisted{Czxid: znode.Zxid(i), Mzxid: 5, Version: int32(i), Owner: -3, Pzxid: 9}}
		if i%3 > 0 {
			n.Data = bytes.Repeat([]byte{byte(i)}, i%3*40)
		}
		img.Nodes = append(img.Nodes, n)
	}
	return img
}

func newMem(t testing.TB) *disk.Mem {
	t.Helper()
	m := disk.NewMem(&disk.MemOptions{CrashModel: true})
	require.NoError(t, m.MkdirAll(dir))
	return m
}

func write(w *Writer, img image) error {
	if err := w.Sessions(img.Sessions); err != nil {
		return err
	}
	if err := w.ACLs(img.ACLs); err != nil {
		return err
	}
	for nodes := img.Nodes; len(nodes) > 0; {
		n := min(len(nodes), 100)
		if err := w.Nodes(nodes[:n]); err != nil {
			return err
		}
		nodes = nodes[n:]
	}
	if err := w.Finish(img.Trailer); err != nil {
		return err
	}
	return w.Publish()
}

func mustWrite(t testing.TB, fsys disk.FS, zxid znode.Zxid, c Compression, img image) *Writer {
	t.Helper()
	w, err := Create(fsys, dir, zxid, c)
	require.NoError(t, err)
	require.NoError(t, write(w, img))
	return w
}

func readAll(r *Reader) (img image, err error) {
	if img.Sessions, err = r.Sessions(); err != nil {
		return img, err
	}
	if img.ACLs, err = r.ACLs(); err != nil {
		return img, err
	}
	for {
		var n Node
		if err = r.Next(&n); err != nil {
			break
		}
		n.Data = bytes.Clone(n.Data)
		img.Nodes = append(img.Nodes, n)
	}
	img.Trailer = r.Trailer()
	if err == io.EOF {
		err = nil
	}
	return img, err
}

func readImage(fsys disk.FS, d string, name Name) (image, error) {
	r, err := Open(fsys, d, name)
	if err != nil {
		return image{}, err
	}
	defer r.Close()
	return readAll(r)
}

func content(t testing.TB, fsys disk.FS, name string) []byte {
	t.Helper()
	b, err := disk.ReadFile(fsys, filepath.Join(dir, name), 1<<30)
	require.NoError(t, err)
	return b
}

func put(t testing.TB, fsys disk.FS, name string, b []byte) {
	t.Helper()
	require.NoError(t, disk.Replace(fsys, filepath.Join(dir, name), b))
}

func TestNames(t *testing.T) {
	for s, want := range map[string]Name{
		"snapshot.0": {}, "snapshot.1f": {Zxid: 0x1f}, "snapshot.100000007.gz": {Zxid: 0x100000007, Compression: Gzip}, "snapshot.a.snappy": {Zxid: 10, Compression: Snappy},
	} {
		n, ok := ParseName(s)
		require.True(t, ok, s)
		require.Equal(t, want, n)
		require.Equal(t, s, n.String())
	}
	for _, s := range []string{"snapshot.", "snapshot.1.tmp", "snapshot.1.gz.tmp", "snapshot.01", "snapshot.A", "snapshot.1.", "log.1", "snapshot.-1", "snapshot"} {
		_, ok := ParseName(s)
		require.False(t, ok, s)
	}
	m := newMem(t)
	for _, s := range []string{"snapshot.2", "snapshot.10", "snapshot.a.gz", "log.3", "snapshot.3.tmp"} {
		put(t, m, s, nil)
	}
	names, err := Names(m, dir)
	require.NoError(t, err)
	require.Equal(t, []Name{{Zxid: 16}, {Zxid: 10, Compression: Gzip}, {Zxid: 2}}, names)
}

func TestWriteAndRead(t *testing.T) {
	for _, c := range []Compression{None, Gzip, Snappy} {
		t.Run("compression "+string(c), func(t *testing.T) {
			m := newMem(t)
			img := sample(5000) // several times the buffers
			img.Nodes = append(img.Nodes, Node{Path: "/big", Data: bytes.Repeat([]byte("0123456789"), 100_000), ACL: 1})
			w := mustWrite(t, m, 0x104, c, img)
			files, err := m.ReadDir(dir)
			require.NoError(t, err)
			require.Equal(t, []string{Name{0x104, c}.String()}, files)

			r, err := Open(m, dir, w.Name())
			require.NoError(t, err)
			got, err := readAll(r)
			require.NoError(t, err)
			require.Equal(t, img, got)
			require.Equal(t, w.Size(), r.Size())
			require.Equal(t, w.CRC(), r.CRC())
			require.Equal(t, io.EOF, r.Next(new(Node)), "again")
			require.NoError(t, r.Close())
			require.NoError(t, Verify(m, dir, w.Name()))
			whole, err := Complete(m, dir, w.Name())
			require.NoError(t, err)
			require.True(t, whole)

			after := m.CrashClone(disk.KeepNone)
			require.NoError(t, Verify(after, dir, w.Name()), "durable after Publish")
		})
	}
}

// A null field comes back as null and an empty one as empty.
func TestNullAndEmptyData(t *testing.T) {
	m := newMem(t)
	img := image{Nodes: []Node{{Path: "/"}, {Path: "/empty", Data: []byte{}}, {Path: "/null"}}, Trailer: Trailer{}}
	w := mustWrite(t, m, 1, None, img)
	got, err := readImage(m, dir, w.Name())
	require.NoError(t, err)
	require.Equal(t, img, got)
}

// Snapshots written by Apache ZooKeeper 3.8, through our reader and back through our writer, byte for byte.
func TestApacheSnapshots(t *testing.T) {
	for _, c := range []struct {
		path            string
		nodes, sessions int
		digest          znode.Zxid
	}{
		{"voters/1/snapshot.0", 4, 0, 0},
		{"observer-and-snap/4/snapshot.0", 4, 0, 0},
		{"observer-and-snap/4/snapshot.100000000", 4, 0, 0},
		{"observer-and-snap/4/snapshot.100000007", 5, 0, 0},
	} {
		t.Run(c.path, func(t *testing.T) {
			d, file := filepath.Split(filepath.Join("testdata", c.path))
			name, ok := ParseName(file)
			require.True(t, ok)
			img, err := readImage(disk.OS(), d, name)
			require.NoError(t, err)
			require.Len(t, img.Nodes, c.nodes)
			require.Equal(t, "/", img.Nodes[0].Path)
			require.Len(t, img.Sessions, c.sessions)
			require.True(t, img.Trailer.HasDigest)
			require.Equal(t, c.digest, img.Trailer.DigestZxid)
			require.False(t, img.Trailer.HasLast, "since 3.9")

			m := newMem(t)
			img.Trailer.Last = 0x42
			w := mustWrite(t, m, name.Zxid, None, img)
			theirs, err := os.ReadFile(filepath.Join("testdata", c.path))
			require.NoError(t, err)
			ours := content(t, m, w.Name().String())
			require.Equal(t, theirs, ours[:len(theirs)])
			require.Len(t, ours, len(theirs)+lastLen+sealLen)
		})
	}
}

// All four forms of the trailer.
func TestTrailers(t *testing.T) {
	m := newMem(t)
	img := sample(3)
	mustWrite(t, m, 1, None, img)
	both := content(t, m, "snapshot.1")
	img.Trailer = Trailer{}
	mustWrite(t, m, 1, None, img)
	none := content(t, m, "snapshot.1")
	require.Equal(t, both[:len(none)], none)
	digestOnly := both[:len(none)+digestLen+sealLen]
	sum := func(b []byte) []byte { return appendSeal(bytes.Clone(b)) }
	lastOnly := sum(append(bytes.Clone(none), 0, 0, 0, 0, 0, 0, 1, 6))
	for name, c := range map[string]struct {
		b    []byte
		want Trailer
	}{
		"both":        {both, Trailer{0xfedcba9876543210, 0x105, true, 0x106, true}},
		"none":        {none, Trailer{}},
		"digest only": {digestOnly, Trailer{0xfedcba9876543210, 0x105, true, 0, false}},
		"last only":   {lastOnly, Trailer{0, 0, false, 0x106, true}},
	} {
		for _, comp := range []Compression{None, Gzip, Snappy} {
			put(t, m, Name{1, comp}.String(), compressed(t, c.b, comp))
			got, err := readImage(m, dir, Name{1, comp})
			require.NoError(t, err, name)
			require.Equal(t, c.want, got.Trailer, name)
		}
	}
	for _, extra := range []int{1, 12, 13, 20, 22, 34, 53, 55, 1000} {
		put(t, m, "snapshot.1", append(bytes.Clone(none), make([]byte, extra)...))
		require.ErrorIs(t, Verify(m, dir, Name{Zxid: 1}), disk.ErrDamaged, "%d bytes behind", extra)
	}
	put(t, m, "snapshot.1", append(bytes.Clone(both), 0))
	require.ErrorIs(t, Verify(m, dir, Name{Zxid: 1}), disk.ErrDamaged)
}

func appendSeal(b []byte) []byte {
	sum := adler32.New()
	w := &Writer{sections: sections{to: sum, buf: bytes.Clone(b)}, sum: sum}
	w.seal()
	return append(b, w.buf...)
}

func compressed(t testing.TB, b []byte, c Compression) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := compress(&out, c)
	require.NoError(t, err)
	_, err = w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestEveryFlippedBit(t *testing.T) {
	m := newMem(t)
	w := mustWrite(t, m, 1, None, sample(2))
	whole := content(t, m, "snapshot.1")
	for bit := range len(whole) * 8 {
		require.NoError(t, m.FlipBit(dir+"/snapshot.1", int64(bit/8), uint(bit%8)))
		err := Verify(m, dir, w.Name())
		require.ErrorIs(t, err, disk.ErrDamaged, "bit %d", bit)
		require.NoError(t, m.FlipBit(dir+"/snapshot.1", int64(bit/8), uint(bit%8)))
	}
	require.NoError(t, Verify(m, dir, w.Name()))
}

// Of a compressed image a flipped bit is noticed, or harmless: the image is the same. The file's CRC tells those too.
func TestEveryFlippedBitCompressed(t *testing.T) {
	for _, c := range []Compression{Gzip, Snappy} {
		m := newMem(t)
		img := sample(2)
		w := mustWrite(t, m, 1, c, img)
		path := filepath.Join(dir, w.Name().String())
		harmless := 0
		for bit := range int(w.Size()) * 8 {
			require.NoError(t, m.FlipBit(path, int64(bit/8), uint(bit%8)))
			r, err := Open(m, dir, w.Name())
			var got image
			if err == nil {
				got, err = readAll(r)
				require.NoError(t, r.Close())
			}
			if err == nil {
				require.Equal(t, img, got)
				require.NotEqual(t, w.CRC(), r.CRC(), "bit %d", bit)
				harmless++
			} else {
				require.ErrorIs(t, err, disk.ErrDamaged, "bit %d", bit)
			}
			require.NoError(t, m.FlipBit(path, int64(bit/8), uint(bit%8)))
		}
		require.Less(t, harmless, 100)
	}
}

func TestCutAnywhere(t *testing.T) {
	for _, c := range []Compression{None, Gzip, Snappy} {
		m := newMem(t)
		w := mustWrite(t, m, 1, c, sample(2))
		whole := content(t, m, w.Name().String())
		trailerStarts := len(whole) - digestLen - 2*sealLen - lastLen
		for n := range whole {
			put(t, m, w.Name().String(), whole[:n])
			err := Verify(m, dir, w.Name())
			if c == None && (n == trailerStarts || n == len(whole)-lastLen-sealLen) {
				require.NoError(t, err, "an image without a trailer, or with half of one")
				continue
			}
			require.ErrorIs(t, err, disk.ErrDamaged, "%s cut at %d", c, n)
		}
	}
}

func TestNewest(t *testing.T) {
	m := newMem(t)
	mustWrite(t, m, 3, Snappy, sample(3))
	mustWrite(t, m, 7, Gzip, sample(7))
	mustWrite(t, m, 9, None, sample(9))
	newest := func() (Found, []int, error) {
		var tried []int
		found, err := Newest(m, dir, func(r *Reader) error {
			img, err := readAll(r)
			tried = append(tried, len(img.Nodes))
			return err
		})
		return found, tried, err
	}
	found, tried, err := newest()
	require.NoError(t, err)
	require.Equal(t, Name{Zxid: 9}, found.Name)
	require.Equal(t, []int{10}, tried)
	require.EqualValues(t, 0x106, found.Reader.Trailer().Last)

	require.NoError(t, m.FlipBit(dir+"/snapshot.9", 100, 1))
	put(t, m, "snapshot.b", content(t, m, "snapshot.9")[:200]) // written in place, by Apache, and never finished
	put(t, m, "snapshot.c.gz", []byte("x"))
	found, tried, err = newest()
	require.NoError(t, err)
	require.Equal(t, Name{7, Gzip}, found.Name)
	require.Len(t, tried, 2)
	require.Equal(t, dir+"/snapshot.9", found.Skipped[0].File)
	require.Equal(t, []Name{{12, Gzip}, {11, None}}, found.Unfinished)

	for _, name := range []string{"snapshot.7.gz", "snapshot.3.snappy"} {
		require.NoError(t, m.FlipBit(dir+"/"+name, 40, 1))
	}
	found, _, err = newest()
	require.ErrorIs(t, err, disk.ErrDamaged)
	require.Len(t, found.Skipped, 3)
	require.Nil(t, found.Reader)

	boom := errors.New("boom")
	m = newMem(t)
	found, err = Newest(m, dir, func(*Reader) error { return boom })
	require.NoError(t, err)
	require.Nil(t, found.Reader)
	mustWrite(t, m, 1, None, sample(1))
	_, err = Newest(m, dir, func(*Reader) error { return boom })
	require.Equal(t, boom, err)
	found, err = Newest(m, dir, func(*Reader) error { return nil })
	require.NoError(t, err, "what load leaves unread is checked all the same")
	require.True(t, found.Reader.Trailer().HasDigest)
	require.NoError(t, m.FlipBit(dir+"/snapshot.1", 60, 1))
	_, err = Newest(m, dir, func(*Reader) error { return nil })
	require.ErrorIs(t, err, disk.ErrDamaged)
}

func TestMisuse(t *testing.T) {
	m := newMem(t)
	_, err := Create(m, dir, 1, "zip")
	require.ErrorIs(t, err, ErrMisuse)
	for name, use := range map[string]func(w *Writer) error{
		"nodes first": func(w *Writer) error { return w.Nodes([]Node{{Path: "/"}}) },
		"twice":       func(w *Writer) error { return errors.Join(w.Sessions(nil), w.Sessions(nil)) },
		"no root":     func(w *Writer) error { return errors.Join(w.Sessions(nil), w.ACLs(nil), w.Finish(Trailer{})) },
		"other first": func(w *Writer) error { return errors.Join(w.Sessions(nil), w.ACLs(nil), w.Nodes([]Node{{Path: "/a"}})) },
		"root twice": func(w *Writer) error {
			return errors.Join(w.Sessions(nil), w.ACLs(nil), w.Nodes([]Node{{Path: "/"}, {Path: ""}}))
		},
		"not finished": func(w *Writer) error { return w.Publish() },
	} {
		w, err := Create(m, dir, 1, None)
		require.NoError(t, err)
		require.ErrorIs(t, use(w), ErrMisuse, name)
		require.ErrorIs(t, w.Err(), ErrMisuse, name)
		require.ErrorIs(t, w.Publish(), ErrMisuse, name)
		require.NoError(t, w.Abandon())
		files, err := m.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, files)
	}
	w := mustWrite(t, m, 1, None, sample(1))
	require.NoError(t, w.Abandon(), "after Publish it does nothing")
	require.NoError(t, Verify(m, dir, w.Name()))
	r, err := Open(m, dir, w.Name())
	require.NoError(t, err)
	_, err = r.ACLs()
	require.ErrorIs(t, err, ErrMisuse)
	require.NoError(t, r.Close())
}

// A failure anywhere leaves no image, and is the Writer's last word.
func TestFailures(t *testing.T) {
	boom := errors.New("boom")
	count := newMem(t)
	before := count.Steps()
	mustWrite(t, count, 1, Gzip, sample(1500))
	for step := before + 1; step <= count.Steps(); step++ {
		m := newMem(t)
		m.SetFault(func(op disk.Op) disk.Fault {
			if op.Step == step {
				return disk.Fault{Err: boom, Partial: 10}
			}
			return disk.Fault{}
		})
		w, err := Create(m, dir, 1, Gzip)
		if err == nil {
			err = write(w, sample(1500))
			require.ErrorIs(t, w.Publish(), boom)
		}
		require.ErrorIs(t, err, boom, "step %d", step)
		m = m.CrashClone(disk.KeepNone)
		names, err := Names(m, dir)
		require.NoError(t, err)
		require.Empty(t, names, "step %d", step)
	}
}

func TestCrashAnywhere(t *testing.T) {
	count := newMem(t)
	mustWrite(t, count, 1, None, sample(3))
	before := count.Steps()
	mustWrite(t, count, 1, None, sample(5000)) // replaces one of the same name
	for step := before + 1; step <= count.Steps(); step++ {
		for seed := range uint64(6) {
			m := newMem(t)
			mustWrite(t, m, 1, None, sample(3))
			m.CrashAt(step, seed%2 == 0)
			w, err := Create(m, dir, 1, None)
			if err == nil {
				err = write(w, sample(5000))
			}
			require.ErrorIs(t, err, disk.ErrCrashed)
			m = m.CrashClone(disk.KeepSome(rand.New(rand.NewPCG(seed, 3)), 0.6))
			img, err := readImage(m, dir, Name{Zxid: 1})
			require.NoError(t, err, "step %d seed %d", step, seed)
			require.Contains(t, []int{4, 5001}, len(img.Nodes), "the old one or the new one")
		}
	}
}

func TestRoundTripOfAnything(t *testing.T) {
	node := rapid.Custom(func(t *rapid.T) Node {
		n := Node{Path: "/" + rapid.StringN(1, 50, -1).Draw(t, "path"), ACL: rapid.Int64().Draw(t, "acl")}
		if rapid.Bool().Draw(t, "has data") {
			n.Data = append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data")...)
		}
		n.Stat = znode.StatPersisted{Czxid: 1, Mtime: rapid.Int64().Draw(t, "mtime"), Owner: znode.Owner(rapid.Int64().Draw(t, "owner"))}
		return n
	})
	rapid.Check(t, func(rt *rapid.T) {
		img := image{Nodes: append([]Node{{Path: "/"}}, rapid.SliceOfN(node, 0, 50).Draw(rt, "nodes")...)}
		if rapid.Bool().Draw(rt, "digest") {
			img.Trailer = Trailer{Digest: rapid.Uint64().Draw(rt, "d"), HasDigest: true, Last: 7, HasLast: true}
		}
		m := newMem(t)
		c := rapid.SampledFrom([]Compression{None, Gzip, Snappy}).Draw(rt, "compression")
		w, err := Create(m, dir, 5, c)
		require.NoError(rt, err)
		require.NoError(rt, write(w, img))
		got, err := readImage(m, dir, w.Name())
		require.NoError(rt, err)
		require.Equal(rt, img, got)
	})
}

func FuzzSnapshot(f *testing.F) {
	m := newMem(f)
	for i, c := range []Compression{None, Gzip, Snappy} {
		w := mustWrite(f, m, 1, c, sample(3))
		f.Add(content(f, m, w.Name().String()), uint8(i))
	}
	apache, err := os.ReadFile("testdata/observer-and-snap/4/snapshot.100000007")
	require.NoError(f, err)
	f.Add(apache, uint8(0))
	f.Add([]byte("ZKSN\x00\x00\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff"), uint8(0))
	f.Add([]byte(snappyHeader+"\x00\x00\x00\x05\xff\xff\xff\xff\x0f"), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, comp uint8) {
		m := newMem(t)
		name := Name{1, []Compression{None, Gzip, Snappy}[comp%3]}
		put(t, m, name.String(), b)
		img, err := readImage(m, dir, name)
		if err != nil {
			require.ErrorIs(t, err, disk.ErrDamaged)
			return
		}
		if len(img.Nodes) == 0 {
			return
		}
		for i, n := range img.Nodes {
			if (n.Path == "/") != (i == 0) {
				return // good sums over what no tree is
			}
		}
		w, err := Create(m, dir, 2, None)
		require.NoError(t, err)
		require.NoError(t, write(w, img))
		again, err := readImage(m, dir, w.Name())
		require.NoError(t, err)
		require.Equal(t, img.Nodes, again.Nodes)
		require.Equal(t, img.Sessions, again.Sessions)
	})
}
