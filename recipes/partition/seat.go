package partition

import (
	"context"
	"errors"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/retry"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/lock"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// rest is the time between a part that was released by its owner, and its being taken again.
const rest = time.Second

// seat is where this member stands for one part: it wants it, has it, or lets it go.
type seat struct {
	share *Share
	name  string

	// Guarded by the share's mutex.
	target  string          // whose the part is to be; "": nobody's
	wanted  bool            // that is this member
	wanting context.Context // while it is
	unwant  context.CancelFunc
	changed chan struct{} // closed and replaced when target changes
}

// give tells whose the part is to be. The caller holds the share's mutex.
func (t *seat) give(target string, me bool) {
	wanted := me && target == t.share.id
	if target == t.target && wanted == t.wanted {
		return
	}
	t.target = target
	if wanted && !t.wanted {
		t.wanting, t.unwant = context.WithCancel(t.share.ctx)
	}
	if !wanted && t.wanted {
		t.unwant()
	}
	t.wanted = wanted
	close(t.changed)
	t.changed = make(chan struct{})
}

// look returns whose the part is to be, and a channel that is closed when that may be another.
func (t *seat) look() (target string, wanted bool, changed <-chan struct{}) {
	t.share.mu.Lock()
	defer t.share.mu.Unlock()
	return t.target, t.wanted, t.changed
}

// attend takes the part, keeps it and gives it up, until it is not wanted any more.
func (t *seat) attend() {
	s := t.share
	for {
		wanting := t.stay()
		if wanting == nil {
			return
		}
		ctx, wait := s.partition.kit.Wait(wanting, &measured, s.partition.locks(t.name))
		hold, err := s.partition.mutex(t.name, s.id).Lock(ctx)
		switch {
		case err == nil:
			t.own(hold, wanting, wait)
			continue
		case wanting.Err() == nil:
			s.end(err)
		}
		wait.Failed(err)
	}
}

// stay returns a context that lasts as long as the part is wanted, or nil: then there is no seat any more.
func (t *seat) stay() context.Context {
	s := t.share
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.wanted && s.ctx.Err() == nil {
		return t.wanting
	}
	if t.unwant != nil {
		t.unwant()
	}
	delete(s.seat, t.name)
	s.wakeLocked()
	return nil
}

// own owns the part: from when it was got to when it was given up, and its owner has let go.
func (t *seat) own(hold *lock.Hold, wanting context.Context, wait *telemetry.Wait) {
	s := t.share
	part := newPart(s, t.name, hold, s.ctx)
	wait.Held(telemetry.Held{Session: part.Session(), Life: part.ctx.Context, Path: part.Path(), Token: part.Token()})
	s.mu.Lock()
	s.owned[part] = true
	s.pending = append(s.pending, part)
	s.wakeLocked()
	s.mu.Unlock()

	t.keep(part)
	part.tell()
	byItself := part.ctx.Err() != nil && errors.Is(context.Cause(part.ctx), ErrReleased)
	t.withdraw(part)
	t.giveUp(part)
	if byItself {
		retry.Pause(wanting, rest)
	}
}

// keep returns when the part is to be given up: its owner has let go, it is lost, moved, or the share is over. Its context has ended then.
func (t *seat) keep(part *Part) {
	for {
		target, wanted, changed := t.look()
		var stands <-chan struct{}
		if !wanted {
			again, there := t.successor(part, target)
			if there {
				t.move(part)
				return
			}
			stands = again
		}
		select {
		case <-changed:
		case <-stands:
		case <-part.released:
			return
		case <-part.ctx.Done():
			return
		case <-t.share.ctx.Done():
			part.end(context.Cause(t.share.ctx))
			return
		}
	}
}

// successor tells whether the one whose the part is to be waits for it, and otherwise returns a channel that is closed when that may be so. For
// a part that is to be nobody's there is nobody to wait for.
func (t *seat) successor(part *Part, id string) (again <-chan struct{}, stands bool) {
	if id == "" {
		return nil, true
	}
	c, dir := t.share.partition.client.In(part.Session()), t.share.partition.locks(t.name)
	names, _, w, err := c.ChildrenW(part.ctx, dir)
	for _, name := range names {
		if _, ok := ticket.Parse(name, marker); !ok || dir+"/"+name == part.Path() {
			continue
		}
		data, _, err := c.Get(part.ctx, dir+"/"+name)
		if err == nil && string(data) == id {
			return nil, true
		}
	}
	if err != nil {
		later := make(chan struct{})
		time.AfterFunc(rest, func() { close(later) })
		return later, false
	}
	return w.Done(), false
}

// move tells the owner that the part moves, and lets it work for a while.
func (t *seat) move(part *Part) {
	part.tell()
	if d := t.share.partition.opts.Notice; d > 0 && t.handed(part) {
		notice := time.NewTimer(d)
		defer notice.Stop()
		select {
		case <-notice.C:
		case <-part.released:
		case <-part.ctx.Done():
		case <-t.share.ctx.Done():
			part.end(context.Cause(t.share.ctx))
		}
	}
	part.end(ErrMoved)
}

func (t *seat) handed(part *Part) bool {
	t.share.mu.Lock()
	defer t.share.mu.Unlock()
	return part.handed
}

// withdraw takes back a part that nobody was handed.
func (t *seat) withdraw(part *Part) {
	s := t.share
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.pending {
		if p == part {
			s.pending = append(s.pending[:i:i], s.pending[i+1:]...)
			part.letGo()
			return
		}
	}
}

// giveUp gives up a part whose context has ended, when its owner has let go or has had its time; then it waits for the owner.
func (t *seat) giveUp(part *Part) {
	s := t.share
	overdue := t.await(part)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), cleanup)
	defer cancel()
	if err := part.hold.Release(ctx); err != nil {
		part.failure = err
		if !errors.Is(err, client.ErrUnknown) { // to stand behind it would be to wait for oneself
			s.end(err)
		}
	}
	s.mu.Lock()
	delete(s.owned, part)
	s.wakeLocked()
	s.mu.Unlock()
	close(part.gone)
	if !overdue {
		return
	}
	s.partition.opts.Logger.Warn("owner has not let go of a part in time", "path", s.partition.path, "part", part.name)
	if f := s.partition.opts.Overdue; f != nil {
		f(part)
	}
	select {
	case <-part.released: // it is not called twice at a time
	case <-s.ctx.Done(): // it is not called any more
	}
}

// await waits for the owner to let go, and tells whether it was waited for in vain.
func (t *seat) await(part *Part) (overdue bool) {
	var over <-chan time.Time
	if d := t.share.partition.opts.Grace; d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-part.released:
		return false
	case <-over:
		return true
	}
}
