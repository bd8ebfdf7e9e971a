// Package server gives one replica its life: a store, client connections and a clock. It owns every goroutine of a server.
//
// One goroutine, the core, owns the [replica.Replica] and decides nothing: it tells it what has happened, applies what may be
// applied, and carries out what it wants. Clients' connections leave their writes with it in batches, the links to other servers
// their packets; what is for the disk it hands to the log's goroutine, which says when it is done. Reads never come here:
// connections answer them on their own goroutines, sharing the tree under a read lock that the core takes for itself while it
// applies. A snapshot is written, or sent to another server, by a goroutine of its own, a piece at a time under the same read lock.
//
// Lock order: tree, then watching or conns, then a connection's own. A failure of the disk, or a tree of a lone server that
// differs from what was planned, stops the whole server: nothing is acknowledged after it, and [Server.Err] says why.
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
	"github.com/bellwether-zk/bellwether/ensemble/internal/zab"
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

	Ensemble *Ensemble // nil: the server stands alone
	// RoleChanged is told what a member of an ensemble becomes, in order, by the core: it must return soon, and wait for nothing that
	// the server does. May be nil.
	RoleChanged func(RoleChange)
	// Observer is told what clients ask and are told. Nil: nobody is, and nothing is spent on it.
	Observer *Observer
}

