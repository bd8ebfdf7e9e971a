package lock

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// leaseMarker marks the permits, as in Curator's InterProcessSemaphoreV2.
const leaseMarker = "lease-"

// ErrLimit tells that more permits are asked for than there are at all, or that a shared limit cannot be read as one.
var ErrLimit = errors.New("more permits than the limit")

// Semaphore gives out permits, up to a limit, at a path. It is fair: who asks for many is not overtaken by those who ask for few.
// It may be used by many goroutines.
type Semaphore struct {
	path   string
	door   *line // who asks for permits
	leases *line // the permits
	limit  int
	shared string // the node with the limit; "": limit is it
}

// NewSemaphore describes a semaphore with n permits. It sends nothing. All who use the path must say the same number: nobody compares
// them, and the greatest wins.
func NewSemaphore(c *client.Client, path string, n int, opts *Options) *Semaphore {
	dir := strings.TrimSuffix(path, "/")
	s := &Semaphore{
		path:   path,
		door:   newLine(c, dir+"/locks", opts, marker),
		leases: newLine(c, dir+"/leases", opts, leaseMarker),
		limit:  n,
	}
	s.door.opts.MaxHold = 0 // who stands in it waits for permits
	return s
}

// NewSharedSemaphore describes a semaphore whose limit is what is written in a node, for all alike: four bytes, the greatest first, as in
// Curator's SharedCount. The first who needs the node and does not find it makes it, with n. It sends nothing.
//
// SetLimit, or whoever else writes the node, changes the limit at any time. Who waits is let in when it grows; when it shrinks nobody
// loses a permit, and nobody gets one until enough have been released. Each permit created after the change obeys it.
func NewSharedSemaphore(c *client.Client, path, limit string, n int, opts *Options) *Semaphore {
	s := NewSemaphore(c, path, n, opts)
	s.shared = limit
	return s
}

// Path returns the semaphore's path.
func (s *Semaphore) Path() string { return s.path }

// Acquire waits in line until there are as many permits as the weight, at least 1, and takes them all at once. It fails with ErrLimit when
// the limit, which may change, is less than the weight: it would hold up everybody behind. As to ctx, to sessions that end, and to what the
// result means it is like Mutex.Lock; but permits exclude nobody in particular, and their tokens mean nothing.
func (s *Semaphore) Acquire(ctx context.Context, weight int) (*Holds, error) {
	holds, err := s.seen(ctx, weight, s.acquireAgain)
	if err != nil {
		return nil, s.failed("acquire", err)
	}
	return holds, nil
}

