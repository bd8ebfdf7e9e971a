package server

import "github.com/bellwether-zk/bellwether/ensemble/internal/znode"

// What time would do some day, done now, for tests.

// Expire ends a session as if nothing had been heard of it for its timeout; false if this server does not lead, nor stand alone, or there
// is no such session. Its end is proposed on return.
func (s *Server) Expire(id znode.SessionID) (found bool) {
	s.inCore(func() {
		now := s.now()
		if s.replica.Sessions() == nil || !s.replica.Established() {
			return
		}
		s.collect() // nobody else may end for it
		if found = s.replica.Sessions().SetTimeout(id, -2*int32(s.cfg.Tick.Milliseconds()), now.Mono); found {
			s.replica.Tick(now)
		}
	})
	return found
}

// Sweep removes the containers and TTL nodes whose time has come, without waiting until it is time to look for them. It returns how
// many they are and, once their removal is proposed, the zxid up to which that is; ok is false if this server does not lead, nor stand
// alone.
func (s *Server) Sweep() (n int, zxid znode.Zxid, ok bool) {
	s.inCore(func() {
		now := s.now()
		if ok = s.replica.Sessions() != nil; !ok {
			return
		}
		s.collect()
		n = s.replica.Sweep(now)
		s.replica.Tick(now)
		zxid = s.replica.Zxid()
	})
	return n, zxid, ok
}

// Resign ends the server's role as leader or learner, as if it had lost touch with the others: it looks for a leader.
func (s *Server) Resign() {
	s.inCore(func() { s.replica.Resign(s.now()) })
}

// Logged is the zxid of the last transaction given to the log: proposed, on a leader, whoever has heard of it.
func (s *Server) Logged() (zxid znode.Zxid) {
	s.inCore(func() { zxid = s.replica.Zxid() })
	return zxid
}

// SkipNumbers makes count the number of the next sequential node below path, see [replica.Replica.Skip]. zxid is that of the transaction.
func (s *Server) SkipNumbers(path string, count int32) (zxid znode.Zxid, ok bool) {
	s.inCore(func() {
		ok = s.replica.Skip(path, count, s.now())
		zxid = s.replica.Zxid()
	})
	return zxid, ok
}

// SetVersion writes data to the node at path and makes version theirs, see [replica.Replica.SetVersion]. zxid is that of the transaction.
func (s *Server) SetVersion(path string, data []byte, version int32) (zxid znode.Zxid, ok bool) {
	s.inCore(func() {
		ok = s.replica.SetVersion(path, data, version, s.now())
		zxid = s.replica.Zxid()
	})
	return zxid, ok
}
