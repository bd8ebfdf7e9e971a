package ticket

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// DefaultCleanup is how long Take waits for its traces to be removed when it is cancelled.
const DefaultCleanup = 5 * time.Second

// Why a ticket's context ended, beside the end of its session.
var (
	// ErrReturned is the cause when the ticket was returned by its owner.
	ErrReturned = errors.New("ticket returned")
	// ErrGone is the cause when somebody else removed the ticket's node.
	ErrGone = errors.New("ticket's node was removed")
)

// Options say how a ticket is taken. The zero value works, and nil means the zero value.
type Options struct {
	// Data is the node's data, for others to read; not nil and of no length it is empty. Default: Identity.
	Data []byte
	// Label stands before the marker in the node's name, for others to read in a listing. It makes no difference to the order, and no
	// other kind of ticket: whoever knows the marker, Curator among them, reads past it. Default: none.
	Label string
	// ACL is the node's, and that of directories made for it. Others must be able to list the directory. Default: the client's.
	ACL []client.ACL
	// Cleanup bounds how long Take, once its context ended, still waits for the removal of what it began; the removal itself goes on
	// until it is done or the session ends. Default: 5 s.
	Cleanup time.Duration
	// Others are further markers, whose tickets stand in the same line. Default: the ticket's own is the only one.
	Others []string
	// Rule tells for which of the tickets ahead this one waits, the nearest being the last of them; nil: it is its turn, and stays so when
	// some of those have left. It is called again when that one has left, leaves what it is given as it is, and may be called more than
	// once for the same. Default: it waits for the nearest, if there is one.
	Rule func(ahead []Place) *Place
	// Foreign, if not nil, is told the names in the directory that are not tickets of the line, whenever the line is read and
	// there are any. It is called on the goroutine that waits.
	Foreign func(names []string)
	// Waiting, if not nil, is told the ticket ahead that is waited for each time Wait begins to wait for it, on the goroutine that waits.
	Waiting func(ahead Place)
	// Written, if not nil, is told what the node's data are after somebody has written to them, on the goroutine that watches over the
	// place. Changes that come quickly are told as one. Nothing is told where the ACL does not let the ticket's owner read.
	Written func(data []byte)
	// Leaving, if not nil, is called before the node is removed for Return, and for nothing else, on the goroutine that removes it. ctx ends
	// with the session; until Leaving returns, whoever is behind waits.
	Leaving func(ctx context.Context)
}

// Ticket is a place in a line, from Take until Return. Its methods may be called by many goroutines.
type Ticket struct {
	opts    Options
	dir     string
	markers []string // of the line, its own first
	token   int64
	session *client.Session
	view    *client.Client // bound to the session

	ctx    context.Context // ends with the place
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	stand stand    // what it is in the line by
	next  *Place   // what that is being exchanged for, if it was ever tried; nil again when it is done
	early []string // the directory as it was listed when the node was there; nil: used, or not known

	keeping   sync.Mutex // guards release
	release   func()     // lets the session go, which is kept; nil: it is not
	returning sync.Once
	removed   chan struct{} // closed when the node is known to be gone, or cannot be removed
	failure   error         // why it cannot; written before removed is closed
}

// stand is a node of the ticket's own.
type stand struct {
	place Place
	czxid int64 // 0: not known yet
}

