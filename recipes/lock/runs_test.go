package lock_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

var runs = flag.Int("lock.runs", 5, "how many runs with random trouble each kind of lock is given, of which a quarter have three servers; -lock.seed is the first one's seed")

// tally is what came of all runs.
type tally struct{ held, faults, struck int }

// inRuns gives a kind of lock its runs.
func inRuns(t *testing.T, run func(t *testing.T, r *trial)) {
	first := *leaseSeed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	var sum tally
	for i := range *runs {
		r := &trial{seed: first + uint64(i)}
		synctest.Test(t, func(t *testing.T) {
			r.t = t
			servers := 1
			if r.seed%4 == 0 {
				servers = 3
			}
			r.ensemble = ensembletest.Start(t, servers, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second}})
			run(t, r)
		})
		if t.Failed() {
			t.Fatalf("seed %d", r.seed)
		}
		sum.held += r.held
		sum.faults += r.faults
		sum.struck += r.struck
	}
	t.Logf("held %d times, with %d faults, of which %d took effect on a frame", sum.held, sum.faults, sum.struck)
	require.Greater(t, sum.held, 20**runs)
	require.Greater(t, sum.struck, *runs)
}

// A trial is one run: contenders with impatient users, bad cables and lost answers, and of some runs servers that fail.
type trial struct {
	t        *testing.T
	seed     uint64
	ensemble *ensembletest.Ensemble

	mu     sync.Mutex
	inside map[holding]claim // who is entitled to be
	tally
}

// A holding is a hold of whatever kind.
type holding interface {
	Context() context.Context
	Release(context.Context) error
}

// A claim is so much of each of some things.
type claim struct {
	of     []string
	weight int
}

// A contender is one client in a trial.
type contender struct {
	*trial
	*rand.Rand
	client *client.Client
	wire   *cable
	faults []*proxy.Fault
	own    int // how often it held
}

// contend runs contenders, who each take some turns in trouble, and then one without; that one must come about.
func (r *trial) contend(n, turns int, turn func(c *contender, ctx context.Context)) {
	r.inside = make(map[holding]claim)
	var all, servers sync.WaitGroup
	done := make(chan struct{})
	if len(r.ensemble.Servers()) > 1 {
		servers.Go(func() { r.troubleServers(done) })
	}
	for i := range n {
		c := &contender{trial: r, Rand: rand.New(rand.NewPCG(r.seed, uint64(i)))}
		c.client, c.wire = connect(r.t, r.ensemble)
		all.Go(func() {
			for range turns {
				c.trouble()
				ctx, cancel := context.WithTimeout(r.t.Context(), c.upTo(time.Minute))
				turn(c, ctx)
				cancel()
			}
			c.heal()
			ctx, cancel := context.WithTimeout(r.t.Context(), time.Hour)
			defer cancel()
			for before := c.own; c.own == before && !r.t.Failed(); {
				turn(c, ctx)
				if ctx.Err() != nil {
					r.t.Errorf("seed %d: number %d starves", r.seed, i)
				}
			}
		})
	}
	all.Wait()
	close(done)
	servers.Wait()
	time.Sleep(30 * time.Second) // sessions that were lost are over
	require.NoError(r.t, r.ensemble.WaitCaughtUp(r.t.Context()))
}

// troubleServers lets servers fail, one at a time, until done, and leaves them well.
func (r *trial) troubleServers(done <-chan struct{}) {
	rng := rand.New(rand.NewPCG(r.seed, 99))
	wait := func(d time.Duration) bool {
		select {
		case <-done:
			return false
		case <-time.After(time.Duration(rng.Int64N(int64(d)))):
			return true
		}
	}
	for wait(20 * time.Second) {
		s := r.ensemble.Servers()[rng.IntN(3)]
		if l := r.ensemble.Leader(); l != nil && rng.IntN(2) == 0 {
			s = l
		}
		mend := r.ensemble.Heal
		switch rng.IntN(4) {
		case 0:
			s.Kill()
			mend = func() {
				if err := s.Restart(r.t.Context()); err != nil {
					r.t.Errorf("seed %d: %v", r.seed, err)
				}
			}
		case 1:
			s.Pause()
			mend = s.Resume
		case 2:
			r.ensemble.Partition([]int{s.ID()})
		case 3:
			r.ensemble.CutFromLeader(s.ID())
		}
		r.mu.Lock()
		r.faults++
		r.mu.Unlock()
		wait(30 * time.Second)
		mend()
	}
}

func (c *contender) upTo(d time.Duration) time.Duration { return time.Duration(c.Int64N(int64(d))) }

