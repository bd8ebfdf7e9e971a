package image

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A picture is a tree as it can be compared.
type picture struct {
	zxid     znode.Zxid
	digest   uint64
	sessions map[znode.SessionID]int32
	nodes    map[string]string // path to everything else about the node
}

func pictureOf(t *tree.Tree) picture {
	d := t.Dump()
	defer d.Close()
	return pictureOfDump(d)
}

func pictureOfDump(d *tree.Dump) picture {
	p := picture{d.Zxid, d.Digest, map[znode.SessionID]int32{}, map[string]string{}}
	for _, s := range d.Sessions {
		p.sessions[s.ID] = s.Timeout
	}
	lists := map[int64][]znode.ACL{tree.OpenACLID: znode.OpenACL()}
	for _, a := range d.ACLs {
		lists[a.ID] = a.List
	}
	for {
		images := d.Next(nil, 1000)
		if len(images) == 0 {
			return p
		}
		for _, n := range images {
			p.nodes[n.Path] = fmt.Sprint(n.Data == nil, n.Data, lists[n.ACL], n.Stat)
		}
	}
}

var lists = [][]znode.ACL{
	znode.OpenACL(), znode.ReadACL(), {{Perms: 3, ID: znode.ID{Scheme: "digest", Name: "bob:hash"}}}, {{Perms: 31, ID: znode.Anyone}, {Perms: 1, ID: znode.ID{Scheme: "ip", Name: "::1"}}},
}

// grow applies transactions drawn at random, of which some change nothing.
func grow(t *rapid.T, to *tree.Tree, n int) (records []txnlog.Record) {
	var out tree.Result
	paths := []string{"/a", "/b", "/a/c", "/a/d", "/a/c/e", "/zookeeper/quota/a", "/b/ünï"}
	for range n {
		x := txn.Txn{Header: txn.Header{Session: znode.SessionID(rapid.IntRange(1, 3).Draw(t, "session")), Cxid: 5, Zxid: to.Zxid() + 1, Time: 1_700_000_000_000}}
		path := rapid.SampledFrom(paths).Draw(t, "path")
		data := rapid.SampledFrom([][]byte{nil, {}, []byte("some data"), bytes.Repeat([]byte("long "), 30_000)}).Draw(t, "data")
		acl := rapid.SampledFrom(lists).Draw(t, "acl")
		switch rapid.IntRange(0, 8).Draw(t, "sort") {
		case 0:
			x.Type, x.Body = wire.OpCreateSession, &txn.CreateSession{Timeout: rapid.Int32Range(1000, 9000).Draw(t, "timeout")}
		case 1:
			x.Type, x.Body = wire.OpCloseSession, &txn.CloseSession{}
		case 2:
			x.Type, x.Body = wire.OpDelete, &txn.Delete{Path: path}
		case 3:
			x.Type, x.Body = wire.OpSetData, &txn.SetData{Path: path, Data: data, Version: 3}
		case 4:
			x.Type, x.Body = wire.OpSetACL, &txn.SetACL{Path: path, ACL: acl, Version: 4}
		default:
			x.Type, x.Body = wire.OpCreate, &txn.Create{Path: path, Data: data, ACL: acl, ParentCversion: -1, Ephemeral: rapid.Bool().Draw(t, "ephemeral")}
		}
		to.Apply(&x, &out)
		x.HasDigest, x.Digest = true, to.Digest()
		records = append(records, txnlog.Record{Zxid: x.Zxid, Payload: x.AppendPayload(nil)})
	}
	return records
}

// A busy tree is changed whenever those who read it let go of it.
type busy struct{ change func() }

func (b busy) Lock()   {}
func (b busy) Unlock() { b.change() }

const dir = "/data"

func newFile(t require.TestingT, zxid znode.Zxid, c snapshot.Compression) (*disk.Mem, *snapshot.Writer) {
	m := disk.NewMem(nil)
	require.NoError(t, m.MkdirAll(dir))
	w, err := snapshot.Create(m, dir, zxid, c)
	require.NoError(t, err)
	return m, w
}

