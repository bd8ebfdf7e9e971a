package choose

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// ErrNone tells that there is no instance that could be chosen.
var ErrNone = errors.New("no instance to choose")

// Options say who is chosen from. The zero value works, and nil means the zero value.
type Options struct {
	// Query is what an instance must be. Statuses are taken for those that requests are meant for; others are the last resort. Default: any
	// that is up.
	Query discovery.Query

	// Zone is where the caller is. Instances of that zone are chosen as long as at least ZoneMin of them, and half of those that are listed
	// there, are fit; else the requests spill over to all zones. Default: zones do not matter. ZoneMin's default: 1.
	Zone    string
	ZoneMin int

	// Subset is how many instances requests are sent to, at least, if there are more. Which ones depends on Self, a name of the caller that is
	// not another's, so that different callers have different parts (rendezvous hashing: who comes or goes changes one of a part at most).
	// Where each caller knows its number Index among Of callers, the parts are cut so that each instance gets the same (deterministic
	// aperture). Default: all; Self: a random name.
	Subset    int
	Self      string
	Index, Of int

	// SlowStart is how long an instance that has come, or was ejected, takes to get its full share: it begins with a tenth, and every request
	// that it is not to have is chosen for again. Those that are there at first are taken for old. Default: it gets its share at once.
	SlowStart time.Duration

	// Failures is after how many failed requests an instance is ejected: in a row, or within Window if they are at least half of all. A
	// negative number ejects nobody. Default: 3 within 30 s.
	Failures int
	Window   time.Duration
	// Eject is how long an instance is ejected the first time; each time it fails again when it is tried that doubles, up to MaxEject. Default:
	// 10 s and 5 min.
	Eject, MaxEject time.Duration
	// MaxEjected is the part of the instances that may be ejected at once. Default: a half.
	MaxEjected float64
}

// Source is where instances come from. A *discovery.Service is one. What is chosen from a source that also has its methods Name and Client is seen
// where the client is.
type Source[T any] interface {
	// Snapshot returns all instances, which are not changed any more, and a channel that is closed when there are others. An instance that is
	// the same has the same address.
	Snapshot() (instances []*discovery.Entry[T], changed <-chan struct{})
}

// Chooser chooses instances of a service, from New until Close. Its methods may be called by many goroutines.
type Chooser[T any] struct {
	source   Source[T]
	strategy Strategy
	careful  bool // the strategy itself sees to it that who is to have less gets less
	opts     Options
	clock    clock
	life     context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup
	now      atomic.Pointer[fleet[T]] // written with mu

	none   atomic.Int64 // requests for which there was nobody
	kit    *telemetry.Kit
	name   string // of the service, where it is seen
	unseen func() // ends that it is seen

	mu    sync.Mutex
	slots map[string]*slot // by path
	gone  int64            // requests for which one was chosen that is not there any more
	wake  chan struct{}    // has a token when there is another deadline
}

// fleet is who can be chosen at a moment. It does not change any more.
type fleet[T any] struct {
	Candidates
	entries []*discovery.Entry[T] // of the candidates
	all     []*discovery.Entry[T]
}

// Pick is an instance that was chosen. The zero Pick is none.
type Pick[T any] struct {
	Entry *discovery.Entry[T] // belongs to everybody and must not be changed

	chooser *Chooser[T]
	slot    *slot
	probe   bool // it decides about an instance that was ejected
}

// New makes a chooser of what a source has now and later. A Strategy belongs to one chooser.
func New[T any](source Source[T], strategy Strategy, opts *Options) *Chooser[T] {
	c := &Chooser[T]{source: source, strategy: strategy, clock: clock{time.Now()}, slots: make(map[string]*slot), wake: make(chan struct{}, 1)}
	_, c.careful = strategy.(leastOutstanding)
	if opts != nil {
		c.opts = *opts
	}
	o := &c.opts
	o.ZoneMin = max(o.ZoneMin, 1)
	o.Self = cmp.Or(o.Self, randomName())
	o.Failures = cmp.Or(o.Failures, 3)
	o.Window = cmp.Or(o.Window, 30*time.Second)
	o.Eject = cmp.Or(o.Eject, 10*time.Second)
	o.MaxEject = max(cmp.Or(o.MaxEject, 5*time.Minute), o.Eject)
	o.MaxEjected = cmp.Or(o.MaxEjected, 0.5)
	c.life, c.cancel = context.WithCancel(context.Background())
	all, changed := source.Snapshot()
	c.mu.Lock()
	deadline := c.work(all, true)
	c.mu.Unlock()
	c.show(source)
	c.running.Go(func() { c.follow(changed, deadline) }) // ends with life
	return c
}

