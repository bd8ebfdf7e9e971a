package replica

// Skip proposes that the next sequential node below path gets the number count, see [propose.Planner.Skip]; false, and nothing is
// proposed, where that refuses, or unless this server leads or stands alone. For tests.
func (r *Replica) Skip(path string, count int32, now Time) bool {
	if r.sessions == nil || !r.serving || r.exhausted() {
		return false
	}
	x, ok := r.planner.Skip(path, count, r.next(), now.Wall)
	if ok {
		r.propose(x, now)
		r.handle(now)
	}
	return ok
}
