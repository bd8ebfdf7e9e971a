//go:build interop

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/cache"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// readOnlyMode lets a server answer reads when it has no majority. Apache's from 3.7 on open sessions then only if they may be local.
const readOnlyMode = "-Dreadonlymode.enabled=true"

// A client that takes servers without a majority reads what was committed last while there is none, is told at once that it cannot write,
// and is back when there is one: when others form it, and when its server joins them. One that does not take them waits.
func TestReadOnlyServers(t *testing.T) {
	e := process.StartEnsemble(t, process.Options{
		Kinds: []process.Kind{process.Apache39}, Size: 3, Proxied: true,
		Flags: []string{fast, readOnlyMode, "-Dzookeeper.fastleader.maxNotificationInterval=500"}, // who is alone tries again soon
		Lines: []string{"localSessionsEnabled=true", "localSessionsUpgradingEnabled=true"},
	})
	ctx := t.Context()
	mustEventually(t, time.Minute, func(context.Context) error {
		for _, s := range e.Servers { // one that is ready long before the others begins by itself
			if mode := s.Mode(); mode != "leader" && mode != "follower" {
				return fmt.Errorf("a server is %q", mode)
			}
		}
		return nil
	})
	left, others := e.Servers[0], e.Servers[1:]
	owner, waiting := connectReadOnly(t, e.Addrs(), true), connectReadOnly(t, e.Addrs(), false)
	reader := connectReadOnly(t, left.Addr, true)
	create(t, owner, "/data", "committed", nil)
	create(t, owner, "/here", "", &bwclient.CreateOptions{Mode: bwclient.Ephemeral}) // makes the session known to all
	require.NoError(t, reader.Sync(ctx, "/data"), "the server that is left has it")
	owned, read := owner.Session(), reader.Session()

	killed := time.Now()
	for i, s := range others {
		e.Network.Refuse(0, i+1)
		s.Kill()
	}
	awaitState(t, reader, bwclient.StateReadOnly)
	t.Logf("a client whose session was local reads again after %v", time.Since(killed))
	require.ErrorIs(t, read.Err(), bwclient.ErrSessionExpired, "the server has forgotten its own sessions")
	mustOnlyRead(t, reader)
	awaitState(t, owner, bwclient.StateReadOnly)
	t.Logf("one whose session had been made known to all, after %v", time.Since(killed))
	require.ErrorContains(t, owned.Err(), "no server heard for the whole timeout", "this server may not take it")
	mustOnlyRead(t, owner)
	mustOnlyRead(t, connectReadOnly(t, e.Addrs(), true))
	require.Contains(t, []bwclient.State{bwclient.StateSuspended, bwclient.StateLost}, waiting.State())
	for name, try := range map[string]func(ctx context.Context) error{
		"get":     func(ctx context.Context) error { _, _, err := waiting.Get(ctx, "/data"); return err },
		"connect": func(ctx context.Context) error { _, err := bwclient.Connect(ctx, left.Addr, nil); return err },
	} {
		soon, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		require.ErrorIs(t, try(soon), context.DeadlineExceeded, name)
		cancel()
	}

	mirror, err := cache.Open(ctx, reader, "/data", nil)
	require.NoError(t, err)
	defer mirror.Close()
	require.NotZero(t, mirror.StaleSince(), "what is read here may be old")

	// The others form a majority without the server that is left, whose clients have to find it.
	only, restarted := owner.Session(), time.Now()
	for _, s := range others {
		require.NoError(t, s.Restart())
	}
	for _, c := range []*bwclient.Client{owner, waiting} {
		awaitState(t, c, bwclient.StateReconnected)
		_, err := c.Set(ctx, "/data", []byte("written"), bwclient.AnyVersion)
		require.NoError(t, err)
	}
	t.Logf("a majority elsewhere was found after %v", time.Since(restarted))
	require.ErrorIs(t, only.Err(), bwclient.ErrSessionExpired, "nobody else knew it")
	require.NotEqual(t, only.ID(), owner.Session().ID())
	mustOnlyRead(t, reader) // who knows that one server only, which is not told what the others do

	healed := time.Now()
	e.Network.Heal()
	awaitState(t, reader, bwclient.StateReconnected)
	t.Logf("the server that was left was back after %v", time.Since(healed))
	require.NoError(t, reader.Sync(ctx, "/data"))
	data, _, err := reader.Get(ctx, "/data")
	require.NoError(t, err)
	require.Equal(t, "written", string(data))
	for change := range mirror.Watch(ctx) {
		if change.Kind == cache.Current {
			break
		}
	}
	require.Zero(t, mirror.StaleSince())
	node, _ := mirror.Get("/data")
	require.Equal(t, "written", string(node.Data))
}

