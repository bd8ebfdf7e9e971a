//go:build interop

package integration

import (
	"context"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
)

// acquaintances are the servers a client has reached.
type acquaintances struct {
	mu    sync.Mutex
	addrs []string
}

func (a *acquaintances) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.addrs = append(a.addrs, addr)
	}
	return conn, err
}

func (a *acquaintances) mustMeet(t *testing.T, addr string) {
	t.Helper()
	require.Eventually(t, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return slices.Contains(a.addrs, addr)
	}, 20*time.Second, 10*time.Millisecond, "%s is not learned", addr)
}

// Servers of Apache's are changed while they run, and a client that follows their configuration knows it: it was told of server 1 alone,
// and goes on when that dies, whatever else the configuration names.
func TestReconfig(t *testing.T) {
	super := bwclient.DigestACL(bwclient.PermAll, "super", superPassword)[0].ID
	e := process.StartEnsemble(t, process.Options{
		Kinds: []process.Kind{process.Apache39}, Size: 3, ClientAddrs: true,
		Lines: []string{"reconfigEnabled=true", "standaloneEnabled=false"},
		Flags: []string{fast, "-Dzookeeper.DigestAuthenticationProvider.superDigest=" + super},
	})
	ctx := t.Context()
	var met acquaintances
	c := mustConnectWith(t, e.Servers[0].Addr+"/not/there", &bwclient.Options{
		SessionTimeout: 10 * time.Second, ConnectTimeout: time.Second, Reconnect: quickly, Retry: quickly, FollowConfig: true, Dialer: met.dial,
	})
	met.mustMeet(t, e.Servers[1].Addr)
	met.mustMeet(t, e.Servers[2].Addr)
	before, err := c.Config(ctx)
	require.NoError(t, err)
	require.Len(t, before.Servers, 3)
	require.Positive(t, before.Version)
	require.Equal(t, e.Servers[2].Addr, before.Servers[2].ClientAddr)

	leave := bwclient.ConfigChange{Leaving: []int64{3}}
	_, err = c.Reconfig(ctx, leave, bwclient.AnyVersion)
	require.ErrorIs(t, err, bwclient.ErrNoAuth)
	require.NotErrorIs(t, err, bwclient.ErrUnknown)

	admin := mustConnectWith(t, e.Servers[0].Addr+","+e.Servers[1].Addr, &bwclient.Options{
		SessionTimeout: 4 * time.Second, Reconnect: quickly, Retry: quickly, Auth: []bwclient.Auth{{Scheme: "digest", Credential: []byte("super:" + superPassword)}},
	})
	_, err = admin.Reconfig(ctx, leave, before.Version-1)
	require.ErrorIs(t, err, bwclient.ErrBadVersion)
	_, err = admin.Reconfig(ctx, bwclient.ConfigChange{Leaving: []int64{1, 2, 3}}, bwclient.AnyVersion)
	require.ErrorIs(t, err, bwclient.ErrBadArguments, "somebody has to vote")
	voters := []bwclient.Server{unseenServer(t, 6), unseenServer(t, 7)}
	voters[0].Observer, voters[1].Observer = false, false
	_, err = admin.Reconfig(ctx, bwclient.ConfigChange{Members: voters}, bwclient.AnyVersion)
	require.ErrorIs(t, err, bwclient.ErrNewConfigNoQuorum)

	leader := e.MustLeader(t)
	third := before.Servers[2]
	if leader == 2 { // its leaving would break connections
		third = before.Servers[1]
	}
	leave.Leaving = []int64{third.ID}
	after, err := admin.Reconfig(ctx, leave, before.Version)
	require.NoError(t, err)
	require.Greater(t, after.Version, before.Version)
	require.Len(t, after.Servers, 2)
	require.NotContains(t, after.Servers, third)
	read, err := admin.Config(ctx)
	require.NoError(t, err)
	require.Equal(t, after, read)

	// It comes back, with observers nobody has ever seen: one cannot be reached, and where the other one is said to be somebody else
	// listens, on an address that is a wildcard.
	unreachable, other := unseenServer(t, 8), unseenServer(t, 9)
	port, visits := somebodyElse(t)
	other.ClientAddr = "0.0.0.0:" + port
	again, err := admin.Reconfig(ctx, bwclient.ConfigChange{Joining: []bwclient.Server{third, unreachable, other}}, after.Version)
	require.NoError(t, err)
	require.Greater(t, again.Version, after.Version)
	require.Equal(t, append(slices.Clone(before.Servers), unreachable, other), again.Servers)
	select {
	case <-visits:
	case <-time.After(20 * time.Second):
		t.Fatal("the wildcard does not stand for the server's own host")
	}
	met.mustMeet(t, "127.0.0.1:"+port)

	session := c.Session()
	e.Servers[0].Kill()
	require.NoError(t, c.Sync(ctx, "/"))
	require.Same(t, session, c.Session(), "a new server, and the same session")
	read, err = c.Config(ctx)
	require.NoError(t, err)
	require.Equal(t, again, read)
	require.NoError(t, e.Servers[0].Restart())
	require.NoError(t, e.AwaitServing(ctx))

	// All at once, and those whom nobody has seen are no more; through a connection of the library, which reads past the answer.
	conn, events, err := zk.Connect([]string{e.Servers[1].Addr}, 4*time.Second, zk.WithLogInfo(false))
	require.NoError(t, err)
	require.NoError(t, conn.AddAuth("digest", []byte("super:"+superPassword)))
	wrapped, err := bwclient.Wrap(ctx, conn, events, &bwclient.Options{SessionTimeout: 4 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { _ = wrapped.Close() })
	all, err := wrapped.Reconfig(ctx, bwclient.ConfigChange{Members: before.Servers}, again.Version)
	require.NoError(t, err)
	require.Equal(t, before.Servers, all.Servers)
}

// unseenServer is an observer that does not run.
func unseenServer(t *testing.T, id int64) bwclient.Server {
	return bwclient.Server{
		ID: id, Addrs: []bwclient.PeerAddr{{Host: "127.0.0.1", QuorumPort: process.FreePort(t), ElectionPort: process.FreePort(t)}},
		Observer: true, ClientAddr: "127.0.0.1:" + strconv.Itoa(process.FreePort(t)),
	}
}

// somebodyElse listens on loopback and hangs up on everybody. visits holds a token when somebody has come.
func somebodyElse(t *testing.T) (port string, visits <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	came, done := make(chan struct{}, 1), make(chan struct{})
	go func() { // ends when the test closes the listener
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
			select {
			case came <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		<-done
	})
	_, port, err = net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port, came
}

// Where it is switched off, as it is unless somebody switches it on, a server says so; one alone has no configuration.
func TestReconfigIsDisabled(t *testing.T) {
	s := startPeer(t, process.Apache39)
	c := mustConnectWith(t, s.Addr, &bwclient.Options{FollowConfig: true})
	_, err := c.Reconfig(t.Context(), bwclient.ConfigChange{Leaving: []int64{3}}, bwclient.AnyVersion)
	require.ErrorIs(t, err, bwclient.ErrReconfigDisabled)
	require.NotErrorIs(t, err, bwclient.ErrUnknown)
	config, err := c.Config(t.Context())
	require.NoError(t, err)
	require.Empty(t, config.Servers)
}