// Take joins the line in dir. It makes the directory as a container where it is missing. When it returns the ticket is in the line; whether
// it is first, Wait tells.
//
// When ctx ends before that, Take returns its cause after it has seen to it that no node stays behind: it waits for the removal for
// at most Options.Cleanup, and leaves the rest to the background. It fails with the cause of the session's end when the session
// ends meanwhile; the caller may then take another; and with client.ErrBadArguments if numbers could not be told from the marker: if that is
// empty, or a part of what servers put behind it.
func Take(ctx context.Context, c *client.Client, dir, marker string, opts *Options) (*Ticket, error) {
	t := &Ticket{dir: dir, removed: make(chan struct{})}
	if opts != nil {
		t.opts = *opts
	}
	t.markers = append([]string{marker}, t.opts.Others...)
	if t.opts.Rule == nil {
		t.opts.Rule = nearest
	}
	if t.opts.Cleanup == 0 {
		t.opts.Cleanup = DefaultCleanup
	}
	if t.opts.Data == nil {
		t.opts.Data = []byte(Identity())
	}
	if !readable(marker) {
		return nil, &client.Error{Op: "take", Path: dir, Err: fmt.Errorf("%w: %q is no marker", client.ErrBadArguments, marker)}
	}
	s, err := c.AwaitSession(ctx)
	if err != nil {
		return nil, err
	}
	t.session, t.view = s, c.In(s)
	t.ctx, t.cancel = context.WithCancelCause(s.Context())
	if err := t.join(ctx); err != nil {
		t.cancel(err)
		return nil, err
	}
	return t, nil
}

// join makes the node on a goroutine of the session, which carries on when the caller has left: then it removes what it made. The
// caller's context must not reach the create, since what became of a create that was given up could not be known.
func (t *Ticket) join(ctx context.Context) error {
	var (
		joined = make(chan error)    // taken by the caller, unless it left
		left   = make(chan struct{}) // closed by the caller when it leaves
		clean  = make(chan struct{}) // closed when nothing is left to do
	)
	err := t.session.Go(func(life context.Context) {
		defer close(clean)
		err := t.create(telemetry.Below(ctx, life))
		select {
		case joined <- err:
		case <-left:
			if err == nil {
				_ = t.remove(life)
			}
		}
	})
	if err != nil {
		return err
	}
	select {
	case err := <-joined:
		return err
	case <-ctx.Done():
	}
	close(left)
	patience := time.NewTimer(t.opts.Cleanup)
	defer patience.Stop()
	select {
	case err := <-joined: // both were ready
		if err == nil {
			return nil // having joined counts
		}
	case <-clean:
	case <-patience.C:
	}
	return &client.Error{Op: "take", Path: t.dir, Err: context.Cause(ctx)}
}

// create makes the node and reads the line right behind it, since whoever took a ticket will want to know, and starts to watch over it. When
// it fails with a node in the line, it leaves none.
func (t *Ticket) create(life context.Context) error {
	made, err := t.view.CreateAndList(life, client.Join(t.dir, t.opts.Label+t.markers[0]), t.opts.Data, &client.CreateOptions{
		Mode:      client.EphemeralSequential,
		ACL:       t.opts.ACL,
		Parents:   client.ContainerParents,
		Protected: true,
	})
	if err != nil {
		return err
	}
	place, ok := Parse(made.Path[len(client.Join(t.dir, "")):], t.markers[0])
	if !ok {
		return &client.Error{Op: "take", Path: made.Path, Err: fmt.Errorf("%w: the server made a name that is no ticket's", client.ErrDataInconsistency)}
	}
	t.stand, t.early = stand{place, made.Stat.Czxid}, made.Names // nobody else has the ticket yet
	own := sight{stat: made.Stat}
	if made.Stat.EphemeralOwner != t.session.ID() { // the answer was lost: zero
		own, err = t.check(life)
	}
	if err == nil {
		t.token = t.stand.czxid
		err = t.session.Go(func(context.Context) { t.guard(own) }) // ends with the place
	}
	if err != nil {
		_ = t.remove(life)
	}
	return err
}

// guard ends the place's context when somebody removes the node, and tells when somebody writes to it. Nobody waits until it has looked for
// the first time: what was done before is found then, and told as what is done later.
func (t *Ticket) guard(own sight) {
	for told := int32(0); ; {
		if v := own.stat.Version; v != told && own.data != nil && t.opts.Written != nil {
			t.opts.Written(own.data)
			told = v
		}
		var err error
		if own.watch != nil {
			_, err = own.watch.Wait(t.ctx)
		}
		if err == nil {
			own, err = t.check(t.ctx)
		}
		if errors.Is(err, ErrGone) {
			t.lose(ErrGone)
		}
		if err != nil {
			return
		}
	}
}

