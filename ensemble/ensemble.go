// Package ensemble runs a coordination service that speaks ZooKeeper's client protocol and keeps its data in ZooKeeper's files:
// clients of Apache ZooKeeper 3.9 connect to it without noticing, and its data directory opens in Apache's server and the other
// way round. It is one server, or several that agree, and go on while more than half of them do.
//
// A server lives in this process. In a test it starts in about a millisecond, in memory, and is reached without a socket:
//
//	srv, err := ensemble.Start(ctx, nil)
//	defer srv.Close()
//	c, err := client.Connect(ctx, srv.ConnectString(), &client.Options{Dialer: srv.Dial})
//
// So do several, of which one may be lost and come back:
//
//	e, err := ensemble.StartSeveral(ctx, 3, nil)
//	defer e.Close()
//	c, err := client.Connect(ctx, e.ConnectString(), &client.Options{Dialer: e.Dial})
//	err = e.Leader().Close() // the others elect another one, and clients keep their sessions
//
// In production a server runs on a directory and a port, as the program bellwether does; one of several is told of all in
// Options.Members:
//
//	srv, err := ensemble.Start(ctx, &ensemble.Options{Dir: "/var/lib/bellwether", Addr: ":2181"})
//	<-srv.Done()
//
// A write is acknowledged only after it is on disk, synced, on a majority of the servers that vote. A server whose disk fails a write
// stops and says why; it never answers from what it could not store. Everything a server started has ended when Close returns.
//
// Servers in memory work inside a testing/synctest bubble, where session timeouts and elections pass in virtual time.
package ensemble

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/server"
)

// memoryAddr is where a server listens on its own network in memory.
const memoryAddr = "127.0.0.1:2181"

// A Server is a running server.
type Server struct {
	inner      *server.Server
	id         int
	network    *memnet.Network
	memory     net.Listener
	memoryAddr string
	tcp        net.Listener // nil without Addr
}

// Start starts a server and returns when its data is loaded and its ports are open. One that stands alone serves then; one of several
// looks for the others, see [Server.Serving]. A nil opts is the zero Options. All that is wrong with opts is reported at once. If
// ctx ends before Start returns, it stops the server and returns the cause; later ctx has no effect: [Server.Close] ends a server.
//
// A data directory that another server uses, that is damaged or that does not hold together is refused with an error that
// says which file, where, and what can be done.
func Start(ctx context.Context, opts *Options) (*Server, error) {
	if opts == nil {
		opts = &Options{}
	}
	cfg, err := opts.config()
	if err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	s := &Server{id: or(opts.ServerID, 1)}
	if err := s.listen(ctx, opts, &cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("ensemble: %w", err), cfg.Close())
	}
	if opts.change != nil {
		opts.change(&cfg)
	}
	if s.inner, err = server.Start(cfg); err != nil {
		return nil, fmt.Errorf("ensemble: %w", err)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// listen opens all of the server's ports. What is open belongs to cfg, also after an error.
func (s *Server) listen(ctx context.Context, opts *Options, cfg *server.Config) (err error) {
	s.network = new(memnet.Network)
	s.memoryAddr = memoryAddr
	if opts.Network != nil {
		s.network = &opts.Network.net
		s.memoryAddr = net.JoinHostPort(opts.memberHost(), strconv.Itoa(memberClientPort))
	}
	if s.memory, err = s.network.Listen(s.memoryAddr); err != nil {
		return err
	}
	cfg.Listeners = append(cfg.Listeners, server.Listener{Listener: s.memory, Local: true})
	if opts.Addr != "" {
		if s.tcp, err = new(net.ListenConfig).Listen(ctx, "tcp", opts.Addr); err != nil {
			return err
		}
		cfg.Listeners = append(cfg.Listeners, server.Listener{Listener: s.tcp})
	}
	if len(opts.Members) > 0 {
		cfg.Ensemble, err = opts.ensemble(ctx)
	}
	return err
}

// Serving waits until the server serves clients: at once when it stands alone; as one of several when there is a leader and it has
// the leader's state. It returns the cause when ctx ends before, and why the server stopped if it did.
func (s *Server) Serving(ctx context.Context) error {
	if err := s.inner.Serving(ctx); err != nil {
		return fmt.Errorf("ensemble: %w", err)
	}
	return nil
}

// ServerID is the number the server was given in Options.
func (s *Server) ServerID() int { return s.id }

// Role is what the server is at the moment: "standalone", or "looking", "leader", "follower" or "observer". A server that has ended
// goes on telling what it was.
func (s *Server) Role() string { return s.inner.Role() }

// Addr is the TCP address the server listens on, nil without one.
func (s *Server) Addr() net.Addr {
	if s.tcp == nil {
		return nil
	}
	return s.tcp.Addr()
}

// ConnectString is what clients are given to find the server: host and port of its TCP address, or, without one, an address
// that only [Server.Dial] knows.
func (s *Server) ConnectString() string {
	if s.tcp != nil {
		return dialable(s.tcp.Addr())
	}
	return s.memoryAddr
}

// dialable turns a wildcard address into one to connect to.
func dialable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return a.String()
	}
	local := *tcp
	local.IP = net.IPv4(127, 0, 0, 1)
	return local.String()
}

// Dial connects to the server through memory, whatever network and addr say, so that it fits where a client takes a dialer. It
// fails once the server is closed.
func (s *Server) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return s.network.Dial(ctx, s.memoryAddr)
}

// Done is closed when the server has ended: after Close, or when it stopped by itself because it could not go on; Err says
// why.
func (s *Server) Done() <-chan struct{} { return s.inner.Done() }

// Err is why the server stopped by itself, nil while it runs and after an ordinary Close.
func (s *Server) Err() error { return s.inner.Err() }

// Close ends the server: clients are disconnected, what was acknowledged is on disk, nothing it started is left on return.
// Sessions live on in the data directory. Clients are cut off at once, but Close waits for a disk that hangs. It may be called
// more than once; it returns why the server had stopped by itself, if it had.
func (s *Server) Close() error { return s.inner.Close() }

// newMemory is the disk of a server without a directory.
func newMemory() disk.FS { return disk.NewMem(nil) }
