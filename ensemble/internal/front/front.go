// Package front owns the client connections of a server: it accepts them, greets them, cuts their bytes into requests, and
// sends answers and events back in order.
//
// The one idea is that a single request never changes goroutines, only batches do. Each connection has one goroutine that reads.
// All requests that arrived together are handled together: reads are answered there and then, under the backend's read
// lock, into one output buffer that is written with one call; writes go to the backend in one [Backend.Submit]. Whatever stands
// behind a connection's own writes waits in its [request.Lane]. The backend completes writes in the order they were submitted
// ([Conn.Complete]); a read that stands between two writes runs between them, on the backend's goroutine, while reads behind
// the last write are left to the connection ([Conn.Wake]).
//
//	s := front.New(backend, registry, front.Options{MaxPerHost: 60})
//	go s.Serve(listener)
//	…
//	s.Close()
//
// A [Conn] is one state under one mutex. Lock order: the backend's read or write lock first, then a connection's mutex; a
// connection's mutex is never held while waiting for the backend, for a socket or for another connection. A connection has at
// most two goroutines, the reader and, while there is something to write that the socket does not take at once, a writer; the
// reader waits for the writer and the [Server] for the reader.
//
// Bad input concerns nobody but its connection. A frame costs memory as its bytes arrive, not as its length claims; a body
// that does not decode is answered with an error in its turn and never reaches the backend; a flood stops being read. A panic
// while serving a connection, which is a bug, closes that connection only and is logged with its stack: reads change no
// replicated state, so the others are none the worse. A panic in the backend's own goroutine is the backend's.
//
// What a request means, who may do what and what an operator is shown is left to others: front only knows the order of things.
package front

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Backend is the server behind the connections. Its methods are called by many goroutines at once, and never with a
// connection's mutex held unless said so.
type Backend interface {
	// Connect opens a session for c or gives it an existing one, and blocks until that is settled; c reads nothing meanwhile.
	// With ok false the connection is closed without a word. A response without a session (Session 0, Timeout 0, a password
	// of zeros) refuses: it is sent, then the connection is closed. Legacy is filled in by the caller. ctx ends when the
	// connection does; Connect must return soon after. r is the backend's.
	Connect(ctx context.Context, c *Conn, r *wire.ConnectRequest) (resp wire.ConnectResponse, ok bool)

	// Disconnected says that c, for which Connect was called, is gone: nothing is answered on it any more, and every method
	// of c does nothing. It is called once, after Connect has returned.
	Disconnected(c *Conn)

	// Submit takes writes into the order, after all that were submitted for c before. The slice is the caller's again when
	// Submit returns; what its elements point at is the backend's. Each is to be answered with c.Complete, in this order. It
	// must not wait for the disk. A closeSession has no Record.
	Submit(c *Conn, batch []request.Request)

	// RLock keeps the tree as it is until RUnlock. Holds are short: at most 256 requests or 64 KiB of answers.
	RLock()
	RUnlock()

	// Answer appends the reply to r, which is no write, as one frame; frames of events may precede it. Nothing appended means
	// no reply. It runs with the tree held still, by RLock or by the backend's own exclusive lock around Complete, and with
	// the mutex of r's connection held: it must not call methods of a Conn.
	Answer(out []byte, r *request.Request) []byte

	// Zxid is the last one applied. It is called as Answer is.
	Zxid() znode.Zxid

	// Command answers a four-letter word, all of which are passed on, allowed or not. arg is what followed stmk, otherwise 0.
	// The connection is closed after the text.
	Command(c *Conn, word string, arg int64) string
}

// An Authenticator knows identities; *auth.Registry is one. A slice of identities is never changed after it was handed out.
type Authenticator interface {
	// Initial is who a connection is before it has said anything.
	Initial(remote netip.Addr) []znode.ID
	// Authenticate adds what an auth request gains to have. Any code but CodeOK is answered, then the connection is closed.
	Authenticate(scheme string, data []byte, remote netip.Addr, have []znode.ID) ([]znode.ID, znode.Code)
	// SASL answers a SASL token; as Authenticate.
	SASL(token []byte) (answer []byte, code znode.Code)
	// Admits reports whether somebody with these identities may send anything but auth and sasl.
	Admits(ids []znode.ID) bool
}

