// Rate shows a limit that many processes keep together: a gateway for text messages takes so many in a while, whoever sends them, and
// refuses what is more. The limit is raised while all of them send.
//
//	go run ./examples/rate
//
// The file rate.go is the limit. It has no server of its own and no process that hands out turns: it is a semaphore, whose permits
// are kept for a while.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/examples/internal/stage"
)

const (
	path    = "/messages/rate"
	window  = 50 * time.Millisecond
	senders = 5
)

func main() { stage.Main(run) }

func run(ctx context.Context, out io.Writer, servers string) error {
	var rates []*Rate
	for range senders { // each a program of its own, it might be
		c, err := client.Connect(ctx, servers, nil)
		if err != nil {
			return err
		}
		defer c.Close()
		rates = append(rates, NewRate(c, path, 2, window))
	}
	g := &gateway{limit: 2}
	fmt.Fprintf(out, "%d programs send 2 messages each, at most %d in %v.\n", senders, g.limit, window)
	if err := sendAll(ctx, out, rates, g, 2); err != nil {
		return err
	}
	g.limit = 4
	if err := rates[0].SetLimit(ctx, g.limit); err != nil {
		return err
	}
	fmt.Fprintf(out, "The contract is changed: 3 messages each, at most %d in %v.\n", g.limit, window)
	return sendAll(ctx, out, rates, g, 3)
}

// sendAll has all programs send so many messages.
func sendAll(ctx context.Context, out io.Writer, rates []*Rate, g *gateway, each int) error {
	errs := make([]error, len(rates))
	var sending sync.WaitGroup
	for i, rate := range rates {
		sending.Go(func() { // ends when all are sent, or one fails
			for range each {
				if errs[i] = rate.Do(ctx, g.send); errs[i] != nil {
					return
				}
			}
		})
	}
	sending.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Fprintf(out, "  The gateway has taken %d, and refused none.\n", len(rates)*each)
	return nil
}

var errTooMany = errors.New("too many messages")

// A gateway takes so many messages within a window, and refuses what is more.
type gateway struct {
	mu    sync.Mutex
	limit int
	taken []time.Time
}

func (g *gateway) send(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if n := len(g.taken) - g.limit; n >= 0 && now.Sub(g.taken[n]) < window {
		return errTooMany
	}
	g.taken = append(g.taken, now)
	return nil
}
