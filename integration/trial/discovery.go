package trial

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/node"
)

// market is some services. Each user is a process that has an instance of each, the first one most of those of the last service, and that
// looks all of them up.
type market struct {
	rolls    []*roll // of the services
	register registrar
	lookup   finder
}

type (
	registry = discovery.Registry[string]
	instance = discovery.Instance[string]
	entry    = discovery.Entry[string]
)

var codec = discovery.Curator[string]("")

// services are what there is, and how many instances of each the first user has.
var services = []struct {
	name  string
	first int
}{{"mail", 1}, {"web", 5}}

// registration is an instance's own.
type registration interface {
	Update(ctx context.Context, edit func(*instance)) error
	Close(ctx context.Context) error
	Status() node.Status
	Path() string
}

// registrar registers an instance in a directory, with a client and its registry.
type registrar func(ctx context.Context, c *client.Client, dir string, r *registry, i instance, o *discovery.RegisterOptions) (registration, error)

func enlist(ctx context.Context, _ *client.Client, _ string, r *registry, i instance, o *discovery.RegisterOptions) (registration, error) {
	return r.Register(ctx, i, o)
}

// lookedUp is a view of a service.
type lookedUp interface {
	Watch(ctx context.Context) iter.Seq[discovery.Change[string]]
	Instances() []*entry
	StaleSince() time.Time
	Close()
}

// finder looks a service up.
type finder func(ctx context.Context, r *registry, service string, o *discovery.LookupOptions) (lookedUp, error)

func lookup(ctx context.Context, r *registry, service string, o *discovery.LookupOptions) (lookedUp, error) {
	return r.Lookup(ctx, service, o)
}

func newMarket() Recipe { return &market{register: enlist, lookup: lookup} }

func (m *market) Begin(_ context.Context, t *Trial) error {
	for _, s := range services {
		r := newRoll(func(data []byte) string {
			i, err := codec.Decode(data)
			if err != nil {
				return err.Error()
			}
			return i.Payload
		})
		r.dir = t.Dir + "/services/" + s.name
		m.rolls = append(m.rolls, r)
	}
	return nil
}

// A trader is a user, in one of his lives.
type trader struct {
	registry *registry
	shelves  []*shelf
	views    []*stall
}

// A shelf is where a trader has an instance, if he has.
type shelf struct {
	*roll
	instance
	held *ware
	left []*ware // that are not quite gone
}

// A ware is a registration and whose it is.
type ware struct {
	registration
	*wish
	text string // as it should be
}

// A stall is a view of a service.
type stall struct {
	*roll
	lookedUp
	keepLost time.Duration
	told     *account
	loop     sync.WaitGroup
}

func (m *market) Turn(ctx context.Context, u *User) error {
	mine, ok := u.Kept.(*trader)
	if !ok {
		mine = &trader{shelves: m.shelves(u)}
		u.Kept = mine
		u.AtEnd(func(ctx context.Context) { m.end(ctx, u, mine) })
	}
	if err := m.open(ctx, u, mine); err != nil {
		return err
	}
	for _, v := range mine.views {
		v.look(ctx, u, v)
		v.mustForget(u)
	}
	var err error
	s := mine.shelves[u.IntN(len(mine.shelves))]
	switch n := u.IntN(60); {
	case n < 40:
		err = s.update(ctx)
	case u.Calm(): // who is there stays
	case n < 50:
		err = s.take(ctx, u)
	case n < 52:
		m.crash(ctx, u, mine)
	case n < 55:
		u.wire.Drop()
	default:
		err = m.pass(ctx, u, mine)
	}
	pause(ctx, u.UpTo(stay))
	return err
}

// shelves are those of a user.
func (m *market) shelves(u *User) (all []*shelf) {
	for k, s := range services {
		many := 1
		if u.Number == 0 {
			many = s.first
		}
		for i := range many {
			all = append(all, &shelf{roll: m.rolls[k], instance: instance{
				Name: s.name, ID: fmt.Sprint(u.ID(), " ", i), Address: fmt.Sprint("10.0.0.", u.Number), Port: 1000 + i,
			}})
		}
	}
	return all
}

