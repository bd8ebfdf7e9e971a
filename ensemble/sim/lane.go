package sim

import (
	"errors"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/image"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/store"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/plan"
)

// A lane is what the store's goroutine has to do, one thing after the other; each takes its time and happens at the end of it. A
// crash may come in between.
type lane struct {
	queue    []job
	busy     bool
	doing    job
	withheld []replica.DiskOp
	since    int // transactions since the last snapshot
	snapAt   int
	settling int
}

// A job is one thing to be done with the store.
type job struct {
	op    replica.DiskOp // if it is one
	isOp  bool
	bytes int
	do    func() error // all of it
	quiet bool         // the core has been told of it already
	then  func()       // afterwards, if all went well
}

// A finished operation is one the core is to be told of.
type finished struct {
	op          replica.DiskOp
	tree        *tree.Tree
	unreachable error // why it could not be done
}

// enqueue hands operations over, as package server does.
func (l *life) enqueue(ops []replica.DiskOp) {
	for i := range ops {
		op := ops[i]
		if op.Kind == replica.DiskAppend {
			l.since += len(op.Records.List)
			for _, r := range op.Records.List {
				l.inv.Logged(l.world.now, int(l.id), r.Zxid, r.Payload)
			}
		}
		if op.Kind == replica.DiskTruncate && l.dump.writing() || len(l.withheld) > 0 {
			l.dump.interrupt()
			l.withheld = append(l.withheld, op)
			continue
		}
		l.add(l.jobOf(op))
	}
}

// release hands over what was withheld, once no snapshot is being written any more.
func (l *life) release() {
	if len(l.withheld) == 0 || l.dump.writing() {
		return
	}
	ops := l.withheld
	l.withheld = nil
	for _, op := range ops {
		l.add(l.jobOf(op))
	}
}

// add lets a job wait for its turn.
func (l *life) add(j job) {
	if j.isOp {
		j = l.sabotage(j)
	}
	l.queue = append(l.queue, j)
	l.next()
}

// batchMost is how many groups share a sync.
const batchMost = 64

// next begins what is first in the lane, if nothing is under way.
func (l *life) next() {
	if l.busy || l.over || len(l.queue) == 0 {
		return
	}
	n := 0
	for n < min(len(l.queue), batchMost) && l.queue[n].isOp && l.queue[n].op.Kind == replica.DiskAppend {
		n++
	}
	jobs := append([]job(nil), l.queue[:max(n, 1)]...)
	l.queue = l.queue[len(jobs):]
	if n > 0 {
		l.doing = l.writing(jobs)
	} else {
		l.doing = jobs[0]
	}
	l.busy = true
	l.world.after(l.fsync(l.doing.bytes), func() {
		if !l.over {
			l.later(l.carryOut)
		}
	})
}

// carryOut is the end of what is under way.
func (l *life) carryOut() {
	if l.over {
		return
	}
	if l.stallTill > l.world.now { // it hangs in the middle
		l.world.at(l.stallTill, func() {
			if !l.over {
				l.later(l.carryOut)
			}
		})
		return
	}
	j := l.doing
	err := j.do()
	l.busy = false
	if err != nil || l.fs.Crashed() {
		l.fail(err)
		return
	}
	if j.then != nil {
		j.then()
	}
	l.next()
	l.settleStore()
}

// settleAfter is how long the log has to be quiet before the store is asked to put its notes in order.
const settleAfter = clock.Second

func (l *life) settleStore() {
	if l.busy || l.over {
		return
	}
	l.settling++
	mine := l.settling
	l.world.after(settleAfter, func() {
		if l.over || l.busy || l.settling != mine || len(l.queue) > 0 {
			return
		}
		l.later(func() { l.add(job{do: l.st.Settle}) })
	})
}

// done leaves word for the core.
func (l *life) done(f finished) {
	l.in.done = append(l.in.done, f)
	l.kick()
}

// completed tells the replica what is done.
func (l *life) completed(now replica.Time) {
	l.release()
	done := l.in.done
	l.in.done = nil
	for i := range done {
		f := &done[i]
		if f.unreachable != nil {
			damage := f.unreachable
			if !errors.Is(damage, disk.ErrDamaged) {
				damage = nil
			}
			l.world.say("server %d: cannot cut its log: %v", l.id, f.unreachable)
			l.r.Unreachable(&f.op, damage, now)
			continue
		}
		l.r.Written(&f.op, f.tree, now)
		if f.tree != nil {
			l.inv.Rest(l.world.now, int(l.id))
			l.inv.Load(l.world.now, int(l.id), f.tree.Zxid(), f.tree.Digest())
		}
	}
}

// writing is the job that writes groups of records with one sync.
func (l *life) writing(jobs []job) job {
	var records []txnlog.Record
	j := job{}
	for i := range jobs {
		for _, r := range jobs[i].op.Records.List {
			records = append(records, txnlog.Record{Zxid: r.Zxid, Payload: r.Payload})
		}
		jobs[i].op.Zxid = records[len(records)-1].Zxid
		j.bytes += jobs[i].bytes
	}
	var last znode.Zxid
	if end := len(records) - 1; l.rarely(DropRecord, 300) && end > 0 {
		last, records = records[end].Zxid, records[:end]
	}
	j.do = func() (err error) {
		err = l.st.Append(records)
		switch {
		case err != nil:
		case l.has(NeverSync):
			last = records[len(records)-1].Zxid
		default:
			var synced znode.Zxid
			synced, err = l.st.Sync()
			last = max(last, synced)
		}
		return err
	}
	j.then = func() {
		l.inv.Synced(l.world.now, int(l.id), last)
		for i := range jobs {
			if !jobs[i].quiet {
				l.done(finished{op: jobs[i].op})
			}
		}
	}
	return j
}

