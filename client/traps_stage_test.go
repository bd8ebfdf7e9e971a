package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// trapTimeout is the session timeout of all scenarios.
const trapTimeout = 10 * time.Second

// A stage is where a scenario is played: some servers, a witness that nothing happens to, and the client's way to the servers, with a
// proxy in it.
type stage struct {
	*ensembletest.Ensemble
	witness *client.Client
	way     *proxy.Proxy
	connect func(t *testing.T, s *stage, servers string) contender

	faults  []*proxy.Fault // that must strike
	mu      sync.Mutex
	next    func() net.Conn // what the next dial gets instead of a server; nil: a server
	dialled []string        // the addresses, as the dialer was given them
	open    int             // connections
	others  []net.Conn      // of those who are no servers
}

func newStage(t *testing.T, servers int, opts ensemble.Options) *stage {
	s := &stage{Ensemble: ensembletest.Start(t, servers, &ensembletest.Options{Server: opts})}
	s.witness = s.Connect(t)
	s.way = proxy.New(&proxy.Options{Dial: s.Dial})
	t.Cleanup(func() { require.NoError(t, s.way.Close()) })
	return s
}

// enter connects the client, and waits for its session. The test's end closes it.
func (s *stage) enter(t *testing.T, servers string) contender {
	c := s.connect(t, s, servers)
	t.Cleanup(func() {
		s.way.Heal()
		s.mu.Lock()
		for _, far := range s.others {
			far.Close()
		}
		s.mu.Unlock()
		c.close()
	})
	require.NoError(t, c.get(t.Context(), "/"))
	return c
}

// make makes a node that every server has on return.
func (s *stage) make(t *testing.T, path, data string) {
	_, err := s.witness.Create(t.Context(), path, []byte(data), nil)
	require.NoError(t, err)
	require.NoError(t, s.WaitCaughtUp(t.Context()))
}

// lose lets the next reply be lost that matches.
func (s *stage) lose(op proxy.Op, path string) {
	s.faults = append(s.faults, s.way.Lose(proxy.Reply(op, path)))
}

// mustHaveBroken fails the test if what was to happen has not.
func (s *stage) mustHaveBroken(t *testing.T) {
	for _, f := range s.faults {
		require.Equal(t, 1, f.Strikes(), f)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Nil(t, s.next)
}

// dial is the client's dialer. What is no server's address is taken for a name of the first.
func (s *stage) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	s.mu.Lock()
	s.dialled = append(s.dialled, addr)
	instead := s.next
	s.next = nil
	s.mu.Unlock()
	if instead != nil {
		return s.count(instead()), nil
	}
	if !strings.Contains(s.ConnectString(), addr) {
		addr = s.Server(1).ConnectString()
	}
	conn, err := s.way.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return s.count(conn), nil
}

// breakTo breaks the client's connection, and lets it find somebody else than a server the next time it connects, and only then. He accepts,
// says what he has to say, and listens from then on.
func (s *stage) breakTo(says string) {
	s.mu.Lock()
	s.next = func() net.Conn {
		near, far := net.Pipe()
		go func() { // ends with the connection, or the stage
			_, _ = io.WriteString(far, says)
		}()
		go func() { // ends with the connection, or the stage
			_, _ = io.Copy(io.Discard, far)
		}()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.others = append(s.others, far)
		return near
	}
	s.mu.Unlock()
	s.way.Drop()
}

// What they say who are no servers, or bad ones.
const (
	nothing      = ""
	half         = "\x00\x00\x00\x25\x00\x00" // the beginning of an answer
	nothingKnown = "\x04\x00\x00\x00"         // read as a length it is 64 MiB
)

func (s *stage) count(conn net.Conn) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	return &countedConn{conn, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
	})}
}

type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

func (s *stage) connections() (dialled []string, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.dialled...), s.open
}

// nodes are the paths of what is directly below dir, as a server has it that leads.
func (s *stage) nodes(dir string) (paths []string) {
	synctest.Wait()
	for path := range s.Leader().Tree() {
		name, ok := strings.CutPrefix(path, strings.TrimSuffix(dir, "/")+"/")
		if ok && name != "" && name != "zookeeper" && !strings.Contains(name, "/") {
			paths = append(paths, path)
		}
	}
	return paths
}

