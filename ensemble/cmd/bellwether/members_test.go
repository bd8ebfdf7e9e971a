package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// freePorts are n different ports that nobody listens on, from a range in which nobody is given one who asks for any.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for len(ports) < n {
		port := 12_000 + rand.IntN(20_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			defer l.Close() // not before all are found, so that none is found twice
			ports = append(ports, port)
		}
	}
	return ports
}

// Three voters and an observer find each other by a dynamic configuration file, over TCP, with their data on disk; and again after all
// have ended.
func TestServersOfADynamicConfiguration(t *testing.T) {
	const size = 4
	dir := t.TempDir()
	var lines strings.Builder
	ports := freePorts(t, 3*size)
	for id := 1; id <= size; id++ {
		role := "participant"
		if id == size {
			role = "observer"
		}
		own := ports[3*(id-1):]
		fmt.Fprintf(&lines, "server.%d=127.0.0.1:%d:%d:%s;127.0.0.1:%d\n", id, own[0], own[1], role, own[2])
	}
	dynamic := filepath.Join(dir, "zoo.cfg.dynamic.1f")
	require.NoError(t, os.WriteFile(dynamic, []byte(lines.String()), 0o600))
	var configs []string
	for id := 1; id <= size; id++ {
		data := filepath.Join(dir, fmt.Sprint(id))
		require.NoError(t, os.Mkdir(data, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(data, "myid"), fmt.Appendf(nil, "%d\n", id), 0o600))
		cfg := filepath.Join(data, "zoo.cfg")
		text := fmt.Sprintf("dataDir=%s\ntickTime=500\ninitLimit=20\nsyncLimit=10\ndynamicConfigFile=%s\n", filepath.ToSlash(data), filepath.ToSlash(dynamic))
		require.NoError(t, os.WriteFile(cfg, []byte(text), 0o600))
		configs = append(configs, cfg)
	}
	for run := range 2 {
		ctx, stop := context.WithCancel(t.Context())
		var servers []*running
		for _, cfg := range configs {
			servers = append(servers, start(t, ctx, "server", cfg))
		}
		var addrs []string
		for _, srv := range servers {
			addrs = append(addrs, served(srv))
		}
		made := fmt.Sprint("/run-", run)
		require.Equal(t, made+"\n", shell{t, addrs[0]}.does("create "+made+" x"))
		require.Equal(t, "x\n", shell{t, addrs[0]}.does("get /run-0"))
		for id, addr := range addrs {
			require.Contains(t, shell{t, addr}.does("get /zookeeper/config"), "\nversion=1f\n", "server %d", id+1)
		}
		require.Equal(t, "/by-observer\n", shell{t, addrs[size-1]}.does("create -e /by-observer x"), "it is gone with the command")
		stop()
		for _, srv := range servers {
			require.Equal(t, exitOK, srv.end())
		}
	}
}
