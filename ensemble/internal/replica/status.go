package replica

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/zab"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// publish writes the configuration this server has been given into its tree, where clients look it up: the tree may have come from
// another server, or from before the configuration was changed.
func (r *Replica) publish(now Time) {
	if q := r.cfg.Quorum; q != nil {
		r.tree.SetConfig(q.String(), znode.Zxid(q.Version), now.Wall)
	}
}

// Phase is how far this server has come on the way to its present role: looking for a leader is the first, serving the last. It
// stays in Synchronization until its tree has all that came before it serves.
func (r *Replica) Phase() zab.Phase {
	switch {
	case r.serving:
		return zab.Broadcast
	case r.role == Looking:
		return zab.Election
	case r.leader != nil:
		return min(r.leader.Phase(), zab.Synchronization)
	case r.learner != nil:
		return min(r.learner.Phase(), zab.Synchronization)
	}
	return zab.Discovery
}

// Elections is how often this server has begun to look for a leader.
func (r *Replica) Elections() int64 { return r.tally.Elections }

// A Status is what a member of an ensemble can tell about its part in it.
type Status struct {
	Phase     zab.Phase
	Since     int64               // when it began to serve as what it is, in milliseconds of the monotonic clock; meaningless before
	Learners  []zab.LearnerStatus // of a leader: who learns from it
	Syncs     int                 // of a leader: how many wait to be confirmed
	Proposals Sizes               // of a leader
	Counts    Counts
}

// Status is how this server is doing. The learners are appended to b.
func (r *Replica) Status(b []zab.LearnerStatus) Status {
	s := Status{Phase: r.Phase(), Since: r.tally.servingSince, Learners: b, Proposals: r.tally.sizes(), Counts: r.tally.Counts}
	if r.leader == nil {
		return s
	}
	s.Learners = r.leader.Learners(b)
	for i := range r.answers {
		if r.answers[i].packet.Type == packet.TypeSync {
			s.Syncs++
		}
	}
	for i := r.local.head; i < r.local.sent; i++ {
		if e := &r.local.list[i]; e.Op == wire.OpSync && !r.confirmedSync(e) {
			s.Syncs++
		}
	}
	return s
}

// ResetStatus forgets the sizes of proposals, which begin anew. The counts go on.
func (r *Replica) ResetStatus() { r.tally.proposed, r.tally.proposals = false, Sizes{} }

// Sizes are lengths of proposals in bytes; -1 as long as there were none.
type Sizes struct{ Last, Min, Max int64 }

// Counts is what a member of an ensemble has been through since it started. It counts from zero in every run.
type Counts struct {
	Elections int64     // times it began to look for a leader
	Election  Durations // from then until it took a role
	Sync      Durations // of a learner: from taking the role until it served
	Absence   Durations // from the start, or the end of serving, until it served again
	Reign     Durations // the same where it came to lead

	Proposed, Committed int64 // transactions, as leader
	Received, Informed  int64 // proposals that came from a leader, and transactions it has said are committed
	Snapshots           int64 // sent to learners
	Mismatches          int64 // transactions after which the tree was not what their digests say
}

// Durations sum up how long something took each time, in milliseconds.
type Durations struct{ Count, Sum, Min, Max int64 }

func (d *Durations) add(ms int64) {
	if d.Count == 0 || ms < d.Min {
		d.Min = ms
	}
	d.Count, d.Sum, d.Max = d.Count+1, d.Sum+ms, max(d.Max, ms)
}

// A tally counts what happens to a Replica.
type tally struct {
	Counts
	lookingSince, roleSince, servingSince int64
	proposed                              bool
	proposals                             Sizes // if proposed
}

func (t *tally) sizes() Sizes {
	if !t.proposed {
		return Sizes{-1, -1, -1}
	}
	return t.proposals
}

// looks notes that this server has begun to look for a leader.
func (t *tally) looks(now Time) {
	t.Elections++
	t.lookingSince = now.Mono
}

// takes notes that it has taken a role.
func (t *tally) takes(now Time) {
	t.Election.add(now.Mono - t.lookingSince)
	t.roleSince = now.Mono
}

// serves notes that it serves in a role, and did not since.
func (t *tally) serves(role Role, since int64, now Time) {
	t.servingSince = now.Mono
	t.Absence.add(now.Mono - since)
	if role == Leading {
		t.Reign.add(now.Mono - since)
		return
	}
	t.Sync.add(now.Mono - t.roleSince)
}

// proposes notes a proposal.
func (t *tally) proposes(size int) {
	t.Proposed++
	n := int64(size)
	if !t.proposed {
		t.proposed, t.proposals = true, Sizes{n, n, n}
		return
	}
	t.proposals = Sizes{Last: n, Min: min(t.proposals.Min, n), Max: max(t.proposals.Max, n)}
}
