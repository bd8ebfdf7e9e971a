package trial

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/cache"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/group"
	"github.com/bellwether-zk/bellwether/recipes/node"
)

// A Mistake is one that recipes are known for, and that a trial must find.
type Mistake struct {
	Subject
	// Finding is a part of what is then found wrong.
	Finding string
	// Slow is a mistake that does not show in a few seconds, though users make its occasion: what a view has must be out of date for long,
	// a holder be cut off until others hold, or a certain reply be lost.
	Slow bool
}

// Mistakes are those that are planted to see that they are found.
func Mistakes() []Mistake {
	planted := func(name, finding string, recipe func() Recipe, leaves ...string) Mistake {
		return Mistake{Subject: Subject{Name: name, Users: 4, New: recipe, Leaves: leaves}, Finding: finding}
	}
	ignorant := planted("ignorant", "while user", func() Recipe { return &mutex{lock: naiveLock, stay: long, cut: true} }, "register")
	ignorant.Slow = true
	doubling := planted("doubling", "too many", func() Recipe { return &tally{add: naiveAdd, lose: true} }, "count")
	doubling.Slow = true
	serving := planted("serving", "a view still has", func() Recipe { return &market{register: enlist, lookup: lookupOnce} })
	serving.Slow = true
	trusting := planted("trusting", "a view has let go", func() Recipe { return &market{register: enlist, lookup: lookupUnbraked} })
	trusting.Slow = true
	return []Mistake{
		ignorant, // a lock whose holder is told nothing
		doubling, // a counter without marks
		planted("generous", "room for", func() Recipe { return &semaphore{permits: 3, given: 4} }),
		planted("hasty", "can have been there", func() Recipe { return &meeting{size: 4, says: 2, rest: long} }, "meeting", "meeting/ready"),
		planted("still", "has not what is there", func() Recipe { return &mirrors{known: map[string]known{}, open: openStill} }, "tree", "tree/*"),
		serving,  // a list of addresses that is not kept up
		trusting, // one that believes that most have failed at once
		planted("adopting", "was of a session of user", func() Recipe { return &market{register: adopt, lookup: lookup} }),
		planted("flapping", "is said to be gone", func() Recipe { return fellows(joinFlapping) }),
	}
}

// long is how long a lock is held in which a mistake is planted, and how long who was at such a meeting stays away.
const long = 6 * time.Second

// naiveHold is a lock as it is often written.
type naiveHold struct {
	c       *client.Client
	session *client.Session
	path    string
	token   int64
}

func (h *naiveHold) Context() context.Context { return context.Background() }
func (h *naiveHold) Token() int64             { return h.token }
func (h *naiveHold) Guard() client.Op         { return client.CheckOp(h.path, client.AnyVersion) }
func (h *naiveHold) Session() *client.Session { return h.session }

func (h *naiveHold) Release(ctx context.Context) error {
	for ctx = context.WithoutCancel(ctx); ; {
		err := h.c.Delete(ctx, h.path, client.AnyVersion)
		if err == nil || errors.Is(err, client.ErrNoNode) || h.session.Context().Err() != nil {
			return nil
		}
	}
}

// naiveLock stands in line, and then holds whatever happens.
func naiveLock(ctx context.Context, c *client.Client, dir string) (Guarded, error) {
	s, err := c.AwaitSession(ctx)
	if err != nil {
		return nil, err
	}
	c = s.Client()
	path, err := c.Create(ctx, dir+"/n-", nil, &client.CreateOptions{
		Mode: client.EphemeralSequential, Parents: client.ContainerParents, Protected: true,
	})
	if err != nil {
		return nil, err
	}
	h := &naiveHold{c: c, session: s, path: path}
	for {
		stat, _, err := c.Exists(ctx, path)
		h.token = stat.Czxid
		if err == nil {
			var first bool
			if first, err = isFirst(ctx, c, dir, path); first {
				return h, nil
			}
		}
		if err != nil || !pause(ctx, 5*time.Millisecond) {
			return nil, errors.Join(err, context.Cause(ctx), h.Release(ctx))
		}
	}
}

func isFirst(ctx context.Context, c *client.Client, dir, path string) (bool, error) {
	names, _, err := c.Children(ctx, dir)
	if err != nil {
		return false, err
	}
	number := func(s string) string { return s[len(s)-10:] }
	return number(slices.MinFunc(names, func(a, b string) int { return cmp.Compare(number(a), number(b)) })) == number(path), nil
}