// A contender is a client of one of the libraries, with the session it began with. Calls of the bare one cannot look at their context.
type contender interface {
	get(ctx context.Context, path string) error
	list(ctx context.Context, path string) error // the children
	set(ctx context.Context, path string, data []byte) error
	create(ctx context.Context, path string, mode client.Mode) (string, error)
	// The next five are done as users do them who know that a reply may be lost, with what their library has for that.
	createOnce(ctx context.Context, path string, mode client.Mode) (string, error)
	createBelow(ctx context.Context, dir, name string) error // dir is a container, made where it is missing
	createAll(ctx context.Context, paths ...string) error    // in one transaction
	increment(ctx context.Context, path string) error
	remove(ctx context.Context, path string) error

	watch(ctx context.Context, path string) (woken func() bool, err error)
	listen() (heard func() []string) // of states, by somebody who does not come before heard
	keep(ctx context.Context) error  // it holds something that two must not have
	told() bool                      // it has been told that its session is over
	connected() bool
	session() int64 // the present one
	close()         // and wait until nothing is left, where that is possible
	end()           // as users close it
	kind(err error) string
}

// bareClient is a client of go-zookeeper/zk.
type bareClient struct {
	*zk.Conn
	states <-chan zk.Event
	mu     sync.Mutex
	over   bool
}

func connectBare(t *testing.T, s *stage, servers string) contender {
	b := &bareClient{}
	var err error
	b.Conn, b.states, err = zk.Connect(strings.Split(servers, ","), trapTimeout,
		zk.WithDialer(func(network, addr string, timeout time.Duration) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			return s.dial(ctx, network, addr)
		}),
		zk.WithEventCallback(b.event), zk.WithMaxBufferSize(client.DefaultMaxFrame), zk.WithLogger(nobody{}))
	require.NoError(t, err)
	return b
}

type nobody struct{}

func (nobody) Printf(string, ...any) {}

func (b *bareClient) event(e zk.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = b.over || e.State == zk.StateExpired
}

func (b *bareClient) told() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over
}

func (b *bareClient) get(_ context.Context, path string) error {
	_, _, err := b.Get(path)
	return err
}

func (b *bareClient) list(_ context.Context, path string) error {
	_, _, err := b.Children(path)
	return err
}

func (b *bareClient) set(_ context.Context, path string, data []byte) error {
	_, err := b.Set(path, data, -1)
	return err
}

func (b *bareClient) create(_ context.Context, path string, mode client.Mode) (string, error) {
	if mode == client.PersistentTTL {
		return b.CreateTTL(path, nil, zk.FlagTTL, zk.WorldACL(zk.PermAll), time.Hour)
	}
	return b.Create(path, nil, int32(mode), zk.WorldACL(zk.PermAll))
}

func (b *bareClient) createOnce(ctx context.Context, path string, mode client.Mode) (made string, err error) {
	if mode == client.EphemeralSequential {
		return b.CreateProtectedEphemeralSequential(path, nil, zk.WorldACL(zk.PermAll))
	}
	err = again(func() error { made, err = b.create(ctx, path, mode); return err })
	return made, err
}

// again is what users do when the connection was lost.
func again(do func() error) error {
	for {
		if err := do(); !errors.Is(err, zk.ErrConnectionClosed) {
			return err
		}
	}
}

func (b *bareClient) createBelow(ctx context.Context, dir, name string) error {
	_, err := b.CreateContainer(dir, nil, zk.FlagContainer, zk.WorldACL(zk.PermAll))
	if err != nil && !errors.Is(err, zk.ErrNodeExists) {
		return err
	}
	_, err = b.create(ctx, dir+"/"+name, client.Persistent)
	return err
}

func (b *bareClient) createAll(_ context.Context, paths ...string) error {
	var ops []any
	for _, p := range paths {
		ops = append(ops, &zk.CreateRequest{Path: p, Acl: zk.WorldACL(zk.PermAll)})
	}
	return again(func() error { _, err := b.Multi(ops...); return err })
}

func (b *bareClient) increment(_ context.Context, path string) error {
	for {
		data, stat, err := b.Get(path)
		if err == nil {
			_, err = b.Set(path, next(data), stat.Version)
		}
		if !errors.Is(err, zk.ErrConnectionClosed) && !errors.Is(err, zk.ErrBadVersion) {
			return err
		}
	}
}

func (b *bareClient) remove(_ context.Context, path string) error {
	return again(func() error { return b.Delete(path, -1) })
}

// next is the number after the one in data.
func next(data []byte) []byte {
	n, _ := strconv.Atoi(string(data))
	return []byte(strconv.Itoa(n + 1))
}

func (b *bareClient) watch(_ context.Context, path string) (func() bool, error) {
	_, _, events, err := b.GetW(path)
	return func() bool {
		synctest.Wait()
		return len(events) > 0
	}, err
}

