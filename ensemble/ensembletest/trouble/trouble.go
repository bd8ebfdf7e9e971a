// Package trouble breaks things at random between clients and the servers of an ensembletest.Ensemble, one thing after the other, for tests
// of what is to come through all of it:
//
//	m := trouble.New(e, rand.New(rand.NewPCG(seed, 0)))
//	for range 30 {
//		m.Strike(clients[r.IntN(len(clients))])
//		time.Sleep(time.Duration(r.Int64N(int64(5 * time.Second))))
//	}
//	err := m.End(ctx) // all is well again, and now it is checked what has come of it
//
// # What breaks
//
// On the client's connection, with operations of any kind:
//
//	request lost, reply lost        one or two, after some that pass; the connection breaks
//	connection cut                  behind a request: it is done or not, and nobody hears of it
//	event lost                      which tells of a watch; the connection breaks
//	request held, reply held        one, and what comes behind it, for a while
//	slow                            all replies are up to a second late
//	connection broken               the client may connect again at once
//	silence                         nothing passes, nobody is told
//	session given up                the client cannot connect until it has given up its session, and then at once: the servers have not yet, and
//	                                its old nodes are there
//
// In the network, and to the servers:
//
//	client cut off                  from all servers
//	client cut off for long         for three session timeouts
//	server cut off                  from all other servers, and not from clients
//	leader cut off                  the same, of who leads
//	server cut off from leader      the client's server, from who leads alone
//	lagging server                  the client is moved to a server that hears of everything up to three seconds late
//	server killed, leader killed    and started again
//	server paused, leader paused    as a process that is stopped, which goes on later without noticing
//	server paused for long          for three session timeouts
//	containers swept                those that are empty, and nodes whose time to live is over
//
// What lasts, lasts for a random time, up to one and a half session timeouts unless it says so, and ends by itself; what is wrong with the network
// ends together. Where there is one server, only what needs no other happens. What else can happen to the code under test is added by
// [Maker.Also]: sessions that are ended by force, nodes that somebody removes, strange children.
//
// A Maker may be used in a testing/synctest bubble, which is what it is for; outside it takes real time.
package trouble

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// A Maker makes trouble, from New until End. Strike, Also and End are for one goroutine at a time.
type Maker struct {
	e     *ensembletest.Ensemble
	r     *rand.Rand
	kinds []kind

	mu      sync.Mutex
	ends    map[*time.Timer]func() // of what lasts
	ending  sync.WaitGroup         // those that run
	struck  map[string]int
	faults  map[*proxy.Fault]string // that have not been counted yet
	clients map[*client.Client]bool // that anything was done to
}

// A kind is one way to break something, for a client.
type kind struct {
	name string
	do   func(c *client.Client) (done bool)
}

// New makes a Maker for an ensemble, which draws lots by r.
func New(e *ensembletest.Ensemble, r *rand.Rand) *Maker {
	m := &Maker{
		e: e, r: r, ends: map[*time.Timer]func(){}, struck: map[string]int{}, faults: map[*proxy.Fault]string{}, clients: map[*client.Client]bool{},
	}
	m.kinds = append(m.ofConnections(), m.ofServers()...)
	if len(e.Servers()) > 1 {
		m.kinds = append(m.kinds, m.ofEnsembles()...)
	}
	return m
}

// Also adds something that can happen as often as each of the rest. ctx ends after a second, so that an outage does not hold it up; it
// says whether it has been done.
func (m *Maker) Also(name string, f func(ctx context.Context) (done bool)) {
	m.kinds = append(m.kinds, kind{name, func(*client.Client) bool { return m.briefly(f) }})
}

// Strike breaks one thing, for a client of the ensemble's Connect or for all, and returns what. It waits for no more than a second.
func (m *Maker) Strike(c *client.Client) string {
	m.mu.Lock()
	m.clients[c] = true
	m.mu.Unlock()
	k := m.kinds[m.r.IntN(len(m.kinds))]
	if k.do(c) {
		m.mu.Lock()
		m.struck[k.name]++
		m.mu.Unlock()
	}
	return k.name
}

// Struck returns how often each thing has been broken: of those that wait for an operation, how often one has come.
func (m *Maker) Struck() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	for f := range m.faults {
		m.count(f)
	}
	return maps.Clone(m.struck)
}

