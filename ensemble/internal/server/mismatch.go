package server

// noteMismatch tells the operator that the tree is not what transactions' digests say, once a row of them. Under a leader of Apache's that
// may mean nothing; the replica knows what to do about it, and the next lines about this server's role tell what that was.
func (s *Server) noteMismatch() {
	m := s.replica.Mismatch()
	if m.Rows == s.mismatches {
		return
	}
	s.mismatches = m.Rows
	s.log.Warn("the tree is not what a transaction's digest says", "server", s.cfg.ID, "zxid", m.Zxid, "type", m.Type.String(),
		"digest", m.Digest, "tree", m.Tree, "leader", int64(s.replica.Leader()), "rows", m.Rows)
}
