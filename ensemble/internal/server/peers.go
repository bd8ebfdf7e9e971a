package server

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/image"
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/link"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// An Ensemble is what a server is told that is one of several.
type Ensemble struct {
	Self   packet.ServerID
	Quorum *quorum.Config

	// Where this server's own ports are. They are the server's to close, also when Start fails.
	Election, Listener net.Listener
	// DialElection and DialQuorum connect to the other servers' ports.
	DialElection, DialQuorum link.Dialer

	InitLimit, SyncLimit int           // in ticks
	Hold                 time.Duration // how long clients are kept while there is no leader
	CounterStart         uint32        // see replica.Config
	History              int           // transactions remembered for others that lag behind; 0: 100 000
}

// peerEventKind is what has happened between this server and others.
type peerEventKind uint8

const (
	peerVote peerEventKind = iota
	peerReachable
	peerOpened
	peerPackets
	peerClosed
	peerFailed
	peerProgress
)

// A peerEvent is left for the core by the goroutines of the links.
type peerEvent struct {
	kind   peerEventKind
	server packet.ServerID
	up     bool
	vote   packet.Notification
	conn   *link.Conn
	batch  []packet.Packet
	err    error
}

// peerage is a server's connections to the others. Its methods are the core's, but for those of link.Handler and those that votes
// call.
type peerage struct {
	s     *Server
	cfg   *Ensemble
	votes *link.Votes
	links *link.Links
	conns map[packet.LinkID]*link.Conn
	dirty []*link.Conn // have something to flush
}

func newPeerage(s *Server) *peerage {
	p := &peerage{s: s, cfg: s.cfg.Ensemble, conns: make(map[packet.LinkID]*link.Conn)}
	tick := s.cfg.Tick
	p.links = link.NewLinks(link.LinksOptions{
		Listener: p.cfg.Listener, Dial: p.cfg.DialQuorum, Handler: p, Log: s.log,
		Limits: link.Limits{
			MaxOutput:    3 * historyBytes, // a learner may be sent all of the history at once, and goes on being sent to
			WriteTimeout: tick * time.Duration(p.cfg.SyncLimit), FirstPacket: tick * time.Duration(p.cfg.SyncLimit),
			StreamPeriod: tick * time.Duration(p.cfg.InitLimit),
		},
	})
	p.votes = link.NewVotes(link.VotesOptions{
		Self: p.cfg.Self, Config: p.cfg.Quorum, Listener: p.cfg.Election, Dial: p.cfg.DialElection, Log: s.log,
		HandshakeTimeout: tick * time.Duration(p.cfg.SyncLimit),
		Receive: func(from packet.ServerID, n packet.Notification) {
			p.post(peerEvent{kind: peerVote, server: from, vote: n})
		},
		Reachable: func(id packet.ServerID, up bool) { p.post(peerEvent{kind: peerReachable, server: id, up: up}) },
	})
	return p
}

// close ends all connections. The core has ended, or will take nothing more.
func (p *peerage) close() {
	p.votes.Close()
	p.links.Close()
}

// peerRoom is how many bytes of packets and votes may wait for the core, before links are read no more.
const peerRoom = 16 << 20

// post leaves an event for the core. While too much waits there already, packets and votes wait outside.
func (p *peerage) post(e peerEvent) {
	size := 0
	if e.kind == peerVote {
		size = 256 + len(e.vote.Config)
	}
	for i := range e.batch {
		size += 64 + len(e.batch[i].Data)
	}
	s := p.s
	s.inMu.Lock()
	for size > 0 && s.in.peerBytes > peerRoom && s.ctx.Err() == nil {
		s.room.Wait()
	}
	s.in.peers = append(s.in.peers, e)
	s.in.peerBytes += size
	s.inMu.Unlock()
	s.kick()
}

