package ensembletest

import (
	"context"
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/inside"
	"github.com/bellwether-zk/bellwether/ensemble/internal/server"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// lastZxid is the highest counter of an epoch: the one behind it would count as the next epoch, and no leader gives it away.
const lastZxid = 1<<32 - 2

// SetSequence makes next, between 1 and 2³¹-1, the number that the next sequential node below path gets, as if as many had been made
// there before. It only goes forward. One ordinary transaction does it, on all servers: watchers of path's children see one come and
// go. On return the leader has applied it.
//
// After 2147483647 comes -2147483648, eleven characters: who sorts such names as text has them in the wrong order. (That is what
// Apache documents. Its servers of 3.9 use 2147483647 once more and refuse, because that node is there.)
func (e *Ensemble) SetSequence(ctx context.Context, path string, next int32) error {
	e.mustBelong()
	if next <= 0 {
		return fmt.Errorf("ensembletest: sequence %d: not between 1 and 2147483647", next)
	}
	return e.atOnce(ctx, "the sequence of "+path, func(srv *server.Server) (znode.Zxid, error) {
		zxid, ok := srv.SkipNumbers(path, next)
		if !ok {
			return 0, fmt.Errorf("ensembletest: sequence %d below %s: there is no such node that can have children, or its sequence is there or further already", next, path)
		}
		return zxid, nil
	})
}

// SetVersion writes data to the node at path and makes version the version of its data, as if it had been written so often. One ordinary
// transaction does it, on all servers: whoever watches the node sees a write. On return the leader has applied it.
//
// After 2147483647 comes -2147483648, and after -2 comes -1, which to a request means any version: who asks for the version that was
// read then overwrites what was written since. (Apache's servers of 3.9 are no different; see ZOOKEEPER-4743 for later ones.)
func (e *Ensemble) SetVersion(ctx context.Context, path string, data []byte, version int32) error {
	e.mustBelong()
	return e.atOnce(ctx, "the version of "+path, func(srv *server.Server) (znode.Zxid, error) {
		zxid, ok := srv.SetVersion(path, data, version)
		if !ok {
			return 0, fmt.Errorf("ensembletest: version %d of %s: there is no such node", version, path)
		}
		return zxid, nil
	})
}

// atOnce has the leader propose something, and waits until it has applied it.
func (e *Ensemble) atOnce(ctx context.Context, what string, propose func(srv *server.Server) (znode.Zxid, error)) error {
	leader := e.Leader()
	if leader == nil {
		return ErrNoLeader
	}
	srv := leader.now()
	if srv == nil {
		return ErrNoLeader
	}
	zxid, err := propose(inside.Server(srv))
	if err != nil {
		return err
	}
	return e.wait(ctx, func() string {
		if leader.Zxid() < int64(zxid) {
			return fmt.Sprintf("%s is proposed and not applied: %s", what, e.describe())
		}
		return ""
	})
}
