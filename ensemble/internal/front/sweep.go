package front

import "time"

// sweep looks once a second for connections that do nothing, too slowly or too long. It ends when there are none left, or with
// Close.
func (s *Server) sweep() {
	defer s.running.Done()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		if len(s.conns) == 0 {
			s.sweeping = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		now := s.now()
		for _, c := range s.all() {
			c.sweep(now)
		}
	}
}

// sweep closes the connection if it is idle, and frees the buffers of one that is quiet. A first frame has to arrive whole, and to be
// answered, in time; later a whole request has to, so that sending a byte now and then keeps nobody connected.
func (c *Conn) sweep(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	timeout := time.Duration(c.timeout.Load())
	heard := time.Duration(c.heard.Load())
	switch c.phase {
	case greeting, connecting:
		if now-c.opened >= c.server.opts.SessionlessTimeout {
			c.close()
		}
		return
	case open:
		if c.gated {
			c.heard.Store(int64(now)) // it speaks; we do not listen
		} else if now-heard > timeout {
			c.server.opts.Log.Info("client is silent", "session", c.Session(), "remote", c.remote)
			c.close()
			return
		}
	}
	if timeout == 0 {
		timeout = c.server.opts.SessionlessTimeout
	}
	if c.writing && now-c.writeFrom > timeout {
		c.server.opts.Log.Info("client takes nothing", "session", c.Session(), "remote", c.remote, "bytes", c.queued())
		c.close()
		return
	}
	if now-heard > sweepEvery && len(c.out) == 0 && !c.busy {
		c.out, c.spare = nil, nil
	}
}
