package ensembletest

import (
	"context"
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/inside"
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
	leader := e.Leader()
	if leader == nil {
		return ErrNoLeader
	}
	srv := leader.now()
	if srv == nil {
		return ErrNoLeader
	}
	if next <= 0 {
		return fmt.Errorf("ensembletest: sequence %d: not between 1 and 2147483647", next)
	}
	zxid, ok := inside.Server(srv).SkipNumbers(path, next)
	if !ok {
		return fmt.Errorf("ensembletest: sequence %d below %s: there is no such node that can have children, or its sequence is there or further already", next, path)
	}
	return e.wait(ctx, func() string {
		if leader.Zxid() < int64(zxid) {
			return fmt.Sprintf("the sequence of %s is proposed and not applied: %s", path, e.describe())
		}
		return ""
	})
}
