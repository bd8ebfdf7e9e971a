package ensembletest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs a test in virtual time with so many servers.
func bubble(t *testing.T, n int, opts *ensembletest.Options, test func(t *testing.T, e *ensembletest.Ensemble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, ensembletest.Start(t, n, opts)) })
}

// soon bounds one thing: a minute of a busy machine's time, or of a bubble's.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func mustCreate(t testing.TB, c *client.Client, path string, mode client.Mode) {
	t.Helper()
	_, err := c.Create(soon(t), path, []byte(path), &client.CreateOptions{Mode: mode})
	require.NoError(t, err)
}

func mustSet(t testing.TB, c *client.Client, path, data string) {
	t.Helper()
	_, err := c.Set(soon(t), path, []byte(data), client.AnyVersion)
	require.NoError(t, err)
}

// mustRead reads what the ensemble has, not what the server knew some time ago.
func mustRead(t testing.TB, c *client.Client, path string) string {
	t.Helper()
	require.NoError(t, c.Sync(soon(t), path))
	data, _, err := c.Get(soon(t), path)
	require.NoError(t, err)
	return string(data)
}

func mustLead(t testing.TB, e *ensembletest.Ensemble) *ensembletest.Server {
	t.Helper()
	leader, err := e.WaitLeader(soon(t))
	require.NoError(t, err)
	return leader
}

func mustCatchUp(t testing.TB, e *ensembletest.Ensemble) {
	t.Helper()
	require.NoError(t, e.WaitCaughtUp(soon(t)))
}

func mustRestart(t testing.TB, s *ensembletest.Server) {
	t.Helper()
	require.NoError(t, s.Restart(soon(t)))
}

// everywhere runs a test with servers in memory and in files, through TCP or not, in virtual time and in real time.
func everywhere(t *testing.T, n int, test func(t *testing.T, e *ensembletest.Ensemble)) {
	t.Run("bubble", func(t *testing.T) { bubble(t, n, nil, test) })
	t.Run("memory", func(t *testing.T) { test(t, ensembletest.Start(t, n, nil)) })
	t.Run("disk", func(t *testing.T) { test(t, ensembletest.Start(t, n, &ensembletest.Options{OnDisk: true})) })
	t.Run("tcp", func(t *testing.T) { test(t, ensembletest.Start(t, n, &ensembletest.Options{TCP: true})) })
}

// What is started serves, has a leader, and its clients are connected.
func TestStart(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			everywhere(t, n, func(t *testing.T, e *ensembletest.Ensemble) {
				require.NotNil(t, e.Leader())
				require.Len(t, e.Servers(), n)
				require.Len(t, strings.Split(e.ConnectString(), ","), n)
				a, b := e.Connect(t), e.Server(n).Connect(t)
				mustCreate(t, a, "/n", client.Persistent)
				require.Equal(t, "/n", mustRead(t, b, "/n"))
				require.Equal(t, client.StateConnected, a.State())
			})
		})
	}
}

// Nothing on the way from nothing to the first write waits for time: what it takes is work. Several wait for each other's votes.
func TestStartDoesNotWait(t *testing.T) {
	for n, most := range map[int]time.Duration{1: 0, 3: 5 * time.Millisecond, 5: 5 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			mustCreate(t, ensembletest.Start(t, n, nil).Connect(t), "/n", client.Persistent)
			t.Logf("%d servers: %v", n, time.Since(begun))
			require.LessOrEqual(t, time.Since(begun), most)
		})
	}
}

