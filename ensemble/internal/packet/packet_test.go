package packet_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func TestPacketBytes(t *testing.T) {
	info := packet.LearnerInfo{ServerID: 2, Protocol: packet.Protocol}
	leader := packet.LeaderInfo{Protocol: packet.Protocol}
	asked, told := packet.Revalidate{Session: 0x100, Timeout: 4000}, packet.Revalidated{Session: 0x100, Valid: true}
	for _, c := range []struct {
		p    packet.Packet
		want string
	}{
		{packet.Packet{Type: packet.TypeFollowerInfo, Zxid: znode.MakeZxid(1, 0), Data: info.AppendJute(nil)},
			"0000000B 0000000100000000 00000014 0000000000000002 00010000 0000000000000000 FFFFFFFF"},
		{packet.Packet{Type: packet.TypeLeaderInfo, Zxid: znode.MakeZxid(2, 0), Data: leader.AppendJute(nil)},
			"00000011 0000000200000000 00000004 00010000 FFFFFFFF"},
		{packet.Packet{Type: packet.TypeAck, Zxid: znode.MakeZxid(2, 0)}, "00000003 0000000200000000 FFFFFFFF FFFFFFFF"},
		{packet.Packet{Type: packet.TypeUpToDate, Zxid: -1}, "0000000C FFFFFFFFFFFFFFFF FFFFFFFF FFFFFFFF"},
		{packet.Packet{Type: packet.TypePing, Zxid: 1, Data: packet.AppendTouches(nil, nil)}, "00000005 0000000000000001 00000000 FFFFFFFF"},
		{packet.Packet{Type: packet.TypeRequest, Zxid: -1, IDs: []znode.ID{}}, "00000001 FFFFFFFFFFFFFFFF FFFFFFFF 00000000"},
		// What the recordings do not show.
		{packet.Packet{Type: packet.TypeTrunc, Zxid: znode.MakeZxid(1, 5)}, "0000000E 0000000100000005 FFFFFFFF FFFFFFFF"},
		{packet.Packet{Type: packet.TypeAckEpoch, Zxid: -1, Data: jute.AppendInt32(nil, -1)}, "00000012 FFFFFFFFFFFFFFFF 00000004 FFFFFFFF FFFFFFFF"},
		{packet.Packet{Type: packet.TypePing, Zxid: 1, Data: packet.AppendTouches(nil, []packet.Touch{{Session: 0x100, Timeout: 4000}, {Session: -2, Timeout: 1}})},
			"00000005 0000000000000001 00000018 0000000000000100 00000FA0 FFFFFFFFFFFFFFFE 00000001 FFFFFFFF"},
		{packet.Packet{Type: packet.TypeRevalidate, Zxid: -1, Data: asked.AppendJute(nil)}, "00000006 FFFFFFFFFFFFFFFF 0000000C 0000000000000100 00000FA0 FFFFFFFF"},
		{packet.Packet{Type: packet.TypeRevalidate, Zxid: -1, Data: told.AppendJute(nil)}, "00000006 FFFFFFFFFFFFFFFF 00000009 0000000000000100 01 FFFFFFFF"},
	} {
		want, err := hex.DecodeString(strings.ReplaceAll(c.want, " ", ""))
		require.NoError(t, err)
		require.Equal(t, want, c.p.AppendJute(nil), "%v", &c.p)
		var got packet.Packet
		require.NoError(t, packet.Decode(want, &got))
		require.Equal(t, c.p, got, "null and empty are kept apart")
	}
}

func TestStrings(t *testing.T) {
	p := packet.Packet{Type: packet.TypeRequest, Zxid: 0x1f, Data: []byte("12"), IDs: []znode.ID{{}}}
	require.Equal(t, "REQUEST 0x1f 2 bytes 1 ids", p.String())
	require.Equal(t, "packet type 20", packet.Type(20).String())
	for state, want := range []string{"looking", "following", "leading", "observing", "state 4"} {
		require.Equal(t, want, packet.State(state).String())
	}
}

func TestMark(t *testing.T) {
	info := packet.LearnerInfo{ServerID: 7, Protocol: packet.Protocol, ConfigVersion: 9, Ours: true}
	b := info.AppendJute(nil)
	require.Equal(t, "BELL", string(b[20:]))
	var got packet.LearnerInfo
	require.NoError(t, packet.Decode(b, &got))
	require.Equal(t, info, got)
	require.NoError(t, packet.Decode(b[:23], &got), "a broken mark is none")
	require.False(t, got.Ours)

	leader := packet.LeaderInfo{Protocol: packet.Protocol, Ours: true}
	var gotLeader packet.LeaderInfo
	require.NoError(t, packet.Decode(leader.AppendJute(nil), &gotLeader))
	require.Equal(t, leader, gotLeader)
	require.ErrorIs(t, packet.Decode(nil, &gotLeader), jute.ErrMalformed)
}

