package server

import (
	"errors"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/front"
	"github.com/bellwether-zk/bellwether/ensemble/internal/propose"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/session"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// applyMost is how many transactions are applied while readers are kept out, at most.
const applyMost = 256

// refusal is the answer to a write when the disk has no space for it: it was not done, and the session lives. ZooKeeper has no
// code for it; every client knows this one.
const refusal = znode.CodeSystemError

// A handshake is a connection that wants a session and waits for it.
type handshake struct {
	conn *front.Conn
	req  *wire.ConnectRequest
	done chan wire.ConnectResponse // has room for one; closed without a value: close the connection without a word
}

// inbox is what connections leave for the core, all of it taken at once.
type inbox struct {
	requests   []request.Request
	handshakes []*handshake
	gone       []request.ConnID
}

// run is the core: the one goroutine that plans and applies. It ends when the server stops or fails.
func (s *Server) run() {
	tick := time.NewTicker(s.cfg.tickEvery())
	defer tick.Stop()
	for {
		select {
		case <-s.wake:
		case <-tick.C:
			s.tick()
		case f := <-s.ask:
			f()
		case <-s.stopping:
			return
		}
		if err := s.turn(); err != nil {
			s.fail(err)
			return
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

// turn applies what the log has on disk, then plans what has come in.
func (s *Server) turn() error {
	s.replica.Synced(s.writer.progress())
	if err := s.apply(); err != nil {
		return err
	}
	s.inMu.Lock()
	s.in, s.taken = s.taken, s.in
	s.inMu.Unlock()
	now := s.now()
	for _, h := range s.taken.handshakes {
		s.handshake(h, now)
	}
	s.propose(s.taken.requests, now)
	for _, id := range s.taken.gone {
		s.replica.Drop(id)
		delete(s.opening, id)
	}
	clear(s.taken.requests)
	clear(s.taken.handshakes)
	s.taken.requests, s.taken.handshakes, s.taken.gone = s.taken.requests[:0], s.taken.handshakes[:0], s.taken.gone[:0]
	if len(s.records.List) > 0 {
		s.writer.append(&s.records)
	} else if err := s.apply(); err != nil { // refusals wait for no disk
		return err
	}
	s.maybeSnapshot()
	return nil
}

// tick does what time makes due: expired sessions, containers, TTL nodes. Touches are collected first, so that nobody expires
// who was heard of.
func (s *Server) tick() {
	s.maybePurge(time.Now())
	now := s.now()
	for c := range s.front.Conns() {
		if id, at, ok := c.Touched(); ok {
			s.replica.Touch(id, s.mono(at))
		}
	}
	if s.store.Reserve(2*spare) != nil {
		return // the disk is full or nearly so: what time makes due waits
	}
	s.store.Release(2 * spare)
	s.propose(s.replica.Tick(now), now)
}

// handshake opens a session for a connection, or gives it one that is open. Whoever spoke for that one before is cut off first,
// before the password is looked at (class ZooKeeperServer, reopenSession).
func (s *Server) handshake(h *handshake, now replica.Time) {
	if h.req.Session == 0 {
		s.opening[h.conn.ID()] = h
		s.propose([]request.Request{s.replica.NewSession(h.conn.ID(), h.req.Timeout)}, now)
		return
	}
	s.own(h.req.Session, nil)
	resp := wire.ConnectResponse{Password: make([]byte, wire.PasswordLen)}
	if timeout, ok := s.replica.Attach(h.req.Session, h.req.Password, h.req.Timeout, now); ok {
		password := session.Password(h.req.Session)
		resp.Timeout, resp.Session, resp.Password = timeout, h.req.Session, password[:]
		s.own(h.req.Session, h.conn)
	}
	h.done <- resp
}

// spare is what is reserved beyond the weight of a batch, in bytes, for what weights leave out: the ephemerals that a closing
// session has asked for and does not have yet.
const spare = 64 << 10

// propose plans requests in order and gathers their records. If the log cannot have the space for them they are refused, each in
// its turn, before they get a place in the order.
func (s *Server) propose(reqs []request.Request, now replica.Time) {
	if len(reqs) == 0 {
		return
	}
	room := int64(spare)
	for i := range reqs {
		room += s.weight(&reqs[i])
	}
	if err := s.store.Reserve(room); err != nil {
		s.refuse(reqs, err)
		return
	}
	if s.full.CompareAndSwap(true, false) {
		s.log.Info("the transaction log has space again", "server", s.cfg.ID)
	}
	first := len(s.records.List)
	for i := range reqs {
		q := &reqs[i]
		if s.cfg.Eager && q.Conn != 0 && q.Record != nil {
			if code := propose.Screen(s.replica.Tree(), s.auth, q); code != znode.CodeOK {
				s.replica.Refuse(q, code)
				continue
			}
		}
		s.replica.Propose(q, now, &s.records)
	}
	used := int64(0)
	for _, r := range s.records.List[first:] {
		used += int64(len(r.Payload)) + txnlog.RecordOverhead
	}
	if used > room { // a list longer than foreseen; without space for it the log will stop the server
		if err := s.store.Reserve(used - room); err != nil {
			s.log.Error("no space for the end of a session", "server", s.cfg.ID, "error", err)
		}
	}
	s.store.Release(max(0, room-used))
	s.bytesSinceSnapshot += used
}

// weight bounds the log record that will be made of q, in bytes: names get a number, ACLs may be expanded to all the asker's
// identities, and the end of a session lists its ephemerals.
func (s *Server) weight(q *request.Request) int64 {
	w := int64(q.Size)*2 + 512
	if q.Op == wire.OpCloseSession {
		for _, path := range s.replica.Tree().Ephemerals(q.Session) {
			w += int64(len(path)) + 4
		}
	}
	return w
}

func (s *Server) refuse(reqs []request.Request, err error) {
	if !errors.Is(err, disk.ErrNoSpace) {
		s.fail(err)
		return
	}
	if s.full.CompareAndSwap(false, true) {
		s.log.Error("no space for the transaction log: writes are refused, reads go on, sessions do not expire", "server", s.cfg.ID, "error", err)
	}
	for i := range reqs {
		if reqs[i].Conn != 0 {
			s.replica.Refuse(&reqs[i], refusal)
		}
	}
}

// apply applies every transaction that is on disk, tells its watchers and answers it.
func (s *Server) apply() error {
	for more := true; more; {
		var err error
		if more, err = s.applyBatch(); err != nil {
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
func (s *Server) applyBatch() (more bool, err error) {
	if s.replica.Waiting() == 0 {
		return false, nil
	}
	s.tree.Lock()
	defer s.tree.Unlock()
	for range applyMost {
		if more, err = s.replica.Apply(&s.applied); !more || err != nil {
			return false, err
		}
		s.deliver(&s.applied)
	}
	return true, nil
}

// deliver sends what one transaction has to say: events first, then the answer. Readers are kept out, so no answer that reflects
// the change can overtake its events.
func (s *Server) deliver(a *replica.Applied) {
	s.sinceSnapshot++
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
		if c.Notify(s.frame) {
			s.dirty = append(s.dirty, c)
		}
	}
	s.frame = s.frame[:0]
	switch h := s.opening[a.Conn]; {
	case h != nil:
		delete(s.opening, a.Conn)
		s.greet(h, a)
	case a.Conn != 0 && a.Type != wire.OpCreateSession: // whose connection may have gone meanwhile; then the session will expire
		if c := s.connByID(a.Conn); c != nil && c.Complete(a.Reply) {
			s.dirty = append(s.dirty, c)
		}
	}
	if a.Type == wire.OpCloseSession {
		s.disown(a.Session, a.Conn)
	}
}

// An event is what a notification says, but for the zxid.
type event struct {
	typ  znode.EventType
	path string
}

// greet answers a handshake whose session was opened, or could not be.
func (s *Server) greet(h *handshake, a *replica.Applied) {
	if a.Type != wire.OpCreateSession {
		close(h.done)
		return
	}
	s.own(a.Session, h.conn)
	password := a.Password // a is used again before the connection has written its answer
	h.done <- wire.ConnectResponse{Timeout: a.Timeout, Session: a.Session, Password: password[:]}
}
