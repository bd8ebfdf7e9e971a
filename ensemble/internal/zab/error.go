package zab

import (
	"errors"
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Why a link is closed, a leader abdicates, a learner abandons. They arrive wrapped in an [*Error].
var (
	ErrUnexpected     = errors.New("packet that has no place here")
	ErrMalformed      = errors.New("malformed packet")
	ErrProtocol       = errors.New("protocol too old")
	ErrIdentity       = errors.New("impossible server id")
	ErrConfigVersion  = errors.New("configuration newer than ours")
	ErrReconfigured   = errors.New("the ensemble was reconfigured")
	ErrReplaced       = errors.New("replaced by a new connection of the same server")
	ErrCrowded        = errors.New("too many learners")
	ErrEpoch          = errors.New("epoch is lower than one promised before")
	ErrOutbid         = errors.New("a member has promised a higher epoch")
	ErrEpochLimit     = errors.New("no higher epoch exists")
	ErrAhead          = errors.New("learner is ahead of the leader")
	ErrTimeout        = errors.New("nothing heard in time")
	ErrInitLimit      = errors.New("no quorum in initLimit")
	ErrQuorumLost     = errors.New("lost touch with the quorum")
	ErrSlowLog        = errors.New("own log cannot keep the pace")
	ErrUnacknowledged = errors.New("proposal not acknowledged in time")
	ErrAck            = errors.New("acknowledgement of what was never proposed")
	ErrGap            = errors.New("transaction out of order")
	ErrCommit         = errors.New("commit out of order")
	ErrTruncate       = errors.New("what is on disk cannot be cut there")
	ErrInstall        = errors.New("snapshot is not the one that was announced")
	ErrOverflow       = errors.New("more than can be held")
	ErrForgotten      = errors.New("history no longer remembered")
)

// Why a proposal is refused.
var (
	ErrNotEstablished = errors.New("leadership is not established")
	ErrZxid           = errors.New("not the next zxid")
)

// An Error is one of the errors above, and where it happened. Find it with errors.As, and its kind with errors.Is.
type Error struct {
	Server packet.ServerID // the server at the other end, or ourselves; meaningless while the other end has not said who it is
	Zxid   znode.Zxid      // of the packet or the transaction in question; 0 if there is none
	Kind   error           // one of the variables
	Detail string          // what else is known, may be empty
}

func (e *Error) Error() string {
	s := fmt.Sprintf("zab: server %d, zxid %v: %v", e.Server, e.Zxid, e.Kind)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap is the kind.
func (e *Error) Unwrap() error { return e.Kind }
