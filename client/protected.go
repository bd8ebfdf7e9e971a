package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
)

// protectedPrefix opens the name of a protected node, here as in Curator and go-zookeeper.
const protectedPrefix = "_c_"

// NewProtectionID returns a fresh id for a protected create: a random UUID in the dashed, lower-case form of 36 characters, as Curator
// writes it.
func NewProtectionID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: the program ends instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// ParseProtected takes a protected name apart into the id of its create and the rest of the name. Both known forms of ids are read:
// the 36 characters of Curator, and the 32 of go-zookeeper. A name that is not protected, or only begins like it, is not ok.
func ParseProtected(name string) (id, rest string, ok bool) {
	after, ok := strings.CutPrefix(name, protectedPrefix)
	if !ok {
		return "", name, false
	}
	for _, n := range []int{36, 32} {
		if len(after) > n && after[n] == '-' && isProtectionID(after[:n]) {
			return after[:n], after[n+1:], true
		}
	}
	return "", name, false
}

// isProtectionID tells whether s is 32 hexadecimal digits, or a UUID with its four dashes.
func isProtectionID(s string) bool {
	if len(s) != 32 && len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		dash := len(s) == 36 && (i == 8 || i == 13 || i == 18 || i == 23)
		hex := '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
		if dash != (c == '-') || (!dash && !hex) {
			return false
		}
	}
	return true
}

// createProtected creates a node whose name tells which create made it, and sees to it that a lost answer leaves neither doubt nor a
// second node. A create whose caller leaves is undone, unless the caller has an id to look for it.
func (c *Client) createProtected(ctx context.Context, path string, data []byte, o *creation) (Created, error) {
	s, err := c.AwaitSession(ctx)
	if err != nil {
		return Created{}, &Error{Op: "create", Path: path, Err: reason(err)}
	}
	if o.ProtectionID != "" {
		return protect(ctx, c.In(s), path, data, o, o.ProtectionID)
	}
	id := NewProtectionID()
	made, err := outlive(ctx, s, func(work context.Context) (Created, error) {
		made, err := protect(work, c.In(s), path, data, o, id)
		if errors.Is(err, ErrUnknown) && !o.Mode.ephemeral() { // an ephemeral one ends with the session
			c.reapLater(s, parentOf(path), id)
		}
		return made, err
	}, func(life context.Context, made Created, err error) {
		if err != nil {
			return
		}
		reap(life, c.In(s), made.Path)
		if life.Err() != nil && !o.Mode.ephemeral() {
			c.reapLater(s, parentOf(path), id)
		}
	})
	return made, withPath(err, path)
}

// outlive does work on a goroutine of the session, which goes on when ctx ends: then the caller leaves with ErrUnknown, and left hears what
// has become of it.
func outlive[T any](
	ctx context.Context, s *Session, work func(context.Context) (T, error), left func(life context.Context, v T, err error),
) (T, error) {
	type outcome struct {
		v   T
		err error
	}
	var (
		none T
		done = make(chan outcome)  // taken by the caller, unless it left
		gone = make(chan struct{}) // closed by the caller when it leaves
	)
	err := s.Go(func(life context.Context) {
		at, cancel := context.WithCancelCause(context.WithoutCancel(ctx)) // with the caller's spans, and not its end
		defer cancel(nil)
		defer context.AfterFunc(life, func() { cancel(context.Cause(life)) })()
		v, err := work(at)
		select {
		case done <- outcome{v, err}:
		case <-gone:
			left(life, v, err)
		}
	})
	if err != nil {
		return none, err
	}
	select {
	case o := <-done:
		return o.v, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-done: // it counts
		return o.v, o.err
	default:
		close(gone)
		return none, unknown(context.Cause(ctx))
	}
}

// protect makes a node with an id in its name, and asks, in the same session and behind a sync, whether it is there when the answer is lost.
// All its tries run in one session.
func protect(ctx context.Context, view *Client, path string, data []byte, o *creation, id string) (Created, error) {
	dir, base := parentOf(path), path[strings.LastIndexByte(path, '/')+1:]
	named := Join(dir, protectedPrefix+id+"-"+base)
	for {
		made, err := view.createWithParents(ctx, named, data, o)
		if !errors.Is(err, ErrUnknown) || ctx.Err() != nil || view.pin.Err() != nil {
			return made, withPath(err, path)
		}
		found, ok, lookErr := view.FindProtected(ctx, dir, id)
		switch {
		case lookErr != nil:
			// The create has failed with an outcome that stays unknown.
			return Created{}, &Error{Op: "create", Path: path, Err: fmt.Errorf("%w; looking for it: %w", reason(err), reason(lookErr))}
		case ok:
			return Created{Path: found}, nil
		}
	}
}

// reap deletes a node that nobody else can know of, until that is certain, or not allowed, or the session is over.
func reap(life context.Context, view *Client, path string) {
	pauses := newPacer(view.opts.Retry())
	for {
		err := view.delete(life, path, AnyVersion)
		if err == nil || isNoNode(err) || errors.Is(err, ErrNoAuth) || sleep(life, pauses.next()) != nil {
			return
		}
	}
}

// reapLater deletes the node of a create that was under way when its session ended. The servers may still have carried it out: until the
// session has ended there too, for which twice its timeout is long enough, the node is looked for in the sessions that follow.
func (c *Client) reapLater(s *Session, dir, id string) {
	patience := 2 * s.Timeout()
	until := time.Now().Add(patience)
	c.leftovers.Go(func() { // ends when the node is known to be gone, or may not be removed, or the client is closed
		now := &Client{core: c.core, base: c.base}
		for {
			late := time.Now().After(until)
			path, found, err := now.FindProtected(c.life, dir, id)
			if found {
				err = now.delete(c.life, path, AnyVersion)
			}
			if errors.Is(err, ErrNoAuth) || late && !found && err == nil || sleep(c.life, patience/8) != nil {
				return
			}
		}
	})
}

// withPath puts the path the caller knows into an error about one made from it.
func withPath(err error, path string) error {
	if err == nil {
		return nil
	}
	return &Error{Op: "create", Path: path, Err: reason(err)}
}

// FindProtected looks below dir for the node a protected create with this id made, and returns its path. It sees every create of its
// own session that was sent before: a view bound to the session that created may take a negative answer as proof.
func (c *Client) FindProtected(ctx context.Context, dir, id string) (path string, ok bool, err error) {
	if err := c.Sync(ctx, dir); err != nil {
		return "", false, err
	}
	names, _, err := c.Children(ctx, dir)
	if err != nil {
		if isNoNode(err) {
			err = nil
		}
		return "", false, err
	}
	for _, name := range names {
		if found, _, ok := ParseProtected(name); ok && found == id {
			return Join(dir, name), true, nil
		}
	}
	return "", false, nil
}
