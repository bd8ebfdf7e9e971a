//go:build interop

package integration

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
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

// A kind of server: how a process of it is started from a zoo.cfg.
type kind struct {
	name string
	// command makes the command line, without the zoo.cfg, from the environment variable that says where the server is.
	variable string
	command  func(value string) []string
}

var (
	apache39   = kind{"Apache 3.9", "APACHE39_CP", apacheCommand}
	apache38   = kind{"Apache 3.8.0 (Debian)", "APACHE38_CP", apacheCommand}
	bellwether = kind{"Bellwether", "BELLWETHER", func(binary string) []string { return []string{binary, "server"} }}
)

func apacheCommand(classPath string) []string {
	return []string{"java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-Dzookeeper.jmx.log4j.disable=true", "-cp", classPath, "org.apache.zookeeper.server.quorum.QuorumPeerMain"}
}

// mustEnv is the value of a variable that .ci/run or .ci/peers.sh sets.
func mustEnv(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	require.NotEmpty(t, value, "the environment variable %s says where a peer is; source .ci/peers.sh, see this package's doc", name)
	return value
}

// The tick of every peer in milliseconds: short, so that sessions can be seen to expire (1 to 10 s).
const tickTime = 500

// superPassword is the password of the user super, whom every peer knows.
const superPassword = "secret"

// peerConfig is the zoo.cfg that every peer gets, whatever its kind.
func peerConfig(dataDir string, port int) string {
	digest := sha1.Sum([]byte("super:" + superPassword))
	return fmt.Sprintf(`tickTime=%d
dataDir=%s
clientPort=%d
clientPortAddress=127.0.0.1
maxClientCnxns=0
4lw.commands.whitelist=*
admin.enableServer=false
extendedTypesEnabled=true
enforceQuota=true
DigestAuthenticationProvider.superDigest=super:%s
`, tickTime, dataDir, port, base64.StdEncoding.EncodeToString(digest[:]))
}

// A peer is a server in a process of its own.
type peer struct {
	addr string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the process has ended
}

// startPeer starts a standalone server with an empty data directory and returns when it serves. The test's end stops it.
func startPeer(t *testing.T, k kind, lines ...string) *peer {
	t.Helper()
	command := k.command(mustEnv(t, k.variable))
	for try := 1; ; try++ {
		dir := t.TempDir()
		port := freePort(t)
		config := filepath.Join(dir, "zoo.cfg")
		text := peerConfig(filepath.Join(dir, "data"), port) + strings.Join(append(lines, ""), "\n")
		require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
		p := launch(t, append(command, config), filepath.Join(dir, "log"), fmt.Sprintf("127.0.0.1:%d", port))
		err := p.awaitServing(t.Context())
		if err == nil {
			return p
		}
		p.stop()
		// Somebody took the port between our asking for a free one and the server's listening on it: Java cannot take port 0.
		collided := strings.Contains(strings.ToLower(p.logTail()), "address already in use")
		require.True(t, collided && try < 5, "%s does not serve: %v\n%s", k.name, err, p.logTail())
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func launch(t *testing.T, command []string, log, addr string) *peer {
	t.Helper()
	out, err := os.Create(log)
	require.NoError(t, err)
	defer out.Close()
	p := &peer{addr: addr, cmd: exec.Command(command[0], command[1:]...), log: log, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	require.NoError(t, p.cmd.Start())
	// Ends with the process, which stop ends; the exit code of a server that was told to end says nothing.
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(p.stop)
	return p
}

// stop ends the process and waits for it: politely first, by force after ten seconds.
func (p *peer) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

func (p *peer) awaitServing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
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

// fourLetterWord is the server's whole answer to an administrator's command.
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

// logTail is the end of what the server printed, to show when something failed.
func (p *peer) logTail() string {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(log, []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-60):], []byte("\n")))
}
