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
	"github.com/bellwether-zk/bellwether/recipes/group"
)

// A Mistake is one that recipes are known for, and that a trial must find.
type Mistake struct {
	Subject
	// Finding is a part of what is then found wrong.
	Finding string
	// Slow is a mistake that shows only when a holder is cut off and stays, or when a certain reply is lost: in one run of several.
	Slow bool
}

// Mistakes are those that are planted to see that they are found.
func Mistakes() []Mistake {
	planted := func(name, finding string, recipe func() Recipe, leaves ...string) Mistake {
		return Mistake{Subject: Subject{Name: name, Users: 4, New: recipe, Leaves: leaves}, Finding: finding}
	}
	ignorant := planted("ignorant", "while user", func() Recipe { return &mutex{naiveLock, long} }, "register")
	ignorant.Slow = true
	doubling := planted("doubling", "too many", func() Recipe { return &tally{add: naiveAdd} }, "count")
	doubling.Slow = true
	return []Mistake{
		ignorant, // a lock whose holder is told nothing
		doubling, // a counter without marks
		planted("generous", "room for", func() Recipe { return &semaphore{permits: 3, given: 4} }),
		planted("hasty", "can have been there", func() Recipe { return &meeting{size: 4, says: 2} }, "meeting", "meeting/ready"),
		planted("still", "has not what is there", func() Recipe { return &mirrors{known: map[string]known{}, open: openStill} }, "tree", "tree/*"),
		planted("flapping", "is said to be gone", func() Recipe { return fellows(joinFlapping) }),
	}
}

// long is how long locks are held in which a mistake is planted.
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
				_ = c.Delete(life, m.Path(), client.AnyVersion) // and so it is made again
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
