package counter_test

import (
	"context"
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