func mustLoad(t require.TestingT, m disk.FS, name snapshot.Name, l *Loading) *tree.Tree {
	r, err := snapshot.Open(m, dir, name)
	require.NoError(t, err)
	defer r.Close()
	require.NoError(t, l.Snapshot(r))
	return l.Tree()
}

// A tree that is written while it changes, and one that is sent while it changes, is the tree of the moment its dump was begun; so
// is the copy that is made while it is received.
func TestRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opts := tree.Options{Extended: true, NoDigest: rapid.Bool().Draw(t, "no digest")}
		original := tree.New(opts)
		grow(t, original, rapid.IntRange(0, 40).Draw(t, "transactions"))
		want := pictureOf(original)
		c := rapid.SampledFrom([]snapshot.Compression{snapshot.None, snapshot.Gzip}).Draw(t, "compression")

		m, w := newFile(t, want.zxid, c)
		d := original.Dump()
		require.NoError(t, Write(w, Source{Dump: d, Lock: busy{func() { grow(t, original, 3) }}}))
		d.Close()
		require.NoError(t, w.Publish())
		loading := NewLoading(opts, Hooks{})
		require.Equal(t, want, pictureOf(mustLoad(t, m, w.Name(), loading)))
		require.NoError(t, loading.Diverged())

		want = pictureOf(original)
		var wire bytes.Buffer
		d = original.Dump()
		require.NoError(t, Send(&wire, Source{Dump: d, Lock: busy{func() { grow(t, original, 3) }}}))
		d.Close()
		wire.WriteString("what follows")
		m, w = newFile(t, want.zxid, c)
		received, err := Receive(&wire, Arrival{Zxid: want.zxid, Options: opts, Digest: want.digest, HasDigest: true, Copy: w})
		require.NoError(t, err)
		require.Equal(t, want, pictureOf(received))
		require.Equal(t, "what follows", wire.String(), "nothing is read beyond the end")
		require.NoError(t, w.Publish())
		loading = NewLoading(opts, Hooks{})
		require.Equal(t, want, pictureOf(mustLoad(t, m, w.Name(), loading)))
		require.Equal(t, !opts.NoDigest, loading.Settled(), "the copy carries its digest")
	})
}

// What Apache's leader sent to an observer is the tree that the observer wrote to its disk afterwards.
func TestApacheStream(t *testing.T) {
	const zxid = znode.Zxid(0x100000007)
	sent, err := os.ReadFile("testdata/snap-100000007.stream")
	require.NoError(t, err)
	r := bytes.NewReader(sent)
	m, w := newFile(t, zxid, snapshot.None)
	received, err := Receive(iotest.OneByteReader(r), Arrival{Zxid: zxid, Copy: w})
	require.NoError(t, err)
	require.Equal(t, len(sent)-726, r.Len(), "NEWLEADER follows")
	require.NoError(t, w.Publish())

	written, err := snapshot.Open(disk.OS(), "testdata", snapshot.Name{Zxid: zxid})
	require.NoError(t, err)
	defer written.Close()
	loading := NewLoading(tree.Options{}, Hooks{})
	require.NoError(t, loading.Snapshot(written))
	want, got := pictureOf(loading.Tree()), pictureOf(received)
	require.Contains(t, got.nodes, znode.ConfigNode)
	delete(want.nodes, znode.ConfigNode) // the observer set it from its own configuration
	delete(got.nodes, znode.ConfigNode)
	require.Equal(t, want, got)
	require.EqualValues(t, 0x11fcbcfb8, received.Digest(), "as the leader's log says of this zxid")
	require.Equal(t, pictureOf(received), pictureOf(mustLoad(t, m, w.Name(), NewLoading(tree.Options{}, Hooks{}))))

	file, err := os.ReadFile("testdata/snapshot.100000007")
	require.NoError(t, err)
	differs := 0
	for i := range 712 {
		if file[16+i] != sent[i] {
			differs++
		}
	}
	require.LessOrEqual(t, differs, 8, "a stream is the file without its frame, but for one time")
}

