// Package replica is a whole server without I/O: the tree, the watches, the sessions, the planner, the election and the broadcast
// composed into one machine. Requests, packets from other servers, ticks and the news that something is on disk go in; what is to
// be logged, sent, answered and told comes out. It has no goroutine, clock, socket or file; the server drives it, and so does the
// simulator.
//
// The walk of a write:
//
//	Submit    takes it in; the leader plans it against the tree and everything planned before it, anybody else sends it there
//	Ready     hands out its log record, and the packets in which it goes to the others
//	Written   says up to which zxid the log is on disk; Packets, what the others have
//	Apply     changes the tree once a transaction is committed and on disk here, and hands out the answer and the events before it
//
// Methods change a Replica and belong to one goroutine. Answer may run beside all of them but Apply, Installed and Written, which
// change the tree: whoever owns the Replica keeps readers out meanwhile. Apply takes one transaction at a time, since a read that
// stands between two writes of a connection has to run between them.
//
// # What the tree holds
//
// The log may end in transactions of which nobody knows yet whether they will be; the tree never does, once clients are served. So
// an election changes nothing for those who are connected: their reads go on, and their writes wait in one queue, in the order
// they were asked for. When there is a leader again the history says which of them were done; these are answered, and the others,
// of which it is certain by then that they never will be, are asked for again. Only a snapshot from the leader, in which
// the single transactions cannot be told apart any more, ends the connections.
//
// # Roles
//
// A server that stands alone plans and applies and has no others to ask: for it, what is on disk is committed. One of several is
// looking, following, observing or leading; roles.go has the transitions, following.go and leading.go what each does.
package replica