func TestShortLearnerInfo(t *testing.T) {
	whole := (&packet.LearnerInfo{ServerID: 7, Protocol: packet.Protocol, ConfigVersion: 9}).AppendJute(nil)
	var got packet.LearnerInfo
	require.NoError(t, packet.Decode(whole[:8], &got))
	require.Equal(t, packet.LearnerInfo{ServerID: 7}, got)
	require.NoError(t, packet.Decode(whole[:12], &got))
	require.Equal(t, packet.LearnerInfo{ServerID: 7, Protocol: packet.Protocol}, got)
	for _, n := range []int{0, 7, 9, 13, 19} {
		require.ErrorIs(t, packet.Decode(whole[:n], &got), jute.ErrMalformed, "%d bytes", n)
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	for _, c := range []struct{ in, out wire.Record }{
		{&packet.Request{Session: 5, Cxid: 6, Op: wire.OpMulti, Body: []byte("body")}, &packet.Request{}},
		{&packet.Request{Session: 5, Op: wire.OpCloseSession, Body: []byte{}}, &packet.Request{}},
		{&packet.Revalidate{Session: -5, Timeout: 30000}, &packet.Revalidate{}},
		{&packet.Revalidated{Session: -5, Valid: true}, &packet.Revalidated{}},
	} {
		b := c.in.AppendJute(nil)
		require.NoError(t, packet.Decode(b, c.out))
		require.Equal(t, c.in, c.out)
		require.ErrorIs(t, packet.Decode(b[:8], c.out), jute.ErrMalformed)
	}
	touches := []packet.Touch{{Session: 1, Timeout: 2}, {Session: -3, Timeout: 4}}
	got, err := packet.DecodeTouches(packet.AppendTouches(nil, touches), nil)
	require.NoError(t, err)
	require.Equal(t, touches, got)
	got, err = packet.DecodeTouches(packet.AppendTouches(nil, touches)[:20], nil)
	require.ErrorIs(t, err, jute.ErrMalformed)
	require.Equal(t, touches[:1], got)
}

func TestOldNotifications(t *testing.T) {
	whole := (&packet.Notification{State: packet.Leading, Leader: 3, Zxid: znode.MakeZxid(4, 5), Round: 6, PeerEpoch: 7, Version: 2,
		Config: "version=0"}).AppendJute(nil)
	for _, c := range []struct {
		name  string
		bytes []byte
		want  packet.Notification
	}{
		{"before epochs", whole[:28], packet.Notification{State: packet.Leading, Leader: 3, Zxid: znode.MakeZxid(4, 5), Round: 6, PeerEpoch: 4}},
		{"before versions", whole[:40], packet.Notification{State: packet.Leading, Leader: 3, Zxid: znode.MakeZxid(4, 5), Round: 6, PeerEpoch: 7}},
		{"today", whole, packet.Notification{State: packet.Leading, Leader: 3, Zxid: znode.MakeZxid(4, 5), Round: 6, PeerEpoch: 7, Version: 2, Config: "version=0"}},
	} {
		var n packet.Notification
		require.NoError(t, packet.Decode(c.bytes, &n), c.name)
		require.Equal(t, c.want, n, c.name)
	}
	for _, n := range []int{0, 27, 29, 36, 39, 41, 43, 44, len(whole) - 1} {
		require.ErrorIs(t, packet.Decode(whole[:n], &packet.Notification{}), jute.ErrMalformed, "%d bytes", n)
	}
}

func TestReadNotification(t *testing.T) {
	good := packet.Notification{Leader: 1, Version: 2, Config: "c"}
	stream := bytes.NewReader(good.AppendFrame([]byte{0, 0, 0, 2, 'x', 'y'}))
	var n packet.Notification
	require.ErrorIs(t, packet.ReadNotification(stream, &n), jute.ErrMalformed)
	require.NoError(t, packet.ReadNotification(stream, &n), "a broken one does not break the stream")
	require.Equal(t, good, n)
	require.ErrorIs(t, packet.ReadNotification(stream, &n), io.EOF)
	for _, head := range [][]byte{{0, 0, 0, 0}, {0, 8, 0, 1}, {0xff, 0xff, 0xff, 0xff}} {
		require.ErrorIs(t, packet.ReadNotification(bytes.NewReader(head), &n), packet.ErrFrameLength)
	}
	require.ErrorIs(t, packet.ReadNotification(bytes.NewReader([]byte{0, 0, 0, 9, 1}), &n), io.ErrUnexpectedEOF)
}

func TestHello(t *testing.T) {
	one := packet.Hello{Server: 1, Addrs: []string{"h1:3888"}}
	require.Equal(t, "ffffffffffff0000"+"0000000000000001"+"00000007"+"68313a33383838", hex.EncodeToString(one.AppendJute(nil)))
	for _, h := range []packet.Hello{
		one,
		{Server: 2, Addrs: []string{"h1:3888", "[::1]:3889"}},
		{Server: 3},
		{Server: -4, Addrs: []string{"0.0.0.0:0"}},
	} {
		b := append(h.AppendJute(nil), "what follows"...)
		r := bytes.NewReader(b)
		got, err := packet.ReadHello(iotest.OneByteReader(r))
		require.NoError(t, err)
		require.Equal(t, h, got)
		require.Equal(t, len("what follows"), r.Len(), "not a byte too many")
	}
}

func TestBadHello(t *testing.T) {
	hello := func(addrs string) []byte {
		b := (&packet.Hello{Server: 1, Addrs: []string{addrs}}).AppendJute(nil)
		return b
	}
	for name, b := range map[string][]byte{
		"version":     jute.AppendInt64(nil, -65534),
		"no port":     hello("host"),
		"port":        hello("host:65536"),
		"no host":     hello(":3888"),
		"bare IPv6":   hello("::1:3888"),
		"bracket":     hello("[::1:3888"),
		"one of two":  hello("a:1|b"),
		"no address":  jute.AppendInt32(hello("")[:16], 0),
		"long":        hello(strings.Repeat("h", 2048) + ":1"),
		"length":      jute.AppendInt32(hello("h:1")[:16], -1),
		"empty parts": hello("a:1||b:2"),
	} {
		_, err := packet.ReadHello(bytes.NewReader(b))
		require.ErrorIs(t, err, jute.ErrMalformed, name)
	}
	whole := hello("h:1")
	for n := 1; n < len(whole); n++ {
		_, err := packet.ReadHello(bytes.NewReader(whole[:n]))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes", n)
	}
}

func drawPacket(t *rapid.T, longest int) packet.Packet {
	p := packet.Packet{Type: packet.Type(rapid.Int32Range(1, 19).Draw(t, "type")), Zxid: znode.Zxid(rapid.Int64().Draw(t, "zxid"))}
	switch n := rapid.IntRange(-1, longest).Draw(t, "data"); {
	case n >= 0 && rapid.Bool().Draw(t, "long"):
		p.Data = bytes.Repeat([]byte{byte(n)}, n)
	case n >= 0:
		p.Data = bytes.Repeat([]byte{byte(n)}, n%100)
	}
	for range rapid.IntRange(0, 3).Draw(t, "ids") {
		name := strings.Repeat("n", rapid.SampledFrom([]int{0, 1, 9, 300}).Draw(t, "name"))
		p.IDs = append(p.IDs, znode.ID{Scheme: rapid.SampledFrom([]string{"", "ip", "digest"}).Draw(t, "scheme"), Name: name})
	}
	if p.IDs == nil && rapid.Bool().Draw(t, "empty") {
		p.IDs = []znode.ID{}
	}
	return p
}

// Whatever the pieces in which a stream arrives, its packets are read, and keep what they say when others are read.
func TestReader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sent, got []packet.Packet
		var stream []byte
		for range rapid.IntRange(0, 20).Draw(t, "packets") {
			p := drawPacket(t, 100_000)
			sent, stream = append(sent, p), p.AppendJute(stream)
		}
		piece := rapid.SampledFrom([]int{7, 100, 4096, 32 << 10, 1 << 20}).Draw(t, "piece")
		r := packet.NewReader(inPieces(stream, piece), 100_000)
		for range sent {
			var p packet.Packet
			require.NoError(t, r.Next(&p))
			got = append(got, p)
		}
		require.ErrorIs(t, r.Next(&packet.Packet{}), io.EOF)
		require.Equal(t, sent, got)
	})
}

