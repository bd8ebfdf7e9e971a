package replica

import "github.com/bellwether-zk/bellwether/ensemble/internal/txn"

// Skip proposes that the next sequential node below path gets the number count, see [propose.Planner.Skip]; false, and nothing is
// proposed, where that refuses, or unless this server leads or stands alone. For tests.
func (r *Replica) Skip(path string, count int32, now Time) bool {
	if r.sessions == nil || !r.serving || r.exhausted() {
		return false
	}
	x, ok := r.planner.Skip(path, count, r.next(), now.Wall)
	return r.skip(x, ok, now)
}

// SetVersion proposes that data are written to the node at path and become that version, see [propose.Planner.SetVersion]; false as for Skip.
func (r *Replica) SetVersion(path string, data []byte, version int32, now Time) bool {
	if r.sessions == nil || !r.serving || r.exhausted() {
		return false
	}
	x, ok := r.planner.SetVersion(path, data, version, r.next(), now.Wall)
	return r.skip(x, ok, now)
}

// skip proposes what no request asks for, if it could be planned.
func (r *Replica) skip(x txn.Txn, planned bool, now Time) bool {
	if planned {
		r.propose(x, now)
		r.handle(now)
	}
	return planned
}
