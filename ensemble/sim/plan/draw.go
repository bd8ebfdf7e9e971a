package plan

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// often is how often a class strikes in 30 seconds, on average, where it is on and its rate is the middle one. What stops
// everything stays rare, or nothing would ever be written.
var often = [classes]float64{
	Kill: 8, PowerLoss: 8, KillAll: 0.7, PowerOut: 0.7, CrashPoint: 8, Pause: 8, PauseAll: 0.7, PauseClient: 6, Starve: 4, Split: 5,
	Bridge: 3, Isolate: 8, OneWay: 5, Deaf: 5, Flap: 2, Swizzle: 2, CutClients: 6, CutClient: 8, Strand: 8, Reset: 12, SlowLink: 6,
	Lossy: 4, SlowDisk: 6, StallDisk: 5, FullDisk: 3, BadWrite: 5, LostSync: 4, BitFlip: 2, BitFlipLog: 2, Amnesia: 2, Drift: 4, Jump: 6,
	Echo: 4, Churn: 1,
}

// Draw draws a plan. One in two hundred has no faults at all: the most load, and what goes wrong by itself.
func Draw(r *rand.Rand, s Shape) Plan {
	p := Plan{Shape: s}
	p.Frail = some(r, s.minority(), s.Voters)
	p.Quorum = some(r, s.Voters-s.minority(), s.Voters)
	quiet := r.IntN(200) == 0
	for c := range classes {
		on, rate := r.IntN(2) == 0, []float64{0.25, 0.5, 1, 1.5, 2.5}[r.IntN(5)]
		if !on || quiet || !s.allows(c) {
			continue
		}
		p.On = append(p.On, c)
		n := often[c] * rate * float64(s.Span) / float64(30*clock.Second)
		times := int(n)
		if r.Float64() < n-float64(times) {
			times++
		}
		for range times {
			p.Faults = append(p.Faults, p.fault(r, c))
		}
	}
	if !quiet {
		p.gather(r)
	}
	slices.SortStableFunc(p.Faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return p
}

// gather moves some of the faults close behind others, since accidents seldom come alone: the first makes the second likelier, and
// what was built to bear each may not bear both.
func (p *Plan) gather(r *rand.Rand) {
	share := []float64{0, 0.3, 0.6}[r.IntN(3)]
	for i := range p.Faults {
		if r.Float64() < share {
			other := p.Faults[r.IntN(len(p.Faults))].At
			p.Faults[i].At = min(other+clock.Time(r.Int64N(int64(4*p.Shape.Tick)+1)), p.Shape.Start+p.Shape.Span-1)
		}
	}
}

// allows reports whether a class can strike in such an ensemble.
func (s Shape) allows(c Class) bool {
	servers := s.Voters + s.Observers
	switch c {
	case Split, Bridge, Isolate, OneWay, Deaf, Flap, Swizzle, Strand, Reset, Echo:
		return servers > 1
	case BitFlip, BitFlipLog, Amnesia:
		return s.minority()+s.Observers > 0
	case PauseClient, CutClient:
		return s.Clients > 0
	case Churn:
		return s.Voters > 2
	}
	return true
}

// fault draws one fault of a class.
func (p *Plan) fault(r *rand.Rand, c Class) Fault {
	s := p.Shape
	f := Fault{At: s.Start + clock.Time(r.Int64N(int64(s.Span))), Class: c, Span: p.span(r, c)}
	f.Who = Target{Role: []Role{Anyone, Leader, Leader, Follower}[r.IntN(4)], Pick: r.Uint32()}
	servers := s.Voters + s.Observers
	switch c {
	case Kill, PowerLoss, Pause, Isolate, Strand, Reset, StallDisk:
		if r.IntN(3) == 0 {
			f.On = Phase(1 + r.IntN(int(phases)-1))
		}
	case CrashPoint, BadWrite, LostSync:
		f.N = 1 + int(r.ExpFloat64()*12)
	case FullDisk:
		f.N = r.IntN(64 << 10)
	case BitFlip, BitFlipLog, Amnesia:
		f.Who.Role = Frail
	case PauseClient, CutClient:
		f.N = r.IntN(s.Clients)
	case Lossy:
		f.Rate = []float64{0.01, 0.05, 0.2}[r.IntN(3)]
	case Drift:
		f.Rate = r.Float64()*0.18 - 0.09
	case Jump:
		f.Delay, f.N = clock.Time(1+r.Int64N(1<<uint(1+r.IntN(28))))*clock.Millisecond, r.IntN(2)
	case Churn:
		f.N, f.Delay = 2+r.IntN(4), clock.Time(100+r.Int64N(2000))*clock.Millisecond
	}
	switch c {
	case Strand:
		f.Side = s.company(r)
	case Split, Bridge, Swizzle, OneWay, Deaf, Reset:
		f.Side = some(r, 1+r.IntN(max(servers-1, 1)), servers)
	}
	switch c {
	case Split, Bridge, Swizzle, OneWay, Deaf, Reset, Isolate, Flap:
		f.Port = []Port{AllPorts, AllPorts, ElectionPort, QuorumPort}[r.IntN(4)]
	}
	switch c {
	case Split, Isolate, Strand:
		f.N = r.IntN(2)
	}
	switch c {
	case Starve, SlowLink, SlowDisk, Echo:
		f.Delay = clock.Time(1+r.Int64N(1<<uint(1+r.IntN(9)))) * clock.Millisecond
	case Flap, Swizzle:
		f.Delay = clock.Time(50+r.Int64N(int64(max(f.Span/clock.Millisecond/6, 1)))) * clock.Millisecond
	}
	return f
}

// company are servers that, with one more, are no quorum, and mostly few.
func (s Shape) company(r *rand.Rand) []int {
	voters := r.IntN(max(s.minority(), 1))
	side := some(r, voters, s.Voters)
	for id := s.Voters + 1; id <= s.Voters+s.Observers; id++ {
		if r.IntN(2) == 0 {
			side = append(side, id)
		}
	}
	return side
}

// span is how long a fault lasts: mostly around what a server waits before it acts, which is where the decisions are; sometimes much
// longer.
func (p *Plan) span(r *rand.Rand, c Class) clock.Time {
	switch c {
	case Reset, Jump, Churn:
		return 0
	}
	tick := max(p.Shape.Tick, 10*clock.Millisecond)
	span := clock.Time(float64(tick) * []float64{0.2, 1, 3, 6, 12, 30}[r.IntN(6)] * (0.5 + r.Float64()))
	return min(max(span, clock.Millisecond), 10*clock.Second)
}
