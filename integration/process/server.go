//go:build unix

package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Server is a server of some kind, whose process may come and go.
type Server struct {
	Kind Kind
	// Addr is where clients reach it.
	Addr string

	command []string
	log     string // file

	mu      sync.Mutex
	process *exec.Cmd
	done    chan struct{} // closed when the process has ended; nil before the first
}

// How long a server may take to serve, and to end when it is asked to.
const (
	startPatience = time.Minute
	stopPatience  = 10 * time.Second
)

// Start starts a server alone and returns when it serves. config makes its zoo.cfg from a new directory that the server may use,
// and the port for clients on 127.0.0.1; flags are for the command line, see [Kind.CommandLine]. The test's end kills it.
func Start(t testing.TB, k Kind, flags []string, config func(dir string, clientPort int) string) *Server {
	t.Helper()
	command := k.CommandLine(t, flags...)
	for try := 1; ; try++ {
		dir := keptDir(t)
		port := FreePort(t)
		s := newServer(t, k, command, dir, port, config(dir, port))
		err := s.start()
		if err == nil {
			err = s.AwaitServing(t.Context())
		}
		if err == nil {
			return s
		}
		s.Kill()
		if !s.collided() || try == 5 {
			t.Fatalf("%s does not serve: %v\n%s", k.Name, err, s.LogTail())
		}
	}
}

// newServer makes a server whose zoo.cfg and log are in dir, without a process yet.
func newServer(t testing.TB, k Kind, command []string, dir string, port int, config string) *Server {
	t.Helper()
	file := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{Kind: k, Addr: fmt.Sprintf("127.0.0.1:%d", port), command: append(command[:len(command):len(command)], file), log: filepath.Join(dir, "log")}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("%s at %s said:\n%s", k.Name, s.Addr, s.LogTail())
		}
	})
	return s
}

// keptDir is a new directory that the test's end removes, but not when the test failed.
func keptDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bellwether-interop-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("kept %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// FreePort is a port of 127.0.0.1 nobody listens on, below those that the system gives away by itself: a server that is started again
// finds that no connection has taken it meanwhile. Somebody else may be given the same one.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 12000 + rand.IntN(20000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("of a hundred ports none was free")
	return 0
}

// start launches the process. What it prints goes to the end of the log.
func (s *Server) start() error {
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(s.command[0], s.command[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	// Ends with the process, which Kill ends; how a server that was killed ended says nothing.
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
	s.process, s.done = cmd, done
	return nil
}

// current is the process started last; its done is closed if there was none.
func (s *Server) current() (*os.Process, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		ended := make(chan struct{})
		close(ended)
		return nil, ended
	}
	return s.process.Process, s.done
}

// Ended is closed when the process has ended.
func (s *Server) Ended() <-chan struct{} {
	_, done := s.current()
	return done
}

// Kill ends the process as a power cut would, as far as the process is concerned, and waits until it has gone.
func (s *Server) Kill() {
	process, done := s.current()
	if process != nil {
		_ = process.Signal(syscall.SIGKILL) // of a process that has ended: an error that says so
	}
	<-done
}

// Stop asks the process to end and waits until it has, by force in the end. It reports whether asking was enough.
func (s *Server) Stop() bool {
	process, done := s.current()
	if process != nil {
		_ = process.Signal(syscall.SIGTERM)
	}
	patience := time.NewTimer(stopPatience)
	defer patience.Stop()
	select {
	case <-done:
		return true
	case <-patience.C:
		s.Kill()
		return false
	}
}

// Pause stops the process where it is; Resume lets it go on.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) error {
	process, _ := s.current()
	if process == nil {
		return os.ErrProcessDone
	}
	return process.Signal(sig)
}

// Restart starts the server again, from its own data; the process before must have ended. It does not wait until the server serves.
func (s *Server) Restart() error {
	select {
	case <-s.Ended():
		return s.start()
	default:
		return fmt.Errorf("process: %s at %s is still running", s.Kind.Name, s.Addr)
	}
}

// AwaitServing returns when the server serves clients, alone or in its role, or with an error when its process ended or a minute is over.
func (s *Server) AwaitServing(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startPatience, fmt.Errorf("process: %s at %s does not serve", s.Kind.Name, s.Addr))
	defer cancel()
	again := time.NewTicker(30 * time.Millisecond)
	defer again.Stop()
	ended := s.Ended()
	for {
		if s.Mode() != "" {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("process: %s at %s ended", s.Kind.Name, s.Addr)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C:
		}
	}
}

// Mode is what the server says it is: standalone, leader, follower, observer; or nothing when it does not serve, or not answer within
// a second.
func (s *Server) Mode() string {
	answer, err := fourLetterWord(s.Addr, "srvr", time.Second)
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(answer, "Mode: ")
	mode, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(mode)
}

// FourLetterWord is a server's whole answer to an administrator's command.
func FourLetterWord(addr, word string) (string, error) {
	return fourLetterWord(addr, word, 5*time.Second)
}

func fourLetterWord(addr, word string, patience time.Duration) (string, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, word); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

// LogTail is the end of what the server printed.
func (s *Server) LogTail() string {
	log, err := os.ReadFile(s.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err.Error()
	}
	lines := bytes.Split(log, []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-60):], []byte("\n")))
}

// collided reports whether the server could not listen since somebody had taken one of its ports between our asking for a free one
// and the server's listening on it: Java cannot take port 0.
func (s *Server) collided() bool {
	log, _ := os.ReadFile(s.log)
	return bytes.Contains(bytes.ToLower(log), []byte("address already in use"))
}