import (
	"sync"

	"github.com/bellwether-zk/bellwether/ensemble/internal/auth"
	"github.com/bellwether-zk/bellwether/ensemble/internal/election"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/propose"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/session"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/watch"
	"github.com/bellwether-zk/bellwether/ensemble/internal/zab"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Time is a moment by both clocks, in milliseconds: Mono never jumps and decides what is old, Wall is what nodes show.
type Time struct{ Mono, Wall int64 }

// Config is what a Replica is told once.
type Config struct {
	ServerID   uint8 // the top byte of the session ids it gives out
	Tick       int64 // milliseconds; session deadlines are rounded up to multiples of it
	MinTimeout int32 // milliseconds, shortest session timeout granted
	MaxTimeout int32 // milliseconds, longest
	Propose    propose.Config
	Auth       *auth.Registry
	Sweep      Sweep
	MaxWatches int  // paths one connection may watch; 0: any number
	Eager      bool // check ACLs before planning

	// Space is where the records of a server that stands alone go. It is asked before a request gets its place in the order;
	// what there is no space for is refused. Nil, and in an ensemble: nobody is asked, and a full disk ends the server.
	Space Space

	// Watches guards the table of watches, which answers change and which therefore several goroutines would change at once.
	// Nil: nobody answers concurrently.
	Watches sync.Locker

	// Quorum is the ensemble; nil for a server that stands alone. What follows counts only with it.
	Quorum *quorum.Config
	Self   packet.ServerID
	// InitLimit is how many ticks connecting to a leader and taking over its state may take, SyncLimit after how many a silent
	// peer counts as lost.
	InitLimit, SyncLimit int
	// Hold is for how long, in milliseconds, clients are kept while there is no leader, before their connections are closed.
	Hold int64
	// CounterStart is the counter behind which the transactions of an epoch begin, 0 but in tests of the counter's end.
	CounterStart uint32
}

// Space is a log that can promise room; *store.Store is one.
type Space interface {
	Reserve(bytes int64) error
	Release(bytes int64)
}

// Boot is what a server starts from.
type Boot struct {
	Tree    *tree.Tree   // has everything that is in the log
	History *zab.History // the last of it; nil for a server that stands alone

	AcceptedEpoch, CurrentEpoch int64

	// Untrusted says why what is on this server's disk must not count in any quorum: it is damaged, or it is empty although the
	// server has served before. Nil: it may.
	Untrusted error

	Served bool // this server has noted already that it has served
}

// A Role is what a server is at the moment.
type Role uint8

// Roles.
const (
	Standalone Role = iota
	Looking
	Following
	Observing
	Leading
)

var roleNames = [...]string{"standalone", "looking", "follower", "observer", "leader"}

func (r Role) String() string { return roleNames[r] }

// A Replica is one server's state and the rules by which it changes.
type Replica struct {
	cfg      Config
	auth     *auth.Registry
	tree     *tree.Tree
	watches  *watch.Table
	watching sync.Locker
	ids      *session.IDs
	ready    Ready
	spare    []*Records // empty, to be filled again
	writing  int        // disk operations asked for and not reported
	result   tree.Result

	// The order of things: applied ≤ committed and applied ≤ synced ≤ logged, where applied is tree.Zxid().
	logged    znode.Zxid // last given to the log
	synced    znode.Zxid // last on disk here
	committed znode.Zxid // last known to be committed
	waiting   queue      // in the log or on the way there, not applied

	clients clients
	local   locals

	// Of a leader, or a server that stands alone.
	sessions *session.Tracker
	planner  *propose.Planner
	sweeper  sweeper
	due      []request.Request                   // what time asks for and the log had no space for
	moved    map[znode.SessionID]packet.ServerID // which other server a session speaks through
	answers  []answer                            // owed to learners
	early    []early                             // what they asked before we were ready
	full     error                               // why the log has no space

	// Of a member of an ensemble.
	role        Role
	serving     bool       // this role is established, and the tree has all that came before it
	established bool       // a quorum, or the leader, says so
	agreed      znode.Zxid // of a learner that is not established: committed once it is
	serveFrom   znode.Zxid // what the tree must have before
	since       int64      // when serving ended, in milliseconds of the monotonic clock
	held        bool       // clients are still kept
	election    *election.Election
	silent      packet.ServerID // the leader that was given up for its silence, until it is heard of again; 0: none
	vote        election.Vote   // by which the present role was taken
	left        error           // why the last role ended
	leader      *zab.Leader
	learner     *zab.Learner
	history     *zab.History
	epochs      epochs
	untrusted   error           // this server's data counts in no quorum
	served      bool            // noted on disk
	links       []packet.LinkID // of this role
	dialing     bool            // the leader
	installing  bool            // a snapshot is on its way
	installed   bool            // a snapshot has been taken over, and not yet all that follows it
	replacing   bool            // it is about to replace what is on disk
	partial     bool            // that is not to be believed without what follows
	fuzzy       bool            // what is on disk is partial, and what follows is not all there
	uncut       zab.Uncut       // where uncutBy told us to cut the log, and it could not be done; as long as what is on disk is the same
	uncutBy     packet.ServerID
	askedEpoch  int64 // in which the leader was last asked for anything
	heard       bool  // it has said something
	tries       int
	vain        int // roles in a row, under vainBy, that ended before they served
	vainBy      packet.ServerID
	elected     int64  // when the leader was elected that is dialled
	retryAt     int64  // when to dial again
	confirmed   uint64 // the last round of the leader's that a quorum has confirmed
	effects     []zab.Effect
	handling    bool // they are being handled
	roleOver    bool // the role ended while they were
	touched     map[znode.SessionID]int32
	doubts      doubts
	tally       tally
}

type epochs struct{ accepted, current int64 }

// New returns a Replica that goes on from what boot says. Ephemerals whose session is gone (Apache's server deletes them
// without a transaction when it starts) are ended by transactions once it leads or stands alone.
func New(cfg Config, boot Boot, now Time) *Replica {
	t := boot.Tree
	r := &Replica{
		cfg: cfg, auth: cfg.Auth, tree: t, watches: watch.New(), watching: cfg.Watches,
		ids:    session.NewIDs(cfg.ServerID, now.Wall),
		logged: t.Zxid(), synced: t.Zxid(), committed: t.Zxid(),
		clients: newClients(), held: true, since: now.Mono,
		history: boot.History, untrusted: boot.Untrusted, epochs: epochs{boot.AcceptedEpoch, boot.CurrentEpoch},
		served: boot.Served, touched: make(map[znode.SessionID]int32),
	}
	if r.watching == nil {
		r.watching = noLock{}
	}
	if cfg.Quorum == nil {
		r.lead(now)
		r.serving = true
		return r
	}
	r.publish(now)
	r.history.Keep(t.Zxid())
	r.role = Looking
	r.tally.looks(now)
	r.election = election.New(election.Config{Self: cfg.Self, Quorum: cfg.Quorum})
	r.look(now)
	return r
}

type noLock struct{}

func (noLock) Lock()   {}
func (noLock) Unlock() {}

// Tree is the tree, to be read while Apply does not run.
func (r *Replica) Tree() *tree.Tree { return r.tree }

// Sessions is who is alive, nil unless this server leads or stands alone.
func (r *Replica) Sessions() *session.Tracker { return r.sessions }

// Watches is who watches what; whoever looks holds the lock of Config.Watches.
func (r *Replica) Watches() *watch.Table { return r.watches }

// Zxid is the last one that went to the log.
func (r *Replica) Zxid() znode.Zxid { return r.logged }

// Waiting is how many transactions are in the log, or on the way there, and not applied.
func (r *Replica) Waiting() int { return r.waiting.len() }

// Role is what this server is, and whether it serves clients as such.
func (r *Replica) Role() (role Role, serving bool) { return r.role, r.serving }

// Established reports whether this server's role is: as a leader, that a quorum has its history; as a learner, that the leader has said
// so. It serves once its tree has that history, too.
func (r *Replica) Established() bool { return r.established || r.role == Standalone }

// Epochs are the epoch this server has promised itself to last, and that of the history it has.
func (r *Replica) Epochs() (accepted, current int64) { return r.epochs.accepted, r.epochs.current }

// Untrusted is why this server's data counts in no quorum for now, nil if it does.
func (r *Replica) Untrusted() error { return r.untrusted }

// Leader is the server that leads as far as this one knows, 0 if it knows of none.
func (r *Replica) Leader() packet.ServerID {
	if r.role == Standalone || r.role == Looking {
		return 0
	}
	return r.vote.Leader
}

// queue is the transactions between the log and the tree, oldest first, in reused room.
type queue struct {
	list []txn.Txn
	head int
}

func (q *queue) len() int { return len(q.list) - q.head }

func (q *queue) push(x txn.Txn) *txn.Txn {
	if len(q.list) == cap(q.list) && q.head > len(q.list)/2 {
		n := copy(q.list, q.list[q.head:])
		clear(q.list[n:])
		q.list, q.head = q.list[:n], 0
	}
	q.list = append(q.list, x)
	return &q.list[len(q.list)-1]
}

func (q *queue) first() *txn.Txn { return &q.list[q.head] }

// keepQueue is for how many transactions an empty queue keeps room.
const keepQueue = 4096

func (q *queue) pop() {
	q.list[q.head] = txn.Txn{}
	if q.head++; q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
		if cap(q.list) > keepQueue {
			q.list = nil
		}
	}
}

// truncate forgets what comes after zxid.
func (q *queue) truncate(zxid znode.Zxid) {
	n := len(q.list)
	for n > q.head && q.list[n-1].Zxid > zxid {
		n--
	}
	clear(q.list[n:])
	if q.list = q.list[:n]; q.head == n {
		q.list, q.head = q.list[:0], 0
	}
}

// lastOf is the zxid of the session's last transaction in the queue, 0 if there is none.
func (q *queue) lastOf(id znode.SessionID) znode.Zxid {
	for i := len(q.list) - 1; i >= q.head; i-- {
		if q.list[i].Session == id {
			return q.list[i].Zxid
		}
	}
	return 0
}
