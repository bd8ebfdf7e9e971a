package leader_test

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
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
	"github.com/bellwether-zk/bellwether/recipes/leader"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

var (
	faultRuns = flag.Int("leader.runs", 4, "how many runs with faults there are, and of each way to be cut off")
	faultSeed = flag.Uint64("leader.seed", 0, "the first run's; 0: a random one")
)

// eachRun does a number of runs, each in a bubble and with a seed of its own.
func eachRun(t *testing.T, run func(t *testing.T, seed uint64)) {
	first := *faultSeed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	for i := range *faultRuns {
		seed := first + uint64(i)
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("it was seed %d", seed)
				}
			}()
			run(t, seed)
		})
	}
}

// Whoever is cut off from whom, and whether or not it hears of it, a term is over before another begins: its context has ended by itself.
func TestTermIsOverBeforeAnotherBegins(t *testing.T) {
	for name, cut := range map[string]func(e *ensembletest.Ensemble, c *client.Client, at *ensembletest.Server){
		"client": func(e *ensembletest.Ensemble, c *client.Client, _ *ensembletest.Server) { e.CutClient(c) },
		"silent": func(e *ensembletest.Ensemble, c *client.Client, _ *ensembletest.Server) {
			e.Proxy(c).Freeze(proxy.Request(proxy.OpAll, "").Always())
			e.Proxy(c).Freeze(proxy.Reply(proxy.OpAll, "").Always())
		},
		"server": func(e *ensembletest.Ensemble, _ *client.Client, at *ensembletest.Server) { e.CutFromLeader(at.ID()) },
		"leader": func(e *ensembletest.Ensemble, _ *client.Client, at *ensembletest.Server) { e.Partition([]int{at.ID()}) },
		"paused": func(_ *ensembletest.Ensemble, _ *client.Client, at *ensembletest.Server) { at.Pause() },
	} {
		t.Run(name, func(t *testing.T) {
			eachRun(t, func(t *testing.T, seed uint64) {
				r := rand.New(rand.NewPCG(seed, 1))
				opts := &ensembletest.Options{Client: client.Options{SessionTimeout: time.Duration(6+r.IntN(20)) * time.Second}}
				if r.IntN(2) == 0 {
					opts.Client.TickTime = 3 * time.Second
				}
				e := ensembletest.Start(t, 3, opts)
				at, elsewhere := e.Follower(), e.Leader()
				if name == "leader" || name == "paused" && r.IntN(2) == 0 {
					at, elsewhere = elsewhere, at
				}
				c, other := at.Connect(t), elsewhere.Connect(t)
				idle := func() { time.Sleep(time.Duration(r.Int64N(int64(30 * time.Second)))) }
				idle()
				term := mustLead(t, election(c, "anna"))
				ended := make(chan struct{})
				go func() { // ends with the term
					<-term.Context().Done()
					close(ended)
				}()
				next := make(chan *leader.Term)
				go func() { // ends with the test, at the latest
					term, err := election(other, "ben").Lead(t.Context())
					if err != nil {
						t.Error(err)
					}
					select {
					case <-ended: // by the timer, and not because somebody asked
					default:
						t.Error("the term has not ended when there is another one")
					}
					next <- term
				}()
				idle()
				require.NoError(t, term.Context().Err())
				cut(e, c, at)
				second := <-next
				require.Greater(t, second.Token(), term.Token())
				require.ErrorIs(t, context.Cause(term.Context()), client.ErrSessionExpired)
				at.Resume()
			})
		})
	}
}

// A world is an election with candidates who never give up, and a checker that sees all their terms.
type world struct {
	t *testing.T
	e *ensembletest.Ensemble
	r *rand.Rand

	mu     sync.Mutex
	forced map[*leader.Term]bool // the node was removed, or the session ended, by somebody else: nobody can know before
	alive  *leader.Term          // the last to begin
	count  map[int]int           // terms of each candidate
	faults map[string]int
	looked int // leaders that who looks on was told of
}

// began checks a term that begins.
func (w *world) began(who int, term *leader.Term) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.alive != nil {
		select {
		case <-w.alive.Context().Done():
		default:
			if !w.forced[w.alive] {
				w.t.Errorf("term %d begins while %d lasts", term.Token(), w.alive.Token())
			}
		}
		if term.Token() <= w.alive.Token() {
			w.t.Errorf("term %d begins after %d", term.Token(), w.alive.Token())
		}
	}
	w.alive = term
	w.count[who]++
}

// force does something to the one who leads that ends its term without its knowledge.
func (w *world) force(what func(term *leader.Term)) {
	w.mu.Lock()
	term := w.alive
	w.forced[term] = true
	w.mu.Unlock()
	if term != nil {
		what(term)
	}
}

// Candidates among faults of all kinds: never two terms at once, tokens only grow, each candidate leads again when the faults are over, and
// nothing is left in the end.
func TestElectionAmongFaults(t *testing.T) {
	terms, faults := 0, map[string]int{}
	eachRun(t, func(t *testing.T, seed uint64) {
		w := &world{t: t, r: rand.New(rand.NewPCG(seed, 2)), forced: map[*leader.Term]bool{}, count: map[int]int{}, faults: faults}
		for _, n := range w.run() {
			terms += n
		}
	})
	t.Logf("%d terms, faults that took effect: %v", terms, faults)
	require.Greater(t, terms, 20**faultRuns)
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.r.Int64N(int64(d))) }

