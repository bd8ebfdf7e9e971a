package client_test

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// roads lead from one client to the servers of an ensemble. They know who was dialled, and there are some on which nobody ever arrives.
type roads struct {
	e *ensembletest.Ensemble

	mu      sync.Mutex
	dialled map[string]int
	endless string
	conns   map[net.Conn]bool // open
}

// visit is a connection on one of the roads.
type visit struct {
	net.Conn
	roads *roads
}

func (v *visit) Close() error {
	v.roads.mu.Lock()
	defer v.roads.mu.Unlock()
	delete(v.roads.conns, v.Conn)
	return v.Conn.Close()
}

func (r *roads) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	r.mu.Lock()
	r.dialled[addr]++
	endless := addr == r.endless
	r.mu.Unlock()
	if endless {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	conn, err := r.e.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[conn] = true
	return &visit{conn, r}, nil
}

// since returns whom the client has dialled since it was asked last.
func (r *roads) since() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	addrs := slices.Sorted(maps.Keys(r.dialled))
	clear(r.dialled)
	return addrs
}

// drop breaks the client's connections.
func (r *roads) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.Close()
	}
}

func (r *roads) open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// following connects a client that is told of server 1 alone, and returns when it has seen who else can be reached.
func following(t *testing.T, e *ensembletest.Ensemble, opts client.Options) (*client.Client, *roads) {
	t.Helper()
	r := &roads{e: e, dialled: make(map[string]int), conns: make(map[net.Conn]bool)}
	opts.Dialer, opts.FollowConfig = r.dial, true
	c, err := client.Connect(t.Context(), e.Server(1).ConnectString()+"/app", &opts)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	synctest.Wait()
	return c, r
}

// mustSync is a question that takes a connection.
func mustSync(t *testing.T, c *client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, c.Sync(ctx, "/"))
}

// configurable starts servers whose configuration is whatever publish says.
func configurable(t *testing.T, n int) (e *ensembletest.Ensemble, publish func(text string)) {
	t.Helper()
	e = ensembletest.Start(t, n, &ensembletest.Options{Server: ensemble.Options{Auth: ensemble.Auth{SkipACL: true}}})
	c := e.Connect(t)
	return e, func(text string) {
		t.Helper()
		_, err := c.Set(t.Context(), "/zookeeper/config", []byte(text), client.AnyVersion)
		require.NoError(t, err)
		require.NoError(t, e.WaitCaughtUp(t.Context()))
		synctest.Wait()
	}
}

const (
	addr1 = "127.0.0.1:2181"
	addr2 = "127.0.0.2:2181"
	addr3 = "127.0.0.3:2181"
	line1 = "server.1=127.0.0.1:2888:3888:participant;127.0.0.1:2181\n"
	line2 = "server.2=127.0.0.2:2888:3888:participant;0.0.0.0:2181\n" // the address its peers know it by
	line3 = "server.3=127.0.0.3:2888:3888:observer;127.0.0.3:2181\n"
)

func TestConfigIsWhatServersPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, publish := configurable(t, 3)
		c, _ := following(t, e, client.Options{}) // in a chroot that does not exist
		config, err := c.Config(t.Context())
		require.NoError(t, err)
		require.Zero(t, config.Version)
		require.Len(t, config.Servers, 3)
		require.Equal(t, client.Server{
			ID: 2, Addrs: []client.PeerAddr{{Host: "127.0.0.2", QuorumPort: 2888, ElectionPort: 3888}}, ClientAddr: addr2,
		}, config.Servers[1])

		publish("server.1=")
		_, err = c.Config(t.Context())
		require.EqualError(t, err, `config: configuration has the line "server.1=": address "" is not host:port:port`)
		publish("")
		config, err = c.Config(t.Context())
		require.NoError(t, err)
		require.Equal(t, client.Config{}, config, "of a server alone")
	})
}

