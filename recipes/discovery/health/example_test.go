package health_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/health"
)

// An instance is listed while its own endpoint says that it is well.
func ExampleHTTP() {
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

	var ill atomic.Bool
	mail := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if ill.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer mail.Close()
	one, err := services.Register(ctx, discovery.Instance[struct{}]{Name: "mail", Address: "10.0.0.7", Port: 25}, &discovery.RegisterOptions{
		Check: health.HTTP(mail.URL, nil), CheckEvery: 10 * time.Millisecond, Fall: 1,
	})
	if err != nil {
		log.Fatal(err)
	}
	listed := false
	for status := range one.Watch(ctx) {
		switch {
		case status.Present && !listed:
			fmt.Println("listed")
			ill.Store(true)
		case !status.Present && listed:
			fmt.Println("not listed:", errors.Is(status.Err, discovery.ErrUnhealthy))
			return
		}
		listed = status.Present
	}
	// Output:
	// listed
	// not listed: true
}