func (w *world) run() map[int]int {
	const candidates = 5
	t := w.t
	var seenBy telemetrytest.Recorder
	w.e = ensembletest.Start(t, 3, &ensembletest.Options{Client: client.Options{
		SessionTimeout: 10 * time.Second, TickTime: time.Second, TracerProvider: seenBy.TracerProvider(), MeterProvider: seenBy.MeterProvider(),
	}})
	admin := w.e.Connect(t)
	clients := make([]*client.Client, candidates)
	preferences := w.r.IntN(2) // in every other run
	ctx, stop := context.WithCancelCause(t.Context())
	var all sync.WaitGroup
	for i := range clients {
		clients[i] = w.e.Connect(t)
		election := leader.NewElection(clients[i], path, &leader.Options{
			ID: fmt.Sprint(i % 4), MaxTerm: 2 * time.Second, EndWhenSuspended: i == 0, Priority: i % 2 * preferences, // 0 and 4 have one name
		})
		r := rand.New(rand.NewPCG(w.r.Uint64(), 3))
		all.Go(func() {
			for ctx.Err() == nil {
				patience, cancel := context.WithCancelCause(ctx)
				if r.IntN(3) == 0 { // this time it does not stand for ever
					time.AfterFunc(time.Duration(r.Int64N(int64(30*time.Second))), func() { cancel(errImpatient) })
				}
				err := election.Run(patience, func(ctx context.Context, term *leader.Term) error { return w.lead(ctx, i, term, r) })
				if !errors.Is(err, errStopped) && !errors.Is(err, errImpatient) {
					t.Error(err)
				}
				cancel(errStopped)
			}
		})
	}
	seen := make(chan int64)
	go w.look(ctx, w.e.Connect(t), seen)
	maker := w.trouble(admin)
	for range 25 {
		maker.Strike(clients[w.r.IntN(candidates)])
		time.Sleep(w.upTo(6 * time.Second))
	}
	require.NoError(t, maker.End(t.Context()))
	for what, n := range maker.Struck() {
		w.faults[what] += n
	}
	time.Sleep(30 * time.Second) // everybody is connected again
	w.mustAllLead(candidates, 1+preferences)
	stop(errStopped)
	all.Wait()
	require.LessOrEqual(t, <-seen, w.alive.Token())
	time.Sleep(30 * time.Second) // sessions that were lost are over
	line, err := ticket.Line(t.Context(), admin, path, "latch-")
	require.NoError(t, err)
	require.Empty(t, line)
	require.Greater(t, w.looked, 30)
	require.Empty(t, seenBy.Open(), "each span ends, and each count goes back")
	begun := 0
	for _, n := range w.count {
		begun += n
	}
	require.GreaterOrEqual(t, len(seenBy.Measured("bellwether.leader.term.duration")), begun)
	return w.count
}

var errImpatient = errors.New("the candidate does not want any more")

// lead is what a candidate does when it leads.
func (w *world) lead(ctx context.Context, who int, term *leader.Term, r *rand.Rand) error {
	w.began(who, term)
	work := time.NewTimer(time.Duration(r.Int64N(int64(3 * time.Second))))
	defer work.Stop()
	select {
	case <-work.C:
	case <-ctx.Done():
	}
	if r.IntN(4) == 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = term.HandOver(ctx, fmt.Sprint(r.IntN(5))) // who may not be there
	}
	return nil
}

// look looks on: what is told does not go back, and keeps up. It gives the last token to seen when ctx ends.
func (w *world) look(ctx context.Context, c *client.Client, seen chan<- int64) {
	last := int64(0)
	for now, err := range leader.NewElection(c, path, nil).Watch(ctx) {
		switch {
		case err != nil:
			if !errors.Is(err, errStopped) {
				w.t.Error(err)
			}
		case now.Token != 0 && now.Token < last:
			w.t.Errorf("the leader of %d after that of %d", now.Token, last)
		case now.Token != 0:
			last = now.Token
			w.looked++
		}
	}
	seen <- last
}

// mustAllLead waits until each candidate has led once more; of those who prefer each other every second one: the rest lead when no
// other is in line for a moment, or somebody hands over to them.
func (w *world) mustAllLead(candidates, step int) {
	before := w.counts(candidates)
	time.Sleep(2 * time.Minute)
	sum := 0
	for i, n := range w.counts(candidates) {
		sum += n - before[i]
		if i%step == step-1 {
			require.Greater(w.t, n, before[i], "candidate %d", i)
		}
	}
	require.Greater(w.t, sum, 30, "terms in two minutes")
}

func (w *world) counts(candidates int) []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make([]int, candidates)
	for i := range c {
		c[i] = w.count[i]
	}
	return c
}

// trouble is all that can break, and what others do to candidates.
func (w *world) trouble(admin *client.Client) *trouble.Maker {
	m := trouble.New(w.e, w.r)
	m.Also("removed", func(ctx context.Context) (done bool) {
		w.force(func(term *leader.Term) { done = admin.Delete(ctx, term.Path(), client.AnyVersion) == nil })
		return done
	})
	m.Also("expired", func(ctx context.Context) (done bool) {
		w.force(func(term *leader.Term) { done = w.e.ExpireSession(ctx, term.Session().ID()) == nil })
		return done
	})
	m.Also("foreign child", func(ctx context.Context) bool {
		_, err := admin.Create(ctx, path+"/lock-", nil, &client.CreateOptions{Mode: client.EphemeralSequential})
		return err == nil
	})
	return m
}
