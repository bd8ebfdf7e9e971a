package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble"
)

// serverForTest starts a server in this process and returns its address.
func serverForTest(t *testing.T) string {
	t.Helper()
	srv, err := ensemble.Start(t.Context(), &ensemble.Options{Addr: "127.0.0.1:0", TTLNodes: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	return srv.Addr().String()
}

// shell runs client commands against one server.
type shell struct {
	t    *testing.T
	addr string
}

func (s shell) args(line string) []string {
	return append([]string{"client", "-server", s.addr}, strings.Fields(line)...)
}

// does runs a command that must succeed, and returns what it prints.
func (s shell) does(line string) string {
	s.t.Helper()
	out, errs, code := execute(s.t, s.args(line)...)
	require.Equal(s.t, exitOK, code, "%s: %s", line, errs)
	return out
}

// fails runs a command that must fail.
func (s shell) fails(line string, code int, want string) {
	s.t.Helper()
	out, errs, got := execute(s.t, s.args(line)...)
	require.Equal(s.t, want, errs, line)
	require.Equal(s.t, code, got, line)
	require.Empty(s.t, out, line)
}

func TestClientReadsAndWrites(t *testing.T) {
	s := shell{t, serverForTest(t)}
	require.Equal(t, "zookeeper\n", s.does("ls /"))
	require.Equal(t, "/a\n", s.does("create /a hello"))
	require.Equal(t, "/a/n-0000000000\n", s.does("create -s /a/n- x"))
	require.Equal(t, "/box\n", s.does("create -c /box"))
	require.Equal(t, "/note\n", s.does("create -t 5m /note text"))
	require.Equal(t, "/dash\n", s.does("create -- /dash -5"))
	require.Equal(t, "-5\n", s.does("get /dash"))
	require.Equal(t, "hello\n", s.does("get /a"))
	require.Equal(t, "hello", s.does("get --raw /a"))
	require.Equal(t, "", s.does("set -v 0 /a changed"))
	require.Equal(t, "changed\n", s.does("get /a"))
	require.Contains(t, s.does("set -s /a again"), "version         2\n")
	require.Contains(t, s.does("get -s /a"), "again\nczxid ")
	require.Contains(t, s.does("ls -s /a"), "n-0000000000\nczxid ")
	require.Contains(t, s.does("stat /a"), "\nnumChildren     1\n")
	require.Equal(t, "/a\n/a/n-0000000000\n", s.does("ls -R /a"))
	require.Equal(t, "/\n/a\n/a/n-0000000000\n/box\n/dash\n/note\n/zookeeper\n/zookeeper/config\n/zookeeper/quota\n", s.does("ls -R /"))
	require.Equal(t, "", s.does("delete /a/n-0000000000"))
	require.Equal(t, "", s.does("delete -v 2 /a"))
}

func TestClientJSON(t *testing.T) {
	s := shell{t, serverForTest(t)}
	decode := func(line string) (m map[string]any) {
		require.NoError(t, json.Unmarshal([]byte(s.does(line+" -o json")), &m), line)
		return m
	}
	m := decode("create /a <text>")
	require.Equal(t, "/a", m["path"])
	stat := m["stat"].(map[string]any)
	require.Equal(t, "0x0", stat["ephemeralOwner"])
	require.Equal(t, float64(6), stat["dataLength"])
	require.Equal(t, stat["czxid"], stat["mzxid"])

	m = decode("get /a")
	require.Equal(t, "<text>", m["data"])
	require.Equal(t, "utf-8", m["encoding"])
	require.Equal(t, stat, m["stat"])
	require.Equal(t, stat, decode("stat /a")["stat"])

	require.Equal(t, map[string]any{"path": "/a"}, without(decode("set /a"), "stat"))
	require.Equal(t, map[string]any{"path": "/a", "data": nil}, without(decode("get /a"), "stat"))
	require.Equal(t, map[string]any{"path": "/a", "children": []any{}}, without(decode("ls /a"), "stat"))
	require.Equal(t, map[string]any{"path": "/a", "paths": []any{"/a"}}, decode("ls -R /a"))
	require.Equal(t, map[string]any{"path": "/a"}, decode("delete /a"))
}

func without(m map[string]any, key string) map[string]any {
	delete(m, key)
	return m
}

func TestClientDataFromFiles(t *testing.T) {
	s := shell{t, serverForTest(t)}
	name := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.WriteFile(name, []byte("two\nlines"), 0o600))
	s.does("create --data-file " + name + " /a")
	require.Equal(t, "two\nlines", s.does("get --raw /a"))

	_, errs, code := executeWith(t, "\xff\x00", s.args("set --data-file - /a")...)
	require.Equal(t, exitOK, code, errs)
	require.Equal(t, "\xff\x00", s.does("get --raw /a"))
	require.Contains(t, s.does("get -o json /a"), `"data":"/wA=","encoding":"base64"`)

	_, errs, code = execute(t, s.args("set --data-file "+name+".missing /a")...)
	require.Equal(t, exitUnexpected, code)
	require.Contains(t, errs, "data.missing")
}

func TestClientErrors(t *testing.T) {
	s := shell{t, serverForTest(t)}
	s.does("create /a x")
	s.does("create /a/b x")
	s.does("create --acl world:anyone:r /locked x")
	s.fails("get /nix", exitNoNode, "bellwether: getData /nix: no node\n")
	s.fails("ls /nix", exitNoNode, "bellwether: getChildren2 /nix: no node\n")
	s.fails("ls -R /nix", exitNoNode, "bellwether: getChildren2 /nix: no node\n")
	s.fails("stat /nix", exitNoNode, "bellwether: exists /nix: no node\n")
	s.fails("create /a", exitNodeExists, "bellwether: create /a: node exists\n")
	s.fails("create /nix/a", exitNoNode, "bellwether: create /nix/a: no node\n")
	s.fails("set -v 7 /a x", exitBadVersion, "bellwether: setData /a: bad version\n")
	s.fails("delete -v 7 /a", exitBadVersion, "bellwether: delete /a: bad version\n")
	s.fails("delete /a", exitAnswer, "bellwether: delete /a: node has children\n")
	s.fails("set /locked y", exitNoAuth, "bellwether: setData /locked: not authorised\n")
	s.fails("create relative", exitAnswer, "bellwether: create relative: bad arguments\n")
	s.fails("--auth nobody:x ls /", exitAnswer, "bellwether: auth nobody: authentication failed\n")
	s.fails("--auth nobody ls /", exitInvalid, "bellwether: --auth must be of the form scheme:data\nSee 'bellwether client ls --help'.\n")
}

func TestClientAuth(t *testing.T) {
	s := shell{t, serverForTest(t)}
	s.does("--auth digest:bob:pw create --acl auth::cdrwa /mine x")
	s.fails("get /mine", exitNoAuth, "bellwether: getData /mine: not authorised\n")
	s.fails("--auth digest:bob:wrong get /mine", exitNoAuth, "bellwether: getData /mine: not authorised\n")
	require.Equal(t, "x\n", s.does("get /mine --auth digest:bob:pw"))
}

// closedPort is an address nobody listens on: a port that a listener has just left is soon somebody else's, where other tests run.
const closedPort = "127.0.0.1:1"

func TestClientTriesServersInTurn(t *testing.T) {
	_, errs, code := execute(t, "client", "-server", closedPort, "ls", "/")
	require.Equal(t, exitUnreached, code)
	require.Contains(t, errs, closedPort)
	require.Equal(t, "zookeeper\n", shell{t, closedPort + "," + serverForTest(t)}.does("ls /"))
}

// TestClientWaitsNoLongerThanTold talks to a server that accepts and says nothing.
func TestClientWaitsNoLongerThanTold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	_, errs, code := execute(t, "client", "-server", l.Addr().String(), "--wait", "20ms", "ls", "/")
	require.Equal(t, exitTimeout, code, errs)
}

