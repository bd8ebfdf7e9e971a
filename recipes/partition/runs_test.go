package partition_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
	"github.com/bellwether-zk/bellwether/recipes/group"
	"github.com/bellwether-zk/bellwether/recipes/partition"
)

var (
	runs = flag.Int("partition.runs", 1, "how many runs with random trouble there are")
	seed = flag.Uint64("partition.seed", 0, "the first run's seed; 0: a random one")
)

// tally is what came of all runs.
type tally struct {
	got, moved int
	struck     map[string]int // by what, and how often
}

// Members come, go, change their weights and restart among faults of all kinds: nobody gets a part before the context of its owner has
// ended, and where it was moved, before the owner has let go; tokens grow. When it is quiet each part is its who is to have it. Nothing is left.
func TestPartsInTrouble(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	sum := tally{struck: map[string]int{}}
	for i := range *runs {
		r := &trial{
			Rand: rand.New(rand.NewPCG(first+uint64(i), 0)), seed: first + uint64(i),
			last: map[string]*turn{}, removed: map[*partition.Part]bool{}, expired: map[int64]bool{},
		}
		synctest.Test(t, func(t *testing.T) {
			r.t = t
			r.run()
		})
		if t.Failed() {
			t.Fatalf("it was seed %d", r.seed)
		}
		sum.got += r.got
		sum.moved += r.moved
		for what, n := range r.struck {
			sum.struck[what] += n
		}
	}
	t.Logf("parts were got %d times, %d times by moving, faults that took effect: %v", sum.got, sum.moved, sum.struck)
	require.Greater(t, sum.got, 40**runs)
	require.Positive(t, sum.moved)
}

// A trial is one run.
type trial struct {
	*rand.Rand
	t    *testing.T
	seed uint64
	e    *ensembletest.Ensemble

	mu      sync.Mutex
	last    map[string]*turn         // the last owner of each part
	removed map[*partition.Part]bool // by somebody else: nobody can know before
	expired map[int64]bool           // sessions that somebody else ended, in which a part may still be got from a server that lags
	tally
}

// A turn is one call of the function.
type turn struct {
	part   *partition.Part
	id     string
	inside bool // the function has not returned
}

const movers = 5

func (r *trial) upTo(d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }

// enter checks a part that a member gets.
func (r *trial) enter(id string, part *partition.Part) *turn {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := &turn{part, id, true}
	if before := r.last[part.Name()]; before != nil {
		over := false
		select {
		case <-before.part.Context().Done():
			over = true
		default:
		}
		cause := context.Cause(before.part.Context())
		if !over && r.expired[part.Session().ID()] { // what its server did not know yet
			return now
		}
		forced := r.removed[before.part] || r.expired[before.part.Session().ID()]
		switch {
		case !over && !forced:
			r.t.Errorf("seed %d: %s gets %s while %s has it", r.seed, id, part.Name(), before.id)
		case before.inside && before.id == id:
			r.t.Errorf("seed %d: %s gets %s before it has let go", r.seed, id, part.Name())
		case before.inside && errors.Is(cause, partition.ErrMoved) && before.part.Session().Err() == nil && !forced:
			r.t.Errorf("seed %d: %s gets %s before %s has let go", r.seed, id, part.Name(), before.id)
		case part.Token() <= before.part.Token():
			r.t.Errorf("seed %d: token %d of %s after %d", r.seed, part.Token(), part.Name(), before.part.Token())
		}
		if errors.Is(cause, partition.ErrMoved) {
			r.moved++
		}
	}
	r.last[part.Name()] = now
	r.got++
	return now
}

func (r *trial) run() {
	t := r.t
	r.e = ensembletest.Start(t, 3, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second, TickTime: time.Second}})
	admin := r.e.Connect(t)
	all := make([]*client.Client, movers)
	weights := map[string]int{}
	var members sync.WaitGroup
	quiet, stop := make(chan struct{}), make(chan struct{})
	for i := range all {
		all[i] = r.e.Connect(t)
		m := &mover{trial: r, Rand: rand.New(rand.NewPCG(r.seed, uint64(1+i))), id: fmt.Sprint("m", i), weight: 1 + i%2, client: all[i]}
		weights[m.id] = m.weight
		members.Go(func() { m.live(quiet, stop) })
	}
	maker := r.trouble(admin)
	for range 25 {
		maker.Strike(all[r.IntN(len(all))])
		time.Sleep(r.upTo(8 * time.Second))
	}
	require.NoError(t, maker.End(t.Context()))
	r.struck = maker.Struck()
	time.Sleep(30 * time.Second) // everybody is connected again
	close(quiet)
	time.Sleep(3 * time.Minute)

	want, got := map[string]string{}, map[string]string{}
	for _, part := range parts {
		want[part] = partition.Choose(part, weights)
	}
	r.mu.Lock()
	for name, turn := range r.last {
		if turn.inside && turn.part.Context().Err() == nil {
			got[name] = turn.id
		}
	}
	r.mu.Unlock()
	require.Equal(t, want, got)
	for _, s := range mustInspect(t, admin) {
		require.Equal(t, want[s.Part], s.Target)
		require.Equal(t, want[s.Part], s.Owner)
		require.Equal(t, r.last[s.Part].part.Token(), s.Token)
		require.Empty(t, s.Waiting)
	}
	close(stop)
	members.Wait()
	time.Sleep(30 * time.Second) // sessions that were lost are over
	mustLeaveNothing(t, r.e, admin)
}

