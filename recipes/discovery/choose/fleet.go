package choose

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/bellwether-zk/bellwether/recipes/discovery"
)

// work works out who the candidates are, and returns when to do so again if nothing happens; 0: never. The caller holds mu.
func (c *Chooser[T]) work(all []*discovery.Entry[T], first bool) (deadline int64) {
	c.take(all, first)
	now := c.clock.since()
	for _, s := range c.slots {
		if s.mode.Load() != ejected {
			continue
		}
		if s.until <= now {
			s.probed.Store(0)
			s.mode.Store(halfOpen)
		} else if deadline == 0 || s.until < deadline {
			deadline = s.until
		}
	}
	f := &fleet[T]{all: all, Candidates: Candidates{opts: &c.opts, clock: c.clock}}
	f.entries = c.candidates(all)
	if 0 < c.opts.Subset && c.opts.Subset < len(f.entries) {
		f.entries, f.parts = c.subset(f.entries)
	}
	for _, e := range f.entries {
		f.slots = append(f.slots, c.slots[e.Path])
		f.shares = append(f.shares, float64(e.Share()))
	}
	f.weigh()
	c.now.Store(f)
	return deadline
}

// take makes the slots those of all instances. One that was started anew, or is somewhere else, is another one.
func (c *Chooser[T]) take(all []*discovery.Entry[T], first bool) {
	there := make(map[string]bool, len(all))
	for _, e := range all {
		there[e.Path] = true
		s := c.slots[e.Path]
		where := place{e.Address, e.Port, e.TLSPort}
		if s != nil && s.registered.Equal(e.Registered) && s.where == where {
			continue
		}
		c.drop(e.Path)
		s = &slot{id: e.ID, hash: hash(e.Path), registered: e.Registered, where: where, window: c.clock.since()}
		if !first {
			c.begin(s)
		}
		c.slots[e.Path] = s
	}
	for path := range c.slots {
		if !there[path] {
			c.drop(path)
		}
	}
}

// drop forgets an instance, but for the requests that it was chosen for. The caller holds mu.
func (c *Chooser[T]) drop(path string) {
	if s := c.slots[path]; s != nil {
		c.gone += s.picked.Load()
		delete(c.slots, path)
	}
}

// candidates are those who are fit, or the least bad. The caller holds mu.
func (c *Chooser[T]) candidates(all []*discovery.Entry[T]) []*discovery.Entry[T] {
	later := c.opts.Query
	later.Statuses = []discovery.Status{discovery.Starting, discovery.Draining}
	var meant, well, resort []*discovery.Entry[T]
	for _, e := range all {
		switch {
		case e.Matches(c.opts.Query):
			meant = append(meant, e)
			if c.slots[e.Path].mode.Load() != ejected {
				well = append(well, e)
			}
		case e.Matches(later):
			resort = append(resort, e)
		}
	}
	switch {
	case len(well) > 0:
		return c.near(well, meant)
	case len(meant) > 0:
		return meant
	default:
		return resort
	}
}

// near are those who are in the own zone, if there are enough.
func (c *Chooser[T]) near(well, meant []*discovery.Entry[T]) []*discovery.Entry[T] {
	if c.opts.Zone == "" {
		return well
	}
	here := func(e *discovery.Entry[T]) bool { return e.Zone == c.opts.Zone }
	near := slices.Collect(filter(well, here))
	listed := len(slices.Collect(filter(meant, here)))
	if len(near) < c.opts.ZoneMin || 2*len(near) < listed {
		return well
	}
	return near
}

func filter[E any](all []E, keep func(E) bool) func(func(E) bool) {
	return func(yield func(E) bool) {
		for _, e := range all {
			if keep(e) && !yield(e) {
				return
			}
		}
	}
}

// subset cuts the caller's part out of the candidates, and tells how much of each is the caller's, nil if it is the whole.
func (c *Chooser[T]) subset(all []*discovery.Entry[T]) (part []*discovery.Entry[T], parts []float64) {
	if c.opts.Of > 1 {
		return c.aperture(all)
	}
	self := hash(c.opts.Self)
	part = slices.Clone(all)
	slices.SortFunc(part, func(a, b *discovery.Entry[T]) int {
		return cmp.Or(cmp.Compare(mix(self, c.slots[b.Path].hash), mix(self, c.slots[a.Path].hash)), cmp.Compare(a.Path, b.Path))
	})
	part = part[:c.opts.Subset]
	slices.SortFunc(part, func(a, b *discovery.Entry[T]) int { return cmp.Compare(a.Path, b.Path) })
	return part, nil
}

