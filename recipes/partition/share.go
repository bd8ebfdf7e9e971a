package partition

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/cache"
	"github.com/bellwether-zk/bellwether/recipes/group"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// Share is what one member has of the parts, from Join until Leave. It outlives sessions. Its methods may be called by many goroutines.
type Share struct {
	partition *Partition
	id        string
	member    *group.Membership
	others    *group.View
	listed    *cache.Cache // of the parts, if they are a node's children
	ctx       context.Context
	end       context.CancelCauseFunc
	steering  sync.WaitGroup
	seats     sync.WaitGroup
	over      chan struct{} // closed when nothing of the share runs
	failure   error         // why it has left a trace; written before over is closed

	mu      sync.Mutex
	seat    map[string]*seat // of the parts that are, or were a moment ago, to be this member's
	owned   map[*Part]bool
	pending []*Part       // owned, and not handed to anybody yet
	changed chan struct{} // closed and replaced when one of these changes
	acting  census        // who the parts are divided among at present
}

// Join makes this process a member, and returns when it is registered. It gets its parts when the members have settled, and other owners have
// let go. It fails with group.ErrTaken if there is, and stays, another member with its id. ctx bounds the waiting alone. The share lasts until
// Leave, or until the client is closed, or the servers refuse something for good: Context tells. If that is a view of a session, the share lasts
// as long as the session.
func (p *Partition) Join(ctx context.Context) (*Share, error) {
	if p.bad != nil {
		return nil, p.failed("join", p.bad)
	}
	s := &Share{
		partition: p, id: cmp.Or(p.opts.ID, ticket.Identity()+"-"+client.NewProtectionID()), over: make(chan struct{}),
		seat: make(map[string]*seat), owned: make(map[*Part]bool), changed: make(chan struct{}),
	}
	if err := s.open(ctx); err != nil {
		s.shut(ctx)
		return nil, p.failed("join", err)
	}
	s.ctx, s.end = context.WithCancelCause(context.WithoutCancel(ctx))
	s.steering.Go(s.steer) // ends with ctx
	go func() {            // ends soon after ctx, when all that belongs to the share has: Leave waits for it
		defer close(s.over)
		s.steering.Wait()
		s.seats.Wait()
	}()
	return s, nil
}

// open opens what the share looks at, and registers the member.
func (s *Share) open(ctx context.Context) (err error) {
	p := s.partition
	if p.dir != "" {
		if s.listed, err = cache.Open(ctx, p.client, p.dir, &cache.Options{Depth: 1, NoData: true}); err != nil {
			return err
		}
	}
	if s.others, err = p.members().Observe(ctx); err != nil {
		return err
	}
	s.member, err = p.members().Join(ctx, s.id, note{max(0, p.opts.Weight), p.kind()}.text())
	return err
}

// cleanup bounds how long it is waited for removals that go on in the background.
const cleanup = 5 * time.Second

// shut closes what open has opened.
func (s *Share) shut(ctx context.Context) (err error) {
	if s.member != nil {
		err = s.member.Leave(ctx)
	}
	if s.others != nil {
		s.others.Close()
	}
	if s.listed != nil {
		s.listed.Close()
	}
	return err
}

// ID returns the member's id.
func (s *Share) ID() string { return s.id }

// Member returns the membership in the group of those who divide the parts.
func (s *Share) Member() *group.Membership { return s.member }

// Context returns a context that ends when the share is over, with the cause: ErrLeft, client.ErrClosed, or what the servers refuse. It
// carries the values of Join's context.
func (s *Share) Context() context.Context { return s.ctx }

// Owned returns the parts that are this member's, by name; those among them that are about to move, too.
func (s *Share) Owned() []*Part {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Part
	for p := range s.owned {
		if p.ctx.Err() == nil {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *Part) int { return cmp.Compare(a.name, b.name) })
	return all
}

// Parts yields the parts as this member gets them, each once, whoever asks. Each has to be released. The loop ends with ctx, or when the share
// is over.
func (s *Share) Parts(ctx context.Context) iter.Seq[*Part] {
	return func(yield func(*Part) bool) {
		for {
			part, changed := s.next()
			if part != nil {
				if !yield(part) {
					return
				}
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			case <-s.ctx.Done():
				return
			}
		}
	}
}

// next returns a part that nobody was handed, or what to wait for.
func (s *Share) next() (*Part, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 || s.ctx.Err() != nil {
		return nil, s.changed
	}
	part := s.pending[0]
	s.pending = s.pending[1:]
	part.handed = true
	return part, nil
}

// SetWeight changes how much this member takes, and returns when it is written: what moves for that moves when the others have settled. With 0
// it takes nothing.
func (s *Share) SetWeight(ctx context.Context, weight int) error {
	if weight < 0 {
		return s.partition.failed("setweight", fmt.Errorf("%w: weight %d", client.ErrBadArguments, weight))
	}
	return s.member.Set(ctx, note{weight, s.partition.kind()}.text())
}

// Drain hands all parts to the others, who take them one by one without a gap, and returns when nothing is left. The member stays, with no
// weight.
func (s *Share) Drain(ctx context.Context) error {
	if err := s.SetWeight(ctx, 0); err != nil {
		return err
	}
	for {
		s.mu.Lock()
		weight, known := s.acting.weights[s.id]
		left, changed := len(s.seat), s.changed
		s.mu.Unlock()
		if left == 0 && known && weight == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-s.ctx.Done():
			return s.partition.failed("drain", context.Cause(s.ctx))
		case <-ctx.Done():
			return s.partition.failed("drain", context.Cause(ctx))
		}
	}
}

