package replica

import (
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/session"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// openingMost is how many sessions may be on their way into the log at a time. While the disk hangs, or there is no leader, clients
// give up and knock again; those beyond wait outside, where they are forgotten when they go.
const openingMost = 1000

// clients is who is connected to this server, and who wants to be.
type clients struct {
	byConn    map[request.ConnID]*client
	owners    map[znode.SessionID]request.ConnID // who speaks for a session: one of byConn, with that session
	knocking  []handshake                        // not taken up yet
	opening   map[znode.SessionID]request.ConnID // new sessions that are not applied yet; 0: who asked is gone
	attaching []attachment                       // not answered yet
	unclaimed map[znode.SessionID]int            // answers of the leader that are on their way to connections that are gone
}

// A client is a connection.
type client struct {
	session znode.SessionID // 0 until it has one
	timeout int32           // of the session, in milliseconds
	cut     bool            // has lost its session to another connection, and is not gone yet
}

// A handshake is a connection that wants a session.
type handshake struct {
	conn request.ConnID
	req  *wire.ConnectRequest
}

// An attachment is a connection that wants a session which is open already.
type attachment struct {
	conn    request.ConnID
	session znode.SessionID
	timeout int32         // negotiated, in milliseconds
	asked   bool          // the leader has not said yet whether it may
	on      packet.LinkID // on which it was asked
	valid   bool          // it may
	after   znode.Zxid    // to be answered when the tree has this: the session's earlier writes come first
	round   uint64        // and, by a leader, when a quorum has confirmed this round
}

func newClients() clients {
	return clients{
		byConn: make(map[request.ConnID]*client), owners: make(map[znode.SessionID]request.ConnID),
		opening: make(map[znode.SessionID]request.ConnID), unclaimed: make(map[znode.SessionID]int),
	}
}

// Connect takes in a connection that wants a session: a new one, or one that is open. It is answered with a ClientGreet or a
// ClientRefuse; until then it may wait for the disk, for other servers, and for a leader to be elected. Call Gone when the connection
// is.
func (r *Replica) Connect(conn request.ConnID, req *wire.ConnectRequest, now Time) {
	r.clients.byConn[conn] = &client{}
	if !r.held {
		r.client(ClientOp{Kind: ClientRefuse, Conn: conn})
		return
	}
	r.clients.knocking = append(r.clients.knocking, handshake{conn, req})
	r.letIn(now)
}

// letIn takes handshakes up, the oldest first. They come after all writes that were handed over before them, so that what a
// session has asked for on its last connection is known.
func (r *Replica) letIn(now Time) {
	c := &r.clients
	n := 0
	for r.serving && n < len(c.knocking) && len(c.opening) < openingMost {
		h := c.knocking[n]
		n++
		switch {
		case h.req.LastZxidSeen > r.tree.Zxid(): // it must not see time go backwards
			r.client(ClientOp{Kind: ClientRefuse, Conn: h.conn})
		case h.req.Session == 0:
			r.open(h, now)
		default:
			r.attach(h, now)
		}
	}
	c.knocking = slices.Delete(c.knocking, 0, n)
}

// open asks for a new session. The timeout is negotiated here. An id still in use, as there may be when the wall clock was set
// back between two runs, is passed over.
func (r *Replica) open(h handshake, now Time) {
	id := r.ids.Next()
	for r.known(id) {
		id = r.ids.Next()
	}
	r.clients.opening[id] = h.conn
	r.local.push(request.Request{
		Conn: h.conn, Session: id, Op: wire.OpCreateSession,
		Record: &wire.CreateSessionRequest{Timeout: session.Negotiate(h.req.Timeout, r.cfg.MinTimeout, r.cfg.MaxTimeout)},
	})
	r.pump(now)
}

// known reports whether a session has been heard of here.
func (r *Replica) known(id znode.SessionID) bool {
	if r.sessions != nil && r.sessions.Known(id) {
		return true
	}
	_, open := r.tree.Session(id)
	_, opening := r.clients.opening[id]
	return open || opening
}

// attach gives an open session to whoever knows its password, with a newly negotiated timeout that starts now. Whoever spoke for
// it before on this server is cut off first, before the password is looked at (class ZooKeeperServer, reopenSession).
// A wrong password, and a session that is unknown, closing or expired, look alike.
func (r *Replica) attach(h handshake, now Time) {
	id := h.req.Session
	if old, ok := r.clients.owners[id]; ok {
		r.clients.byConn[old].cut = true
		r.release(id)
		r.client(ClientOp{Kind: ClientClose, Conn: old})
	}
	a := attachment{conn: h.conn, session: id, timeout: session.Negotiate(h.req.Timeout, r.cfg.MinTimeout, r.cfg.MaxTimeout)}
	switch {
	case !session.PasswordMatches(id, h.req.Password):
	default:
		r.own(id, h.conn, a.timeout)
		r.admit(&a, now)
	}
	r.clients.attaching = append(r.clients.attaching, a)
}

// admit decides whether a session may go on on a connection, or asks the leader.
func (r *Replica) admit(a *attachment, now Time) {
	a.round = 0
	if a.asked = r.learner != nil; a.asked {
		a.on = r.links[0]
		r.revalidate(a.session, a.timeout)
		return
	}
	if a.valid, a.after = r.sessions.Check(a.session) == znode.CodeOK, 0; a.valid {
		r.sessions.SetTimeout(a.session, a.timeout, now.Mono)
		r.owned(a.session, r.cfg.Self)
		a.after = r.waiting.lastOf(a.session)
	}
	if r.leader != nil { // nobody else may have ended it meanwhile
		a.round = r.leader.Barrier(now.Mono, &r.effects)
		r.handle(now)
	}
}

// revalidated is the leader's word on a session that a connection here wants to have. The leader answers in the order in which it was
// asked, and does not say whom. An answer to a connection that has gone must not be taken for one to who came after: that the leader
// had heard of the session then says nothing of how long it will last from now on.
func (r *Replica) revalidated(id znode.SessionID, valid bool) {
	if n := r.clients.unclaimed[id]; n > 0 {
		if r.clients.unclaimed[id] = n - 1; n == 1 {
			delete(r.clients.unclaimed, id)
		}
		return
	}
	for i := range r.clients.attaching {
		if a := &r.clients.attaching[i]; a.session == id && a.asked {
			a.asked, a.valid, a.after = false, valid, r.logged
			return
		}
	}
}

// disclaim notes that nobody waits any more for what the leader will say to a, if it was asked on the link there is.
func (r *Replica) disclaim(a *attachment) {
	if !a.asked || len(r.links) == 0 || a.on != r.links[0] {
		return
	}
	r.clients.unclaimed[a.session]++
}

// greet answers the handshakes whose time has come.
func (r *Replica) greet() {
	if len(r.clients.attaching) == 0 {
		return
	}
	zxid := r.tree.Zxid()
	r.clients.attaching = slices.DeleteFunc(r.clients.attaching, func(a attachment) bool {
		if c := r.clients.byConn[a.conn]; c == nil || c.cut {
			r.disclaim(&a)
			return true // it has been closed
		}
		if a.asked || a.after > zxid || a.round > 0 && (r.leader == nil || a.round > r.confirmed) {
			return false // of who leads no more nobody will ever confirm it: whoever leads next is asked again
		}
		resp := wire.ConnectResponse{Password: make([]byte, wire.PasswordLen)}
		if a.valid {
			password := session.Password(a.session)
			resp.Timeout, resp.Session, resp.Password = a.timeout, a.session, password[:]
		} else if r.clients.owners[a.session] == a.conn {
			r.release(a.session)
		}
		r.client(ClientOp{Kind: ClientGreet, Conn: a.conn, Response: resp})
		return true
	})
}

// opened greets whoever asked for a session that now is.
func (r *Replica) opened(id znode.SessionID, timeout int32) {
	conn := r.clients.opening[id]
	delete(r.clients.opening, id)
	if conn == 0 {
		return
	}
	r.own(id, conn, timeout)
	password := session.Password(id)
	r.client(ClientOp{Kind: ClientGreet, Conn: conn, Response: wire.ConnectResponse{Timeout: timeout, Session: id, Password: password[:]}})
}

// own makes a connection the one that speaks for a session. One that is gone by now owns nothing.
func (r *Replica) own(id znode.SessionID, conn request.ConnID, timeout int32) {
	if c := r.clients.byConn[conn]; c != nil {
		c.session, c.timeout = id, timeout
		r.clients.owners[id] = conn
	}
}

// elsewhere ends the connection here of a session that has asked for something through another server meanwhile. What still waits on
// it, or comes on it late, would happen after that, and so must not happen any more: the leader that knows whose the session is may be
// lost before it can refuse it. The refusal of one whose session it is not tells nothing.
func (r *Replica) elsewhere(x *txn.Txn) {
	switch x.Type {
	case wire.OpCreateSession, wire.OpCloseSession:
		return
	case wire.OpError:
		if x.Body.(*txn.Error).Code == znode.CodeSessionMoved {
			return
		}
	}
	if r.role == Standalone {
		return
	}
	conn := r.clients.owners[x.Session]
	if conn == 0 || slices.ContainsFunc(r.clients.attaching, func(a attachment) bool { return a.conn == conn }) {
		return // what it has asked for where it comes from
	}
	r.release(x.Session)
	r.clients.byConn[conn].cut = true
	r.client(ClientOp{Kind: ClientClose, Conn: conn})
}

// release leaves a session without an owner and returns the one it had, 0 for none.
func (r *Replica) release(id znode.SessionID) request.ConnID {
	conn := r.clients.owners[id]
	if conn != 0 {
		delete(r.clients.owners, id)
		r.clients.byConn[conn].session = 0
	}
	return conn
}

// ended ends the connection of a session that has ended, unless the connection asked for that itself and waits for the answer. One
// whose handshake is not answered yet is told by the answer.
func (r *Replica) ended(id znode.SessionID, asked request.ConnID) {
	conn := r.release(id)
	if conn == 0 || conn == asked {
		return
	}
	for i := range r.clients.attaching {
		if a := &r.clients.attaching[i]; a.conn == conn {
			r.disclaim(a)
			a.asked, a.valid = false, false
			return
		}
	}
	r.drop(conn) // whoever is no more is told nothing more, also before its connection is closed
	if c := r.clients.byConn[conn]; c != nil {
		c.cut = true // and nothing is asked for on its behalf
	}
	r.client(ClientOp{Kind: ClientClose, Conn: conn})
}

// Gone forgets a connection. When its session was last heard of must have been told before.
func (r *Replica) Gone(conn request.ConnID, now Time) {
	c := r.clients.byConn[conn]
	if c == nil {
		return
	}
	if c.session != 0 && r.clients.owners[c.session] == conn {
		delete(r.clients.owners, c.session)
	}
	delete(r.clients.byConn, conn)
	r.drop(conn)
	for id, who := range r.clients.opening {
		if who == conn {
			r.clients.opening[id] = 0 // its session is on its way all the same
		}
	}
	r.clients.knocking = slices.DeleteFunc(r.clients.knocking, func(h handshake) bool { return h.conn == conn })
	r.clients.attaching = slices.DeleteFunc(r.clients.attaching, func(a attachment) bool {
		if a.conn == conn {
			r.disclaim(&a)
		}
		return a.conn == conn
	})
	r.letIn(now)
}

// drop forgets the watches of a connection.
func (r *Replica) drop(conn request.ConnID) {
	r.watching.Lock()
	defer r.watching.Unlock()
	r.watches.Drop(conn)
}

// Touch says that a session was heard of here at a moment of the monotonic clock, in milliseconds.
func (r *Replica) Touch(id znode.SessionID, mono int64) {
	if r.sessions != nil {
		r.sessions.Touch(id, mono)
		return
	}
	if conn, ok := r.clients.owners[id]; ok {
		r.touched[id] = r.clients.byConn[conn].timeout
	}
}

// Submit takes in requests of a connection, writes and sync, in order. Each is answered by Apply.
func (r *Replica) Submit(reqs []request.Request, now Time) {
	for i := range reqs {
		// From a connection that has lost its session to another nothing is taken: its client has been told that it is no more, and
		// must not see anything happen on it afterwards.
		if c := r.clients.byConn[reqs[i].Conn]; c != nil && !c.cut {
			r.local.push(reqs[i])
		}
	}
	r.pump(now)
}

// Idle reports whether nothing is kept for any client, and nothing is left to be done for one.
func (r *Replica) Idle() bool {
	c := &r.clients
	return len(c.byConn)+len(c.owners)+len(c.knocking)+len(c.opening)+len(c.attaching)+r.local.len()+len(r.due)+len(r.touched) == 0
}

// touchAll counts every session that speaks through this server as heard of: what was said of them on an earlier link may be lost.
func (r *Replica) touchAll() {
	for id, conn := range r.clients.owners {
		if c := r.clients.byConn[conn]; c != nil && c.timeout > 0 {
			r.touched[id] = c.timeout
		}
	}
}

// closeAll ends every connection: nobody can say any more what its client is to know.
func (r *Replica) closeAll() {
	conns := make([]request.ConnID, 0, len(r.clients.byConn))
	for conn := range r.clients.byConn {
		conns = append(conns, conn)
	}
	slices.Sort(conns)
	waiting := make(map[request.ConnID]bool, len(r.clients.knocking))
	for _, h := range r.clients.knocking {
		waiting[h.conn] = true
	}
	for _, conn := range conns {
		if c := r.clients.byConn[conn]; c.cut || waiting[conn] {
			continue
		} else if c.session != 0 {
			delete(r.clients.owners, c.session)
			c.session = 0
		}
		r.clients.byConn[conn].cut = true
		r.client(ClientOp{Kind: ClientClose, Conn: conn})
	}
	for i := range r.clients.attaching {
		r.disclaim(&r.clients.attaching[i])
	}
	r.clients.attaching = nil
	clear(r.clients.opening)
	clear(r.touched)
	r.local.reset()
}

// refuseAll sends away those who wait for a session.
func (r *Replica) refuseAll() {
	for _, h := range r.clients.knocking {
		r.client(ClientOp{Kind: ClientRefuse, Conn: h.conn})
	}
	r.clients.knocking = nil
}