// Everybody's client can connect: with a dialer, or through TCP without one.
func TestOtherClients(t *testing.T) {
	use := func(t *testing.T, e *ensembletest.Ensemble, dialer zk.Dialer) {
		conn, _, err := zk.Connect(strings.Split(e.ConnectString(), ","), 10*time.Second, zk.WithLogInfo(false), zk.WithDialer(dialer))
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.Create("/n", []byte("x"), 0, zk.WorldACL(zk.PermAll))
		require.NoError(t, err)
	}
	bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		use(t, e, func(network, addr string, _ time.Duration) (net.Conn, error) {
			return e.Dial(t.Context(), network, addr)
		})
		_, err := e.Dial(t.Context(), "tcp", "127.0.0.9:2181")
		require.ErrorContains(t, err, "no server of this ensemble")
	})
	e := ensembletest.Start(t, 3, &ensembletest.Options{TCP: true})
	use(t, e, net.DialTimeout)
	addrs := e.ConnectString()
	mustRestart(t, e.Leader())
	require.Equal(t, addrs, e.ConnectString(), "who has been told where the servers are finds them again")
	mustLead(t, e)
	require.Equal(t, "x", mustRead(t, e.Connect(t), "/n"))
}

func TestNew(t *testing.T) {
	before := files(t)
	e, err := ensembletest.New(t.Context(), 3, &ensembletest.Options{OnDisk: true, Observers: 1})
	require.NoError(t, err)
	require.NotEqual(t, before, files(t))
	require.Equal(t, "observer", e.Server(3).Role())
	c := e.Connect(t)
	mustCreate(t, c, "/n", client.Persistent)
	require.NoError(t, c.Close())
	require.NoError(t, e.Close())
	require.NoError(t, e.Close())
	require.Equal(t, before, files(t))
	require.ErrorIs(t, e.Server(1).Restart(t.Context()), ensembletest.ErrNotRunning)
	require.ErrorIs(t, e.Server(1).Serving(t.Context()), ensembletest.ErrNotRunning)
}

// files are the temporary directories of ensembles.
func files(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(os.TempDir(), "ensembletest-*"))
	require.NoError(t, err)
	return all
}

// Whoever cannot start says why, and shows what the servers had to say.
func TestStartFails(t *testing.T) {
	for n, want := range map[int]string{0: "0 servers", 256: "256 servers"} {
		_, err := ensembletest.New(t.Context(), n, nil)
		require.ErrorContains(t, err, want)
	}
	_, err := ensembletest.New(t.Context(), 3, &ensembletest.Options{Observers: 3})
	require.ErrorContains(t, err, "at least one has to vote")
	_, err = ensembletest.New(t.Context(), 3, &ensembletest.Options{Server: ensemble.Options{TickTime: -1}})
	require.ErrorContains(t, err, "TickTime")
	synctest.Test(t, func(t *testing.T) {
		_, err := ensembletest.New(t.Context(), 1, &ensembletest.Options{TCP: true})
		require.ErrorContains(t, err, "a socket stops its clock")
	})

	ctx, cancel := context.WithCancelCause(t.Context())
	hooks := ensemble.Hooks{RoleChanged: func(ensemble.RoleChange) { cancel(io.ErrClosedPipe) }}
	_, err = ensembletest.New(ctx, 3, &ensembletest.Options{OnDisk: true, Server: ensemble.Options{Hooks: hooks}})
	require.ErrorIs(t, err, io.ErrClosedPipe)
	failed, ok := errors.AsType[*ensembletest.StartError](err)
	require.True(t, ok)
	require.Contains(t, failed.Log, "server=1")
	require.Contains(t, err.Error(), failed.Log)
	require.Empty(t, files(t))
}

// What servers log is shown when it is asked for, and its last lines when the test fails.
func TestLogs(t *testing.T) {
	shown := func(opts ensembletest.Options, fail bool) string {
		fake := &witness{TB: t, failed: fail}
		ensembletest.Start(fake, 3, &opts)
		fake.end()
		return strings.Join(fake.lines, "\n")
	}
	require.Empty(t, shown(ensembletest.Options{}, false))
	require.Contains(t, shown(ensembletest.Options{Log: true}, false), "server=2")
	require.Contains(t, shown(ensembletest.Options{}, true), "last words:\ntime=")
	require.NotContains(t, shown(ensembletest.Options{Log: true}, true), "last words", "nothing is shown twice")
	var mine lines
	require.Empty(t, shown(ensembletest.Options{Server: ensemble.Options{Logger: slog.New(slog.NewTextHandler(&mine, nil))}}, false))
	require.Contains(t, mine.String(), "server=2")
}

