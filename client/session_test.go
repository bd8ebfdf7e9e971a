package client_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
)

func TestSessionIsAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := startServer(t, nil)
		c, _ := connect(t, srv, &client.Options{SessionTimeout: 7 * time.Second})
		s := c.Session()
		require.NotZero(t, s.ID())
		require.Equal(t, 7*time.Second, s.Timeout())
		require.Equal(t, 1, s.Generation())
		require.NoError(t, s.Err())
		require.Regexp(t, "^0x[0-9a-f]+$", s.String())
		greedy, _ := connect(t, srv, &client.Options{SessionTimeout: time.Hour})
		require.Equal(t, 60*time.Second, greedy.Session().Timeout(), "what the server grants, not what was asked for")
		require.NotEqual(t, s.ID(), greedy.Session().ID())
		require.True(t, s.Client().Bound())
		require.False(t, c.Bound())
	})
}

// A client without a connection gives its session up when its timeout is over, and opens another when it can.
func TestSessionIsLostAfterSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c, l := connect(t, startServer(t, nil), nil)
		old := c.Session()
		view := old.Client()
		l.cut()
		start := time.Now()
		<-old.Context().Done()
		require.InDelta(t, 10, time.Since(start).Seconds(), 4, "from the last sign of life")
		require.ErrorIs(t, context.Cause(old.Context()), client.ErrSessionExpired)
		require.Same(t, old, c.Session(), "there is no other yet")

		_, _, err := view.Get(ctx, "/")
		require.ErrorIs(t, err, client.ErrSessionExpired)
		_, err = view.Create(ctx, "/a", nil, nil)
		require.ErrorIs(t, err, client.ErrSessionExpired)
		require.NotErrorIs(t, err, client.ErrUnknown, "it was not begun")
		require.ErrorIs(t, old.Go(func(context.Context) { t.Error("ran") }), client.ErrSessionExpired)

		l.plug()
		s, err := c.AwaitSession(ctx)
		require.NoError(t, err)
		require.Equal(t, 2, s.Generation())
		require.NotEqual(t, old.ID(), s.ID())
		_, err = view.AwaitSession(ctx)
		require.ErrorIs(t, err, client.ErrSessionExpired)
		_, err = c.Create(ctx, "/a", nil, nil)
		require.NoError(t, err)
	})
}

// The bare library hands the create to the next session of the same connection object, and reports success.
func TestNothingQueuedRunsInTheNextSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c, l := connect(t, startServer(t, nil), nil)
		old := c.Session()
		l.cut()
		synctest.Wait() // until the library has noticed
		errs := make(chan error)
		go func() {
			_, err := old.Client().Create(ctx, "/n-", nil, &client.CreateOptions{Mode: client.EphemeralSequential})
			errs <- err
		}()
		require.ErrorIs(t, <-errs, client.ErrSessionExpired)
		l.plug()
		_, err := c.AwaitSession(ctx)
		require.NoError(t, err)
		names, _, err := c.Children(ctx, "/")
		require.NoError(t, err)
		require.Equal(t, []string{"zookeeper"}, names)
	})
}

// A server that does not know the session says so, and a new one is opened at once.
func TestServerSaysExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := connect(t, startServer(t, nil), nil)
		old := c.Session()
		l.redirect(startServer(t, nil))
		start := time.Now()
		l.drop()
		<-old.Context().Done()
		require.Equal(t, client.Code(-112), context.Cause(old.Context()))
		_, err := c.AwaitSession(t.Context())
		require.NoError(t, err)
		require.Less(t, time.Since(start), time.Second)
	})
}

// A server that accepts and says nothing costs its share of the time, not the session.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := connect(t, startServer(t, nil), nil)
		old := c.Session()
		l.mute()
		start := time.Now()
		<-old.Context().Done()
		require.InDelta(t, 10, time.Since(start).Seconds(), 4)
	})
	synctest.Test(t, func(t *testing.T) {
		var ends []net.Conn
		defer func() {
			for _, e := range ends {
				e.Close()
			}
		}()
		dials := 0
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		start := time.Now()
		_, err := client.Connect(ctx, "a,b,c", &client.Options{SessionTimeout: 6 * time.Second,
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				dials++
				near, far := net.Pipe()
				ends = append(ends, far)
				go func() { // ends with the pipe
					buf := make([]byte, 100)
					for {
						if _, err := far.Read(buf); err != nil {
							return
						}
					}
				}()
				return near, nil
			}})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, time.Since(start), 33*time.Second)
		require.GreaterOrEqual(t, dials, 10, "two seconds a server")
	})
}

func TestConnectTellsWhyNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		l := &link{down: true}
		_, err := client.Connect(ctx, "a,b,c", &client.Options{Dialer: l.dial})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, errDown)
		require.Greater(t, l.dials, 3*5, "it keeps trying")
		require.Less(t, l.dials, 3*40, "and leaves pauses between the rounds")

		_, err = client.Connect(t.Context(), "", nil)
		require.ErrorContains(t, err, "names no server")
		_, err = client.Connect(t.Context(), "a", &client.Options{MaxFrame: 1})
		require.ErrorContains(t, err, "MaxFrame")
	})
}

func TestStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := connect(t, startServer(t, nil), nil)
		var mu sync.Mutex
		var seen []client.State
		var all sync.WaitGroup
		all.Go(func() {
			for change := range c.States(context.Background()) {
				mu.Lock()
				seen = append(seen, change.State)
				mu.Unlock()
				require.NotNil(t, change.Session)
			}
		})
		synctest.Wait()
		l.drop()
		time.Sleep(5 * time.Second)
		l.cut()
		time.Sleep(20 * time.Second)
		require.Equal(t, client.StateLost, c.State())
		l.plug()
		time.Sleep(5 * time.Second)
		require.NoError(t, c.Close())
		all.Wait()
		require.Equal(t, []client.State{
			client.StateConnected, client.StateSuspended, client.StateReconnected, client.StateSuspended, client.StateLost,
			client.StateReconnected, client.StateClosed,
		}, seen)
		require.Equal(t, client.StateClosed, c.State())
	})
}

// A loop that does not come back for minutes misses nothing, and keeps nobody.
func TestStatesWaitForASlowLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := connect(t, startServer(t, nil), nil)
		var seen []client.State
		for change := range c.States(t.Context()) {
			if seen = append(seen, change.State); len(seen) == 1 {
				for range 10 {
					l.drop()
					time.Sleep(5 * time.Second)
				}
			}
			if len(seen) == 21 {
				break
			}
		}
		require.Len(t, seen, 21)
		for i, s := range seen[1:] {
			require.Equal(t, []client.State{client.StateSuspended, client.StateReconnected}[i%2], s)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		srv := startServer(t, nil)
		other, _ := connect(t, srv, nil)
		c, _ := connect(t, srv, nil)
		mustCreate(t, c, "/e", &client.CreateOptions{Mode: client.Ephemeral})
		s := c.Session()
		_, _, w, err := c.GetW(ctx, "/e")
		require.NoError(t, err)

		start := time.Now()
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { require.NoError(t, c.Close()) })
		}
		all.Wait()
		require.NoError(t, s.Client().Close())
		require.Less(t, time.Since(start), 100*time.Millisecond)

		_, exists, err := other.Exists(ctx, "/e")
		require.NoError(t, err)
		require.False(t, exists, "the session was closed, not left to its timeout")
		require.ErrorIs(t, s.Err(), client.ErrClosed)
		_, err = w.Wait(ctx)
		require.ErrorIs(t, err, client.ErrClosed)
		_, _, err = c.Get(ctx, "/")
		require.ErrorIs(t, err, client.ErrClosed)
		_, _, _, err = c.GetW(ctx, "/")
		require.ErrorIs(t, err, client.ErrClosed)
		_, err = c.Create(ctx, "/x", nil, &client.CreateOptions{Protected: true})
		require.ErrorIs(t, err, client.ErrClosed)
		require.NotErrorIs(t, err, client.ErrUnknown)
		_, err = c.AwaitSession(ctx)
		require.ErrorIs(t, err, client.ErrClosed)
	})
}

// Without a connection nobody confirms the end of the session, and Close says so; it does not wait for long.
func TestCloseWithoutConnection(t *testing.T) {
	for name, breakIt := range map[string]func(*link){"cut": (*link).cut, "silent": (*link).mute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, l := connect(t, startServer(t, nil), nil)
				breakIt(l)
				synctest.Wait()
				errs := make(chan error, 1)
				go func() { _, err := c.Create(context.Background(), "/a", nil, nil); errs <- err }()
				synctest.Wait()
				start := time.Now()
				err := c.Close()
				require.ErrorIs(t, err, client.ErrUnknown)
				require.LessOrEqual(t, time.Since(start), 4*time.Second)
				require.Equal(t, err, c.Close())
				err = <-errs
				require.ErrorIs(t, err, client.ErrClosed)
				if name == "silent" {
					require.ErrorIs(t, err, client.ErrUnknown, "it was sent")
				}
			})
		})
	}
}

func TestSessionGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connect(t, startServer(t, nil), nil)
		ended := false
		require.NoError(t, c.Session().Go(func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(time.Second) // the last things to do
			ended = true
		}))
		require.NoError(t, c.Close())
		require.True(t, ended, "Close waits for it")
	})
}
