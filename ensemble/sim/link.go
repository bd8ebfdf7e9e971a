package sim

import (
	"bytes"
	"errors"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/image"
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/plan"
)

// Errors of links.
var (
	errNotServing = errors.New("not serving")
	errUnwanted   = errors.New("a snapshot that nobody asked for")
	errProtocol   = errors.New("a learner does not begin like that")
)

// A link is a connection of the quorum port, as package link's Conn is one.
type link struct {
	l       *life
	id      packet.LinkID
	end     *end
	dialled bool
	server  packet.ServerID // who is at the other end; of an accepted one once it has said so
	opened  bool            // the core has been told of it

	in      source
	packets *packet.Reader
	next    packet.Packet  // being read
	snap    *packet.Packet // whose stream is on its way in, or being made durable
	whole   bool           // all of it has come

	out       []byte // to be sent
	streaming bool   // a tree is being sent; what is in out has to wait
}

// A source is what has come and not been read.
type source struct{ b []byte }

var errDry = errors.New("nothing more has come")

func (s *source) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, errDry
	}
	n := copy(p, s.b)
	s.b = s.b[n:]
	return n, nil
}

func (l *life) newLink(e *end, dialled bool) *link {
	l.lastLink++
	k := &link{l: l, id: l.lastLink, end: e, dialled: dialled}
	k.packets = packet.NewReader(&k.in, packet.DefaultMax)
	l.links[k.id] = k
	e.bytes, e.closed = k.take, k.down
	return k
}

// dial connects to a leader.
func (l *life) dial(leader packet.ServerID) {
	l.net.dial(quorumPort, l.node(), node(leader), func(e *end) {
		if l.over {
			if e != nil {
				e.close()
			}
			return
		}
		if e == nil {
			l.later(func() {
				l.in.peers = append(l.in.peers, func(now replica.Time) { l.r.LinkFailed(now) })
				l.kick()
			})
			return
		}
		k := l.newLink(e, true)
		k.server, k.opened = leader, true
		l.later(func() {
			l.in.peers = append(l.in.peers, func(now replica.Time) { l.r.Linked(leader, k.id, now) })
			l.kick()
		})
	})
}

// holdLearners is how long who connects waits for this server to lead.
const holdLearners = clock.Second

// admit takes in who connects to the quorum port.
func (l *life) admit(e *end) {
	k := l.newLink(e, false)
	if l.accepting {
		return
	}
	l.holding = append(l.holding, k)
	l.world.after(holdLearners, func() {
		l.holding = slices.DeleteFunc(l.holding, func(o *link) bool { return o == k })
		if !l.over && !k.opened && !l.accepting {
			k.close()
			k.lost(errNotServing)
		}
	})
}

// serve says whether this server leads.
func (l *life) serve(on bool) {
	l.accepting = on
	if !on {
		for id := packet.LinkID(1); id <= l.lastLink; id++ {
			if k := l.links[id]; k != nil && !k.dialled {
				k.close()
				k.lost(errNotServing)
			}
		}
		return
	}
	holding := l.holding
	l.holding = nil
	for _, k := range holding {
		k.read()
	}
}

// take takes in bytes.
func (k *link) take(b []byte, more bool) {
	k.in.b = append(k.in.b, b...)
	switch {
	case k.snap == nil:
		k.read()
	case !k.whole:
		k.l.phase(plan.OnSnap)
		k.progress()
		if k.whole = !more; k.whole {
			k.receive()
		}
	}
}

func (k *link) progress() {
	l := k.l
	l.in.peers = append(l.in.peers, func(now replica.Time) { l.r.Progress(k.id, now) })
	l.kick()
}

// read cuts what has come into packets and leaves them for the core.
func (k *link) read() {
	l := k.l
	if !k.end.open || !k.dialled && !l.accepting {
		return
	}
	var batch []packet.Packet
	for p := &k.next; k.snap == nil; {
		*p = packet.Packet{}
		if err := k.packets.Next(p); err == errDry {
			break
		} else if err != nil {
			l.counts.add("link broken by what came")
			k.fail(err)
			return
		}
		if !k.opened && !k.introduce(p) {
			return
		}
		l.hear(k, p)
		batch = append(batch, *p)
		if p.Type == packet.TypeSnap && k.dialled {
			snap := *p
			k.snap = &snap
		}
	}
	if len(batch) > 0 {
		batch = k.misread(batch)
		l.in.peers = append(l.in.peers, func(now replica.Time) {
			l.r.Packets(k.id, batch, now)
			k.countTwice(batch, now)
		})
		l.kick()
	}
}