func TestReaderStream(t *testing.T) {
	snap, next := packet.Packet{Type: packet.TypeSnap}, packet.Packet{Type: packet.TypeNewLeader, Data: []byte("config")}
	stream := bytes.Repeat([]byte("tree"), 20_000)
	b := next.AppendJute(append(snap.AppendJute(nil), stream...))
	r := packet.NewReader(bytes.NewReader(b), packet.DefaultMax)
	var p packet.Packet
	require.NoError(t, r.Next(&p))
	require.True(t, r.Buffered())
	got := make([]byte, len(stream))
	_, err := io.ReadFull(r, got)
	require.NoError(t, err)
	require.Equal(t, stream, got)
	require.NoError(t, r.Next(&p))
	require.Equal(t, next, p)
	require.False(t, r.Buffered())
	_, err = r.Read(got)
	require.ErrorIs(t, err, io.EOF)
}

func TestReaderRefuses(t *testing.T) {
	head := func(length int32) []byte { return jute.AppendInt32(make([]byte, 12), length) }
	ids := func(numbers ...int32) []byte {
		b := head(-1)
		for _, n := range numbers {
			b = jute.AppendInt32(b, n)
		}
		return b
	}
	for name, b := range map[string][]byte{
		"data too long":        head(1001),
		"data below null":      head(-2),
		"too many identities":  ids(126),
		"identity too long":    ids(1, 1001),
		"identity below null":  ids(1, -2),
		"identities too long":  append(append(ids(2, 900), make([]byte, 900)...), 0, 0, 0, 200),
		"identities after all": append(append(ids(1, 996), make([]byte, 996)...), 0, 0, 0, 1),
	} {
		r := packet.NewReader(io.MultiReader(bytes.NewReader(b), iotest.ErrReader(errors.New("read on"))), 1000)
		require.ErrorIs(t, r.Next(&packet.Packet{}), jute.ErrMalformed, name)
	}
	whole := (&packet.Packet{Data: []byte("data"), IDs: []znode.ID{{Scheme: "ip", Name: "::1"}}}).AppendJute(nil)
	for n := 1; n < len(whole); n++ {
		r := packet.NewReader(bytes.NewReader(whole[:n]), 1000)
		require.ErrorIs(t, r.Next(&packet.Packet{}), io.ErrUnexpectedEOF, "%d bytes", n)
	}
	require.ErrorIs(t, packet.NewReader(silent{}, 1000).Next(&packet.Packet{}), io.ErrNoProgress)
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

// A deadline may pass in the middle of a packet; nothing is lost.
func TestReaderResumes(t *testing.T) {
	want := packet.Packet{Type: packet.TypeProposal, Data: []byte("data")}
	b := want.AppendJute(nil)
	r := packet.NewReader(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(b))), 1000)
	var p packet.Packet
	require.ErrorIs(t, r.Next(&p), iotest.ErrTimeout)
	require.NoError(t, r.Next(&p))
	require.Equal(t, want, p)
}

