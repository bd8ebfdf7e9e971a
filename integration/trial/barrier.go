package trial

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/recipes/barrier"
)

// gate is a barrier that the first user raises and lowers, while the others come to it.
type gate struct {
	mu     sync.Mutex
	raised []Span // for certain
	passed []Span // from coming to the gate to being let through
}

func (g *gate) Begin(context.Context, *Trial) error { return nil }

func (g *gate) Turn(ctx context.Context, u *User) error {
	if u.Number == 0 {
		return g.keep(ctx, u)
	}
	s, err := u.Client.AwaitSession(ctx)
	if err != nil {
		return err
	}
	c := s.Client() // what it has seen it sees, wherever the session goes
	from := u.Now() // what was so before is seen behind the write
	if err := u.CatchUp(ctx, c); err != nil {
		return err
	}
	if err := barrier.New(c, u.Dir+"/gate").Wait(ctx); err != nil {
		return err
	}
	g.note(&g.passed, Span{What: "nothing", User: u.Number, From: from, Until: u.Now()})
	pause(ctx, u.UpTo(stay))
	return nil
}

func (g *gate) keep(ctx context.Context, u *User) error {
	b := barrier.New(u.Client, u.Dir+"/gate")
	if err := b.Raise(ctx); err != nil {
		return err
	}
	from := u.Now()
	pause(ctx, u.UpTo(500*time.Millisecond))
	g.note(&g.raised, Span{What: "the gate", User: u.Number, From: from, Until: u.Now()})
	err := b.Lower(ctx)
	pause(ctx, u.UpTo(100*time.Millisecond))
	return err
}

func (g *gate) note(where *[]Span, s Span) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*where = append(*where, s)
}

func (g *gate) Judge(ctx context.Context, t *Trial) error {
	t.All(through(g.raised, g.passed))
	return nil
}

// through finds who passed while the gate was raised all the time.
func through(raised, passed []Span) (wrong []string) {
	for _, p := range passed {
		for _, r := range raised {
			if r.From < p.From && p.Until < r.Until {
				wrong = append(wrong, fmt.Sprintf("user %d came at %v and passed at %v, and the gate was raised from %v to %v", p.User, p.From, p.Until, r.From, r.Until))
			}
		}
	}
	return wrong
}

// meeting is a double barrier, for all but one of its users: one is always too many.
type meeting struct {
	size int           // how many meet
	says int           // how many the barrier thinks
	rest time.Duration // how long at most who was there stays away

	mu    sync.Mutex
	calls []*attendance
}

// attendance is one user's coming to a meeting. Times are 0 until they come.
type attendance struct {
	user           int
	came, entered  time.Duration
	inside         Span          // for certain
	leaving, left  time.Duration // left, told that all have
	gone, standing time.Duration // it has returned, and for how long a node of it may be there still
}

func (m *meeting) Begin(context.Context, *Trial) error { return nil }

func (m *meeting) Turn(ctx context.Context, u *User) error {
	a := &attendance{user: u.Number, came: u.Now()}
	late := 2 * u.run.Client.SessionTimeout
	m.mu.Lock()
	m.calls = append(m.calls, a)
	m.mu.Unlock()
	round, err := barrier.NewDouble(u.Client, u.Dir+"/meeting", m.says, nil).Enter(ctx)
	if err != nil {
		m.change(func() { a.gone, a.standing = u.Now(), late })
		return err
	}
	m.change(func() { a.entered = u.Now() })
	in := u.Enter(roundHeld{round}, Span{What: "round"})
	u.Stay(roundHeld{round}, stay)
	in.Leave()
	m.change(func() { a.leaving, a.inside = u.Now(), in.spans[0] })
	err = round.Leave(ctx)
	m.change(func() {
		a.gone = u.Now()
		if err == nil {
			a.left = a.gone
		} else {
			a.standing = late
		}
	})
	pause(ctx, u.UpTo(m.rest)) // another's turn
	return err
}

func (m *meeting) change(what func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	what()
}

// roundHeld is a round as what is held.
type roundHeld struct{ *barrier.Round }

func (r roundHeld) Release(ctx context.Context) error { return r.Leave(ctx) }

func (m *meeting) Judge(ctx context.Context, t *Trial) error {
	t.All(met(m.calls, m.size))
	return nil
}

// met finds who entered without enough others there, and who left before the others did.
func met(calls []*attendance, size int) (wrong []string) {
	for _, a := range calls {
		if a.entered == 0 {
			continue
		}
		there := 0 // nodes, of which a user has two who comes again before the servers have ended its former session
		for _, b := range calls {
			if b.came <= a.entered && (b.gone == 0 || b.gone+b.standing >= a.came) {
				there++
			}
			if a.left != 0 && b != a && b.entered != 0 && b.entered < a.leaving && b.inside.Until > a.left {
				wrong = append(wrong, fmt.Sprintf("user %d was told at %v that all have left, and user %d was inside from %v to %v", a.user, a.left, b.user, b.entered, b.inside.Until))
			}
		}
		if there < size {
			wrong = append(wrong, fmt.Sprintf("user %d came at %v and entered at %v, and of %d only %d can have been there", a.user, a.came, a.entered, size, there))
		}
	}
	return wrong
}
