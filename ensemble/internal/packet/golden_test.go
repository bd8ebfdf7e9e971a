package packet_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// The files of testdata/apache-3.8.0 are single directions of connections between servers of Apache ZooKeeper 3.8.0, recorded
// whole: ensembles of three voters, one of them with an observer that gets its tree as a snapshot.

func recording(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "apache-3.8.0", name))
	require.NoError(t, err)
	return b
}

func recordings(t testing.TB, prefix string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "apache-3.8.0", prefix+"*.bin"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for i, p := range paths {
		paths[i] = filepath.Base(p)
	}
	return paths
}

// notifications reads what follows an optional hello.
func notifications(t testing.TB, b []byte, hello bool) (again []byte, all []packet.Notification) {
	t.Helper()
	r := bytes.NewReader(b)
	if hello {
		h, err := packet.ReadHello(r)
		require.NoError(t, err)
		again = h.AppendJute(again)
	}
	for r.Len() > 0 {
		var n packet.Notification
		require.NoError(t, packet.ReadNotification(r, &n))
		again = n.AppendFrame(again)
		all = append(all, n)
	}
	return again, all
}

func TestRecordedElections(t *testing.T) {
	total := 0
	for _, name := range recordings(t, "election-") {
		b := recording(t, name)
		again, all := notifications(t, b, !strings.HasSuffix(name, "acceptor.bin"))
		require.Equal(t, b, again, "%s: every byte is understood", name)
		for _, n := range all {
			require.Equal(t, packet.NotificationVersion, n.Version)
			require.Contains(t, n.Config, "server.1=127.0.0.1:")
		}
		total += len(all)
	}
	require.Greater(t, total, 30)
}

func TestRecordedVote(t *testing.T) {
	_, all := notifications(t, recording(t, "election-acceptor.bin"), false)
	require.Len(t, all, 2)
	all[0].Config, all[1].Config = "", ""
	require.Equal(t, packet.Notification{State: packet.Looking, Leader: 1, Round: 1, Version: 2}, all[0], "first itself")
	require.Equal(t, packet.Notification{State: packet.Looking, Leader: 3, Round: 1, Version: 2}, all[1], "then the better one")

	h, err := packet.ReadHello(bytes.NewReader(recording(t, "election-please-call.bin")))
	require.NoError(t, err)
	require.Equal(t, packet.Hello{Server: 1, Addrs: []string{"127.0.0.1:22011"}}, h)
}

// packets reads a recorded direction of the quorum port; the snapshot behind SNAP is read as the stream it is.
func packets(t testing.TB, b []byte) (again []byte, all []packet.Packet) {
	t.Helper()
	r := packet.NewReader(inPieces(b, 700), packet.DefaultMax)
	for {
		var p packet.Packet
		err := r.Next(&p)
		if errors.Is(err, io.EOF) {
			require.False(t, r.Buffered())
			return again, all
		}
		require.NoError(t, err)
		again = p.AppendJute(again)
		all = append(all, p)
		if p.Type == packet.TypeSnap {
			again = append(again, throughSignature(t, r)...)
		}
	}
}

func throughSignature(t testing.TB, r io.Reader) []byte {
	t.Helper()
	var stream []byte
	end := jute.AppendString(nil, packet.Signature)
	for b := make([]byte, 1); !bytes.HasSuffix(stream, end); {
		_, err := io.ReadFull(r, b)
		require.NoError(t, err)
		stream = append(stream, b...)
	}
	return stream
}

// inPieces reads b, n bytes at a time.
func inPieces(b []byte, n int) io.Reader {
	var readers []io.Reader
	for len(b) > 0 {
		n := min(n, len(b))
		readers, b = append(readers, bytes.NewReader(b[:n])), b[n:]
	}
	return io.MultiReader(readers...)
}

func TestRecordedQuorumPort(t *testing.T) {
	seen := make(map[packet.Type]int)
	for _, name := range recordings(t, "quorum-") {
		b := recording(t, name)
		again, all := packets(t, b)
		require.Equal(t, b, again, "%s: every byte is understood", name)
		for _, p := range all {
			seen[p.Type]++
			mustKnowData(t, p)
		}
	}
	for _, typ := range []packet.Type{packet.TypeRequest, packet.TypeProposal, packet.TypeAck, packet.TypeCommit, packet.TypePing,
		packet.TypeSync, packet.TypeInform, packet.TypeNewLeader, packet.TypeFollowerInfo, packet.TypeUpToDate, packet.TypeDiff,
		packet.TypeSnap, packet.TypeObserverInfo, packet.TypeLeaderInfo, packet.TypeAckEpoch} {
		require.NotZero(t, seen[typ], "the recordings show %v", typ)
	}
}

// mustKnowData decodes the record in a packet's data, which must give the same bytes again.
func mustKnowData(t testing.TB, p packet.Packet) {
	t.Helper()
	switch p.Type {
	case packet.TypeFollowerInfo, packet.TypeObserverInfo:
		mustRecode(t, p.Data, &packet.LearnerInfo{})
	case packet.TypeLeaderInfo:
		mustRecode(t, p.Data, &packet.LeaderInfo{})
	case packet.TypeRequest:
		require.NotEqual(t, packet.Request{}, *mustRecode(t, p.Data, &packet.Request{}).(*packet.Request))
	case packet.TypePing:
		touches, err := packet.DecodeTouches(p.Data, nil)
		require.NoError(t, err)
		require.Len(t, touches, len(p.Data)/12)
	}
}

func mustRecode(t testing.TB, data []byte, r wire.Record) wire.Record {
	t.Helper()
	require.NoError(t, packet.Decode(data, r))
	require.Equal(t, data, r.AppendJute(nil))
	return r
}

func TestRecordedRequests(t *testing.T) {
	_, all := packets(t, recording(t, "quorum-from-follower.bin"))
	var info packet.LearnerInfo
	require.NoError(t, packet.Decode(all[0].Data, &info))
	require.Equal(t, packet.LearnerInfo{ServerID: 1, Protocol: packet.Protocol}, info)

	var ops []wire.Op
	for _, p := range all {
		if p.Type != packet.TypeRequest {
			continue
		}
		var r packet.Request
		require.NoError(t, packet.Decode(p.Data, &r))
		require.Equal(t, znode.SessionID(0x100005276ab0000), r.Session)
		require.Equal(t, znode.Zxid(-1), p.Zxid)
		if r.Op == wire.OpCreateSession {
			require.Nil(t, p.IDs)
		} else {
			require.Equal(t, []znode.ID{{Scheme: "ip", Name: "127.0.0.1"}}, p.IDs)
		}
		ops = append(ops, r.Op)
	}
	require.Equal(t, []wire.Op{wire.OpCreateSession, wire.OpCreate, wire.OpSetData, wire.OpCreate, wire.OpMulti, wire.OpCreate, wire.OpSync,
		wire.OpCloseSession}, ops)
}

func BenchmarkReader(b *testing.B) {
	data := bytes.Repeat(recording(b, "quorum-to-follower.bin"), 100)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		r := packet.NewReader(bytes.NewReader(data), packet.DefaultMax)
		var p packet.Packet
		var err error
		n := 0
		for ; err == nil; n++ {
			err = r.Next(&p)
		}
		b.ReportMetric(float64(n), "packets/op")
	}
}
