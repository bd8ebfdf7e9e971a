// Package clock is the time of a simulated world, and the clocks its servers see it by.
//
// A [Time] is what really is, known to the simulator alone: microseconds since the run began. A server sees it only through
// a [Clock], which may be off, go too fast or too slow, and whose wall half may jump; its monotonic half never does. A paused
// server keeps its clocks, they go on without it, as those of a stopped process do.
//
// Nothing here runs by itself: whoever holds a Clock asks it what it shows at a Time. A Clock belongs to one goroutine.
package clock

import (
	"fmt"
	"math"
)

// A Time is a moment of the simulation, or a span between two: microseconds.
type Time int64

// Spans of time.
const (
	Microsecond Time = 1
	Millisecond      = 1000 * Microsecond
	Second           = 1000 * Millisecond
)

// Never comes after every moment.
const Never Time = math.MaxInt64

// String is seconds with all six places, so that moments line up below one another.
func (t Time) String() string {
	if t == Never {
		return "never"
	}
	sign := ""
	if t < 0 {
		sign, t = "-", -t
	}
	return fmt.Sprintf("%s%d.%06ds", sign, t/Second, t%Second)
}

// Millis is t in whole milliseconds, rounded down.
func (t Time) Millis() int64 {
	if t < 0 {
		return -int64((-t + Millisecond - 1) / Millisecond)
	}
	return int64(t / Millisecond)
}

// Epoch is what a wall clock that is right shows at Time 0: milliseconds since 1970.
const Epoch int64 = 1_800_000_000_000

// A Clock is the two clocks of one server. The zero Clock is right and starts at Time 0.
type Clock struct {
	rate  int64 // parts per million it is too fast, negative: too slow; > -1000000
	since Time  // when rate was set; of both clocks
	mono  Time  // what the monotonic clock showed then
	ahead Time  // wall = mono + ahead, besides Epoch
}

// New returns a clock that shows a monotonic time of start at Time 0, goes ppm parts per million too fast (negative: too slow)
// and whose wall half is ahead of the truth by that span.
func New(start Time, ppm int64, ahead Time) *Clock {
	return &Clock{rate: ppm, mono: start, ahead: ahead - start}
}

// SetRate makes the clock go ppm parts per million too fast from now on; neither half jumps.
func (c *Clock) SetRate(now Time, ppm int64) {
	c.mono, c.since, c.rate = c.at(now), now, ppm
}

// Jump sets the wall half forward by that span, or back. The monotonic half does not notice.
func (c *Clock) Jump(span Time) { c.ahead += span }

func (c *Clock) at(now Time) Time {
	passed := now - c.since
	return c.mono + passed + Time(int64(passed)*c.rate/1_000_000)
}

// Mono is what the monotonic clock shows, in milliseconds.
func (c *Clock) Mono(now Time) int64 { return c.at(now).Millis() }

// Wall is what the wall clock shows, in milliseconds since 1970.
func (c *Clock) Wall(now Time) int64 { return Epoch + (c.at(now) + c.ahead).Millis() }

// When is the first Time, not before now, at which Mono shows at least mono if the rate stays: where a timer goes into the
// simulator's queue.
func (c *Clock) When(now Time, mono int64) Time {
	target := Time(mono) * Millisecond
	if c.at(now) >= target {
		return now
	}
	t := c.since + Time(int64(target-c.mono)*1_000_000/(1_000_000+c.rate))
	for c.at(t) < target {
		t++
	}
	for t > now && c.at(t-1) >= target {
		t--
	}
	return t
}
