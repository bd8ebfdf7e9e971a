package replica_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/session"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A user has one session after another, goes with it from server to server, and writes: nodes with data that nobody else writes.
type user struct {
	w       *chaos
	name    string
	c       *client // nil: it is not connected
	session znode.SessionID
	seen    znode.Zxid
	writes  int
	fate    map[string]*fate     // of what it writes
	asked   map[int32]*fate      // by which request of this connection
	expects map[int32]znode.Zxid // for each sync, what anybody had been told of when it was asked for
	last    string               // the path that this connection was given last
}

// A fate is what a user knows about something it wrote.
type fate struct {
	data        string
	ephemeral   bool
	known, done bool
	path        string
}

// chaos is a world with users and misfortune.
type chaos struct {
	*world
	users []*user
	told  znode.Zxid // the last transaction that anybody was told of
}

func (u *user) act() {
	switch {
	case u.c == nil || u.c.closed:
		u.connect()
	case !u.c.greeted:
	case u.c.session == 0: // it has expired
		u.session = 0
		u.c.hangUp()
	case len(u.c.waiting) <= 6:
		u.session = u.c.session
		u.ask()
	}
}

func (u *user) ask() {
	switch n := u.w.rng.IntN(20); {
	case n == 0:
		u.c.ask(wire.OpCloseSession, nil)
		u.session = 0
		u.c.hangUp()
	case n == 1:
		u.c.hangUp()
	case n == 2: // it goes elsewhere, and its last connection does not know
		u.c.silent = true
		u.connect()
	case n < 7:
		u.expects[u.c.sync()] = u.w.told
	default:
		u.writes++
		f := &fate{data: fmt.Sprintf("%s-%d", u.name, u.writes), ephemeral: u.w.rng.IntN(3) == 0}
		mode := znode.ModePersistentSequential
		if f.ephemeral {
			mode = znode.ModeEphemeralSequential
		}
		xid := u.c.ask(wire.OpCreate, &wire.CreateRequest{Path: "/n-", Data: []byte(f.data), ACL: znode.OpenACL(), Mode: mode, TTL: -1})
		u.asked[xid], u.fate[f.data] = f, f
	}
}

// connect gives up the last connection and tries another. What was asked for on the last may have been done or not.
func (u *user) connect() {
	if u.c != nil {
		u.c.heard = nil
	}
	u.c, u.last = nil, ""
	u.asked, u.expects = make(map[int32]*fate), make(map[int32]znode.Zxid)
	h := u.w.hosts[u.w.rng.IntN(len(u.w.hosts))]
	if h.r == nil {
		return
	}
	req := wire.ConnectRequest{Timeout: 8 * tick, LastZxidSeen: u.seen}
	if u.session != 0 {
		password := session.Password(u.session)
		req.Session, req.Password = u.session, password[:]
	}
	u.c = h.connect(req)
	u.c.heard = u.hear
}

// hear takes in what the user was answered.
func (u *user) hear(r reply) {
	w, t := u.w, u.c.h.r.Tree()
	require.GreaterOrEqual(w, r.Zxid, u.seen, "time does not go backwards")
	u.seen, w.told = r.Zxid, max(w.told, r.Zxid)
	if before, ok := u.expects[r.Xid]; ok {
		require.Equal(w, znode.CodeOK, r.Err)
		require.GreaterOrEqual(w, t.Zxid(), before, "somebody was told of more before the sync")
		return
	}
	f := u.asked[r.Xid]
	if f.known = true; r.Err != znode.CodeOK {
		require.Equal(w, znode.CodeSessionExpired, r.Err)
		return
	}
	f.done, f.path = true, r.body.(*wire.CreateResponse).Path
	require.Greater(w, f.path, u.last, "what a connection asks for is done in order")
	u.last = f.path
	require.NotNil(w, t.Node(f.path))
	require.Equal(w, f.data, string(t.Node(f.path).Data()))
}

// misfortune has something bad happen, or something good again.
func (c *chaos) misfortune() {
	h := c.hosts[c.rng.IntN(len(c.hosts))]
	switch n := c.rng.IntN(10); {
	case n < 2 && h.r != nil:
		h.crash()
	case n < 4:
		for _, o := range c.hosts {
			if o.r == nil {
				o.boot(nil)
			}
		}
	case n == 4:
		c.isolate(h)
	case n < 7:
		c.connectAll()
	case n == 7:
		o := c.hosts[c.rng.IntN(len(c.hosts))]
		if o != h {
			c.setCut(h, o, true)
		}
	case n == 8:
		if h.r != nil && h.r.Waiting() == 0 && len(h.queued) == 0 && len(h.ends) > 0 && h.r.Untrusted() == nil {
			if _, serving := h.r.Role(); serving {
				h.compact()
			}
		}
	case n == 9 && c.whole():
		h.crash()
		c.note("%d loses its disk", h.id)
		h.disk = platter{}
	}
}

// whole reports whether every server runs and serves, so that one disk may be lost.
func (c *chaos) whole() bool {
	for _, h := range c.hosts {
		if h.r == nil {
			return false
		}
	}
	return c.served()
}

// mustKeepWord compares what users know with what is.
func (c *chaos) mustKeepWord() {
	t := c.leader().r.Tree()
	at := map[string][]string{} // by data
	for name := range t.Node("/").Children() {
		n := t.Node("/" + name)
		at[string(n.Data())] = append(at[string(n.Data())], n.Path())
		if id := znode.SessionID(n.Stat().EphemeralOwner); id != 0 {
			_, alive := t.Session(id)
			require.True(c, alive, "%s has an owner that is gone", n.Path())
		}
	}
	for _, u := range c.users {
		for data, f := range u.fate {
			paths := at[data]
			require.LessOrEqual(c, len(paths), 1, "%s was done twice", data)
			switch {
			case f.known && !f.done:
				require.Empty(c, paths, "%s was refused", data)
			case f.done && len(paths) == 1:
				require.Equal(c, f.path, paths[0], data)
			case f.done:
				require.True(c, f.ephemeral, "%s is lost", data)
			}
		}
	}
}

func runChaos(t *testing.T, s shape) {
	worlds(t, s, func(w *world) {
		c := &chaos{world: w}
		for i := range 4 {
			c.users = append(c.users, &user{w: c, name: fmt.Sprint("u", i), fate: make(map[string]*fate)})
		}
		w.start()
		w.mustServe()
		for range 4000 {
			switch n := w.rng.IntN(200); {
			case n == 0:
				c.misfortune()
			case n < 20:
				c.users[w.rng.IntN(len(c.users))].act()
			}
			w.step()
		}
		w.mustBeSound()
		c.mustKeepWord()
		require.NotZero(w, c.told)
	})
}

func TestChaos(t *testing.T)              { runChaos(t, shape{servers: 3}) }
func TestChaosOfFive(t *testing.T)        { runChaos(t, shape{servers: 5, observers: 1}) }
func TestChaosWithSnapshots(t *testing.T) { runChaos(t, shape{servers: 3, observers: 1, history: 3}) }
func TestChaosAmongStrangers(t *testing.T) {
	runChaos(t, shape{servers: 3, observers: 1, history: 10, strangers: true})
}
func TestChaosAtTheCountersEnd(t *testing.T) {
	runChaos(t, shape{servers: 3, counterStart: 1<<32 - 30})
}
