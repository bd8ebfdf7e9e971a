// Package transport sends the requests of an http.Client to instances of services:
//
//	services := discovery.NewRegistry[struct{}](c, "/services", nil)
//	instances := transport.New(services, nil)
//	defer instances.Close()
//	web := http.Client{Transport: instances, Timeout: 10 * time.Second}
//	resp, err := web.Get("http://mail/inbox") // an instance of the service mail
//
// The host of a URL is the name of a service, without a port. With http a request goes to the port of an instance, with https to its TLS port;
// instances without that port, or without an address, are left out. The Host header stays what it was, which is the name of the service unless
// the request has another one: what a server makes of it, such as a redirect, leads back to the service, and not to one instance. With https
// the certificate must be for the address of the instance; that it is for a name which all have is said to Options.Base (tls.Config.ServerName).
//
// A service is looked up at the first request to it, within the context of that, and followed until Close; requests after that ask nobody.
// So the names of services come from the program, and not from strangers. Through an outage of the servers the last known instances stay. An
// instance that is draining gets no request, and the requests it has come to their end.
//
// # What becomes of a request
//
//	answer                       its end, or the end of who reads it (Close), is the end of the request for the chooser
//	answer 502, 503 or 504       counts against the instance, see Options.Failed; tried again if it may be
//	connection refused, or not   counts against the instance; tried again, whatever the method, since nobody has seen it; if
//	there in time                the body was not even begun, the request need not be able to give it again
//	connection lost, no answer   counts against the instance; tried again if it may be, or else the caller is told, who knows
//	                             what it means that a request may have been done
//	context's deadline           counts against the instance; the end
//	context cancelled            counts against nobody; the end
//	nothing but the request is   counts against nobody; the end
//	wrong, or its body fails
//	nobody there                 choose.ErrNone, at once
//
// A request that an instance may have seen is tried again if doing it twice is doing it once (GET, HEAD, OPTIONS, TRACE, PUT, DELETE, or a
// header Idempotency-Key) and its body can be had again (none, or Request.GetBody), on an instance it has not been at, Options.Attempts times
// in all. If there is no other one, or these are used up, the caller gets the last answer, or error.
//
// # Looking at it
//
// With the MeterProvider of the client each request at an instance is counted when it is done, in bellwether.discovery.attempts, by service, by
// how often it was sent before, and by what was wrong with it; and of each service there is what packages discovery and choose tell. How long
// requests take, and their spans, are left to OpenTelemetry's otelhttp: around Options.Base it tells of each attempt, around the Transport of the
// request as a whole.
package transport

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/choose"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// ErrClosed tells that a Transport was closed before the request.
var ErrClosed = errors.New("transport is closed")

// Options say how requests find an instance. The zero value works, and nil means the zero value.
type Options struct {
	// Base sends a request to the instance that was chosen. It decides how long an instance may take: see http.Transport.ResponseHeaderTimeout.
	// Default: an http.Transport that waits 3 s for a connection, and has no proxy; its connections are closed by Close.
	Base http.RoundTripper
	// Strategy makes the strategy for a service. Default: choose.TwoChoices.
	Strategy func() choose.Strategy
	// Choose says who is chosen from. Default: as choose does.
	Choose *choose.Options
	// Lookup says how a service is looked at. Default: as discovery does.
	Lookup *discovery.LookupOptions
	// Failed tells whether an answer counts against the instance. It must not read the body. Default: if its status is 502, 503 or 504.
	Failed func(*http.Response) bool
	// Attempts is how often a request is tried, the first time included. 1 tries once. Default: 3.
	Attempts int
}

// Transport is an http.RoundTripper that sends requests to instances of services, from New until Close. Its methods may be called by many
// goroutines.
type Transport[T any] struct {
	services *discovery.Registry[T]
	opts     Options
	own      *http.Transport // Base, if the caller gave none
	life     context.Context
	cancel   context.CancelCauseFunc
	closing  sync.Once
	traces   atomic.Bool    // Base tells when it asks for connections
	kit      *telemetry.Kit // nil: nobody looks

	mu      sync.Mutex
	known   map[target]*service[T]
	closed  bool
	running sync.WaitGroup // lookups; none is added when closed
}

// New makes a transport to the services of a registry, whose client must live as long. Nothing is asked of the servers.
func New[T any](services *discovery.Registry[T], opts *Options) *Transport[T] {
	t := &Transport[T]{services: services, kit: telemetry.Of(services.Client()), known: make(map[target]*service[T])}
	if opts != nil {
		t.opts = *opts
	}
	o := &t.opts
	if o.Base == nil {
		t.own = newBase()
		o.Base = t.own
	}
	if o.Strategy == nil {
		o.Strategy = choose.TwoChoices
	}
	if o.Failed == nil {
		o.Failed = failed
	}
	o.Attempts = cmp.Or(o.Attempts, 3)
	t.life, t.cancel = context.WithCancelCause(context.Background())
	return t
}

// newBase makes what http.DefaultTransport is, for few hosts that are near, and many requests to each of them.
func newBase() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		TLSHandshakeTimeout: 3 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 100,
		IdleConnTimeout:     90 * time.Second,
	}
}

func failed(r *http.Response) bool {
	switch r.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// Close ends the transport: it ends the lookups, and returns when nothing runs that it has started. Requests that have an instance come to
// their end; others fail with [ErrClosed].
func (t *Transport[T]) Close() {
	t.closing.Do(func() {
		t.mu.Lock()
		t.closed = true
		t.mu.Unlock()
		t.cancel(ErrClosed)
		t.running.Wait()
		for _, s := range t.known {
			if f := s.now.Load(); f != nil {
				f.close()
			}
		}
		if t.own != nil {
			t.own.CloseIdleConnections() // and those that will be idle later
		}
	})
}

// CloseIdleConnections closes connections that have no request, as [http.Client.CloseIdleConnections] wants it.
func (t *Transport[T]) CloseIdleConnections() {
	if base, ok := t.opts.Base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// RoundTrip is [http.RoundTripper]'s.
func (t *Transport[T]) RoundTrip(req *http.Request) (*http.Response, error) {
	to, chooser, pick, err := t.choose(req)
	if err != nil {
		closeBody(req.Body)
		return nil, &failure{service: to.service, err: err}
	}
	all := &bodies{req: req}
	body := all.first()
	var tried []choose.Pick[T]
	for {
		a := t.send(req, all, body, to, pick, len(tried))
		tried = append(tried, pick)
		var more bool
		if len(tried) < t.opts.Attempts && a.mayBeRepeated(req) {
			body, pick, more = another(chooser, all, a, tried)
		}
		if !more {
			all.settle()
			return a.result(req, to)
		}
		a.discard(req.Context())
	}
}

// choose finds the first instance for a request.
func (t *Transport[T]) choose(req *http.Request) (to target, c *choose.Chooser[T], pick choose.Pick[T], err error) {
	if to, err = targetOf(req); err != nil {
		return to, nil, pick, err
	}
	if c, err = t.chooser(req.Context(), to); err != nil {
		return to, nil, pick, err
	}
	pick, err = c.Pick()
	return to, c, pick, err
}

// another finds what it takes to try a request once more: its body, and an instance that it has not been at.
func another[T any](c *choose.Chooser[T], all *bodies, a *attempt[T], tried []choose.Pick[T]) (body io.ReadCloser, pick choose.Pick[T], ok bool) {
	body, ok = all.again(a.unseen)
	if !ok {
		return nil, pick, false
	}
	pick, err := c.PickOther(tried...)
	if err != nil {
		closeBody(body)
		return nil, pick, false
	}
	return body, pick, true
}
