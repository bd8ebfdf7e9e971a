package proxy_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A stage is one server, a proxy, a client that talks through it, and one that does not.
type stage struct {
	*testing.T
	e        *ensembletest.Ensemble
	p        *proxy.Proxy
	c, other *client.Client
	virtual  bool // the time
}

// staged runs a test in virtual time with a proxy that is a dialer, and in real time with one that listens.
func staged(t *testing.T, test func(t *stage)) {
	t.Run("dial", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := ensembletest.Start(t, 1, nil)
			p := proxy.New(&proxy.Options{Dial: e.Dial})
			test(&stage{t, e, p, mustConnect(t, p, e.ConnectString(), p.Dial), e.Connect(t), true})
		})
	})
	t.Run("listen", func(t *testing.T) {
		e := ensembletest.Start(t, 1, &ensembletest.Options{TCP: true})
		p := proxy.New(nil)
		addr, err := p.Listen(e.ConnectString())
		require.NoError(t, err)
		test(&stage{t, e, p, mustConnect(t, p, addr, nil), e.Connect(t), false})
	})
}

// mustConnect connects a client and ends it, and the proxy, with the test.
func mustConnect(t *testing.T, p *proxy.Proxy, servers string, dial func(context.Context, string, string) (net.Conn, error)) *client.Client {
	t.Helper()
	quickly := func() backoff.BackOff { return backoff.NewConstantBackOff(5 * time.Millisecond) }
	c, err := client.Connect(soon(t), servers, &client.Options{Dialer: dial, MaxFrame: ensembletest.MaxFrame, Reconnect: quickly, Retry: quickly})
	require.NoError(t, err)
	t.Cleanup(func() {
		p.Heal()
		_ = c.Close() // what is lost may be the end of its session
		require.NoError(t, p.Close())
	})
	return c
}

// soon bounds one thing: a minute of a busy machine's time, or of a bubble's.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// create begins to create a node and returns where the outcome will be.
func (t *stage) create(path string) <-chan error {
	outcome := make(chan error, 1)
	go func() { // ends with the outcome, at the latest with soon
		_, err := t.c.Create(soon(t), path, nil, nil)
		outcome <- err
	}()
	return outcome
}

// there reports what the server has.
func (t *stage) there(path string) bool {
	t.Helper()
	require.NoError(t, t.other.Sync(soon(t), path))
	_, found, err := t.other.Exists(soon(t), path)
	require.NoError(t, err)
	return found
}

// mustHave waits until the server has a node.
func (t *stage) mustHave(path string) {
	t.Helper()
	for {
		_, found, w, err := t.other.ExistsW(soon(t), path)
		require.NoError(t, err)
		if found {
			return
		}
		select {
		case <-w.Done():
		case <-soon(t).Done():
			t.Fatalf("%s is not there", path)
		}
	}
}

// mustStrike waits until a fault has struck so often.
func (t *stage) mustStrike(f *proxy.Fault, times int) {
	t.Helper()
	select {
	case <-f.Struck():
	case <-soon(t).Done():
		t.Fatalf("nothing came to %v", f)
	}
	require.Equal(t, times, f.Strikes(), "%v", f)
}

// mustWait waits for nothing to happen, as far as can be told: for ever in virtual time, and for a moment in real time.
func (t *stage) mustWait(outcome <-chan error) {
	t.Helper()
	d := 20 * time.Millisecond
	if t.virtual {
		d = 3 * time.Second
	}
	select {
	case err := <-outcome:
		t.Fatalf("it did not wait, but ended: %v", err)
	case <-time.After(d):
	}
}
