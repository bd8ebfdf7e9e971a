package replica_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
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

// What a peer says and nobody understands has no answer, and somebody waits for one: the link ends, and a new one begins afresh.
func TestGarbageEndsItsLinkAndNothingElse(t *testing.T) {
	for _, typ := range []packet.Type{packet.TypeRequest, packet.TypeRevalidate} {
		worlds(t, three, func(w *world) {
			w.start()
			leader := w.mustServe()
			from := w.followers()[0]
			var bad packet.LinkID
			for _, l := range leader.r.Status(nil).Learners {
				if l.Server == from.id {
					bad = l.Link
				}
			}
			require.NotZero(w, bad)
			leader.r.Packets(bad, []packet.Packet{{Type: typ, Zxid: -1, Data: []byte{1, 2, 3}}}, w.time())
			require.True(w, slices.ContainsFunc(leader.r.Ready().Links, func(op replica.LinkOp) bool {
				return op.Kind == replica.LinkClose && op.Link == bad && errors.Is(op.Err, jute.ErrMalformed)
			}))
			leader.perform()
			require.Same(w, leader, w.mustServe())
			c := from.mustOpen(5 * tick)
			c.must(c.create("/after", znode.ModePersistent))
		})
	}
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
				if writes != leader {
					continue
				}
				a.create(path+"-now", znode.ModePersistent)
				w.settleAll()
				b.must(b.sync())
				require.NotNil(w, reads.node(path+"-now"), "what is proposed before comes before")
			}
		}
	})
}

// A leader that has been cut off may believe for a while that it leads: it must not answer a sync, nor may one that follows it.
func TestSyncIsNotAnsweredByAnOldLeader(t *testing.T) {
	worlds(t, shape{servers: 5}, func(w *world) {
		w.start()
		old := w.mustServe()
		follower := w.followers()[w.rng.IntN(4)]
		clients := []*client{old.mustOpen(20 * tick), follower.mustOpen(20 * tick)}
		w.pass(tick)
		var others []*host
		for _, h := range w.hosts {
			if h != old && h != follower {
				w.setCut(h, old, true)
				w.setCut(h, follower, true)
				others = append(others, h)
			}
		}
		for _, c := range clients {
			c.sync()
		}
		w.until(func() bool {
			for _, c := range clients {
				require.NotEmpty(w, c.waiting)
			}
			for _, h := range others {
				if h.serves(replica.Leading) {
					return true
				}
			}
			return false
		}, "the others have a leader")
		for range 50 {
			w.step()
			for _, c := range clients {
				require.NotEmpty(w, c.waiting)
			}
		}
		w.connectAll()
		w.mustServe()
		w.until(func() bool { return idle(clients) }, "they are answered when there is a leader again")
	})
}

// The leader's word on one sync is not taken for its word on the next, when the first did not have to wait for it.
func TestSyncsAreToldApart(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		leader := w.mustServe()
		h := w.followers()[0]
		c, d := h.mustOpen(20*tick), leader.mustOpen(20*tick)
		for range 30 {
			c.sync()
			xid := c.create("/w-", znode.ModePersistentSequential)
			w.until(func() bool { return leader.awaits(packet.TypeRequest) || len(c.waiting) == 0 }, "the leader is asked")
			d.sync() // keeps it busy proving that it leads
			c.must(xid)
			if !h.awaits(packet.TypeSync) {
				continue
			}
			require.Empty(w, c.waiting, "the write behind the first tells enough")
			w.setCut(h, leader, true)
			path := d.must(d.create("/x-", znode.ModePersistentSequential)).body.(*wire.CreateResponse).Path
			xid = c.sync()
			w.setCut(h, leader, false)
			c.must(xid)
			require.NotNil(w, h.node(path))
		}
	})
}

// awaits reports whether a packet of that type is on its way to a host.
func (h *host) awaits(typ packet.Type) bool {
	for _, e := range h.ends {
		for _, i := range e.in {
			var p packet.Packet
			if d := jute.NewDecoder(i.packet); i.packet != nil {
				if p.DecodeJute(&d); p.Type == typ {
					return true
				}
			}
		}
	}
	return false
}