// take tells the replica what has happened.
func (p *peerage) take(e *peerEvent, now replica.Time) {
	r := p.s.replica
	switch e.kind {
	case peerVote:
		r.Vote(e.server, &e.vote, now)
	case peerReachable:
		r.Reachable(e.server, e.up, now)
	case peerOpened:
		p.conns[e.conn.ID()] = e.conn
		if leader, dialled := e.conn.Leader(); dialled {
			r.Linked(leader, e.conn.ID(), now)
		} else {
			r.Accepted(e.conn.ID(), now)
		}
	case peerPackets:
		r.Packets(e.conn.ID(), e.batch, now)
	case peerProgress:
		r.Progress(e.conn.ID(), now)
	case peerClosed:
		delete(p.conns, e.conn.ID())
		r.LinkDown(e.conn.ID(), e.err, now)
	case peerFailed:
		r.LinkFailed(now)
	}
}

// perform carries out what the replica wants of the others.
func (p *peerage) perform(rd *replica.Ready, now replica.Time) {
	for i := range rd.Votes {
		p.votes.Send(rd.Votes[i].To, &rd.Votes[i].Notification)
	}
	for i := range rd.Links {
		op := &rd.Links[i]
		switch op.Kind {
		case replica.LinkDial:
			p.dial(op.Server)
		case replica.LinkAccept:
			p.links.Serve(true)
		case replica.LinkRefuse:
			p.links.Serve(false)
		default:
			if c := p.conns[op.Link]; c != nil {
				p.onLink(c, op)
			}
		}
	}
	for _, c := range p.dirty {
		c.Flush()
	}
	clear(p.dirty)
	p.dirty = p.dirty[:0]
}

func (p *peerage) onLink(c *link.Conn, op *replica.LinkOp) {
	switch op.Kind {
	case replica.LinkSend:
		c.Send(&op.Packet)
		if n := len(p.dirty); n == 0 || p.dirty[n-1] != c {
			p.dirty = append(p.dirty, c)
		}
	case replica.LinkClose:
		c.Close(op.Err)
	case replica.LinkSnapshot:
		p.s.dump.learners = append(p.s.dump.learners, op.Link)
	}
}

func (p *peerage) dial(leader packet.ServerID) {
	m, ok := p.cfg.Quorum.Member(leader)
	if !ok {
		p.post(peerEvent{kind: peerFailed, server: leader, err: errUnknownServer})
		return
	}
	p.links.Dial(p.s.ctx, leader, m.Addrs[0].Quorum())
}

var errUnknownServer = errors.New("server: the elected leader is not in the configuration")

// nextDump begins a dump for the learner that has waited longest, unless too many are running. What that makes the replica want is to
// be carried out next.
func (s *Server) nextDump() {
	for s.peers != nil && len(s.dump.learners) > 0 && s.dump.sending.Load() < dumpsMost {
		id := s.dump.learners[0]
		s.dump.learners = s.dump.learners[1:]
		if c := s.peers.conns[id]; c != nil && s.replica.Learns(id) {
			s.sendTree(c)
		}
	}
}

// sendTree sends the tree as it is to a learner.
func (s *Server) sendTree(c *link.Conn) {
	s.dump.sending.Add(1)
	d := s.startDump()
	over := func() {
		s.endDump(d)
		s.dump.sending.Add(-1)
		s.kick()
	}
	zxid := d.Zxid
	p := packet.Packet{Type: packet.TypeSnap, Zxid: zxid}
	if s.replica.Ours(c.ID()) && !s.cfg.Tree.NoDigest {
		p.Data = jute.AppendInt64(nil, int64(d.Digest))
	}
	c.Send(&p)
	err := c.SendStream(func(w io.Writer) error {
		defer over()
		return image.Send(w, image.Source{Dump: d, Lock: &s.dump.reading, Stop: s.ctx.Done()})
	})
	if err != nil { // it has been closed
		over()
		return
	}
	s.replica.SnapshotTaken(c.ID(), zxid, s.now())
}

// What links have to say, on their own goroutines.

// Opened implements link.Handler, as do the following.
func (p *peerage) Opened(c *link.Conn) { p.post(peerEvent{kind: peerOpened, conn: c}) }