// Close ends the chooser, and returns when nothing of it runs. It goes on to choose from what it has known last.
func (c *Chooser[T]) Close() {
	c.unseen()
	c.cancel()
	c.running.Wait()
}

// Pick chooses an instance for a request. Done must be called with what comes of it; who does not only wants another strategy than
// LeastOutstanding and TwoChoices. It does not wait. It fails with ErrNone.
func (c *Chooser[T]) Pick() (Pick[T], error) {
	f := c.now.Load()
	if len(f.slots) == 0 {
		return c.nobody()
	}
	i := c.strategy.Choose(&f.Candidates)
	s := f.slots[i]
	if s.mode.Load() != fit || f.parts != nil {
		return c.pickWithCare(f, i), nil
	}
	s.picked.Add(1)
	return Pick[T]{Entry: f.entries[i], chooser: c, slot: s}, nil
}

// pickWithCare goes on when the first choice is one that is not to have every request: another is chosen then, a few times, and in the end
// anybody who may.
func (c *Chooser[T]) pickWithCare(f *fleet[T], i int) Pick[T] {
	const tries = 4
	for range tries {
		if p, ok := c.admit(f, i); ok {
			return p
		}
		i = c.strategy.Choose(&f.Candidates)
	}
	for j := range f.slots {
		if f.slots[(i+j)%len(f.slots)].mode.Load() != halfOpen {
			i = (i + j) % len(f.slots)
			break
		}
	}
	f.slots[i].picked.Add(1)
	return Pick[T]{Entry: f.entries[i], chooser: c, slot: f.slots[i]}
}

// admit picks a candidate, unless it has had its share.
func (c *Chooser[T]) admit(f *fleet[T], i int) (Pick[T], bool) {
	s := f.slots[i]
	p := Pick[T]{Entry: f.entries[i], chooser: c, slot: s}
	if f.parts != nil && !c.careful && rand.Float64() >= f.parts[i] {
		return p, false
	}
	switch s.mode.Load() {
	case warming:
		if !c.careful && rand.Float64() >= f.warmth(s) {
			return p, false
		}
	case halfOpen:
		at, now := s.probed.Load(), c.clock.since()
		if f.underWay(at, now) || !s.probed.CompareAndSwap(at, now) { // one at a time
			return p, false
		}
		p.probe = true
	}
	s.picked.Add(1)
	return p, true
}

// clock counts nanoseconds since a chooser began, which are never 0.
type clock struct{ start time.Time }

func (c clock) since() int64 { return int64(time.Since(c.start)) + 1 }

// PickFor chooses the instance that belongs to a key, such as the name of a user or a session: the same each time and for each caller
// with the same candidates, and when those change only keys of those that have gone, and a share for those that have come, belong
// to others (weighted rendezvous hashing). An instance that is warming has its keys at once; of keys of one that is half-open only one at a
// time comes to it, and the others come to the next one.
func (c *Chooser[T]) PickFor(key string) (Pick[T], error) {
	f := c.now.Load()
	if len(f.slots) == 0 {
		return c.nobody()
	}
	i := f.first(hash(key), nil)
	s := f.slots[i]
	if s.mode.Load() == halfOpen {
		if p, ok := c.admit(f, i); ok {
			return p, nil
		}
		if j := f.first(hash(key), func(s *slot) bool { return s.mode.Load() != halfOpen }); j >= 0 {
			i, s = j, f.slots[j]
		}
	}
	s.picked.Add(1)
	return Pick[T]{Entry: f.entries[i], chooser: c, slot: s}, nil
}

// PickOther chooses an instance for a request that was tried before, with these picks: one that it has not been at, by weight, whatever the
// strategy is, which may be one that would stay with the same. It fails with ErrNone if there is no other.
func (c *Chooser[T]) PickOther(tried ...Pick[T]) (Pick[T], error) {
	f := c.now.Load()
	key := rand.Uint64()
	other := func(s *slot) bool { return !slices.ContainsFunc(tried, func(p Pick[T]) bool { return p.slot == s }) }
	i := f.first(key, func(s *slot) bool { return s.mode.Load() != halfOpen && other(s) })
	if i < 0 {
		i = f.first(key, other) // which may be a bad one, and it is the last resort
	}
	if i < 0 {
		return Pick[T]{}, ErrNone
	}
	s := f.slots[i]
	s.picked.Add(1)
	return Pick[T]{Entry: f.entries[i], chooser: c, slot: s}, nil
}