// With nothing but read-only mode switched on, Apache's servers turn everybody away while they only read, and say so to who is new.
func TestReadOnlyServersWithoutLocalSessions(t *testing.T) {
	e := process.StartEnsemble(t, process.Options{Kinds: []process.Kind{process.Apache39}, Size: 3, Flags: []string{fast, readOnlyMode}})
	e.Servers[1].Kill()
	e.Servers[2].Kill()
	mustEventually(t, time.Minute, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		_, err := bwclient.Connect(ctx, e.Servers[0].Addr, &bwclient.Options{ReadOnly: true, Reconnect: quickly})
		if strings.Contains(err.Error(), bwclient.ErrNotReadOnly.Error()) {
			require.ErrorIs(t, err, bwclient.ErrNotReadOnly)
			return nil
		}
		return err
	})
}

// connectReadOnly connects a client whose sessions are short, and which takes servers that only read, or does not.
func connectReadOnly(t *testing.T, servers string, readOnly bool) *bwclient.Client {
	t.Helper()
	c, err := bwclient.Connect(t.Context(), servers, &bwclient.Options{
		SessionTimeout: 3 * time.Second, ConnectTimeout: time.Second, Reconnect: quickly, Retry: quickly, ReadOnly: readOnly,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() }) // of a session no server may be left to close
	return c
}

func create(t *testing.T, c *bwclient.Client, path, data string, o *bwclient.CreateOptions) {
	t.Helper()
	_, err := c.Create(t.Context(), path, []byte(data), o)
	require.NoError(t, err)
}

// awaitState waits until the client is in a state, for as long as servers may take to start on a busy machine.
func awaitState(t *testing.T, c *bwclient.Client, want bwclient.State) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for change := range c.States(ctx) {
		if change.State == want {
			return
		}
	}
	require.FailNow(t, "the state has not come", "%v; it is %v", want, c.State())
}

// mustOnlyRead requires that a client reads what was committed last, and that all that takes a majority has not happened.
func mustOnlyRead(t *testing.T, c *bwclient.Client) {
	t.Helper()
	ctx := t.Context()
	require.Equal(t, bwclient.StateReadOnly, c.State())
	data, _, err := c.Get(ctx, "/data")
	require.NoError(t, err)
	require.Equal(t, "committed", string(data))
	for name, write := range map[string]func() error{
		"set":    func() error { _, err := c.Set(ctx, "/data", nil, bwclient.AnyVersion); return err },
		"create": func() error { _, err := c.Create(ctx, "/more", nil, nil); return err },
		"multi":  func() error { _, err := c.Multi(ctx, bwclient.DeleteOp("/data", bwclient.AnyVersion)); return err },
		"sync":   func() error { return c.Sync(ctx, "/data") },
		"keep":   func() error { _, err := c.Session().Keep(ctx); return err },
		"lock":   func() error { _, err := lock.NewMutex(c, "/lock", nil).Lock(ctx); return err },
	} {
		err := write()
		require.ErrorIs(t, err, bwclient.ErrNotReadOnly, name)
		require.NotErrorIs(t, err, bwclient.ErrUnknown, name)
	}
}
