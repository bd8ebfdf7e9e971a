package admin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/admin"
)

const servers = "server.1=127.0.0.1:33101:33201:participant\nserver.2=127.0.0.1:33102:33202:participant\n" +
	"server.3=127.0.0.1:33103:33203:participant\nserver.4=127.0.0.1:33104:33204:observer\nversion=0"

// member is a member of an ensemble that serves.
func member(mode, state string) *still {
	s := serving()
	s.Summary.Mode = mode
	s.ensemble = &admin.Ensemble{State: state, Voters: 3, Leader: 3, Elections: 2, Election: admin.Timing{Count: 2, Sum: 10, Min: 3, Max: 7}}
	s.membership = &admin.Membership{InitLimit: 10, SyncLimit: 5, ElectionPort: 33203, QuorumPort: 33103, Config: servers}
	return s
}

func leader() *still {
	s := member("leader", "leading - broadcast")
	s.ensemble.Leads = &admin.Leads{
		Uptime: 91237 * time.Millisecond, Epoch: 2, Learners: 3, SyncedFollowers: 2, SyncedObservers: 1, PendingSyncs: 4,
		LastProposalSize: 192, SmallestProposalSize: 36, GreatestProposalSize: 195,
	}
	s.ensemble.Proposals, s.ensemble.Commits = 266, 265
	return s
}

func learner(mode, state string) *still {
	s := member(mode, state)
	s.learns = true
	s.ensemble.ReceivedProposals, s.ensemble.ReceivedCommits, s.ensemble.DigestMismatches = 31, 30, 7
	return s
}

// All of it as servers of release 3.9.5 print it.
func TestTextsOfALeader(t *testing.T) {
	w := admin.NewWords(source{leader()}, []string{"*"})
	require.Equal(t, "Zookeeper version: 3.9.4-x, built on 11/21/2026 00:00 UTC\nLatency min/avg/max: 0/0.4167/9\nReceived: 31\nSent: 30\n"+
		"Connections: 2\nOutstanding: 0\nZxid: 0x200000000\nMode: leader\nNode count: 8\nProposal sizes last/min/max: 192/36/195\n", w.Answer("srvr", 0))
	require.True(t, strings.HasSuffix(w.Answer("stat", 0), "Mode: leader\nNode count: 8\nProposal sizes last/min/max: 192/36/195\n"))
	require.Equal(t, "clientPort=2181\nserverId=1\ninitLimit=10\nsyncLimit=5\nelectionAlg=3\nelectionPort=33203\nquorumPort=33103\npeerType=0\n"+
		"membership: \n"+servers, w.Answer("conf", 0))
	require.True(t, strings.HasPrefix(w.Answer("dump", 0), "SessionTracker dump:\nSession Sets (1)/(1):\n"))
	requireLines(t, w.Answer("mntr", 0), "server_state leader", "peer_state leading - broadcast", "quorum_size 3", "learners 3", "synced_followers 2",
		"synced_non_voting_followers 0", "synced_observers 1", "pending_syncs 4", "leader_uptime 91237", "last_proposal_size 192",
		"min_proposal_size 36", "max_proposal_size 195", "proposal_count 266", "commit_count 265", "looking_count 2",
		"avg_election_time 5.0", "min_election_time 3", "max_election_time 7", "cnt_election_time 2", "sum_election_time 10")
}

// A leader shows its epoch before there is a transaction in it, and the last transaction afterwards.
func TestZxidOfALeader(t *testing.T) {
	s := leader()
	w := admin.NewWords(source{s}, nil)
	s.Summary.Zxid = 0x10000002a
	require.Contains(t, w.Answer("srvr", 0), "\nZxid: 0x200000000\n")
	s.Summary.Zxid = 0x200000003
	require.Contains(t, w.Answer("srvr", 0), "\nZxid: 0x200000003\n")
}

func TestTextsOfALearner(t *testing.T) {
	s := learner("follower", "following - broadcast")
	w := admin.NewWords(source{s}, []string{"*"})
	require.True(t, strings.HasSuffix(w.Answer("srvr", 0), "Zxid: 0x10000002a\nMode: follower\nNode count: 8\n"))
	require.True(t, strings.HasPrefix(w.Answer("dump", 0), "SessionTracker dump:\nGlobal Sessions(2):\n0x100001f2c4b0001\t10000ms\n"+
		"0x200001f2c4b0000\t4000ms\nephemeral nodes dump:\nSessions with Ephemerals (1):\n"))
	text := w.Answer("mntr", 0)
	requireLines(t, text, "server_state follower", "peer_state following - broadcast", "quorum_size 3",
		"learner_proposal_received_count 31", "learner_commit_received_count 30", "proposal_count 0", "digest_mismatches_count 7")
	for _, leaders := range []string{"zk_learners", "zk_synced", "zk_pending_syncs", "zk_leader_uptime", "_proposal_size", "zk_observer_master_id"} {
		require.NotContains(t, text, leaders)
	}

	s = learner("observer", "observing - broadcast")
	s.membership.Observer = true
	w = admin.NewWords(source{s}, []string{"*"})
	requireLines(t, w.Answer("mntr", 0), "server_state observer", "observer_master_id 3")
	require.Contains(t, w.Answer("conf", 0), "\npeerType=1\nmembership: \n")
}

// A server that looks for a leader has nothing to tell but that it is alive.
func TestTextsWithoutALeader(t *testing.T) {
	s := member("looking", "looking - election")
	s.Summary.Serving = false
	w := admin.NewWords(source{s}, []string{"*"})
	for _, word := range []string{"srvr", "stat", "mntr", "conf", "cons", "dump", "wchs", "dirs"} {
		require.Equal(t, "This ZooKeeper instance is not currently serving requests\n", w.Answer(word, 0), word)
	}
	require.Equal(t, "imok", w.Answer("ruok", 0))
	require.Equal(t, "null", w.Answer("isro", 0))
}

func requireLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		key, value, _ := strings.Cut(l, " ")
		require.Contains(t, text, "\nzk_"+key+"\t"+value+"\n")
	}
}
