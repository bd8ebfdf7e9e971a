package replica_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

var three = shape{servers: 3}

// everywhere waits until all servers that run have a node, or have not.
func (w *world) everywhere(path string, there bool) {
	w.Helper()
	w.until(func() bool {
		for _, h := range w.hosts {
			if h.r != nil && (h.node(path) != nil) != there {
				return false
			}
		}
		return true
	}, fmt.Sprintf("%s everywhere: %v", path, there))
}

func TestThreeServersElectAndServe(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		leader := w.mustServe()
		require.Len(w, w.followers(), 2)
		for _, h := range w.hosts {
			require.Equal(w, leader.id, h.r.Leader())
			accepted, current := h.r.Epochs()
			require.Equal(w, []int64{1, 1}, []int64{accepted, current})
			require.Equal(w, []int64{1, 1}, []int64{h.disk.accepted, h.disk.current})
			c := h.mustOpen(5 * tick)
			require.Equal(w, int32(5*tick), c.timeout)
			xid := c.create(fmt.Sprintf("/by-%d", h.id), znode.ModePersistent)
			require.Equal(w, fmt.Sprintf("/by-%d", h.id), c.must(xid).body.(*wire.CreateResponse).Path)
			require.NotNil(w, h.node(fmt.Sprintf("/by-%d", h.id)), "who has the answer sees what it answers")
		}
		for _, h := range w.hosts {
			w.everywhere(fmt.Sprintf("/by-%d", h.id), true)
			w.until(func() bool { return h.disk.served }, "it is noted that this server has served")
		}
	})
}

func TestOneServerIsAnEnsemble(t *testing.T) {
	worlds(t, shape{servers: 1}, func(w *world) {
		w.start()
		leader := w.mustServe()
		c := leader.mustOpen(5 * tick)
		c.must(c.create("/a", znode.ModePersistent))
		c.must(c.sync())
		leader.crash()
		w.start()
		require.NotNil(w, w.mustServe().node("/a"))
	})
}

func TestAnswersComeOnceAndInOrder(t *testing.T) {
	worlds(t, shape{servers: 3, observers: 1}, func(w *world) {
		w.start()
		w.mustServe()
		var clients []*client
		for _, h := range w.hosts {
			clients = append(clients, h.mustOpen(10*tick), h.mustOpen(10*tick))
		}
		w.create(clients, "/n-")
		for range 30 {
			c := clients[w.rng.IntN(len(clients))]
			for range 1 + w.rng.IntN(4) {
				switch w.rng.IntN(4) {
				case 0:
					c.sync()
				case 1:
					c.create("/none/such", znode.ModePersistent)
				default:
					c.create("/n-", znode.ModePersistentSequential)
				}
			}
			w.step()
		}
		w.until(func() bool { return idle(clients) }, "all are answered") // client.answer checks how
		seen := map[string]bool{}
		for _, c := range clients {
			require.False(w, c.closed)
			for xid, r := range c.answers {
				if c.op(xid) != wire.OpCreate {
					require.Equal(w, znode.CodeOK, r.Err)
					continue
				}
				if r.Err != znode.CodeOK {
					require.Equal(w, znode.CodeNoNode, r.Err)
					continue
				}
				path := r.body.(*wire.CreateResponse).Path
				require.False(w, seen[path], "%s was given twice", path)
				seen[path] = true
				require.NotNil(w, c.h.node(path))
			}
		}
		require.Equal(w, len(seen), w.leader().node("/").NumChildren()-1, "nothing was done that nobody was told of")
	})
}

// create has each of some clients create something, and is not interested in the answers.
func (w *world) create(clients []*client, path string) {
	for _, c := range clients {
		c.create(path, znode.ModePersistentSequential)
	}
}

func idle(clients []*client) bool {
	for _, c := range clients {
		if len(c.waiting) > 0 && !c.closed {
			return false
		}
	}
	return true
}

// What was answered anywhere before a sync is seen after it here.
func TestSync(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		leader := w.mustServe()
		for _, writes := range w.hosts {
			for _, reads := range w.hosts {
				path := fmt.Sprintf("/by-%d-for-%d", writes.id, reads.id)
				a, b := writes.mustOpen(10*tick), reads.mustOpen(10*tick)
				a.must(a.create(path, znode.ModePersistent))
				b.must(b.sync())
				require.NotNil(w, reads.node(path), "leader is %d", leader.id)
			}
		}
	})
}

// A leader that has been cut off may believe for a while that it leads: it must not answer a sync, nor may one that follows it.
func TestSyncIsNotAnsweredByAnOldLeader(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		old := w.mustServe()
		c := old.mustOpen(20 * tick)
		w.pass(tick)
		w.isolate(old)
		w.until(func() bool {
			for _, h := range w.hosts {
				if h != old && h.serves(replica.Leading) {
					return true
				}
			}
			return false
		}, "the others have a leader")
		xid := c.sync()
		for range 50 {
			w.step()
			require.NotContains(w, c.answers, xid)
		}
		w.connectAll()
		w.mustServe()
		w.until(func() bool { return idle([]*client{c}) }, "it is answered when there is a leader again")
	})
}

