package server

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/front"
	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// TestOrderWithinSessions has several sessions write, read and watch at random, in bursts, on connections that break off at random
// on either side or are taken over while they are in use, over a disk that takes its time or while snapshots are taken. What each session is told is held
// against what the protocol promises to one session:
//
//   - replies come in the order of the requests, their zxids never fall, not across connections either
//   - a read sees every write the session asked for before it; what became of writes without an answer shows in the first
//     read on the next connection and does not change any more
//   - an event comes before any reply that reflects what it tells of
//   - what was acknowledged is there in the end, and after a restart
//
// and in the end nothing is left of anybody.
func TestOrderWithinSessions(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			t.Logf("seed %d", seed)
			// Not both at once: ending a log file holds a mutex while it syncs, and a bubble's clock stands still for who waits for one.
			busy := seed%2 == 0
			r := newRig(t, disk.NewMem(nil), func(c *Config) {
				if c.PurgeInterval = -1; busy {
					c.SnapCount = 50
				}
			})
			h := &history{rig: r, writes: map[string]map[znode.Zxid]string{}}
			setup := r.mustDial()
			for _, path := range []string{"/s0", "/s1", "/own0", "/own1", "/own2", "/own3"} {
				h.wrote(path, setup.mustCall(wire.OpCreate, &wire.CreateRequest{Path: path, Data: []byte("0"), ACL: znode.OpenACL()}).Header.Zxid, "0")
			}
			require.NoError(t, setup.CloseSession(t.Context()))
			slow := rand.New(rand.NewPCG(seed, 99))
			r.fs.SetFault(func(op disk.Op) disk.Fault {
				if op.Kind == disk.OpSync && !busy && slow.IntN(3) == 0 { // only the log's goroutine comes here
					time.Sleep(3 * time.Millisecond)
				}
				return disk.Fault{}
			})
			var all sync.WaitGroup
			people := make([]*person, 4)
			for i := range people {
				people[i] = &person{history: h, rand: rand.New(rand.NewPCG(seed, uint64(i))), own: fmt.Sprint("/own", i), seen: map[string]znode.Zxid{}}
				all.Go(people[i].live)
			}
			all.Wait()
			r.fs.SetFault(nil)
			h.judge(people)
			h.mustBeForgotten()
		})
	}
}

// history is what all sessions were told together.
type history struct {
	*rig
	mu     sync.Mutex
	writes map[string]map[znode.Zxid]string // by path: what the write at that zxid made of it, as far as anybody was told
}

func (h *history) wrote(path string, zxid znode.Zxid, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writes[path] == nil {
		h.writes[path] = map[znode.Zxid]string{}
	}
	if old, ok := h.writes[path][zxid]; ok {
		require.Equal(h, old, value, "%s at %v", path, zxid)
	}
	h.writes[path][zxid] = value
}

// told is one thing a connection was told.
type told struct {
	zxid  znode.Zxid
	event string // path of the event; empty for a reply
	watch string // path that is watched since this reply
}

// person is a session that lives on over several connections.
type person struct {
	*history
	rand *rand.Rand
	own  string // a node nobody else writes to; its values count up
	c    *rawclient.Conn

	zxid  znode.Zxid // latest it was told
	sent  int        // last value asked to be written to own
	known int        // value of own that is certain to be reached
	lost  bool       // writes between known and sent may or may not have happened
	seen  map[string]znode.Zxid
	log   [][]told // by connection
}

// query is a request of a burst.
type query struct {
	op    wire.Op
	path  string
	watch bool
	value string
}

func (p *person) live() {
	p.attach()
	for range 12 {
		burst := p.burst()
		for _, a := range burst {
			p.c.Send(a.op, a.record())
			if a.op == wire.OpSetData && a.path == p.own {
				p.sent++
			}
		}
		if p.c.Flush(p.Context()) != nil {
			p.lost = true
			p.attach()
			continue
		}
		time.Sleep(time.Duration(p.rand.IntN(4)) * time.Millisecond)
		hear := len(burst)
		breaks := p.rand.IntN(4)
		if breaks < 3 { // not all will be heard
			hear = p.rand.IntN(len(burst) + 1)
		}
		for _, a := range burst[:hear] {
			p.hear(a)
		}
		if breaks == 3 {
			continue
		}
		p.lost = true
		switch breaks {
		case 0:
			require.NoError(p, p.c.Close())
		case 1: // the server breaks off
			p.speaker(p.c.Session()).Close()
		case 2: // taken over while it is in use
		}
		p.attach()
	}
	p.look()
	require.NoError(p, p.c.CloseSession(p.Context()))
}

// attach opens the session, or takes it over on a new connection.
func (p *person) attach() {
	o := p.options()
	if p.c != nil {
		o.Session, o.Password, o.LastZxid = p.c.Session(), p.c.Password(), p.zxid
		defer p.c.Close()
	}
	c, err := rawclient.Dial(p.Context(), o)
	require.NoError(p, err)
	p.c, p.log = c, append(p.log, nil)
}

func (p *person) burst() []query {
	list := make([]query, 1+p.rand.IntN(8))
	next := p.sent
	for i := range list {
		a := &list[i]
		a.path = []string{p.own, p.own, "/s0", "/s1"}[p.rand.IntN(4)]
		switch a.op = []wire.Op{wire.OpSetData, wire.OpGetData, wire.OpGetData, wire.OpPing, wire.OpCreate}[p.rand.IntN(5)]; a.op {
		case wire.OpSetData:
			if a.value = fmt.Sprint(p.own, " ", p.rand.Uint64()); a.path == p.own {
				next++
				a.value = fmt.Sprint(next)
			}
		case wire.OpGetData:
			a.watch = p.rand.IntN(2) == 0
		}
	}
	return list
}

