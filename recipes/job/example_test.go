package job_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/job"
)

// Two processes run a job; each time is run by one of them.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	srv, err := ensemble.Start(ctx, nil) // in this process, for the example
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	runs := make(chan *job.Execution)
	ended := make(chan error)
	for _, name := range []string{"anna", "ben"} {
		c, err := client.Connect(ctx, srv.ConnectString(), &client.Options{Dialer: srv.Dial})
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		report := job.New(c, "/jobs/report", job.Every(100*time.Millisecond), &job.Options{ID: name, AtMost: time.Hour})
		go func() { // ends when the example does
			ended <- report.Run(ctx, func(ctx context.Context, run *job.Execution) error {
				select {
				case runs <- run:
				case <-ctx.Done():
				}
				return nil
			})
		}()
	}
	first, second, third := <-runs, <-runs, <-runs
	fmt.Println("one after the other:", first.Scheduled().Before(second.Scheduled()), second.Scheduled().Before(third.Scheduled()))
	fmt.Println("tokens grow:", first.Token() < second.Token(), second.Token() < third.Token())

	stop()
	for range 2 {
		fmt.Println("ended by us:", errors.Is(<-ended, context.Canceled))
	}
	// Output:
	// one after the other: true true
	// tokens grow: true true
	// ended by us: true
	// ended by us: true
}
