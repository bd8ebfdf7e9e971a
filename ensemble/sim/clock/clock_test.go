package clock

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTimeSpeaks(t *testing.T) {
	for at, want := range map[Time]string{
		0: "0.000000s", 1: "0.000001s", 12*Second + 345*Millisecond: "12.345000s", -Millisecond: "-0.001000s", Never: "never",
	} {
		require.Equal(t, want, at.String())
	}
	require.Equal(t, int64(1), (2*Millisecond - 1).Millis())
	require.Equal(t, int64(-1), Time(-1).Millis(), "down, not towards zero")
}

func TestZeroClockIsRight(t *testing.T) {
	var c Clock
	require.Equal(t, int64(1500), c.Mono(1500*Millisecond))
	require.Equal(t, Epoch+1500, c.Wall(1500*Millisecond))
}

func TestRateAndJump(t *testing.T) {
	c := New(7*Second, 100_000, -3*Second)
	require.Equal(t, int64(7000), c.Mono(0))
	require.Equal(t, Epoch-3000, c.Wall(0))
	require.Equal(t, int64(7000+11_000), c.Mono(10*Second))
	c.SetRate(10*Second, -100_000)
	require.Equal(t, int64(7000+11_000), c.Mono(10*Second), "a new rate is no jump")
	require.Equal(t, int64(7000+11_000+9_000), c.Mono(20*Second))
	before := c.Mono(20 * Second)
	c.Jump(-3600 * Second)
	require.Equal(t, before, c.Mono(20*Second))
	require.Equal(t, Epoch-3000+20_000-3_600_000, c.Wall(20*Second))
}

// A timer set by When goes off at the first moment at which the clock shows what was asked for.
func TestWhen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := New(Time(rapid.Int64Range(0, 1e9).Draw(t, "start")), rapid.Int64Range(-100_000, 100_000).Draw(t, "ppm"), 0)
		now := Time(rapid.Int64Range(0, 1e10).Draw(t, "now"))
		if rapid.Bool().Draw(t, "changed") {
			c.SetRate(now/2, rapid.Int64Range(-100_000, 100_000).Draw(t, "ppm2"))
		}
		mono := c.Mono(now) + rapid.Int64Range(-5, 100_000).Draw(t, "in")
		at := c.When(now, mono)
		require.GreaterOrEqual(t, at, now)
		require.GreaterOrEqual(t, c.Mono(at), mono)
		if at > now {
			require.Less(t, c.Mono(at-1), mono)
		}
	})
}
