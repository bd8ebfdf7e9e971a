// Scheduler is a small service that does something at regular intervals, on one of several machines: a report every night, a backup every
// hour. Each round is done although machines and servers come and go, and no round is done by two that both believe it is their turn.
//
//	go run ./examples/scheduler
//
// The program shows it with three instances and three servers in one process. But what it is here for is its test-suite, scheduler_test.go:
// how to test that such a service survives what happens to services, with package ensembletest, without waiting for anything.
//
// (Who wants nothing but the rounds is better served by package recipes/job, which knows schedules, and remembers what came of each run.)
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "scheduler:", err)
		os.Exit(1)
	}
}

// rounds is how many each instance does before it ends, and the next one goes on.
const rounds = 3

// run tells the story: three instances, each of which does a few rounds and ends.
func run(ctx context.Context, out io.Writer) (err error) {
	servers, err := ensemble.StartSeveral(ctx, 3, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Close()) }()

	var instances sync.WaitGroup
	defer instances.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ends := make(chan error)
	names := []string{"anna", "ben", "carla"}
	for _, name := range names {
		instances.Go(func() { // ends with its rounds, or with ctx
			err := work(ctx, out, name, servers)
			select {
			case ends <- err:
			case <-ctx.Done():
			}
		})
	}
	for range names {
		if err := <-ends; err != nil {
			return err
		}
	}
	return nil
}

// errEnough ends an instance that has done its rounds.
var errEnough = errors.New("enough")

// work is one instance.
func work(ctx context.Context, out io.Writer, name string, servers *ensemble.Several) error {
	c, err := client.Connect(ctx, servers.ConnectString(), &client.Options{Dialer: servers.Dial})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, enough := context.WithCancelCause(ctx)
	defer enough(nil)
	done := 0
	err = NewScheduler(c, "/report", 100*time.Millisecond, func(_ context.Context, round, token int64) error {
		if done == rounds {
			fmt.Fprintf(out, "%s ends; who is next in line goes on.\n", name)
			enough(errEnough)
			return errEnough
		}
		done++
		fmt.Fprintf(out, "%s does round %d, with token %d.\n", name, round, token)
		return nil
	}).Run(ctx)
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}
