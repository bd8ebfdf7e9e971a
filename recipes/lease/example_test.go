package lease_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/lease"
)

// A program that cron starts on several machines does its work on one of them, and not again within a quarter of an hour.
func Example() {
	ctx := context.Background()
	srv, err := ensemble.Start(ctx, nil) // in this process, for the example
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	for _, host := range []string{"anna", "ben"} {
		c, err := client.Connect(ctx, srv.ConnectString(), &client.Options{Dialer: srv.Dial})
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		grant, err := lease.New(c, "/leases/cleaning", &lease.Options{ID: host, AtLeast: 15 * time.Minute}).TryAcquire(ctx, time.Hour)
		if errors.Is(err, lease.ErrHeld) {
			fmt.Println(host, "has nothing to do")
			continue
		}
		fmt.Println(host, "cleans up:", err, grant.Context().Err())
		if err := grant.Release(ctx); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// anna cleans up: <nil> <nil>
	// ben has nothing to do
}