// Who was told of one server goes on when it dies, in the same session and in later ones.
func TestFollowConfigLearnsOfTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		stranger, err := client.Connect(t.Context(), e.Server(1).ConnectString(), &client.Options{Dialer: e.Dial})
		require.NoError(t, err)
		defer stranger.Close()
		c, r := following(t, e, client.Options{})
		require.Equal(t, []string{addr1, addr2, addr3}, r.since())
		require.Equal(t, 1, r.open(), "two were reached and left again")
		first := c.Session()

		e.Server(1).Kill()
		mustSync(t, c)
		require.Same(t, first, c.Session())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, stranger.Sync(ctx, "/"), context.DeadlineExceeded, "who does not follow knows nobody else")

		r.since()
		require.NoError(t, e.Expire(t.Context(), c))
		<-first.Context().Done()
		second, err := c.AwaitSession(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, second.Generation())
		mustSync(t, c)
		require.Subset(t, []string{addr1, addr2, addr3}, r.since())
	})
}

// An address that leaves the configuration is not dialled any more, one that comes is once it was reached, and those of the connect string
// stay whatever happens.
func TestFollowConfigFollowsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, publish := configurable(t, 3)
		c, r := following(t, e, client.Options{ConnectTimeout: 100 * time.Millisecond})
		visits := func() (seen []string) { // of everybody there is to connect to: server 1 accepts and says nothing, and so the rounds go on
			t.Helper()
			e.Server(1).Pause()
			r.since()
			for range 20 {
				r.drop()
				mustSync(t, c)
				seen = append(seen, r.since()...)
			}
			e.Server(1).Resume()
			slices.Sort(seen)
			return slices.Compact(seen)
		}
		publish(line1 + line2)
		require.Equal(t, []string{addr1, addr2}, visits())
		for _, text := range []string{"", "server.1", "version=7", line1 + "server.3=127.0.0.3:2888:3888;nowhere", "\x00\xff"} {
			publish(text)
			require.Equal(t, []string{addr1, addr2}, visits(), "%q says nothing", text)
		}
		publish(line3 + "version=8")
		require.Equal(t, []string{addr1, addr3}, visits())
		publish("server.3=127.0.0.3:2888:3888")
		r.since()
		r.drop()
		mustSync(t, c)
		require.Equal(t, []string{addr1}, r.since())
	})
}

// An address where nobody answers, and one where nobody even refuses, delay nothing and are not connected to; they are tried again.
func TestFollowConfigLeavesOutWhoIsNotReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, publish := configurable(t, 3)
		e.Server(3).Kill()
		tried := make(chan string, 1000) // to connect, and not only to see who is there
		c, r := following(t, e, client.Options{ConnectTimeout: 2 * time.Second, Hooks: client.Hooks{
			Dialled: func(server string, _ time.Duration, _ error) { tried <- server },
		}})
		r.mu.Lock()
		r.endless = "127.0.0.8:2181"
		r.mu.Unlock()
		publish(line1 + "server.8=127.0.0.8:1:1;127.0.0.8:2181\nserver.9=127.0.0.9:1:1;127.0.0.9:2181\nserver.10=0.0.0.0:1:1;2181\n" + line2 + line3)
		require.Equal(t, []string{addr1, addr2, addr3, "127.0.0.8:2181"}, r.since())
		start := time.Now()
		mustSync(t, c)
		require.Equal(t, start, time.Now(), "nobody waits for that")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"127.0.0.9:2181"}, r.since())

		require.NoError(t, e.Server(3).Restart(t.Context()))
		require.NoError(t, e.Server(3).Serving(t.Context()))
		time.Sleep(50 * time.Second)
		require.Empty(t, r.since(), "they are left in peace for a while")
		time.Sleep(13 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{addr3, "127.0.0.8:2181", "127.0.0.9:2181"}, r.since(), "and not for ever")

		e.Server(1).Kill()
		e.Server(2).Kill()
		require.NoError(t, e.Server(2).Restart(t.Context()))
		mustSync(t, c)
		for len(tried) > 0 {
			require.Contains(t, []string{addr1, addr2, addr3}, <-tried)
		}
	})
}

// One who hangs does not keep Close waiting.
func TestCloseEndsTheProbing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, publish := configurable(t, 1)
		c, r := following(t, e, client.Options{})
		r.mu.Lock()
		r.endless = "127.0.0.8:2181"
		r.mu.Unlock()
		publish(line1 + "server.8=127.0.0.8:1:1;2181")
		require.Contains(t, r.since(), "127.0.0.8:2181")
		start := time.Now()
		require.NoError(t, c.Close())
		require.Equal(t, start, time.Now())
	})
}