// Options bounds what clients may do. The zero value is usable; its limits are ZooKeeper's defaults, but that zero means no
// limit where said so.
type Options struct {
	MaxFrame   int // bytes of one request, jute.maxbuffer; default wire.DefaultMaxFrame
	MaxConns   int // open connections in all, maxCnxns; 0: any number
	MaxPerHost int // open connections from one IP address, maxClientCnxns; 0: any number, see also ServeLocal

	// MaxOutstanding (globalOutstandingLimit, default 1000) is how many requests may wait for their answers in all before
	// reading stops from connections that have one waiting.
	MaxOutstanding int
	// MaxLane and MaxLaneBytes bound what waits on one connection before reading from it stops; defaults 1000 and 16 MiB.
	MaxLane, MaxLaneBytes int
	// MaxOutput bounds the bytes a connection has not taken yet; default 16 MiB. Above half of it its requests are not
	// read; an event that would pass it closes the connection, and so does four times as much in answers.
	MaxOutput int

	// LargeRequest is from how many bytes on a request counts as large (largeRequestThreshold; 0: never), MaxLargeRequests the
	// sum of the large ones' bytes in the server, default 100 MiB; one too many closes its connection.
	LargeRequest     int
	MaxLargeRequests int64

	// SessionlessTimeout is how long a connection may take to get its session, the backend's part in that included; default
	// 10 s. Afterwards it may stay silent, or leave what it is sent untaken, for its session's timeout.
	SessionlessTimeout time.Duration
	KeepAlive          bool // TCP keep-alive (clientTcpKeepAlive)
	Throttle           Throttle

	Log *slog.Logger // default: quiet
}

const (
	turnRequests = 256      // requests answered under one read lock, at most
	turnBytes    = 64 << 10 // bytes of answers made under one read lock, at most, and one answer more
	keepOutput   = 2 * turnBytes
	writeChunk   = 256 << 10 // bytes a slow client must take within its session's timeout
	linger       = time.Second
	sweepEvery   = time.Second
)

func (o Options) withDefaults() Options {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.MaxFrame, wire.DefaultMaxFrame)
	def(&o.MaxOutstanding, 1000)
	def(&o.MaxLane, 1000)
	def(&o.MaxLaneBytes, 16<<20)
	def(&o.MaxOutput, 16<<20)
	if o.MaxLargeRequests <= 0 {
		o.MaxLargeRequests = 100 << 20
	}
	if o.SessionlessTimeout <= 0 {
		o.SessionlessTimeout = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Server serves client connections. Its methods may be called by many goroutines.
type Server struct {
	backend Backend
	auth    Authenticator
	opts    Options
	start   time.Time     // what Arrived and all other durations count from
	done    chan struct{} // closed by Close

	lastID      atomic.Uint64
	outstanding atomic.Int64 // requests of clients that wait in lanes; those with xid > 0
	large       atomic.Int64 // bytes of large requests in the server

	handshakes, rejected, authFailures atomic.Int64 // since srst

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]bool
	conns     map[*Conn]bool
	hosts     map[netip.Addr]int // open connections of each, but for local ones
	sweeping  bool               // the sweeper runs; it does while there are connections
	past      tally              // of connections that are gone
	throttle  throttle
	running   sync.WaitGroup // Serve calls, readers, the sweeper
}

// New returns a Server that serves nobody yet.
func New(b Backend, a Authenticator, o Options) *Server {
	s := &Server{
		backend: b, auth: a, opts: o.withDefaults(), start: time.Now(), done: make(chan struct{}),
		listeners: map[net.Listener]bool{}, conns: map[*Conn]bool{}, hosts: map[netip.Addr]int{},
	}
	s.throttle.init(s.opts.Throttle)
	return s
}

// now is the time on the server's own clock, which never jumps.
func (s *Server) now() time.Duration { return time.Since(s.start) }

// Serve accepts connections until Close, then returns nil, or until somebody else closes l, then returns net.ErrClosed. Other
// errors of Accept, such as too many open files, are logged and tried again, at first after 5 ms, later after a second. Several
// listeners may be served at once.
func (s *Server) Serve(l net.Listener) error { return s.serve(l, false) }

// ServeLocal is Serve for a listener within this process, whose connections do not count against MaxPerHost.
func (s *Server) ServeLocal(l net.Listener) error { return s.serve(l, true) }

func (s *Server) serve(l net.Listener, local bool) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = l.Close()
		return nil
	}
	s.listeners[l] = true
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	var pause time.Duration
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.admit(nc, local)
			continue
		case s.isClosed():
			return nil
		case errors.Is(err, net.ErrClosed):
			s.mu.Lock()
			delete(s.listeners, l)
			s.mu.Unlock()
			return err
		}
		pause = min(max(5*time.Millisecond, 2*pause), time.Second)
		s.opts.Log.Warn("accept failed", "listener", l.Addr().String(), "error", err, "retry", pause)
		select {
		case <-time.After(pause):
		case <-s.done:
		}
	}
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Close closes the listeners and all connections without a word and waits until nothing runs any more. Backend.Connect calls
// are made to return by their contexts.
func (s *Server) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
	for l := range s.listeners {
		_ = l.Close()
	}
	conns := maps.Clone(s.conns)
	s.mu.Unlock()
	for c := range conns {
		c.Close()
	}
	s.running.Wait()
}

// Conns are the open connections, in no order; one that only waits for its last bytes to be taken is open no more. The loop may
// call any method of the Server or of a Conn.
func (s *Server) Conns() iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		for _, c := range s.all() {
			if !c.leaving() && !yield(c) {
				return
			}
		}
	}
}

// all are the connections that are not gone yet.
func (s *Server) all() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.conns))
}
