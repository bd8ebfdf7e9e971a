package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var binDir string

func TestMain(m *testing.M) {
	var err error
	if binDir, err = os.MkdirTemp("", "bellwether"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(binDir)
		os.Exit(code)
	}))
}

// binary is the program, built on first use.
var binary = sync.OnceValues(func() (string, error) {
	name := filepath.Join(binDir, "bellwether.exe")
	out, err := exec.Command("go", "build", "-o", name, ".").CombinedOutput()
	if err != nil {
		return "", &exec.ExitError{Stderr: out}
	}
	return name, nil
})

func TestUsageErrors(t *testing.T) {
	cases := []struct {
		args string
		want string
	}{
		{"frobnicate", "bellwether: no such command: frobnicate\nSee 'bellwether --help'.\n"},
		{"client frobnicate", "bellwether: no such command: frobnicate\nSee 'bellwether client --help'.\n"},
		{"config frobnicate", "bellwether: no such command: frobnicate\nSee 'bellwether config --help'.\n"},
		{"server", "bellwether: wrong number of arguments\nSee 'bellwether server --help'.\n"},
		{"server a b", "bellwether: wrong number of arguments\nSee 'bellwether server --help'.\n"},
		{"server -x a", "bellwether: unknown shorthand flag: 'x' in -x\nSee 'bellwether server --help'.\n"},
		{"server --define= zoo.cfg", "bellwether: -D is not of the form -Dname=value\nSee 'bellwether server --help'.\n"},
		{"version now", "bellwether: wrong number of arguments\nSee 'bellwether version --help'.\n"},
		{"client ls", "bellwether: wrong number of arguments\nSee 'bellwether client ls --help'.\n"},
		{"client ls --frob /", "bellwether: unknown flag: --frob\nSee 'bellwether client ls --help'.\n"},
		{"client ls -o xml /", "bellwether: invalid argument \"xml\" for \"-o, --output\" flag: must be text or json\nSee 'bellwether client ls --help'.\n"},
		{"client -server h:1/chroot ls /", "bellwether: --server h:1/chroot: a path below which to work is not supported\nSee 'bellwether client ls --help'.\n"},
		{"client create -e -c /a", "bellwether: a node is one of: ephemeral, container, with a time to live; and a container is not sequential\nSee 'bellwether client create --help'.\n"},
		{"client create --hold /a", "bellwether: --hold makes sense only with -e\nSee 'bellwether client create --help'.\n"},
		{"client create --acl world:anyone /a", "bellwether: --acl: \"world:anyone\" is not of the form scheme:id:perms\nSee 'bellwether client create --help'.\n"},
		{"client create --data-file x /a b", "bellwether: data is given twice\nSee 'bellwether client create --help'.\n"},
		{"client watch -n -1 /a", "bellwether: --count and --timeout must not be negative\nSee 'bellwether client watch --help'.\n"},
	}
	for _, c := range cases {
		out, errs, code := execute(t, strings.Fields(c.args)...)
		require.Equal(t, exitInvalid, code, c.args)
		require.Equal(t, c.want, errs, c.args)
		require.Empty(t, out, c.args)
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{}, {"client"}, {"config"}, {"server", "--help"}, {"client", "watch", "-h"}} {
		out, errs, code := execute(t, args...)
		require.Equal(t, exitOK, code, args)
		require.Contains(t, out, "Usage:", args)
		require.Empty(t, errs, args)
	}
	out, _, code := execute(t, "version")
	require.Equal(t, exitOK, code)
	require.Regexp(t, `^bellwether \S+.*, speaks ZooKeeper 3\.9, go\S+ \S+/\S+\n$`, out)
}

// TestExitCodesAreDocumented checks that help and the package's doc list every code.
func TestExitCodesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	for _, code := range []int{exitOK, exitUnexpected, exitInvalid, exitDataDir, exitListen, exitStorage, exitAnswer, exitNoNode,
		exitNodeExists, exitBadVersion, exitNoAuth, exitUnreached, exitTimeout} {
		require.Regexp(t, `(?m)^ +`+strconv.Itoa(code)+`  \S`, exitCodesHelp)
		require.Regexp(t, `(?m)^//\t ?`+strconv.Itoa(code)+`  \S`, string(doc))
	}
}

func TestLongServerFlag(t *testing.T) {
	cases := []struct{ in, want string }{
		{"", ""},
		{"client -server h:1 ls /", "client --server h:1 ls /"},
		{"client ls / -server=h:1", "client ls / --server=h:1"},
		{"client --server h:1 ls /", "client --server h:1 ls /"},
		{"client set -- /a -server", "client set -- /a -server"},
		{"server -server", "server -server"},
		{"client ls -s /", "client ls -s /"},
	}
	for _, c := range cases {
		require.Equal(t, c.want, strings.Join(longServerFlag(strings.Fields(c.in)), " "))
	}
}
