// Package server gives one replica its life: a store, client connections and a clock. It owns every goroutine of a server.
//
// One goroutine, the core, owns the [replica.Replica]. Connections leave their writes with it in batches; it plans them, hands
// the records to the log's goroutine, and when that says how far the disk has them, applies them and answers. Reads never come
// here: connections answer them on their own goroutines, sharing the tree under a read lock that the core takes for itself
// while it applies. A snapshot is written by a goroutine of its own, a piece at a time under the same read lock.
//
// Lock order: tree, then watching or conns, then a connection's own. A failure of the disk, or a tree that differs from what was
// planned, stops the whole server: nothing is acknowledged after it, and [Server.Err] says why.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/admin"
	"github.com/bellwether-zk/bellwether/ensemble/internal/auth"
	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/front"
	"github.com/bellwether-zk/bellwether/ensemble/internal/propose"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/store"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// ErrClosed is the cause given to whatever waits while the server is closed.
var ErrClosed = errors.New("server: closed")

// A Listener is where clients come from.
type Listener struct {
	net.Listener
	Local bool // within this process: its connections do not count against Front.MaxPerHost
}

// Config is everything a server is told. All fields must be set but where a zero is said to mean something.
type Config struct {
	ID        uint8
	FS        disk.FS
	Store     store.Options
	Listeners []Listener // the server's to close, also when Start fails

	Tick, MinTimeout, MaxTimeout time.Duration

	Tree       tree.Options
	Auth       auth.Config
	Propose    propose.Config
	Front      front.Options
	Sweep      replica.Sweep
	OldTTL     bool // refuse data that may hold TTL nodes in the encoding of 3.5.3
	Eager      bool // check ACLs before planning
	MaxWatches int  // paths one connection may watch; 0: any number

	SnapCount     int           // transactions between snapshots, half to all of it
	SnapSize      int64         // bytes of log between snapshots, likewise; 0: no bound
	PurgeRetain   int           // snapshots kept
	PurgeInterval time.Duration // 0: never; negative: after every snapshot
	MaxBatch      int           // transactions that share one fsync
	FsyncWarning  time.Duration // slower ones are logged

	Words []string // four-letter words answered besides srvr
	Log   *slog.Logger
}

// clientPort is the TCP port clients use, -1 without one.
func (c *Config) clientPort() int {
	for _, l := range c.Listeners {
		if a, ok := l.Addr().(*net.TCPAddr); ok {
			return a.Port
		}
	}
	return -1
}

// tickEvery is how often the core looks at the clock.
func (c *Config) tickEvery() time.Duration { return max(c.Tick/4, time.Millisecond) }

// A Server is a running server.
type Server struct {
	cfg   Config
	log   *slog.Logger
	begun time.Time
	auth  *auth.Registry
	store *store.Store
	front *front.Server
	words *admin.Words

	tree     sync.RWMutex // the replica's tree: R to read it, W to change it
	watching sync.Mutex   // the replica's watches
	replica  *replica.Replica

	// The core's own.
	writer                             *writer
	records                            replica.Records
	applied                            replica.Applied
	taken                              inbox
	knocking                           []*handshake                  // not taken up yet
	opening                            map[request.ConnID]*handshake // whose new session is not applied yet; nil: gone meanwhile
	attached                           []*handshake                  // not answered yet; the rest of its session's last writes comes first
	cut                                map[request.ConnID]bool       // have lost their session to another, and are not gone yet
	due                                []request.Request             // what time asks for and the log had no space for
	dirty                              []*front.Conn
	frame                              []byte               // the last notification made
	told                               event                // what it says
	complained                         map[string]time.Time // when a quota's soft limit was last complained about
	nextPurge                          time.Time
	sinceSnapshot, snapAfter           int   // transactions; the next snapshot comes after so many
	bytesSinceSnapshot, snapAfterBytes int64 // of log, likewise; snapAfterBytes 0: no bound

	inMu sync.Mutex
	in   inbox         // guarded by inMu
	wake chan struct{} // room for one
	ask  chan func()   // run by the core between turns

	connsMu sync.RWMutex
	conns   map[request.ConnID]attachment   // those that want or have a session
	owners  map[znode.SessionID]*front.Conn // who speaks for a session: one of conns, with that session

	snapshots    latency
	snapshotting atomic.Bool // one is being written
	purging      atomic.Bool // old ones are being removed
	traceMask    atomic.Int64
	full         atomic.Bool // the log has no space
	closing      sync.Once
	stopping     chan struct{} // closed when the server is to end
	done         chan struct{} // closed when it has
	failure      atomic.Pointer[error]
	running      sync.WaitGroup
}