// Leave ends the share: the contexts of all parts end at once, each part is given up when its owner has let go, or Grace is over, and the
// member is registered no more. Leave returns when all that is certain; if ctx ends before, it fails with its cause and client.ErrUnknown while
// it goes on, and a further Leave waits for it.
func (s *Share) Leave(ctx context.Context) error { return s.leave(ctx, ErrLeft) }

func (s *Share) leave(ctx context.Context, cause error) error {
	s.end(cause)
	select {
	case <-s.over:
		if s.failure != nil {
			return s.partition.failed("leave", s.failure)
		}
		return nil
	case <-ctx.Done():
		return s.partition.failed("leave", fmt.Errorf("%w: %w", client.ErrUnknown, context.Cause(ctx)))
	}
}

// wakeLocked wakes those who wait for a change. The caller holds mu.
func (s *Share) wakeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// steer divides the parts anew whenever the members, or the parts, are others, until the share is over.
func (s *Share) steer() {
	var feet sync.WaitGroup
	defer feet.Wait()
	bell := make(chan struct{}, 1)
	ring := func() {
		select {
		case bell <- struct{}{}:
		default:
		}
	}
	feet.Go(func() { // ends with ctx, or the view
		for range s.others.Events(s.ctx) {
			ring()
		}
		s.end(s.others.Err())
	})
	feet.Go(func() { // ends with ctx, or the membership
		for range s.member.Watch(s.ctx) {
			ring()
		}
		s.end(context.Cause(s.member.Context()))
	})
	if s.listed != nil {
		feet.Go(func() { // ends with ctx, or the mirror
			for range s.listed.Watch(s.ctx) {
				ring()
			}
			s.end(s.listed.Err())
		})
	}
	defer func() { s.failure = s.shut(context.WithoutCancel(s.ctx)) }()
	settling := settler{wait: max(0, s.partition.opts.Settle)}
	for s.ctx.Err() == nil {
		wait := s.settle(&settling)
		select {
		case <-bell:
		case <-wait:
		case <-s.ctx.Done():
		}
	}
}

// settle acts if it is time, and returns when it may be next.
func (s *Share) settle(settling *settler) <-chan time.Time {
	if !s.others.StaleSince().IsZero() || s.listed != nil && !s.listed.StaleSince().IsZero() {
		return nil // who is there, and what, is not known
	}
	settling.see(time.Now(), s.census())
	if settling.act(time.Now()) || s.listed != nil && settling.began {
		s.assign(settling.acted)
	}
	if at, waits := settling.due(); waits {
		return time.After(time.Until(at))
	}
	return nil
}

// census is who is there at this moment.
func (s *Share) census() census {
	members := s.others.Members()
	mine := s.member.Status().Token
	return census{
		weights: s.partition.weights(members),
		me:      slices.ContainsFunc(members, func(m group.Member) bool { return m.ID == s.id && m.Token == mine }),
	}
}

// names are those of the parts.
func (s *Share) names() []string {
	if s.listed == nil {
		return s.partition.parts
	}
	var names []string
	for n := range s.listed.Children(s.partition.dir) {
		names = append(names, n.Path[strings.LastIndexByte(n.Path, '/')+1:])
	}
	return names
}

// assign tells each seat whose its part is, and makes seats for those that are to be this member's.
func (s *Share) assign(c census) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acting = c
	targets := make(map[string]string)
	lots := drawers(c.weights)
	for _, name := range s.names() {
		targets[name] = lots.choose(name)
	}
	for name, seat := range s.seat {
		seat.give(targets[name], c.me)
	}
	for name, target := range targets {
		if target == s.id && c.me && s.seat[name] == nil {
			seat := &seat{share: s, name: name, changed: make(chan struct{})}
			seat.give(target, true)
			s.seat[name] = seat
			s.seats.Go(seat.attend) // ends when the part is not wanted any more, or the share is over
		}
	}
	s.wakeLocked()
}

// Run is a member for as long as it runs: it calls own for each part that is this member's, each on a goroutine of its own, and never a second
// time for a part before the first has returned.
//
// The context that own is given is the part's: it ends, with a cause, before anybody else can own the part, and when ctx ends; Part.Moving
// tells before that. own should return soon after; until it has, for Options.Grace, nobody else gets the part, as long as the session
// lives. Where the session was lost or the node removed others may, which is why what own does outside should carry Part.Token.
//
// When own returns nil while the part is its, it is called again a second later, with another Part. When it returns an error then, Run
// gives everything up and returns that error. An error that comes when the part is not its any more is taken for a consequence, and logged.
//
// Run ends with ctx's cause, with client.ErrClosed, for a view with the cause of its session's end, with own's error, and with an error of the
// servers that would come again, such as client.ErrNoAuth; group.ErrTaken if another has its id. It waits for own to return; its nodes are
// then gone, or known to be going.
func (p *Partition) Run(ctx context.Context, own func(ctx context.Context, part *Part) error) error {
	s, err := p.Join(ctx)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { s.end(context.Cause(ctx)) })()
	var calls sync.WaitGroup
	for part := range s.Parts(ctx) {
		calls.Go(func() { // ends with own
			defer part.letGo()
			s.heed(part, own(part.ctx, part))
		})
	}
	calls.Wait()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	_ = s.leave(bounded, context.Cause(ctx)) // it goes on
	return p.failed("run", context.Cause(s.ctx))
}

// heed does what is to be done about what a function of Run has returned.
func (s *Share) heed(part *Part, err error) {
	if err == nil {
		return
	}
	if part.ctx.Err() == nil {
		s.end(err)
		return
	}
	cause := context.Cause(part.ctx)
	if !errors.Is(err, cause) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		s.partition.opts.Logger.Warn("owner's function failed when the part was not its any more", "path", s.partition.path, "part", part.name,
			"cause", cause, "error", err)
	}
}
