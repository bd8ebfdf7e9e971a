package admin

import (
	"fmt"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// An Ensemble is what a member of one has to say about it.
type Ensemble struct {
	State  string // of the member, as mntr shows it: "following - broadcast"
	Voters int    // in the configuration
	Leader int64  // the number of the leader's server, 0 if it is not known
	Leads  *Leads // nil unless this server leads

	// What has happened since the server started.
	Elections                                int64 // times it began to look for a leader
	Election, FollowerSync, ObserverSync     Timing
	Unavailable, LeaderUnavailable           Timing
	Proposals, Commits                       int64 // of its own, as leader
	ReceivedProposals, ReceivedCommits, Sent int64 // Sent: snapshots, to learners
	DigestMismatches                         int64 // transactions after which the tree was not what their digests say
}

// Leads is what a leader has to say.
type Leads struct {
	Uptime                                                       time.Duration
	Epoch                                                        int64
	Learners, SyncedFollowers, SyncedNonVoters, SyncedObservers  int
	PendingSyncs                                                 int
	LastProposalSize, SmallestProposalSize, GreatestProposalSize int64 // bytes; -1 before the first
}

// zxid is the last transaction as the word srvr shows it: a leader shows the beginning of its epoch before there is one in it.
func (e *Ensemble) zxid(last znode.Zxid) znode.Zxid {
	if e == nil || e.Leads == nil {
		return last
	}
	return max(last, znode.MakeZxid(uint32(e.Leads.Epoch), 0))
}

// proposals is what srvr and stat of a leader end with.
func (e *Ensemble) proposals() string {
	if e == nil || e.Leads == nil {
		return ""
	}
	l := e.Leads
	return fmt.Sprintf("Proposal sizes last/min/max: %d/%d/%d\n", l.LastProposalSize, l.SmallestProposalSize, l.GreatestProposalSize)
}

// A Membership is what conf says about the ensemble.
type Membership struct {
	InitLimit, SyncLimit     int
	ElectionPort, QuorumPort int
	Observer                 bool
	Config                   string // the servers, a line each, and the version
}

// text is the end of conf. The number of the algorithm, of which there is one, and the space behind "membership:" are Apache's, and
// so is that the last line has no end.
func (m *Membership) text() string {
	peer := 0
	if m.Observer {
		peer = 1
	}
	return fmt.Sprintf("initLimit=%d\nsyncLimit=%d\nelectionAlg=3\nelectionPort=%d\nquorumPort=%d\npeerType=%d\nmembership: \n%s",
		m.InitLimit, m.SyncLimit, m.ElectionPort, m.QuorumPort, peer, m.Config)
}

// monitorEnsemble is what mntr says of a member of an ensemble only.
func monitorEnsemble(b *strings.Builder, e *Ensemble) {
	if e == nil {
		return
	}
	line(b, "peer_state", "%s", e.State)
	line(b, "quorum_size", "%d", e.Voters)
	if strings.HasPrefix(e.State, "observing") {
		line(b, "observer_master_id", "%d", e.Leader)
	}
	if l := e.Leads; l != nil {
		for _, g := range []gauge{
			{"learners", int64(l.Learners)}, {"synced_followers", int64(l.SyncedFollowers)},
			{"synced_non_voting_followers", int64(l.SyncedNonVoters)}, {"synced_observers", int64(l.SyncedObservers)},
			{"pending_syncs", int64(l.PendingSyncs)}, {"leader_uptime", l.Uptime.Milliseconds()},
			{"last_proposal_size", l.LastProposalSize}, {"min_proposal_size", l.SmallestProposalSize},
			{"max_proposal_size", l.GreatestProposalSize},
		} {
			line(b, g.key, "%d", g.v)
		}
	}
	for _, g := range []gauge{
		{"looking_count", e.Elections}, {"proposal_count", e.Proposals}, {"commit_count", e.Commits},
		{"learner_proposal_received_count", e.ReceivedProposals}, {"learner_commit_received_count", e.ReceivedCommits}, {"snap_count", e.Sent},
		{"digest_mismatches_count", e.DigestMismatches},
	} {
		line(b, g.key, "%d", g.v)
	}
	timing(b, "election_time", e.Election)
	timing(b, "follower_sync_time", e.FollowerSync)
	timing(b, "observer_sync_time", e.ObserverSync)
	timing(b, "unavailable_time", e.Unavailable)
	timing(b, "leader_unavailable_time", e.LeaderUnavailable)
}