// check looks at the own node, or at the one it was exchanged for. It is ErrGone when the node is not there or not this session's.
func (t *Ticket) check(ctx context.Context) (sight, error) {
	for {
		stands := t.stands()
		for _, s := range stands {
			own, err := t.look(ctx, s.place)
			if err != nil {
				return own, err
			}
			if own.watch != nil && own.stat.EphemeralOwner == t.session.ID() && (s.czxid == 0 || s.czxid == own.stat.Czxid) {
				t.seen(stand{s.place, own.stat.Czxid})
				return own, nil
			}
		}
		if slices.Equal(stands, t.stands()) { // or an exchange was begun, or done, meanwhile
			return sight{}, &client.Error{Op: "check", Path: t.Path(), Err: ErrGone}
		}
	}
}

// stands are the nodes this ticket may be in the line by: the present one, and if that is gone what it was to be exchanged for.
func (t *Ticket) stands() []stand {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next == nil {
		return []stand{t.stand}
	}
	return []stand{t.stand, {place: *t.next}}
}

// seen remembers that the ticket was seen at one of its stands, unless it has been seen at a later one.
func (t *Ticket) seen(s stand) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.stand.place == s.place:
		t.stand.czxid = s.czxid
	case t.next != nil && *t.next == s.place:
		t.stand, t.next = s, nil
	}
}

// Path returns the path of the ticket's node.
func (t *Ticket) Path() string { return client.Join(t.dir, t.Place().Name) }

// Place returns the ticket as others see it. It changes when the ticket is exchanged.
func (t *Ticket) Place() Place {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stand.place
}

// Token returns the transaction that created the ticket's node, the first one if it was exchanged. In one line where everybody waits for
// all ahead, a ticket that is first has a greater token than every ticket that was first before it, also when the directory was removed and
// made again in between: it fences off a former holder who does not know yet. Tokens of different ensembles, or from before a restore of
// old data, do not compare.
func (t *Ticket) Token() int64 { return t.token }

// Session returns the session the ticket belongs to.
func (t *Ticket) Session() *client.Session { return t.session }

// Context returns a context that ends when the place is lost: with the cause of the session's end, with ErrGone, or with ErrReturned.
// Once the ticket is known to be the first its session is kept, see client.Session.Keep: the context's Err looks at the clocks.
func (t *Ticket) Context() context.Context { return placeContext{t.ctx, t.session} }

// placeContext is a ticket's context, which asks for the session's end before it says that there is none.
type placeContext struct {
	context.Context
	session *client.Session
}

// Err is context.Context's.
func (c placeContext) Err() error {
	_ = c.session.Err() // ends the session, and with it the context, if its time is over
	return c.Context.Err()
}

// Ahead returns the tickets ahead of this one, the nearest last. It is ErrGone when this one is not in the line any more.
func (t *Ticket) Ahead(ctx context.Context) ([]Place, error) {
	names, _, err := t.view.Children(ctx, t.dir)
	if err != nil && !errors.Is(err, client.ErrNoNode) {
		return nil, err
	}
	return t.aheadIn(ctx, names)
}

// atFirst is Ahead, once by the list that was read when the ticket was taken: those who were ahead then may have left since, but nobody
// has come in between.
func (t *Ticket) atFirst(ctx context.Context) ([]Place, error) {
	t.mu.Lock()
	names := t.early
	t.early = nil
	t.mu.Unlock()
	if names == nil {
		return t.Ahead(ctx)
	}
	return t.aheadIn(ctx, names)
}

func (t *Ticket) aheadIn(ctx context.Context, names []string) ([]Place, error) {
	line, foreign := places(names, t.markers)
	if len(foreign) > 0 && t.opts.Foreign != nil {
		t.opts.Foreign(foreign)
	}
	own := t.Place()
	if !slices.Contains(line, own) {
		return nil, &client.Error{Op: "ahead", Path: t.Path(), Err: ErrGone}
	}
	var ahead, twins []Place
	for _, p := range line {
		switch {
		case before(p.Number, own.Number):
			ahead = append(ahead, p)
		case p.Number == own.Number && p.Name != own.Name:
			twins = append(twins, p)
		}
	}
	older, err := t.older(ctx, twins)
	return append(ahead, older...), err
}

