package node_test

import (
	"context"
	"errors"
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

// A node that somebody else has is waited for, and who keeps it can tell why it is not there yet.
func ExampleNode_Watch() {
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
	old, c := connect(), connect()
	defer c.Close()
	if _, err := node.Keep(ctx, old, "/services/mail/1", []byte("the old one"), nil); err != nil {
		log.Fatal(err)
	}

	n, err := node.Begin(ctx, c, "/services/mail/1", []byte("the new one"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer n.Close(ctx)
	for status := range n.Watch(ctx) {
		switch {
		case status.Present:
			fmt.Println("it is there")
			return
		case errors.Is(status.Err, node.ErrTaken):
			fmt.Println("it is somebody else's")
			old.Close()
		}
	}
	// Output:
	// it is somebody else's
	// it is there
}

// All nodes of a process are begun together, and each is kept by itself.
func ExampleBeginAll() {
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

	var wishes []node.Wish
	for shard := range 100 {
		wishes = append(wishes, node.Wish{Path: fmt.Sprint("/shards/", shard), Data: []byte("10.0.0.7:25")})
	}
	shards, err := node.BeginAll(ctx, c, wishes)
	if err != nil {
		log.Fatal(err)
	}
	for _, shard := range shards {
		defer shard.Close(ctx)
		if err := shard.Await(ctx); err != nil {
			log.Fatal(err)
		}
	}
	names, _, err := c.Children(ctx, "/shards")
	fmt.Println(len(names), err)
	// Output: 100 <nil>
}
