package election_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/election"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
)

// A seat is one election whose peers are the test.
type seat struct {
	t    *testing.T
	self id
	e    *election.Election
	now  int64
}

// sit is the seat of a server among three voters, 1 to 3, and observer 4, after Finalize with all voters linked.
func sit(t *testing.T, self id, c election.Candidate) *seat {
	config, err := quorum.Parse(servers(3, 1))
	require.NoError(t, err)
	s := &seat{t: t, self: self, e: election.New(election.Config{Self: self, Quorum: config})}
	for i := range id(3) {
		s.link(i+1, true)
	}
	s.look(c)
	s.now = 300
	return s
}

func (s *seat) look(c election.Candidate) (out []election.Message) {
	s.e.Look(c, s.now, &out)
	return out
}

func (s *seat) link(to id, up bool) (out []election.Message) {
	s.e.Reachable(to, up, s.now, &out)
	return out
}

func (s *seat) hear(from id, state packet.State, v election.Vote) (out []election.Message) {
	s.e.Receive(from, &packet.Notification{State: state, Leader: v.Leader, Zxid: v.Zxid, Round: v.Round, PeerEpoch: v.Epoch, Version: 2}, s.now, &out)
	return out
}

// settle puts the server into the role that it has decided for.
func (s *seat) settle(v election.Vote) {
	state := packet.Following
	if s.self == v.Leader {
		state = packet.Leading
	}
	s.e.Settle(state, v)
}

func (s *seat) mustDecide(want election.Vote) {
	s.t.Helper()
	got, ok := s.e.Decision()
	require.True(s.t, ok)
	require.Equal(s.t, want, got)
}

func (s *seat) mustNotDecide() {
	s.t.Helper()
	_, ok := s.e.Decision()
	require.False(s.t, ok)
}

// A leader all agree upon, but without a link to here, is worth a wait.
func TestUnlinkedLeaderIsWaitedFor(t *testing.T) {
	s := sit(t, 1, election.Candidate{})
	best := election.Vote{Leader: 3, Round: 1}
	s.hear(3, packet.Looking, best)
	s.link(3, false)
	s.hear(2, packet.Looking, best)
	s.mustNotDecide()
	s.link(3, true)
	s.mustDecide(best)
}

// Votes of servers that are gone do not make a quorum that need not wait.
func TestUnlinkedVotesAreNoQuorumAtOnce(t *testing.T) {
	s := sit(t, 3, election.Candidate{})
	s.hear(1, packet.Looking, election.Vote{Leader: 3, Round: 1})
	s.link(1, false)
	s.link(2, false)
	s.mustNotDecide()
	var out []election.Message
	s.now = 500
	s.e.Tick(s.now, &out)
	s.mustDecide(election.Vote{Leader: 3, Round: 1})
}

// Followers that name this server make a leader of it in its round only: they may mean what it was before.
func TestLeaderByWordOfFollowers(t *testing.T) {
	for round, want := range map[int64]bool{1: true, 2: false} {
		s := sit(t, 1, election.Candidate{})
		s.hear(2, packet.Following, election.Vote{Leader: 1, Round: round})
		s.hear(3, packet.Following, election.Vote{Leader: 1, Round: round})
		_, ok := s.e.Decision()
		require.Equal(t, want, ok, "round %d", round)
	}
}

// Followers are not enough: their leader must have said itself that it leads.
func TestLeaderMustLeadItself(t *testing.T) {
	for _, c := range []struct {
		state  packet.State
		leader id
		want   bool
	}{{packet.Leading, 3, true}, {packet.Leading, 2, false}, {packet.Following, 3, false}} {
		s := sit(t, 4, election.Candidate{})
		s.hear(3, c.state, election.Vote{Leader: c.leader, Round: 5})
		s.hear(1, packet.Following, election.Vote{Leader: 3, Round: 5})
		s.hear(2, packet.Following, election.Vote{Leader: 3, Round: 5})
		_, ok := s.e.Decision()
		require.Equal(t, c.want, ok, "%v %d", c.state, c.leader)
	}
}

// Whoever still votes otherwise when the wait is over is told how it ended.
func TestDissentersAreTold(t *testing.T) {
	s := sit(t, 2, election.Candidate{Zxid: 5})
	s.hear(3, packet.Looking, election.Vote{Leader: 3, Round: 1})
	s.hear(1, packet.Looking, election.Vote{Leader: 2, Zxid: 5, Round: 1})
	s.mustNotDecide()
	s.now += 200
	var out []election.Message
	s.e.Tick(s.now, &out)
	s.mustDecide(election.Vote{Leader: 2, Zxid: 5, Round: 1})
	require.Len(t, out, 1)
	require.Equal(t, id(3), out[0].To)
	require.Equal(t, packet.Leading, out[0].Notification.State)
}

