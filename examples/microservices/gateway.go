package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"

	"github.com/bellwether-zk/bellwether/recipes/cache"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/transport"
)

// gateway passes orders on to the service orders, and prints which instances there are.
type gateway struct {
	services *discovery.Registry[struct{}]
}

// run serves until ctx ends.
func (g *gateway) run(ctx context.Context) error {
	var watching sync.WaitGroup
	defer watching.Wait()
	instances := transport.New(g.services, nil)
	defer instances.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	for _, name := range []string{"stock", "orders"} {
		s, err := g.services.Lookup(ctx, name, nil)
		if err != nil {
			return err
		}
		defer s.Close()
		watching.Go(func() { watch(ctx, s) }) // ends with ctx, or the view
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "orders"}) // a service, and no host
	proxy.Transport = instances
	proxy.ErrorLog = log.New(os.Stderr, "gateway: ", 0)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
	return serve(ctx, l, proxy, nil)
}

// watch prints what becomes of the instances of a service.
func watch(ctx context.Context, s *discovery.Service[struct{}]) {
	for change := range s.Watch(ctx) {
		switch i := change.New; {
		case change.Kind == cache.Added:
			fmt.Printf("%s is %s, version %s\n", i.ID, i.Status, i.Version)
		case change.Kind == cache.Changed && i.Status != change.Old.Status:
			fmt.Printf("%s is %s\n", i.ID, i.Status)
		case change.Kind == cache.Removed:
			fmt.Println(change.Old.ID, "has gone")
		case change.Kind == cache.Stale:
			fmt.Println("the servers are away; what was known last is what counts for", s.Name())
		}
	}
}