// count notes whether a fault has struck, if that was not noted before. m.mu is held.
func (m *Maker) count(f *proxy.Fault) {
	if name, open := m.faults[f]; open && f.Strikes() > 0 {
		m.struck[name]++
		delete(m.faults, f)
	}
}

// End ends all that is wrong, at once, starts servers that do not run, and returns when somebody leads. It fails with the reason why a
// server cannot be started, or the cause of ctx's end. Sessions that were lost may have some time to live.
func (m *Maker) End(ctx context.Context) error {
	m.mu.Lock()
	for timer, end := range m.ends {
		timer.Stop()
		m.ending.Go(end)
	}
	clear(m.ends)
	m.mu.Unlock()
	m.ending.Wait()
	m.e.Heal()
	for c := range m.clients {
		m.e.Proxy(c).Heal()
	}
	for _, s := range m.e.Servers() {
		s.Resume()
		if !s.Running() {
			if err := s.Restart(ctx); err != nil {
				return err
			}
		}
	}
	_, err := m.e.WaitLeader(ctx)
	return err
}

// later calls f after d, or at the End.
func (m *Maker) later(d time.Duration, f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		m.mu.Lock()
		_, mine := m.ends[timer] // or else the End has it
		if mine {
			delete(m.ends, timer)
			m.ending.Add(1)
		}
		m.mu.Unlock()
		if mine {
			f()
			m.ending.Done()
		}
	})
	m.ends[timer] = f
}

func (m *Maker) upTo(d time.Duration) time.Duration { return time.Duration(m.r.Int64N(int64(d))) }

func (m *Maker) briefly(f func(ctx context.Context) bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return f(ctx)
}

// ops are what recipes, and most programs, ask for.
var ops = []proxy.Op{
	proxy.OpCreate, proxy.OpDelete, proxy.OpExists, proxy.OpGetData, proxy.OpGetChildren, proxy.OpMulti, proxy.OpSetData, proxy.OpSync, proxy.OpAny,
}

func (m *Maker) ofConnections() []kind {
	op := func() proxy.Op { return ops[m.r.IntN(len(ops))] }
	some := func(match proxy.Match) proxy.Match { return match.Skip(m.r.IntN(3)).Times(1 + m.r.IntN(2)) }
	return []kind{
		m.frame("request lost", func(p *proxy.Proxy) *proxy.Fault { return p.Lose(some(proxy.Request(op(), ""))) }),
		m.frame("reply lost", func(p *proxy.Proxy) *proxy.Fault { return p.Lose(some(proxy.Reply(op(), ""))) }),
		m.frame("connection cut", func(p *proxy.Proxy) *proxy.Fault { return p.Cut(some(proxy.Request(op(), ""))) }),
		m.frame("event lost", func(p *proxy.Proxy) *proxy.Fault { return p.Lose(some(proxy.Event(""))) }),
		m.frame("request held", func(p *proxy.Proxy) *proxy.Fault { return p.Freeze(proxy.Request(op(), "")) }),
		m.frame("reply held", func(p *proxy.Proxy) *proxy.Fault { return p.Freeze(proxy.Reply(op(), "")) }),
		m.frame("slow", func(p *proxy.Proxy) *proxy.Fault {
			return p.Delay(proxy.Reply(proxy.OpAll, "").Always(), m.upTo(time.Second))
		}),
		{"connection broken", func(c *client.Client) bool { m.e.Drop(c); return true }},
		{"silence", func(c *client.Client) bool {
			p := m.e.Proxy(c)
			in, out := p.Freeze(proxy.Reply(proxy.OpAll, "").Always()), p.Freeze(proxy.Request(proxy.OpAll, "").Always())
			m.later(m.aWhile(c), func() { in.End(); out.End() })
			return true
		}},
		{"session given up", m.giveUp},
	}
}

// aWhile is up to one and a half of a client's session timeouts.
func (m *Maker) aWhile(c *client.Client) time.Duration { return m.upTo(c.Session().Timeout() * 3 / 2) }

// frame is a kind that waits for what the client says, or is told.
func (m *Maker) frame(name string, begin func(*proxy.Proxy) *proxy.Fault) kind {
	return kind{name, func(c *client.Client) bool {
		f := begin(m.e.Proxy(c))
		m.mu.Lock()
		m.faults[f] = name
		m.mu.Unlock()
		m.later(m.aWhile(c), func() {
			f.End()
			m.mu.Lock()
			defer m.mu.Unlock()
			m.count(f)
			delete(m.faults, f) // nothing has come
		})
		return false // it is counted when it has met something
	}}
}

