package server

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/zab"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A RoleChange is what a member of an ensemble has become.
type RoleChange struct {
	Role            replica.Role
	Phase           zab.Phase
	Leader          packet.ServerID // 0: none is known
	Accepted, Epoch int64           // the epoch promised, and that of the history
	Zxid            znode.Zxid      // the last in the log
	Cause           error           // looking: why the last role ended, nil after the start
	Untrusted       error           // why its data counts in no quorum, nil if it does
}

// Serves reports whether clients are served at the moment.
func (s *Server) Serves() bool {
	select {
	case <-s.stopping:
		return false
	default:
		return s.mode.Load()&1 == 1
	}
}

// announce tells what this server has become, if it is not what it was: the operator, when role or serving has changed, and whoever
// listens, of every phase on the way there too.
func (s *Server) announce(role replica.Role, serving, changed bool) {
	if s.peers == nil {
		return
	}
	phase, elections := s.replica.Phase(), s.replica.Elections()
	if !changed && phase == s.phase && elections == s.elections {
		return
	}
	c := RoleChange{Role: replica.Looking, Phase: zab.Election, Zxid: s.replica.Zxid(), Cause: s.replica.Left(), Untrusted: s.replica.Untrusted()}
	c.Accepted, c.Epoch = s.replica.Epochs()
	if elections != s.elections && role != replica.Looking { // it was over at once
		s.tell(&c)
		s.logRole(&c, false)
	}
	if role != replica.Looking {
		c.Role, c.Phase, c.Leader, c.Cause = role, phase, s.replica.Leader(), nil
	}
	s.tell(&c)
	if changed || elections != s.elections {
		s.logRole(&c, serving)
	}
	s.phase, s.elections = phase, elections
}

func (s *Server) tell(c *RoleChange) {
	if s.cfg.RoleChanged != nil {
		s.cfg.RoleChanged(*c)
	}
}

func (s *Server) logRole(c *RoleChange, serving bool) {
	args := []any{
		"server", s.cfg.ID, "role", c.Role.String(), "serving", serving, "leader", int64(c.Leader),
		"acceptedEpoch", c.Accepted, "epoch", c.Epoch, "zxid", c.Zxid,
	}
	if c.Role == replica.Looking {
		args = append(args, "cause", c.Cause)
	}
	if c.Untrusted != nil {
		args = append(args, "untrusted", c.Untrusted)
	}
	s.log.Info("role", args...)
}