// introduce looks at the first packet of a learner.
func (k *link) introduce(p *packet.Packet) bool {
	l := k.l
	var info packet.LearnerInfo
	if p.Type != packet.TypeFollowerInfo && p.Type != packet.TypeObserverInfo || packet.Decode(p.Data, &info) != nil {
		k.fail(errProtocol)
		return false
	}
	k.opened, k.server = true, info.ServerID
	l.in.peers = append(l.in.peers, func(now replica.Time) { l.r.Accepted(k.id, now) })
	return true
}

// hear tells the invariants of what a packet that came says.
func (l *life) hear(k *link, p *packet.Packet) {
	now, id := l.world.now, int(l.id)
	switch {
	case p.Type == packet.TypeLeaderInfo:
		l.phase(plan.OnDiscovery)
	case p.Type == packet.TypeDiff || p.Type == packet.TypeTrunc || p.Type == packet.TypeSnap:
		l.phase(plan.OnSync)
	case p.Type == packet.TypeAck && !k.dialled && l.told.leads && l.isVoter(k.server):
		l.inv.Ack(now, id, int(k.server), p.Zxid)
	case k.dialled && l.told.serving && (p.Type == packet.TypeCommit || p.Type == packet.TypeInform):
		if p.Type == packet.TypeCommit && l.r.Zxid() >= p.Zxid {
			l.inv.Commit(now, id, p.Zxid)
		}
	}
	if l.world.mix(uint64(l.id), uint64(p.Type), uint64(p.Zxid)); l.world.trace != nil {
		l.world.say("server %d: gets from %d: %v", l.id, k.server, p)
	}
}

// fail ends a link that says what nobody understands.
func (k *link) fail(err error) {
	k.close()
	k.lost(err)
}

// down is what the network says when the other end has closed.
func (k *link) down(err error) { k.lost(err) }

// lost tells the core of the end of a link.
func (k *link) lost(err error) {
	l := k.l
	if l.links[k.id] == nil {
		return
	}
	delete(l.links, k.id)
	if k.opened {
		l.in.peers = append(l.in.peers, func(now replica.Time) { l.r.LinkDown(k.id, err, now) })
		l.kick()
	}
}

func (k *link) close() { k.end.close() }

// perform carries out what the replica wants of the others.
func (l *life) perform(rd *replica.Ready, now replica.Time) {
	for i := 0; i < len(rd.Links); i++ { // a snapshot that begins adds to them
		op := &rd.Links[i]
		switch op.Kind {
		case replica.LinkDial:
			l.dial(op.Server)
			continue
		case replica.LinkAccept:
			l.serve(true)
			continue
		case replica.LinkRefuse:
			l.serve(false)
			continue
		}
		k := l.links[op.Link]
		if op.Kind == replica.LinkSend {
			l.announce(&op.Packet)
		}
		if k == nil {
			continue
		}
		switch op.Kind {
		case replica.LinkSend:
			p, again := k.missay(op.Packet)
			for range again {
				k.out = p.AppendJute(k.out)
			}
			l.dirty = append(l.dirty, k)
		case replica.LinkClose:
			k.flush()
			k.close()
			k.lost(op.Err)
		case replica.LinkSnapshot:
			l.dump.learners = append(l.dump.learners, op.Link)
		}
	}
	l.flush()
}

func (l *life) flush() {
	for _, k := range l.dirty {
		k.flush()
	}
	clear(l.dirty)
	l.dirty = l.dirty[:0]
}

// announce tells the invariants of what a packet says that is about to be sent.
func (l *life) announce(p *packet.Packet) {
	switch p.Type {
	case packet.TypeProposal:
		l.phase(plan.OnProposal)
	case packet.TypeCommit, packet.TypeInform:
		if l.told.leads {
			l.phase(plan.OnCommit)
			l.inv.Commit(l.world.now, int(l.id), p.Zxid)
		}
	}
}

// flush sends what waits, unless a tree is being sent.
func (k *link) flush() {
	if k.streaming || len(k.out) == 0 {
		return
	}
	k.end.send(bytes.Clone(k.out))
	k.out = k.out[:0]
}

// nextDump begins a dump for the learner that has waited longest, if none is running.
func (l *life) nextDump() (begun bool) {
	for len(l.dump.learners) > 0 && l.dump.d == nil {
		id := l.dump.learners[0]
		l.dump.learners = l.dump.learners[1:]
		if k := l.links[id]; k != nil && l.r.Learns(id) {
			l.sendTree(k)
			begun = true
		}
	}
	return begun
}

// sendTree sends the tree as it is to a learner: the dump begins now, and is read a little later, while the tree goes on.
func (l *life) sendTree(k *link) {
	d := l.startDump(false)
	l.counts.add("snapshot sent")
	p := packet.Packet{Type: packet.TypeSnap, Zxid: d.Zxid}
	if l.r.Ours(k.id) && !l.has(FuzzySnapshot) {
		p.Data = jute.AppendInt64(nil, int64(d.Digest))
	}
	k.out = p.AppendJute(k.out)
	k.flush()
	k.streaming = true
	l.world.say("server %d: sends the tree at %v to %d", l.id, d.Zxid, k.server)
	l.world.after(clock.Millisecond+clock.Time(l.rand.Int64N(int64(5*clock.Millisecond))), func() {
		if !l.over {
			l.later(func() { k.stream(d) })
		}
	})
	l.r.SnapshotTaken(k.id, d.Zxid, l.time())
	l.kick()
}