func TestSessionMoves(t *testing.T) {
	worlds(t, shape{servers: 3, observers: 1}, func(w *world) {
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

// Whose requests reach the leader has been heard of, also if a learner has no occasion to say so.
func TestRequestsAreSignsOfLife(t *testing.T) {
	worlds(t, shape{servers: 3, observers: 1}, func(w *world) {
		w.start()
		leader := w.mustServe()
		for _, h := range w.others(leader) {
			a := h.mustOpen(4 * tick)
			a.silent = true
			for range 5 {
				a.create("/", znode.ModePersistent) // refused, but heard
				a.sync()
				w.pass(3 * tick)
				require.False(w, a.closed, "it was heard of three ticks ago")
			}
			w.pass(7 * tick)
			require.True(w, a.closed)
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

func TestWatchesOutliveTheLeader(t *testing.T) {
	worlds(t, shape{servers: 3, observers: 1}, func(w *world) {
		w.start()
		old := w.mustServe()
		var watchers []*client
		for _, h := range w.hosts {
			if h != old {
				c := h.mustOpen(20 * tick)
				body := (&wire.WatchRequest{Path: "/w", Watch: true}).AppendJute(nil)
				h.r.Answer(nil, &request.Request{Conn: c.conn, Session: c.session, Op: wire.OpExists, Body: body})
				watchers = append(watchers, c)
			}
		}
		old.crash()
		w.mustServe()
		c := watchers[w.rng.IntN(len(watchers))]
		c.must(c.create("/w", znode.ModePersistent))
		c.must(c.ask(wire.OpDelete, &wire.DeleteRequest{Path: "/w", Version: -1}))
		w.everywhere("/w", false)
		for _, c := range watchers {
			w.until(func() bool { return len(c.events) > 0 }, "the event")
			require.Equal(w, []string{"/w"}, c.events, "once")
		}
	})
}

// The counter of an epoch has an end. It costs an election, and nothing else.
func TestCountersEnd(t *testing.T) {
	worlds(t, shape{servers: 3, counterStart: 1<<32 - 12}, func(w *world) {
		w.start()
		w.mustServe()
		var clients []*client
		for _, h := range w.hosts {
			clients = append(clients, h.mustOpen(20*tick))
		}
		for range 15 {
			w.create(clients, "/n-")
			clients[w.rng.IntN(3)].sync()
			for range w.rng.IntN(10) {
				w.step()
			}
		}
		w.until(func() bool { return idle(clients) }, "all are answered")
		for _, c := range clients {
			require.False(w, c.closed)
			for _, r := range c.answers {
				require.Equal(w, znode.CodeOK, r.Err)
			}
		}
		for path := range clients[0].h.node("/").Children() {
			require.NotNil(w, clients[0].h.node("/"+path))
		}
		w.until(func() bool { return clients[0].h.node("/").NumChildren() == 1+3*15 }, "each was done once")
		_, epoch := w.mustServe().r.Epochs()
		require.GreaterOrEqual(w, epoch, int64(5))
	})
}

// A ping is not answered by who may have been forgotten: before the ensemble can end a session, its client is told nothing good.
func TestFresh(t *testing.T)               { fresh(t, three) }
func TestFreshAmongStrangers(t *testing.T) { fresh(t, shape{servers: 3, strangers: true}) }

func fresh(t *testing.T, s shape) {
	worlds(t, s, func(w *world) {
		w.start()
		leader := w.mustServe()
		followers := w.followers()
		for _, e := range leader.ends {
			require.Equal(w, !s.strangers, leader.r.Ours(e.id))
		}
		fresh := func(want bool, hosts ...*host) {
			w.Helper()
			for _, h := range hosts {
				_, serving := h.r.Role()
				require.True(w, serving, "server %d", h.id)
				require.Equal(w, want, h.r.Fresh(w.time()), "server %d", h.id)
			}
		}
		w.pass(2 * tick)
		fresh(true, w.hosts...)
		w.isolate(followers[0])
		w.pass(2 * tick)
		fresh(true, leader, followers[1])
		fresh(false, followers[0])
		w.connectAll()
		w.pass(2 * tick)
		fresh(true, w.hosts...)
		w.isolate(leader)
		w.pass(2 * tick)
		fresh(false, w.hosts...)
		w.connectAll()
		w.pass(2 * tick)
		fresh(true, w.hosts...)
		_, epoch := leader.r.Epochs()
		require.Equal(w, int64(1), epoch, "nobody had to be elected")
		leader.crash()
		w.until(func() bool { return !followers[0].serves(replica.Following) }, "they see it")
		require.False(w, followers[0].r.Fresh(w.time()))
	})
}

// A leader may be elected and never be reached. Who calls it does not wait for longer than for one that is slow.
func TestALeaderThatCannotBeCalled(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		leader := w.mustServe()
		h := w.followers()[0]
		leader.swallows = true
		w.isolate(h)
		w.until(func() bool { return !h.serves(replica.Following) }, "it has lost its leader")
		w.connectAll()
		w.until(func() bool { return h.r.Leader() == leader.id }, "it has found it again")
		begun, elections := w.now, h.r.Elections()
		w.until(func() bool { return h.r.Elections() > elections }, "it has given up")
		require.InDelta(w, initLimit*tick, w.now-begun, tick/10)
		require.ErrorContains(w, h.r.Left(), "does not answer")
		leader.swallows = false
		require.Equal(w, leader.id, w.mustServe().id)
	})
}

// Without a leader clients are kept for a while, and no longer.
func TestHold(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		w.mustServe()
		h := w.followers()[0]
		c := h.mustOpen(20 * tick)
		w.isolate(h)
		w.until(func() bool { return !h.serves(replica.Following) }, "it looks for a leader")
		since := w.now
		waits := h.open(5 * tick)
		w.until(func() bool { return w.now >= since+hold-tick }, "time")
		require.False(w, c.closed)
		require.False(w, waits.closed)
		w.until(func() bool { return w.now >= since+hold+tick }, "time")
		require.True(w, c.closed)
		require.True(w, waits.refused)
		late := h.open(5 * tick)
		w.settleAll()
		require.True(w, late.refused, "nobody is let in any more")
		w.connectAll()
		w.mustServe()
		h.mustOpen(5 * tick)
	})
}

// What nobody waits for any more is not asked for again, but for the end of a session.
func TestRequestsOfGoneConnections(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		leader := w.mustServe()
		h := w.followers()[0]
		stays, goes, ends := h.mustOpen(20*tick), h.mustOpen(20*tick), h.mustOpen(20*tick)
		w.isolate(h)
		if w.rng.IntN(2) == 0 {
			w.until(func() bool { return !h.serves(replica.Following) }, "it looks for a leader")
		}
		goes.create("/gone", znode.ModePersistent)
		ends.ask(wire.OpCloseSession, nil)
		xid := stays.create("/stayed", znode.ModePersistent)
		goes.hangUp()
		ends.hangUp()
		w.until(func() bool { return goes.told && ends.told && !h.serves(replica.Following) }, "their ends are known")
		w.connectAll()
		w.mustServe()
		stays.must(xid)
		w.everywhere("/stayed", true)
		require.Nil(w, leader.node("/gone"))
		w.until(func() bool { return leader.r.Tree().SessionCount() == 2 }, "the session was closed")
	})
}

// Sessions that were asked for by clients that left meanwhile leave no trace that keeps others out.
func TestManyKnockAndLeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, three)
	w.start()
	w.mustServe()
	h := w.followers()[0]
	w.isolate(h)
	var clients []*client
	for range 1000 {
		clients = append(clients, h.open(5*tick))
	}
	for _, c := range clients {
		c.hangUp()
	}
	w.until(func() bool { return !h.serves(replica.Following) && len(h.guests) == 0 }, "all are gone")
	w.connectAll()
	w.mustServe()
	h.mustOpen(5 * tick)
	w.mustBeSound()
}
