package sim

import (
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// A world is the one goroutine: what is to happen, in order of time and then of being asked for, and chance, each concern's drawn
// from the seed by itself, so that one more fault does not reshuffle what clients ask for.
type world struct {
	seed  uint64
	now   clock.Time
	queue []event
	asked uint64 // events so far
	hash  uint64 // of everything that has happened
	trace io.Writer
	over  bool // something went wrong, or all is said
}

// An event is something that happens at its time.
type event struct {
	at  clock.Time
	seq uint64
	do  func()
}

func newWorld(seed uint64, trace io.Writer) *world {
	return &world{seed: seed, hash: fnvOffset, trace: trace}
}

// FNV-1a, a word at a time.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// Concerns that have a chance of their own.
const (
	ofOptions uint64 = 1 + iota
	ofNetwork
	ofFaults
	ofCrashes
	ofPlan
	ofClocks
	ofSchedule
	ofBugs
	ofDisk    = 100 // and the server's id
	ofPeers   = 200
	ofClients = 300 // and the client's number
)

// chance is the source of one concern's randomness.
func (w *world) chance(concern uint64) *rand.Rand {
	return rand.New(rand.NewPCG(w.seed, concern*0x9e3779b97f4a7c15))
}

// mix makes words part of the trace hash.
func (w *world) mix(words ...uint64) {
	h := w.hash
	for _, x := range words {
		h = (h ^ x) * fnvPrime
		h ^= h >> 29
	}
	w.hash = h
}

// mixBytes makes bytes part of it.
func (w *world) mixBytes(b []byte) {
	h := w.hash ^ uint64(len(b))
	for len(b) >= 8 {
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		h = (h ^ x) * fnvPrime
		h ^= h >> 29
		b = b[8:]
	}
	for _, c := range b {
		h = (h ^ uint64(c)) * fnvPrime
	}
	w.hash = h
}

// say writes a line of the trace, if somebody reads it.
func (w *world) say(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%v  %s\n", w.now, fmt.Sprintf(format, args...))
	}
}

// at has something happen at a time, not before now.
func (w *world) at(t clock.Time, do func()) {
	w.asked++
	w.push(event{max(t, w.now), w.asked, do})
}

// after has something happen a span from now.
func (w *world) after(span clock.Time, do func()) { w.at(w.now+span, do) }

// run lets everything happen up to a time, or until it is over.
func (w *world) run(until clock.Time) {
	for !w.over && len(w.queue) > 0 && w.queue[0].at <= until {
		e := w.pop()
		w.now = e.at
		w.mix(uint64(e.at), e.seq)
		e.do()
	}
	if !w.over {
		w.now = max(w.now, until)
	}
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// The queue is a heap with four children to a node.

func (w *world) push(e event) {
	q := append(w.queue, e)
	i := len(q) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&q[up]) {
			break
		}
		q[i] = q[up]
		i = up
	}
	q[i] = e
	w.queue = q
}

func (w *world) pop() event {
	q := w.queue
	top, last := q[0], q[len(q)-1]
	q[len(q)-1] = event{}
	q = q[:len(q)-1]
	w.queue = q
	if len(q) == 0 {
		return top
	}
	i := 0
	for {
		least := i*4 + 1
		if least >= len(q) {
			break
		}
		for c := least + 1; c < min(i*4+5, len(q)); c++ {
			if q[c].before(&q[least]) {
				least = c
			}
		}
		if !q[least].before(&last) {
			break
		}
		q[i] = q[least]
		i = least
	}
	q[i] = last
	return top
}
