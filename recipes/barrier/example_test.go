package barrier_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/barrier"
)

func exampleClient(ctx context.Context) (*client.Client, func()) {
	srv, err := ensemble.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.Connect(ctx, srv.ConnectString(), &client.Options{Dialer: srv.Dial})
	if err != nil {
		log.Fatal(err)
	}
	return c, func() {
		c.Close()
		srv.Close()
	}
}

func ExampleBarrier() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	gate := barrier.New(c, "/import/done")
	if err := gate.Raise(ctx); err != nil {
		log.Fatal(err)
	}
	passed := make(chan error)
	go func() { passed <- gate.Wait(ctx) }() // ends when the gate is lowered
	fmt.Println("lowered:", gate.Lower(ctx))
	fmt.Println("passed:", <-passed)
	// Output:
	// lowered: <nil>
	// passed: <nil>
}

func ExampleDouble() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	var workers sync.WaitGroup
	for range 3 {
		workers.Go(func() {
			round, err := barrier.NewDouble(c, "/import/step-3", 3, nil).Enter(ctx)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println("all", round.Members(), "are there")
			if err := round.Leave(ctx); err != nil {
				log.Fatal(err)
			}
		})
	}
	workers.Wait()
	fmt.Println("all are done")
	// Output:
	// all 3 are there
	// all 3 are there
	// all 3 are there
	// all are done
}
