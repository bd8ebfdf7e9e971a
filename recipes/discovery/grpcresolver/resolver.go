// Package grpcresolver lets gRPC find the instances of a service, as long as a connection lives:
//
//	services := discovery.NewRegistry[struct{}](c, "/services", nil)
//	conn, err := grpc.NewClient("bellwether:///mail",
//		grpc.WithResolvers(grpcresolver.New(services, nil)),
//		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
//		grpc.WithTransportCredentials(credentials))
//
// Each instance that is up is an endpoint of one address: its TLS port if the connection has TLS and the instance such a port, otherwise its
// port; one that has neither, or no address, is left out. gRPC's balancer chooses among them; [Weight] and [Zone] tell one of the caller's own
// what the instance says of itself. gRPC's pick_first, which is its default, would send everything to one instance.
//
// While the servers cannot be reached, the last known instances stay, and so do most of those that vanish at once, see
// discovery.LookupOptions. An instance that is draining is left out: gRPC lets the calls it has come to their end. Where nobody is up calls
// fail with Unavailable, or wait if they are told to (grpc.WaitForReady). Until the servers have answered for the first time all calls wait.
package grpcresolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/resolver"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
)

// Scheme is that of targets: bellwether:///service.
const Scheme = "bellwether"

// Options say which instances gRPC gets. The zero value works, and nil means the zero value.
type Options struct {
	// Query says which instances are meant. Default: all that are up.
	Query discovery.Query
	// Lookup says how a service is looked at. Default: as discovery does.
	Lookup *discovery.LookupOptions
}

// New makes what grpc.WithResolvers takes, of the services in a registry. gRPC builds a resolver for each connection, which follows its
// service until the connection is closed; the registry's client must live as long.
func New[T any](services *discovery.Registry[T], opts *Options) resolver.Builder {
	b := &builder[T]{services: services}
	if opts != nil {
		b.opts = *opts
	}
	return b
}

// Weight returns the share of the work that an endpoint should have in relation to others, at least 1.
func Weight(e resolver.Endpoint) int {
	weight, _ := e.Attributes.Value(weightKey{}).(int)
	return max(weight, 1)
}

// Zone returns where an endpoint stands, "" if it does not say.
func Zone(e resolver.Endpoint) string {
	zone, _ := e.Attributes.Value(zoneKey{}).(string)
	return zone
}

type (
	weightKey struct{}
	zoneKey   struct{}
)

type builder[T any] struct {
	services *discovery.Registry[T]
	opts     Options
}

// Scheme is resolver.Builder's.
func (b *builder[T]) Scheme() string { return Scheme }

// Build is resolver.Builder's. It does not wait.
func (b *builder[T]) Build(target resolver.Target, conn resolver.ClientConn, opts resolver.BuildOptions) (resolver.Resolver, error) {
	if target.URL.Host != "" || target.Endpoint() == "" {
		return nil, fmt.Errorf("target %s is not %s:///service", &target.URL, Scheme)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &follower[T]{builder: b, service: target.Endpoint(), conn: conn, cancel: cancel}
	if opts.DialCreds != nil {
		r.tls = opts.DialCreds.Info().SecurityProtocol == "tls"
	}
	r.running.Go(func() { r.follow(ctx) }) // ends with ctx, or the client
	return r, nil
}

// follower tells one connection of the instances of its service.
type follower[T any] struct {
	*builder[T]
	service string
	conn    resolver.ClientConn
	tls     bool
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// ResolveNow is resolver.Resolver's. There is nothing to do: what the servers know is told as soon as it is known here.
func (r *follower[T]) ResolveNow(resolver.ResolveNowOptions) {}

// Close is resolver.Resolver's. It returns when nothing of it runs.
func (r *follower[T]) Close() {
	r.cancel()
	r.running.Wait()
}

// follow looks the service up, as often as it takes, and tells what becomes of it.
func (r *follower[T]) follow(ctx context.Context) {
	pauses := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		s, err := r.services.Lookup(ctx, r.service, r.opts.Lookup)
		if err == nil {
			pauses.Reset()
			r.tell(ctx, s)
			err = s.Err()
			s.Close()
		}
		if ctx.Err() != nil {
			return
		}
		r.conn.ReportError(fmt.Errorf("service %s: %w", r.service, err))
		if errors.Is(err, client.ErrClosed) || errors.Is(err, client.ErrBadArguments) {
			return // for good
		}
		timer := time.NewTimer(pauses.NextBackOff())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// tell tells of each change until the view or ctx ends.
func (r *follower[T]) tell(ctx context.Context, s *discovery.Service[T]) {
	for {
		_, changed := s.Snapshot()
		_ = r.conn.UpdateState(r.state(s.Find(r.opts.Query))) // what the balancer says to it, it says to callers too
		select {
		case <-changed:
		case <-s.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

func (r *follower[T]) state(instances []*discovery.Entry[T]) (state resolver.State) {
	for _, i := range instances {
		if i.Address == "" || i.Port == 0 && i.TLSPort == 0 { // gRPC would look for it on this machine, or at no port
			continue
		}
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{
			Addresses:  []resolver.Address{{Addr: r.address(i)}},
			Attributes: attributes.New(weightKey{}, i.Share()).WithValue(zoneKey{}, i.Zone),
		})
	}
	return state
}

func (r *follower[T]) address(i *discovery.Entry[T]) string {
	if r.tls && i.TLSPort != 0 {
		return net.JoinHostPort(i.Address, strconv.Itoa(i.TLSPort))
	}
	return i.HostPort()
}
