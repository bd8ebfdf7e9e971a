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

func Example() {
	ctx := context.Background()
	srv, err := ensemble.Start(ctx, nil) // in this process, for the example
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	connect := func() *client.Client {
		c, err := client.Connect(ctx, srv.ConnectString(), &client.Options{Dialer: srv.Dial})
		if err != nil {
			log.Fatal(err)
		}
		return c
	}
	anna, ben := connect(), connect()
	defer ben.Close()

	jobs := queue.New(anna, "/jobs", nil)
	if err := jobs.Put(ctx, queue.Item{Data: []byte("resize 17.jpg")}, queue.Item{Data: []byte("resize 18.jpg")}); err != nil {
		log.Fatal(err)
	}
	first, err := jobs.Take(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("anna has %q\n", first.Data())
	anna.Close() // and is gone, with her work half done

	jobs = queue.New(ben, "/jobs", nil)
	for {
		d, err := jobs.TryTake(ctx)
		if errors.Is(err, queue.ErrEmpty) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("ben has %q, attempt %d\n", d.Data(), d.Attempt())
		if err := d.Ack(ctx); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// anna has "resize 17.jpg"
	// ben has "resize 17.jpg", attempt 2
	// ben has "resize 18.jpg", attempt 1
}

// What is done with an item, and what follows from it, happens with its acknowledgement or not at all: here a sum, and an item for the next queue.
func ExampleDelivery_Ack() {
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

	orders, letters := queue.New(c, "/orders", nil), queue.New(c, "/letters", nil)
	must := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	must(letters.Make(ctx))
	must(orders.Put(ctx, queue.Item{Data: []byte("3 apples")}))
	_, err = c.Create(ctx, "/sold", []byte("4"), nil)
	must(err)

	order, err := orders.Take(ctx)
	must(err)
	_, stat, err := c.Get(ctx, "/sold")
	must(err)
	letter, err := letters.Ops(queue.Item{Data: []byte("Here are your apples.")})
	must(err)
	must(order.Ack(ctx, append(letter, client.SetOp("/sold", []byte("7"), stat.Version))...))

	sold, _, err := c.Get(ctx, "/sold")
	must(err)
	next, err := letters.Take(ctx)
	must(err)
	fmt.Printf("%s sold: %s\n", sold, next.Data())
	// Output:
	// 7 sold: Here are your apples.
}

// A queue that programs of Curator use as a SimpleDistributedQueue. Who pops has removed the item, and is the only one who knows of it.
func ExampleQueue_Pop() {
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

	readings := queue.New(c, "/readings", &queue.Options{Order: queue.Simple})
	if err := readings.Put(ctx, queue.Item{Data: []byte("21 °C")}, queue.Item{Data: []byte("22 °C")}); err != nil {
		log.Fatal(err)
	}
	for {
		d, err := readings.TryPop(ctx)
		if errors.Is(err, queue.ErrEmpty) {
			break
		}
		if err != nil && !errors.Is(err, client.ErrUnknown) { // it does no harm if another has the same reading
			log.Fatal(err)
		}
		fmt.Println(d.Name(), string(d.Data()))
	}
	// Output:
	// qn-0000000000 21 °C
	// qn-0000000001 22 °C
}
