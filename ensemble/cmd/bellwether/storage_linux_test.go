package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestServerThatCannotWrite takes away a running server's right to write to files. It must not acknowledge the write it
// then fails, and end with its own exit code.
func TestServerThatCannotWrite(t *testing.T) {
	dir := t.TempDir()
	cfg := zooCfg(t, "dataDir="+dir)
	p := startProcess(t, "server", cfg)
	s := shell{t, served(p.running)}
	s.does("create /kept x")
	require.NoError(t, unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{}, nil))
	_, errs, code := execute(t, s.args("create /lost x")...)
	require.Equal(t, exitUnreached, code, errs)
	require.Equal(t, exitStorage, p.exit())

	p = startProcess(t, "server", cfg)
	s.addr = served(p.running)
	require.Equal(t, "kept\nzookeeper\n", s.does("ls /"))
	require.Equal(t, exitOK, p.signalled(syscall.SIGTERM))
}

// TestServerRefusesDamage flips a bit in the middle of the log.
func TestServerRefusesDamage(t *testing.T) {
	dir := t.TempDir()
	cfg := zooCfg(t, "dataDir="+dir)
	p := startProcess(t, "server", cfg)
	s := shell{t, served(p.running)}
	s.does("create /a x")
	s.does("create /b x")
	require.Equal(t, exitOK, p.signalled(syscall.SIGTERM))

	logs, err := filepath.Glob(filepath.Join(dir, "version-2", "log.*"))
	require.NoError(t, err)
	require.Len(t, logs, 1)
	text, err := os.ReadFile(logs[0])
	require.NoError(t, err)
	text[100] ^= 1
	require.NoError(t, os.WriteFile(logs[0], text, 0o600))
	_, errs, code := execute(t, "server", cfg)
	require.Equal(t, exitDataDir, code, errs)
	require.Contains(t, errs, logs[0])
}
