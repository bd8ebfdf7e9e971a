package replica

import (
	"errors"
	"fmt"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/zab"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// What a server does when its tree is not what a transaction's digest says. Whoever plans a transaction foresees the tree after it.
//
// Ours foresee it exactly, so that the fault is this server's: it distrusts itself, and heals as one whose disk is damaged.
//
// Apache's leaders (PrepRequestProcessor) do not. They add up what each request changes over those that are not applied yet, and
// where that is wrong so is every digest after it, until nothing waits and they begin again from their tree. Their own servers log
// it and go on. A single difference therefore says nothing; a long row of them says that something is wrong, but not with whom.
// So the server counts, reports, and after a long row looks for the fault with itself first, without ever ceasing to be a voter: its
// log and its epochs are right whatever its tree is.
//
//	the first row    it reads its tree again from its own disk, in case that memory was wrong
//	the second one   it asks the leader for a snapshot, in case that the snapshot it began with was wrong
//	from then on     the leader must be wrong; it serves on, and reports
//
// Each of the first two costs its clients their connections and the ensemble a voter for a moment. Because it may have been for nothing,
// it is done once with each leader, whatever its epoch: elections are what false alarms must not bring about again and again. Only
// after an hour without any difference is it believed that the alarms were true, and the next will be. How long a row has to be is
// another thing for each voter, in transactions and in time, so that they do not all leave at once.

// Why a tree is not believed, or a role was left.
var (
	// ErrDiverged means that the tree after a transaction is not the tree its planner foresaw. Memory, disk or code is broken.
	ErrDiverged = errors.New("replica: the tree is not what the transaction's digest says")
	// ErrDiffers means the same where the planner, a server of Apache's, may have been wrong: the tree is read again, or asked for.
	ErrDiffers = errors.New("replica: the tree is not what an Apache leader's digests say")
)

const (
	// divergingMost is how many transactions in a row have another digest than the tree, under a leader of Apache's, when the voter with
	// the lowest id looks for the fault with itself. The next one waits for divergingMore, and a row that lasts divergingTicks longer.
	divergingMost  = 64
	divergingMore  = 16
	divergingTicks = 2
	// divergingQuiet is how long there must have been no difference before it is taken for a new one, in milliseconds.
	divergingQuiet = 60 * 60 * 1000
)

// doubts is what this server knows about differences between its tree and what was foreseen.
type doubts struct {
	apaches []int64 // epochs known to have had a leader of Apache's, from that of the tree on, ascending
	row     int     // transactions in a row whose digest was not the tree's
	since   int64   // when the row began, in milliseconds of the monotonic clock
	last    int64   // when a digest was not the tree's last
	tried   map[packet.ServerID]remedy
	reading bool // the tree is being read again
	report  Mismatch
}

// A remedy is the last thing that was done about a leader's digests.
type remedy uint8

const (
	untried remedy = iota
	reread
	replaced
)

// A Mismatch is the first of a row of transactions whose digests are not the tree's.
type Mismatch struct {
	Rows         int64 // how many such rows there were since this server started; 0: none, and nothing else is set
	Zxid         znode.Zxid
	Type         wire.Op
	Digest, Tree uint64
}

func (m *Mismatch) String() string {
	return fmt.Sprintf("zxid %v, %v, digest %x, tree %x", m.Zxid, m.Type, m.Digest, m.Tree)
}

// Mismatch is how the last row began of transactions whose digests are not the tree's.
func (r *Replica) Mismatch() Mismatch { return r.doubts.report }

// verify compares the tree with what the transaction's planner foresaw; false if the fault must be our own. What a leader of Apache's
// has planned may be applied long after it, under a leader of ours, or by ourselves who lead.
func (r *Replica) verify(x *txn.Txn, now Time) bool {
	if !x.HasDigest || r.tree.Options().NoDigest {
		return true
	}
	d := &r.doubts
	if x.Digest == r.tree.Digest() {
		d.row = 0
		return true
	}
	if now.Mono-d.last > divergingQuiet {
		clear(d.tried)
	}
	d.row, d.last = d.row+1, now.Mono
	r.tally.Mismatches++
	if d.row == 1 {
		d.since = now.Mono
		d.report = Mismatch{Rows: d.report.Rows + 1, Zxid: x.Zxid, Type: x.Type, Digest: x.Digest, Tree: r.tree.Digest()}
	}
	return r.learner != nil && !r.learner.Ours() || slices.Contains(d.apaches, int64(x.Zxid.Epoch()))
}

// noteForesight notes who plans the transactions of an epoch.
func (r *Replica) noteForesight(epoch int64) {
	d := &r.doubts
	d.apaches = slices.DeleteFunc(d.apaches, func(e int64) bool { return e < int64(r.tree.Zxid().Epoch()) || e == epoch })
	if !r.learner.Ours() {
		d.apaches = append(d.apaches, epoch)
	}
}

// diverged is what to do about a tree that must be wrong.
func (r *Replica) diverged(x *txn.Txn, now Time) error {
	err := fmt.Errorf("%w: zxid %v, %v, digest %x, tree %x", ErrDiverged, x.Zxid, x.Type, x.Digest, r.tree.Digest())
	if r.role == Standalone {
		return err
	}
	r.distrust(err, now)
	return nil
}

// patience is how long a row makes this server look for the fault with itself, in transactions and milliseconds.
func (r *Replica) patience() (row int, lasting int64) {
	before := 0
	for _, id := range r.cfg.Quorum.Voters() {
		if id < r.cfg.Self {
			before++
		}
	}
	return divergingMost + before*divergingMore, int64(before) * divergingTicks * r.cfg.Tick
}

// heal does something about a tree that may be wrong. It is called between transactions.
func (r *Replica) heal(now Time) {
	d, leader := &r.doubts, r.vote.Leader
	if d.row < divergingMost || r.learner == nil || r.learner.Ours() || !r.serving {
		return
	}
	if row, lasting := r.patience(); d.row < row || now.Mono-d.since < lasting {
		return
	}
	switch d.tried[leader] {
	case untried:
		d.note(leader, reread)
		r.closeAll()
		r.waiting = queue{} // the tree on disk has it
		d.reading = true
		r.disk(DiskOp{Kind: DiskTruncate, Zxid: r.logged, Reload: true})
		r.leave(fmt.Errorf("%w since %v: it is read again", ErrDiffers, &d.report), now)
	case reread:
		d.note(leader, replaced)
		r.uncut, r.uncutBy = zab.Uncut{Epoch: r.learner.Epoch(), Zxid: r.committed}, leader
		r.leave(fmt.Errorf("%w since %v: server %d is asked for its own", ErrDiffers, &d.report, leader), now)
	}
}

func (d *doubts) note(leader packet.ServerID, done remedy) {
	if d.tried == nil {
		d.tried = make(map[packet.ServerID]remedy)
	}
	d.tried[leader] = done
}

// errNothingToRead: the disk has no snapshot to read the tree from again.
var errNothingToRead = errors.New("there is nothing to begin from")

// readAgain takes note of a tree that has come from our own disk: it has all of the log, as at the start.
func (r *Replica) readAgain() {
	if r.doubts.reading {
		r.doubts.reading = false
		r.committed = max(r.committed, r.tree.Zxid())
		r.history.Keep(r.tree.Zxid())
	}
}
