package ticket_test

import (
	"context"
	"fmt"
	"log"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// Tables in a restaurant are given out in the order in which guests have come.
func Example() {
	ctx := context.Background()
	srv, err := ensemble.Start(ctx, nil) // in this process, for the example
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	c, err := client.Connect(ctx, srv.ConnectString(), &client.Options{Dialer: srv.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	var guests []*ticket.Ticket
	for range 2 {
		t, err := ticket.Take(ctx, c, "/tables/7", "table-", nil)
		if err != nil {
			log.Fatal(err)
		}
		guests = append(guests, t)
	}
	line, err := ticket.Line(ctx, c, "/tables/7", "table-")
	if err != nil {
		log.Fatal(err)
	}
	for _, place := range line {
		fmt.Println("in line: number", place.Number)
	}
	for i, t := range guests {
		if err := t.Wait(ctx); err != nil {
			log.Fatal(err)
		}
		fmt.Println("guest", i, "is first, and goes")
		if err := t.Return(ctx); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// in line: number 0
	// in line: number 1
	// guest 0 is first, and goes
	// guest 1 is first, and goes
}
