package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// zooCfg writes a zoo.cfg for a server on a free port and returns its name.
func zooCfg(t *testing.T, lines ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "zoo.cfg")
	text := "clientPort=0\nclientPortAddress=127.0.0.1\ndataDir=" + filepath.ToSlash(t.TempDir()) + "\n" + strings.Join(lines, "\n") + "\n"
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// served waits until a server says where it serves.
func served(r *running) (addr string) {
	r.t.Helper()
	for {
		if _, rest, ok := strings.Cut(readLine(r.t, r.errs), "msg=serving addr="); ok {
			addr, _, _ = strings.Cut(rest, " ")
			return addr
		}
	}
}

func TestServerServesAndKeepsItsData(t *testing.T) {
	cfg := zooCfg(t)
	for _, want := range []string{"/line-0000000000\n", "/line-0000000001\n"} {
		ctx, stop := context.WithCancel(t.Context())
		srv := start(t, ctx, "server", cfg)
		require.Equal(t, want, shell{t, served(srv)}.does("create -s /line- x"))
		stop()
		require.Equal(t, exitOK, srv.end())
	}
}

func TestServerNamesWhatItIgnores(t *testing.T) {
	t.Setenv("SERVER_JVMFLAGS", "-Xmx1g -Dzookeeper.maxResponseCacheSize=5")
	ctx, stop := context.WithCancel(t.Context())
	srv := start(t, ctx, "server", "-Dzookeeper.extendedTypesEnabled=true", zooCfg(t, "admin.serverPort=8081", "snapCount=1"))
	require.Contains(t, srv.until("-Xmx1g]\"\n"), `settings="[admin.serverPort maxResponseCacheSize -Xmx1g]"`)
	srv.until("every 2 transactions at most\"\n")
	s := shell{t, served(srv)}
	require.Equal(t, "/ttl\n", s.does("create -t 5m /ttl x"), "the -D property counts")
	stop()
	require.Equal(t, exitOK, srv.end())
}

func TestServerRefusesABadConfiguration(t *testing.T) {
	cfg := zooCfg(t, "tickTime=x", "secureClientPort=2281")
	_, errs, code := execute(t, "server", cfg)
	require.Equal(t, exitInvalid, code)
	require.Equal(t, "bellwether: "+cfg+":4: tickTime=x: is not a whole number\n"+cfg+
		":5: secureClientPort=2281: not supported, and ignoring it would be unsafe: clients or peers would be served in plain text\n", errs)

	_, errs, code = execute(t, "server", cfg+".missing")
	require.Equal(t, exitInvalid, code)
	require.Contains(t, errs, "zoo.cfg.missing")
}

func TestServerThatCannotListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	_, errs, code := execute(t, "server", zooCfg(t, "clientPort="+port))
	require.Equal(t, exitListen, code, errs)
}

func TestServerWithoutAUsableDataDir(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, errs, code := execute(t, "server", zooCfg(t, "dataDir="+filepath.ToSlash(file)))
	require.Equal(t, exitDataDir, code, errs)

	for _, line := range []string{"datadir.autocreate=false", "db.autocreate=false"} {
		_, errs, code = execute(t, "server", zooCfg(t, line))
		require.Equal(t, exitDataDir, code, "%s: %s", line, errs)
	}
}
