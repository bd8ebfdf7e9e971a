// Package memnet is a network in memory: listeners, dialling and connections that behave as TCP's do, without sockets.
//
// A [Network] is a set of listening addresses. Connections are full [net.Conn]s: two bounded byte streams with deadlines, half
// close (CloseWrite) and reset (SetLinger(0), then Close). A writer does not need a waiting reader: up to 64 KiB each way are
// buffered, as a kernel would; then it blocks, as it would there.
//
//	var network memnet.Network
//	l, _ := network.Listen("127.0.0.1:0")
//	c, _ := network.Dial(ctx, l.Addr().String())
//
// Everything waits on condition variables and the timers of package time, so a Network used inside a testing/synctest bubble
// lets the bubble's clock run: a goroutine in Read, Write, Accept or Dial is durably blocked there. A network belongs to the
// bubble it is used in. Outside of bubbles it works in real time.
//
// A network can be bad: [Network.Cut] and [Network.Delay] stall or slow what one host says to another, for tests of partitions in one
// or both directions, [Network.Reset] breaks connections. As in TCP bytes never change their order and are not lost while their
// connection lives.
//
// All methods may be called by many goroutines. Names are not resolved: a host is an IP address or any word; "localhost" is
// 127.0.0.1, and listening on "", "0.0.0.0" or "::" is listening on every host.
package memnet

import (
	"context"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// backlog is how many connections wait to be accepted before Dial blocks.
const backlog = 128

// firstPort is the first port given to a listener that asks for 0, and to a dialler.
const firstPort = 32768

// An Addr is "host:port".
type Addr string

// Network is "mem".
func (Addr) Network() string { return "mem" }

func (a Addr) String() string { return string(a) }

// A Network is a set of listening addresses and the connections to them. The zero value has none and is ready to use.
type Network struct {
	mu        sync.Mutex
	listeners map[Addr]*listener
	lastPort  int                // the last one given away, 0 before the first
	wires     map[*wire]struct{} // connections with an end that is not closed
	faults    map[route]fault
	changed   chan struct{} // closed when faults change; nil: nobody waits for that
}

// Listen listens on "host:port"; port 0 chooses a free one, which the listener's Addr tells. The address is free again when
// the listener is closed. An address in use answers errors.Is(err, syscall.EADDRINUSE).
func (n *Network) Listen(addr string) (net.Listener, error) {
	host, port, err := split(addr)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "mem", Addr: Addr(addr), Err: err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if port == 0 {
		port = n.freePort(host)
	}
	l := &listener{network: n, addr: join(host, port), queue: make(chan *conn, backlog), done: make(chan struct{})}
	if _, used := n.listeners[l.addr]; used {
		return nil, &net.OpError{Op: "listen", Net: "mem", Addr: l.addr, Err: syscall.EADDRINUSE}
	}
	if n.listeners == nil {
		n.listeners = map[Addr]*listener{}
	}
	n.listeners[l.addr] = l
	return l, nil
}

// Dial connects from 127.0.0.1 to a listener. It returns when the connection waits to be accepted and blocks only while
// the listener's backlog is full. Nobody listening answers errors.Is(err, syscall.ECONNREFUSED).
func (n *Network) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return n.DialFrom(ctx, "127.0.0.1", addr)
}

// DialFrom is Dial from another host.
func (n *Network) DialFrom(ctx context.Context, from, addr string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "mem", Addr: Addr(addr), Err: err}
	}
	host, port, err := split(addr)
	if err != nil {
		return fail(err)
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	way := route{canonical(from), host}
	if err := n.handshake(ctx, way); err != nil {
		return fail(err)
	}
	n.mu.Lock()
	l := n.listening(host, port)
	if l == nil {
		n.mu.Unlock()
		return fail(syscall.ECONNREFUSED)
	}
	client, server := connect(n.lay(way), join(way.from, n.freePort(way.from)), join(host, port))
	n.mu.Unlock()
	select {
	case l.queue <- server:
	case <-l.done:
		client.abandon(server)
		return fail(syscall.ECONNREFUSED)
	case <-ctx.Done():
		client.abandon(server)
		return fail(ctx.Err())
	}
	select {
	case <-l.done: // closed while we queued: nobody may be left to reset what waits
		l.resetQueue()
	default:
	}
	return client, nil
}

// Pipe is both ends of a connection between two addresses that was never dialled: it is part of no network, and no fault finds it.
func Pipe(client, server Addr) (clientEnd, serverEnd net.Conn) {
	var alone Network
	alone.mu.Lock()
	defer alone.mu.Unlock()
	return connect(alone.lay(route{}), client, server)
}

// listening finds who listens on host and port. n.mu is held.
func (n *Network) listening(host string, port int) *listener {
	for _, h := range []string{host, "", "0.0.0.0", "::"} {
		if l := n.listeners[join(h, port)]; l != nil {
			return l
		}
	}
	return nil
}

// freePort gives a port nobody listens on at host; they go round. n.mu is held.
func (n *Network) freePort(host string) int {
	for range 1<<16 - firstPort {
		if n.lastPort++; n.lastPort < firstPort || n.lastPort >= 1<<16 {
			n.lastPort = firstPort
		}
		if n.listeners[join(host, n.lastPort)] == nil {
			break
		}
	}
	return n.lastPort
}

func split(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	u, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return "", 0, &net.AddrError{Err: "port must be a number", Addr: addr}
	}
	return canonical(host), int(u), nil
}

func canonical(host string) string {
	if host == "localhost" {
		return "127.0.0.1"
	}
	return host
}

func join(host string, port int) Addr { return Addr(net.JoinHostPort(host, strconv.Itoa(port))) }

// listener implements net.Listener.
type listener struct {
	network *Network
	addr    Addr
	queue   chan *conn
	done    chan struct{} // closed by Close
	once    sync.Once
}

// Accept waits for the next connection. After Close it answers errors.Is(err, net.ErrClosed).
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
	default:
		select {
		case c := <-l.queue:
			return c, nil
		case <-l.done:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "mem", Addr: l.addr, Err: net.ErrClosed}
}

// Close frees the address and resets the connections not yet accepted.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		delete(l.network.listeners, l.addr)
		l.network.mu.Unlock()
		close(l.done)
		l.resetQueue()
	})
	return nil
}

func (l *listener) resetQueue() {
	for {
		select {
		case c := <-l.queue:
			_ = c.SetLinger(0)
			_ = c.Close()
		default:
			return
		}
	}
}

func (l *listener) Addr() net.Addr { return l.addr }
