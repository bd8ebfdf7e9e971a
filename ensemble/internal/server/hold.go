package server

import (
	"sync"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Hold stops the core, as if the operating system did not let it run, until release is called or the server is closed: nothing is
// proposed, acknowledged, applied or expired meanwhile, and no time passes for it. Other goroutines go on: reads are answered, a write to
// the disk ends, links notice deadlines. Hold returns when the core stands still, or the server ends.
func (s *Server) Hold() (release func()) {
	held, free := make(chan struct{}), make(chan struct{})
	select {
	case s.ask <- func() {
		close(held)
		select {
		case <-free:
		case <-s.stopping:
		}
	}:
		select {
		case <-held:
		case <-s.stopping: // while the turn before ends
		}
	case <-s.stopping:
	}
	return sync.OnceFunc(func() { close(free) })
}

// Zxid is that of the last transaction applied.
func (s *Server) Zxid() znode.Zxid {
	s.tree.RLock()
	defer s.tree.RUnlock()
	return s.replica.Tree().Zxid()
}
