package ensemble_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/ensemble"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func Example() {
	ctx := context.Background()
	srv, err := ensemble.Start(ctx, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	// Any ZooKeeper client that can be given a dialer will do.
	conn, _, err := zk.Connect([]string{srv.ConnectString()}, 10*time.Second, zk.WithLogInfo(false),
		zk.WithDialer(func(network, addr string, timeout time.Duration) (net.Conn, error) {
			return srv.Dial(ctx, network, addr)
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	if _, err := conn.Create("/greeting", []byte("hello"), 0, zk.WorldACL(zk.PermAll)); err != nil {
		fmt.Println(err)
		return
	}
	data, stat, err := conn.Get("/greeting")
	fmt.Println(string(data), stat.Version, err)
	// Output: hello 0 <nil>
}

// quiet connects go-zookeeper's client through memory.
func quiet(t *testing.T, srv *ensemble.Server) *zk.Conn {
	t.Helper()
	conn, events, err := zk.Connect([]string{srv.ConnectString()}, 10*time.Second, zk.WithLogInfo(false), zk.WithMaxBufferSize(64<<10),
		zk.WithDialer(func(network, addr string, timeout time.Duration) (net.Conn, error) {
			return srv.Dial(context.Background(), network, addr)
		}))
	require.NoError(t, err)
	for e := range events {
		if e.State == zk.StateHasSession {
			break
		}
	}
	return conn
}

func TestGoZookeeperInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := ensemble.Start(t.Context(), nil)
		require.NoError(t, err)
		a, b := quiet(t, srv), quiet(t, srv)
		_, err = a.Create("/e", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll))
		require.NoError(t, err)
		exists, _, gone, err := b.ExistsW("/e")
		require.NoError(t, err)
		require.True(t, exists)
		begun := time.Now()
		time.Sleep(time.Hour) // of virtual time: pings keep both sessions alive
		require.Equal(t, time.Hour, time.Since(begun))
		_, _, err = a.Get("/e")
		require.NoError(t, err)
		a.Close()
		require.Equal(t, zk.EventNodeDeleted, (<-gone).Type)
		b.Close()
		require.NoError(t, srv.Close())
	})
}

func TestConnectionsThroughMemoryAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := ensemble.Start(t.Context(), nil)
		require.NoError(t, err)
		var conns []net.Conn
		for range 200 { // many times maxClientCnxns
			c, err := srv.Dial(t.Context(), "", "")
			require.NoError(t, err)
			conns = append(conns, c)
		}
		synctest.Wait()
		for _, c := range conns {
			_, err := io.WriteString(c, "srvr")
			require.NoError(t, err)
			answer, err := io.ReadAll(c)
			require.NoError(t, err)
			require.NotEmpty(t, answer)
			require.NoError(t, c.Close())
		}
		require.NoError(t, srv.Close())
	})
}

func TestDirectoryAndPort(t *testing.T) {
	dir := t.TempDir()
	opts := &ensemble.Options{Dir: dir, Addr: "127.0.0.1:0"}
	srv, err := ensemble.Start(t.Context(), opts)
	require.NoError(t, err)
	require.Equal(t, srv.Addr().String(), srv.ConnectString())
	conn, _, err := zk.Connect([]string{srv.ConnectString()}, 10*time.Second, zk.WithLogInfo(false))
	require.NoError(t, err)
	_, err = conn.Create("/a", []byte("kept"), 0, zk.WorldACL(zk.PermAll))
	require.NoError(t, err)
	conn.Close()

	_, err = ensemble.Start(t.Context(), &ensemble.Options{Dir: dir})
	require.Error(t, err, "a directory belongs to one server at a time")

	require.NoError(t, srv.Close())
	require.NoError(t, srv.Close())
	<-srv.Done()
	_, err = net.Dial("tcp", srv.ConnectString())
	require.Error(t, err)

	srv, err = ensemble.Start(t.Context(), &ensemble.Options{Dir: dir})
	require.NoError(t, err)
	require.Nil(t, srv.Addr())
	conn = quiet(t, srv)
	data, _, err := conn.Get("/a")
	require.NoError(t, err)
	require.Equal(t, "kept", string(data))
	conn.Close()
	require.NoError(t, srv.Close())
	_, err = srv.Dial(t.Context(), "", "")
	require.Error(t, err)
}

func TestStartReportsEverythingThatIsWrong(t *testing.T) {
	_, err := ensemble.Start(t.Context(), &ensemble.Options{
		ServerID: 255, TTLNodes: true, LogDir: "x", TickTime: time.Microsecond, MinSessionTimeout: time.Hour, MaxSessionTimeout: time.Minute,
		Storage: ensemble.Storage{Compression: "zip", SnapCount: 1, PurgeRetain: 1}, FourLetterWords: []string{"hello"},
	})
	require.Error(t, err)
	for _, part := range []string{"ServerID 255", "LogDir", "TickTime", "MinSessionTimeout 1h", "zip", "SnapCount 1", "PurgeRetain 1", "hello"} {
		require.ErrorContains(t, err, part)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(os.ErrDeadlineExceeded)
	_, err = ensemble.Start(ctx, nil)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	_, err = ensemble.Start(t.Context(), &ensemble.Options{Addr: "127.0.0.1:notaport"})
	require.Error(t, err)
}

func TestDamagedDataIsRefused(t *testing.T) {
	dir := t.TempDir()
	srv, err := ensemble.Start(t.Context(), &ensemble.Options{Dir: dir})
	require.NoError(t, err)
	conn := quiet(t, srv)
	for range 10 {
		_, err = conn.Create("/a-", []byte(strings.Repeat("x", 100)), zk.FlagSequence, zk.WorldACL(zk.PermAll))
		require.NoError(t, err)
	}
	conn.Close()
	require.NoError(t, srv.Close())
	logs, err := filepath.Glob(filepath.Join(dir, "version-2", "log.*"))
	require.NoError(t, err)
	require.Len(t, logs, 1)
	b, err := os.ReadFile(logs[0])
	require.NoError(t, err)
	b[500] ^= 1
	require.NoError(t, os.WriteFile(logs[0], b, 0o600))
	_, err = ensemble.Start(t.Context(), &ensemble.Options{Dir: dir})
	require.ErrorContains(t, err, logs[0], "the error names the file")
}

func BenchmarkStartToFirstWrite(b *testing.B) {
	for b.Loop() {
		srv, err := ensemble.Start(b.Context(), nil)
		require.NoError(b, err)
		conn, _, err := zk.Connect([]string{srv.ConnectString()}, 10*time.Second, zk.WithLogInfo(false), zk.WithMaxBufferSize(64<<10),
			zk.WithDialer(func(network, addr string, timeout time.Duration) (net.Conn, error) {
				return srv.Dial(context.Background(), network, addr)
			}))
		require.NoError(b, err)
		_, err = conn.Create("/a", nil, 0, zk.WorldACL(zk.PermAll))
		require.NoError(b, err)
		conn.Close()
		require.NoError(b, srv.Close())
	}
}