// A mover is one client, whose member comes and goes.
type mover struct {
	*trial
	*rand.Rand
	id     string
	weight int
	client *client.Client
}

func (m *mover) upTo(d time.Duration) time.Duration { return time.Duration(m.Int64N(int64(d))) }

// live runs a member, again and again until it is quiet, and then for good.
func (m *mover) live(quiet, stop <-chan struct{}) {
	p := partition.New(m.client, path, parts, &partition.Options{
		ID: m.id, Weight: m.weight, Settle: time.Second, Notice: time.Second, Grace: 10 * time.Second,
	})
	for stopped := false; !stopped; {
		ctx, cancel := context.WithCancelCause(m.t.Context())
		ended := make(chan error, 1)
		r := rand.New(rand.NewPCG(m.Uint64(), 1))
		go func() { // ends with ctx
			ended <- m.serve(ctx, p, r)
		}()
		again := time.After(m.upTo(time.Minute))
		select {
		case <-again:
		case <-stop:
			stopped = true
		case err := <-ended:
			ended <- err
		}
		select {
		case <-quiet: // from now on it stays
			if !stopped {
				select {
				case <-stop:
					stopped = true
				case err := <-ended:
					ended <- err
				}
			}
		default:
		}
		cancel(errStopped)
		if err := <-ended; !errors.Is(err, errStopped) && !errors.Is(err, group.ErrTaken) {
			m.t.Errorf("seed %d: %v", m.seed, err)
		}
		if !stopped {
			time.Sleep(m.upTo(3 * time.Second))
		}
	}
}

// serve runs a member by its functions, or by hand with changes of its weight and drained in the end.
func (m *mover) serve(ctx context.Context, p *partition.Partition, r *rand.Rand) error {
	if r.IntN(2) == 0 {
		return p.Run(ctx, func(ctx context.Context, part *partition.Part) error {
			m.own(part, rand.New(rand.NewPCG(uint64(part.Token()), m.seed)))
			return nil
		})
	}
	s, err := p.Join(ctx)
	if err != nil {
		return err
	}
	var owners sync.WaitGroup
	owners.Go(func() { // ends with the share
		for part := range s.Parts(context.Background()) {
			owners.Go(func() { // ends with the part
				m.own(part, rand.New(rand.NewPCG(uint64(part.Token()), m.seed)))
				_ = part.Release(m.t.Context())
			})
		}
	})
	if r.IntN(2) == 0 {
		bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
		_ = s.SetWeight(bounded, r.IntN(4))
		cancel()
		bounded, cancel = context.WithTimeout(ctx, 20*time.Second)
		_ = s.Drain(bounded)
		cancel()
		for s.SetWeight(ctx, m.weight) != nil && ctx.Err() == nil {
		}
	}
	<-ctx.Done()
	if err := s.Leave(m.t.Context()); err != nil {
		return err
	}
	owners.Wait()
	return context.Cause(ctx)
}

// own is what a member does with a part: mostly until it is told, and sometimes too short, or a little longer.
func (m *mover) own(part *partition.Part, r *rand.Rand) {
	now := m.enter(m.id, part)
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		now.inside = false
	}()
	switch r.IntN(6) {
	case 0:
		<-part.Moving()
	case 1:
		select {
		case <-time.After(time.Duration(r.Int64N(int64(time.Minute)))):
		case <-part.Context().Done():
		}
	default:
		<-part.Context().Done()
	}
	if r.IntN(3) == 0 {
		time.Sleep(time.Duration(r.Int64N(int64(5 * time.Second))))
	}
}

// victim returns a part whose owner is to lose it without its knowledge, nil if nobody has one: its node, or all of its session. The caller
// holds mu.
func (r *trial) victim() (victim *partition.Part) {
	for _, name := range parts {
		if turn := r.last[name]; turn != nil && turn.part.Context().Err() == nil && (victim == nil || r.IntN(3) == 0) {
			victim = turn.part
		}
	}
	return victim
}

func (r *trial) expire(ctx context.Context) (done bool) {
	r.mu.Lock()
	victim := r.victim()
	if victim == nil {
		r.mu.Unlock()
		return false
	}
	id := victim.Session().ID()
	r.expired[id] = true
	r.mu.Unlock()
	err := r.e.ExpireSession(ctx, id)
	if errors.Is(err, ensembletest.ErrNoLeader) {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.expired, id)
	}
	return err == nil
}

func (r *trial) remove(ctx context.Context, admin *client.Client) (done bool) {
	r.mu.Lock()
	victim := r.victim()
	if victim != nil {
		r.removed[victim] = true
	}
	r.mu.Unlock()
	return victim != nil && admin.Delete(ctx, victim.Path(), client.AnyVersion) == nil
}

// trouble is all that can break, and what others do to owners.
func (r *trial) trouble(admin *client.Client) *trouble.Maker {
	m := trouble.New(r.e, r.Rand)
	m.Also("expired", r.expire)
	m.Also("removed", func(ctx context.Context) bool { return r.remove(ctx, admin) })
	m.Also("foreign child", func(ctx context.Context) bool {
		_, err := admin.Create(ctx, path+"/locks/p0/foreign", nil, nil)
		if errors.Is(err, client.ErrNodeExists) { // else no directory would ever be swept
			err = admin.Delete(ctx, path+"/locks/p0/foreign", client.AnyVersion)
		}
		return err == nil
	})
	return m
}