// older returns those of the tickets with this one's number that were created before it, in that order.
func (t *Ticket) older(ctx context.Context, twins []Place) ([]Place, error) {
	created := make(map[string]int64)
	for _, p := range twins {
		stat, exists, err := t.view.Exists(ctx, client.Join(t.dir, p.Name))
		if err != nil {
			return nil, err
		}
		if exists && stat.Czxid < t.token {
			created[p.Name] = stat.Czxid
		}
	}
	older := slices.DeleteFunc(twins, func(p Place) bool { return created[p.Name] == 0 })
	slices.SortFunc(older, func(a, b Place) int { return int(min(max(created[a.Name]-created[b.Name], -1), 1)) })
	return older, nil
}

// Wait returns nil when it is the ticket's turn: when it found itself in the line and nobody ahead, or nobody its rule waits for, in a session
// that is sure to live and is kept from then on. It fails with ctx's cause, leaving the ticket where it is, or with the cause of the
// place's end.
//
// Nothing is read again once the list says that it is the ticket's turn, and nothing needs to be. The list, which is younger than the node,
// had the own name in it, which is nobody else's, and nobody comes in ahead of a node that is there: so the place was the first then. That
// the node belongs to this session the servers said when they made it, and it cannot change. It can only have been removed since: by the
// end of the session, which a majority rules out, at a moment behind the list; or by somebody, of which the read tells that is sent as
// soon as the ticket was taken, or the watch it leaves.
func (t *Ticket) Wait(ctx context.Context) error {
	ctx, cancel := t.within(ctx)
	defer cancel()
	ahead, err := t.atFirst(ctx)
	for err == nil {
		blocker := t.opts.Rule(ahead)
		if blocker == nil {
			return t.confirm(ctx)
		}
		if err := t.await(ctx, *blocker); err != nil {
			return err
		}
		var sure func()
		ahead, sure, err = t.lookAgain(ctx)
		defer sure()
	}
	return err
}

// within returns a context that ends with ctx, and with the place.
func (t *Ticket) within(ctx context.Context) (within context.Context, cancel func()) {
	within, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(t.ctx, func() { end(context.Cause(t.ctx)) })
	return within, func() { stop(); end(nil) }
}

// await returns when another ticket has left, or may have.
func (t *Ticket) await(ctx context.Context, p Place) error {
	other, err := t.look(ctx, p)
	if err != nil || other.watch == nil { // nil: gone already
		return err
	}
	if t.opts.Waiting != nil {
		t.opts.Waiting(p)
	}
	if _, err := other.watch.Wait(ctx); err != nil {
		return &client.Error{Op: "wait", Path: t.Path(), Err: err}
	}
	return nil
}

// lookAgain is Ahead for a ticket whose turn it probably is, and if so makes sure of the session until sure is called: at the same time,
// since after a long wait both take an answer of the servers.
func (t *Ticket) lookAgain(ctx context.Context) (ahead []Place, sure func(), err error) {
	keeping, cancel := context.WithCancel(ctx)
	defer cancel()
	kept := make(chan func(), 1)
	go func() { // ends with Keep, at the latest when it is cancelled, and is waited for
		release, err := t.session.Keep(keeping)
		if err != nil {
			release = func() {} // confirm tries it again, and tells
		}
		kept <- release
	}()
	ahead, err = t.Ahead(ctx)
	if err == nil && t.opts.Rule(ahead) == nil {
		return ahead, <-kept, nil
	}
	cancel()
	(<-kept)() // nobody is sure of a session for waiting
	return ahead, func() {}, err
}

// nearest is the rule of who waits for everybody ahead.
func nearest(ahead []Place) *Place {
	if len(ahead) == 0 {
		return nil
	}
	return &ahead[len(ahead)-1]
}