// Start loads the data and serves. It returns when clients are answered.
func Start(cfg Config) (_ *Server, err error) {
	s := &Server{
		cfg: cfg, log: cfg.Log, begun: time.Now(),
		complained: make(map[string]time.Time), opening: make(map[request.ConnID]*handshake), cut: make(map[request.ConnID]bool),
		wake: make(chan struct{}, 1), ask: make(chan func()),
		conns: make(map[request.ConnID]attachment), owners: make(map[znode.SessionID]*front.Conn),
		stopping: make(chan struct{}), done: make(chan struct{}),
	}
	s.traceMask.Store(defaultTraceMask)
	defer func() {
		if err != nil {
			for _, l := range cfg.Listeners {
				err = errors.Join(err, l.Close())
			}
		}
	}()
	if s.auth, err = auth.New(cfg.Auth); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	s.words = admin.NewWords(view{s}, cfg.Words)
	s.front = front.New(backend{s}, s.auth, cfg.Front)
	s.writer = newWriter(s)
	s.draw()
	s.due = s.replica.Orphans()
	s.proposeDue(s.now())

	s.running.Go(s.writer.run) // ends with stopping
	s.running.Go(s.run)        // ends with stopping
	for _, l := range cfg.Listeners {
		s.running.Go(func() { // ends when the front is closed
			serve := s.front.Serve
			if l.Local {
				serve = s.front.ServeLocal
			}
			if err := serve(l); err != nil {
				s.fail(fmt.Errorf("listener %v: %w", l.Addr(), err))
			}
		})
	}
	go s.end() // ends after Close or a failure, when everything above has
	return s, nil
}

// defaultTraceMask is what gtmk answers before anybody has set another.
const defaultTraceMask = 306

// now is the time by both clocks.
func (s *Server) now() replica.Time {
	t := time.Now()
	return replica.Time{Mono: s.mono(t), Wall: t.UnixMilli()}
}

// mono is t on the server's monotonic clock, in milliseconds.
func (s *Server) mono(t time.Time) int64 { return t.Sub(s.begun).Milliseconds() }

// fail stops the server because of err; only the first counts.
func (s *Server) fail(err error) {
	if s.failure.CompareAndSwap(nil, &err) {
		s.log.Error("server stops", "server", s.cfg.ID, "error", err)
	}
	s.stop()
}

func (s *Server) stop() { s.closing.Do(func() { close(s.stopping) }) }

// end brings everything down in order: no more clients, no more work, the log closed.
func (s *Server) end() {
	defer close(s.done)
	<-s.stopping
	s.front.Close()
	s.running.Wait()
	if err := s.store.Close(); err != nil && s.failure.Load() == nil {
		s.failure.Store(&err)
	}
}

// Close ends the server and waits for all of it: clients are cut off at once, but a call the disk is at work on cannot be called
// back, so Close waits as long as the disk does. It returns why the server had ended by itself, if it had.
func (s *Server) Close() error {
	s.stop()
	<-s.done
	return s.Err()
}

// Done is closed when the server has ended.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is why the server ended by itself, nil if it did not.
func (s *Server) Err() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// An attachment is a connection and the session it speaks for, 0 if it has none.
type attachment struct {
	conn    *front.Conn
	session znode.SessionID
}

