package judge

import (
	"bytes"
	"fmt"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// Invariants are told of every step of every server at the moment it is taken, and say at once which of them must not be:
//
//	A1  at most one established leader per epoch; epochs on disk never fall; accepted ≥ current ≥ that of the last logged zxid
//	A2  one zxid, one transaction; what any two servers call committed is one history
//	A3  zxids rise without gaps, in logs and in trees
//	A4  whoever proposes leads, and had all committed history before
//	A5  what is committed is on the disks of a quorum; nothing is counted or applied that is not on the server's own disk
//	A6  after a transaction every server's tree has the digest the transaction says
//	A7  whoever owns an ephemeral is open; a closed session commits nothing
//	A8  on each connection zxids never fall, and an event comes before what shows it
//	A9  every queue is within its bound
//	A10 no client's ping is answered for long after another leader than the server's own has taken over
//
// The one idea is that all logs together are a tree of records. A record stands behind the same record in every log it is in,
// since its leader put it there; so a log is one pointer to its last record, a truncation moves that pointer up, and to commit
// a record is to make all above it the one history for ever. In [History] that history is Txns.
//
// What to tell, and when, stands at each method. All of them may be called in any order a server can take steps in; a server
// is its myid, 0 to 63. A violation is kept, see [Invariants.Violations]; what follows it is not to be trusted.
type Invariants struct {
	h       *History
	rules   Rules
	list    []Violation
	records map[znode.Zxid]*record
	root    *record          // before the first
	top     *record          // the last committed
	leaders map[int64]int    // by epoch, who was established
	reigns  []reign          // the same, in order of time
	saved   map[int64]uint64 // by epoch, who has ever saved it as its current one
	servers map[int]*member
	conns   map[uint64]*stream
	open    map[znode.SessionID]map[string]bool // committed as open, with its ephemerals
	owner   map[string]znode.SessionID

	changes int // of leadership: how often one was established after the first
}

// A record is one transaction in somebody's log.
type record struct {
	zxid     znode.Zxid
	payload  []byte
	before   *record
	durable  uint64 // servers that have ever had it on disk, in the log or within a snapshot
	index    int    // place in Txns; -1: not committed
	leader   int
	proposed Moment
	digest   uint64 // after it, as its transaction or else the first server said
	digested bool
}

// A member is one server as far as the Invariants know it.
type member struct {
	id                int
	running           bool
	last              *record // in its log, or in the snapshot behind which its log begins
	synced            *record // up to here it is on disk; above or at last
	tree              *record // the last its tree has
	accepted, current int64
	serving           bool
	leads             int64    // epoch it was established in; -1: none
	toward            *record  // where a truncation or an installation under way will lead; nil: none
	installing        bool     // that is an installation
	shut              *record  // what it had on disk when it last believed its disk; nil: it does
	shutEpochs        [2]int64 // likewise, accepted and current, and what it has saved since
	shutToward        *record  // where a truncation would have led that was under way then; nil: none was
	doubts            bool     // it believes nothing of what it has on disk
	lost              bool     // its disk was damaged or emptied, so that it may have less than it had
}

// A reign is an epoch whose leader was established.
type reign struct {
	epoch int64
	since clock.Time
}

// A stream is what was sent on one connection.
type stream struct{ reply, event znode.Zxid }

// NewInvariants returns the Invariants of an ensemble with empty disks, which write the ground truth into h.
func NewInvariants(h *History, rules Rules) *Invariants {
	rules.fill()
	root := &record{index: -1, durable: ^uint64(0), digested: true, digest: NewModel(rules.Extended).Digest()}
	return &Invariants{
		h: h, rules: rules, root: root, top: root, records: map[znode.Zxid]*record{0: root}, leaders: map[int64]int{},
		saved: map[int64]uint64{}, servers: map[int]*member{}, conns: map[uint64]*stream{},
		open: map[znode.SessionID]map[string]bool{}, owner: map[string]znode.SessionID{},
	}
}

// Violations are all that were found, oldest first. The engine looks after each step, or after each event it handles, and ends
// the run when there is one.
func (v *Invariants) Violations() []Violation { return v.list }

// LeaderChanges is how often leadership was established after the first time.
func (v *Invariants) LeaderChanges() int { return v.changes }

// Committed is the last committed zxid.
func (v *Invariants) Committed() znode.Zxid { return v.top.zxid }

func (v *Invariants) fail(now clock.Time, check, format string, args ...any) {
	v.list = append(v.list, Violation{Check: check, At: now, Text: fmt.Sprintf(format, args...)})
}

func (v *Invariants) server(id int) *member {
	s := v.servers[id]
	if s == nil {
		s = &member{id: id, last: v.root, synced: v.root, tree: v.root, leads: -1}
		v.servers[id] = s
	}
	return s
}

// Boot is what a server finds on its disk when it starts.
type Boot struct {
	Accepted, Current int64
	Last              znode.Zxid // of its log, or of its newest snapshot if that is newer
	Untrusted         bool       // it knows that its disk is damaged or was emptied: it may have forgotten anything
}

// Start says that a server has started and read its disk (recovery is over). Its tree is told by [Invariants.Load].
//
// What it had synced must be there (P1), except after [Invariants.Damage].
func (v *Invariants) Start(now clock.Time, server int, b Boot) {
	s := v.server(server)
	s.running, s.serving, s.leads = true, false, -1
	if s.shut != nil && !b.Untrusted { // it believes its disk again, and so has what it had
		s.last, s.synced = s.shut, s.shut
		s.accepted, s.current = s.shutEpochs[0], s.shutEpochs[1]
	}
	r := v.find(b.Last)
	forgiven := s.lost && (b.Untrusted || !v.rules.voter(server)) || s.halfway(r)
	switch {
	case r == nil:
		v.fail(now, "A2", "server %d starts with a log that ends at %v, which nobody ever proposed", server, b.Last)
		return
	case !r.onChain(s.last) && s.shut == nil && !forgiven:
		v.fail(now, "A5", "server %d starts with a log that ends at %v; before it ended at %v, which does not have that behind it", server, b.Last, s.last.zxid)
	case !s.synced.onChain(r) && !forgiven:
		v.fail(now, "A5", "server %d starts with a log that ends at %v although it had synced up to %v", server, b.Last, s.synced.zxid)
	case (b.Accepted < s.accepted || b.Current < s.current) && !forgiven:
		v.fail(now, "A1", "server %d starts with epochs %d and %d (accepted, current) after it had saved %d and %d",
			server, b.Accepted, b.Current, s.accepted, s.current)
	}
	switch {
	case !b.Untrusted:
		s.shut, s.shutToward = nil, nil
	case s.shut == nil:
		s.shut, s.shutEpochs = s.synced, [2]int64{s.accepted, s.current}
		if !s.installing {
			s.shutToward = s.toward
		}
	}
	s.last, s.synced, s.tree = r, r, v.root
	s.accepted, s.current, s.lost, s.toward = b.Accepted, b.Current, s.lost && b.Untrusted, nil
	v.mark(s, r)
}

// halfway reports whether a log that ends with r is what a truncation or an installation may leave that was under way when the
// server stopped: a log cut anywhere on the way, or the snapshot.
func (s *member) halfway(r *record) bool {
	cut := s.shutToward
	switch {
	case r == nil:
		return false
	case s.toward == nil:
	case !s.installing:
		cut = s.toward
	case r == s.toward:
		return true
	}
	return cut != nil && cut.onChain(r) && r.onChain(s.last)
}

// onChain reports whether r stands in the log that ends with end.
func (r *record) onChain(end *record) bool {
	for end != nil && end.zxid > r.zxid && r.before != nil {
		if r.index >= 0 && end.index >= 0 { // all committed records are one chain
			return r.index <= end.index
		}
		end = end.before
	}
	return end == r || r.before == nil
}

func (v *Invariants) find(zxid znode.Zxid) *record { return v.records[zxid] }

// mark notes that s has everything up to r on disk. What is committed needs no noting.
func (v *Invariants) mark(s *member, r *record) {
	for ; r.index < 0 && r != v.root && r.durable&bit(s.id) == 0; r = r.before {
		r.durable |= bit(s.id)
	}
}

func (r *record) isDurable(server int) bool { return r.durable&bit(server) != 0 }

// Stop says that a server is gone, be it killed, crashed or stopped. What it had not synced may or may not be there next time.
func (v *Invariants) Stop(_ clock.Time, server int) {
	s := v.server(server)
	s.running, s.serving, s.leads = false, false, -1
}

// Damage says that something was done to a server's disk that a crash does not do: bits flipped, files gone, disk emptied. Next
// time it starts it may have forgotten something, if it says so ([Boot.Untrusted]).
func (v *Invariants) Damage(server int) { v.server(server).lost = true }

// AcceptEpoch says that a server has the accepted epoch on disk.
func (v *Invariants) AcceptEpoch(now clock.Time, server int, epoch int64) {
	s := v.server(server)
	if epoch < s.accepted {
		v.fail(now, "A1", "server %d accepts epoch %d after %d", server, epoch, s.accepted)
	}
	s.accepted = epoch
	s.shutEpochs[0] = max(s.shutEpochs[0], epoch)
}

// SaveEpoch says that a server has the current epoch on disk.
func (v *Invariants) SaveEpoch(now clock.Time, server int, epoch int64) {
	s := v.server(server)
	switch {
	case epoch < s.current:
		v.fail(now, "A1", "server %d makes %d its current epoch after %d", server, epoch, s.current)
	case epoch > s.accepted:
		v.fail(now, "A1", "server %d makes %d its current epoch, having accepted only %d", server, epoch, s.accepted)
	case epoch < s.accepted:
		v.fail(now, "A1", "server %d makes %d its current epoch, having promised %d", server, epoch, s.accepted)
	case epoch < int64(s.last.zxid.Epoch()):
		v.fail(now, "A1", "server %d makes %d its current epoch, with %v in its log", server, epoch, s.last.zxid)
	case !s.history(epoch).onChain(s.synced):
		v.fail(now, "A5", "server %d makes %d its current epoch before its history is on disk: synced up to %v, logged up to %v",
			server, epoch, s.synced.zxid, s.last.zxid)
	}
	s.current = epoch
	s.shutEpochs[1] = max(s.shutEpochs[1], epoch)
	v.saved[epoch] |= bit(server)
}

// Vote says that a server that looks for a leader proposes one whose log ends with zxid; -1: it has no vote to give. Who does not
// believe its disk has none until a snapshot has replaced what is there: it may have forgotten what it has acknowledged.
func (v *Invariants) Vote(now clock.Time, server int, zxid znode.Zxid) {
	if s := v.server(server); zxid >= 0 && s.shut != nil && v.rules.voter(server) {
		v.fail(now, "A5", "server %d votes, for a leader at %v, although it does not believe its disk", server, zxid)
	}
}

// history is the last record in s's log that is older than an epoch.
func (s *member) history(epoch int64) *record {
	r := s.last
	for r.before != nil && int64(r.zxid.Epoch()) >= epoch {
		r = r.before
	}
	return r
}

// Logged says that a server gives a record to its log. The payload is kept.
func (v *Invariants) Logged(now clock.Time, server int, zxid znode.Zxid, payload []byte) {
	s := v.server(server)
	r := v.find(zxid)
	if r == nil {
		r = v.propose(now, s, zxid, payload)
	}
	switch {
	case !bytes.Equal(r.payload, payload):
		v.fail(now, "A2", "server %d logs at %v something else than server %d proposed", server, zxid, r.leader)
	case r.before != s.last:
		v.fail(now, "A3", "server %d logs %v behind %v; server %d proposed it behind %v", server, zxid, s.last.zxid, r.leader, r.before.zxid)
	case int64(zxid.Epoch()) > s.accepted:
		v.fail(now, "A1", "server %d logs %v, having accepted only epoch %d", server, zxid, s.accepted)
	}
	s.last = r
}

// propose is the first log a record enters: its leader's.
func (v *Invariants) propose(now clock.Time, s *member, zxid znode.Zxid, payload []byte) *record {
	r := &record{zxid: zxid, payload: payload, before: s.last, index: -1, leader: s.id, proposed: v.h.moment(now)}
	v.records[zxid] = r
	before := s.last.zxid
	next := zxid == before+1 && before.Counter() != 1<<32-1
	opens := zxid.Epoch() > before.Epoch() && (zxid.Counter() == 1 || zxid.Counter() == v.rules.FirstCounter)
	switch {
	case s.leads != int64(zxid.Epoch()):
		v.fail(now, "A4", "server %d proposes %v without being the established leader of that epoch", s.id, zxid)
	case !next && !opens && before != 0:
		v.fail(now, "A3", "server %d proposes %v behind %v", s.id, zxid, before)
	case !v.top.onChain(r) && v.top.zxid.Epoch() <= zxid.Epoch(): // a leader that was deposed and has not heard of it may say what it likes
		v.fail(now, "A4", "server %d proposes %v without having the committed %v before it", s.id, zxid, v.top.zxid)
	}
	if x, err := txn.Decode(payload); err != nil {
		v.fail(now, "A2", "server %d proposes at %v what is no transaction: %v", s.id, zxid, err)
	} else {
		if x.HasDigest {
			r.digest, r.digested = x.Digest, true
		}
		if x.Type == wire.OpCloseSession {
			v.h.Closes = append(v.h.Closes, Closing{Session: x.Session, Zxid: zxid, Cxid: x.Cxid, Proposed: r.proposed})
		}
	}
	return r
}

// Synced says that a server's log is on disk up to and including zxid.
func (v *Invariants) Synced(now clock.Time, server int, zxid znode.Zxid) {
	s := v.server(server)
	r := v.find(zxid)
	if r == nil || !r.onChain(s.last) {
		v.fail(now, "A5", "server %d says it has synced %v; its log ends at %v and does not have that", server, zxid, s.last.zxid)
		return
	}
	if r.zxid > s.synced.zxid {
		s.synced = r
		v.mark(s, r)
	}
}

// Truncating says that a server sets about cutting its log behind zxid. Until [Invariants.Truncated] a crash may leave it cut
// anywhere on the way.
func (v *Invariants) Truncating(now clock.Time, server int, zxid znode.Zxid) {
	s := v.server(server)
	r := v.find(zxid)
	switch {
	case r == nil || !r.onChain(s.last):
		v.fail(now, "A2", "server %d truncates its log behind %v, which it does not have; it ends at %v", server, zxid, s.last.zxid)
		return
	case s.last.commonWith(v.top).zxid > r.zxid && !v.heldWithout(s, s.last.commonWith(v.top)):
		v.fail(now, "A2", "server %d truncates its log behind %v and loses what is committed, up to %v", server, zxid, s.last.commonWith(v.top).zxid)
	}
	s.toward, s.installing = r, false
}

// heldWithout reports whether a record is on the disks of a quorum also without a server that gives it up for a while, as does one
// that comes back to its leader before the leader knows that the record is committed. What was damaged is not the protocol's fault.
func (v *Invariants) heldWithout(without *member, r *record) bool {
	var held uint64
	for id, s := range v.servers {
		if s != without && (s.lost || s.shut != nil || r.onChain(s.synced)) {
			held |= bit(id)
		}
	}
	return v.rules.quorum(held)
}

// commonWith is the last record that stands in the logs that end with r and with q.
func (r *record) commonWith(q *record) *record {
	for r != q {
		if r.index >= 0 && q.index >= 0 {
			if r.index < q.index {
				return r
			}
			return q
		}
		if r.zxid > q.zxid {
			r = r.before
		} else {
			q = q.before
		}
	}
	return r
}

// Truncated says that a server's log is cut where [Invariants.Truncating] said, durably.
func (v *Invariants) Truncated(_ clock.Time, server int) {
	s := v.server(server)
	if s.toward == nil {
		return
	}
	s.last, s.toward = s.toward, nil
	if s.synced.zxid > s.last.zxid {
		s.synced = s.last
	}
}

// Installing says that a server sets about making a snapshot from its leader its own, behind which an empty log begins.
func (v *Invariants) Installing(now clock.Time, server int, zxid znode.Zxid) {
	s := v.server(server)
	r := v.find(zxid)
	if r == nil {
		v.fail(now, "A2", "server %d installs a snapshot at %v, which nobody ever proposed", server, zxid)
		return
	}
	if lost := s.last.commonWith(v.top); !lost.onChain(r) && !s.doubts && !v.heldWithout(s, lost) {
		v.fail(now, "A2", "server %d installs a snapshot at %v and loses what is committed, up to %v", server, zxid, lost.zxid)
	}
	s.toward, s.installing = r, true
}

// Doubt says that a server does not believe its disk, whatever it has there, and counts in no quorum until a snapshot has replaced it.
func (v *Invariants) Doubt(server int) { v.server(server).doubts = true }

// Installed says that the snapshot [Invariants.Installing] told of is on disk, durably.
func (v *Invariants) Installed(_ clock.Time, server int) {
	s := v.server(server)
	if s.toward == nil {
		return
	}
	s.last, s.synced, s.toward, s.lost, s.shut, s.shutToward, s.doubts = s.toward, s.toward, nil, false, nil, nil, false
	v.mark(s, s.last)
}
