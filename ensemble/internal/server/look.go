package server

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/admin"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/watch"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// View is the server as its four-letter words see it.
func (s *Server) View() admin.Source { return view{s} }

// Look shows the tree while it holds still. look must be short: clients wait.
func (s *Server) Look(look func(*tree.Tree)) {
	view{s}.held(func() { look(s.replica.Tree()) })
}

// A Watch is a session that watches a path through this server, in one or several ways.
type Watch struct {
	Session znode.SessionID
	Path    string
	Kinds   watch.Kind
}

// Watches are all watches, sorted by path. One whose connection is about to be forgotten is left out.
func (s *Server) Watches() (out []Watch) {
	s.watching.Lock()
	defer s.watching.Unlock()
	for w := range s.replica.Watches().All() {
		if c := s.connByID(w.Conn); c != nil {
			out = append(out, Watch{Session: c.Session(), Path: w.Path, Kinds: w.Kinds})
		}
	}
	return out
}
