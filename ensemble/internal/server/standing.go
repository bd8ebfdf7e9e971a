package server

import (
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/admin"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
)

// What four-letter words tell about the place of this server among others.

func (v view) Membership() *admin.Membership {
	e := v.s.cfg.Ensemble
	if e == nil {
		return nil
	}
	own, _ := e.Quorum.Member(e.Self)
	return &admin.Membership{
		InitLimit: e.InitLimit, SyncLimit: e.SyncLimit, Observer: own.Observer,
		ElectionPort: own.Addrs[0].ElectionPort, QuorumPort: own.Addrs[0].QuorumPort, Config: e.Quorum.String(),
	}
}

func (v view) Ensemble() *admin.Ensemble {
	if v.s.cfg.Ensemble == nil {
		return nil
	}
	var out *admin.Ensemble
	v.s.inCore(func() { out = v.ensemble() })
	return out
}

// states is how mntr begins to say what a member is.
var states = map[replica.Role]string{
	replica.Looking: "looking", replica.Following: "following", replica.Observing: "observing", replica.Leading: "leading",
}

// ensemble is for the core.
func (v view) ensemble() *admin.Ensemble {
	r := v.s.replica
	st := r.Status(nil)
	role, _ := r.Role()
	c := &st.Counts
	e := &admin.Ensemble{
		State: states[role] + " - " + st.Phase.String(), Voters: len(v.s.cfg.Ensemble.Quorum.Voters()), Leader: int64(r.Leader()),
		Elections: c.Elections, Election: admin.Timing(c.Election), Unavailable: admin.Timing(c.Absence), LeaderUnavailable: admin.Timing(c.Reign),
		Proposals: c.Proposed, Commits: c.Committed, ReceivedCommits: c.Informed, Sent: c.Snapshots,
		DigestMismatches: c.Mismatches,
	}
	if own, _ := v.s.cfg.Ensemble.Quorum.Member(v.s.cfg.Ensemble.Self); own.Observer {
		e.ObserverSync = admin.Timing(c.Sync)
	} else {
		e.FollowerSync = admin.Timing(c.Sync)
		e.ReceivedProposals = c.Received // an observer is informed of proposal and commit at once, which counts as a commit
	}
	if role == replica.Leading {
		e.Leads = v.leads(&st)
	}
	return e
}

func (v view) leads(st *replica.Status) *admin.Leads {
	_, epoch := v.s.replica.Epochs()
	l := &admin.Leads{
		Uptime: time.Duration(v.s.now().Mono-st.Since) * time.Millisecond, Epoch: epoch, Learners: len(st.Learners), PendingSyncs: st.Syncs,
		LastProposalSize: st.Proposals.Last, SmallestProposalSize: st.Proposals.Min, GreatestProposalSize: st.Proposals.Max,
	}
	for i := range st.Learners {
		switch f := &st.Learners[i]; {
		case !f.Synced:
		case f.Observer:
			l.SyncedObservers++
		case f.Voter:
			l.SyncedFollowers++
		default:
			l.SyncedNonVoters++
		}
	}
	return l
}