// streamPiece is how many bytes of a tree are sent at a time.
const streamPiece = 16 << 10

// stream sends a tree, piece by piece.
func (k *link) stream(d *tree.Dump) {
	l := k.l
	if l.over {
		return
	}
	if l.has(FuzzySnapshot) {
		d.Close()
		d = l.r.Tree().Dump()
		l.dump.d = d
	}
	var whole bytes.Buffer
	err := image.Send(&whole, image.Source{Dump: d})
	l.endDump()
	if err != nil {
		k.fail(err)
		return
	}
	k.piece(whole.Bytes())
}

func (k *link) piece(rest []byte) {
	l := k.l
	if l.over || !k.end.open {
		return
	}
	n := min(len(rest), streamPiece)
	k.end.stream(rest[:n:n], n < len(rest))
	k.progress()
	if rest = rest[n:]; len(rest) == 0 {
		k.streaming = false
		k.flush()
		return
	}
	l.world.after(clock.Time(n)/50, func() { // 50 bytes a microsecond
		if !l.over {
			l.later(func() { k.piece(rest) })
		}
	})
}

// receive takes a leader's tree in and makes it durable in place of all this server has, before the replica is told.
func (k *link) receive() {
	l := k.l
	l.in.peers = append(l.in.peers, func(replica.Time) {
		switch {
		case !l.r.Installing(k.id):
			k.fail(errUnwanted)
		case l.dump.writing():
			l.dump.interrupt()
			l.world.after(clock.Millisecond, func() {
				if !l.over {
					l.later(k.receive)
				}
			})
		case l.taking: // an earlier one, of a link that is no more
			l.world.after(clock.Millisecond, func() {
				if !l.over {
					l.later(k.receive)
				}
			})
		default:
			l.taking = l.r.BeginInstall(k.id)
			k.install(l.r.Partial())
		}
	})
	l.kick()
}

// install makes the snapshot that comes durable in place of all there is. If partial, what follows it has to come as well.
func (k *link) install(partial bool) {
	l := k.l
	p := k.snap
	var w *snapshot.Writer
	var t *tree.Tree
	l.add(job{
		bytes: 1000,
		do: func() (err error) {
			w, err = l.st.BeginSnapshot(p.Zxid)
			return err
		},
		then: func() {
			a := image.Arrival{Zxid: p.Zxid, Options: treeOptions, Copy: w}
			if d := jute.NewDecoder(p.Data); len(p.Data) >= 8 {
				a.Digest, a.HasDigest = uint64(d.Int64()), true
			}
			var err error
			if t, err = image.Receive(k.packets, a); err != nil {
				l.add(job{do: func() error { return l.st.AbandonSnapshot(w) }, then: func() {
					l.taking = false
					l.in.peers = append(l.in.peers, l.r.NotInstalled)
					l.kick()
				}})
				k.fail(err)
				return
			}
			l.add(job{
				bytes: 50_000,
				do: func() error {
					if l.r.Untrusted() != nil {
						l.inv.Doubt(int(l.id))
					}
					l.inv.Installing(l.world.now, int(l.id), p.Zxid)
					if l.has(VolatileInstall) {
						return l.st.AbandonSnapshot(w)
					}
					if partial {
						if err := l.st.SetFuzzy(true); err != nil {
							return err
						}
					}
					if err := l.st.Install(w); err != nil || partial {
						return err
					}
					return l.st.SetFuzzy(false)
				},
				then: func() {
					l.inv.Installed(l.world.now, int(l.id))
					l.in.peers = append(l.in.peers, func(now replica.Time) { k.installed(t, now) })
					l.kick()
				},
			})
		},
	})
}

// installed gives the replica its new tree.
func (k *link) installed(t *tree.Tree, now replica.Time) {
	l := k.l
	l.counts.add("snapshot installed")
	l.world.say("server %d: has installed a tree at %v", l.id, t.Zxid())
	l.inv.Rest(l.world.now, int(l.id))
	l.inv.Load(l.world.now, int(l.id), t.Zxid(), t.Digest())
	l.since, l.taking = 0, false
	l.r.Installed(k.id, t, now)
	k.snap, k.whole = nil, false
	k.read()
}

// isVoter reports whether a server counts in quorums.
func (s *simulation) isVoter(id packet.ServerID) bool { return s.config.Voter(id) }
