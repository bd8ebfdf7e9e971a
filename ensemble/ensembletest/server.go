package ensembletest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/inside"
	"github.com/bellwether-zk/bellwether/ensemble/internal/server"
)

// ErrNotRunning means that a server was to do something which is not running, or not to start in an ensemble that is closed.
var ErrNotRunning = errors.New("ensembletest: the server is not running")

// A Server is one server of an [Ensemble]: the same through all its ends and restarts, as a machine is through those of its process.
type Server struct {
	e    *Ensemble
	id   int
	host string
	turn chan struct{} // holds one while somebody starts, ends or stops the server

	epoch atomic.Int64 // of the leader it follows, or leads as; what it was told last

	// Whoever has the turn changes these, and mu guards them.
	mu      sync.Mutex
	opts    ensemble.Options
	drive   *drive           // nil: the data is in files
	running *ensemble.Server // nil: it is not
	resume  func()           // nil: it is not paused
	closed  bool             // for good
}

func newServer(e *Ensemble, id int, members []ensemble.Member) *Server {
	s := &Server{e: e, id: id, host: serverHost(id), turn: make(chan struct{}, 1), opts: e.opts.Server}
	o := &s.opts
	o.ServerID, o.Network, o.Members = id, &e.network, members
	if o.Dir == "" {
		s.drive = newDrive(disk.NewMem(&disk.MemOptions{CrashModel: true}))
		return s
	}
	o.Dir = filepath.Join(o.Dir, strconv.Itoa(id))
	if o.LogDir != "" {
		o.LogDir = filepath.Join(o.LogDir, strconv.Itoa(id))
	}
	return s
}

// take takes the turn, give gives it back. It is a channel so that who waits for it in a bubble lets time pass.
func (s *Server) take() { s.turn <- struct{}{} }
func (s *Server) give() { <-s.turn }

// start starts the server on what its disk has. The caller has the turn, or is the only one who knows the server.
func (s *Server) start(ctx context.Context) error {
	s.mu.Lock()
	opts, drive, closed := s.opts, s.drive, s.closed
	s.mu.Unlock()
	if closed {
		return ErrNotRunning
	}
	inside.Configure(&opts, func(c *server.Config) {
		if drive != nil {
			c.FS = drive.memory
		}
		c.Observer = s.observer()
		if n := s.e.opts.EpochLength; n > 0 {
			c.Ensemble.CounterStart = lastZxid - n
			c.Store.Log.CounterStart = lastZxid - n
		}
		if c.Ensemble != nil {
			s.e.faults.listenTo(s.host, c.Ensemble)
		}
		told := c.RoleChanged
		c.RoleChanged = func(r server.RoleChange) {
			s.epoch.Store(r.Epoch)
			if told != nil {
				told(r)
			}
		}
	})
	srv, err := ensemble.Start(ctx, &opts)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = srv
	if srv.Addr() != nil {
		s.opts.Addr = srv.Addr().String() // the next one is found there too
	}
	return nil
}

// now is the running server, nil if there is none.
func (s *Server) now() *ensemble.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// ID is the server's number.
func (s *Server) ID() int { return s.id }

// String is "server 1".
func (s *Server) String() string { return "server " + strconv.Itoa(s.id) }

// ConnectString is the server's address, of which only [Ensemble.Dial] knows unless there is Options.TCP. It stays the same.
func (s *Server) ConnectString() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts.Addr != "" {
		return s.opts.Addr
	}
	return net.JoinHostPort(s.host, clientPort)
}

// Connect connects a client to this server alone; see [Ensemble.Connect].
func (s *Server) Connect(t testing.TB) *client.Client {
	t.Helper()
	return s.e.connect(t, s.ConnectString())
}

// Running reports whether the server runs; one that is paused does. One that has stopped by itself does not.
func (s *Server) Running() bool {
	srv := s.now()
	if srv == nil {
		return false
	}
	select {
	case <-srv.Done():
		return false
	default:
		return true
	}
}

// Done is closed when this run of the server has ended, whoever has ended it; at once if it does not run.
func (s *Server) Done() <-chan struct{} {
	if srv := s.now(); srv != nil {
		return srv.Done()
	}
	return done
}

// done is for who does not run.
var done = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Err is why the server has stopped by itself, nil if it has not. [Server.Stop], after which it is forgotten, returns it too.
func (s *Server) Err() error {
	if srv := s.now(); srv != nil {
		return srv.Err()
	}
	return nil
}

// Paused reports whether the server is paused.
func (s *Server) Paused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resume != nil
}

// Role is "standalone", "looking", "leader", "follower" or "observer", as the server itself sees it, or "" while it does not run.
func (s *Server) Role() string {
	if !s.Running() {
		return ""
	}
	if srv := s.now(); srv != nil {
		return srv.Role()
	}
	return ""
}

