package lock_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

var runs = flag.Int("lock.runs", 5, "how many runs with random trouble each kind of lock is given, of which a quarter have three servers; -lock.seed is the first one's seed")

// tally is what came of all runs.
type tally struct {
	held   int
	struck map[string]int // by what, and how often
}

// inRuns gives a kind of lock its runs.
func inRuns(t *testing.T, run func(t *testing.T, r *trial)) {
	first := *leaseSeed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	sum := tally{struck: map[string]int{}}
	faults := 0
	for i := range *runs {
		r := &trial{seed: first + uint64(i), dirs: []string{path}}
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
		for what, n := range r.struck {
			sum.struck[what] += n
			faults += n
		}
	}
	t.Logf("held %d times, with %d faults that took effect: %v", sum.held, faults, sum.struck)
	require.Greater(t, sum.held, 20**runs)
	require.Greater(t, faults, 5**runs)
}

// A trial is one run: contenders with impatient users, among all that can break.
type trial struct {
	t        *testing.T
	seed     uint64
	ensemble *ensembletest.Ensemble
	dirs     []string // of the lock

	mu     sync.Mutex
	inside map[holding]claim // who is entitled to be
	forced map[any]bool      // sessions that were ended, and ids of nodes that were removed, by somebody: nobody can know before
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
	own    int // how often it held
}