// jobOf is the job that does an operation.
func (l *life) jobOf(op replica.DiskOp) job {
	j := job{op: op, isOp: true, bytes: 100}
	id := int(l.id)
	f := finished{op: op}
	j.then = func() { l.done(f) }
	switch op.Kind {
	case replica.DiskAppend:
		j.bytes = 0
		for _, r := range op.Records.List {
			j.bytes += len(r.Payload)
		}
	case replica.DiskAcceptedEpoch:
		j.do = func() error { return l.st.SaveAcceptedEpoch(op.Epoch) }
		j.then = func() {
			l.inv.AcceptEpoch(l.world.now, id, op.Epoch)
			l.done(f)
		}
	case replica.DiskCurrentEpoch:
		j.do = func() error { return l.st.SaveCurrentEpoch(op.Epoch) }
		j.then = func() {
			l.inv.SaveEpoch(l.world.now, id, op.Epoch)
			if l.told.role != replica.Leading {
				l.phase(plan.OnNewLeader)
			}
			l.done(f)
		}
	case replica.DiskServed:
		j.do = func() error { return l.st.MarkServed() }
	case replica.DiskWhole:
		j.do = func() error { return l.st.SetFuzzy(false) }
	case replica.DiskTruncate:
		l.phase(plan.OnTruncate)
		j.do = func() (err error) {
			l.inv.Truncating(l.world.now, id, op.Zxid)
			if err = l.st.Truncate(op.Zxid); errors.Is(err, store.ErrUnreachable) {
				f.unreachable = err
				return nil
			}
			if err == nil && op.Reload && !l.has(NoReload) {
				f.tree, err = l.reload()
			}
			return err
		}
		j.then = func() {
			if f.unreachable == nil {
				l.inv.Truncated(l.world.now, id)
			}
			l.done(f)
		}
	}
	return j
}

func (l *life) reload() (*tree.Tree, error) {
	loading := image.NewLoading(treeOptions, image.Hooks{})
	if _, err := l.st.Reload(loading.Snapshot, loading.Record); err != nil {
		return nil, err
	}
	return loading.Tree(), nil
}

// dumping is the one dump of the tree that may run at a time.
type dumping struct {
	d        *tree.Dump // nil: none runs
	snapshot bool       // it is a snapshot of this server's
	stop     bool
	learners []packet.LinkID
}

func (d *dumping) writing() bool { return d.d != nil && d.snapshot }

func (d *dumping) interrupt() {
	if d.writing() {
		d.stop = true
	}
}

// startDump takes the tree as it is now.
func (l *life) startDump(snapshot bool) *tree.Dump {
	l.dump.d, l.dump.snapshot, l.dump.stop = l.r.Tree().Dump(), snapshot, false
	return l.dump.d
}

func (l *life) endDump() {
	l.dump.d.Close()
	l.dump.d = nil
	l.kick()
}

// draw puts off the next snapshot.
func (l *life) draw() { l.snapAt = l.opts.SnapCount/2 + l.rand.IntN(l.opts.SnapCount/2+1) + 1 }

// maybeSnapshot begins a snapshot when it is time for one.
func (l *life) maybeSnapshot() {
	if l.since < l.snapAt || l.dump.d != nil || len(l.withheld) > 0 || !l.told.serving {
		return
	}
	l.since = 0
	l.draw()
	d := l.startDump(true)
	l.phase(plan.OnSnapshot)
	var w *snapshot.Writer
	l.add(job{
		bytes: 1000,
		do: func() (err error) {
			zxid := d.Zxid
			if l.has(MislabelledSnapshot) {
				zxid++
			}
			if l.has(PurgeTooMuch) {
				if _, err = l.st.PurgeBefore(zxid); err != nil {
					return err
				}
			}
			if w, err = l.st.BeginSnapshot(zxid); errors.Is(err, disk.ErrNoSpace) {
				return nil
			}
			return err
		},
		then: func() {
			if w == nil {
				l.endDump()
				return
			}
			l.world.after(l.fsync(50_000), func() {
				if !l.over {
					l.later(func() { l.writeImage(d, w) })
				}
			})
		},
	})
}

// writeImage writes the image beside the lane, and has it get its name in the lane.
func (l *life) writeImage(d *tree.Dump, w *snapshot.Writer) {
	if l.over {
		return
	}
	finish := func() error { return l.st.CommitSnapshot(w) }
	if l.dump.stop {
		finish = func() error { return l.st.AbandonSnapshot(w) }
	} else if err := image.Write(w, image.Source{Dump: d}); err != nil {
		finish = func() error { return l.st.AbandonSnapshot(w) }
	} else {
		l.counts.add("snapshot written")
	}
	if l.fs.Crashed() {
		l.fail(disk.ErrCrashed)
		return
	}
	l.add(job{do: finish, bytes: 1000, then: func() {
		l.endDump()
		l.add(job{do: l.purge, bytes: 1000})
	}})
}

// purge keeps the newest three snapshots and what goes with them.
func (l *life) purge() error {
	zxid, ok, err := l.st.RetainFrom(3)
	if err == nil && ok {
		_, err = l.st.PurgeBefore(zxid)
	}
	return err
}