// Every way in which a stream may be cut short or be something else.
func TestReceiveRefuses(t *testing.T) {
	const zxid = znode.Zxid(0x100000007)
	sent, err := os.ReadFile("testdata/snap-100000007.stream")
	require.NoError(t, err)
	whole := sent[:726]
	for n := range whole {
		_, err := Receive(bytes.NewReader(whole[:n]), Arrival{Zxid: zxid})
		require.ErrorIs(t, err, snapshot.ErrStream, "%d bytes", n)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes", n)
	}
	broken := errors.New("connection reset")
	_, err = Receive(io.MultiReader(bytes.NewReader(whole[:500]), iotest.ErrReader(broken)), Arrival{Zxid: zxid})
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, snapshot.ErrStream)

	flip := func(at int, bit byte) []byte {
		b := bytes.Clone(whole)
		b[at] ^= bit
		return b
	}
	_, err = Receive(bytes.NewReader(flip(720, 1)), Arrival{Zxid: zxid})
	require.ErrorIs(t, err, snapshot.ErrStream)
	require.ErrorContains(t, err, "signature")
	good, err := Receive(bytes.NewReader(whole), Arrival{Zxid: zxid})
	require.NoError(t, err)
	refused := 0
	for at := range whole {
		for bit := range 8 {
			got, err := Receive(bytes.NewReader(flip(at, 1<<bit)), Arrival{Zxid: zxid, Digest: good.Digest(), HasDigest: true, MaxField: 1 << 20})
			if err != nil {
				refused++
				continue
			}
			require.Equal(t, good.Digest(), got.Digest())
		}
	}
	require.Greater(t, refused, 3*len(whole), "sessions, ACLs and what is below /zookeeper do not count for the digest")

	_, err = Receive(bytes.NewReader(whole), Arrival{Zxid: zxid, MaxField: 30})
	require.ErrorIs(t, err, snapshot.ErrStream)
	_, w := newFile(t, 5, snapshot.None)
	_, err = Receive(bytes.NewReader(whole), Arrival{Zxid: zxid, Copy: w})
	require.ErrorIs(t, err, snapshot.ErrMisuse)
	m, w := newFile(t, zxid, snapshot.None)
	m.SetBudget(100)
	_, err = Receive(bytes.NewReader(whole), Arrival{Zxid: zxid, Copy: w})
	require.ErrorIs(t, err, disk.ErrNoSpace)
}

// A length costs nothing until that much has come.
func TestReceiveBelievesNoLength(t *testing.T) {
	huge := "\x0f\xff\xff\xff"
	for _, b := range []string{
		"\x7f\xff\xff\xff" + "12345678" + "1234",
		"\x00\x00\x00\x00" + "\x7f\xff\xff\xff" + "12345678" + "\x7f\xff\xff\xff" + "1234" + huge + "world",
		"\x00\x00\x00\x00" + "\x00\x00\x00\x00" + huge + "/path",
		"\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + huge + "data",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Receive(bytes.NewReader([]byte(b)), Arrival{})
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, snapshot.ErrStream)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
	}
}