func TestSessionMoves(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		leader := w.mustServe()
		for _, from := range w.hosts {
			for _, to := range w.hosts {
				a := from.mustOpen(10 * tick)
				path := fmt.Sprintf("/from-%d-to-%d", from.id, to.id)
				a.create(path, znode.ModeEphemeral) // not waited for
				b := to.mustAttach(a.session)
				done := to.node(path) != nil // of what a session has asked for on its last connection, all that will be comes first
				if from == to {
					require.True(w, a.closed)
				}
				require.True(w, done || from != to && from != leader, "the leader had it before it heard of the new connection")
				// Where it was before, nothing is taken any more.
				if !a.closed {
					xid := a.create(path+"-late", znode.ModePersistent)
					w.until(func() bool { return a.closed }, "the old connection is closed")
					require.NotContains(w, a.answers, xid)
				}
				b.must(b.create(path+"-then", znode.ModeEphemeral))
				require.Nil(w, to.node(path+"-late"))
				require.Equal(w, done, to.node(path) != nil, "or not at all")
				b.must(b.ask(wire.OpCloseSession, nil))
				w.everywhere(path, false)
				w.everywhere(path+"-then", false)
			}
		}
	})
}

func TestNobodyHasAForeignSession(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		w.mustServe()
		for _, h := range w.hosts {
			c := h.connect(wire.ConnectRequest{Session: 77, Password: make([]byte, wire.PasswordLen), Timeout: 5000})
			w.until(func() bool { return c.greeted }, "the answer")
			require.Zero(w, c.session, "wrong password")
			c = h.attach(77)
			w.until(func() bool { return c.greeted }, "the answer")
			require.Zero(w, c.session, "no such session")
			d := h.connect(wire.ConnectRequest{Timeout: 5000, LastZxidSeen: znode.MakeZxid(9, 9)})
			w.until(func() bool { return d.closed }, "the answer")
			require.True(w, d.refused, "it has seen the future")
		}
	})
}

func TestSessionsExpire(t *testing.T) {
	worlds(t, shape{servers: 3, observers: 1}, func(w *world) {
		w.start()
		w.mustServe()
		var lively, silent []*client
		for _, h := range w.hosts {
			a, b := h.mustOpen(4*tick), h.mustOpen(4*tick)
			a.must(a.create(fmt.Sprintf("/lively-%d", h.id), znode.ModeEphemeral))
			b.must(b.create(fmt.Sprintf("/silent-%d", h.id), znode.ModeEphemeral))
			lively, silent = append(lively, a), append(silent, b)
		}
		w.pass(10 * tick)
		for i, h := range w.hosts {
			w.everywhere(fmt.Sprintf("/lively-%d", h.id), true)
			require.NotNil(w, h.node(fmt.Sprintf("/silent-%d", h.id)), "it is heard of")
			silent[i].silent = true
		}
		w.pass(3 * tick)
		for _, h := range w.hosts {
			require.NotNil(w, h.node(fmt.Sprintf("/silent-%d", h.id)), "not before its time")
		}
		w.pass(4 * tick)
		for i, h := range w.hosts {
			w.everywhere(fmt.Sprintf("/silent-%d", h.id), false)
			require.NotNil(w, h.node(fmt.Sprintf("/lively-%d", h.id)))
			require.True(w, silent[i].closed, "and its connection with it")
			require.False(w, lively[i].closed)
		}
	})
}

func TestConnectionsOutliveTheLeader(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		old := w.mustServe()
		var clients []*client
		for _, h := range w.hosts {
			if h != old {
				clients = append(clients, h.mustOpen(10*tick), h.mustOpen(10*tick))
			}
		}
		w.create(clients, "/before-")
		w.until(func() bool { return idle(clients) }, "answers")
		for range 1 + w.rng.IntN(3) {
			w.create(clients, "/n-")
			clients[w.rng.IntN(len(clients))].sync()
			for range w.rng.IntN(60) {
				w.step()
			}
		}
		old.crash()
		w.create(clients, "/n-")
		fresh := clients[0].h.open(10 * tick) // a handshake that waits for a leader
		w.until(func() bool { return idle(clients) && fresh.greeted }, "all are answered by whoever leads then")
		done := 0
		for _, c := range clients {
			require.False(w, c.closed, "nobody's connection was lost")
			for xid, r := range c.answers {
				require.Equal(w, znode.CodeOK, r.Err)
				if c.op(xid) == wire.OpCreate {
					require.NotNil(w, c.h.node(r.body.(*wire.CreateResponse).Path))
					done++
				}
			}
		}
		require.Equal(w, done, clients[0].h.node("/").NumChildren()-1, "each was done once")
		require.NotZero(w, fresh.session)
	})
}

// The leader itself looks for another when it has lost its followers; its clients stay connected too.
func TestClientsOfADeposedLeader(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		old := w.mustServe()
		c := old.mustOpen(20 * tick)
		xid := c.create("/first", znode.ModePersistent)
		c.must(xid)
		w.isolate(old)
		var asked []int32
		for range 3 {
			asked = append(asked, c.create("/n-", znode.ModePersistentSequential), c.sync())
		}
		w.until(func() bool { return old.serves(replica.Leading) == false && len(w.followers()) == 1 }, "the others have another leader")
		other := w.followers()[0]
		d := other.mustOpen(20 * tick)
		d.must(d.create("/meanwhile", znode.ModePersistent))
		w.connectAll()
		for _, xid := range asked {
			c.must(xid)
		}
		require.False(w, c.closed)
		require.Equal(w, 1+2+3, old.node("/").NumChildren(), "nothing twice")
	})
}