// First tells whether it is the ticket's turn at this moment, as Wait would find it, and fails as Wait does.
func (t *Ticket) First(ctx context.Context) (bool, error) {
	ctx, cancel := t.within(ctx)
	defer cancel()
	ahead, err := t.atFirst(ctx)
	if err == nil && t.opts.Rule(ahead) != nil {
		ahead, err = t.Ahead(ctx) // unless some have left since
	}
	if err != nil || t.opts.Rule(ahead) != nil {
		return false, err
	}
	return true, t.confirm(ctx)
}

// confirm makes sure, behind the listing by which it is the ticket's turn, that the session lives, of which the server that was asked
// may not know, and keeps it.
func (t *Ticket) confirm(ctx context.Context) error {
	if err := t.keep(ctx); err != nil {
		return &client.Error{Op: "wait", Path: t.Path(), Err: err}
	}
	if t.Context().Err() != nil {
		return &client.Error{Op: "wait", Path: t.Path(), Err: context.Cause(t.ctx)}
	}
	return nil
}

// keep keeps the session until the place is lost.
func (t *Ticket) keep(ctx context.Context) (err error) {
	t.keeping.Lock()
	defer t.keeping.Unlock()
	if t.release == nil && t.ctx.Err() == nil {
		t.release, err = t.session.Keep(ctx)
	}
	return err
}

// lose ends the place's context, and lets the session go.
func (t *Ticket) lose(cause error) {
	t.cancel(cause)
	t.keeping.Lock()
	defer t.keeping.Unlock()
	if t.release != nil {
		t.release()
	}
}

// sight is a node of the line as it was seen, and a watch on it. There is none if the node is gone.
type sight struct {
	data  []byte
	stat  client.Stat
	watch *client.Watch
}

// look looks at a node of the line and sets a watch on it. It reads the data rather than asking for existence, which would leave a watch
// for the node's creation behind; existence is the way out where the data may not be read.
func (t *Ticket) look(ctx context.Context, p Place) (s sight, err error) {
	path := client.Join(t.dir, p.Name)
	s.data, s.stat, s.watch, err = t.view.GetW(ctx, path)
	if errors.Is(err, client.ErrNoAuth) {
		var exists bool
		s.stat, exists, s.watch, err = t.view.ExistsW(ctx, path)
		if !exists {
			s.watch = nil
		}
	}
	if errors.Is(err, client.ErrNoNode) {
		return sight{}, nil
	}
	return s, err
}

