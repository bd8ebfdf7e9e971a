package proxy

import (
	"context"
	"net"
	"sync"

	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
)

// Options say how a proxy reaches servers. The zero value works, and nil means the zero value.
type Options struct {
	// Dial opens a connection to a server. It must return when ctx ends. Default: a plain net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// A Proxy is what stands between some clients and some servers. Faults concern all its connections, those of later too.
type Proxy struct {
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	ctx    context.Context // ends with the proxy
	cancel context.CancelFunc
	works  sync.WaitGroup // listeners and connections

	mu        sync.Mutex
	closed    bool
	faults    []*Fault // that have not ended, the oldest first; some have struck as often as they may and only hold what they hold
	conns     map[*conn]struct{}
	listeners []net.Listener
}

// New makes a proxy that has neither connections nor faults.
func New(opts *Options) *Proxy {
	p := &Proxy{dial: new(net.Dialer).DialContext, conns: make(map[*conn]struct{})}
	if opts != nil && opts.Dial != nil {
		p.dial = opts.Dial
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Dial connects to a server through the proxy: where a client in this process takes a dialer, this is one. It fails as Options.Dial does,
// and with net.ErrClosed when the proxy is closed. The connection it returns is in memory.
func (p *Proxy) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	server, err := p.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	client, inner := memnet.Pipe(memnet.Addr(server.LocalAddr().String()), memnet.Addr(server.RemoteAddr().String()))
	if !p.carry(inner, server) {
		_ = client.Close()
		return nil, &net.OpError{Op: "dial", Net: network, Addr: server.RemoteAddr(), Err: net.ErrClosed}
	}
	return client, nil
}

// Listen lets clients of any process connect to a server through the proxy: at the address, a free port of 127.0.0.1, that it returns,
// until the proxy is closed. server is "host:port"; whether anybody is there a client finds out: its connection breaks if not.
func (p *Proxy) Listen(server string) (addr string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = l.Close()
		return "", &net.OpError{Op: "listen", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
	p.listeners = append(p.listeners, l)
	p.works.Go(func() { p.accept(l, server) }) // ends when Close closes l
	return l.Addr().String(), nil
}

// accept connects all who come to a server.
func (p *Proxy) accept(l net.Listener, server string) {
	var dials sync.WaitGroup
	defer dials.Wait()
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		dials.Go(func() { // ends when dialling does, with p.ctx in the end
			conn, err := p.dial(p.ctx, "tcp", server)
			if err != nil {
				reset(client)
				return
			}
			p.carry(client, conn)
		})
	}
}

// carry connects both, and reports whether it does: if the proxy is closed it closes them.
func (p *Proxy) carry(client, server net.Conn) bool {
	c := newConn(p, client, server)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.abort()
		return false
	}
	p.conns[c] = struct{}{}
	p.works.Go(func() { // ends when both ends of the connection are closed, or it is aborted
		c.run()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, c)
	})
	return true
}

// Drop breaks all connections at both ends at once, with what is on its way in them. Clients may connect again.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.abort()
	}
}

// Heal ends all faults, also those that have not struck yet.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		f.end()
	}
	p.faults = nil
}

// Close breaks all connections, lets nobody connect any more, and returns when nothing of the proxy runs. It may be called more than
// once, and its error is always nil.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	for _, l := range p.listeners {
		_ = l.Close()
	}
	for c := range p.conns {
		c.abort()
	}
	p.mu.Unlock()
	p.cancel()
	p.works.Wait()
	return nil
}
