package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/plan"
	"github.com/bellwether-zk/bellwether/ensemble/sim/workload"
)

// Options are the circumstances of one run, drawn from its seed.
type Options struct {
	Seed      uint64
	Voters    int
	Observers int
	Tick      int64 // milliseconds
	Hold      int64 // for how long clients are kept without a leader, milliseconds

	Fsync        clock.Time // the disk's usual time to make something durable
	SnapCount    int        // transactions between snapshots
	LogSize      int64      // bytes of a log file before the next begins
	CounterStart uint32     // see replica.Config

	Delay, Jitter clock.Time // of the network, one way
	Span          clock.Time // how long faults go on at most, and a sixteenth of it at least
	Writes        int        // how many acknowledged ones end them when the run proves something
	Mix           workload.Mix
	Plan          plan.Plan
	Bug           Bug  // planted
	Restart       bool // at the end everything is started again from disk
}

// Draw draws the options of a seed.
func Draw(seed uint64) Options {
	w := newWorld(seed, nil)
	r := w.chance(ofOptions)
	o := Options{Seed: seed, Voters: []int{3, 3, 3, 5, 5}[r.IntN(5)], Observers: max(0, r.IntN(5)-2)}
	if r.IntN(25) == 0 {
		o.Voters = 1 // leadership seldom changes, but nobody else has what it forgets
	}
	o.Tick = []int64{200, 500, 1000, 2000, 2000}[r.IntN(5)]
	o.Hold = o.Tick * int64(1+r.IntN(10))
	o.Fsync = []clock.Time{100, 500, 2000, 8000}[r.IntN(4)]
	o.SnapCount = []int{20, 100, 300, 1000}[r.IntN(4)]
	o.LogSize = []int64{4 << 10, 32 << 10, 1 << 20}[r.IntN(3)]
	if r.IntN(12) == 0 {
		o.CounterStart = 1<<32 - 1 - uint32(100+r.IntN(1500))
	}
	o.Delay = []clock.Time{50, 200, 1000, 5000}[r.IntN(4)]
	o.Jitter = o.Delay * clock.Time(1+r.IntN(3))
	o.Span = o.ticks(2400)
	o.Writes = leastWrites + int(r.ExpFloat64()*400)
	o.Mix = workload.Draw(r)
	o.Mix.Timeout = int32(o.Tick) * int32(2+r.IntN(4+r.IntN(15))) // as many ticks as servers allow, rather few
	o.Mix.Think = o.ticks(1) * clock.Time(o.Mix.Clients) / requests
	o.Restart = r.IntN(4) == 0
	o.Plan = drawPlan(w.chance(ofPlan), &o)
	return o
}

// Short is the same run, cut off after an eightieth of its time.
func (o Options) Short() Options {
	o.Span /= 80
	o.Plan.Shape.Span /= 80
	return o
}

// requests is about how many requests all clients together make in a tick, when they are served.
const requests = 30

// ticks is a number of ticks.
func (o *Options) ticks(n int64) clock.Time { return clock.Time(n*o.Tick) * clock.Millisecond }

// planTick is the tick for which plans are drawn; they are stretched to the one there is, for what matters is not how long a fault
// lasts, but how long in comparison with what servers wait.
const planTick = 100 * clock.Millisecond

// drawPlan draws what goes wrong.
func drawPlan(r *rand.Rand, o *Options) plan.Plan {
	stretch := o.ticks(1) / planTick
	p := plan.Draw(r, plan.Shape{
		Voters: o.Voters, Observers: o.Observers, Clients: o.Mix.Clients, Start: 20 * planTick, Span: o.Span / stretch, Tick: planTick,
	})
	p.Shape.Start, p.Shape.Span, p.Shape.Tick = o.ticks(20), o.Span, o.ticks(1)
	for i := range p.Faults {
		f := &p.Faults[i]
		f.At, f.Span = f.At*stretch, f.Span*stretch
		switch f.Class {
		case plan.Flap, plan.Swizzle, plan.Churn:
			f.Delay *= stretch
		}
	}
	return p
}

// String is the options in two lines.
func (o Options) String() string {
	return fmt.Sprintf("seed %d: %d voters, %d observers, tick %d ms, hold %d ms, fsync %v, snapshot every %d, logs of %d bytes, counter from %d, delay %v + %v, %v of faults\n%v",
		o.Seed, o.Voters, o.Observers, o.Tick, o.Hold, o.Fsync, o.SnapCount, o.LogSize, o.CounterStart, o.Delay, o.Jitter, o.Span, o.Mix)
}

// members is the configuration that all servers have.
func (o Options) members() *quorum.Config {
	var b strings.Builder
	for id := 1; id <= o.Voters+o.Observers; id++ {
		role := "participant"
		if id > o.Voters {
			role = "observer"
		}
		fmt.Fprintf(&b, "server.%d=s%d:2888:3888:%s;2181\n", id, id, role)
	}
	c, err := quorum.Parse(b.String())
	if err != nil {
		panic("sim: " + err.Error())
	}
	return c
}
