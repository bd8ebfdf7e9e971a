package zab

import (
	"bytes"
	"errors"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// with lets a machine of a server do something and performs what it asks for.
func (w *world) with(s *server, do func(out *[]Effect)) {
	if !s.up || s.leader == nil && s.learner == nil && s.wire == nil {
		return
	}
	var out []Effect
	do(&out)
	w.perform(s, out)
}

func (w *world) perform(s *server, out []Effect) {
	leader, learner := s.leader, s.learner
	for i := range out {
		if s.leader != leader || s.learner != learner {
			return // the role ended while its effects were performed
		}
		if e := &out[i]; leader != nil {
			w.lordly(s, e)
		} else {
			w.humble(s, e)
		}
	}
}

func (w *world) link(id packet.LinkID) *wire {
	if i := slices.IndexFunc(w.wires, func(o *wire) bool { return o.id == id }); i >= 0 {
		return w.wires[i]
	}
	return nil
}

// lordly does what a leader asks for.
func (w *world) lordly(s *server, e *Effect) {
	switch link := w.link(e.Link); e.Kind {
	case Send:
		if link != nil {
			link.toLearner = append(link.toLearner, e.Packet)
		}
	case Close:
		if link != nil {
			w.cut(link)
		}
	case SaveAcceptedEpoch:
		s.epochs = append(s.epochs, write{kind: e.Kind, epoch: e.Epoch})
	case SaveCurrentEpoch:
		w.initial[e.Epoch] = slices.Clone(s.log)
		s.epochs = append(s.epochs, write{kind: e.Kind, epoch: e.Epoch})
	case TakeSnapshot:
		if link != nil {
			link.wanted = true
		}
	case Established:
		w.reign(s, e.Epoch)
	case Committed:
		w.agree(s, e.Zxid)
	case Confirmed:
		w.Confirmed++
		for round, epoch := range s.asked {
			if round <= e.Round {
				w.must(epoch <= s.leader.Epoch(), "leader %d of epoch %d was confirmed although epoch %d was established before it asked", s.id, s.leader.Epoch(), epoch)
				delete(s.asked, round)
			}
		}
	case Abdicate:
		w.leave(s)
	}
}

// reign checks a leader that is established: it has everything that was agreed upon in earlier epochs, and agrees upon all it has. (A later
// epoch may have been established already; then this leader will not agree upon anything more.)
func (w *world) reign(s *server, epoch int64) {
	w.Established++
	w.must(w.leaders[epoch] == 0, "epoch %d is led by %d and %d", epoch, w.leaders[epoch], s.id)
	w.leaders[epoch], w.established[epoch] = s.id, w.now
	w.must(w.enough(w.sealed[epoch]), "epoch %d was established without a quorum that has it on disk", epoch)
	before, both := 0, min(len(s.log), len(w.ledger))
	for before < len(w.ledger) && int64(w.ledger[before].Zxid.Epoch()) < epoch {
		before++
	}
	w.must(both >= before && same(s.log[:both], w.ledger[:both]), "leader %d of epoch %d lacks something that was agreed upon", s.id, epoch)
	w.must(same(s.log, s.disk), "leader %d was established with a log that is not on disk", s.id)
	w.Agreed += len(s.log) - both
	w.ledger = append(w.ledger, s.log[both:]...)
}

func (w *world) enough(set uint64) bool {
	return w.config.Quorum(func(id packet.ServerID) bool { return set&(1<<id) != 0 })
}

// agree checks that what a leader commits is on enough disks, and follows what was agreed upon.
func (w *world) agree(s *server, z znode.Zxid) {
	log := upTo(s.log, z)
	w.must(last(log) == z, "leader %d commits %v which it does not have", s.id, z)
	w.must(len(log) > len(w.ledger), "leader %d commits %v, but %v was agreed upon", s.id, z, last(w.ledger))
	w.must(len(w.ledger) == 0 || log[len(w.ledger)-1].Zxid == last(w.ledger), "leader %d commits %v beside the order", s.id, z)
	for _, r := range log[len(w.ledger):] {
		w.must(w.enough(w.logged[r.Zxid]), "leader %d commits %v which is not on enough disks", s.id, r.Zxid)
		w.ledger = append(w.ledger, r)
		w.Agreed++
	}
}

// humble does what a learner asks for.
func (w *world) humble(s *server, e *Effect) {
	switch e.Kind {
	case Send:
		if s.wire != nil {
			s.wire.toLeader = append(s.wire.toLeader, e.Packet)
		}
	case SaveAcceptedEpoch, SaveCurrentEpoch:
		s.epochs = append(s.epochs, write{kind: e.Kind, epoch: e.Epoch})
	case Append:
		w.must(Follows(last(s.log), e.Record.Zxid), "server %d appends %v after %v", s.id, e.Record.Zxid, last(s.log))
		s.log = append(s.log, e.Record)
		s.queue = append(s.queue, write{kind: Append, record: e.Record})
	case Truncate:
		w.Truncations++
		s.queue = append(s.queue, write{kind: Truncate, zxid: e.Zxid})
	case Install:
		partial := s.learner.Partial() && !s.damaged
		if partial && !s.observer && !w.calm && !w.spare() {
			w.leave(s)
			return
		}
		w.Snapshots++
		s.queue = append(s.queue, write{kind: Install, zxid: e.Zxid, replace: s.wire.incoming, partial: partial})
	case Committed:
		if s.learner.Established() {
			w.follow(s, e.Zxid)
		}
	case Established:
		w.must(s.current == e.Epoch, "server %d serves in epoch %d without it on disk", s.id, e.Epoch)
		w.follow(s, max(s.learner.Base(), s.learner.Committed()))
		if s.damaged {
			w.Repaired++
			s.damaged = false
			w.leave(s)
		}
	case Pass:
		if e.Packet.Type == packet.TypePing {
			w.with(s, func(out *[]Effect) { s.learner.PingReply(nil, w.now, out) })
		}
	case Abandon:
		if errors.Is(e.Err, ErrTruncate) {
			w.Uncut++
			cause, _ := errors.AsType[*Error](e.Err)
			s.uncut, s.uncutBy = Uncut{Epoch: s.learner.Epoch(), Zxid: cause.Zxid}, s.wire.leader
		}
		w.leave(s)
	}
}

// follow checks that what a learner believes to be agreed upon is.
func (w *world) follow(s *server, z znode.Zxid) {
	log := upTo(s.log, z)
	w.must(last(log) == z && len(log) <= len(w.ledger), "server %d was told that %v is agreed upon", s.id, z)
	if n := len(log); n > 0 {
		w.must(same(log[n-1:n], w.ledger[n-1:n]), "server %d has %v where %v was agreed upon", s.id, log[n-1].Zxid, w.ledger[n-1].Zxid)
	}
}

// write lets a disk do up to n of the writes it was asked for, and tells the machine.
func (w *world) write(s *server, queue *[]write, n int) {
	if n = min(n, len(*queue)); n == 0 || !s.up {
		return
	}
	done := slices.Clone((*queue)[:n])
	w.commitToDisk(s, queue, n)
	for i := range done {
		if d := &done[i]; d.kind != Append || i == n-1 || done[i+1].kind != Append {
			w.with(s, func(out *[]Effect) { w.complete(s, d, out) })
		}
	}
}

func (w *world) complete(s *server, d *write, out *[]Effect) {
	switch {
	case s.leader != nil && d.kind == Append:
		s.leader.Synced(d.record.Zxid, w.now, out)
	case s.leader != nil:
		s.leader.Saved(fileOf(d.kind), d.epoch, w.now, out)
	case s.learner == nil:
	case d.kind == Append:
		s.learner.Synced(d.record.Zxid, w.now, out)
	case d.kind == Truncate:
		s.log = slices.Clone(s.disk)
		s.learner.Truncated(d.zxid, d.zxid >= s.floor, w.now, out)
	case d.kind == Install:
		s.log = slices.Clone(s.disk)
		s.learner.Installed(d.zxid, w.now, out)
		if lord := s.wire.leader; !w.calm && lord.leader != nil && !lord.leader.Established() && w.chance(40) {
			w.crash(lord) // what it had may be nobody else's
			*out = nil
		}
	default:
		s.learner.Saved(fileOf(d.kind), d.epoch, w.now, out)
	}
}

func fileOf(kind EffectKind) EpochFile {
	if kind == SaveCurrentEpoch {
		return CurrentEpoch
	}
	return AcceptedEpoch
}

// commitToDisk does the first n writes of a disk's queue.
func (w *world) commitToDisk(s *server, queue *[]write, n int) {
	for _, d := range (*queue)[:n] {
		switch d.kind {
		case Append:
			w.must(Follows(last(s.disk), d.record.Zxid), "the disk of %d gets %v after %v", s.id, d.record.Zxid, last(s.disk))
			w.must(bytes.Equal(w.payloads[d.record.Zxid], d.record.Payload), "%v on %d is not what was proposed", d.record.Zxid, s.id)
			s.disk = append(s.disk, d.record)
			w.logged[d.record.Zxid] |= 1 << s.id
		case Truncate:
			if d.zxid < s.floor {
				break
			}
			w.keeps(s, upTo(s.disk, d.zxid))
			s.disk = slices.Clone(upTo(s.disk, d.zxid))
			s.applied = min(s.applied, d.zxid)
			w.must(last(s.disk) == d.zxid, "%d is to be cut to %v which it does not have", s.id, d.zxid)
		case Install:
			if d.partial {
				w.Partial++
				s.damaged, s.partial = true, true
			}
			w.keeps(s, d.replace)
			s.floor, s.uncut = d.zxid, Uncut{}
			s.disk = slices.Clone(d.replace)
			s.applied = d.zxid
			for _, r := range s.disk {
				w.logged[r.Zxid] |= 1 << s.id
			}
		case SaveAcceptedEpoch:
			w.must(d.epoch > s.accepted, "the accepted epoch of %d falls from %d to %d", s.id, s.accepted, d.epoch)
			s.accepted = d.epoch
		case SaveCurrentEpoch:
			w.must(d.epoch >= s.current && d.epoch <= s.accepted, "the current epoch of %d goes from %d to %d, accepted is %d", s.id, s.current, d.epoch, s.accepted)
			initial := w.initial[d.epoch]
			w.must(len(s.disk) >= len(initial) && same(s.disk[:len(initial)], initial), "%d has epoch %d on disk, but not its history", s.id, d.epoch)
			s.current = d.epoch
			if s.partial {
				s.damaged, s.partial = false, false
			}
			w.sealed[d.epoch] |= 1 << s.id
		}
		w.must(int64(last(s.disk).Epoch()) <= s.accepted, "the log of %d ends in epoch %d, accepted is %d", s.id, last(s.disk).Epoch(), s.accepted)
	}
	*queue = (*queue)[n:]
}

// keeps checks that what was agreed upon stays on enough disks when one is cut or replaced. (It may well forget some: what its leader
// agreed upon with others while it was away.)
func (w *world) keeps(s *server, log []Record) {
	for n := len(log); n < min(len(s.disk), len(w.ledger)); n++ {
		z := w.ledger[n].Zxid
		if s.disk[n].Zxid != z {
			return
		}
		var have uint64
		for _, o := range w.servers {
			if o.damaged || o != s && n < len(o.disk) && o.disk[n].Zxid == z {
				have |= 1 << o.id
			}
		}
		w.must(w.enough(have), "%d is to forget %v which was agreed upon, and too few have it", s.id, z)
	}
}

// deliver moves up to n packets in one direction of a link.
func (w *world) deliver(link *wire, n int) {
	if link.half && w.chance(10) {
		w.cut(link)
		return
	}
	if w.chance(50) {
		for ; n > 0 && !link.down && len(link.toLeader) > 0; n-- {
			p := link.toLeader[0]
			link.toLeader = link.toLeader[1:]
			w.with(link.leader, func(out *[]Effect) { link.leader.leader.Receive(link.id, &p, w.now, out) })
		}
		return
	}
	if link.wanted {
		link.wanted = false
		w.snapshot(link)
		return
	}
	for ; n > 0 && !link.down && !link.half && len(link.toLearner) > 0; n-- {
		p := link.toLearner[0]
		link.toLearner = link.toLearner[1:]
		if p.Type == packet.TypeSnap {
			link.incoming, link.snapshots = link.snapshots[0], link.snapshots[1:]
		}
		w.with(link.learner, func(out *[]Effect) { link.learner.learner.Receive(&p, w.now, out) })
	}
}

func (w *world) snapshot(link *wire) {
	s := link.leader
	tree := slices.Clone(upTo(s.log, s.applied))
	link.toLearner = append(link.toLearner, packet.Packet{Type: packet.TypeSnap, Zxid: s.applied})
	link.snapshots = append(link.snapshots, tree)
	w.with(s, func(out *[]Effect) { s.leader.SnapshotTaken(link.id, s.applied, w.now, out) })
}

// heal lets nothing bad happen any more until everybody is back and has everything.
func (w *world) heal() {
	w.calm = true
	for step := 0; !w.whole(); step++ {
		w.must(step < 60_000, "it does not heal")
		w.step()
	}
	for _, s := range w.servers {
		w.must(len(s.disk) >= len(w.ledger) && same(s.disk[:len(w.ledger)], w.ledger), "server %d lacks something that was agreed upon", s.id)
	}
	require.NotEmpty(w.t, w.leaders)
}

// whole reports whether one leader leads all others, and they have all it committed.
func (w *world) whole() bool {
	var leader *server
	for _, s := range w.servers {
		if s.leader != nil {
			if leader != nil || !s.leader.Established() {
				return false
			}
			leader = s
		}
	}
	if leader == nil {
		return false
	}
	for _, s := range w.servers {
		if !s.up || s.damaged || s != leader && (s.learner == nil || !s.learner.Established() || s.learner.Epoch() != leader.leader.Epoch()) ||
			last(s.disk) < last(w.ledger) || s != leader && max(s.learner.Committed(), s.learner.Base()) < last(w.ledger) {
			return false
		}
	}
	return true
}
