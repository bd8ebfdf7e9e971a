package front

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
)

// TestInputCutsAnyStreamIntoItsFrames reads random frames in random pieces.
func TestInputCutsAnyStreamIntoItsFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 200_000)), 0, 20).Draw(t, "sizes")
		var stream []byte
		for i, n := range sizes {
			b, start := wire.BeginFrame(stream)
			stream = wire.EndFrame(append(b, bytes.Repeat([]byte{byte(i)}, n)...), start)
		}
		var from io.Reader = bytes.NewReader(stream)
		if rapid.Bool().Draw(t, "halves") {
			from = iotest.HalfReader(from)
		}
		var in input
		sent := 0
		for i := 0; i < len(sizes); {
			frame, _, err := in.frame(200_000)
			require.NoError(t, err)
			if frame != nil {
				require.Equal(t, bytes.Repeat([]byte{byte(i)}, sizes[i]), append([]byte{}, frame...))
				i++
				continue
			}
			require.NoError(t, in.fill(from))
			require.LessOrEqual(t, in.r, in.w)
			sent = max(sent, in.len())
			require.LessOrEqual(t, len(in.buf), max(2*sent, maxInput), "the buffer is larger than what was sent")
		}
		require.Zero(t, in.len())
		require.ErrorIs(t, in.fill(from), io.EOF)
	})
}

func TestInputShrinks(t *testing.T) {
	var in input
	big := bytes.NewReader(make([]byte, 1<<20))
	for range 1 << 20 {
		if in.fill(big) != nil {
			break
		}
	}
	require.GreaterOrEqual(t, len(in.buf), 1<<20)
	for range 100 {
		in.drop()
		require.NoError(t, in.fill(bytes.NewReader([]byte{1})))
	}
	require.Len(t, in.buf, minInput)
}

func TestInputRefusesLengths(t *testing.T) {
	for _, head := range [][]byte{{0xff, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0}, {0, 0, 0, 11}, {0x7f, 0xff, 0xff, 0xff}} {
		var in input
		require.NoError(t, in.fill(bytes.NewReader(head)))
		_, _, err := in.frame(10)
		require.ErrorIs(t, err, errFrameLength)
	}
	var in input
	require.NoError(t, in.fill(bytes.NewReader([]byte{0, 0, 0, 10, 1})))
	frame, length, err := in.frame(10)
	require.NoError(t, err)
	require.Nil(t, frame)
	require.Equal(t, 10, length)
	require.ErrorIs(t, in.fill(iotest.ErrReader(io.ErrClosedPipe)), io.ErrClosedPipe)
}

func TestThrottle(t *testing.T) {
	var off throttle
	off.init(Throttle{})
	require.True(t, off.admit(0, false))

	var b throttle
	b.init(Throttle{Tokens: 6, FillTime: time.Second, FillCount: 2, FreezeTime: -1, Weighted: true, NewWeight: 3, RenewWeight: 2})
	require.True(t, b.admit(0, false))
	require.True(t, b.admit(0, true))
	require.False(t, b.admit(0, true), "one token is left, two are wanted")
	require.False(t, b.admit(999*time.Millisecond, false))
	require.True(t, b.admit(time.Second, false), "two were added")
	require.True(t, b.admit(time.Hour, false))
	require.True(t, b.admit(time.Hour, false))
	require.False(t, b.admit(time.Hour, false), "an hour fills no more than the bucket")
}

func TestThrottleDrops(t *testing.T) {
	var b throttle
	b.init(Throttle{Tokens: 2, FillTime: time.Second, FreezeTime: 10 * time.Second, DropIncrease: 0.5, DropDecrease: 0.2, DecreaseRatio: 0.4})
	draw := 0.3
	b.uniform = func() float64 { return draw }
	require.True(t, b.admit(0, false))
	require.True(t, b.admit(0, false))
	require.False(t, b.admit(0, false), "the bucket is empty")
	now := 500 * time.Millisecond
	b.frozen = -10 * time.Second
	require.False(t, b.admit(now, false))
	require.InDelta(t, 0.5, b.drop, 1e-9)
	require.False(t, b.admit(2*time.Second, false), "there are tokens, but 0.3 < 0.5")
	draw = 0.6
	require.True(t, b.admit(2*time.Second, false))
	require.True(t, b.admit(20*time.Second, false))
	require.InDelta(t, 0.3, b.drop, 1e-9, "the bucket was full enough")
	require.True(t, b.admit(21*time.Second, false))
	require.InDelta(t, 0.3, b.drop, 1e-9, "too early for another change")
}
