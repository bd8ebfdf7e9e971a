package discovery

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/cache"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// LookupOptions say how a service is looked at. The zero value works, and nil means the zero value.
type LookupOptions struct {
	// MassLoss is the part of the instances that must go, one soon after the other, for the loss not to be believed. It is more likely that
	// they have lost the servers than that they have failed. Then those that went are kept, with [Entry.Lost], until so many are there again
	// that it is no such loss any more, or for KeepLost. Who was not up when it went, such as one that is Draining, or is followed by
	// another instance, is not lost; one instance alone is never too many. 1 keeps nothing. Default: a half.
	MassLoss float64
	// LossWindow is how soon one after the other. Default: 30 s.
	LossWindow time.Duration
	// KeepLost is how long lost instances are kept. Default: 2 min.
	KeepLost time.Duration
}

// Service is a view of a service's instances that follows what becomes of them, from Lookup until Close. To read it takes no round trip, and
// its instances no lock. Its methods may be called by many goroutines.
type Service[T any] struct {
	registry *Registry[T]
	name     string
	dir      string
	mirror   *cache.Cache
	cancel   context.CancelFunc
	running  sync.WaitGroup
	done     chan struct{}               // closed when nothing follows the nodes any more
	kit      *telemetry.Kit              // nil: nobody looks
	unseen   func()                      // ends that it is seen
	now      atomic.Pointer[snapshot[T]] // written with mu

	mu    sync.Mutex
	brake brake[T]
	alarm time.Time     // when the brake is to be asked again; zero: never
	set   chan struct{} // has a token when alarm was changed
}

// snapshot is what is known at a moment. It does not change any more.
type snapshot[T any] struct {
	all     []*Entry[T]   // by path
	stale   bool          // changes may be missed
	changed chan struct{} // closed when there is another one
}

// Lookup follows a service, which need not have instances, and returns when all there are have been read once. ctx bounds that alone. The
// view lives until Close, and ends with the client, or, if that is a view of a session, with the session.
func (r *Registry[T]) Lookup(ctx context.Context, service string, opts *LookupOptions) (*Service[T], error) {
	dir, err := r.dir(service)
	if err != nil {
		return nil, &client.Error{Op: "lookup", Path: service, Err: err}
	}
	if opts == nil {
		opts = &LookupOptions{}
	}
	s := &Service[T]{registry: r, name: service, dir: dir, done: make(chan struct{}), set: make(chan struct{}, 1)}
	s.brake = brake[T]{
		share: cmp.Or(opts.MassLoss, 0.5), window: cmp.Or(opts.LossWindow, 30*time.Second), hold: cmp.Or(opts.KeepLost, 2*time.Minute),
	}
	s.now.Store(&snapshot[T]{changed: make(chan struct{})})
	if s.mirror, err = cache.Open(ctx, r.client, dir, &cache.Options{Depth: 1}); err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.kit = telemetry.Of(r.client)
	s.unseen = s.kit.Observe(s.tell)
	ready := make(chan struct{})
	s.running.Go(func() { s.follow(life, ready) }) // ends with life, or the mirror
	s.running.Go(func() { s.watchAlarm(life) })    // ends with life
	<-ready                                        // at once: all has been read
	return s, nil
}

// Close ends the view, and returns when nothing of it runs. What was known can still be read, as stale.
func (s *Service[T]) Close() {
	s.mirror.Close() // and with it what follows it, when all was told
	s.cancel()
	s.running.Wait()
}

// Name returns the name of the service.
func (s *Service[T]) Name() string { return s.name }

// Client returns the client the view reads through.
func (s *Service[T]) Client() *client.Client { return s.registry.client }

// Done returns a channel that is closed when the view has ended, and Err tells why, as those of cache.Cache.
func (s *Service[T]) Done() <-chan struct{} { return s.done }

// Err returns nil while the view is kept up, and after that why it is not.
func (s *Service[T]) Err() error { return s.mirror.Err() }

// StaleSince returns since when changes may have been missed, and the zero time if none can have been, as far as this client knows. The last
// known instances stay through an outage, however long.
func (s *Service[T]) StaleSince() time.Time { return s.mirror.StaleSince() }

// Instances returns all instances, sorted by path, whatever their status is, with those that are lost or cannot be read. They belong to
// everybody and must not be changed.
func (s *Service[T]) Instances() []*Entry[T] { return s.now.Load().all }

// Snapshot returns Instances, and a channel that is closed when they are not what is known any more.
func (s *Service[T]) Snapshot() (instances []*Entry[T], changed <-chan struct{}) {
	now := s.now.Load()
	return now.all, now.changed
}

// Find returns the instances that match a query, sorted by path.
func (s *Service[T]) Find(q Query) []*Entry[T] {
	var found []*Entry[T]
	for _, e := range s.Instances() {
		if e.Matches(q) {
			found = append(found, e)
		}
	}
	return found
}

// Query says which instances are meant: those that all of it is true of.
type Query struct {
	Tags     []string // it has all of them
	Zone     string   // Default: any.
	Version  string   // Default: any.
	Statuses []Status // it has one of them. Default: Up.
}

func (q *Query) status(s Status) bool {
	s = cmp.Or(s, Up)
	if len(q.Statuses) == 0 {
		return s == Up
	}
	return slices.Contains(q.Statuses, s)
}

// Change is what has become of an instance, or of the view.
type Change[T any] struct {
	// Kind is Added, Changed or Removed, by path; Current, when all there is was told, and Stale, when changes may be missed from now on, are
	// about the whole view. That an instance is lost, or was registered anew, is Changed: New.Lost and New.Token tell.
	Kind     cache.Kind
	Old, New *Entry[T] // before, of Changed and Removed; now, of Added and Changed
}

