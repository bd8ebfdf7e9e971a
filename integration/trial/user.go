package trial

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// A User uses one recipe, through a client of its own.
type User struct {
	*Trial
	*rand.Rand // of its goroutine
	Number     int
	Client     *client.Client
	// Kept is what the recipe keeps for the user from turn to turn.
	Kept any

	wire      *wire
	life      *life // of Client
	lives     int
	dying     sync.WaitGroup // clients of those before
	suspended atomic.Int64
	lost      atomic.Int64
	closers   []func(context.Context)
	failure   error
}

func (t *Trial) newUser(i int) *User {
	u := &User{Trial: t, Number: i, Rand: newRand(t.run.Seed, t.Name, i)}
	u.wire = &wire{Proxy: proxy.New(&proxy.Options{Dial: t.run.Dial})}
	t.users = append(t.users, u)
	return u
}

func (u *User) connect(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, u.run.Patience)
	defer cancel()
	u.lives++
	life := &life{number: u.lives, wire: u.wire}
	o := u.run.options(life.dial)
	o.Hooks.State = func(s client.StateChange) {
		if s.Session != nil {
			u.noteSession(s, u.Number, life.number)
		}
		switch s.State {
		case client.StateSuspended:
			u.suspended.Add(1)
		case client.StateLost:
			u.lost.Add(1)
		}
	}
	c, err := client.Connect(ctx, u.run.Servers, o)
	if u.failure = err; err == nil {
		u.Client, u.life = c, life
	}
}

// Crash lets the user's client end as that of a process that dies: at once, and nobody is told. It returns when the user has another one, at
// once or after a while, which knows nothing of what was made with the first.
func (u *User) Crash(ctx context.Context) {
	u.life.end()
	dead := u.Client
	u.dying.Go(func() { _ = dead.Close() }) // ends soon: it reaches nobody
	if u.IntN(2) == 0 {
		pause(ctx, u.UpTo(3*u.run.Client.SessionTimeout))
	}
	for u.life.over && u.untilAll.Err() == nil { // the servers may be out for longer than patience, while things break
		u.connect(u.untilAll)
	}
}

// ID is the user's name.
func (u *User) ID() string { return fmt.Sprint(u.Name, " ", u.Number) }

// Calm reports whether nothing is broken any more, and everybody is to have a last turn.
func (u *User) Calm() bool {
	select {
	case <-u.run.calm:
		return true
	default:
		return false
	}
}

// breaks reports whether a recipe may break something itself: not in the calm, nor in a run in which nothing is to be broken.
func (u *User) breaks() bool { return u.run.For > 0 && !u.Calm() }

// UpTo is a random time less than d.
func (u *User) UpTo(d time.Duration) time.Duration { return time.Duration(u.Int64N(int64(d))) }

// AtEnd calls f when the users of the recipe have had their last turn, before the client is closed. The last one is called first.
func (u *User) AtEnd(f func(ctx context.Context)) { u.closers = append(u.closers, f) }

// troubles is how often faults met a frame of this user, or broke its connection.
func (u *User) troubles() int { return u.wire.struck() + int(u.suspended.Load()) }

// suffer lets things happen to the user's connection until ctx ends.
func (u *User) suffer(ctx context.Context) {
	random := newRand(u.run.Seed, "misfortune of "+u.Name, u.Number)
	upTo := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
	session := u.run.Client.SessionTimeout
	for pause(ctx, upTo(4*session)) {
		before := u.troubles()
		misfortunes[random.IntN(len(misfortunes))](u.wire, random)
		d := upTo(session / 2)
		if random.IntN(5) == 0 {
			d = upTo(3 * session)
		}
		pause(ctx, d)
		u.wire.heal()
		u.note(func(c *counts) {
			c.faults++
			if u.troubles() > before {
				c.struck++
			}
		})
	}
}

// live takes turns: as long as things break, and then until everybody has had one more.
func (u *User) live(ctx context.Context) {
	for !u.Calm() && ctx.Err() == nil {
		turn, cancel := context.WithTimeout(ctx, u.UpTo(3*u.run.Client.SessionTimeout))
		u.turn(turn)
		cancel()
	}
	u.last()
	for i := len(u.closers) - 1; i >= 0; i-- {
		own, cancel := context.WithTimeout(ctx, u.run.Patience)
		u.closers[i](own)
		cancel()
	}
	_ = u.Client.Close()
	u.dying.Wait()
}

// last takes turns until all users of the recipe have had one that came about.
func (u *User) last() {
	ctx, cancel := context.WithTimeout(u.untilAll, u.run.Patience)
	defer cancel()
	had := false
	for ctx.Err() == nil {
		if u.turn(ctx) && !had {
			had = true
			u.hadLast()
		}
	}
	if !had {
		u.Wrong("user %d has no turn for %v in which nothing is broken", u.Number, u.run.Patience)
	}
}