func TestEphemeralNodesEndWithTheCommand(t *testing.T) {
	s := shell{t, serverForTest(t)}
	require.Equal(t, "/alive\n", s.does("create -e /alive"))
	s.fails("stat /alive", exitNoNode, "bellwether: exists /alive: no node\n")

	ctx, interrupt := context.WithCancel(t.Context())
	held := start(t, ctx, s.args("create -e --hold /alive")...)
	require.Equal(t, "/alive\n", held.line())
	require.NotContains(t, s.does("stat /alive"), "ephemeralOwner  0x0\n")
	interrupt()
	require.Equal(t, exitOK, held.end())
	s.fails("stat /alive", exitNoNode, "bellwether: exists /alive: no node\n")
}

func TestWatch(t *testing.T) {
	s := shell{t, serverForTest(t)}
	s.does("create /a x")
	deep := start(t, t.Context(), s.args("watch -R -n 3 /a")...)
	flat := start(t, t.Context(), s.args("watch -o json -n 2 /a")...)
	deep.until("watching /a\n")
	flat.until("watching /a\n")
	s.does("set /a y")
	s.does("create /a/b x")
	s.does("delete /a/b")
	require.Regexp(t, `^NodeDataChanged 0x\w+ /a\n$`, deep.line())
	require.Regexp(t, `^NodeCreated 0x\w+ /a/b\n$`, deep.line())
	require.Regexp(t, `^NodeDeleted 0x\w+ /a/b\n$`, deep.line())
	require.Equal(t, exitOK, deep.end())
	require.Regexp(t, `^\{"type":"NodeDataChanged","path":"/a","zxid":"0x\w+"\}\n$`, flat.line())
	require.Regexp(t, `^\{"type":"NodeChildrenChanged","path":"/a","zxid":"0x\w+"\}\n$`, flat.line())
	require.Equal(t, exitOK, flat.end())
}