// giveUp keeps a client from connecting until its session is over for it, and no longer.
func (m *Maker) giveUp(c *client.Client) bool {
	p := m.e.Proxy(c)
	s := c.Session()
	closed := p.Lose(proxy.Request(proxy.OpConnect, "").Always())
	forget := context.AfterFunc(s.Context(), closed.End)
	p.Drop()
	m.later(2*s.Timeout(), func() { forget(); closed.End() })
	return true
}

func (m *Maker) ofServers() []kind {
	return []kind{
		{"client cut off", func(c *client.Client) bool { m.cut(c, m.aWhile(c)); return true }},
		{"client cut off for long", func(c *client.Client) bool { m.cut(c, 3*c.Session().Timeout()); return true }},
		{"server killed", func(c *client.Client) bool { return m.kill(m.any(), m.aWhile(c)) }},
		{"server paused", func(c *client.Client) bool { return m.pause(m.any(), m.aWhile(c)) }},
		{"server paused for long", func(c *client.Client) bool { return m.pause(m.any(), 3*c.Session().Timeout()) }},
		{"containers swept", func(*client.Client) bool {
			return m.briefly(func(ctx context.Context) bool { n, err := m.e.Sweep(ctx); return err == nil && n > 0 })
		}},
	}
}

func (m *Maker) ofEnsembles() []kind {
	return []kind{
		{"server cut off", func(c *client.Client) bool { return m.isolate(m.any(), m.aWhile(c)) }},
		{"leader cut off", func(c *client.Client) bool { return m.isolate(m.e.Leader(), m.aWhile(c)) }},
		{"server cut off from leader", func(c *client.Client) bool {
			if s := m.serverOf(c); s == nil || m.e.CutFromLeader(s.ID()) == nil {
				return false
			}
			m.later(m.aWhile(c), m.e.Heal)
			return true
		}},
		{"lagging server", m.lag},
		{"leader killed", func(c *client.Client) bool { return m.kill(m.e.Leader(), m.aWhile(c)) }},
		{"leader paused", func(c *client.Client) bool { return m.pause(m.e.Leader(), m.aWhile(c)) }},
	}
}

func (m *Maker) any() *ensembletest.Server {
	all := m.e.Servers()
	return all[m.r.IntN(len(all))]
}

// serverOf is the server that a client is connected to, as far as one of them knows; nil if it is to none.
func (m *Maker) serverOf(c *client.Client) *ensembletest.Server {
	id := c.Session().ID()
	for _, s := range m.e.Servers() {
		for _, session := range s.Sessions() {
			if session.ID == id && session.Server != 0 {
				return m.e.Server(session.Server)
			}
		}
	}
	return nil
}

func (m *Maker) cut(c *client.Client, d time.Duration) {
	m.e.CutClient(c)
	m.later(d, m.e.Heal)
}

func (m *Maker) isolate(s *ensembletest.Server, d time.Duration) bool {
	if s == nil {
		return false
	}
	m.e.Partition([]int{s.ID()})
	m.later(d, m.e.Heal)
	return true
}

func (m *Maker) kill(s *ensembletest.Server, d time.Duration) bool {
	if s == nil || !s.Running() {
		return false
	}
	s.Kill()
	m.later(d, func() {
		if !s.Running() {
			_ = s.Restart(context.Background()) // or at the End, which tells
		}
	})
	return true
}

func (m *Maker) pause(s *ensembletest.Server, d time.Duration) bool {
	if s == nil || !s.Running() {
		return false
	}
	s.Pause()
	m.later(d, s.Resume)
	return true
}

// lag moves a client to a server that is late.
func (m *Maker) lag(c *client.Client) bool {
	leader := m.e.Leader()
	if leader == nil {
		return false
	}
	all := m.e.Servers()
	late := slices.DeleteFunc(slices.Clone(all), func(s *ensembletest.Server) bool { return s == leader || !s.Running() || s.Paused() })
	if len(late) == 0 {
		return false
	}
	chosen := late[m.r.IntN(len(late))]
	m.e.Delay(leader.ID(), chosen.ID(), m.upTo(3*time.Second))
	for _, s := range all {
		if s != chosen {
			m.e.CutClient(c, s.ID())
		}
	}
	m.e.Drop(c)
	m.later(m.aWhile(c), m.e.Heal)
	return true
}