// open has the user look at all services, and all his instances registered.
func (m *market) open(ctx context.Context, u *User, mine *trader) error {
	if mine.registry == nil {
		mine.registry = discovery.NewRegistry[string](u.Client, u.Dir+"/services", nil)
	}
	keep := u.run.Client.SessionTimeout
	for k := len(mine.views); k < len(services); k++ {
		v, err := m.lookup(ctx, mine.registry, services[k].name, &discovery.LookupOptions{LossWindow: lossWindow, KeepLost: keep})
		if err != nil {
			return err
		}
		stall := &stall{roll: m.rolls[k], lookedUp: v, keepLost: keep, told: m.rolls[k].account(u)}
		mine.views = append(mine.views, stall)
		stall.loop.Go(func() { stall.follow(u) }) // ends with the view
	}
	for _, s := range mine.shelves {
		if s.held != nil {
			continue
		}
		if err := m.put(ctx, u, mine, s); err != nil {
			return err
		}
	}
	return nil
}

// put registers an instance.
func (m *market) put(ctx context.Context, u *User, mine *trader, s *shelf) error {
	w, text := s.wish(u)
	i := s.instance
	i.Payload = text
	r, err := m.register(ctx, u.Client, s.dir, mine.registry, i, &discovery.RegisterOptions{Drain: drain})
	if err != nil {
		return err
	}
	s.grant(w)
	s.claim(ctx, u, r.Path(), r.Status().Czxid)
	s.held = &ware{r, w, text}
	return nil
}

// drain is how long an instance is told to be on its way out, and lossWindow how soon one after the other many must go for that not to be
// believed.
const (
	drain      = 30 * time.Millisecond
	lossWindow = 2 * time.Second
)

func (s *shelf) update(ctx context.Context) error {
	w := s.held
	text := s.text(w.wish)
	err := w.Update(ctx, func(i *instance) { i.Payload = text })
	if err == nil || errors.Is(err, client.ErrUnknown) { // else it did not come to that
		w.text = text
	}
	return err
}

