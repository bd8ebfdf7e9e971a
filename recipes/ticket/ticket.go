package ticket

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
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
	// Data is the node's data, for others to read. Default: empty.
	Data []byte
	// ACL is the node's, and that of directories made for it. Others must be able to list the directory. Default: the client's.
	ACL []client.ACL
	// Cleanup bounds how long Take, once its context ended, still waits for the removal of what it began; the removal itself goes on
	// until it is done or the session ends. Default: 5 s.
	Cleanup time.Duration
	// Foreign, if not nil, is told the names in the directory that are not tickets of the marker, whenever the line is read and
	// there are any. It is called on the goroutine that waits.
	Foreign func(names []string)
	// Waiting, if not nil, is told the nearest ticket ahead each time Wait begins to wait for it, on the goroutine that waits.
	Waiting func(ahead Place)
}

// Ticket is a place in a line, from Take until Return. Its methods may be called by many goroutines.
type Ticket struct {
	opts    Options
	dir     string
	marker  string
	place   Place
	czxid   int64
	session *client.Session
	view    *client.Client // bound to the session

	ctx    context.Context // ends with the place
	cancel context.CancelCauseFunc

	keeping   sync.Mutex // guards release
	release   func()     // lets the session go, which is kept; nil: it is not
	returning sync.Once
	removed   chan struct{} // closed when the node is known to be gone, or cannot be removed
	failure   error         // why it cannot; written before removed is closed
}

