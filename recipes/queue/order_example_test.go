package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

func exampleClient(ctx context.Context) (c *client.Client, done func()) {
	srv, err := ensemble.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	c, err = client.Connect(ctx, srv.ConnectString(), &client.Options{Dialer: srv.Dial})
	if err != nil {
		log.Fatal(err)
	}
	return c, func() {
		c.Close()
		srv.Close()
	}
}

// Priorities: the smallest first, and among those of the same priority who came first.
func ExampleNew_byPriority() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	calls := queue.New(c, "/calls", &queue.Options{Order: queue.ByPriority})
	err := calls.Put(ctx,
		queue.Item{Data: []byte("a question"), Priority: 5},
		queue.Item{Data: []byte("another question"), Priority: 5},
		queue.Item{Data: []byte("a fire"), Priority: -1})
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		call, err := calls.Take(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(call.Item().Priority, string(call.Data()))
		if err := call.Ack(ctx); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// -1 a fire
	// 5 a question
	// 5 another question
}

// Items that are due at some time are not given out before.
func ExampleNew_byTime() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	mails := queue.New(c, "/mails", &queue.Options{Order: queue.ByTime})
	tomorrow := time.Now().Add(24 * time.Hour)
	soon := time.Now().Add(50 * time.Millisecond)
	err := mails.Put(ctx,
		queue.Item{Data: []byte("are you still there?"), At: tomorrow},
		queue.Item{Data: []byte("how do you like it?"), At: soon},
		queue.Item{Data: []byte("welcome")})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		mail, err := mails.Take(ctx) // waits until one is due
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(mail.Data()))
		if err := mail.Ack(ctx); err != nil {
			log.Fatal(err)
		}
	}
	_, err = mails.TryTake(ctx)
	fmt.Println("nothing more today:", errors.Is(err, queue.ErrEmpty))
	// Output:
	// welcome
	// how do you like it?
	// nothing more today: true
}

// Items that bear an id can be removed by it, as long as nobody has taken them.
func ExampleQueue_Remove() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	orders := queue.New(c, "/orders", &queue.Options{Order: queue.ByID})
	err := orders.Put(ctx,
		queue.Item{ID: "anna", Data: []byte("3 apples")},
		queue.Item{ID: "ben", Data: []byte("1 pear")},
		queue.Item{ID: "anna", Data: []byte("2 plums")})
	if err != nil {
		log.Fatal(err)
	}
	removed, err := orders.Remove(ctx, "anna")
	if err != nil {
		log.Fatal(err)
	}
	order, err := orders.Take(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(removed, "removed, next:", order.Item().ID, string(order.Data()))
	// Output:
	// 2 removed, next: ben 1 pear
}

// A queue in four parts. Each item is in one of them, and whoever takes need not know in which.
func ExampleSharded() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	clicks := queue.NewSharded(c, "/clicks", 4, nil)
	for i := range 20 {
		if err := clicks.Put(ctx, queue.Item{Data: fmt.Append(nil, i)}); err != nil {
			log.Fatal(err)
		}
	}
	n, err := clicks.Len(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(n, "clicks in", len(clicks.Shards()), "shards")

	seen := map[string]bool{}
	for {
		click, err := clicks.TryTake(ctx)
		if errors.Is(err, queue.ErrEmpty) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		seen[string(click.Data())] = true
		if err := click.Ack(ctx); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(len(seen), "done")
	// Output:
	// 20 clicks in 4 shards
	// 20 done
}

// Who has what, and who waits.
func ExampleQueue_Inspect() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	jobs := queue.New(c, "/jobs", &queue.Options{ID: "anna"})
	if err := jobs.Put(ctx, queue.Item{Data: []byte("resize 17.jpg")}, queue.Item{Data: []byte("resize 18.jpg")}); err != nil {
		log.Fatal(err)
	}
	job, err := jobs.Take(ctx)
	if err != nil {
		log.Fatal(err)
	}
	state, err := jobs.Inspect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, entry := range state.Items {
		holder := "nobody"
		if entry.Claim != nil {
			holder = entry.Claim.ID
		}
		fmt.Printf("%s: %s\n", entry.Item.Data, holder)
	}
	fmt.Println("its token is that of the delivery:", state.Items[0].Claim.Token == job.Token())
	fmt.Println(len(state.Takers), "wait")
	// Output:
	// resize 17.jpg: anna
	// resize 18.jpg: nobody
	// its token is that of the delivery: true
	// 0 wait
}