// turn takes a turn. It reports whether that came about.
func (u *User) turn(ctx context.Context) bool {
	before, sessions := u.troubles(), u.lost.Load()
	err := u.Recipe.Turn(ctx, u)
	u.note(func(c *counts) {
		c.sessions += int(u.lost.Load() - sessions)
		switch {
		case err != nil:
			c.failed++
		default:
			c.turns++
			if u.troubles() > before {
				c.troubled++
			}
		}
	})
	if err != nil && !explained(err) {
		u.Wrong("user %d: %v", u.Number, err)
	}
	if err != nil { // what fails at once fails again
		pause(ctx, 10*time.Millisecond)
	}
	return err == nil
}

// explained tells whether a fault is reason enough for an error.
func explained(err error) bool {
	for _, reason := range []error{
		context.DeadlineExceeded, context.Canceled, client.ErrUnknown, client.ErrConnectionLoss, client.ErrSessionExpired, client.ErrSessionMoved,
	} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}

// A Holding is something that is held until its context ends.
type Holding interface {
	Context() context.Context
	Release(context.Context) error
}

// A Guarded one has a token and can guard a write.
type Guarded interface {
	Holding
	Token() int64
	Guard() client.Op
	Session() *client.Session
}

// An Inside is a user while he holds something.
type Inside struct {
	u     *User
	over  chan struct{}
	ended chan struct{}
	spans []Span
	valid bool
}

// lookEvery is how often a holder looks whether he still holds.
const lookEvery = 4 * time.Millisecond

// Enter begins to look whether something is held; the spans say what it is, and get their times. [Inside.Leave] must follow.
func (u *User) Enter(h Holding, spans ...Span) *Inside {
	in := &Inside{u: u, over: make(chan struct{}), ended: make(chan struct{}), spans: spans}
	now := u.Now()
	in.valid = h.Context().Err() == nil
	for i := range spans {
		spans[i].User, spans[i].From, spans[i].Until = u.Number, now, now
	}
	go in.look(h) // ends with Leave, or with what is held
	return in
}

func (in *Inside) look(h Holding) {
	defer close(in.ended)
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for over := false; in.valid && !over; {
		select {
		case <-again.C:
		case <-in.over:
			over = true
		}
		now := in.u.Now()
		if h.Context().Err() != nil {
			return
		}
		for i := range in.spans {
			in.spans[i].Until = now
		}
	}
}

// Leave writes down what was held how long. It must be called before it is given back.
func (in *Inside) Leave() {
	close(in.over)
	<-in.ended
	if in.valid {
		in.u.noteSpans(in.spans)
	}
}

// Stay stays for up to d, as long as it is held. Now and then, and whenever its connection is broken, the user stays until others may have
// got what he holds, if he is not told.
func (u *User) Stay(h Holding, d time.Duration) {
	held, long := h.Context(), 2*u.run.Client.SessionTimeout
	if u.IntN(40) == 0 {
		d = long
	}
	pause(held, u.UpTo(d))
	for patience := u.Now() + long; u.broken() && u.Now() < patience && pause(held, 5*time.Millisecond); {
	}
}

// broken reports whether the user's connection is, whether he knows or not.
func (u *User) broken() bool {
	s := u.Client.State()
	return u.wire.broken() || s == client.StateSuspended || s == client.StateLost
}

// Release gives something back. What remains is done in the background if this fails.
func (u *User) Release(ctx context.Context, h Holding) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), u.run.Client.SessionTimeout)
	defer cancel()
	return h.Release(ctx)
}

// Write writes the token of an exclusive holder into a node that nobody else writes, twice, guarded by the hold. It finds out whether the hold
// is one in name only, and whether somebody else wrote in between; that tokens of all writes grow is judged in the end.
func (u *User) Write(ctx context.Context, h Guarded, path string) {
	c, version := u.Client.In(h.Session()), int32(client.AnyVersion)
	for range 2 {
		done, err := c.Multi(ctx, h.Guard(), client.SetOp(path, strconv.AppendInt(nil, h.Token(), 10), version))
		switch {
		case err == nil:
			version = done[1].Stat.Version
			u.noteWrite(write{path, done[1].Stat.Mzxid, h.Token()})
		case errors.Is(err, client.ErrUnknown):
			return
		case errors.Is(err, client.ErrNoNode) && h.Context().Err() == nil:
			u.Wrong("user %d with token %d holds nothing, says the server: %v", u.Number, h.Token(), err)
			return
		case errors.Is(err, client.ErrBadVersion):
			u.Wrong("user %d with token %d is not alone, says the server: %v", u.Number, h.Token(), err)
			return
		default:
			return
		}
		pause(h.Context(), 2*time.Millisecond)
	}
}
