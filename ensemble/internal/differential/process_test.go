//go:build interop

package differential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A kind of server: how a process of it is started with a zoo.cfg, by what an environment variable says.
type kind struct {
	name, variable string
	command        func(value string, properties []string) []string
}

var (
	apache39   = kind{"Apache 3.9", "APACHE39_CP", apacheCommand}
	apache38   = kind{"Apache 3.8.0 (Debian)", "APACHE38_CP", apacheCommand}
	bellwether = kind{"Bellwether", "BELLWETHER", func(binary string, properties []string) []string {
		return append([]string{binary, "server"}, properties...)
	}}
)

func apacheCommand(classPath string, properties []string) []string {
	command := []string{"java", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dzookeeper.jmx.log4j.disable=true", "-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"}
	return append(append(command, properties...), "-cp", classPath, "org.apache.zookeeper.server.quorum.QuorumPeerMain")
}

// Nothing may be removed by the clock: not at the same moment on both servers.
var properties = []string{"-Dzookeeper.extendedTypesEnabled=true", "-Dznode.container.checkIntervalMs=86400000"}

func zooConfig(dataDir string, port int, lines []string) string {
	return fmt.Sprintf(`tickTime=2000
dataDir=%s
clientPort=%d
clientPortAddress=127.0.0.1
maxClientCnxns=0
4lw.commands.whitelist=*
admin.enableServer=false
enforceQuota=true
DigestAuthenticationProvider.superDigest=%s
%s
`, dataDir, port, digestOf(superUser), strings.Join(lines, "\n"))
}

// A process is a server of some kind.
type process struct {
	kind kind
	addr string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// mustStart starts a server on a data directory, which it makes if need be, and returns when it serves. lines are added to the
// zoo.cfg. The end of the test ends the process.
func mustStart(t *testing.T, k kind, dataDir string, lines ...string) *process {
	t.Helper()
	value := os.Getenv(k.variable)
	require.NotEmpty(t, value, "the environment variable %s says where a server is: see the package's doc", k.variable)
	for try := 1; ; try++ {
		dir := t.TempDir()
		port := mustFreePort(t)
		config := filepath.Join(dir, "zoo.cfg")
		require.NoError(t, os.WriteFile(config, []byte(zooConfig(dataDir, port, lines)), 0o600))
		p := mustLaunch(t, k, append(k.command(value, properties), config), filepath.Join(dir, "log"), port)
		err := p.awaitServing(t.Context())
		if err == nil {
			return p
		}
		p.kill()
		// Somebody may have taken the port between our asking for a free one and the server's listening: Java cannot take port 0.
		collided := strings.Contains(strings.ToLower(p.logTail()), "address already in use")
		require.True(t, collided && try < 5, "%s does not serve: %v\n%s", k.name, err, p.logTail())
	}
}

func mustFreePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func mustLaunch(t *testing.T, k kind, command []string, log string, port int) *process {
	t.Helper()
	out, err := os.Create(log)
	require.NoError(t, err)
	defer out.Close()
	p := &process{kind: k, addr: fmt.Sprintf("127.0.0.1:%d", port), log: log, cmd: exec.Command(command[0], command[1:]...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	require.NoError(t, p.cmd.Start())
	go func() { // ends with the process, which kill ends
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", k.name, p.logTail())
		}
	})
	return p
}

// kill ends the process as a power cut would, as far as the process is concerned, and waits until it has gone.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
}

func (p *process) awaitServing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	again := time.NewTicker(30 * time.Millisecond)
	defer again.Stop()
	for {
		if answer, err := fourLetterWord(p.addr, "srvr"); err == nil && strings.Contains(answer, "Mode: ") {
			return nil
		}
		select {
		case <-p.done:
			return errors.New("the process ended")
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C:
		}
	}
}

func fourLetterWord(addr, word string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, word); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

func (p *process) logTail() string {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(log, []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-40):], []byte("\n")))
}