func TestWatchEnds(t *testing.T) {
	s := shell{t, serverForTest(t)}
	_, errs, code := execute(t, s.args("watch --timeout 1ms /a")...)
	require.Equal(t, exitOK, code, errs)
	_, errs, code = execute(t, s.args("watch --timeout 1ms -n 1 /a")...)
	require.Equal(t, exitTimeout, code)
	require.Contains(t, errs, "0 of 1 events came in time\n")

	ctx, interrupt := context.WithCancel(t.Context())
	w := start(t, ctx, s.args("watch /a")...)
	w.until("watching /a\n")
	interrupt()
	require.Equal(t, exitOK, w.end())
}

func TestWatchOfAServerThatEnds(t *testing.T) {
	srv, err := ensemble.Start(t.Context(), &ensemble.Options{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	w := start(t, t.Context(), shell{t, srv.Addr().String()}.args("watch /a")...)
	w.until("watching /a\n")
	require.NoError(t, srv.Close())
	require.Equal(t, exitUnreached, w.end())
}

// running is a command line under way in this process.
type running struct {
	t         *testing.T
	out, errs io.Reader
	code      chan int
}

// start runs a command line, for whose end the test waits at the latest when it is over. What it prints waits in the
// buffers of two pipes.
func start(t *testing.T, ctx context.Context, args ...string) *running {
	t.Helper()
	out, outW := pipe(t)
	errs, errsW := pipe(t)
	ctx, cancel := context.WithCancel(ctx)
	r := &running{t: t, out: out, errs: errs, code: make(chan int, 1)}
	ended := make(chan struct{})
	go func() { // ends with the command
		defer close(ended)
		code := run(ctx, args, strings.NewReader(""), outW, errsW)
		_, _ = outW.Close(), errsW.Close()
		r.code <- code
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return r
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r, w
}

// line reads one line of standard output.
func (r *running) line() string {
	r.t.Helper()
	return readLine(r.t, r.out)
}

// until reads standard error until a line that ends in want, and returns it.
func (r *running) until(want string) string {
	r.t.Helper()
	for {
		if line := readLine(r.t, r.errs); strings.HasSuffix(line, want) {
			return line
		}
	}
}

// end waits for the command and returns its exit code.
func (r *running) end() int { return <-r.code }

func readLine(t *testing.T, r io.Reader) string {
	t.Helper()
	var line []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(line), "\n"); line = append(line, b[0]) {
		_, err := r.Read(b)
		require.NoError(t, err, "after %q", line)
	}
	return string(line)
}
