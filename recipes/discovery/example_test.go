package discovery_test

import (
	"context"
	"fmt"
	"log"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/cache"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
)

// Details are what instances of the example say about themselves.
type Details struct {
	Protocol string `json:"protocol"`
}

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
	services := discovery.NewRegistry[Details](c, "/services", nil)
	defer services.Close(ctx)

	mail, err := services.Lookup(ctx, "mail", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer mail.Close()
	one, err := services.Register(ctx, discovery.Instance[Details]{
		Name: "mail", ID: "one", Address: "10.0.0.7", Port: 25, Payload: Details{"smtp"}, Status: discovery.Starting,
		URISpec: "{protocol}://{address}:{port}",
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	for change := range mail.Watch(ctx) {
		switch {
		case change.Kind == cache.Added:
			fmt.Println(change.New.ID, "is", change.New.Status)
			err = one.Update(ctx, func(i *discovery.Instance[Details]) { i.Status = discovery.Up })
		case change.Kind == cache.Changed:
			fmt.Println(change.New.ID, "is", change.New.Status, "at", change.New.HostPort())
			fmt.Println(change.New.URI(map[string]string{"protocol": change.New.Payload.Protocol}))
			err = one.Close(ctx)
		case change.Kind == cache.Removed:
			fmt.Println(change.Old.ID, "is gone")
			return
		}
		if err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// one is starting
	// one is up at 10.0.0.7:25
	// smtp://10.0.0.7:25
	// one is gone
}