func TestStopped(t *testing.T) {
	stop := make(chan struct{})
	close(stop)
	d := tree.New(tree.Options{}).Dump()
	defer d.Close()
	_, w := newFile(t, 0, snapshot.None)
	require.ErrorIs(t, Write(w, Source{Dump: d, Stop: stop}), ErrStopped)
	require.NoError(t, w.Abandon())
	require.ErrorIs(t, Send(io.Discard, Source{Dump: d, Stop: stop}), ErrStopped)
	reset := errors.New("reset")
	require.ErrorIs(t, Send(failing{reset}, Source{Dump: d}), reset)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// Loading tells its hooks where the records begin and which they are, and compares every digest that can be.
func TestLoading(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		original := tree.New(tree.Options{})
		early := grow(t, original, rapid.IntRange(0, 10).Draw(t, "before"))
		m, w := newFile(t, original.Zxid(), snapshot.None)
		d := original.Dump()
		require.NoError(t, Write(w, Source{Dump: d}))
		d.Close()
		require.NoError(t, w.Publish())
		late := grow(t, original, rapid.IntRange(1, 10).Draw(t, "after"))

		var bases, seen []znode.Zxid
		l := NewLoading(tree.Options{}, Hooks{
			Base:   func(z znode.Zxid) { bases, seen = append(bases, z), nil },
			Record: func(r txnlog.Record) { seen = append(seen, r.Zxid) },
		})
		for _, r := range slices.Concat(early, late) {
			require.NoError(t, l.Record(r))
		}
		require.Equal(t, pictureOf(original), pictureOf(l.Tree()))
		require.Len(t, seen, len(early)+len(late))
		mustLoad(t, m, w.Name(), l)
		for _, r := range late {
			require.NoError(t, l.Record(r))
		}
		require.Equal(t, pictureOf(original), pictureOf(l.Tree()))
		require.Equal(t, []znode.Zxid{0, w.Name().Zxid}, bases)
		require.Len(t, seen, len(late))
		require.NoError(t, l.Diverged())
		require.True(t, l.Settled())

		x, err := txn.Decode(late[0].Payload)
		require.NoError(t, err)
		x.Digest++
		mustLoad(t, m, w.Name(), l)
		require.NoError(t, l.Record(txnlog.Record{Zxid: x.Zxid, Payload: x.AppendPayload(nil)}))
		require.ErrorIs(t, l.Diverged(), ErrDiverged)
		require.False(t, l.Settled())
		for _, r := range late[1:] {
			require.NoError(t, l.Record(r))
		}
		require.Error(t, l.Diverged(), "the first is kept")
		require.Equal(t, len(late) > 1, l.Settled())
		require.Error(t, l.Record(txnlog.Record{Zxid: 1, Payload: []byte("short")}))
		l.Reset()
		require.Zero(t, l.Tree().Zxid())
		require.NoError(t, l.Diverged())
	})
}

// A snapshot that later transactions are partly in is compared only from where its writer says that it is whole again.
func TestLoadingFuzzy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		original := tree.New(tree.Options{})
		grow(t, original, 10)
		begun := original.Zxid()
		late := grow(t, original, 10)
		m, w := newFile(t, begun, snapshot.None)
		d := original.Dump()
		require.NoError(t, Source{Dump: d}.each(w))
		d.Close()
		require.NoError(t, w.Finish(snapshot.Trailer{HasDigest: true, DigestZxid: original.Zxid(), Digest: original.Digest(), HasLast: true, Last: original.Zxid()}))
		require.NoError(t, w.Publish())
		l := NewLoading(tree.Options{}, Hooks{})
		mustLoad(t, m, w.Name(), l)
		for _, r := range late[:9] {
			require.NoError(t, l.Record(r))
			require.NoError(t, l.Diverged())
			require.False(t, l.Settled(), "nothing could be compared yet")
		}
		require.NoError(t, l.Record(late[9]))
		require.True(t, l.Settled() || l.Diverged() != nil, "compared at last")
	})
}

// FuzzReceive: no bytes do harm, and a tree that was taken is sent on as it is.
func FuzzReceive(f *testing.F) {
	sent, err := os.ReadFile("testdata/snap-100000007.stream")
	require.NoError(f, err)
	f.Add(sent)
	f.Add(sent[:500])
	d := tree.New(tree.Options{}).Dump()
	var b bytes.Buffer
	require.NoError(f, Send(&b, Source{Dump: d}))
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		opts := tree.Options{Extended: len(b)%2 == 0}
		r := bytes.NewReader(b)
		first, err := Receive(r, Arrival{Zxid: 9, Options: opts})
		if err != nil {
			return
		}
		rest := r.Len()
		m, w := newFile(t, 9, snapshot.None)
		_, err = Receive(bytes.NewReader(b[:len(b)-rest]), Arrival{Zxid: 9, Options: opts, Copy: w})
		require.NoError(t, err)
		require.NoError(t, w.Publish())
		require.Equal(t, pictureOf(first), pictureOf(mustLoad(t, m, w.Name(), NewLoading(opts, Hooks{}))))
		var again bytes.Buffer
		d := first.Dump()
		require.NoError(t, Send(&again, Source{Dump: d}))
		d.Close()
		second, err := Receive(&again, Arrival{Zxid: 9, Options: opts, Digest: first.Digest(), HasDigest: true})
		require.NoError(t, err)
		require.Equal(t, pictureOf(first), pictureOf(second))
	})
}
