package ensembletest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/ensemble/internal/inside"
	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
)

// patience bounds what [Start], [Ensemble.Connect] and the like wait for: much longer than it takes, so that only what never happens
// fails a test on a busy machine.
const patience = time.Minute

// An Ensemble is one server, or several that agree, for a test.
type Ensemble struct {
	opts    Options
	bubbled bool // it lives in a synctest bubble
	journal *journal
	network ensemble.Network
	wires   *memnet.Network // of network
	dir     string          // a temporary directory to remove; empty: there is none
	servers []*Server       // by number - 1; never changes once they are started
	chroots atomic.Int64    // given away
	faults  faults

	recording atomic.Pointer[[]*Recorder] // changed with mu held

	mu      sync.Mutex
	clients map[*client.Client]post
}

// A post is where a client of Connect stands.
type post struct {
	host  string // that it dials from
	proxy *proxy.Proxy
}

// Start starts n servers and returns when they serve: one alone, or several that have elected one of them to lead. The end of the test
// closes them. If they cannot be started the test ends with the reason and the last lines of their logs; when it fails later, the last
// lines are shown too. nil options are the zero Options.
func Start(t testing.TB, n int, opts *Options) *Ensemble {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e, err := start(ctx, t, n, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("ensembletest: a server had stopped by itself: %v", err)
		}
		if t.Failed() && e.journal.show == nil {
			t.Logf("ensembletest: the servers' last words:\n%s", e.journal.last())
		}
	})
	return e
}

// New is [Start] for where there is no test: an Example, TestMain, a demonstration. ctx bounds the start. Close has to be called in
// the end. The error is a [*StartError].
func New(ctx context.Context, n int, opts *Options) (*Ensemble, error) {
	return start(ctx, nil, n, opts)
}

func start(ctx context.Context, t testing.TB, n int, opts *Options) (*Ensemble, error) {
	o, err := opts.withDefaults(n)
	if err != nil {
		return nil, &StartError{Err: err}
	}
	e := &Ensemble{opts: o, bubbled: bubbled(), journal: newJournal(t, o.Log), clients: make(map[*client.Client]post)}
	e.wires = inside.Network(&e.network)
	e.opts.Server.Logger = e.journal.logger(o.Server.Logger)
	if err := e.begin(ctx, t, n); err != nil {
		if closing := e.Close(); closing != nil {
			err = errors.Join(err, closing)
		}
		return nil, &StartError{Err: err, Log: e.journal.last()}
	}
	return e, nil
}

// begin starts all servers and waits for them.
func (e *Ensemble) begin(ctx context.Context, t testing.TB, n int) (err error) {
	switch {
	case !e.opts.OnDisk || e.opts.Server.Dir != "":
	case t != nil:
		e.opts.Server.Dir = t.TempDir()
	default:
		if e.dir, err = os.MkdirTemp("", "ensembletest-"); err != nil {
			return err
		}
		e.opts.Server.Dir = e.dir
	}
	members := e.members(n)
	e.faults.init(e.wires, n)
	for id := 1; id <= n; id++ {
		s := newServer(e, id, members)
		e.servers = append(e.servers, s)
		if err := s.start(ctx); err != nil {
			return err
		}
	}
	for _, s := range e.servers {
		if err := s.Serving(ctx); err != nil {
			return err
		}
	}
	return nil
}

// members are all servers, nil if there is one that stands alone.
func (e *Ensemble) members(n int) []ensemble.Member {
	if n == 1 {
		return nil
	}
	members := make([]ensemble.Member, n)
	for i := range members {
		members[i] = ensemble.Member{
			ID: i + 1, Host: serverHost(i + 1), QuorumPort: 2888, ElectionPort: 3888, Observer: i >= n-e.opts.Observers,
		}
		if e.opts.Server.Addr == "" {
			members[i].ClientAddr = net.JoinHostPort(serverHost(i+1), clientPort)
		}
	}
	return members
}

// Servers are all servers, by number, whether they run or not.
func (e *Ensemble) Servers() []*Server { return append([]*Server(nil), e.servers...) }

// Server is the server with that number; they are numbered from 1. It panics if there is none.
func (e *Ensemble) Server(id int) *Server {
	if id < 1 || id > len(e.servers) {
		panic(fmt.Sprintf("ensembletest: there is no server %d among %d", id, len(e.servers)))
	}
	return e.servers[id-1]
}

