package choose_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/choose"
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
	services := discovery.NewRegistry[struct{}](c, "/services", nil)
	defer services.Close(ctx)
	for id, zone := range map[string]string{"one": "eu", "two": "eu", "three": "us"} {
		if _, err := services.Register(ctx, discovery.Instance[struct{}]{Name: "mail", ID: id, Zone: zone, Address: id, Port: 25}, nil); err != nil {
			log.Fatal(err)
		}
	}
	mail, err := services.Lookup(ctx, "mail", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer mail.Close()

	chooser := choose.New(mail, choose.RoundRobin(), &choose.Options{Zone: "eu"})
	defer chooser.Close()
	sent := map[string]int{}
	for range 100 {
		pick, err := chooser.Pick()
		if err != nil {
			log.Fatal(err)
		}
		if pick.Entry.ID == "two" {
			err = errors.New("connection refused") // it is out of order
		}
		pick.Done(err)
		sent[pick.Entry.ID]++
	}
	fmt.Println(sent)
	// Output: map[one:97 two:3]
}