func (p *peerage) Received(c *link.Conn, batch []packet.Packet) {
	p.post(peerEvent{kind: peerPackets, conn: c, batch: batch})
}

func (p *peerage) Progress(c *link.Conn) { p.post(peerEvent{kind: peerProgress, conn: c}) }

func (p *peerage) Closed(c *link.Conn, err error) {
	p.post(peerEvent{kind: peerClosed, conn: c, err: err})
}

func (p *peerage) Failed(leader packet.ServerID, err error) {
	p.s.log.Info("the leader cannot be reached", "server", p.s.cfg.ID, "leader", leader, "error", err)
	p.post(peerEvent{kind: peerFailed, server: leader, err: err})
}

var errUnwanted = errors.New("server: a snapshot that nobody asked for")

// Snapshot takes a leader's tree in, and makes it durable in place of all this server has, before the replica is told.
func (p *peerage) Snapshot(c *link.Conn, zxid znode.Zxid, data []byte, r io.Reader) error {
	s := p.s
	var wanted, begun, partial bool
	for {
		wanted, begun = false, false
		s.inCore(func() {
			if wanted = s.replica.Installing(c.ID()); wanted {
				s.dump.interrupt()
				begun = !s.dump.writing() && s.replica.BeginInstall(c.ID())
				partial = s.replica.Partial()
			}
		})
		if begun {
			break
		}
		if !wanted {
			return errUnwanted
		}
		select {
		case <-time.After(time.Millisecond): // until a snapshot of our own, or one that came on a link before, is out of the way
		case <-s.stopping:
			return ErrClosed
		}
	}
	t, err := p.install(zxid, data, r, partial)
	s.inCore(func() {
		if err != nil {
			s.replica.NotInstalled(s.now())
			return
		}
		s.tree.Lock()
		defer s.tree.Unlock()
		s.replica.Installed(c.ID(), t, s.now())
		s.attendAll() // nobody who was connected before may read what may not have been agreed upon yet
	})
	return err
}

// install reads a tree and makes it durable in place of all there is. If partial, it is noted that this is not to be believed without
// what follows.
func (p *peerage) install(zxid znode.Zxid, data []byte, r io.Reader, partial bool) (*tree.Tree, error) {
	s := p.s
	begun := time.Now()
	var w *snapshot.Writer
	err := s.writer.do(func() (err error) {
		w, err = s.store.BeginSnapshot(zxid)
		return err
	})
	if err != nil {
		return nil, s.broken(err)
	}
	a := image.Arrival{Zxid: zxid, Options: s.cfg.Tree, Copy: w}
	if d := jute.NewDecoder(data); len(data) >= 8 {
		a.Digest, a.HasDigest = uint64(d.Int64()), true
	}
	t, err := image.Receive(r, a)
	if err != nil {
		failed := w.Err() // of the disk: without space, too, this server would only ask for the same again
		return nil, errors.Join(err, s.broken(failed), s.broken(s.writer.do(func() error { return s.store.AbandonSnapshot(w) })))
	}
	err = s.writer.do(func() error {
		if partial {
			if err := s.store.SetFuzzy(true); err != nil {
				return err
			}
		}
		if err := s.store.Install(w); err != nil || partial {
			return err
		}
		return s.store.SetFuzzy(false)
	})
	if err != nil {
		return nil, s.broken(err)
	}
	s.log.Info("snapshot taken over from the leader", "server", s.cfg.ID, "zxid", zxid, "nodes", t.NodeCount(), "took", time.Since(begun))
	return t, nil
}

// broken stops the server for an error of its store.
func (s *Server) broken(err error) error {
	if err != nil && !errors.Is(err, ErrClosed) {
		s.fail(err)
	}
	return err
}

// inCore runs f on the core's goroutine between two turns, and returns when it has run or the server stops.
func (s *Server) inCore(f func()) {
	done := make(chan struct{})
	select {
	case s.ask <- func() { f(); close(done) }:
		<-done
	case <-s.stopping:
	}
}