// naiveAdd adds again when it was not told that it has.
func naiveAdd(ctx context.Context, c *client.Client, path string, delta int64) (int64, error) {
	for {
		data, stat, err := c.Get(ctx, path)
		if errors.Is(err, client.ErrNoNode) {
			_, err = c.Create(ctx, path, make([]byte, 8), nil)
		} else if err == nil {
			sum := int64(binary.BigEndian.Uint64(data)) + delta
			if _, err = c.Set(ctx, path, binary.BigEndian.AppendUint64(nil, uint64(sum)), stat.Version); err == nil {
				return sum, nil
			}
		}
		if !pause(ctx, time.Millisecond) {
			return 0, errors.Join(err, context.Cause(ctx))
		}
	}
}

// stillMirror is a cache that is not kept up, and does not say so.
type stillMirror struct{ *cache.Cache }

func (stillMirror) StaleSince() time.Time { return time.Time{} }
func (stillMirror) Close()                {}

func openStill(ctx context.Context, c *client.Client, path string) (mirror, error) {
	m, err := cache.Open(ctx, c, path, nil)
	if err != nil {
		return nil, err
	}
	m.Close()
	return stillMirror{m}, nil
}

// flapping is a membership that is registered anew whenever the connection is made again, as Curator's services are.
type flapping struct {
	membership
	end     context.CancelFunc
	running sync.WaitGroup
}

func joinFlapping(ctx context.Context, c *client.Client, g *group.Group, id, payload string) (membership, error) {
	m, err := join(ctx, c, g, id, payload)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	f := &flapping{membership: m, end: end}
	f.running.Go(func() { // ends with life, or the client
		for s := range c.States(life) {
			if s.State == client.StateReconnected && s.At.After(began) {
				for explained(c.Delete(life, m.Path(), client.AnyVersion)) && pause(life, time.Millisecond) { // and so it is made again
				}
			}
		}
	})
	return f, nil
}

func (f *flapping) Leave(ctx context.Context) error {
	f.end()
	f.running.Wait()
	return f.membership.Leave(ctx)
}

// stillServed is a view of a service that is not kept up, and does not say so.
type stillServed struct{ lookedUp }

func (stillServed) StaleSince() time.Time { return time.Time{} }

func lookupOnce(ctx context.Context, r *registry, service string, o *discovery.LookupOptions) (lookedUp, error) {
	v, err := lookup(ctx, r, service, o)
	if err != nil {
		return nil, err
	}
	v.Close()
	return stillServed{v}, nil
}

// lookupUnbraked believes every loss.
func lookupUnbraked(ctx context.Context, r *registry, service string, _ *discovery.LookupOptions) (lookedUp, error) {
	return lookup(ctx, r, service, &discovery.LookupOptions{MassLoss: 1})
}

// adopted is a registration that takes for its own what it finds at its path, though that goes with the session of who has died.
type adopted struct {
	c     *client.Client
	path  string
	token int64
	i     instance
}

func adopt(ctx context.Context, c *client.Client, dir string, _ *registry, i instance, _ *discovery.RegisterOptions) (registration, error) {
	a := &adopted{c: c, path: client.Join(dir, i.ID), i: i}
	data, err := codec.Encode(&i)
	if err != nil {
		return nil, err
	}
	_, err = c.Create(ctx, a.path, data, &client.CreateOptions{Mode: client.Ephemeral, Parents: client.ContainerParents})
	if err != nil && !errors.Is(err, client.ErrNodeExists) {
		return nil, err
	}
	stat, _, err := c.Exists(ctx, a.path)
	a.token = stat.Czxid
	return a, err
}

func (a *adopted) Status() node.Status { return node.Status{Czxid: a.token} }
func (a *adopted) Path() string        { return a.path }

func (a *adopted) Update(ctx context.Context, edit func(*instance)) error {
	edit(&a.i)
	data, err := codec.Encode(&a.i)
	if err != nil {
		return err
	}
	_, err = a.c.Set(ctx, a.path, data, client.AnyVersion)
	return err
}

func (a *adopted) Close(ctx context.Context) error { return a.c.Delete(ctx, a.path, client.AnyVersion) }