func (a query) record() wire.Record {
	switch a.op {
	case wire.OpSetData:
		return set(a.path, a.value)
	case wire.OpGetData:
		return &wire.WatchRequest{Path: a.path, Watch: a.watch}
	case wire.OpCreate:
		return create("/e-", znode.ModeEphemeralSequential)
	}
	return nil
}

// hear receives the reply to a and the events before it.
func (p *person) hear(a query) {
	conn := &p.log[len(p.log)-1]
	for {
		m, err := p.c.Receive(p.Context())
		require.NoError(p, err)
		if e := m.Event(); e != nil {
			require.Greater(p, m.Header.Zxid, p.zxid, "%s: the event comes before all that reflects it", e.Path)
			*conn = append(*conn, told{zxid: m.Header.Zxid, event: e.Path})
			continue
		}
		require.NoError(p, m.Err())
		require.Equal(p, a.op, m.Op)
		require.GreaterOrEqual(p, m.Header.Zxid, p.zxid, "zxids never fall")
		p.zxid = m.Header.Zxid
		entry := told{zxid: m.Header.Zxid}
		switch rec := m.Record.(type) {
		case *wire.StatResponse:
			require.Equal(p, m.Header.Zxid, rec.Stat.Mzxid)
			p.saw(a.path, rec.Stat.Mzxid, a.value)
			if a.path == p.own {
				p.known, p.lost = p.number(a.value), false
			}
		case *wire.DataResponse:
			p.saw(a.path, rec.Stat.Mzxid, string(rec.Data))
			p.mustBeMine(a.path, string(rec.Data))
			if a.watch {
				entry.watch = a.path
			}
		}
		*conn = append(*conn, entry)
		return
	}
}

// saw notes a value of a node.
func (p *person) saw(path string, mzxid znode.Zxid, value string) {
	require.GreaterOrEqual(p, mzxid, p.seen[path], "%s goes back", path)
	require.LessOrEqual(p, mzxid, p.zxid)
	p.seen[path] = mzxid
	p.wrote(path, mzxid, value)
}

// mustBeMine holds a value of its own node against what it wrote. On one connection the last answer before decides; after a loss
// the first value does.
func (p *person) mustBeMine(path, value string) {
	if path != p.own {
		return
	}
	n := p.number(value)
	if p.lost {
		require.GreaterOrEqual(p, n, p.known, "an acknowledged write is gone")
		require.LessOrEqual(p, n, p.sent)
		p.known, p.lost = n, false
		return
	}
	require.Equal(p, p.known, n, "a read sees the writes before it, and those only")
}

func (p *person) number(value string) int {
	n, err := strconv.Atoi(value)
	require.NoError(p, err)
	return n
}

// look reads its own node a last time.
func (p *person) look() {
	p.c.Send(wire.OpGetData, &wire.WatchRequest{Path: p.own})
	p.hear(query{op: wire.OpGetData, path: p.own})
}

// judge looks for replies that reflect a change which a watch should have told of before, and compares the end with what was
// acknowledged, before and after a restart.
func (h *history) judge(people []*person) {
	for _, p := range people {
		for _, conn := range p.log {
			for i, arm := range conn {
				if arm.watch != "" {
					h.mustTell(arm, conn[i+1:])
				}
			}
		}
	}
	for range 2 {
		u := h.mustDial()
		for _, p := range people {
			require.Equal(h, fmt.Sprint(p.known), u.data(p.own))
		}
		require.NoError(h, u.CloseSession(h.Context()))
		digest, zxid := h.replica.Tree().Digest(), h.replica.Tree().Zxid()
		require.NoError(h, h.Server.Close())
		h.start()
		require.Equal(h, digest, h.replica.Tree().Digest())
		require.Equal(h, zxid, h.replica.Tree().Zxid())
	}
}

// mustTell checks that what follows a reply that left a watch tells of the first change before it reflects it.
func (h *history) mustTell(arm told, after []told) {
	first := znode.Zxid(0)
	for zxid := range h.writes[arm.watch] {
		if zxid > arm.zxid && (first == 0 || zxid < first) {
			first = zxid
		}
	}
	if first == 0 {
		return
	}
	for _, x := range after {
		if x.event == arm.watch {
			require.LessOrEqual(h, x.zxid, first)
			return
		}
		require.False(h, x.event == "" && x.zxid >= first, "a reply at %v, and nothing was said of %s at %v", x.zxid, arm.watch, first)
	}
}

// mustBeForgotten checks that nothing is kept for sessions and connections that have ended.
func (h *history) mustBeForgotten() {
	u := h.mustDial()
	names := u.mustCall(wire.OpGetChildren, &wire.WatchRequest{Path: "/"}).Record.(*wire.ChildrenResponse).Children
	require.False(h, slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "e-") }), "%v", names)
	require.NoError(h, u.CloseSession(h.Context()))
	synctest.Wait()
	h.inCore(func() {
		require.True(h, h.replica.Idle(), "nothing is kept for who is gone")
		require.Zero(h, h.replica.Sessions().Len())
		require.Zero(h, h.replica.Waiting())
	})
	h.watching.Lock()
	require.Zero(h, h.replica.Watches().Count())
	h.watching.Unlock()
	h.connsMu.RLock()
	require.Empty(h, h.conns)
	h.connsMu.RUnlock()
}

// speaker is a connection that has the session, nil if there is none.
func (s *Server) speaker(id znode.SessionID) *front.Conn {
	s.connsMu.RLock()
	defer s.connsMu.RUnlock()
	for _, g := range s.conns {
		if g.conn.Session() == id {
			return g.conn
		}
	}
	return nil
}
