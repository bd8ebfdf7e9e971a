// Package trial puts recipes on trial: for a while several users of each use it, all recipes side by side on one ensemble, while their
// connections and the servers are broken. What they did is written down with the time and the tokens, and judged when all is calm again.
//
//	report, err := trial.Run(ctx, trial.World{Servers: addrs, Client: options, Break: nemesis, For: time.Minute, Seed: seed}, trial.Recipes())
//
// Each user has a client of its own, whose connections pass a proxy that breaks them: cuts, silence, requests and replies that are lost or
// late. Users are goroutines of one process, so that one monotonic clock tells who held what when. A hold lasts from the first to the
// last look at its context that found it valid; each look is dated before it began, so a hold that is noted is never longer than it was.
// Two that overlap prove two holders, whatever the machine was busy with.
//
// # To add a recipe
//
// A [Recipe] is one file: what a user does in one turn, and what must hold at the end; and a line in [Recipes]. What the turn writes down
// is up to it. For what is held there is [User.Enter], for writes guarded by a hold [User.Write], and for processes that die [User.Crash].
//
// # What every recipe must show
//
//   - its own rules, by the journal: exclusion and growing tokens, one leader per term, no more permits than there are, …;
//   - no error but those that faults explain;
//   - that each user has his turn when all faults are over;
//   - that nothing is left when everybody has gone, but what the recipe says it leaves.
package trial

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/bellwether-zk/bellwether/client"
)

// A Recipe is what is on trial. One Recipe serves all its users; what it keeps is guarded by itself, or noted in the Trial.
type Recipe interface {
	// Begin prepares the directory, which is there. Nothing is broken yet.
	Begin(ctx context.Context, t *Trial) error
	// Turn lets a user use the recipe once. It returns nil if that came about, and otherwise why not, soon after ctx has ended.
	Turn(ctx context.Context, u *User) error
	// Judge says with Trial.Wrong what must not be, when all users have gone.
	Judge(ctx context.Context, t *Trial) error
}

// A Subject is a recipe and its users.
type Subject struct {
	Name  string
	Users int
	// New makes the recipe for one run.
	New func() Recipe
	// Leaves are the nodes that may stay below the recipe's directory, patterns of path.Match relative to it.
	Leaves []string
}

// A World is where a run takes place.
type World struct {
	// Servers are those of the clients, without a chroot. They sweep empty containers sooner than patience ends.
	Servers string
	// Dial reaches them. Default: TCP.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Client are the options of the clients, whose Dialer, Reconnect and Retry a run sets. SessionTimeout has to be set.
	Client client.Options
	// Break breaks the servers until ctx ends, and returns when they are whole again. Default: nothing.
	Break func(ctx context.Context)
	// For is how long things break.
	For time.Duration
	// Patience is how long it may take, when nothing is broken any more, until everybody has had a turn; and until what is gone is
	// seen to be gone. Default: ten session timeouts.
	Patience time.Duration
	// Seed of everything random.
	Seed uint64
}

// root is where all directories are.
const root = "/trial"

// Run puts the subjects on trial. The error tells that nothing could be found out.
func Run(ctx context.Context, w World, subjects []Subject) (*Report, error) {
	if w.Patience == 0 {
		w.Patience = 10 * w.Client.SessionTimeout
	}
	if w.Break == nil {
		w.Break = func(context.Context) {}
	}
	w.Client.Reconnect, w.Client.Retry = quickly, quickly
	witness, err := client.Connect(ctx, w.Servers, w.options(w.Dial))
	if err != nil {
		return nil, err
	}
	defer witness.Close()
	r := &run{World: w, began: time.Now(), calm: make(chan struct{})}
	var connecting sync.WaitGroup
	for _, s := range subjects {
		t := &Trial{Subject: s, Dir: root + "/" + s.Name, Witness: witness, Recipe: s.New(), run: r}
		t.untilAll, t.allHad = context.WithCancel(ctx)
		r.trials = append(r.trials, t)
		if err := r.makeDir(ctx, witness, t.Dir); err != nil {
			return nil, err
		}
		if err := t.Recipe.Begin(ctx, t); err != nil {
			return nil, fmt.Errorf("%s: begin: %w", s.Name, err)
		}
		for i := range s.Users {
			u := t.newUser(i)
			connecting.Go(func() { u.connect(ctx) })
		}
	}
	connecting.Wait()
	defer r.close()
	if err := r.broken(ctx); err != nil {
		return nil, err
	}
	r.work(ctx)
	if err := r.judge(ctx); err != nil {
		return nil, err
	}
	return r.report(), nil
}

// makeDir makes a directory, as often as it takes: servers that have just begun to serve may elect once more.
func (r *run) makeDir(ctx context.Context, c *client.Client, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	for {
		_, err := c.Create(ctx, dir, nil, &client.CreateOptions{Parents: client.PersistentParents})
		if err == nil || errors.Is(err, client.ErrNodeExists) {
			return nil
		}
		if !explained(err) || !pause(ctx, 100*time.Millisecond) {
			return err
		}
	}
}

func (w World) options(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *client.Options {
	o := w.Client
	o.Dialer = dial
	return &o
}

func quickly() backoff.BackOff { return backoff.NewConstantBackOff(20 * time.Millisecond) }

// A run is one on its way.
type run struct {
	World
	began  time.Time
	trials []*Trial
	calm   chan struct{} // closed when nothing is broken any more
}

func (r *run) users(yield func(*User) bool) {
	for _, t := range r.trials {
		for _, u := range t.users {
			if !yield(u) {
				return
			}
		}
	}
}

// broken tells why a user could not connect before anything was broken.
func (r *run) broken(ctx context.Context) error {
	for u := range r.users {
		if u.Client == nil {
			return fmt.Errorf("%s %d does not connect: %w", u.Name, u.Number, errors.Join(u.failure, context.Cause(ctx)))
		}
	}
	return nil
}

// work is everything between the first turn and the last user's leaving.
func (r *run) work(ctx context.Context) {
	breaking, cancel := context.WithTimeout(ctx, r.For)
	defer cancel()
	var faults, users sync.WaitGroup
	faults.Go(func() { r.Break(breaking) }) // ends with breaking, as each user's misfortune does
	for u := range r.users {
		faults.Go(func() { u.suffer(breaking) })
		users.Go(func() { u.live(ctx) }) // ends when all of its recipe have had their turn in the calm, or patience has
	}
	faults.Wait()
	close(r.calm)
	users.Wait()
}

// judge judges all recipes, at once since what is left behind is given time to go.
func (r *run) judge(ctx context.Context) error {
	errs := make([]error, len(r.trials))
	var all sync.WaitGroup
	for i, t := range r.trials {
		all.Go(func() { // ends when patience does
			if err := t.judge(ctx); err != nil {
				errs[i] = fmt.Errorf("%s: judge: %w", t.Name, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// close ends the clients that are left.
func (r *run) close() {
	var all sync.WaitGroup
	for u := range r.users {
		all.Go(func() {
			if u.Client != nil {
				_ = u.Client.Close() // of a session that the servers may have ended
			}
			_ = u.wire.Close()
		})
	}
	all.Wait()
}

// pause waits, unless ctx ends before. It reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func newRand(seed uint64, name string, i int) *rand.Rand {
	for _, b := range []byte(name) {
		seed = seed*31 + uint64(b)
	}
	return rand.New(rand.NewPCG(seed, uint64(i)))
}