// Exchange gives a ticket that is the first of all another marker, one of Options.Others, in its place: there is no moment at which
// somebody else is first. One transaction makes a node with the new marker, the same id and the same number, and removes the old one. (A
// ticket with the last number there is, which Apache's newer servers give out again and again, gets the number before it.) The ticket's
// context goes on; its token stays.
//
// What was lost on the way is done again until ctx ends; if the error has client.ErrUnknown then, the ticket is in its place by one node
// or the other, and to exchange it again finds out. To do it again is no error. It fails with ErrGone if somebody removed
// the node.
func (t *Ticket) Exchange(ctx context.Context, marker string) error {
	old, next, err := t.exchange(marker)
	if err != nil || old == next {
		return err
	}
	failed := func(err error) error {
		return &client.Error{Op: "exchange", Path: client.Join(t.dir, old.Name), Err: err}
	}
	for doubt := false; ; {
		_, err := t.view.Multi(ctx,
			client.CreateOp(client.Join(t.dir, next.Name), t.opts.Data, &client.CreateOptions{Mode: client.Ephemeral, ACL: t.opts.ACL}),
			client.DeleteOp(client.Join(t.dir, old.Name), client.AnyVersion))
		switch {
		case err == nil, errors.Is(err, client.ErrNodeExists): // nobody else makes this name
			t.seen(stand{place: next})
			return nil
		case t.ctx.Err() != nil:
			return failed(context.Cause(t.ctx))
		case errors.Is(err, client.ErrNoNode):
			return failed(ErrGone)
		}
		doubt = doubt || errors.Is(err, client.ErrUnknown)
		if retry.Transient(err) && retry.Pause(ctx, retry.Soon) {
			continue
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if doubt { // this try or one before it
			err = fmt.Errorf("%w: %w", client.ErrUnknown, err)
		}
		return failed(err)
	}
}

// exchange decides what is exchanged for what, and tells Return of it; the two are equal if it is done.
func (t *Ticket) exchange(marker string) (old, next Place, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old = t.stand.place
	switch {
	case t.ctx.Err() != nil: // Return may have begun, and not know of another node to remove
		return old, next, &client.Error{Op: "exchange", Path: client.Join(t.dir, old.Name), Err: context.Cause(t.ctx)}
	case !slices.Contains(t.markers, marker):
		err = fmt.Errorf("%w: no marker of this line: %q", client.ErrBadArguments, marker)
		return old, next, &client.Error{Op: "exchange", Path: client.Join(t.dir, old.Name), Err: err}
	case old.Marker == marker:
		return old, old, nil
	}
	next = old
	next.Marker = marker
	if next.Number == math.MaxInt32 {
		next.Number--
	}
	next.Name = next.name()
	t.next = &next
	return old, next, nil
}

// Return leaves the line: the ticket's context ends first, then its node is removed, and Return returns when it is certain that the node is
// gone, which the end of its session makes certain too. If ctx ends before that, Return fails with ctx's cause and client.ErrUnknown; the
// removal goes on by itself, and a further Return waits for it. It fails with ErrNoAuth if the directory's ACL does not let
// this client remove children: then the node stays until the session ends.
func (t *Ticket) Return(ctx context.Context) error {
	t.leave(ErrReturned)
	select {
	case <-t.removed:
		return t.failure
	default:
	}
	select {
	case <-t.removed:
		return t.failure
	case <-ctx.Done():
		return &client.Error{Op: "return", Path: t.Path(), Err: fmt.Errorf("%w: %w", client.ErrUnknown, context.Cause(ctx))}
	}
}

// Abandon leaves the line for a reason, which is the cause of the end of the ticket's context, and does not wait until the node is gone:
// Return does. It does nothing if the ticket was returned or abandoned before.
func (t *Ticket) Abandon(reason error) { t.leave(reason) }

// leave ends the place and has its node removed.
func (t *Ticket) leave(reason error) {
	t.returning.Do(func() {
		orderly := t.ctx.Err() == nil && reason == ErrReturned
		t.lose(reason)
		err := t.session.Go(func(life context.Context) {
			if orderly && t.opts.Leaving != nil {
				t.opts.Leaving(life)
			}
			t.failure = t.remove(life)
			close(t.removed)
		})
		if err != nil { // the session is over
			close(t.removed)
		}
	})
}

// remove deletes the node until that is certain or the session is over, and then the one it may have been exchanged for: once the
// first is gone no exchange succeeds any more. The names are this ticket's alone, so to delete once more can hit nobody else.
func (t *Ticket) remove(life context.Context) error {
	for _, s := range t.stands() {
		if err := t.removeNode(life, client.Join(t.dir, s.place.Name)); err != nil {
			return err
		}
	}
	return nil
}

func (t *Ticket) removeNode(life context.Context, path string) error {
	for {
		err := t.view.Delete(life, path, client.AnyVersion)
		switch {
		case err == nil, errors.Is(err, client.ErrNoNode), t.session.Err() != nil:
			return nil
		case !retry.Transient(err):
			return err
		}
		if !retry.Pause(life, retry.Soon) {
			return nil
		}
	}
}

// Line returns the tickets of some markers in a directory, first to last; of those with the same number in no particular order. A
// directory that does not exist holds none.
func Line(ctx context.Context, c *client.Client, dir string, markers ...string) ([]Place, error) {
	names, _, err := c.Children(ctx, dir)
	if err != nil && !errors.Is(err, client.ErrNoNode) {
		return nil, err
	}
	line, _ := places(names, markers)
	return line, nil
}
