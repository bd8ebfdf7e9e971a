// Package election finds a leader: fast leader election as Apache's servers run it (class FastLeaderElection), so that both
// can be voters of one ensemble. Each voter proposes the server with the longest history it has heard of, itself first, and
// tells the others whenever it hears of a longer one; who sees a quorum propose the same is done.
//
// An [Election] is a machine without goroutine, clock or socket. It lives as long as its server. Inputs are method calls;
// messages to be sent are appended to out; times are milliseconds of a clock that never goes back.
//
//	e.Look(election.Candidate{Zxid: last, Epoch: current}, now, &out)     // the server has no leader
//	e.Receive(from, &notification, now, &out)                             // whenever one comes, looking or not
//	e.Reachable(id, up, now, &out)                                        // whenever a link to a voter begins or ends
//	e.Tick(now, &out)                                                     // at Next
//	if vote, ok := e.Decision(); ok { ... }                               // after each of them
//	e.Settle(packet.Following, vote)                                      // once in the role, and when its epoch is known
//
// A decision is an opinion, not a fact: two servers may decide differently, and only the epoch a quorum accepts afterwards
// makes a leader. The election owes liveness, and a leader whose history is as long as that of any voter in its quorum.
//
// Apache's servers wait a fixed while after the last good vote in case a better one is on its way. Here the server is told
// which voters it is linked to, and waits only for those of them that do not agree yet (see [Config.Finalize]).
//
// An Election is for one goroutine. Two with the same inputs have the same outputs.
package election