// own makes c, or nobody, the connection that speaks for a session, and closes the one that did, which it returns. A connection
// that is gone by now owns nothing.
func (s *Server) own(id znode.SessionID, c *front.Conn) (old *front.Conn) {
	s.connsMu.Lock()
	old = s.release(id)
	if c != nil {
		if _, here := s.conns[c.ID()]; here {
			s.conns[c.ID()] = attachment{c, id}
			s.owners[id] = c
		}
	}
	s.connsMu.Unlock()
	if old != nil {
		old.Close()
	}
	return old
}

// disown ends the connection of a session that has ended, unless the connection asked for that itself and waits for the answer.
func (s *Server) disown(id znode.SessionID, asked request.ConnID) {
	s.connsMu.Lock()
	c := s.release(id)
	s.connsMu.Unlock()
	if c != nil && c.ID() != asked {
		c.Close()
	}
}

// release leaves a session without an owner and returns the one it had. s.connsMu is held.
func (s *Server) release(id znode.SessionID) *front.Conn {
	c := s.owners[id]
	if c != nil {
		delete(s.owners, id)
		s.conns[c.ID()] = attachment{conn: c}
	}
	return c
}

func (s *Server) connByID(id request.ConnID) *front.Conn {
	s.connsMu.RLock()
	defer s.connsMu.RUnlock()
	return s.conns[id].conn
}

// backend is the server as its connections see it.
type backend struct{ *Server }

var _ front.Backend = backend{}

// Zxid is the last one applied.
func (b backend) Zxid() znode.Zxid { return b.replica.Tree().Zxid() }

// Answer answers a read.
func (b backend) Answer(out []byte, r *request.Request) []byte { return b.replica.Answer(out, r) }

// RLock makes the tree hold still.
func (b backend) RLock() { b.tree.RLock() }

// RUnlock lets it move again.
func (b backend) RUnlock() { b.tree.RUnlock() }

// Command answers a four-letter word.
func (b backend) Command(_ *front.Conn, word string, arg int64) string {
	return b.words.Answer(word, arg)
}

// Submit leaves writes with the core.
func (b backend) Submit(c *front.Conn, batch []request.Request) {
	b.inMu.Lock()
	b.in.requests = append(b.in.requests, batch...)
	b.inMu.Unlock()
	b.kick()
}

// Connect leaves a handshake with the core and waits for it. A client that has seen more than this server has applied is sent
// away without a word: it must not see time go backwards.
func (b backend) Connect(ctx context.Context, c *front.Conn, r *wire.ConnectRequest) (resp wire.ConnectResponse, ok bool) {
	b.connsMu.Lock()
	b.conns[c.ID()] = attachment{conn: c}
	b.connsMu.Unlock()
	b.tree.RLock()
	zxid := b.replica.Tree().Zxid()
	b.tree.RUnlock()
	if r.LastZxidSeen > zxid {
		b.log.Info("client has seen a later zxid than this server", "server", b.cfg.ID, "client", r.LastZxidSeen, "zxid", zxid)
		return resp, false
	}
	h := &handshake{conn: c, req: r, done: make(chan wire.ConnectResponse, 1)}
	b.inMu.Lock()
	b.in.handshakes = append(b.in.handshakes, h)
	b.inMu.Unlock()
	b.kick()
	select {
	case resp, ok = <-h.done:
		return resp, ok
	case <-ctx.Done():
	case <-b.stopping:
	}
	return resp, false
}

// Disconnected lets the core forget a connection, but not when its session was last heard of, which is left before the
// connection is taken away (see collect). That it is gone is said last, when nobody can come upon it any more.
func (b backend) Disconnected(c *front.Conn) {
	if id, at, ok := c.Touched(); ok {
		b.inMu.Lock()
		b.in.touches = append(b.in.touches, touch{id, b.mono(at)})
		b.inMu.Unlock()
	}
	b.connsMu.Lock()
	if id := b.conns[c.ID()].session; id != 0 {
		delete(b.owners, id)
	}
	delete(b.conns, c.ID())
	b.connsMu.Unlock()
	b.inMu.Lock()
	b.in.gone = append(b.in.gone, c.ID())
	b.inMu.Unlock()
	b.kick()
}
