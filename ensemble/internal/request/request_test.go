package request_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func TestLaneKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lane request.Lane
		var want []request.Request
		writes, bytes := 0, 0
		for i := range rapid.IntRange(0, 200).Draw(t, "steps") {
			if lane.Len() > 0 && rapid.Bool().Draw(t, "pop") {
				head := want[0]
				require.Equal(t, head.Xid, lane.Head().Xid)
				bytes -= head.Size
				if head.Ordered() {
					require.Nil(t, lane.Runnable(), "a write must wait for its commit")
					writes--
				} else {
					require.Equal(t, head.Xid, lane.Runnable().Xid)
				}
				lane.Pop()
				want = want[1:]
				continue
			}
			op := rapid.SampledFrom([]wire.Op{wire.OpGetData, wire.OpSetData, wire.OpPing, wire.OpCloseSession}).Draw(t, "op")
			r := request.Request{Xid: int32(i), Op: op, Size: rapid.IntRange(8, 100).Draw(t, "size")}
			switch rapid.IntRange(0, 4).Draw(t, "settled") {
			case 0:
				r.Answer = []byte{0}
			case 1:
				r.Err = znode.CodeMarshallingError
			}
			if r.Ordered() {
				writes++
			}
			bytes += r.Size
			lane.Push(r)
			want = append(want, r)
			require.Equal(t, len(want), lane.Len())
			require.Equal(t, writes, lane.Writes())
			require.Equal(t, bytes, lane.Bytes())
		}
	})
}

func TestLaneCopiesReads(t *testing.T) {
	var lane request.Lane
	buf := []byte("abc")
	lane.Push(request.Request{Op: wire.OpGetData, Body: buf})
	buf[0] = 'x'
	require.Equal(t, "abc", string(lane.Head().Body))
	lane.Pop()
	require.Nil(t, lane.Head())
}

func BenchmarkLane(b *testing.B) {
	var lane request.Lane
	for b.Loop() {
		lane.Push(request.Request{Op: wire.OpSetData})
		lane.Push(request.Request{Op: wire.OpSetData})
		lane.Pop()
		lane.Pop()
	}
}