// Watch yields what there is, as Added, and then what changes. A loop that is slower than the changes is told the difference to what it
// knows. Of what is told at a moment Removed comes first, and then what there is, by path. The loop ends with ctx, or with the view.
func (s *Service[T]) Watch(ctx context.Context) iter.Seq[Change[T]] {
	return func(yield func(Change[T]) bool) {
		known, first := &snapshot[T]{}, true
		for {
			now := s.now.Load()
			for _, change := range difference(known, now, first) {
				if !yield(change) {
					return
				}
			}
			known, first = now, false
			select {
			case <-now.changed:
			case <-ctx.Done():
				return
			case <-s.done:
				if s.now.Load() == now {
					return
				}
			}
		}
	}
}

// difference tells a loop that knows one snapshot of another one.
func difference[T any](known, now *snapshot[T], first bool) (changes []Change[T]) {
	var there []Change[T]
	old, rest := known.all, now.all
	for len(old) > 0 || len(rest) > 0 {
		switch {
		case len(rest) == 0 || len(old) > 0 && old[0].Path < rest[0].Path:
			changes = append(changes, Change[T]{Kind: cache.Removed, Old: old[0]})
			old = old[1:]
		case len(old) == 0 || rest[0].Path < old[0].Path:
			there = append(there, Change[T]{Kind: cache.Added, New: rest[0]})
			rest = rest[1:]
		default:
			if old[0] != rest[0] {
				there = append(there, Change[T]{Kind: cache.Changed, Old: old[0], New: rest[0]})
			}
			old, rest = old[1:], rest[1:]
		}
	}
	changes = append(changes, there...)
	if first || known.stale != now.stale {
		kind := cache.Current
		if now.stale {
			kind = cache.Stale
		}
		changes = append(changes, Change[T]{Kind: kind})
	}
	return changes
}

// follow does to the view what happens to the nodes.
func (s *Service[T]) follow(ctx context.Context, ready chan<- struct{}) {
	defer close(s.done)
	defer s.unseen()
	first := true
	for batch := range s.mirror.WatchBatches(ctx) {
		s.apply(batch)
		if first {
			close(ready)
			first = false
		}
	}
}

// apply makes the changes of one moment.
func (s *Service[T]) apply(batch []cache.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stale := s.now.Load().stale
	now := time.Now()
	for _, c := range batch {
		switch {
		case c.Kind == cache.Current || c.Kind == cache.Stale:
			stale = c.Kind == cache.Stale
		case c.Path == s.dir:
		case c.Kind == cache.Removed:
			s.brake.removed(c.Path, now)
		default:
			s.brake.added(s.read(c.New))
		}
	}
	s.settle(now, stale)
}

// read makes an entry of a node.
func (s *Service[T]) read(n cache.Node) *Entry[T] {
	e := s.registry.entry(n.Path, n.Data, n.Stat, n.Err)
	if e.Err == nil {
		return e
	}
	s.registry.log.Warn("instance cannot be read", "path", n.Path, "cause", e.Err)
	if at, known := s.brake.find(n.Path); known && s.brake.present[at].Token == e.Token {
		e.Instance = s.brake.present[at].Instance
	}
	return e
}

// settle publishes what there is. The caller holds mu.
func (s *Service[T]) settle(now time.Time, stale bool) {
	braked := s.brake.kept
	alarm := s.brake.settle(now)
	if s.brake.kept && !braked {
		s.kit.CountOf(telemetry.DiscoveryBrakes, telemetry.Labels{Service: s.name})
	}
	if !alarm.Equal(s.alarm) {
		s.alarm = alarm
		select {
		case s.set <- struct{}{}:
		default:
		}
	}
	before := s.now.Load()
	all := s.brake.listed()
	if stale == before.stale && slices.Equal(all, before.all) {
		return
	}
	s.now.Store(&snapshot[T]{all: all, stale: stale, changed: make(chan struct{})})
	close(before.changed)
}

// watchAlarm asks the brake when it is time.
func (s *Service[T]) watchAlarm(ctx context.Context) {
	for {
		s.mu.Lock()
		alarm := s.alarm
		s.mu.Unlock()
		var rings <-chan time.Time
		if !alarm.IsZero() {
			rings = time.After(time.Until(alarm))
		}
		select {
		case <-rings:
			s.mu.Lock()
			s.settle(time.Now(), s.now.Load().stale)
			s.mu.Unlock()
		case <-s.set:
		case <-ctx.Done():
			return
		}
	}
}

// tell tells what is known, for those who collect that.
func (s *Service[T]) tell(tell func(telemetry.Reading, telemetry.Labels, float64)) {
	counts := make(map[string]int)
	for _, e := range s.Instances() {
		counts[e.word()]++
	}
	for word, n := range counts {
		tell(telemetry.DiscoveryInstances, telemetry.Labels{Service: s.name, Status: word}, float64(n))
	}
	stale := 0.0
	if since := s.StaleSince(); !since.IsZero() {
		stale = time.Since(since).Seconds()
	}
	tell(telemetry.DiscoveryStaleness, telemetry.Labels{Service: s.name}, stale)
}

// word is how an instance is, in one of few words.
func (e *Entry[T]) word() string {
	switch {
	case !e.Lost.IsZero():
		return "lost"
	case e.Err != nil:
		return "unreadable"
	case e.Available():
		return string(Up)
	case e.Status == Starting, e.Status == Draining, e.Status == Down:
		return string(e.Status)
	}
	return "other"
}
