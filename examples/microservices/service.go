package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/transport"
)

// drain is for how long an instance that is to end says so before it does. Callers hear of it much sooner.
const drain = 200 * time.Millisecond

// service is an instance of stock, which counts what is asked for, or of orders, which asks stock.
type service struct {
	services          *discovery.Registry[struct{}]
	name, id, version string
}

// run serves until ctx ends, and then no further than it must.
func (s *service) run(ctx context.Context) error {
	instances := transport.New(s.services, nil)
	defer instances.Close()
	handler := http.HandlerFunc(stock)
	if s.name == "orders" {
		handler = orders(&http.Client{Transport: instances, Timeout: 2 * time.Second})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	listed, err := s.services.Register(ctx, discovery.Instance[struct{}]{
		Name: s.name, ID: s.id, Version: s.version, Address: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port,
	}, &discovery.RegisterOptions{Drain: drain})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return serve(ctx, l, handler, listed.Close)
}

// serve serves until ctx ends. Then leave sees to it that nobody comes any more, and those who are there are served to the end.
func serve(ctx context.Context, l net.Listener, h http.Handler, leave func(context.Context) error) error {
	server := &http.Server{Handler: h}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }() // ends with the server
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var err error
	if leave != nil {
		err = leave(bound)
	}
	err = errors.Join(err, server.Shutdown(bound))
	<-served // http.ErrServerClosed
	return err
}

// stock tells that there is what somebody wants.
func stock(w http.ResponseWriter, req *http.Request) {
	fmt.Fprintf(w, "there are %s", req.URL.Query().Get("of"))
}

// orders takes an order if stock says that it can be had.
func orders(web *http.Client) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		what, err := io.ReadAll(req.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ask, err := http.NewRequestWithContext(req.Context(), http.MethodGet, "http://stock/?of="+string(what), nil) // a service, and no host
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		resp, err := web.Do(ask)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}
}
