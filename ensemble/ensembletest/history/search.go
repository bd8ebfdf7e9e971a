package history

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// A verdict is what a search has found.
type verdict byte

const (
	undecided verdict = iota
	legal
	illegal
)

// A finder looks for an order of the operations on one object: it takes one of those that may come next, does it to the state, and goes on,
// and back where nothing may. What it has taken and the state it has come to are remembered, so that no two ways lead through the same
// place (Wing and Gong's search, with Lowe's memory).
//
// Operations whose outcome is unknown are taken last: only where no answer can be explained without one. That makes histories that are
// right quick to explain, however many there are of them, and is why this is not left to porcupine, which takes them first.
type finder[S, I, O any] struct {
	model   *Model[S, I, O]
	known   []Operation[I, O] // by Call
	unknown []Operation[I, O] // by Call
	taken   []bool            // of known
	maybe   []bool            // of unknown: it took effect
	been    map[string][]S

	steps    int64 // left
	deadline time.Time
	key      []byte
}

// find searches within the bounds of opts.
func find[S, I, O any](m *Model[S, I, O], ops []Operation[I, O], opts *Options) verdict {
	f := &finder[S, I, O]{model: m, been: make(map[string][]S), steps: opts.Steps, deadline: time.Now().Add(opts.Patience)}
	for _, op := range ops {
		if op.Output == nil {
			f.unknown = append(f.unknown, op)
		} else {
			f.known = append(f.known, op)
		}
	}
	byCall := func(a, b Operation[I, O]) int { return cmp.Compare(a.Call, b.Call) }
	slices.SortFunc(f.known, byCall)
	slices.SortFunc(f.unknown, byCall)
	f.taken, f.maybe = make([]bool, len(f.known)), make([]bool, len(f.unknown))
	switch {
	case f.explain(m.Init(), 0):
		return legal
	case f.steps < 0:
		return undecided
	}
	return illegal
}

// explain reports whether the answers that are left can be explained from a state on. All known operations before low are taken.
func (f *finder[S, I, O]) explain(s S, low int) bool {
	for low < len(f.known) && f.taken[low] {
		low++
	}
	if low == len(f.known) {
		return true // the others have not happened yet
	}
	next, before := f.next(low)
	if f.visited(s, low) {
		return false
	}
	for _, i := range next {
		if to, ok := f.step(s, &f.known[i]); ok {
			f.taken[i] = true
			if f.explain(to, low) {
				return true
			}
			f.taken[i] = false
		}
	}
	for i := range f.unknown {
		if f.maybe[i] || f.unknown[i].Call > before {
			continue
		}
		if to, ok := f.step(s, &f.unknown[i]); ok && !f.model.Equal(s, to) {
			f.maybe[i] = true
			if f.explain(to, low) {
				return true
			}
			f.maybe[i] = false
		}
	}
	return false
}

// next are the known operations that may be the next, those that were answered first at the front: they began before any that is left was
// answered, which is the moment it returns.
func (f *finder[S, I, O]) next(low int) (next []int, before int64) {
	before = math.MaxInt64
	for i := low; i < len(f.known) && f.known[i].Call <= before; i++ {
		if !f.taken[i] {
			next = append(next, i)
			before = min(before, f.known[i].Return)
		}
	}
	slices.SortFunc(next, func(a, b int) int { return cmp.Compare(f.known[a].Return, f.known[b].Return) })
	return next, before
}

// step does an operation, unless the bounds are reached: then nothing is possible any more.
func (f *finder[S, I, O]) step(s S, op *Operation[I, O]) (S, bool) {
	if f.steps--; f.steps >= 0 && f.steps%1024 == 0 && time.Now().After(f.deadline) {
		f.steps = -1
	}
	if f.steps < 0 {
		return s, false
	}
	return f.model.Step(s, op.Input, op.Output)
}

// visited reports whether the search has been here, and remembers that it has.
func (f *finder[S, I, O]) visited(s S, low int) bool {
	f.key = binary.AppendUvarint(f.key[:0], uint64(low))
	f.key = appendBits(f.key, f.maybe)
	last := low
	for last < len(f.taken) && f.known[last].Call <= f.known[low].Return { // beyond, nothing is taken as long as low is not
		last++
	}
	f.key = appendBits(f.key, f.taken[low:last])
	states := f.been[string(f.key)]
	for _, other := range states {
		if f.model.Equal(s, other) {
			return true
		}
	}
	f.been[string(f.key)] = append(states, s)
	return false
}

// appendBits appends eight flags a byte.
func appendBits(b []byte, flags []bool) []byte {
	for i, on := range flags {
		if i%8 == 0 {
			b = append(b, 0)
		}
		if on {
			b[len(b)-1] |= 1 << (i % 8)
		}
	}
	return b
}
