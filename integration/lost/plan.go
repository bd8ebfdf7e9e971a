package lost

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// A way is one of those in which a frame is lost.
type way string

// The ways.
const (
	lose    way = "lose"    // it does not arrive, and the connection breaks
	cut     way = "cut"     // it arrives, and the connection breaks
	freeze  way = "freeze"  // it arrives late, perhaps when the client has given up
	swallow way = "swallow" // it does not arrive, and the connection breaks late
)

// A fault is something that happens to frames.
type fault struct {
	way   way
	op    proxy.Op
	reply bool // and not the request
	skip  int
	times int
	hold  time.Duration // for how long what waits does
}

func (f fault) match() proxy.Match {
	m := proxy.Request(f.op, "")
	if f.reply {
		m = proxy.Reply(f.op, "")
	}
	return m.Skip(f.skip).Times(f.times)
}

// begin lets the fault happen from now on.
func (f fault) begin(p *proxy.Proxy) *proxy.Fault {
	switch f.way {
	case lose:
		return p.Lose(f.match())
	case cut:
		return p.Cut(f.match())
	case freeze:
		return p.Freeze(f.match())
	}
	return p.Swallow(f.match())
}

// String is "lose reply to create ×2".
func (f fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %v", f.way, f.match())
	if f.times > 1 {
		fmt.Fprintf(&b, " ×%d", f.times)
	}
	if f.skip > 0 {
		fmt.Fprintf(&b, " behind %d", f.skip)
	}
	if f.hold > 0 {
		fmt.Fprintf(&b, " for %v", f.hold)
	}
	return b.String()
}

// An ending is how a session ends meanwhile.
type ending string

// The ends.
const (
	lives  ending = ""
	told   ending = "the session ends at once"
	silent ending = "silence until the session has ended"
)

// A Plan is what one run does.
type Plan struct {
	seed   uint64
	kind   *kind
	faults []fault // at least one
	away   bool    // the connection breaks before the operation begins, and the first fault keeps the client from coming back
	bound  bool    // the operation runs in the session and in no other
	// What happens when the first fault strikes.
	leave      bool // the caller does, after leaveAfter
	leaveAfter time.Duration
	end        ending
	rival      bool // the witness undoes what was done, or does it too, before the client is back
}

// NewPlan is the plan that a seed makes for a world. Seeds in a row have the kinds of operations in turn.
func NewPlan(seed uint64, w *World) Plan {
	r := rand.New(rand.NewPCG(seed, 1))
	k := kinds[seed%uint64(len(kinds))]
	p := Plan{seed: seed, kind: k, faults: []fault{newFault(r, k.ops[0], w)}}
	if len(k.ops) > 1 && r.IntN(4) == 0 {
		p.faults[0].op = k.ops[r.IntN(len(k.ops))]
	}
	if r.IntN(3) == 0 { // and something else
		others := append([]proxy.Op{proxy.OpConnect, proxy.OpAny}, k.ops...)
		p.faults = append(p.faults, newFault(r, others[r.IntN(len(others))], w))
	}
	timeout := w.Client.SessionTimeout
	if p.away = r.IntN(10) == 0; p.away {
		hold := fault{way: freeze, op: proxy.OpConnect, times: 1, hold: holds(r, timeout)}
		p.faults = append([]fault{hold}, p.faults...)
	}
	p.besides(r, w)
	return p
}

// besides decides what happens besides faults.
func (p *Plan) besides(r *rand.Rand, w *World) {
	k, timeout := p.kind, w.Client.SessionTimeout
	switch r.IntN(10) {
	case 0, 1:
		p.leave = !k.closes
	case 2, 3:
		p.leave, p.leaveAfter = !k.closes, time.Duration(r.Int64N(int64(timeout/2)))
	}
	often := 1
	if len(k.ops) > 1 { // it has to find out what became of its parts
		often = 2
	}
	switch n := r.IntN(10); {
	case n < often:
		p.end = silent
	case n < 2*often && w.Expire != nil:
		p.end = told
	}
	p.rival = k.rival != nil && r.IntN(3) == 0
	p.bound = !k.closes && r.IntN(4) == 0
}

// newFault is any fault that meets an op.
func newFault(r *rand.Rand, op proxy.Op, w *World) fault {
	f := fault{op: op, reply: r.IntN(2) == 0, times: 1}
	if r.IntN(8) == 0 {
		f.skip = 1
	}
	timeout := w.Client.SessionTimeout
	switch n := r.IntN(20); {
	case n < 9:
		f.way = lose
	case n < 12:
		f.way = cut
	case n < 17:
		f.way = freeze
	default:
		f.way = swallow
	}
	switch f.way {
	case lose, cut:
		f.times = []int{1, 1, 1, 2, 2, 3}[r.IntN(6)]
	default:
		f.hold = holds(r, timeout)
	}
	return f
}

// holds is how long something waits. A client gives up after two thirds of the timeout.
func holds(r *rand.Rand, timeout time.Duration) time.Duration {
	return []time.Duration{timeout / 100, timeout / 10, timeout * 7 / 10, timeout * 8 / 10}[r.IntN(4)]
}

// String is the plan in one line.
func (p Plan) String() string {
	parts := []string{fmt.Sprintf("seed %d: %s", p.seed, p.kind.name)}
	if p.away {
		parts = append(parts, "away at first")
	}
	for _, f := range p.faults {
		parts = append(parts, f.String())
	}
	if p.leave {
		parts = append(parts, fmt.Sprintf("the caller leaves after %v", p.leaveAfter))
	}
	if p.end != lives {
		parts = append(parts, string(p.end))
	}
	if p.rival {
		parts = append(parts, "a rival")
	}
	if p.bound {
		parts = append(parts, "in one session")
	}
	return strings.Join(parts, ", ")
}