// A configuration that may not be read is asked for now and then, and on each new connection.
func TestFollowConfigWaitsUntilItMayRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		digest := client.DigestACL(client.PermAll, "super", "secret")[0].ID
		e := ensembletest.Start(t, 3, &ensembletest.Options{
			Server: ensemble.Options{Auth: ensemble.Auth{SuperDigest: digest}},
			Client: client.Options{Auth: []client.Auth{{Scheme: "digest", Credential: []byte("super:secret")}}},
		})
		super := e.Connect(t)
		allow := func(acl []client.ACL) {
			t.Helper()
			_, err := super.SetACL(t.Context(), "/zookeeper/config", acl, -1)
			require.NoError(t, err)
			require.NoError(t, e.WaitCaughtUp(t.Context()))
		}
		allow(client.DigestACL(client.PermAll, "else", "body"))
		c, r := following(t, e, client.Options{})
		_, err := c.Config(t.Context())
		require.ErrorIs(t, err, client.ErrNoAuth)
		require.Equal(t, []string{addr1}, r.since())

		time.Sleep(3 * time.Minute)
		allow(client.WorldACL(client.PermRead))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, []string{addr2, addr3}, r.since())

		allow(client.DigestACL(client.PermAll, "else", "body"))
		e.Server(1).Kill()
		mustSync(t, c) // what was learned stays
		_, err = c.Config(t.Context())
		require.ErrorIs(t, err, client.ErrNoAuth)
		mustSync(t, super) // it may have been connected to that server
		_, err = super.Set(t.Context(), "/zookeeper/config", []byte(line3), client.AnyVersion)
		require.NoError(t, err)
		allow(client.WorldACL(client.PermRead))
		r.since()
		r.drop()
		mustSync(t, c)
		synctest.Wait()
		r.since()
		r.drop()
		mustSync(t, c)
		require.NotContains(t, r.since(), addr2, "a new connection is occasion enough to read again")
	})
}

// The connection breaks while the configuration is read; it is read all the same.
func TestFollowConfigOverBrokenConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		p := proxy.New(&proxy.Options{Dial: e.Dial})
		defer p.Close()
		lost := p.Lose(proxy.Reply(proxy.OpGetData, "/zookeeper/config").Times(5))
		c, err := client.Connect(t.Context(), e.Server(1).ConnectString(), &client.Options{Dialer: p.Dial, FollowConfig: true})
		require.NoError(t, err)
		defer c.Close()
		time.Sleep(30 * time.Second)
		require.Equal(t, 5, lost.Strikes())
		e.Server(1).Kill()
		mustSync(t, c)
	})
}

// A reconfiguration that was refused did not happen; one whose answer was lost may have.
func TestReconfigOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 3, nil)
		c := e.Connect(t)
		leave := client.ConfigChange{Leaving: []int64{3}}
		_, err := c.Reconfig(t.Context(), leave, client.AnyVersion)
		require.ErrorIs(t, err, client.ErrReconfigDisabled, "as Apache's servers unless they are told otherwise")
		require.NotErrorIs(t, err, client.ErrUnknown)
		require.EqualError(t, err, "reconfig: reconfiguration is disabled")
		var asked []client.Intent
		careful, err := client.Connect(t.Context(), e.ConnectString()+"/app", &client.Options{Dialer: e.Dial, Check: func(i client.Intent) error {
			asked = append(asked, i)
			return client.ErrNoAuth
		}})
		require.NoError(t, err)
		defer careful.Close()
		_, err = careful.Reconfig(t.Context(), leave, client.AnyVersion)
		require.ErrorIs(t, err, client.ErrNoAuth, "a write like others")
		require.Equal(t, []client.Intent{{Op: "reconfig"}}, asked)

		_, err = c.Reconfig(t.Context(), client.ConfigChange{}, client.AnyVersion)
		require.ErrorIs(t, err, client.ErrBadArguments)
		for _, m := range []proxy.Match{proxy.Request(proxy.OpReconfig, ""), proxy.Reply(proxy.OpReconfig, "")} {
			f := e.Proxy(c).Lose(m)
			_, err = c.Reconfig(t.Context(), leave, client.AnyVersion)
			require.ErrorIs(t, err, client.ErrUnknown)
			require.Equal(t, 1, f.Strikes(), "it is not repeated")
		}
	})
}
