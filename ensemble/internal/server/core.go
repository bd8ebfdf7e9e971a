package server

import (
	"errors"
	"math"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// applyMost is how many transactions are applied while readers are kept out, at most.
const applyMost = 256

// A handshake is a connection that wants a session and waits for it.
type handshake struct {
	conn request.ConnID
	req  *wire.ConnectRequest
}

// A touch is a session that was heard of, at a moment of the monotonic clock.
type touch struct {
	session znode.SessionID
	mono    int64
}

// inbox is what is left for the core, all of it taken at once.
type inbox struct {
	requests   []request.Request
	handshakes []handshake
	touches    []touch // the last words of those in gone
	gone       []request.ConnID
	peers      []peerEvent
	peerBytes  int // of the packets among them
}

// keepInbox is for how much of each kind an inbox keeps room.
const keepInbox = 4096

func (in *inbox) reset() {
	in.requests, in.handshakes = emptied(in.requests), emptied(in.handshakes)
	in.touches, in.gone = emptied(in.touches), emptied(in.gone)
	in.peers, in.peerBytes = emptied(in.peers), 0
}

// emptied is list without its elements, and without its room if that has become large.
func emptied[T any](list []T) []T {
	if cap(list) > keepInbox {
		return nil
	}
	clear(list)
	return list[:0]
}

// run is the core: the one goroutine that owns the replica. It ends when the server stops or fails.
func (s *Server) run() {
	begun := s.now()
	next := s.replica.Next(begun)
	alarm := time.NewTimer(time.Duration(next-begun.Mono) * time.Millisecond)
	defer alarm.Stop()
	if err := s.settle(begun); err != nil {
		s.fail(err)
		return
	}
	s.refresh(begun)
	for {
		due := false
		var f func()
		select {
		case <-s.wake:
		case <-alarm.C:
			due, next = true, math.MaxInt64
		case f = <-s.ask:
		case <-s.stopping:
			return
		}
		s.stage.begin(s)
		now, err := s.turn(due)
		if f != nil {
			f() // behind all that had come in when it was asked for
			if err == nil {
				now, err = s.turn(false)
			}
		}
		s.stage.end()
		if err != nil {
			s.fail(err)
			return
		}
		if n := s.replica.Next(now); n < next {
			next = n
			alarm.Reset(time.Duration(max(n-now.Mono, 0)) * time.Millisecond)
		}
	}
}

// kick makes the core take a turn soon.
func (s *Server) kick() {
	select {
	case s.wake <- struct{}{}:
	default: // it will anyway
	}
}

// turn applies what the disk makes possible, then tells the replica what has come in, and with due what time it is: last, so that
// nobody expires who was heard of.
func (s *Server) turn(due bool) (now replica.Time, err error) {
	if due {
		s.collect() // before the inbox is taken: who is no longer here has left its last word there
	}
	now = s.now()
	if err := s.completed(now); err != nil {
		return now, err
	}
	if err := s.settle(now); err != nil {
		return now, err
	}
	s.inMu.Lock()
	s.in, s.taken = s.taken, s.in
	s.room.Broadcast()
	s.inMu.Unlock()
	for _, t := range s.taken.touches {
		s.replica.Touch(t.session, t.mono)
	}
	for i := range s.taken.peers {
		s.peers.take(&s.taken.peers[i], now)
	}
	s.replica.Submit(s.taken.requests, now)
	for _, h := range s.taken.handshakes {
		s.replica.Connect(h.conn, h.req, now)
	}
	for _, id := range s.taken.gone {
		s.replica.Gone(id, now)
	}
	s.taken.reset()
	if due {
		s.maybePurge(time.Now())
		s.replica.Tick(now)
	}
	if err := s.settle(now); err != nil {
		return now, err
	}
	s.refresh(now)
	s.maybeSnapshot()
	return now, nil
}

// settle applies what may be applied and carries out what the replica wants, until there is nothing left.
func (s *Server) settle(now replica.Time) error {
	for {
		if err := s.apply(now); err != nil {
			return err
		}
		s.replica.Proceed(now)
		s.nextDump()
		if s.replica.Ready().Empty() {
			return nil
		}
		s.perform(now)
	}
}

// perform carries out what the replica wants.
func (s *Server) perform(now replica.Time) {
	rd := s.replica.Ready()
	s.enqueue(rd.Disk)
	if s.peers != nil {
		s.peers.perform(rd, now)
	}
	s.attendAll()
	rd.Reset()
	s.noteSpace()
	s.noteMismatch()
}

// attendAll does what the replica wants done with clients' connections.
func (s *Server) attendAll() {
	rd := s.replica.Ready()
	for i := range rd.Clients {
		s.attend(&rd.Clients[i])
	}
	clear(rd.Clients)
	rd.Clients = rd.Clients[:0]
}

// attend does what is to be done with a client's connection.
func (s *Server) attend(op *replica.ClientOp) {
	g := s.guest(op.Conn)
	if g.conn == nil {
		return
	}
	switch op.Kind {
	case replica.ClientGreet:
		g.greet <- op.Response
	case replica.ClientRefuse:
		close(g.greet)
	case replica.ClientClose:
		g.conn.Close()
	}
}

// collect notes when each session was heard of last.
func (s *Server) collect() {
	s.connsMu.RLock()
	defer s.connsMu.RUnlock()
	for _, g := range s.conns {
		if id, at, ok := g.conn.Touched(); ok {
			s.replica.Touch(id, s.mono(at))
		}
	}
}

// refresh notes whether clients may be told that their sessions live, and tells those who have waited for it.
func (s *Server) refresh(now replica.Time) {
	role, serving := s.replica.Role()
	mode := int32(role) << 1
	if serving {
		mode |= 1
	}
	changed := s.mode.Load() != mode
	s.announce(role, serving, changed)
	if changed {
		s.mode.Store(mode)
		s.connsMu.Lock()
		close(s.changed)
		s.changed = make(chan struct{})
		s.connsMu.Unlock()
	}
	switch {
	case !s.replica.Fresh(now):
		s.freshUntil.Store(-1)
		return
	case role == replica.Standalone:
		s.freshUntil.Store(math.MaxInt64)
	default: // who stood still for a while must not answer by what it knew before
		s.freshUntil.Store(now.Mono + max(s.cfg.Tick.Milliseconds()/2, 10))
	}
	s.owedMu.Lock()
	owed := s.owed
	if len(owed) == 0 {
		s.owedMu.Unlock()
		return
	}
	s.owed = make(map[request.ConnID]bool)
	s.owedMu.Unlock()
	pong := wire.AppendErrorFrame(nil, wire.ReplyHeader{Xid: wire.XidPing, Zxid: s.replica.Tree().Zxid()})
	for id := range owed {
		if c := s.connByID(id); c != nil && c.Notify(pong) {
			c.Wake()
		}
	}
}

// owe notes that a connection's ping is to be answered as soon as it may be.
func (s *Server) owe(id request.ConnID) {
	s.owedMu.Lock()
	s.owed[id] = true
	s.owedMu.Unlock()
}

// noteSpace tells the operator when the log has no space, and when it has again.
func (s *Server) noteSpace() {
	full := s.replica.Full()
	switch {
	case full != nil && !errors.Is(full, disk.ErrNoSpace):
		s.fail(full)
	case full != nil && !s.wasFull:
		s.log.Error("no space for the transaction log: writes are refused, reads go on, sessions do not expire", "server", s.cfg.ID, "error", full)
	case full == nil && s.wasFull:
		s.log.Info("the transaction log has space again", "server", s.cfg.ID)
	}
	s.wasFull = full != nil
}

// apply applies every transaction that may be, tells its watchers and answers who asked.
func (s *Server) apply(now replica.Time) error {
	for more := true; more; {
		var err error
		if more, err = s.applyBatch(now); err != nil {
			return err
		}
		for _, c := range s.dirty {
			c.Wake()
		}
		clear(s.dirty)
		s.dirty = s.dirty[:0]
	}
	return nil
}

// applyBatch keeps readers out once for up to applyMost transactions.
func (s *Server) applyBatch(now replica.Time) (more bool, err error) {
	if !s.replica.Applicable() {
		return false, nil
	}
	s.tree.Lock()
	defer s.tree.Unlock()
	// Before readers are let in again: whose session has ended must not read what that has left behind, and nobody may read a tree that has
	// turned out not to be what was agreed upon.
	defer s.attendAll()
	for range applyMost {
		if more, err = s.replica.Apply(&s.applied, now); !more || err != nil {
			return false, err
		}
		s.deliver(&s.applied)
	}
	return true, nil
}

// deliver sends what one transaction has to say: events first, then the answer. Readers are kept out, so no answer that reflects
// the change can overtake its events.
func (s *Server) deliver(a *replica.Applied) {
	for i := range a.Notices {
		n := &a.Notices[i]
		c := s.connByID(n.Conn)
		if c == nil || !s.auth.Permit(n.ACL, c.IDs(), znode.PermRead) {
			continue
		}
		if s.told != (event{n.Type, n.Path}) || len(s.frame) == 0 {
			s.frame = wire.AppendNotification(s.frame[:0], a.Zxid, n.Type, n.Path)
			s.told = event{n.Type, n.Path}
		}
		if s.noted != nil {
			s.noted.told(c.Session(), n.Type, n.Path)
		}
		if c.Notify(s.frame) {
			s.dirty = append(s.dirty, c)
		}
	}
	for i := range a.Exceeded {
		s.complain(&a.Exceeded[i])
	}
	s.frame = s.frame[:0]
	if a.Conn != 0 {
		c := s.connByID(a.Conn)
		if c != nil && s.noted != nil {
			s.noted.completed(a.Conn, a.Reply)
		}
		if c != nil && c.Complete(a.Reply) {
			s.dirty = append(s.dirty, c)
		}
	}
}

// An event is what a notification says, but for the zxid.
type event struct {
	typ  znode.EventType
	path string
}

// complainEvery is how often one quota's soft limit is complained about, at most; complainMost, for how many quotas that is kept.
const (
	complainEvery = time.Minute
	complainMost  = 1000
)

// complain logs that a quota's soft limit does not hold.
func (s *Server) complain(q *tree.Quota) {
	now := time.Now()
	if last, ok := s.complained[q.Path]; ok && now.Sub(last) < complainEvery {
		return
	}
	if len(s.complained) >= complainMost {
		clear(s.complained)
	}
	s.complained[q.Path] = now
	s.log.Warn("quota exceeded", "server", s.cfg.ID, "path", q.Path, "count", q.Count, "countLimit", q.SoftCount, "bytes", q.Bytes, "bytesLimit", q.SoftBytes)
}
