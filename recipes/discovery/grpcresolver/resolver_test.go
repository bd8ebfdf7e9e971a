package grpcresolver_test

import (
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/endpointsharding"
	"google.golang.org/grpc/balancer/pickfirst"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/grpcresolver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type registry = discovery.Registry[struct{}]

func registryOf(c *client.Client) *registry {
	return discovery.NewRegistry[struct{}](c, "/services", nil)
}

// serve starts a server of gRPC's health service, and registers it as an instance of mail.
func serve(t *testing.T, r *registry, i discovery.Instance[struct{}]) (addr string, g *discovery.Registration[struct{}], s *grpc.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s = grpc.NewServer()
	healthpb.RegisterHealthServer(s, health.NewServer())
	served := make(chan error)
	go func() { served <- s.Serve(l) }() // ends with the server
	t.Cleanup(func() {
		s.Stop()
		require.NoError(t, <-served)
	})
	i.Name, i.Address, i.Port = "mail", "127.0.0.1", l.Addr().(*net.TCPAddr).Port
	g, err = r.Register(t.Context(), i, nil)
	require.NoError(t, err)
	return l.Addr().String(), g, s
}

func dial(t *testing.T, r *registry, target string, opts *grpcresolver.Options, more ...grpc.DialOption) healthpb.HealthClient {
	t.Helper()
	conn, err := grpc.NewClient(target, append([]grpc.DialOption{
		grpc.WithResolvers(grpcresolver.New(r, opts)), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`),
	}, more...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return healthpb.NewHealthClient(conn)
}

// ask makes a call and returns whose answer it was.
func ask(t *testing.T, c healthpb.HealthClient, opts ...grpc.CallOption) string {
	t.Helper()
	var from peer.Peer
	_, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{}, append(opts, grpc.Peer(&from))...)
	require.NoError(t, err)
	return from.Addr.String()
}

// askUntil calls until there was an answer from an instance; every call must succeed.
func askUntil(t *testing.T, c healthpb.HealthClient, addr string) {
	t.Helper()
	for ask(t, c) != addr {
		require.NoError(t, t.Context().Err())
	}
}

// Instances come and go while calls are made, and no call fails.
func TestInstancesComeAndGo(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	r := registryOf(e.Connect(t))
	c := dial(t, registryOf(e.Connect(t)), "bellwether:///mail", nil)
	_, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{})
	require.Equal(t, codes.Unavailable, status.Code(err), "nobody is there")

	early := make(chan string)
	go func() { // ends with the answer
		var from peer.Peer
		_, _ = c.Check(t.Context(), &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true), grpc.Peer(&from))
		early <- from.Addr.String()
	}()
	first, g, server := serve(t, r, discovery.Instance[struct{}]{ID: "first"})
	require.Equal(t, first, <-early, "who waits is let through")
	second, _, _ := serve(t, r, discovery.Instance[struct{}]{ID: "second"})
	askUntil(t, c, second)
	askUntil(t, c, first)

	require.NoError(t, g.Close(t.Context()))
	server.GracefulStop() // lets the calls under way come to their end, and refuses others
	for range 100 {
		require.Equal(t, second, ask(t, c, grpc.WaitForReady(true)))
	}
}

// Through an outage of the servers gRPC knows what was known before it.
func TestOutage(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	only, _, _ := serve(t, registryOf(e.Connect(t)), discovery.Instance[struct{}]{ID: "only"})
	c := dial(t, registryOf(e.Connect(t)), "bellwether:///mail", nil)
	require.Equal(t, only, ask(t, c, grpc.WaitForReady(true)))
	e.Servers()[0].Kill()
	for range 100 {
		require.Equal(t, only, ask(t, c))
	}
}

// The balancer is told of weights and zones, and the query keeps out who is not meant.
func TestAttributes(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	r := registryOf(e.Connect(t))
	_, _, _ = serve(t, r, discovery.Instance[struct{}]{ID: "old", Version: "1"})
	heavy, _, _ := serve(t, r, discovery.Instance[struct{}]{ID: "heavy", Version: "2", Weight: 7, Zone: "eu"})
	_, _, _ = serve(t, r, discovery.Instance[struct{}]{ID: "late", Version: "2", Status: discovery.Starting})
	c := dial(t, registryOf(e.Connect(t)), "bellwether:///mail", &grpcresolver.Options{Query: discovery.Query{Version: "2"}},
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"`+listenerName+`": {}}]}`))
	require.Equal(t, heavy, ask(t, c, grpc.WaitForReady(true)))
	got := *heard.Load()
	require.Len(t, got, 1)
	require.Equal(t, 7, grpcresolver.Weight(got[0]))
	require.Equal(t, "eu", grpcresolver.Zone(got[0]))
	require.Equal(t, 1, grpcresolver.Weight(resolver.Endpoint{}))
	require.Empty(t, grpcresolver.Zone(resolver.Endpoint{}))
}

// sink is a connection that hears of the endpoints there are.
type sink struct {
	resolver.ClientConn
	states chan resolver.State
}

func (s sink) UpdateState(state resolver.State) error {
	s.states <- state
	return nil
}

// With TLS the TLS port is meant, if there is one; who cannot be reached is left out.
func TestAddresses(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	r := registryOf(e.Connect(t))
	for _, i := range []discovery.Instance[struct{}]{
		{ID: "both", Address: "10.0.0.1", Port: 25, TLSPort: 465}, {ID: "plain", Address: "10.0.0.2", Port: 25}, {ID: "secret", Address: "::1", TLSPort: 465},
		{ID: "nowhere", Port: 25}, {ID: "no port", Address: "10.0.0.3"},
	} {
		i.Name = "mail"
		_, err := r.Register(t.Context(), i, nil)
		require.NoError(t, err)
	}
	for creds, want := range map[credentials.TransportCredentials][]string{
		insecure.NewCredentials():                 {"10.0.0.1:25", "10.0.0.2:25", "[::1]:465"},
		credentials.NewClientTLSFromCert(nil, ""): {"10.0.0.1:465", "10.0.0.2:25", "[::1]:465"},
	} {
		to := sink{states: make(chan resolver.State, 1)}
		target := resolver.Target{URL: url.URL{Scheme: grpcresolver.Scheme, Path: "/mail"}}
		following, err := grpcresolver.New(r, nil).Build(target, to, resolver.BuildOptions{DialCreds: creds})
		require.NoError(t, err)
		state := <-to.states
		var got []string
		for _, endpoint := range state.Endpoints {
			got = append(got, endpoint.Addresses[0].Addr)
		}
		following.Close()
		require.Equal(t, want, got)
	}
}

func TestTargets(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	b := grpcresolver.New(registryOf(e.Connect(t)), nil)
	require.Equal(t, grpcresolver.Scheme, b.Scheme())
	for _, target := range []string{"bellwether://elsewhere/mail", "bellwether:///", "bellwether:///a/b"} {
		c := dial(t, registryOf(e.Connect(t)), target, nil)
		_, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{})
		require.Error(t, err, target)
	}
}

// Whose client is closed is told so, and the connection can still be closed.
func TestClosedClient(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	theirs := e.Connect(t)
	require.NoError(t, theirs.Close())
	c := dial(t, registryOf(theirs), "bellwether:///mail", nil)
	_, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{})
	require.ErrorContains(t, err, client.ErrClosed.Error())
}

const listenerName = "bellwether_listener"

// heard are the endpoints that a balancer was told of last.
var heard atomic.Pointer[[]resolver.Endpoint]

// listener is a balancer that hears which endpoints there are, and leaves the work to another.
type listener struct{ balancer.Balancer }

func (l listener) UpdateClientConnState(s balancer.ClientConnState) error {
	heard.Store(&s.ResolverState.Endpoints)
	return l.Balancer.UpdateClientConnState(s)
}

type listenerBuilder struct{}

func (listenerBuilder) Name() string { return listenerName }
func (listenerBuilder) Build(cc balancer.ClientConn, opts balancer.BuildOptions) balancer.Balancer {
	return listener{endpointsharding.NewBalancer(cc, opts, balancer.Get(pickfirst.Name).Build, endpointsharding.Options{})}
}

func init() { balancer.Register(listenerBuilder{}) }
