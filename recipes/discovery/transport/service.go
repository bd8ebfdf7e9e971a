package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/choose"
)

// target is where a request wants to go.
type target struct {
	service string
	tls     bool
}

func targetOf(req *http.Request) (to target, err error) {
	if req.URL == nil {
		return to, errors.New("request without a URL")
	}
	to.service = req.URL.Host
	switch req.URL.Scheme {
	case "http":
	case "https":
		to.tls = true
	default:
		return to, fmt.Errorf("scheme %q is neither http nor https", req.URL.Scheme)
	}
	if req.URL.Port() != "" {
		return to, errors.New("a service has instances, and they have the ports")
	}
	return to, nil
}

// port returns that of an instance, 0 if requests cannot go there.
func (to target) port(address string, port, tlsPort int) int {
	switch {
	case address == "":
		return 0
	case to.tls:
		return tlsPort
	}
	return port
}

// service is what is known of one.
type service[T any] struct {
	turn chan struct{} // has a token while somebody looks it up
	now  atomic.Pointer[followed[T]]
}

// followed is a service that was looked up.
type followed[T any] struct {
	view    *discovery.Service[T]
	chooser *choose.Chooser[T]
}

func (f *followed[T]) close() {
	f.chooser.Close()
	f.view.Close()
}

// alive tells whether the view is still kept up. One that is not is that of a client which is closed.
func (f *followed[T]) alive() bool {
	if f == nil {
		return false
	}
	select {
	case <-f.view.Done():
		return false
	default:
		return true
	}
}

// chooser returns who chooses among the instances of a service, which is looked up if that was not done.
func (t *Transport[T]) chooser(ctx context.Context, to target) (*choose.Chooser[T], error) {
	s, err := t.service(to)
	if err != nil {
		return nil, err
	}
	if f := s.now.Load(); f.alive() {
		return f.chooser, nil
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-s.turn }()
	if f := s.now.Load(); f.alive() {
		return f.chooser, nil
	}
	return t.lookup(ctx, to, s)
}

func (t *Transport[T]) service(to target) (*service[T], error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	s := t.known[to]
	if s == nil {
		s = &service[T]{turn: make(chan struct{}, 1)}
		t.known[to] = s
	}
	return s, nil
}

// lookup looks a service up. The caller has the turn. The view has nothing of ctx, which ends with the request.
func (t *Transport[T]) lookup(ctx context.Context, to target, s *service[T]) (*choose.Chooser[T], error) {
	if !t.enter() {
		return nil, ErrClosed
	}
	defer t.running.Done()
	wait, cancel := context.WithCancelCause(t.life)
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	view, err := t.services.Lookup(wait, to.service, t.opts.Lookup)
	if err != nil {
		return nil, err
	}
	f := &followed[T]{view: view, chooser: choose.New(&source[T]{view, to}, t.opts.Strategy(), t.opts.Choose)}
	if before := s.now.Swap(f); before != nil {
		before.close()
	}
	return f.chooser, nil
}

// enter counts a lookup, if Close does not wait already.
func (t *Transport[T]) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.running.Add(1)
	return true
}

// source is the instances of a service that a request can go to.
type source[T any] struct {
	view *discovery.Service[T]
	to   target
}

// Name and Client are for who looks.
func (s *source[T]) Name() string           { return s.view.Name() }
func (s *source[T]) Client() *client.Client { return s.view.Client() }

func (s *source[T]) Snapshot() ([]*discovery.Entry[T], <-chan struct{}) {
	all, changed := s.view.Snapshot()
	reached := func(e *discovery.Entry[T]) bool { return s.to.port(e.Address, e.Port, e.TLSPort) != 0 }
	if !slices.ContainsFunc(all, func(e *discovery.Entry[T]) bool { return !reached(e) }) {
		return all, changed
	}
	var some []*discovery.Entry[T]
	for _, e := range all {
		if reached(e) {
			some = append(some, e)
		}
	}
	return some, changed
}

func addressOf[T any](to target, i *discovery.Instance[T]) string {
	return net.JoinHostPort(i.Address, strconv.Itoa(to.port(i.Address, i.Port, i.TLSPort)))
}
