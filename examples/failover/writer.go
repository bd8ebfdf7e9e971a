package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
)

// path is what is written.
const path = "/counter"

// A chronicle keeps what the servers become, until it is taken.
type chronicle struct {
	mu     sync.Mutex
	events []ensemble.RoleChange
}

// add is called by every server. It must not hold them up.
func (c *chronicle) add(e ensemble.RoleChange) {
	c.mu.Lock()
	c.events = append(c.events, e)
	c.mu.Unlock()
}

// take returns what has come since the last time, in order of time.
func (c *chronicle) take() []ensemble.RoleChange {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := c.events
	c.events = nil
	slices.SortStableFunc(events, func(a, b ensemble.RoleChange) int { return a.Time.Compare(b.Time) })
	return events
}

// An ack is a write that was acknowledged.
type ack struct {
	at   time.Time
	zxid int64
}

// A writer writes 1, 2, 3 and so on to one node through one of the servers that do not lead.
type writer struct {
	client *client.Client
	leader *ensemble.Server
	stop   func() // ends it, and waits for it

	mu         sync.Mutex
	acks       []ack
	unanswered int           // writes whose connection was lost
	more       chan struct{} // has room for one: there are more acks
	ended      chan struct{}
	err        error // why it ended; to be read when it has
}

func startWriter(ctx context.Context, servers *ensemble.Several) (*writer, error) {
	w := &writer{leader: servers.Leader(), more: make(chan struct{}, 1), ended: make(chan struct{})}
	if w.leader == nil {
		return nil, errors.New("there is no leader")
	}
	other := servers.Servers()[w.leader.ServerID()%3]
	var err error
	if w.client, err = client.Connect(ctx, other.ConnectString(), &client.Options{Dialer: servers.Dial}); err != nil {
		return nil, err
	}
	if _, err := w.client.Create(ctx, path, []byte("0"), nil); err != nil {
		return nil, errors.Join(err, w.client.Close())
	}
	writing, cancel := context.WithCancel(ctx)
	go w.run(writing) // ends with stop, or with ctx
	w.stop = sync.OnceFunc(func() {
		cancel()
		<-w.ended
		if err := w.client.Close(); w.err == nil {
			w.err = err
		}
	})
	return w, nil
}

func (w *writer) run(ctx context.Context) {
	defer close(w.ended)
	for i := 1; ctx.Err() == nil; i++ {
		stat, err := w.client.Set(ctx, path, []byte(strconv.Itoa(i)), client.AnyVersion)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, client.ErrUnknown):
			w.mu.Lock()
			w.unanswered++
			w.mu.Unlock()
			i-- // whether it was written nobody has told; writing the same again does no harm
			continue
		case err != nil:
			w.err = err
			return
		}
		w.mu.Lock()
		w.acks = append(w.acks, ack{time.Now(), stat.Mzxid})
		w.mu.Unlock()
		select {
		case w.more <- struct{}{}:
		default:
		}
	}
}

func (w *writer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acks)
}

// await waits until n writes have been acknowledged.
func (w *writer) await(ctx context.Context, n int) error {
	for w.count() < n {
		select {
		case <-w.more:
		case <-w.ended:
			return fmt.Errorf("the writer has ended: %w", errors.Join(w.err, ctx.Err()))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// report says what the program saw of the failover.
func (w *writer) report(out io.Writer, lost time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := slices.IndexFunc(w.acks, func(a ack) bool { return a.zxid>>32 > w.acks[0].zxid>>32 })
	if first < 0 {
		return errors.New("no epoch after the first")
	}
	before, after := w.acks[first-1], w.acks[first]
	fmt.Fprintf(out, "\nThe program was connected to a server that did not lead. What it saw:\n")
	fmt.Fprintf(out, "  last write of the old epoch   %-10s acknowledged %9.3f ms after the close began\n", zxid(before.zxid), milliseconds(before.at.Sub(lost)))
	fmt.Fprintf(out, "  first write of the new epoch  %-10s acknowledged %9.3f ms after the close began\n", zxid(after.zxid), milliseconds(after.at.Sub(lost)))
	fmt.Fprintf(out, "  its writes stood still for %.3f ms, and %d of them ended without an answer\n", w.standstill(lost, first), w.unanswered)
	return nil
}

// standstill is the longest time between two acknowledgements, from the last before the leader was lost to the first of the new
// epoch, in milliseconds.
func (w *writer) standstill(lost time.Time, first int) float64 {
	var longest time.Duration
	for i := first; i > 0; i-- {
		longest = max(longest, w.acks[i].at.Sub(w.acks[i-1].at))
		if w.acks[i-1].at.Before(lost) {
			break
		}
	}
	return milliseconds(longest)
}

// check reads the node on the server that was away, and says whether it has everything that was acknowledged.
func (w *writer) check(ctx context.Context, out io.Writer, back *ensemble.Server) (err error) {
	if w.err != nil {
		return w.err
	}
	c, err := client.Connect(ctx, back.ConnectString(), &client.Options{Dialer: back.Dial})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.Sync(ctx, path); err != nil {
		return err
	}
	data, stat, err := c.Get(ctx, path)
	if err != nil {
		return err
	}
	acked := w.count()
	if n, err := strconv.Atoi(string(data)); err != nil || n < acked || n > acked+1 {
		return errors.Join(fmt.Errorf("%d writes were acknowledged, and the node says %q", acked, data), err)
	}
	fmt.Fprintf(out, "\n%d writes were acknowledged. Server %d reads %s, written at %s: nothing is lost.\n", acked, back.ServerID(), data, zxid(stat.Mzxid))
	return nil
}
