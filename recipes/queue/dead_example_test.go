package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

// What fails as often as allowed is put aside, with the reason, until somebody has looked at it.
func ExampleQueue_DeadLetters() {
	ctx := context.Background()
	srv, err := ensemble.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	c, err := client.Connect(ctx, srv.ConnectString(), &client.Options{Dialer: srv.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	jobs := queue.New(c, "/jobs", &queue.Options{MaxAttempts: 2})
	if err := jobs.Put(ctx, queue.Item{Data: []byte("resize 17.jpg")}); err != nil {
		log.Fatal(err)
	}
	for {
		d, err := jobs.TryTake(ctx)
		if errors.Is(err, queue.ErrEmpty) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("attempt", d.Attempt())
		if err := d.Nack(ctx, 0, errors.New("17.jpg is no picture")); err != nil {
			log.Fatal(err)
		}
	}
	letters, err := jobs.DeadLetters(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, l := range letters {
		fmt.Printf("%s: %s, after %d attempts\n", l.Item.Data, l.Reason, l.Attempts)
		if err := jobs.Revive(ctx, l.Name); err != nil { // or Discard
			log.Fatal(err)
		}
	}
	n, err := jobs.Len(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n, "to be done")
	// Output:
	// attempt 1
	// attempt 2
	// resize 17.jpg: 17.jpg is no picture, after 2 attempts
	// 1 to be done
}