// contend runs contenders, who each take some turns in trouble, and then one without; that one must come about.
func (r *trial) contend(n, turns int, turn func(c *contender, ctx context.Context)) {
	r.inside, r.forced = make(map[holding]claim), make(map[any]bool)
	var all, turned sync.WaitGroup
	var clients []*client.Client
	calm := make(chan struct{})
	turned.Add(n)
	for i := range n {
		c := &contender{trial: r, Rand: rand.New(rand.NewPCG(r.seed, uint64(i))), client: r.ensemble.Connect(r.t)}
		clients = append(clients, c.client)
		all.Go(func() {
			for range turns {
				ctx, cancel := context.WithTimeout(r.t.Context(), c.upTo(time.Minute))
				turn(c, ctx)
				cancel()
			}
			turned.Done()
			<-calm
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
	done := make(chan struct{})
	go func() { // ends with the turns, or the test
		turned.Wait()
		close(done)
	}()
	r.trouble(clients, done)
	r.mu.Lock()     // functions behind the ends of holds look at it
	clear(r.forced) // nobody holds anything: whoever was to be ended by force, and was not, may go on
	r.mu.Unlock()
	close(calm)
	all.Wait()
	time.Sleep(30 * time.Second) // sessions that were lost are over
	require.NoError(r.t, r.ensemble.WaitCaughtUp(r.t.Context()))
}

// trouble breaks things until done, and leaves all well.
func (r *trial) trouble(clients []*client.Client, done <-chan struct{}) {
	rng := rand.New(rand.NewPCG(r.seed, 99))
	admin := r.ensemble.Connect(r.t)
	maker := trouble.New(r.ensemble, rng)
	dir := func() string { return r.dirs[rng.IntN(len(r.dirs))] }
	maker.Also("foreign child", func(ctx context.Context) bool {
		foreign := dir() + "/_c_foreign"
		_, err := admin.Create(ctx, foreign, nil, &client.CreateOptions{Mode: client.Ephemeral})
		if errors.Is(err, client.ErrNodeExists) { // else no directory would ever be swept
			err = admin.Delete(ctx, foreign, client.AnyVersion)
		}
		return err == nil
	})
	maker.Also("removed", func(ctx context.Context) bool {
		in := dir()
		names, _, err := admin.Children(ctx, in)
		if err != nil || len(names) == 0 {
			return false
		}
		name := names[rng.IntN(len(names))]
		r.force(idOf(name))
		return admin.Delete(ctx, in+"/"+name, client.AnyVersion) == nil
	})
	maker.Also("expired", func(ctx context.Context) bool {
		id := clients[rng.IntN(len(clients))].Session().ID()
		r.force(id)
		return r.ensemble.ExpireSession(ctx, id) == nil
	})
	for quiet := false; !quiet; {
		maker.Strike(clients[rng.IntN(len(clients))])
		select {
		case <-done:
			quiet = true
		case <-time.After(time.Duration(rng.Int64N(int64(4 * time.Second)))):
		}
	}
	require.NoError(r.t, maker.End(r.t.Context()), fmt.Sprint("seed ", r.seed))
	time.Sleep(30 * time.Second) // everybody is connected again
	require.NoError(r.t, admin.Close())
	r.struck = maker.Struck()
}

// force notes whose holds are about to end without their knowledge.
func (r *trial) force(sessionOrID any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forced[sessionOrID] = true
}

// isForced tells whether somebody may have ended a hold without its knowledge. r.mu is held.
func (r *trial) isForced(h holding) bool {
	var all []*lock.Hold
	switch h := h.(type) {
	case *lock.Hold:
		all = append(all, h)
	case *lock.Holds:
		all = h.All()
	}
	return slices.ContainsFunc(all, func(h *lock.Hold) bool { return r.forced[h.Session().ID()] || r.forced[idOf(h.Path())] })
}

// idOf is what a node's name bears that stays when a writer becomes a reader.
func idOf(node string) string {
	name := strings.TrimPrefix(node[strings.LastIndexByte(node, '/')+1:], "_c_")
	return name[:min(len(name), 36)]
}

func (c *contender) upTo(d time.Duration) time.Duration { return time.Duration(c.Int64N(int64(d))) }

// mustWork complains of what has failed while something is held, and had no reason to.
func (c *contender) mustWork(h holding, err error, reasons ...error) {
	c.trial.mu.Lock()
	defer c.trial.mu.Unlock()
	if err == nil || h.Context().Err() != nil || c.isForced(h) || slices.ContainsFunc(reasons, func(r error) bool { return errors.Is(err, r) }) {
		return
	}
	c.t.Errorf("seed %d: %v", c.seed, err)
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
	if h.Context().Err() != nil || c.isForced(h) {
		return false
	}
	for _, thing := range of {
		sum := weight
		for other, claim := range c.inside {
			select {
			case <-other.Context().Done():
			default:
				if slices.Contains(claim.of, thing) && !c.isForced(other) {
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

// task is how long work takes at most: mostly a moment, sometimes so long that the session may end meanwhile.
func (c *contender) task() time.Duration {
	if c.IntN(8) == 0 {
		return 20 * time.Second
	}
	return 500 * time.Millisecond
}

// work is what is done while something is held.
func (c *contender) work(h holding) {
	work := time.NewTimer(c.upTo(c.task()))
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
			again, err := m.RLock(h.Context())
			c.mustWork(h, err)
			if err == nil {
				c.work(again)
				c.mustRelease(again)
			}
			c.work(h)
			if weight == all && c.IntN(2) == 0 {
				c.trial.mu.Lock()
				c.inside[h] = claim{[]string{path}, 1}
				c.trial.mu.Unlock()
				ctx, cancel := context.WithTimeout(t.Context(), c.upTo(2*time.Second))
				defer cancel()
				c.mustWork(h, h.Downgrade(ctx), context.DeadlineExceeded)
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
			gaveUp := errors.Is(err, lock.ErrHeld) || errors.Is(err, client.ErrSessionExpired) || errors.Is(err, lock.ErrRemoved)
			if try && gaveUp || c.refused(err) {
				return
			}
			context.AfterFunc(h.Context(), func() { // it ends with the hold
				r.mu.Lock()
				defer r.mu.Unlock()
				if context.Cause(h.Context()) != lock.ErrReleased && !r.isForced(h) {
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
			again, err := m.Lock(h.Context())
			c.mustWork(h, err)
			if err == nil {
				c.workUnlessAsked(again)
				c.mustRelease(again)
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
	work := time.NewTimer(c.upTo(c.task()))
	defer work.Stop()
	select {
	case <-work.C:
	case <-h.Context().Done():
	case <-h.Revoked():
		if c.IntN(2) == 0 {
			ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
			defer cancel()
			c.mustWork(h, h.Refuse(ctx), context.DeadlineExceeded, client.ErrUnknown)
			c.work(h)
		}
	}
}
