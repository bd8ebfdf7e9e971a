package promsd_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/promsd"
)

// What Prometheus gets when it asks for the targets.
func ExampleNew() {
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
	_, err = services.Register(ctx, discovery.Instance[struct{}]{Name: "mail", ID: "one", Address: "10.0.0.7", Port: 9090}, nil)
	if err != nil {
		log.Fatal(err)
	}
	answer := httptest.NewRecorder()
	promsd.New(services, nil).ServeHTTP(answer, httptest.NewRequest("GET", "/sd?service=mail", nil))
	fmt.Println(answer.Body)
	// Output:
	// [{"targets":["10.0.0.7:9090"],"labels":{"__meta_bellwether_id":"one","__meta_bellwether_path":"/services/mail/one","__meta_bellwether_service":"mail","__meta_bellwether_status":"up","__meta_bellwether_weight":"1"}}]
}

// A process registers itself where Prometheus looks by serverset_sd_configs.
func ExampleServerset() {
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
	scraped := discovery.NewRegistry(c, "/prometheus", &discovery.Options[struct{}]{Codec: promsd.Serverset[struct{}]()})
	defer scraped.Close(ctx)
	one, err := scraped.Register(ctx, discovery.Instance[struct{}]{Name: "mail", ID: "one", Address: "10.0.0.7", Port: 9090}, nil)
	if err != nil {
		log.Fatal(err)
	}
	data, _, err := c.Get(ctx, one.Path())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s\n", one.Path(), data)
	// Output:
	// /prometheus/mail/one: {"serviceEndpoint":{"host":"10.0.0.7","port":9090},"additionalEndpoints":{},"status":"ALIVE"}
}
