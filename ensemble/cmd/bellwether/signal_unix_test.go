//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// process is the program running as a process of its own.
type process struct {
	*running
	cmd *exec.Cmd
}

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	name, err := binary()
	require.NoError(t, err)
	cmd := exec.Command(name, args...)
	errsR, errsW := pipe(t)
	cmd.Stderr = errsW
	require.NoError(t, cmd.Start())
	require.NoError(t, errsW.Close())
	p := &process{&running{t: t, errs: errsR}, cmd}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return p
}

// signalled sends a signal and returns the exit code.
func (p *process) signalled(sig os.Signal) int {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(sig))
	return p.exit()
}

func (p *process) exit() int {
	p.t.Helper()
	if err := p.cmd.Wait(); err != nil {
		bad, ok := errors.AsType[*exec.ExitError](err)
		require.True(p.t, ok, "%v", err)
		return bad.ExitCode()
	}
	return 0
}

func TestSignalsEndTheServerCleanly(t *testing.T) {
	cfg := zooCfg(t)
	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		p := startProcess(t, "server", cfg)
		addr := served(p.running)
		shell{t, addr}.does("create -s /n- x")
		require.Equal(t, exitOK, p.signalled(sig))
	}
}

func TestSignalsEndAWatch(t *testing.T) {
	addr := serverForTest(t)
	p := startProcess(t, "client", "-server", addr, "watch", "/a")
	p.until("watching /a\n")
	require.Equal(t, exitOK, p.signalled(syscall.SIGTERM))
}

func TestExitCodesOfTheProcess(t *testing.T) {
	addr := serverForTest(t)
	require.Equal(t, exitInvalid, startProcess(t, "frobnicate").exit())
	require.Equal(t, exitInvalid, startProcess(t, "server", "testdata/check/refused.cfg").exit())
	require.Equal(t, exitNoNode, startProcess(t, "client", "-server", addr, "get", "/nix").exit())
	require.Equal(t, exitUnreached, startProcess(t, "client", "-server", closedPort, "get", "/nix").exit())
	require.Equal(t, exitOK, startProcess(t, "version").exit())
}