// ConnectString is what clients are given to find any of the servers: host:port pairs with commas between them, to be dialled by
// [Ensemble.Dial], or by anybody with Options.TCP.
func (e *Ensemble) ConnectString() string {
	addrs := make([]string, len(e.servers))
	for i, s := range e.servers {
		addrs[i] = s.ConnectString()
	}
	return strings.Join(addrs, ",")
}

// Dial connects to the server that has addr in the ConnectString, through memory; network does not matter. It fits where a client takes
// a dialer. All who use it are one host for the faults of the network.
func (e *Ensemble) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return e.dialFrom(ctx, sharedHost, addr)
}

func (e *Ensemble) dialFrom(ctx context.Context, host, addr string) (net.Conn, error) {
	e.mustBelong()
	for _, s := range e.servers {
		if s.ConnectString() == addr {
			return e.wires.DialFrom(ctx, host, net.JoinHostPort(s.host, clientPort))
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "mem", Addr: memnet.Addr(addr), Err: errors.New("no server of this ensemble has this address")}
}

// Connect connects a client to any of the servers; its session is open on return. The end of the test closes it.
func (e *Ensemble) Connect(t testing.TB) *client.Client {
	t.Helper()
	return e.connect(t, e.ConnectString())
}

// connect connects to servers of a connect string, which may have a chroot.
func (e *Ensemble) connect(t testing.TB, servers string) *client.Client {
	t.Helper()
	e.mustServe(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := e.dialClient(ctx, servers)
	if err != nil {
		t.Fatalf("ensembletest: connect to %s: %v\nThe servers' last words:\n%s", servers, err, e.journal.last())
	}
	t.Cleanup(func() { e.disconnect(c) })
	return c
}

// dialClient connects a client that is a host of its own, through a proxy of its own.
func (e *Ensemble) dialClient(ctx context.Context, servers string) (*client.Client, error) {
	at := post{host: e.faults.newHost()}
	at.proxy = proxy.New(&proxy.Options{Dial: func(ctx context.Context, _, addr string) (net.Conn, error) {
		return e.dialFrom(ctx, at.host, addr)
	}})
	opts := e.opts.Client
	opts.Dialer = at.proxy.Dial
	c, err := client.Connect(ctx, servers, &opts)
	if err != nil {
		e.leave(at)
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.clients[c] = at
	return c, nil
}

// disconnect closes a client. Where it cannot reach a server its session cannot be closed, which is nobody's failure.
func (e *Ensemble) disconnect(c *client.Client) {
	e.mu.Lock()
	at := e.clients[c]
	delete(e.clients, c)
	e.mu.Unlock()
	at.proxy.Heal() // or the end of the session would wait behind what is frozen
	_ = c.Close()
	e.leave(at)
}

// leave takes away where a client has been.
func (e *Ensemble) leave(at post) {
	_ = at.proxy.Close()
	e.faults.forget(at.host)
}

// postOf is where a client stands. It panics if the client is not one that Connect made.
func (e *Ensemble) postOf(c *client.Client) post {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, ok := e.clients[c]
	if !ok {
		panic("ensembletest: this client was not connected by this ensemble, or is closed")
	}
	return at
}

// Proxy is what stands between a client, one of Connect's, and all servers, and breaks what they say to each other on command: it loses
// the reply of the next create of a node, holds a request, lets a watch fire late. See package proxy. The end of the test ends its faults;
// Heal does not.
func (e *Ensemble) Proxy(c *client.Client) *proxy.Proxy {
	e.mustBelong()
	return e.postOf(c).proxy
}

// Close ends all servers and removes what they have left. It may be called more than once, and returns why servers had stopped by
// themselves, if any had that were not killed.
func (e *Ensemble) Close() error {
	e.mustBelong()
	var errs []error
	for _, s := range e.servers {
		errs = append(errs, s.close())
	}
	if e.dir != "" {
		errs = append(errs, os.RemoveAll(e.dir))
	}
	return errors.Join(errs...)
}

// serverHost is where a server is on the network.
func serverHost(id int) string { return "127.0.0." + strconv.Itoa(id) }

// clientPort is every server's, in memory.
const clientPort = "2181"