// take closes a registration, now and then without time for it to drain. If that takes long it is seen to in the end.
func (s *shelf) take(ctx context.Context, u *User) error {
	held := s.held
	s.held = nil
	d := u.run.Client.SessionTimeout
	if u.IntN(8) == 0 {
		d = drain / 2
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	defer cancel()
	err := s.close(own, u, held)
	if err != nil {
		s.left = append(s.left, held)
	}
	return err
}

func (s *shelf) close(ctx context.Context, u *User, w *ware) error {
	s.text(w.wish) // that it drains is written, too
	s.give(u, w.wish)
	path := w.Path()
	if err := w.Close(ctx); err != nil {
		return err
	}
	s.mustBeGone(ctx, u, path, w.wish)
	return nil
}

// pass registers an instance for a moment, beside others of the same id.
func (m *market) pass(ctx context.Context, u *User, mine *trader) error {
	first := mine.shelves[0]
	s := &shelf{roll: first.roll, instance: first.instance}
	s.Port, s.Type = 1, discovery.DynamicSequential
	if err := m.put(ctx, u, mine, s); err != nil {
		return err
	}
	pause(ctx, u.UpTo(stay))
	err := s.take(ctx, u)
	first.left = append(first.left, s.left...)
	return err
}

// crash ends the user's process, and all that it had.
func (m *market) crash(ctx context.Context, u *User, mine *trader) {
	for _, s := range mine.shelves {
		if s.held != nil {
			s.die(u, s.held.wish)
		}
		s.held, s.left = nil, nil
	}
	u.Crash(ctx)
	for _, v := range mine.views {
		v.Close()
		v.loop.Wait()
	}
	mine.registry, mine.views = nil, nil
}

// end requires that everybody's views are the same, and of nothing when all is closed.
func (m *market) end(ctx context.Context, u *User, mine *trader) {
	if err := m.open(ctx, u, mine); err != nil {
		u.Wrong("user %d does not come to the end: %v", u.Number, err)
		return
	}
	for k, v := range mine.views {
		own := map[string]string{}
		for _, s := range mine.shelves {
			if s.roll == m.rolls[k] {
				own[s.held.Path()] = s.held.text
			}
		}
		v.agree(ctx, u, v, v.told, own)
	}
	var closing sync.WaitGroup
	for _, s := range mine.shelves {
		for _, w := range append(s.left, s.held) {
			closing.Go(func() { // ends with ctx
				if err := s.close(ctx, u, w); err != nil {
					u.Wrong("user %d closes %s: %v", u.Number, w.Path(), err)
				}
			})
		}
	}
	closing.Wait()
	for _, v := range mine.views {
		v.agree(ctx, u, v, v.told, nil)
		v.Close()
		v.loop.Wait()
	}
}

// mustForget requires that what is lost is not kept for longer than it should be.
func (v *stall) mustForget(u *User) {
	for _, e := range v.Instances() {
		if d := time.Since(e.Lost); !e.Lost.IsZero() && d > v.keepLost+u.run.Client.SessionTimeout {
			u.Wrong("user %d still has %v at %s, lost for %v", u.Number, offered(e), e.Path, d)
		}
	}
}

func (v *stall) standings() map[string]standing {
	all := map[string]standing{}
	for _, e := range v.Instances() {
		all[e.Path] = offered(e)
	}
	return all
}

func offered(e *entry) standing {
	return standing{text: e.Payload, token: e.Token, session: e.Owner, up: e.Available(), lost: !e.Lost.IsZero()}
}

// follow notes what a view is told.
func (v *stall) follow(u *User) {
	for c := range v.Watch(context.Background()) {
		o := told{at: u.Now()}
		if c.Old != nil {
			o.path, o.old = c.Old.Path, offered(c.Old)
		}
		if c.New != nil {
			o.path, o.now = c.New.Path, offered(c.New)
		}
		if o.path != "" {
			v.tell(v.told, o)
		}
	}
}

func (m *market) Judge(_ context.Context, t *Trial) error {
	for _, r := range m.rolls {
		r.judge(t)
		for _, a := range r.accounts {
			t.All(unbraked(a.told, func(o told) bool {
				w, _, _ := r.read(o.old.text)
				return w.died || w.given == 0 || w.given > o.at
			}))
		}
	}
	return nil
}

// unbraked finds when a view let go of more than half of the instances it had, which had not said that they go, without keeping them as
// lost. quiet tells of a change whether somebody went who cannot have said so, or need not have.
func unbraked(all []told, quiet func(told) bool) (wrong []string) {
	const moment = 50 * time.Millisecond // in which more changes may be on the way
	there := map[string]bool{}
	var missing []told // oldest first
	for i, o := range all {
		switch was, is := there[o.path], o.now.token != 0 && !o.now.lost; {
		case !is:
			delete(there, o.path)
			missing = slices.DeleteFunc(missing, func(m told) bool { return m.path == o.path })
			if o.old.up && !o.old.lost && !o.now.lost && quiet(o) {
				missing = append(missing, o)
			}
		case !was: // in place of who has gone
			there[o.path] = true
			if len(missing) > 0 {
				missing = missing[:len(missing)-1]
			}
		}
		missing = slices.DeleteFunc(missing, func(m told) bool { return m.at < o.at-lossWindow/2 })
		settled := i == len(all)-1 || all[i+1].at > o.at+moment
		if n := len(missing); settled && n >= 2 && n > len(there) {
			wrong = append(wrong, fmt.Sprintf("a view has let go of %d instances, and has %d left: %v", n, len(there), missing))
		}
	}
	return wrong
}