import (
	"math"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Config is what an Election is made of. When the membership changes a new Election takes the place of the old.
type Config struct {
	Self   packet.ServerID
	Quorum *quorum.Config // not changed by anybody from now on

	// A vote is sent again after MinInterval milliseconds, then after twice as long, and so on up to MaxInterval. Who can
	// learn of a leader only by asking asks at least every fifth MinInterval. 0 means 200 and 60000.
	MinInterval, MaxInterval int64

	// Finalize is how many milliseconds a vote with a quorum behind it waits for a better one, 0 meaning 200, while a voter
	// that can be reached does not agree. When all of them agree there is no wait, save in the first Finalize milliseconds
	// of an Election's life as long as a voter has never been reached: then links are still being made.
	Finalize int64
}

// A Candidate is what a server has to offer.
type Candidate struct {
	Zxid    znode.Zxid // last one in its log, durable
	Epoch   int64      // its current epoch
	Abstain bool       // it must not vote, because what it has on disk may be less than it has promised to keep
}

// A Vote is for a leader: its last zxid and its epoch when it was proposed, and the round of the election. Higher epoch, then
// higher zxid, then higher id is better.
type Vote struct {
	Leader packet.ServerID
	Zxid   znode.Zxid
	Round  int64
	Epoch  int64
}

// A Message is a notification to be sent. When several for one server wait, only the last matters.
type Message struct {
	To           packet.ServerID
	Notification packet.Notification
}

const (
	never   = math.MaxInt64 // a time
	maxLeap = 1 << 32       // rounds so far ahead are a lie, and must not make our own overflow

	defaultMinInterval = 200
	defaultMaxInterval = 60_000
	defaultFinalize    = 200
	askingIntervals    = 5 // of MinInterval: at least so often does ask who can only ask
)

// An Election is one server's part in all elections of its life. Make it with New.
type Election struct {
	c       Config
	voters  []packet.ServerID // ascending
	isVoter map[packet.ServerID]bool
	text    string // of the configuration

	state   packet.State
	vote    Vote // looking: what is proposed; otherwise what was elected
	decided bool // the vote was elected and is not settled yet
	history bool

	round    int64
	own      Vote // what this server proposes when it has heard of nothing better; its round does not count
	abstains bool

	// Of this round: who votes what. Of this time of looking: who says it has a leader, who does not vote, which servers that
	// are no voters have asked. Nothing is kept about strangers.
	received   map[packet.ServerID]ballot
	settled    map[packet.ServerID]ballot
	abstaining map[packet.ServerID]bool
	asked      map[packet.ServerID]bool

	behind map[packet.ServerID]bool // who is for the leader that was decided for, as far as it has said

	up, seen map[packet.ServerID]bool // voters with a link now, and those that ever had one

	begun    int64 // first time of looking; never before it
	agreed   int64 // since when a quorum has proposed vote, or never
	decideAt int64
	interval int64
	resendAt int64

	answersFrom int64 // answers to servers without vote are counted from here on
	answers     int
}

// New returns an Election of a server that does not look yet.
func New(c Config) *Election {
	c.MinInterval = orDefault(c.MinInterval, defaultMinInterval)
	c.MaxInterval = max(orDefault(c.MaxInterval, defaultMaxInterval), c.MinInterval)
	c.Finalize = orDefault(c.Finalize, defaultFinalize)
	e := &Election{
		c: c, voters: c.Quorum.Voters(), isVoter: make(map[packet.ServerID]bool), text: c.Quorum.String(),
		up: make(map[packet.ServerID]bool), seen: make(map[packet.ServerID]bool), begun: never, answersFrom: never,
		asked: make(map[packet.ServerID]bool),
	}
	for _, id := range e.voters {
		e.isVoter[id] = true
	}
	e.Withdraw()
	return e
}

func orDefault(v, otherwise int64) int64 {
	if v == 0 {
		return otherwise
	}
	return v
}

// noLeader is whom a server without vote proposes as long as it has heard of nobody (class FastLeaderElection, getInitId).
const noLeader = math.MinInt64

// Look begins a new round: the server has no leader, and candidate is what it can offer. A server that is no voter offers
// nothing. Whatever was decided or settled before is forgotten.
func (e *Election) Look(candidate Candidate, now int64, out *[]Message) {
	e.state, e.decided = packet.Looking, false
	e.begun = min(e.begun, now)
	e.settled, e.abstaining = make(map[packet.ServerID]ballot), make(map[packet.ServerID]bool)
	clear(e.asked)
	voter := e.isVoter[e.c.Self]
	e.abstains = voter && candidate.Abstain
	switch {
	case !voter:
		e.own = Vote{Leader: noLeader, Zxid: math.MinInt64, Epoch: math.MinInt64}
	case candidate.Abstain:
		e.own = Vote{Leader: e.c.Self, Zxid: -1, Epoch: candidate.Epoch}
	default:
		e.own = Vote{Leader: e.c.Self, Zxid: candidate.Zxid, Epoch: candidate.Epoch}
	}
	e.enter(e.round + 1)
	e.propose(e.own)
	e.interval = e.c.MinInterval
	e.resendAt = now + e.interval
	e.broadcast(out)
	e.consider(now, out)
}

// Reachable tells that a link to a server has begun or ended. A voter just linked hears at once what is proposed.
func (e *Election) Reachable(id packet.ServerID, up bool, now int64, out *[]Message) {
	if !e.isVoter[id] || id == e.c.Self {
		return
	}
	e.up[id] = up
	e.seen[id] = e.seen[id] || up
	if e.state != packet.Looking {
		return
	}
	if up {
		e.send(id, e.notification(), out)
	}
	e.consider(now, out)
}

// Tick does what is due by now: sends the vote again, ends a wait for better ones.
func (e *Election) Tick(now int64, out *[]Message) {
	if e.state == packet.Looking {
		e.consider(now, out)
	}
	if e.state != packet.Looking || now < e.resendAt {
		return
	}
	e.interval = min(2*e.interval, e.longestInterval())
	e.resendAt = now + e.interval
	e.broadcast(out)
}

// Next is when Tick has something to do; in the far future (math.MaxInt64) when the server is not looking.
func (e *Election) Next() int64 {
	if e.state != packet.Looking {
		return never
	}
	return min(e.resendAt, e.decideAt)
}

// Decision returns the vote that was elected, from when it was until Settle or Look. The server leads if it is the vote's
// leader, otherwise it follows or observes.
func (e *Election) Decision() (Vote, bool) { return e.vote, e.decided }

// Settle keeps a vote to answer those with who look: the server is in a role (state is not Looking). Once the role has
// agreed upon its epoch it is to be called again, with a vote that has the new epoch: the answers of all servers of an ensemble
// must tell the same one, or a server that comes later cannot see that they are a quorum (ZOOKEEPER-1732).
func (e *Election) Settle(state packet.State, v Vote) {
	e.state, e.vote, e.decided = state, v, false
	e.agreed, e.decideAt, e.resendAt = never, never, never
}

// Behind reports whether a voter is for the leader that was decided for, as far as this server has been told: what it voted for led to
// the decision, or it has said since that it has the same leader, and it has not voted for a better one since. Until the role is
// established that is worth a look. A voter that heard of a better one just in time will never come to the leader, nor will a leader
// ever lead that has voted for another itself; without a look both would be waited for as long as a leader may take.
//
// One that looks again without a better one in mind counts as behind still. It may have found that the leader cannot be called, and the
// others could never elect another if that one came back as a candidate at once.
func (e *Election) Behind(voter packet.ServerID) bool { return e.behind[voter] }

// Withdraw ends the role without another: until the next Look, for which the server is not ready yet, nobody who looks is told of
// a leader by it.
func (e *Election) Withdraw() { e.Settle(packet.Observing, Vote{Leader: noLeader}) }

// History reports whether a voter has ever shown, in a vote, that the ensemble has a history: a zxid or an epoch above zero.
// A server without one of its own must then not vote as if there were none.
func (e *Election) History() bool { return e.history }

// longestInterval bounds the time between two sendings of a vote. Voters that look tell each other what changes; but nobody
// tells that a leader was found, save who is asked.
func (e *Election) longestInterval() int64 {
	if e.abstains || !e.isVoter[e.c.Self] || len(e.settled) > 0 {
		return min(askingIntervals*e.c.MinInterval, e.c.MaxInterval)
	}
	return e.c.MaxInterval
}

// enter begins a round in which nobody has voted yet.
func (e *Election) enter(round int64) {
	e.round = round
	e.received = make(map[packet.ServerID]ballot)
}

// propose makes v the proposal of this server in this round.
func (e *Election) propose(v Vote) {
	v.Round = e.round
	e.vote = v
	e.agreed, e.decideAt = never, never
	if e.isVoter[e.c.Self] && !e.abstains {
		e.received[e.c.Self] = ballot{vote: v, state: packet.Looking}
	}
}

// notification is what this server has to say.
func (e *Election) notification() packet.Notification {
	return packet.Notification{
		State: e.state, Leader: e.vote.Leader, Zxid: e.vote.Zxid, Round: e.vote.Round, PeerEpoch: e.vote.Epoch,
		Version: packet.NotificationVersion, Config: e.text,
	}
}

func (e *Election) send(to packet.ServerID, n packet.Notification, out *[]Message) {
	*out = append(*out, Message{To: to, Notification: n})
}

func (e *Election) broadcast(out *[]Message) {
	n := e.notification()
	for _, id := range e.voters {
		if id != e.c.Self {
			e.send(id, n, out)
		}
	}
}