// trouble begins one thing that goes wrong, or none.
func (c *contender) trouble() {
	c.heal()
	ops := []proxy.Op{proxy.OpCreate, proxy.OpDelete, proxy.OpExists, proxy.OpGetData, proxy.OpGetChildren, proxy.OpMulti, proxy.OpSetData}
	op := ops[c.IntN(len(ops))]
	m := []proxy.Match{proxy.Reply(op, ""), proxy.Request(op, ""), proxy.Event("")}[c.IntN(3)].Skip(c.IntN(3)).Times(1 + c.IntN(2))
	p := c.wire.p
	switch c.IntN(7) {
	case 0: // a break, or an outage that may cost the session
		out := c.IntN(3) == 0
		time.AfterFunc(c.upTo(time.Second), func() { c.wire.set(out) })
		time.AfterFunc(time.Second+c.upTo(14*time.Second), c.wire.plug)
	case 1, 2:
		c.faults = append(c.faults, p.Lose(m))
	case 3:
		c.faults = append(c.faults, p.Cut(m))
	case 4:
		f := p.Freeze(m)
		c.faults = append(c.faults, f)
		time.AfterFunc(c.upTo(8*time.Second), f.End)
	case 5: // a slow way
		c.faults = append(c.faults, p.Delay(proxy.Reply(proxy.OpAll, "").Always(), c.upTo(300*time.Millisecond)))
	default:
		return
	}
	c.trial.mu.Lock()
	defer c.trial.mu.Unlock()
	c.trial.faults++
}

// heal ends what was begun.
func (c *contender) heal() {
	for _, f := range c.faults {
		f.End()
		if f.Strikes() > 0 {
			c.trial.mu.Lock()
			c.struck++
			c.trial.mu.Unlock()
		}
	}
	c.faults = nil
}

// refused tells whether an attempt came to nothing, and complains if its time was not over.
func (c *contender) refused(err error) bool {
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		c.t.Errorf("seed %d: %v", c.seed, err)
	}
	return err != nil
}

// enter lets a hold in with what it claims; of each thing there is room for some. Whoever is in and would be too much must have been
// told that it holds no more: by the end of its context, and not because it asks. It is false if the newcomer has been told so itself.
func (c *contender) enter(h holding, room, weight int, of ...string) bool {
	c.trial.mu.Lock()
	defer c.trial.mu.Unlock()
	if h.Context().Err() != nil {
		return false
	}
	for _, thing := range of {
		sum := weight
		for other, claim := range c.inside {
			select {
			case <-other.Context().Done():
			default:
				if slices.Contains(claim.of, thing) {
					sum += claim.weight
				}
			}
		}
		if sum > room {
			c.t.Errorf("seed %d: %d of %s held where there is room for %d", c.seed, sum, thing, room)
		}
	}
	c.inside[h] = claim{of, weight}
	c.held++
	c.own++
	return true
}

func (c *contender) leave(h holding) {
	c.trial.mu.Lock()
	defer c.trial.mu.Unlock()
	delete(c.inside, h)
}

// work is what is done while something is held.
func (c *contender) work(h holding) {
	work := time.NewTimer(c.upTo(500 * time.Millisecond))
	defer work.Stop()
	select {
	case <-work.C:
	case <-h.Context().Done():
	}
}

// mustRelease releases a hold, if need be after the release was given up.
func (c *contender) mustRelease(h holding) {
	if c.IntN(4) == 0 {
		ctx, cancel := context.WithTimeout(c.t.Context(), c.upTo(10*time.Millisecond))
		defer cancel()
		if err := h.Release(ctx); err != nil && !errors.Is(err, client.ErrUnknown) {
			c.t.Errorf("seed %d: %v", c.seed, err)
		}
	}
	if err := h.Release(c.t.Context()); err != nil {
		c.t.Errorf("seed %d: %v", c.seed, err)
	}
}

// Readers, writers, and writers that become readers: never a writer beside anybody, and first come, first served.
func TestReadersAndWritersInTrouble(t *testing.T) {
	inRuns(t, func(t *testing.T, r *trial) {
		const all = 100 // what a writer takes
		var written, seen int64
		r.contend(5, 15, func(c *contender, ctx context.Context) {
			m := lock.NewRWMutex(c.client, path, c.options())
			acquire, weight := m.RLock, 1
			if c.IntN(2) == 0 {
				acquire, weight = m.Lock, all
			}
			h, err := acquire(ctx)
			if c.refused(err) {
				return
			}
			defer c.mustRelease(h)
			if !c.enter(h, all, weight, path) {
				return
			}
			defer c.leave(h)
			c.trial.mu.Lock()
			if h.Token() <= written || weight == all && h.Token() <= seen {
				t.Errorf("seed %d: token %d after %d written, %d read", c.seed, h.Token(), written, seen)
			}
			seen = max(seen, h.Token())
			if weight == all {
				written = h.Token()
			}
			c.trial.mu.Unlock()
			if again, err := m.RLock(h.Context()); err == nil {
				c.work(again)
				c.mustRelease(again)
			} else if h.Context().Err() == nil {
				t.Errorf("seed %d: %v", c.seed, err)
			}
			c.work(h)
			if weight == all && c.IntN(2) == 0 {
				c.trial.mu.Lock()
				c.inside[h] = claim{[]string{path}, 1}
				c.trial.mu.Unlock()
				ctx, cancel := context.WithTimeout(t.Context(), c.upTo(2*time.Second))
				defer cancel()
				err := h.Downgrade(ctx)
				if err != nil && h.Context().Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("seed %d: %v", c.seed, err)
				}
				c.work(h)
			}
		})
		line, err := lock.NewRWMutex(r.ensemble.Connect(t), path, nil).Line(t.Context())
		require.NoError(t, err)
		require.Empty(t, line, fmt.Sprint("seed ", r.seed))
	})
}