// Who has voted for a better leader since the decision is not behind the one decided for any more, until it says that it is.
func TestBehind(t *testing.T) {
	voted := election.Vote{Leader: 2, Zxid: 5, Round: 1, Epoch: 1}
	better, worse := election.Vote{Leader: 3, Zxid: 5, Round: 1, Epoch: 1}, election.Vote{Leader: 3, Zxid: 4, Round: 1, Epoch: 1}
	later, again, earlier := better, voted, better
	later.Round, again.Round, earlier.Round = 7, 7, 0
	for _, c := range []struct {
		what  string
		state packet.State
		says  election.Vote
		want  bool
	}{
		{"the same again", packet.Looking, voted, true},
		{"a better one", packet.Looking, better, false},
		{"a better one leads", packet.Following, better, false},
		{"a better one in a later round", packet.Looking, later, false},
		{"what it said in an earlier round", packet.Looking, earlier, true},
		{"a worse one, as who has not reached the leader", packet.Looking, worse, true},
		{"the same anew", packet.Looking, again, true},
		{"somebody who cannot lead", packet.Looking, election.Vote{Leader: 9, Zxid: 9, Round: 1, Epoch: 9}, true},
	} {
		for _, self := range []id{1, 2} {
			s := sit(t, self, election.Candidate{Zxid: 1, Epoch: 1})
			if self == voted.Leader {
				s = sit(t, self, election.Candidate{Zxid: voted.Zxid, Epoch: voted.Epoch})
			}
			other := 3 - self
			s.link(3, false)
			s.hear(other, packet.Looking, voted)
			s.mustDecide(voted)
			s.settle(voted)
			require.True(t, s.e.Behind(other))
			require.False(t, s.e.Behind(3), "nothing was heard of it")
			s.hear(other, c.state, c.says)
			require.Equal(t, c.want, s.e.Behind(other), "%s, said to %d", c.what, self)
			s.hear(other, packet.Following, voted)
			require.True(t, s.e.Behind(other))
		}
	}
}

// A leader of which was only heard is taken for one as long as it says nothing else.
func TestBehindUnheard(t *testing.T) {
	s := sit(t, 1, election.Candidate{})
	voted := election.Vote{Leader: 3, Zxid: 5, Round: 1}
	s.link(3, false)
	s.hear(2, packet.Looking, voted)
	s.mustNotDecide()
	s.now += 200
	s.e.Tick(s.now, new([]election.Message))
	s.mustDecide(voted)
	s.settle(voted)
	require.True(t, s.e.Behind(3))
	s.hear(3, packet.Looking, election.Vote{Leader: 2, Zxid: 6, Round: 1})
	require.False(t, s.e.Behind(3))
}

// The vote of a server that looks agrees with one in office only if it is the same in all: here the own one, which was for
// another history.
func TestLookingVotesAgreeInEverything(t *testing.T) {
	s := sit(t, 1, election.Candidate{})
	s.hear(3, packet.Looking, election.Vote{Leader: 3, Zxid: 7, Round: 1})
	s.hear(3, packet.Leading, election.Vote{Leader: 3, Zxid: 9, Round: 1})
	s.mustNotDecide()
	s.hear(3, packet.Leading, election.Vote{Leader: 3, Zxid: 7, Round: 1})
	s.mustDecide(election.Vote{Leader: 3, Zxid: 7, Round: 1})
}

// In a new round a server proposes itself again, unless it hears better, not what it had heard in an older round.
func TestNewRoundForgets(t *testing.T) {
	s := sit(t, 2, election.Candidate{})
	s.hear(3, packet.Looking, election.Vote{Leader: 3, Zxid: 7, Round: 1})
	out := s.hear(1, packet.Looking, election.Vote{Leader: 1, Round: 2})
	require.Len(t, out, 2)
	require.Equal(t, id(2), out[0].Notification.Leader)
	require.Equal(t, int64(2), out[0].Notification.Round)
}

func TestNewRoundTakesBetter(t *testing.T) {
	s := sit(t, 1, election.Candidate{})
	s.hear(3, packet.Looking, election.Vote{Leader: 3, Zxid: 7, Round: 1})
	out := s.hear(2, packet.Looking, election.Vote{Leader: 2, Zxid: 5, Round: 2})
	require.Equal(t, id(2), out[0].Notification.Leader, "better than itself, though not than what was in the round before")
}

// One that has abstained may vote later, and is then waited for as others are.
func TestAbstainerRecovers(t *testing.T) {
	s := sit(t, 2, election.Candidate{})
	s.hear(3, packet.Looking, election.Vote{Leader: 3, Zxid: -1, Round: 1})
	s.hear(3, packet.Looking, election.Vote{Leader: 3, Round: 0}) // of another round, so that it is not counted
	s.hear(1, packet.Looking, election.Vote{Leader: 2, Round: 1})
	s.mustNotDecide()
	s.hear(3, packet.Looking, election.Vote{Leader: 3, Zxid: -1, Round: 1})
	s.mustDecide(election.Vote{Leader: 2, Round: 1})
}

