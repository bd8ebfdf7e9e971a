package server

import (
	"errors"
	"slices"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/front"
	"github.com/bellwether-zk/bellwether/ensemble/internal/propose"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/session"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// applyMost is how many transactions are applied while readers are kept out, at most.
const applyMost = 256

// refusal is the answer to a write when the disk has no space for it: it was not done, and the session lives. ZooKeeper has no
// code for it; every client knows this one.
const refusal = znode.CodeSystemError

// openingMost is how many sessions may be on their way into the log at a time. While the disk hangs, clients give up and knock
// again; those beyond wait outside, where they are forgotten when they go.
const openingMost = 1000

// A handshake is a connection that wants a session and waits for it.
type handshake struct {
	conn  *front.Conn
	req   *wire.ConnectRequest
	done  chan wire.ConnectResponse // has room for one; closed without a value: close the connection without a word
	resp  wire.ConnectResponse      // of a session taken over: to be sent when the tree has reached after
	after znode.Zxid
}

// A touch is a session that was heard of, at a moment of the monotonic clock.
type touch struct {
	session znode.SessionID
	mono    int64
}

// inbox is what connections leave for the core, all of it taken at once.
type inbox struct {
	requests   []request.Request
	handshakes []*handshake
	touches    []touch // the last words of those in gone
	gone       []request.ConnID
}

// keepInbox is for how much of each kind an inbox keeps room.
const keepInbox = 4096

func (in *inbox) reset() {
	in.requests, in.handshakes = emptied(in.requests), emptied(in.handshakes)
	in.touches, in.gone = emptied(in.touches), emptied(in.gone)
}

// emptied is list without its elements, and without its room if that has become large.
func emptied[T any](list []T) []T {
	if cap(list) > keepInbox {
		return nil
	}
	clear(list)
	return list[:0]
}

// run is the core: the one goroutine that plans and applies. It ends when the server stops or fails.
func (s *Server) run() {
	tick := time.NewTicker(s.cfg.tickEvery())
	defer tick.Stop()
	for {
		due := false
		select {
		case <-s.wake:
		case <-tick.C:
			due = true
		case f := <-s.ask:
			f()
		case <-s.stopping:
			return
		}
		if err := s.turn(due); err != nil {
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

// turn applies what the log has on disk, then plans what has come in, and with due what time itself asks for: last, so that
// nobody expires who was heard of.
func (s *Server) turn(due bool) error {
	if due {
		s.collect() // before the inbox is taken: who is no longer here has left its last word there
	}
	s.replica.Synced(s.writer.progress())
	if err := s.apply(); err != nil {
		return err
	}
	s.inMu.Lock()
	s.in, s.taken = s.taken, s.in
	s.inMu.Unlock()
	for _, t := range s.taken.touches {
		s.replica.Touch(t.session, t.mono)
	}
	now := s.now()
	s.propose(s.uncut(s.taken.requests), now)
	s.knocking = append(s.knocking, s.taken.handshakes...)
	s.forget(s.taken.gone)
	s.letIn(now)
	s.taken.reset()
	if due {
		s.tick(now)
	}
	if len(s.records.List) > 0 {
		s.writer.append(&s.records)
	} else if err := s.apply(); err != nil { // refusals wait for no disk
		return err
	}
	s.answerAttached()
	s.maybeSnapshot()
	return nil
}

// collect notes when each session was heard of last.
func (s *Server) collect() {
	s.connsMu.RLock()
	defer s.connsMu.RUnlock()
	for _, a := range s.conns {
		if id, at, ok := a.conn.Touched(); ok {
			s.replica.Touch(id, s.mono(at))
		}
	}
}

// uncut leaves out what comes from connections that have lost their session to another: their clients have been told that
// these connections are no more, and must not see anything happen on them afterwards.
func (s *Server) uncut(reqs []request.Request) []request.Request {
	if len(s.cut) == 0 {
		return reqs
	}
	return slices.DeleteFunc(reqs, func(q request.Request) bool { return s.cut[q.Conn] })
}

// forget drops what is kept for connections that are gone.
func (s *Server) forget(gone []request.ConnID) {
	if len(gone) == 0 {
		return
	}
	for _, id := range gone {
		s.replica.Drop(id)
		delete(s.cut, id)
		if s.opening[id] != nil {
			s.opening[id] = nil // its session is on its way all the same
		}
	}
	left := func(h *handshake) bool { return s.connByID(h.conn.ID()) == nil }
	s.knocking = slices.DeleteFunc(s.knocking, left)
	s.attached = slices.DeleteFunc(s.attached, left)
}

// tick does what time makes due: expired sessions, containers, TTL nodes. What the log has no space for stays due.
func (s *Server) tick(now replica.Time) {
	s.maybePurge(time.Now())
	if s.store.Reserve(2*spare) != nil {
		return // the disk is full or nearly so: what time makes due waits
	}
	s.store.Release(2 * spare)
	s.due = append(s.due, s.replica.Tick(now)...)
	s.proposeDue(now)
}

// proposeDue proposes what is due, one by one, so that what needs much space does not hold up the rest.
func (s *Server) proposeDue(now replica.Time) {
	s.due = slices.DeleteFunc(s.due, func(q request.Request) bool { return s.propose([]request.Request{q}, now) })
}

// letIn takes handshakes up, the oldest first. They come after all writes that were handed over before them, so that what a
// session has asked for on its last connection is known.
func (s *Server) letIn(now replica.Time) {
	n := 0
	for n < len(s.knocking) && len(s.opening) < openingMost {
		s.handshake(s.knocking[n], now)
		n++
	}
	s.knocking = slices.Delete(s.knocking, 0, n)
}

// handshake opens a session for a connection, or gives it one that is open. Whoever spoke for that one before is cut off first,
// before the password is looked at (class ZooKeeperServer, reopenSession).
func (s *Server) handshake(h *handshake, now replica.Time) {
	if h.req.Session == 0 {
		s.opening[h.conn.ID()] = h
		s.propose([]request.Request{s.replica.NewSession(h.conn.ID(), h.req.Timeout)}, now)
		return
	}
	if old := s.own(h.req.Session, nil); old != nil {
		s.cut[old.ID()] = true
	}
	h.resp = wire.ConnectResponse{Password: make([]byte, wire.PasswordLen)}
	timeout, after, ok := s.replica.Attach(h.req.Session, h.req.Password, h.req.Timeout, now)
	if ok {
		password := session.Password(h.req.Session)
		h.resp.Timeout, h.resp.Session, h.resp.Password = timeout, h.req.Session, password[:]
		s.own(h.req.Session, h.conn)
	}
	h.after = after
	s.attached = append(s.attached, h)
}

// answerAttached lets those go on whose session's earlier writes have all been applied.
func (s *Server) answerAttached() {
	if len(s.attached) == 0 {
		return
	}
	zxid := s.replica.Tree().Zxid()
	s.attached = slices.DeleteFunc(s.attached, func(h *handshake) bool {
		if h.after > zxid {
			return false
		}
		h.done <- h.resp
		return true
	})
}

// spare is what is reserved beyond the weight of a batch, in bytes: what the server asks for itself finds room then, too.
const spare = 64 << 10

// propose plans requests in order and gathers their records. If the log cannot have the space for them they are refused, each in
// its turn, before they get a place in the order, and it returns false.
func (s *Server) propose(reqs []request.Request, now replica.Time) bool {
	if len(reqs) == 0 {
		return true
	}
	room := int64(spare)
	for i := range reqs {
		room += s.weight(&reqs[i])
	}
	if err := s.store.Reserve(room); err != nil {
		s.refuse(reqs, err)
		return false
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
	return true
}

// weight bounds the log record that will be made of q, in bytes: names get a number, ACLs may be expanded to all the asker's
// identities, and the end of a session lists its ephemerals, those planned before as the planner says, those of the same batch
// as the double weight of their creation allows for.
func (s *Server) weight(q *request.Request) int64 {
	w := int64(q.Size)*2 + 512
	if q.Op == wire.OpCloseSession {
		w += int64(s.replica.Estate(q.Session))
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
	for i := range a.Exceeded {
		s.complain(&a.Exceeded[i])
	}
	s.frame = s.frame[:0]
	h, opening := s.opening[a.Conn]
	switch {
	case opening:
		if delete(s.opening, a.Conn); h != nil {
			s.greet(h, a)
		}
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