// Done tells what came of the request: nil if the instance has done its part, and an error if it has not, or could not be reached. A request
// that was given up, context.Canceled, tells nothing about it. It is called once.
func (p Pick[T]) Done(err error) {
	if p.slot == nil {
		return
	}
	p.slot.done.Add(1)
	switch {
	case p.chooser.opts.Failures < 0:
	case err == nil:
		p.slot.requests.Add(1)
		if p.slot.inARow.Load() != 0 {
			p.slot.inARow.Store(0)
		}
		if p.probe {
			p.chooser.restore(p.slot)
		}
	case errors.Is(err, context.Canceled):
		if p.probe {
			p.slot.probed.Store(0)
			p.chooser.count(telemetry.DiscoveryProbes, "canceled")
		}
	default:
		p.chooser.failed(p.slot, p.probe)
	}
}

// The modes of an instance.
const (
	fit      uint32 = iota
	warming         // it gets its share little by little
	ejected         // it gets nothing
	halfOpen        // one request at a time decides
)

// slot is what is known of an instance, for as long as it is the same.
type slot struct {
	picked   atomic.Int64 // requests it was chosen for
	done     atomic.Int64 // of them; the others are outstanding
	mode     atomic.Uint32
	requests atomic.Int64 // that were done well, in the present window
	inARow   atomic.Int64 // failures without a success in between
	born     atomic.Int64 // when it began to warm
	probed   atomic.Int64 // when the request began that decides; 0: none has

	id   string
	hash uint64

	// With the chooser's mu.
	registered time.Time
	where      place
	failures   int64 // in the present window
	window     int64 // when it began
	until      int64 // when it is not ejected any more
	times      int   // it was ejected since it was well for long
	back       int64 // when it came back
}

// place is where an instance is reached.
type place struct {
	address       string
	port, tlsPort int
}

// outstanding is how many requests it has.
func (s *slot) outstanding() int64 {
	done := s.done.Load() // first, so that there are never fewer than none
	return s.picked.Load() - done
}

// nobody is what is chosen where there is nobody.
func (c *Chooser[T]) nobody() (Pick[T], error) {
	c.none.Add(1)
	return Pick[T]{}, ErrNone
}

// failed notes a failure.
func (c *Chooser[T]) failed(s *slot, probe bool) {
	row := s.inARow.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.since()
	if now-s.window > int64(c.opts.Window) {
		s.window, s.failures = now, 0
		s.requests.Store(0)
	}
	s.failures++
	enough := int64(c.opts.Failures)
	if probe {
		c.count(telemetry.DiscoveryProbes, "failed")
	}
	switch mode := s.mode.Load(); {
	case mode == halfOpen && !probe, mode == ejected:
		return // of a request from before
	case probe, row >= enough, s.failures >= enough && s.failures >= s.requests.Load():
		c.eject(s, now)
	}
}

// eject leaves an instance out, if not too many are already. The caller holds mu.
func (c *Chooser[T]) eject(s *slot, now int64) {
	out := 1
	for _, other := range c.slots {
		if m := other.mode.Load(); other != s && (m == ejected || m == halfOpen) {
			out++
		}
	}
	if float64(out) > c.opts.MaxEjected*float64(len(c.slots)) && s.mode.Load() != halfOpen {
		return
	}
	if s.times > 0 && s.mode.Load() != halfOpen && now-s.back > int64(c.opts.MaxEject) {
		s.times = 0
	}
	pause := float64(c.opts.Eject) * math.Pow(2, float64(s.times))
	s.until = now + int64(min(pause, float64(c.opts.MaxEject)))
	s.times = min(s.times+1, 30)
	s.mode.Store(ejected)
	c.count(telemetry.DiscoveryEjections, "")
	c.work(c.now.Load().all, false)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// restore takes an instance back that has done well when it was tried.
func (c *Chooser[T]) restore(s *slot) {
	c.count(telemetry.DiscoveryProbes, "")
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.mode.Load() != halfOpen {
		return
	}
	s.back = c.clock.since()
	s.failures, s.window = 0, s.back
	c.begin(s)
}

// begin gives an instance its share, at once or little by little. The caller holds mu.
func (c *Chooser[T]) begin(s *slot) {
	mode := fit
	if c.opts.SlowStart > 0 {
		s.born.Store(c.clock.since())
		mode = warming
	}
	s.mode.Store(mode)
}

// follow works out who the candidates are when something changes, or it is time.
func (c *Chooser[T]) follow(changed <-chan struct{}, deadline int64) {
	for {
		var timer <-chan time.Time
		if deadline != 0 {
			timer = time.After(time.Duration(deadline - c.clock.since()))
		}
		select {
		case <-changed:
		case <-timer:
		case <-c.wake:
		case <-c.life.Done():
			return
		}
		var all []*discovery.Entry[T]
		all, changed = c.source.Snapshot()
		c.mu.Lock()
		deadline = c.work(all, false)
		c.mu.Unlock()
	}
}
