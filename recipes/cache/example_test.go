package cache_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/cache"
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
	for path, data := range map[string]string{"mail": "eu", "web": "us", "shop": "eu"} {
		_, err := c.Create(ctx, "/services/"+path, []byte(data), &client.CreateOptions{Parents: client.PersistentParents})
		if err != nil {
			log.Fatal(err)
		}
	}

	services, err := cache.Open(ctx, c, "/services", &cache.Options{
		Index: func(n cache.Node) []string { return []string{string(n.Data)} },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer services.Close()
	node, ok := services.Get("/services/web")
	fmt.Println(string(node.Data), ok)
	found := 0
	for range services.Find("eu") {
		found++
	}
	fmt.Println(found, "in the eu, of", services.Len()-1)

	for change := range services.Watch(ctx) {
		fmt.Println(strings.TrimSpace(fmt.Sprint(change.Kind, " ", change.Path, " ", string(change.New.Data))))
		if change.Kind == cache.Current {
			c.Delete(ctx, "/services/web", client.AnyVersion)
		}
		if change.Kind == cache.Removed {
			break
		}
	}
	// Output:
	// us true
	// 2 in the eu, of 3
	// added /services
	// added /services/mail eu
	// added /services/shop eu
	// added /services/web us
	// current /services
	// removed /services/web
}

// What is known stays when the servers are gone, and says that it may be old. When they are back nothing that was missed stays so.
func ExampleCache_StaleSince() {
	ctx := context.Background()
	servers, err := ensemble.StartSeveral(ctx, 1, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer servers.Close()
	c, err := client.Connect(ctx, servers.ConnectString(), &client.Options{Dialer: servers.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Create(ctx, "/limit", []byte("100"), nil); err != nil {
		log.Fatal(err)
	}

	limit, err := cache.Open(ctx, c, "/limit", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer limit.Close()
	lost := false
	for change := range limit.Watch(ctx) {
		node, _ := limit.Get("/limit")
		switch {
		case change.Kind == cache.Current && !lost:
			fmt.Println(string(node.Data))
			servers.Servers()[0].Close()
			lost = true
		case change.Kind == cache.Stale:
			fmt.Println(string(node.Data), "or something else by now:", !limit.StaleSince().IsZero())
			if _, err := servers.Restart(ctx, 1); err != nil {
				log.Fatal(err)
			}
		case change.Kind == cache.Current:
			fmt.Println(string(node.Data), "again:", limit.StaleSince().IsZero())
			return
		}
	}
	// Output:
	// 100
	// 100 or something else by now: true
	// 100 again: true
}