// A length that was only claimed is not paid for.
func TestReaderPaysForWhatCame(t *testing.T) {
	b := jute.AppendInt32(make([]byte, 12), 1<<30)
	got := testing.AllocsPerRun(10, func() {
		r := packet.NewReader(bytes.NewReader(b), 1<<30)
		require.ErrorIs(t, r.Next(&packet.Packet{}), io.ErrUnexpectedEOF)
	})
	require.Less(t, got, 20.0)
	bytesPerRun := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		head := jute.AppendInt32(make([]byte, 12), 1<<30)
		for b.Loop() {
			_ = packet.NewReader(bytes.NewReader(head), 1<<30).Next(&packet.Packet{})
		}
	}).AllocedBytesPerOp()
	require.Less(t, bytesPerRun, int64(100<<10))
}

// Reading costs no allocation for each packet.
func TestReaderAllocations(t *testing.T) {
	p := packet.Packet{Type: packet.TypeRequest, Data: make([]byte, 100), IDs: []znode.ID{{Scheme: "ip", Name: "127.0.0.1"}}}
	stream := bytes.Repeat(p.AppendJute(nil), 1000)
	src := bytes.NewReader(stream)
	r := packet.NewReader(src, packet.DefaultMax)
	allocs := testing.AllocsPerRun(10, func() {
		src.Reset(stream)
		var p packet.Packet
		for range 1000 {
			if err := r.Next(&p); err != nil {
				t.Fatal(err)
			}
		}
	})
	require.Less(t, allocs, 10.0, "only chunks, for 1000 packets")
}
