package front

import (
	"net"
	"net/netip"

	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
)

// admit starts to serve a connection, or resets it when there are too many already, as Apache's server does.
func (s *Server) admit(nc net.Conn, local bool) {
	if t, ok := nc.(*net.TCPConn); ok {
		_ = t.SetKeepAlive(s.opts.KeepAlive) // on failure the connection is as good as ever
	}
	c := newConn(s, nc)
	c.local = local
	s.mu.Lock()
	full := s.opts.MaxConns > 0 && len(s.conns) >= s.opts.MaxConns
	crowded := !local && s.opts.MaxPerHost > 0 && s.hosts[c.remote.Addr()] >= s.opts.MaxPerHost
	if s.closed || full || crowded {
		s.rejected.Add(1)
		s.mu.Unlock()
		reset(nc)
		return
	}
	s.conns[c] = true
	if !local {
		s.hosts[c.remote.Addr()]++
	}
	s.running.Add(1)
	if !s.sweeping {
		s.sweeping = true
		s.running.Add(1)
		go s.sweep() // ends when there are no connections left, or with Close
	}
	s.mu.Unlock()
	go c.run() // ends when the connection does
}

// remove forgets a connection that is gone, all but what it has done.
func (s *Server) remove(c *Conn) {
	total := c.takeTotal()
	s.mu.Lock()
	delete(s.conns, c)
	switch host := c.remote.Addr(); {
	case c.local:
	case s.hosts[host] > 1:
		s.hosts[host]--
	default:
		delete(s.hosts, host)
	}
	s.past.merge(&total)
	s.mu.Unlock()
	s.running.Done()
}

// reset closes a connection so that its peer sees a reset, and nothing of it lingers in the kernel.
func reset(nc net.Conn) {
	if l, ok := nc.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = nc.Close()
}

func (s *Server) nextID() request.ConnID { return request.ConnID(s.lastID.Add(1)) }

// remoteOf is the peer's address. It is not valid where the transport has none; such connections count as one host.
func remoteOf(nc net.Conn) netip.AddrPort {
	a := nc.RemoteAddr()
	if a == nil {
		return netip.AddrPort{}
	}
	if t, ok := a.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
