package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// stay is how long things are held at most.
const stay = 60 * time.Millisecond

// mutex is held by one at a time, who alone writes.
type mutex struct {
	lock func(ctx context.Context, c *client.Client, path string) (Guarded, error)
	stay time.Duration
	cut  bool // holders reach nobody now and then, until others may hold
}

func newMutex() Recipe {
	return &mutex{stay: stay, lock: func(ctx context.Context, c *client.Client, path string) (Guarded, error) {
		return lock.NewMutex(c, path, nil).Lock(ctx)
	}}
}

// register is the node that holders write, beside the recipe's own.
func register(ctx context.Context, t *Trial) error {
	_, err := t.Witness.Create(ctx, t.Dir+"/register", nil, nil)
	return err
}

func (m *mutex) Begin(ctx context.Context, t *Trial) error { return register(ctx, t) }

func (m *mutex) Turn(ctx context.Context, u *User) error {
	h, err := m.lock(ctx, u.Client, u.Dir+"/lock")
	if err != nil {
		return err
	}
	in := u.Enter(h, Span{What: "lock", Token: h.Token()})
	u.Write(ctx, h, u.Dir+"/register")
	if m.cut && u.breaks() && u.IntN(2) == 0 {
		u.wire.unplug(true)
	}
	u.Stay(h, m.stay)
	in.Leave()
	if m.cut {
		u.wire.heal()
	}
	return u.Release(ctx, h)
}

func (m *mutex) Judge(ctx context.Context, t *Trial) error {
	t.All(Ordered(t.Spans("lock")))
	return nil
}

// rwMutex is written by one, or read by many: who reads finds nothing changed.
type rwMutex struct{}

func (rwMutex) Begin(ctx context.Context, t *Trial) error { return register(ctx, t) }

func (rwMutex) Turn(ctx context.Context, u *User) error {
	m := lock.NewRWMutex(u.Client, u.Dir+"/lock", nil)
	if u.IntN(2) == 0 {
		h, err := m.RLock(ctx)
		if err != nil {
			return err
		}
		readHeld(ctx, u, h)
		return u.Release(ctx, h)
	}
	h, err := m.Lock(ctx)
	if err != nil {
		return err
	}
	in := u.Enter(h, Span{What: "lock", Token: h.Token()})
	u.Write(ctx, h, u.Dir+"/register")
	u.Stay(h, stay)
	in.Leave()
	if u.IntN(2) == 0 {
		if err := h.Downgrade(ctx); err == nil {
			readHeld(ctx, u, h)
		} else if h.Context().Err() == nil && !explained(err) {
			return errors.Join(err, u.Release(ctx, h))
		}
	}
	return u.Release(ctx, h)
}

// readHeld reads under a read hold: what it has read is so until it leaves.
func readHeld(ctx context.Context, u *User, h *lock.Hold) {
	in := u.Enter(h, Span{What: "lock", Token: h.Token(), Shared: true})
	defer in.Leave()
	c := u.Client.In(h.Session())
	_, stat, err := c.Get(ctx, u.Dir+"/register") // from a server that has seen the writers leave
	if err != nil {
		return
	}
	u.Stay(h, stay)
	if _, err = c.Multi(ctx, h.Guard(), client.CheckOp(u.Dir+"/register", stat.Version)); errors.Is(err, client.ErrBadVersion) {
		u.Wrong("user %d reads with token %d while somebody writes: %v", u.Number, h.Token(), err)
	}
}

func (rwMutex) Judge(ctx context.Context, t *Trial) error {
	t.All(Ordered(t.Spans("lock")))
	return nil
}

// semaphore gives out a few permits, one or two at a time.
type semaphore struct {
	permits int // that there are
	given   int // that the semaphore gives
}

func newSemaphore() Recipe { return &semaphore{3, 3} }

func (s *semaphore) Begin(context.Context, *Trial) error { return nil }

func (s *semaphore) Turn(ctx context.Context, u *User) error {
	weight := 1 + u.IntN(2)
	h, err := lock.NewSemaphore(u.Client, u.Dir+"/permits", s.given, nil).Acquire(ctx, weight)
	if err != nil {
		return err
	}
	in := u.Enter(h, Span{What: "permits", Weight: weight, Token: h.All()[0].Token()})
	u.Stay(h, 2*stay)
	in.Leave()
	return u.Release(ctx, h)
}

func (s *semaphore) Judge(ctx context.Context, t *Trial) error {
	t.All(Crowded(t.Spans("permits"), s.permits))
	return nil
}

// multi locks two of three mutexes, in any order.
type multi struct{}

const locks = 3

func (multi) Begin(ctx context.Context, t *Trial) error {
	for i := range locks {
		if _, err := t.Witness.Create(ctx, fmt.Sprint(t.Dir, "/register-", i), nil, nil); err != nil {
			return err
		}
	}
	return nil
}

func (multi) Turn(ctx context.Context, u *User) error {
	two := u.Perm(locks)[:2]
	var mutexes []*lock.Mutex
	for _, i := range two {
		mutexes = append(mutexes, lock.NewMutex(u.Client, fmt.Sprint(u.Dir, "/lock-", i), nil))
	}
	m, err := lock.NewMulti(mutexes...)
	if err != nil {
		return err
	}
	h, err := m.Lock(ctx)
	if err != nil {
		return err
	}
	var spans []Span
	for k, i := range two {
		spans = append(spans, Span{What: fmt.Sprint("lock ", i), Token: h.All()[k].Token()})
	}
	in := u.Enter(h, spans...)
	for k, i := range two {
		u.Write(ctx, h.All()[k], fmt.Sprint(u.Dir, "/register-", i))
	}
	u.Stay(h, stay)
	in.Leave()
	return u.Release(ctx, h)
}

func (multi) Judge(ctx context.Context, t *Trial) error {
	for i := range locks {
		t.All(Ordered(t.Spans(fmt.Sprint("lock ", i))))
	}
	return nil
}