// Holders that hold once more, are asked to let go and agree or refuse, are stuck, or die: never two, and behind one that did not release
// nobody for the delay; in the end no node, no mark and no watch.
func TestMutexInTrouble(t *testing.T) {
	inRuns(t, func(t *testing.T, r *trial) {
		const delay = 3 * time.Second
		var last int64
		var lost time.Time // when the last hold ended that was not released
		r.contend(5, 15, func(c *contender, ctx context.Context) {
			opts := c.options()
			opts.Delay = delay
			m := lock.NewMutex(c.client, path, opts)
			if c.IntN(4) == 0 {
				c.revoke(ctx, m)
			}
			acquire := m.Lock
			try := c.IntN(4) == 0
			if try {
				acquire = m.TryLock
			}
			h, err := acquire(ctx)
			if try && (errors.Is(err, lock.ErrHeld) || errors.Is(err, client.ErrSessionExpired)) || c.refused(err) {
				return
			}
			context.AfterFunc(h.Context(), func() { // it ends with the hold
				if context.Cause(h.Context()) != lock.ErrReleased {
					r.mu.Lock()
					defer r.mu.Unlock()
					lost = time.Now()
				}
			})
			defer c.mustRelease(h)
			if !c.enter(h, 1, 1, path) {
				return
			}
			defer c.leave(h)
			r.mu.Lock()
			if free := time.Since(lost); free < delay {
				t.Errorf("seed %d: held %v behind one that was lost", c.seed, free)
			}
			if h.Token() <= last {
				t.Errorf("seed %d: token %d after %d", c.seed, h.Token(), last)
			}
			last = h.Token()
			r.mu.Unlock()
			if again, err := m.Lock(h.Context()); err == nil {
				c.workUnlessAsked(again)
				c.mustRelease(again)
			} else if h.Context().Err() == nil {
				t.Errorf("seed %d: %v", c.seed, err)
			}
			c.workUnlessAsked(h)
		})
		c := r.ensemble.Connect(t)
		state, err := lock.NewMutex(c, path, nil).Inspect(t.Context())
		require.NoError(t, err)
		require.Zero(t, state, fmt.Sprint("seed ", r.seed))
		m := lock.NewMutex(c, path, &lock.Options{Delay: delay})
		h, err := m.Lock(t.Context())
		require.NoError(t, err)
		require.NoError(t, h.Release(t.Context()))
		mustBeMarked(t, c, false)
		require.Empty(t, r.ensemble.Watches(), fmt.Sprint("seed ", r.seed))
	})
}

// options let a lock be held again, and sometimes not for long.
func (c *contender) options() *lock.Options {
	opts := &lock.Options{Reentrant: true}
	if c.IntN(3) == 0 {
		opts.MaxHold = c.upTo(time.Second) + 1
	}
	return opts
}

// revoke asks whoever is in the line to let go, and does not mind what comes of it.
func (c *contender) revoke(ctx context.Context, m *lock.Mutex) {
	state, err := m.Inspect(ctx)
	if c.refused(err) {
		return
	}
	for _, one := range append(state.Holders, state.Waiters...) {
		ctx, cancel := context.WithTimeout(ctx, c.upTo(time.Second))
		err := lock.Revoke(ctx, c.client, one.Path)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, lock.ErrRefused) {
			c.t.Errorf("seed %d: %v", c.seed, err)
		}
	}
}

// workUnlessAsked is what is done while something is held, until somebody asks, or longer.
func (c *contender) workUnlessAsked(h *lock.Hold) {
	work := time.NewTimer(c.upTo(500 * time.Millisecond))
	defer work.Stop()
	select {
	case <-work.C:
	case <-h.Context().Done():
	case <-h.Revoked():
		if c.IntN(2) == 0 {
			ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
			defer cancel()
			err := h.Refuse(ctx)
			if err != nil && h.Context().Err() == nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, client.ErrUnknown) {
				c.t.Errorf("seed %d: %v", c.seed, err)
			}
			c.work(h)
		}
	}
}