// acquireAgain acquires in one session after the other.
func (s *Semaphore) acquireAgain(ctx context.Context, weight int) (*Holds, error) {
	for {
		holds, err := s.acquire(ctx, weight, false)
		switch {
		case err == nil || !s.door.again(err):
			return holds, err
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
	}
}

// TryAcquire takes as many permits as the weight if they are there, and fails with ErrHeld otherwise: also if somebody else waits
// for permits, or is acquiring some at this moment. It waits for the servers' answers, and for a session if there is none.
func (s *Semaphore) TryAcquire(ctx context.Context, weight int) (*Holds, error) {
	holds, err := s.seen(ctx, weight, s.tryAcquire)
	if err != nil {
		return nil, s.failed("tryacquire", err)
	}
	return holds, nil
}

func (s *Semaphore) tryAcquire(ctx context.Context, weight int) (*Holds, error) {
	// To look first spares the servers nodes for nothing, as in TryLock.
	if err := s.room(ctx, s.door.client, weight); err != nil {
		return nil, err
	}
	return s.acquire(ctx, weight, true)
}

// Line returns who asks for permits: the first waits until there are enough, the others wait for it.
func (s *Semaphore) Line(ctx context.Context) ([]ticket.Place, error) { return s.door.places(ctx) }

// Permits returns the permits that are given out.
func (s *Semaphore) Permits(ctx context.Context) ([]ticket.Place, error) { return s.leases.places(ctx) }

// Limit returns how many permits there are.
func (s *Semaphore) Limit(ctx context.Context) (int, error) {
	limit, _, err := s.readLimit(ctx, s.door.client, false)
	if err != nil {
		return 0, s.failed("limit", err)
	}
	return limit, nil
}

// SetLimit writes a shared limit. It fails with client.ErrUnknown if it may have been written, and with client.ErrBadArguments if the
// limit is not shared, or no number of permits.
func (s *Semaphore) SetLimit(ctx context.Context, n int) error {
	if s.shared == "" || n < 0 || n != int(int32(n)) {
		return s.failed("setlimit", client.ErrBadArguments)
	}
	_, err := s.door.client.Set(ctx, s.shared, encodeLimit(n), client.AnyVersion)
	if errors.Is(err, client.ErrNoNode) {
		if _, _, err = s.readLimit(ctx, s.door.client, false); err == nil { // which makes it
			_, err = s.door.client.Set(ctx, s.shared, encodeLimit(n), client.AnyVersion)
		}
	}
	if err != nil {
		return s.failed("setlimit", err)
	}
	return nil
}

// acquire goes through the door, and behind it takes the permits when there are enough. It asks for those there are on its way to the door; what
// that says decides nothing, but whether it is worth to try.
func (s *Semaphore) acquire(ctx context.Context, weight int, try bool) (*Holds, error) {
	if weight < 1 {
		return nil, fmt.Errorf("%w: a weight of %d", client.ErrBadArguments, weight)
	}
	if s.door.opts.Layout != CuratorLayout {
		return nil, fmt.Errorf("%w: semaphores have Curator's layout alone", client.ErrBadArguments)
	}
	through := s.door.turn
	if try {
		through = s.door.tryTurn
	}
	glancing, stop := context.WithCancel(ctx)
	defer stop()
	room := make(chan error, 1)
	go func() { room <- s.room(glancing, s.door.client, weight) }() // is waited for
	door, err := through(ctx, kind{marker: marker})
	if err != nil {
		stop()
		<-room
		return nil, err
	}
	defer s.door.giveBack(ctx, door.Release)
	return s.inside(ctx, door, <-room, weight, try)
}

// inside is what is done behind the door: all of it in the door's session, and no longer than the door is held. room is what was
// found on the way: nil if there was enough, ErrHeld if not. Who has waited at the door looks again.
func (s *Semaphore) inside(ctx context.Context, door *Hold, room error, weight int, try bool) (*Holds, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(door.Context(), func() { cancel(context.Cause(door.Context())) })()
	view := s.door.client.In(door.Session())
	if door.held.waited {
		room = s.room(ctx, view, weight)
	}
	for {
		if errors.Is(room, ErrHeld) && !try {
			room = s.await(ctx, view, weight)
		}
		if room != nil {
			return nil, room
		}
		holds, err := s.take(ctx, view, weight)
		if try || !errors.Is(err, ErrHeld) {
			return holds, err
		}
		room = s.room(ctx, view, weight)
	}
}

// room is nil if there are enough permits, and ErrHeld if there are not at the moment.
func (s *Semaphore) room(ctx context.Context, c *client.Client, weight int) error {
	limit, _, err := s.readLimit(ctx, c, false)
	if err != nil {
		return err
	}
	names, _, err := c.Children(ctx, s.leases.path)
	if err != nil && !errors.Is(err, client.ErrNoNode) {
		return err
	}
	return fits(names, weight, limit)
}

// await returns when there are enough permits, or never can be. It watches all permits, and the limit: it alone, behind the door.
func (s *Semaphore) await(ctx context.Context, c *client.Client, weight int) error {
	for {
		limit, changed, err := s.readLimit(ctx, c, true)
		if err != nil {
			return err
		}
		names, _, w, err := c.ChildrenW(ctx, s.leases.path)
		if errors.Is(err, client.ErrNoNode) {
			return fits(nil, weight, limit)
		}
		if err != nil {
			return err
		}
		if err := fits(names, weight, limit); !errors.Is(err, ErrHeld) {
			return err
		}
		select {
		case <-w.Done():
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// fits tells whether there is room for the weight beside the permits among the names.
func fits(names []string, weight, limit int) error {
	if weight > limit {
		return fmt.Errorf("%w: %d of %d", ErrLimit, weight, limit)
	}
	room := limit - weight
	for _, name := range names {
		if _, ok := ticket.Parse(name, leaseMarker); ok {
			room--
		}
	}
	if room < 0 {
		return ErrHeld
	}
	return nil
}

// take makes the permits, and leaves none when it fails: with ErrHeld if there are too many now, since the limit has shrunk, or somebody else
// has come in whose door was removed.
func (s *Semaphore) take(ctx context.Context, c *client.Client, weight int) (*Holds, error) {
	limit := 0
	permit := kind{marker: leaseMarker, rule: func(ahead []ticket.Place) *ticket.Place {
		if len(ahead) < limit {
			return nil
		}
		return &ahead[0]
	}}
	tickets := make([]*standing, weight)
	err := each(tickets, func(i int, _ *standing) (err error) {
		tickets[i], err = s.leases.join(ctx, c, permit)
		return err
	})
	// The permits are there, so the limit that is read now is one they have to obey, and whoever does not see them comes behind them.
	if err == nil {
		limit, _, err = s.readLimit(ctx, c, false)
	}
	if err == nil {
		err = fits(nil, weight, limit)
	}
	if err == nil {
		err = each(tickets, func(_ int, t *standing) error { return mustBeFirst(ctx, t.Ticket) })
	}
	if err != nil {
		_ = each(tickets, func(_ int, t *standing) error {
			if t.Ticket != nil {
				s.leases.giveBack(ctx, t.Return)
			}
			return nil
		})
		return nil, err
	}
	var all []*Hold
	for _, t := range tickets {
		all = append(all, s.leases.hold(t))
	}
	return together(all), nil
}

// readLimit reads the limit, and makes its node where it is missing. If it is to be watched, changed is closed when it may be another one.
func (s *Semaphore) readLimit(ctx context.Context, c *client.Client, watch bool) (limit int, changed <-chan struct{}, err error) {
	for s.shared != "" {
		var data []byte
		if watch {
			var w *client.Watch
			data, _, w, err = c.GetW(ctx, s.shared)
			if err == nil {
				changed = w.Done()
			}
		} else {
			data, _, err = c.Get(ctx, s.shared)
		}
		if err == nil {
			limit, err = decodeLimit(data)
			return limit, changed, err
		}
		if !errors.Is(err, client.ErrNoNode) {
			return 0, nil, err
		}
		_, err = c.Create(ctx, s.shared, encodeLimit(s.limit), &client.CreateOptions{ACL: s.door.opts.ACL, Parents: client.ContainerParents})
		if err != nil && !errors.Is(err, client.ErrNodeExists) && !errors.Is(err, client.ErrUnknown) && !errors.Is(err, client.ErrConnectionLoss) {
			return 0, nil, err
		}
	}
	return s.limit, nil, nil
}

func encodeLimit(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func decodeLimit(data []byte) (int, error) {
	if len(data) != 4 {
		return 0, fmt.Errorf("%w: not the four bytes of a number, but %d", ErrLimit, len(data))
	}
	return int(int32(binary.BigEndian.Uint32(data))), nil
}

// failed puts the semaphore's own operation and path on an error.
func (s *Semaphore) failed(op string, err error) error {
	return &client.Error{Op: op, Path: s.path, Err: err}
}
