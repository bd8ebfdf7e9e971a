package node_test

import (
	"context"
	"fmt"
	"log"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/node"
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

	n, err := node.Keep(ctx, c, "/services/mail/1", []byte("10.0.0.7:25"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close(ctx)

	if err := c.Delete(ctx, n.Path(), client.AnyVersion); err != nil { // somebody tidies up
		log.Fatal(err)
	}
	for seen, err := range c.WatchNode(ctx, n.Path()) {
		if err != nil {
			log.Fatal(err)
		}
		if seen.Exists {
			fmt.Println(string(seen.Data), "is there again")
			break
		}
	}
	// Output: 10.0.0.7:25 is there again
}