// lines is a strings.Builder for many.
type lines struct {
	mu sync.Mutex
	strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(p)
}

// A witness is a test within a test, which may fail.
type witness struct {
	testing.TB
	mu       sync.Mutex
	failed   bool
	lines    []string
	cleanups []func()
}

func (w *witness) Failed() bool     { return w.failed }
func (w *witness) Cleanup(f func()) { w.cleanups = append(w.cleanups, f) }
func (w *witness) Log(args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprint(args...))
}
func (w *witness) Logf(format string, args ...any)   { w.Log(fmt.Sprintf(format, args...)) }
func (w *witness) Errorf(format string, args ...any) { w.failed = true; w.Logf(format, args...) }
func (w *witness) Fatal(args ...any) {
	w.failed = true
	w.Log(args...)
	runtime.Goexit()
}

func (w *witness) end() {
	for _, f := range slices.Backward(w.cleanups) {
		f()
	}
}

// An ensemble is used where it was started, or says that it is not.
func TestBubbles(t *testing.T) {
	outside, err := ensembletest.New(t.Context(), 1, nil)
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		for what, use := range map[string]func(*witness){
			"connect": func(w *witness) { outside.Connect(w) },
			"server":  func(w *witness) { outside.Server(1).Connect(w) },
			"chroot":  func(w *witness) { outside.Chroot(w) },
		} {
			w := &witness{TB: t}
			var test sync.WaitGroup
			test.Go(func() { use(w) })
			test.Wait()
			require.True(t, w.failed, what)
			require.Contains(t, strings.Join(w.lines, ""), "was started outside of the synctest bubble", what)
		}
		for what, use := range map[string]func(){
			"dial":   func() { _, _ = outside.Dial(t.Context(), "tcp", outside.ConnectString()) },
			"kill":   outside.Server(1).Kill,
			"heal":   outside.Heal,
			"wait":   func() { _ = outside.WaitCaughtUp(t.Context()) },
			"close":  func() { _ = outside.Close() },
			"serves": func() { _ = outside.Server(1).Serving(t.Context()) },
		} {
			func() {
				defer func() { require.Contains(t, fmt.Sprint(recover()), "was started outside of the synctest bubble", what) }()
				use()
			}()
		}
	})
	require.NotNil(t, outside.Leader(), "nothing has happened to it")
	require.NoError(t, outside.Close())

	var inside *ensembletest.Ensemble
	bubble(t, 1, nil, func(t *testing.T, e *ensembletest.Ensemble) { inside = e })
	require.PanicsWithValue(t, "ensembletest: this ensemble was started in a synctest bubble and is used outside of it, where its clock does not move", inside.Heal)
}

// Tests that share an ensemble do not see each other, and leave nothing.
func TestChroot(t *testing.T) {
	everywhere(t, 1, func(t *testing.T, e *ensembletest.Ensemble) {
		c := e.Connect(t)
		one, two := &witness{TB: t}, &witness{TB: t}
		a, b := e.Chroot(one), e.Chroot(two)
		require.NotEqual(t, a.Path(), b.Path())
		require.Equal(t, e.ConnectString()+a.Path(), a.ConnectString())
		mine, theirs := a.Connect(), b.Connect()
		for _, path := range []string{"/n", "/n/m", "/n/m/l"} {
			mustCreate(t, mine, path, client.Persistent)
		}
		mustCreate(t, mine, "/e", client.Ephemeral)
		mustCreate(t, theirs, "/n", client.Persistent)
		require.Equal(t, "/n/m", mustRead(t, c, a.Path()+"/n/m"))
		one.end()
		names, _, err := c.Children(t.Context(), "/")
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"zookeeper", strings.TrimPrefix(b.Path(), "/")}, names)
		two.end()
		names, _, err = c.Children(t.Context(), "/")
		require.NoError(t, err)
		require.Equal(t, []string{"zookeeper"}, names)
		require.False(t, one.failed || two.failed)
	})
}
