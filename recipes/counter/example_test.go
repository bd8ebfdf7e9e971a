package counter_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/counter"
)

func Example() {
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

	orders := counter.New(c, "/orders/count", nil)
	for range 3 {
		n, err := orders.Add(ctx, 1)
		fmt.Println(n, err)
	}
	swapped, err := orders.CompareAndSwap(ctx, 3, 1000)
	fmt.Println(swapped, err)
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
	// true <nil>
}

// Two processes number their orders, each from a block of its own.
func ExampleIDs() {
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

	anna, ben := counter.NewIDs(c, "/orders/ids", nil), counter.NewIDs(c, "/orders/ids", nil)
	for _, ids := range []*counter.IDs{anna, ben, anna} {
		id, err := ids.Next(ctx)
		fmt.Println(id, err)
	}
	// Output:
	// 1 <nil>
	// 101 <nil>
	// 2 <nil>
}

// A value of any type changes as a number does: each change is made once.
func ExampleValue() {
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

	members := counter.NewValue[[]string](c, "/club/members", nil)
	for _, name := range []string{"anna", "ben"} {
		now, err := members.Update(ctx, func(m []string) ([]string, error) { return append(m, name), nil })
		fmt.Println(now, err)
	}
	for now, err := range members.Watch(ctx) {
		fmt.Println(now, err)
		break
	}
	// Output:
	// [anna] <nil>
	// [anna ben] <nil>
	// [anna ben] <nil>
}

// The last seat is sold once: a change that may be refused computes what there will be, or says why not.
func ExampleCounter_Update() {
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

	seats := counter.New(c, "/flights/17/seats", nil)
	if err := seats.Set(ctx, 2); err != nil {
		log.Fatal(err)
	}
	for range 3 {
		left, err := seats.Update(ctx, func(free int64) (int64, error) {
			if free == 0 {
				return 0, errors.New("sold out")
			}
			return free - 1, nil
		})
		fmt.Println(left, err)
	}
	// Output:
	// 1 <nil>
	// 0 <nil>
	// 0 sold out
}

// Who shows the number follows it.
func ExampleCounter_Watch() {
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

	orders := counter.New(c, "/orders/count", nil)
	for n, err := range orders.Watch(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(n)
		if n == 2 {
			break
		}
		if _, err := orders.Add(ctx, 1); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// 0
	// 1
	// 2
}