// Take joins the line in dir. It makes the directory as a container where it is missing. When it returns the ticket is in the line; whether
// it is first, Wait tells.
//
// When ctx ends before that, Take returns its cause after it has seen to it that no node stays behind: it waits for the removal for
// at most Options.Cleanup, and leaves the rest to the background. It fails with the cause of the session's end when the session
// ends meanwhile; the caller may then take another.
func Take(ctx context.Context, c *client.Client, dir, marker string, opts *Options) (*Ticket, error) {
	t := &Ticket{dir: dir, marker: marker, removed: make(chan struct{})}
	if opts != nil {
		t.opts = *opts
	}
	if t.opts.Cleanup == 0 {
		t.opts.Cleanup = DefaultCleanup
	}
	if marker == "" {
		return nil, &client.Error{Op: "take", Path: dir, Err: fmt.Errorf("%w: no marker", client.ErrBadArguments)}
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
		err := t.create(life)
		select {
		case joined <- err:
		case <-left:
			if t.place.Name != "" {
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

// create makes the node, reads what the server says about it, and starts to watch over it. When it fails with a node in the line, it
// leaves none.
func (t *Ticket) create(life context.Context) error {
	path, err := t.view.Create(life, join(t.dir, t.marker), t.opts.Data, &client.CreateOptions{
		Mode:      client.EphemeralSequential,
		ACL:       t.opts.ACL,
		Parents:   client.ContainerParents,
		Protected: true,
	})
	if err != nil {
		return err
	}
	var ok bool
	if t.place, ok = Parse(path[len(join(t.dir, "")):], t.marker); !ok {
		return &client.Error{Op: "take", Path: path, Err: fmt.Errorf("%w: the server made a name that is no ticket's", client.ErrDataInconsistency)}
	}
	w, err := t.look(life)
	if err != nil {
		_ = t.remove(life)
		t.place.Name = ""
		return err
	}
	return t.session.Go(func(context.Context) { t.guard(w) }) // ends with the place
}

// look reads the own node and sets a watch on it. It is ErrGone when the node is not there or not this session's.
func (t *Ticket) look(ctx context.Context) (*client.Watch, error) {
	stat, exists, w, err := t.view.ExistsW(ctx, t.Path())
	switch {
	case err != nil:
		return nil, err
	case !exists, stat.EphemeralOwner != t.session.ID(), t.czxid != 0 && stat.Czxid != t.czxid:
		return nil, &client.Error{Op: "take", Path: t.Path(), Err: ErrGone}
	}
	t.czxid = stat.Czxid
	return w, nil
}

// guard ends the place's context when somebody removes the node.
func (t *Ticket) guard(w *client.Watch) {
	for t.ctx.Err() == nil {
		if _, err := w.Wait(t.ctx); err != nil {
			return
		}
		next, err := t.check(t.ctx)
		if errors.Is(err, ErrGone) {
			t.lose(ErrGone)
		}
		w = next
		if err != nil {
			return
		}
	}
}

// check is look for a ticket that has its czxid, which is not written again.
func (t *Ticket) check(ctx context.Context) (*client.Watch, error) {
	stat, exists, w, err := t.view.ExistsW(ctx, t.Path())
	if err == nil && (!exists || stat.EphemeralOwner != t.session.ID() || stat.Czxid != t.czxid) {
		err = &client.Error{Op: "check", Path: t.Path(), Err: ErrGone}
	}
	return w, err
}

// Path returns the path of the ticket's node.
func (t *Ticket) Path() string { return join(t.dir, t.place.Name) }

// Place returns the ticket as others see it.
func (t *Ticket) Place() Place { return t.place }

// Token returns the transaction that created the ticket's node. In one line, a ticket that is first has a greater token than every
// ticket that was first before it, also when the directory was removed and made again in between: it fences off a former holder
// who does not know yet. Tokens of different ensembles, or from before a restore of old data, do not compare.
func (t *Ticket) Token() int64 { return t.czxid }

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
	line, foreign := places(names, t.marker)
	if len(foreign) > 0 && t.opts.Foreign != nil {
		t.opts.Foreign(foreign)
	}
	if !slices.Contains(line, t.place) {
		return nil, &client.Error{Op: "ahead", Path: t.Path(), Err: ErrGone}
	}
	var ahead, twins []Place
	for _, p := range line {
		switch {
		case before(p.Number, t.place.Number):
			ahead = append(ahead, p)
		case p.Number == t.place.Number && p.Name != t.place.Name:
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
		stat, exists, err := t.view.Exists(ctx, join(t.dir, p.Name))
		if err != nil {
			return nil, err
		}
		if exists && stat.Czxid < t.czxid {
			created[p.Name] = stat.Czxid
		}
	}
	older := slices.DeleteFunc(twins, func(p Place) bool { return created[p.Name] == 0 })
	slices.SortFunc(older, func(a, b Place) int { return int(min(max(created[a.Name]-created[b.Name], -1), 1)) })
	return older, nil
}

// Wait returns nil when the ticket is the first in the line: when it found nobody ahead, and after that its own node in place, in a session
// that is sure to live and is kept from then on. It fails with ctx's cause, leaving the ticket where it is, or with the cause of
// the place's end.
func (t *Ticket) Wait(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.ctx, func() { cancel(context.Cause(t.ctx)) })()
	for {
		ahead, err := t.Ahead(ctx)
		if err != nil {
			return err
		}
		if len(ahead) == 0 {
			return t.confirm(ctx)
		}
		nearest := ahead[len(ahead)-1]
		w, err := t.watch(ctx, nearest)
		if err != nil {
			return err
		}
		if w == nil {
			continue // gone already
		}
		if t.opts.Waiting != nil {
			t.opts.Waiting(nearest)
		}
		if _, err := w.Wait(ctx); err != nil {
			return &client.Error{Op: "wait", Path: t.Path(), Err: err}
		}
	}
}

// First tells whether the ticket is the first in the line at this moment, as Wait would find it.
func (t *Ticket) First(ctx context.Context) (bool, error) {
	ahead, err := t.Ahead(ctx)
	if err != nil || len(ahead) > 0 {
		return false, err
	}
	return true, t.confirm(ctx)
}

// confirm proves that the place is this session's, behind the listing that found nobody ahead, and that the session lives, of which the
// server that was asked may not know.
func (t *Ticket) confirm(ctx context.Context) error {
	if _, err := t.check(ctx); err != nil {
		return err
	}
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

// watch sets a watch on another ticket, nil if it is gone. It reads the data rather than asking for existence, which would leave a watch
// for the node's creation behind; existence is the way out where the data may not be read.
func (t *Ticket) watch(ctx context.Context, p Place) (*client.Watch, error) {
	path := join(t.dir, p.Name)
	_, _, w, err := t.view.GetW(ctx, path)
	if errors.Is(err, client.ErrNoAuth) {
		var exists bool
		if _, exists, w, err = t.view.ExistsW(ctx, path); err == nil && !exists {
			return nil, nil
		}
	}
	if errors.Is(err, client.ErrNoNode) {
		return nil, nil
	}
	return w, err
}

// Return leaves the line: the ticket's context ends first, then its node is removed, and Return returns when it is certain that the node is
// gone, which the end of its session makes certain too. If ctx ends before that, Return fails with ctx's cause and client.ErrUnknown; the
// removal goes on by itself, and a further Return waits for it. It fails with ErrNoAuth if the directory's ACL does not let
// this client remove children: then the node stays until the session ends.
func (t *Ticket) Return(ctx context.Context) error {
	t.returning.Do(func() {
		t.lose(ErrReturned)
		err := t.session.Go(func(life context.Context) {
			t.failure = t.remove(life)
			close(t.removed)
		})
		if err != nil { // the session is over
			close(t.removed)
		}
	})
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

// remove deletes the node until that is certain or the session is over. The name is this ticket's alone, so to delete once more can hit
// nobody else.
func (t *Ticket) remove(life context.Context) error {
	for {
		err := t.view.Delete(life, t.Path(), client.AnyVersion)
		switch {
		case err == nil, errors.Is(err, client.ErrNoNode), t.session.Err() != nil:
			return nil
		case errors.Is(err, client.ErrUnknown), errors.Is(err, client.ErrConnectionLoss), errors.Is(err, client.ErrThrottled):
		default:
			return err
		}
		pause := time.NewTimer(10 * time.Millisecond)
		select {
		case <-pause.C:
		case <-life.Done():
			pause.Stop()
			return nil
		}
	}
}

// Line returns the tickets of a marker in a directory, first to last. A directory that does not exist holds none.
func Line(ctx context.Context, c *client.Client, dir, marker string) ([]Place, error) {
	names, _, err := c.Children(ctx, dir)
	if err != nil && !errors.Is(err, client.ErrNoNode) {
		return nil, err
	}
	line, _ := places(names, marker)
	return line, nil
}

func join(dir, name string) string {
	if dir == "/" {
		return dir + name
	}
	return dir + "/" + name
}