// aperture lays the instances and the callers on one ring. An instance has an n-th of it; a caller has as many callers' places as it takes to
// have Subset instances, beginning with its own; so each point of the ring is in the parts of equally many callers.
func (c *Chooser[T]) aperture(all []*discovery.Entry[T]) (part []*discovery.Entry[T], parts []float64) {
	ring := slices.Clone(all)
	slices.SortFunc(ring, func(a, b *discovery.Entry[T]) int {
		return cmp.Or(cmp.Compare(c.slots[a.Path].hash, c.slots[b.Path].hash), cmp.Compare(a.Path, b.Path))
	})
	n, of := float64(len(ring)), float64(c.opts.Of)
	width := min(math.Ceil(float64(c.opts.Subset)*of/n), of) / of * n // in instances
	from := float64(c.opts.Index%c.opts.Of) / of * n
	for at := math.Floor(from); at < from+width && len(part) < len(ring); at++ {
		overlap := min(at+1, from+width) - max(at, from)
		if overlap > 1e-9 {
			part = append(part, ring[int(at)%len(ring)])
			parts = append(parts, overlap)
		}
	}
	return part, parts
}

// Candidates are the instances that one is to be chosen of, at least one. They do not change while one is chosen, and those of another time are
// others.
type Candidates struct {
	opts   *Options
	clock  clock
	slots  []*slot
	shares []float64
	total  float64   // of the shares, as far as they are the caller's
	parts  []float64 // of each that is the caller's; nil: all
	alias  []uint32  // with keep: who is chosen in whose place; nil if all shares are the same
	keep   []uint32  // out of 2^32 times it stays
}

// Len returns how many there are.
func (c *Candidates) Len() int { return len(c.slots) }

// ID returns the id of one of them.
func (c *Candidates) ID(i int) string { return c.slots[i].id }

// Share returns its weight, at least 1.
func (c *Candidates) Share(i int) float64 { return c.shares[i] }

// Outstanding returns how many requests it has from this chooser that are not done yet.
func (c *Candidates) Outstanding(i int) int64 { return c.slots[i].outstanding() }

// part is how much of a candidate is the caller's.
func (c *Candidates) part(i int) float64 {
	if c.parts == nil {
		return 1
	}
	return c.parts[i]
}

// warmth is the part of its share that an instance has which is warming. With the whole it is like the others.
func (c *Candidates) warmth(s *slot) float64 {
	const least = 0.1
	warm := float64(c.clock.since()-s.born.Load()) / float64(c.opts.SlowStart)
	if warm >= 1 {
		s.mode.CompareAndSwap(warming, fit)
	}
	return max(warm, least)
}

// underWay tells whether the request that decides about an instance is, which began then, if one did. One that is never done is given up.
func (c *Candidates) underWay(began, now int64) bool {
	return began != 0 && now-began < int64(c.opts.Eject)
}

// weigh prepares for one to be chosen by weight in the same time whatever their number (Vose's alias method).
func (c *Candidates) weigh() {
	n, sum := len(c.shares), 0.0
	for i, share := range c.shares {
		sum += share
		c.total += share * c.part(i)
	}
	if n == 0 || slices.Max(c.shares) == slices.Min(c.shares) {
		return
	}
	c.alias, c.keep = make([]uint32, n), make([]uint32, n)
	scaled := make([]float64, n)
	var small, large []uint32
	for i, share := range c.shares {
		scaled[i] = share * float64(n) / sum
		c.alias[i], c.keep[i] = uint32(i), math.MaxUint32
		if scaled[i] < 1 {
			small = append(small, uint32(i))
		} else {
			large = append(large, uint32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		c.alias[s], c.keep[s] = l, uint32(scaled[s]*math.MaxUint32)
		if scaled[l] -= 1 - scaled[s]; scaled[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
}

// first returns who is the first for a key, of those who may, and -1 if nobody may.
func (c *Candidates) first(key uint64, may func(*slot) bool) int {
	best, most := -1, math.Inf(-1)
	for i, s := range c.slots {
		if may != nil && !may(s) {
			continue
		}
		u := (float64(mix(key, s.hash)>>11) + 0.5) / (1 << 53) // in (0, 1)
		if score := -c.shares[i] / math.Log(u); score > most {
			best, most = i, score
		}
	}
	return best
}

// hash is the same for everybody (FNV-1a, mixed).
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h, 0)
}

// mix makes one number of two, whose bits depend on all of theirs (the end of SplitMix64).
func mix(a, b uint64) uint64 {
	x := a ^ b*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func randomName() string { return strconv.FormatUint(rand.Uint64(), 36) }
