package choose

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
)

// Strategy chooses one of several candidates for each request. It is called by many goroutines at once, and must not wait.
type Strategy interface {
	// Choose returns the number of a candidate, from 0.
	Choose(c *Candidates) int
}

// RoundRobin chooses one after the other, and begins anywhere.
func RoundRobin() Strategy {
	s := &roundRobin{}
	s.next.Store(rand.Uint64())
	return s
}

type roundRobin struct{ next atomic.Uint64 }

func (s *roundRobin) Choose(c *Candidates) int { return int(s.next.Add(1) % uint64(len(c.slots))) }

// Random chooses anyone, each as often as each other.
func Random() Strategy { return random{} }

type random struct{}

func (random) Choose(c *Candidates) int { return rand.IntN(len(c.slots)) }

// Weighted chooses anyone, each as often as its weight says.
func Weighted() Strategy { return weighted{} }

type weighted struct{}

func (weighted) Choose(c *Candidates) int {
	r := rand.Uint64()
	i := int((r >> 32) * uint64(len(c.slots)) >> 32)
	if c.keep == nil || uint32(r) <= c.keep[i] {
		return i
	}
	return int(c.alias[i])
}

// LeastOutstanding chooses who has the fewest requests in relation to its weight that are not done yet. It looks at all of them. While an instance
// is warming, which has had none before and would get all, it gets of the requests what it may have, by chance.
func LeastOutstanding() Strategy { return leastOutstanding{} }

type leastOutstanding struct{}

func (leastOutstanding) Choose(c *Candidates) int {
	n := len(c.slots)
	from := rand.IntN(n) // so that of equals it is not always the same
	best, least := from, math.Inf(1)
	for i := range n {
		j := from + i
		if j >= n {
			j -= n
		}
		load := c.load(j)
		if c.parts != nil || c.slots[j].mode.Load() != fit {
			load = c.allotted(j)
		}
		if load < least {
			best, least = j, load
		}
	}
	return best
}

// load is how busy a candidate would be with one more request.
func (c *Candidates) load(i int) float64 { return float64(c.Outstanding(i)+1) / c.shares[i] }

// burden is its load, and without end if it is half-open and tried already.
func (c *Candidates) burden(i int) float64 {
	s := c.slots[i]
	if s.mode.Load() == halfOpen && c.underWay(s.probed.Load(), c.clock.since()) {
		return math.Inf(1)
	}
	return c.load(i)
}

// allotted is its load in relation to what it is to have, without end if this request is not for it.
func (c *Candidates) allotted(i int) float64 {
	s, share := c.slots[i], c.shares[i]*c.part(i)
	load := c.burden(i) / c.part(i)
	if s.mode.Load() != warming {
		return load
	}
	if rand.Float64()*c.total >= share*c.warmth(s) {
		return math.Inf(1)
	}
	return load - 1/share // of equals it is the one
}

// TwoChoices takes any two, and chooses the one that has fewer requests in relation to its weight that are not done yet: nearly as good as
// LeastOutstanding among many, and much better when several callers do it, who do not know of each other's requests.
func TwoChoices() Strategy { return twoChoices{} }

type twoChoices struct{}

func (twoChoices) Choose(c *Candidates) int {
	n := len(c.slots)
	if n == 1 {
		return 0
	}
	r := rand.Uint64()
	a := int((r >> 32) * uint64(n) >> 32)
	b := int((r & 0xffffffff) * uint64(n-1) >> 32)
	if b >= a {
		b++
	}
	if c.burden(a) > c.burden(b) {
		return b
	}
	return a
}

// Sticky chooses one, and stays with it as long as it is a candidate.
func Sticky() Strategy { return &sticky{} }

type sticky struct{ last atomic.Pointer[stuck] }

// stuck is whom it has chosen, and its number among some candidates.
type stuck struct {
	slot *slot
	of   *Candidates
	i    int
}

func (s *sticky) Choose(c *Candidates) int {
	last := s.last.Load()
	if last != nil && last.of == c {
		return last.i
	}
	next := &stuck{of: c, i: -1}
	if last != nil {
		next.i = slices.Index(c.slots, last.slot)
	}
	if next.i < 0 {
		next.i = rand.IntN(len(c.slots))
	}
	next.slot = c.slots[next.i]
	if !s.last.CompareAndSwap(last, next) { // somebody else has just chosen
		return s.Choose(c)
	}
	return next.i
}