// Zxid is that of the last transaction the server has applied, 0 while it does not run. The epoch of who proposed it is in the upper
// 32 bits.
func (s *Server) Zxid() int64 {
	if srv := s.now(); srv != nil {
		return int64(inside.Server(srv).Zxid())
	}
	return 0
}

// serves reports whether the server serves clients at the moment, as far as it knows itself.
func (s *Server) serves() bool {
	srv := s.now()
	return srv != nil && s.Running() && inside.Server(srv).Serves()
}

// Serving waits until the server serves clients, or ctx ends; ErrNotRunning if it does not run.
func (s *Server) Serving(ctx context.Context) error {
	s.e.mustBelong()
	srv := s.now()
	if srv == nil {
		return ErrNotRunning
	}
	return srv.Serving(ctx)
}

// Stop ends the server in order, as SIGTERM does: its connections are closed, what it has acknowledged is on its disk. It returns why
// the server had stopped by itself, if it had, and nil if it was not running.
func (s *Server) Stop() error {
	s.e.mustBelong()
	s.take()
	defer s.give()
	return s.stop()
}

// stop is for who has the turn.
func (s *Server) stop() error {
	s.unpause()
	srv := s.now()
	if srv == nil {
		return nil
	}
	err := srv.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = nil
	return err
}

// Kill ends the server as kill -9 does, also while it is paused: its connections break, and from this moment on nothing of what it does
// reaches anybody. What it had written to its disk can be read, synced or not, because the operating system lives on; a Crash may still
// take what was not. A server whose data is in files may write on for a moment.
func (s *Server) Kill() { s.kill(nil) }

// Crash is a power failure: as Kill, but of what was not synced only some is left on the disk. Each sector of 512 bytes, each change of
// a size and each new, changed or removed name is there or not as r decides, which tears writes; with a nil r nothing of it
// is there. A server that was killed before, or has stopped, loses that too. It panics when the data is in files, which nobody can tear.
func (s *Server) Crash(r *rand.Rand) {
	s.mustBeInMemory()
	if r == nil {
		s.kill(disk.KeepNone)
		return
	}
	s.kill(disk.KeepSome(r, 0.5))
}

// kill ends the server and, unless keep is nil, leaves of what was not synced on the disk in memory what it says.
func (s *Server) kill(keep func(disk.Unsynced) bool) {
	s.e.mustBelong()
	s.take()
	defer s.give()
	running := s.now() != nil
	s.mu.Lock()
	if s.drive != nil && (running || keep != nil) {
		s.drive = s.drive.crash(keep)
	}
	s.mu.Unlock()
	if !running {
		return
	}
	s.e.wires.Reset(s.host, "")
	_ = s.stop() // perhaps it has noticed that its disk is gone
}

// Restart starts the server again with what is on its disk; it stops it before if it runs. It returns when the server runs, which may
// be long before it serves: alone, without a majority, it never does. See [Server.Serving].
func (s *Server) Restart(ctx context.Context) error {
	s.e.mustBelong()
	s.take()
	defer s.give()
	_ = s.stop() // why it had stopped by itself is not asked
	if err := s.start(ctx); err != nil {
		return fmt.Errorf("ensembletest: restart %v: %w", s, err)
	}
	return nil
}

// Pause stops the server as SIGSTOP does, or a long pause of a virtual machine: it goes on later where it was, and sees that time has
// passed. Until Resume nothing reaches it, nobody hears from it, and its connections stay open. It panics if the server does
// not run.
//
// What is paused is the goroutine that decides, and the network around the server; others may use the processor meanwhile, or end a
// write to the disk, but nobody can see it. Clients connected through Options.TCP still get answers to reads.
func (s *Server) Pause() {
	s.e.mustBelong()
	s.take()
	defer s.give()
	srv := s.now()
	if srv == nil {
		panic("ensembletest: " + s.String() + " does not run, and cannot be paused")
	}
	if s.Paused() {
		return
	}
	s.e.faults.isolate(s.host, true)
	resume := inside.Server(srv).Hold()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resume = resume
}

// Resume lets a paused server go on; one that is not paused is left alone.
func (s *Server) Resume() {
	s.e.mustBelong()
	s.take()
	defer s.give()
	s.unpause()
}

// unpause is for who has the turn.
func (s *Server) unpause() {
	s.mu.Lock()
	resume := s.resume
	s.resume = nil
	s.mu.Unlock()
	if resume != nil {
		s.e.faults.isolate(s.host, false) // what has come meanwhile is there when it goes on
		resume()
	}
}

// close ends the server for good. That it has stopped because of what was done to its disk is no news.
func (s *Server) close() error {
	s.take()
	defer s.give()
	s.mu.Lock()
	s.closed = true
	harmed := s.drive != nil && s.drive.harmed.Load()
	if s.drive != nil {
		s.drive.release()
	}
	s.mu.Unlock()
	if err := s.stop(); !harmed {
		return err
	}
	return nil
}