func (b *bareClient) listen() func() []string {
	return func() (heard []string) {
		for {
			select {
			case e := <-b.states:
				heard = append(heard, e.State.String())
			default:
				return heard
			}
		}
	}
}

func (b *bareClient) keep(context.Context) error { return nil } // it has nothing like it
func (b *bareClient) connected() bool            { return b.State() == zk.StateHasSession }
func (b *bareClient) session() int64             { return b.SessionID() }
func (b *bareClient) end()                       { b.Close() }
func (b *bareClient) kind(err error) string {
	for _, kind := range []error{zk.ErrAPIError, zk.ErrBadArguments, zk.ErrInvalidFlags, zk.ErrUnknown} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return "an error without a kind: " + err.Error()
}

func (b *bareClient) close() {
	b.Close()
	for range b.states { // the library closes it as the last thing it does
	}
}

// ourClient is a client of this package, which is a view of its first session.
type ourClient struct {
	*client.Client
}

func connectOurs(t *testing.T, s *stage, servers string) contender {
	c, err := client.Connect(t.Context(), servers, &client.Options{SessionTimeout: trapTimeout, Dialer: s.dial})
	require.NoError(t, err)
	return &ourClient{c.Session().Client()}
}

func (o *ourClient) get(ctx context.Context, path string) error {
	_, _, err := o.Get(ctx, path)
	return err
}

func (o *ourClient) list(ctx context.Context, path string) error {
	_, _, err := o.Children(ctx, path)
	return err
}

func (o *ourClient) set(ctx context.Context, path string, data []byte) error {
	_, err := o.Set(ctx, path, data, client.AnyVersion)
	return err
}

func (o *ourClient) create(ctx context.Context, path string, mode client.Mode) (string, error) {
	opts := &client.CreateOptions{Mode: mode}
	if mode == client.PersistentTTL {
		opts.TTL = time.Hour
	}
	return o.Create(ctx, path, nil, opts)
}

func (o *ourClient) createOnce(ctx context.Context, path string, mode client.Mode) (string, error) {
	return o.Create(ctx, path, nil, &client.CreateOptions{Mode: mode, Protected: true})
}

func (o *ourClient) createBelow(ctx context.Context, dir, name string) error {
	_, err := o.Create(ctx, dir+"/"+name, nil, &client.CreateOptions{Parents: client.ContainerParents})
	return err
}

func (o *ourClient) createAll(ctx context.Context, paths ...string) error {
	var ops []client.Op
	for _, p := range paths {
		ops = append(ops, client.CreateOp(p, nil, nil))
	}
	_, err := o.MultiOnce(ctx, "/marks", ops...)
	return err
}

func (o *ourClient) increment(ctx context.Context, path string) error {
	for {
		data, stat, err := o.Get(ctx, path)
		if err == nil {
			_, err = o.MultiOnce(ctx, "/marks", client.SetOp(path, next(data), stat.Version))
		}
		if !errors.Is(err, client.ErrBadVersion) {
			return err
		}
	}
}

func (o *ourClient) remove(ctx context.Context, path string) error {
	_, err := o.MultiOnce(ctx, "/marks", client.DeleteOp(path, client.AnyVersion))
	return err
}

func (o *ourClient) watch(ctx context.Context, path string) (func() bool, error) {
	_, _, w, err := o.GetW(ctx, path)
	return func() bool {
		synctest.Wait()
		select {
		case <-w.Done():
			return true
		default:
			return false
		}
	}, err
}

func (o *ourClient) listen() func() []string {
	ctx, cancel := context.WithCancel(context.Background())
	var heard []string
	back, done := make(chan struct{}), make(chan struct{})
	go func() { // ends when heard is called
		defer close(done)
		for change := range o.States(ctx) {
			<-back
			heard = append(heard, change.State.String())
		}
	}()
	synctest.Wait() // it listens
	return func() []string {
		close(back)
		synctest.Wait()
		cancel()
		<-done
		return heard
	}
}

func (o *ourClient) keep(ctx context.Context) error {
	_, err := o.Session().Keep(ctx) // the end of the client releases it
	return err
}

func (o *ourClient) told() bool { return o.Session().Err() != nil }
func (o *ourClient) connected() bool {
	return o.State() == client.StateConnected || o.State() == client.StateReconnected
}
func (o *ourClient) session() int64 {
	if o.told() {
		return 0
	}
	return o.Session().ID()
}
func (o *ourClient) close() { _ = o.Close() }
func (o *ourClient) end()   { o.close() }
func (o *ourClient) kind(err error) string {
	switch {
	case errors.Is(err, client.ErrUnimplemented):
		return "unimplemented"
	}
	return "an error without a kind: " + err.Error()
}
