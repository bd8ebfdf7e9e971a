package group_test

import (
	"context"
	"fmt"
	"log"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/group"
)

// One who looks on is told who comes, changes and goes.
func Example() {
	ctx := context.Background()
	srv, err := ensemble.Start(ctx, nil)
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
	c, other := connect(), connect()
	defer c.Close()
	defer other.Close()

	anna, err := group.New(c, "/search/members", nil).Join(ctx, "anna", []byte("10.0.0.7:25"))
	if err != nil {
		log.Fatal(err)
	}
	all, err := group.New(other, "/search/members", nil).Observe(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer all.Close()
	for event := range all.Events(ctx) {
		if event.Kind == group.Current {
			fmt.Println("these are all")
		} else {
			fmt.Println(event.Member.ID, event.Kind, string(event.Member.Payload))
		}
		switch event.Kind {
		case group.Current:
			anna.Set(ctx, []byte("10.0.0.8:25"))
		case group.Updated:
			anna.Leave(ctx)
		case group.Left:
			return
		}
	}
	// Output:
	// anna joined 10.0.0.7:25
	// these are all
	// anna updated 10.0.0.8:25
	// anna left 10.0.0.8:25
}
