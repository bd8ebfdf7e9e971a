package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// A create whose reply is lost has happened, and the client says that it does not know.
func Example() {
	ctx := context.Background()
	e, err := ensembletest.New(ctx, 1, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	p := proxy.New(&proxy.Options{Dial: e.Dial})
	defer p.Close()
	c, err := client.Connect(ctx, e.ConnectString(), &client.Options{Dialer: p.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	lost := p.Lose(proxy.Reply(proxy.OpCreate, "/job"))
	_, err = c.Create(ctx, "/job", nil, nil)
	fmt.Println("unknown:", errors.Is(err, client.ErrUnknown), "- lost:", lost.Strikes())
	_, found, err := c.Exists(ctx, "/job")
	fmt.Println("found:", found, err)
	// Output:
	// unknown: true - lost: 1
	// found: true <nil>
}

// Who waits for an answer can be made to wait as long as the test needs.
func ExampleProxy_Freeze() {
	ctx := context.Background()
	e, err := ensembletest.New(ctx, 1, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	p := proxy.New(&proxy.Options{Dial: e.Dial})
	defer p.Close()
	slow, err := client.Connect(ctx, e.ConnectString(), &client.Options{Dialer: p.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer slow.Close()
	quick, err := client.Connect(ctx, e.ConnectString(), &client.Options{Dialer: e.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer quick.Close()

	frozen := p.Freeze(proxy.Request(proxy.OpCreate, "/leader"))
	outcome := make(chan error)
	go func() { // ends when the create does
		_, err := slow.Create(ctx, "/leader", []byte("slow"), nil)
		outcome <- err
	}()
	<-frozen.Struck() // it is on its way, and will be late
	if _, err := quick.Create(ctx, "/leader", []byte("quick"), nil); err != nil {
		log.Fatal(err)
	}
	frozen.End()
	fmt.Println(<-outcome)
	// Output: create /leader: node already exists
}