// Who begins to look late, in the same round, has thrown our proposal away: when its own is worse it is told again, at once, and
// when it has taken ours over no more.
func TestLateLookerIsToldAgain(t *testing.T) {
	s := sit(t, 2, election.Candidate{})
	out := s.hear(1, packet.Looking, election.Vote{Leader: 1, Round: 1})
	require.Len(t, out, 1)
	require.Equal(t, id(1), out[0].To)
	require.Equal(t, id(2), out[0].Notification.Leader)
	for _, m := range s.hear(1, packet.Looking, election.Vote{Leader: 2, Round: 1}) {
		require.NotEqual(t, packet.Looking, m.Notification.State)
	}
}

// Who looks in a round that is over is told; who has no vote tells nobody.
func TestOutdatedRound(t *testing.T) {
	s := sit(t, 2, election.Candidate{})
	out := s.hear(1, packet.Looking, election.Vote{Leader: 1, Round: 0})
	require.Len(t, out, 1)
	require.Equal(t, id(1), out[0].To)
	require.Equal(t, int64(1), out[0].Notification.Round)

	observer := sit(t, 4, election.Candidate{})
	require.Empty(t, observer.hear(1, packet.Looking, election.Vote{Leader: 1, Round: 0}))
	require.Empty(t, observer.hear(1, packet.Looking, election.Vote{Leader: 3, Round: 1}), "nor of what it has learnt")
	require.Empty(t, observer.hear(99, packet.Looking, election.Vote{Leader: 3, Round: 1}))
}

// Who joins an ensemble in office goes on from its round, and not back.
func TestRoundIsTakenOver(t *testing.T) {
	s := sit(t, 1, election.Candidate{})
	join := func(round int64) {
		s.hear(3, packet.Leading, election.Vote{Leader: 3, Round: round})
		s.hear(2, packet.Following, election.Vote{Leader: 3, Round: round})
		s.mustDecide(election.Vote{Leader: 3, Round: round})
	}
	join(40)
	require.Equal(t, int64(41), s.look(election.Candidate{})[0].Notification.Round)
	join(-1)
	require.Equal(t, int64(42), s.look(election.Candidate{})[0].Notification.Round)
}

// Once there is somebody in office it pays to ask more often.
func TestAsksSoonWhereThereIsALeader(t *testing.T) {
	s := sit(t, 1, election.Candidate{})
	for s.e.Next() < 20_000 {
		s.now = s.e.Next()
		s.e.Tick(s.now, new([]election.Message))
	}
	s.hear(2, packet.Following, election.Vote{Leader: 3, Round: 9})
	require.Equal(t, s.now+1000, s.e.Next())
	s.now += 1000
	s.e.Tick(s.now, new([]election.Message))
	require.Equal(t, s.now+1000, s.e.Next())
}

// A made-up round does not make the rounds overflow.
func TestImpossibleRound(t *testing.T) {
	s := sit(t, 1, election.Candidate{})
	require.Empty(t, s.hear(2, packet.Looking, election.Vote{Leader: 2, Round: math.MaxInt64}))
	require.Equal(t, int64(2), s.look(election.Candidate{})[0].Notification.Round)
	s.hear(3, packet.Leading, election.Vote{Leader: 3, Round: math.MaxInt64})
	s.hear(2, packet.Following, election.Vote{Leader: 3, Round: math.MaxInt64})
	s.mustNotDecide()
}

// An outsider is told of the decision of the election in which it asked, and of no later one.
func TestOutsiderIsToldOnce(t *testing.T) {
	s := sit(t, 3, election.Candidate{})
	tells := func() (told bool) {
		round := s.look(election.Candidate{})[0].Notification.Round
		s.hear(1, packet.Looking, election.Vote{Leader: 3, Round: round})
		for _, m := range s.hear(2, packet.Looking, election.Vote{Leader: 3, Round: round}) {
			told = told || m.To == 4
		}
		s.mustDecide(election.Vote{Leader: 3, Round: round})
		return told
	}
	require.False(t, tells())
	round := s.look(election.Candidate{})[0].Notification.Round
	require.Len(t, s.hear(4, packet.Looking, election.Vote{Leader: 4, Round: 1}), 1)
	s.hear(1, packet.Looking, election.Vote{Leader: 3, Round: round})
	out := s.hear(2, packet.Looking, election.Vote{Leader: 3, Round: round})
	require.Len(t, out, 1)
	require.Equal(t, id(4), out[0].To)
	require.Equal(t, packet.Leading, out[0].Notification.State)
	require.False(t, tells())
}

// Waiting for links is for the first moments of a server's life, not of each election.
func TestOnlyTheFirstElectionWaitsForLinks(t *testing.T) {
	config, err := quorum.Parse(servers(3, 0))
	require.NoError(t, err)
	s := &seat{t: t, self: 2, e: election.New(election.Config{Self: 2, Quorum: config})}
	s.look(election.Candidate{})
	s.link(1, true)
	s.hear(1, packet.Looking, election.Vote{Leader: 2, Round: 1})
	s.mustNotDecide()
	s.now = 5000
	s.look(election.Candidate{})
	s.hear(1, packet.Looking, election.Vote{Leader: 2, Round: 2})
	s.mustDecide(election.Vote{Leader: 2, Round: 2})
}