// Close closes the ports of a server that was not started.
func (c *Config) Close() (err error) {
	for _, l := range c.Listeners {
		err = errors.Join(err, l.Close())
	}
	if c.Ensemble != nil {
		err = errors.Join(err, c.Ensemble.Election.Close(), c.Ensemble.Listener.Close())
	}
	return err
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

// A Server is a running server.
type Server struct {
	cfg   Config
	log   *slog.Logger
	begun time.Time
	auth  *auth.Registry
	store *store.Store
	front *front.Server
	words *admin.Words
	noted *observed // nil: nobody observes

	tree      sync.RWMutex // the replica's tree: R to read it, W to change it
	watching  sync.Mutex   // the replica's watches
	replica   *replica.Replica
	history   *zab.History // the replica's
	unsettled bool         // what was loaded does not match its last digest

	// The core's own.
	stage                              stage
	writer                             *writer
	applied                            replica.Applied
	taken                              inbox
	finished                           []finishedOp
	withheld                           []replica.DiskOp // wait for a snapshot to end
	dirty                              []*front.Conn
	frame                              []byte               // the last notification made
	told                               event                // what it says
	complained                         map[string]time.Time // when a quota's soft limit was last complained about
	wasFull                            bool                 // the log had no space
	mismatches                         int64                // rows of transactions with wrong digests that were told of
	nextPurge                          time.Time
	sinceSnapshot, snapAfter           int   // transactions; the next snapshot comes after so many
	bytesSinceSnapshot, snapAfterBytes int64 // of log, likewise; snapAfterBytes 0: no bound
	peers                              *peerage
	phase                              zab.Phase // that was announced last
	elections                          int64     // likewise

	inMu sync.Mutex
	in   inbox         // guarded by inMu
	room *sync.Cond    // on inMu: the core has taken what came from other servers
	wake chan struct{} // room for one
	ask  chan func()   // run by the core between turns

	connsMu sync.RWMutex
	conns   map[request.ConnID]guest // those that want or have a session
	changed chan struct{}            // closed, and replaced, when mode changes

	freshUntil atomic.Int64 // till when, on the monotonic clock, clients may be told that their sessions live; -1: they may not
	owedMu     sync.Mutex
	owed       map[request.ConnID]bool // whose pings wait until they may
	mode       atomic.Int32            // a replica.Role, with serving in the sign

	snapshots latency
	dump      dumping
	purging   atomic.Bool // old ones are being removed
	traceMask atomic.Int64
	closing   sync.Once
	ctx       context.Context // ends when the server is to end
	cancel    context.CancelFunc
	stopping  chan struct{} // closed when the server is to end
	done      chan struct{} // closed when it has
	failure   atomic.Pointer[error]
	running   sync.WaitGroup
}

// Start loads the data and serves. It returns when clients are answered.
func Start(cfg Config) (_ *Server, err error) {
	s := &Server{
		cfg: cfg, log: cfg.Log, begun: time.Now(),
		complained: make(map[string]time.Time), wake: make(chan struct{}, 1), ask: make(chan func()),
		conns: make(map[request.ConnID]guest), changed: make(chan struct{}), owed: make(map[request.ConnID]bool),
		stopping: make(chan struct{}), done: make(chan struct{}), stage: stage{name: "core"},
	}
	s.freshUntil.Store(-1)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.room = sync.NewCond(&s.inMu)
	s.dump.reading.tree = &s.tree
	s.traceMask.Store(defaultTraceMask)
	defer func() {
		if err != nil {
			err = errors.Join(err, cfg.Close())
		}
	}()
	if s.auth, err = auth.New(cfg.Auth); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	s.words = admin.NewWords(view{s}, cfg.Words)
	s.front = front.New(s.backend(), s.auth, cfg.Front)
	s.writer = newWriter(s)
	s.draw()
	if cfg.Ensemble != nil {
		s.mode.Store(int32(replica.Looking) << 1) // until the core says more
		s.peers = newPeerage(s)
	}

	s.running.Go(s.writer.run) // ends with stopping
	s.running.Go(s.run)        // ends with stopping
	s.running.Go(s.watchdog)   // ends with stopping
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

// role is what the server is at the moment.
func (s *Server) role() replica.Role { return replica.Role(s.mode.Load() >> 1) }

// Role names what the server is at the moment.
func (s *Server) Role() string { return s.role().String() }

// Serving waits until clients are served.
func (s *Server) Serving(ctx context.Context) error {
	for {
		s.connsMu.RLock()
		changed := s.changed
		s.connsMu.RUnlock()
		if s.mode.Load()&1 == 1 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.done:
			return errors.Join(ErrClosed, s.Err())
		}
	}
}

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

func (s *Server) stop() {
	s.closing.Do(func() {
		s.cancel()
		close(s.stopping)
	})
}

// end brings everything down in order: no more clients, no more servers, no more work, the log closed.
func (s *Server) end() {
	defer close(s.done)
	<-s.stopping
	s.inMu.Lock()
	s.room.Broadcast() // whoever waits for the core waits no more
	s.inMu.Unlock()
	s.front.Close()
	if s.peers != nil {
		s.peers.close()
	}
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

// A guest is a connection that wants or has a session. Its handshake is answered through greet, which has room for one; closed
// without a value it means: close the connection without a word.
type guest struct {
	conn  *front.Conn
	greet chan wire.ConnectResponse
}

func (s *Server) guest(id request.ConnID) guest {
	s.connsMu.RLock()
	defer s.connsMu.RUnlock()
	return s.conns[id]
}

func (s *Server) connByID(id request.ConnID) *front.Conn { return s.guest(id).conn }

// backend is the server as its connections see it.
type backend struct{ *Server }

var _ front.Backend = backend{}

// Zxid is the last one applied.
func (b backend) Zxid() znode.Zxid { return b.replica.Tree().Zxid() }

// Answer answers a read. A ping is answered only while whoever could end the client's session has heard of this server: see owe.
func (b backend) Answer(out []byte, r *request.Request) []byte {
	if r.Op == wire.OpPing && b.mono(time.Now()) > b.freshUntil.Load() {
		b.owe(r.Conn)
		return out
	}
	return b.replica.Answer(out, r)
}

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

// Connect leaves a handshake with the core and waits for it.
func (b backend) Connect(ctx context.Context, c *front.Conn, r *wire.ConnectRequest) (resp wire.ConnectResponse, ok bool) {
	g := guest{c, make(chan wire.ConnectResponse, 1)}
	b.connsMu.Lock()
	b.conns[c.ID()] = g
	b.connsMu.Unlock()
	b.inMu.Lock()
	b.in.handshakes = append(b.in.handshakes, handshake{c.ID(), r})
	b.inMu.Unlock()
	b.kick()
	select {
	case resp, ok = <-g.greet:
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
	delete(b.conns, c.ID())
	b.connsMu.Unlock()
	b.owedMu.Lock()
	delete(b.owed, c.ID())
	b.owedMu.Unlock()
	b.inMu.Lock()
	b.in.gone = append(b.in.gone, c.ID())
	b.inMu.Unlock()
	b.kick()
}
