//go:build interop

package integration

import (
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/integration/process"
)

// The faults of package proxy do to Apache's server what they do to ours.
func TestProxyFaults(t *testing.T) {
	for _, k := range []process.Kind{process.Bellwether, process.Apache39} {
		t.Run(k.Name, func(t *testing.T) {
			s := process.Start(t, k, nil, func(dir string, clientPort int) string {
				return fmt.Sprintf("dataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\ntickTime=1000\nadmin.enableServer=false\n", dir, clientPort)
			})
			p := proxy.New(nil)
			t.Cleanup(func() { require.NoError(t, p.Close()) })
			addr, err := p.Listen(s.Addr)
			require.NoError(t, err)
			w := &proxied{t, p, reconnectingWithin(t, addr, 10*time.Second), reconnecting(t, s.Addr)}
			t.Cleanup(p.Heal)
			t.Run("lose", w.lose)
			t.Run("cut", w.cut)
			t.Run("swallow", w.swallow)
			t.Run("freeze", w.freeze)
			t.Run("delay", w.delay)
			t.Run("event", w.event)
			t.Run("java", func(t *testing.T) { w.java(t, addr) })
		})
	}
}

// proxied is a client that talks through a proxy, and another one that does not.
type proxied struct {
	t        *testing.T
	p        *proxy.Proxy
	c, other *bwclient.Client
}

func (w *proxied) create(t *testing.T, path string) error {
	t.Helper()
	_, err := w.c.Create(t.Context(), path, nil, nil)
	return err
}

// begin begins to create a node and returns where the outcome will be.
func (w *proxied) begin(t *testing.T, path string) <-chan error {
	outcome := make(chan error, 1)
	go func() { outcome <- w.create(t, path) }() // ends with the create, at the latest with the test
	return outcome
}

func (w *proxied) there(t *testing.T, path string) bool {
	t.Helper()
	_, found, err := w.other.Exists(t.Context(), path) // the server is alone: it reads what it has written
	require.NoError(t, err)
	return found
}

func (w *proxied) lose(t *testing.T) {
	before := w.p.Lose(proxy.Request(proxy.OpCreate, "/lose"))
	require.ErrorIs(t, w.create(t, "/lose"), bwclient.ErrUnknown)
	require.Equal(t, 1, before.Strikes())
	require.False(t, w.there(t, "/lose"))
	after := w.p.Lose(proxy.Reply(proxy.OpCreate, "/lose"))
	require.ErrorIs(t, w.create(t, "/lose"), bwclient.ErrUnknown)
	require.Equal(t, 1, after.Strikes())
	require.True(t, w.there(t, "/lose"))

	multi := w.p.Lose(proxy.Reply(proxy.OpSetData, "/lose"))
	_, err := w.c.Multi(t.Context(), bwclient.SetOp("/lose", nil, 0), bwclient.CreateOp("/lose/multi", nil, nil))
	require.ErrorIs(t, err, bwclient.ErrUnknown)
	require.Equal(t, 1, multi.Strikes())
	require.True(t, w.there(t, "/lose/multi"))
}

func (w *proxied) cut(t *testing.T) {
	_, _, err := w.c.Exists(t.Context(), "/cut") // it has come back from what went wrong before
	require.NoError(t, err)
	session := w.c.Session()
	f := w.p.Cut(proxy.Reply(proxy.OpCreate, "/cut"))
	moved := w.p.Delay(proxy.Request(proxy.OpConnect, ""), time.Millisecond)
	require.NoError(t, w.create(t, "/cut"))
	require.Equal(t, 1, f.Strikes())
	<-moved.Struck() // what is asked before the client has seen the end goes into the connection that is cut
	require.NoError(t, w.create(t, "/cut/next"))
	require.NoError(t, session.Err())
}

func (w *proxied) swallow(t *testing.T) {
	f := w.p.Swallow(proxy.Request(proxy.OpCreate, "/swallow"))
	outcome := w.begin(t, "/swallow")
	<-f.Struck()
	require.NoError(t, w.create(t, "/swallow-next"), "the connection is in order")
	require.False(t, w.there(t, "/swallow"))
	w.p.Drop()
	require.ErrorIs(t, <-outcome, bwclient.ErrUnknown)
}

func (w *proxied) freeze(t *testing.T) {
	f := w.p.Freeze(proxy.Request(proxy.OpCreate, "/freeze"))
	outcome := w.begin(t, "/freeze")
	<-f.Struck()
	require.False(t, w.there(t, "/freeze"))
	f.End()
	require.NoError(t, <-outcome)

	f = w.p.Freeze(proxy.Reply(proxy.OpCreate, "/freeze/*"))
	outcome = w.begin(t, "/freeze/n")
	<-f.Struck()
	require.True(t, w.there(t, "/freeze/n"))
	select {
	case err := <-outcome:
		t.Fatal("it did not wait:", err)
	default:
	}
	f.End()
	require.NoError(t, <-outcome)
}

func (w *proxied) delay(t *testing.T) {
	const d = 50 * time.Millisecond
	f := w.p.Delay(proxy.Reply(proxy.OpGetChildren, "/").Always(), d)
	defer f.End()
	begun := time.Now()
	_, _, err := w.c.Children(t.Context(), "/")
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(begun), d)
}

// event loses a watch's event, as no network does; and holds one.
func (w *proxied) event(t *testing.T) {
	require.NoError(t, w.create(t, "/event"))
	watch := func() *bwclient.Watch {
		_, _, watch, err := w.c.GetW(t.Context(), "/event")
		require.NoError(t, err)
		return watch
	}
	set := func() {
		_, err := w.other.Set(t.Context(), "/event", nil, bwclient.AnyVersion)
		require.NoError(t, err)
	}
	held, f := watch(), w.p.Freeze(proxy.Event("/event"))
	set()
	<-f.Struck()
	select {
	case <-held.Done():
		t.Fatal("it did not wait")
	default:
	}
	f.End()
	e, err := held.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, bwclient.EventDataChanged, e.Type)

	lost, f := watch(), w.p.Swallow(proxy.Event("/event"))
	set()
	<-f.Struck()
	_, _, err = w.c.Get(t.Context(), "/event") // would come behind it
	require.NoError(t, err)
	select {
	case <-lost.Done():
		t.Fatal("it is not lost")
	default:
	}
	w.p.Drop()
	e, err = lost.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, bwclient.EventReconnected, e.Type)
}

// java is a client in a process of its own, Apache's.
func (w *proxied) java(t *testing.T, addr string) {
	f := w.p.Lose(proxy.Reply(proxy.OpCreate, "/java"))
	command := append(java(process.MustEnv(t, "APACHE39_CP"), "org.apache.zookeeper.ZooKeeperMain"), "-server", addr, "create", "/java")
	out, _ := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput() // what it says counts, not how it ends
	require.Contains(t, string(out), "ConnectionLoss for /java")
	require.Equal(t, 1, f.Strikes())
	require.True(t, w.there(t, "/java"))
}
