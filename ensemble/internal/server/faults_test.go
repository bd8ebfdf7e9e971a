package server

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// TestFaults lets whole servers, with all their goroutines, run under faults of network and disk that a seed chooses, while clients
// work. Afterwards everything is healed, and then the ensemble has to serve, all trees have to be the same, what was acknowledged has
// to be there once, ephemeral nodes have to be gone with their sessions, and of nobody may a goroutine be left.
//
// A seed decides what happens to whom, but not how goroutines are scheduled, so that a failure need not come again with its seed.
// SEEDS=from-to tries others than the usual ones.
func TestFaults(t *testing.T) {
	from, to := uint64(5), uint64(6)
	if s := os.Getenv("SEEDS"); s != "" {
		_, err := fmt.Sscanf(s, "%d-%d", &from, &to)
		require.NoError(t, err)
	}
	total := map[string]int{}
	for seed := from; seed <= to; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for what, n := range trial(t, seed) {
					total[what] += n
				}
			})
		})
	}
	kinds := make([]string, 0, len(total))
	for what, n := range total {
		kinds = append(kinds, fmt.Sprint(what, " ", n))
	}
	slices.Sort(kinds)
	t.Log(strings.Join(kinds, ", "))
}

// trial is one seed.
func trial(t *testing.T, seed uint64) map[string]int {
	r := rand.New(rand.NewPCG(seed, 1))
	c := chosenCluster(t, r)
	leader := c.mustServe()
	c.furnish(leader, r)

	quit := new(atomic.Bool)
	var workers []*worker
	var working, harming sync.WaitGroup
	for i := range 5 {
		w := newWorker(c, string(rune('a'+i)), seed, quit)
		workers = append(workers, w)
		working.Go(w.work)
	}
	working.Go(func() { c.monitor(quit, rand.New(rand.NewPCG(seed, 99))) })
	var harms []*nemesis
	for lane := range uint64(2) {
		n := &nemesis{cluster: c, rand: rand.New(rand.NewPCG(seed, 100+lane)), counts: map[string]int{}, until: time.Now().Add(5 * time.Second)}
		harms = append(harms, n)
		harming.Go(n.rage)
	}
	harming.Wait()
	c.heal()
	c.mustServe()
	quit.Store(true)
	working.Wait()
	c.settle(workers)
	if seed%3 == 0 { // what is on the disks is as good as what is in memory
		c.powerCycle(r)
		c.mustServe()
		c.settle(workers)
	}
	counts := map[string]int{"seeds": 1}
	for _, n := range harms {
		require.Empty(t, n.failures)
		for what, count := range n.counts {
			counts[what] += count
		}
	}
	for _, w := range workers {
		counts["acknowledged"] += len(w.acked) + w.known
		counts["sessions ended"] += len(w.ended)
	}
	counts["snapshots installed"] = c.ledger.count("snapshot taken over from the leader")
	counts["snapshots written"] = c.ledger.count("snapshot written")
	counts["leaders"] = c.ledger.count("role leader")
	for _, m := range c.members {
		require.NoError(t, m.stop())
	}
	require.Zero(t, c.net.Connections())
	require.Empty(t, c.ledger.never)
	return counts
}

// monitor asks everybody everything there is to ask for, as monitors do, whatever goes on.
func (c *cluster) monitor(quit *atomic.Bool, r *rand.Rand) {
	words := []string{"mntr", "srvr", "stat", "cons", "dump", "wchs", "wchc", "wchp", "conf", "dirs", "hash", "isro", "lsnp"}
	for !quit.Load() {
		for _, m := range c.members {
			if s := m.running(); s != nil {
				s.words.Answer(words[r.IntN(len(words))], 0)
			}
		}
		time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond)
	}
}

// chosenCluster is one of a size, with habits, that r chooses.
func chosenCluster(t *testing.T, r *rand.Rand) *cluster {
	voters, observers := 3, 0
	switch r.IntN(6) {
	case 0:
		voters = 5
	case 1:
		observers = 1
	}
	history := []int{0, 5, 60}[r.IntN(3)]
	snapCount := []int{100_000, 60, 200}[r.IntN(3)]
	purge := []time.Duration{0, -1, 3 * tick}[r.IntN(3)]
	counter := uint32(0)
	if r.IntN(5) == 0 {
		counter = math.MaxUint32 - 400 // epochs that end soon
	}
	return newCluster(t, voters, observers, func(c *Config) {
		c.SnapCount, c.PurgeInterval, c.Ensemble.History = snapCount, purge, history
		c.Ensemble.CounterStart, c.Store.Log.CounterStart = counter, counter
	})
}

// furnish makes the nodes that everybody needs, and a tree of some size.
func (c *cluster) furnish(m *member, r *rand.Rand) {
	v := m.mustDial()
	for _, path := range []string{"/w", "/e", "/bulk"} {
		v.mustCall(wire.OpCreate, create(path, znode.ModePersistent))
	}
	for i := range 5 {
		v.mustCall(wire.OpCreate, &wire.CreateRequest{Path: "/own-" + string(rune('a'+i)), Data: []byte("0"), ACL: znode.OpenACL()})
	}
	bulk := make([]byte, 10<<10)
	for i := range r.IntN(25) {
		v.mustCall(wire.OpCreate, &wire.CreateRequest{Path: fmt.Sprint("/bulk/", i), Data: bulk, ACL: znode.OpenACL()})
	}
	require.NoError(c, v.CloseSession(c.Context()))
}

// settle waits until the workers have said goodbye and everything is the same everywhere, and judges it.
func (c *cluster) settle(workers []*worker) {
	c.Helper()
	for _, w := range workers {
		w.finish()
	}
	time.Sleep(25 * tick) // whoever was cut off and never came back has no session any more
	before := c.mustAgree()
	require.Zero(c, before.sessions, "sessions nobody has")
	for _, m := range c.members {
		v := m.mustDial()
		v.judge(workers)
		require.NoError(c, v.CloseSession(c.Context()))
	}
	require.Greater(c, c.mustAgree().zxid, before.zxid)
	require.Empty(c, c.ledger.never)
}

// heal makes network and disks good again and starts who is down.
func (c *cluster) heal() {
	c.Helper()
	c.net.Heal("", "")
	for _, m := range c.members {
		m.drive.release()
		m.drive.fs.SetBudget(0)
		if m.running() == nil {
			m.mustStart()
		}
		require.NoError(c, m.running().Err(), "server %d", m.id)
	}
}

// powerCycle crashes all and starts all.
func (c *cluster) powerCycle(r *rand.Rand) {
	for _, m := range c.members {
		m.drive.die()
	}
	for _, m := range c.members {
		m.crash(losing(r))
	}
	for _, m := range c.members {
		m.mustStart()
	}
}

// losing is what a crash leaves of what was not synced.
func losing(r *rand.Rand) func(disk.Unsynced) bool {
	switch r.IntN(3) {
	case 0:
		return disk.KeepNone
	case 1:
		return disk.KeepAll
	}
	return disk.KeepSome(rand.New(rand.NewPCG(r.Uint64(), 2)), 0.5)
}

// nemesis harms one thing after the other; two of them work beside each other.
type nemesis struct {
	*cluster
	rand     *rand.Rand
	until    time.Time
	counts   map[string]int // harms done, by kind
	failures []string       // what no fault explains
}

func (n *nemesis) rage() {
	for time.Now().Before(n.until) && len(n.failures) == 0 {
		n.pause(300)
		h := harms[n.rand.IntN(len(harms))]
		n.counts[h.name]++
		h.do(n)
	}
}

// pause waits up to so many milliseconds.
func (n *nemesis) pause(most int) { time.Sleep(time.Duration(1+n.rand.IntN(most)) * time.Millisecond) }

func (n *nemesis) member() *member { return n.members[n.rand.IntN(len(n.members))] }

// victim is the leader as often as not.
func (n *nemesis) victim() *member {
	if l := n.leader(); l != nil && n.rand.IntN(2) == 0 {
		return l
	}
	return n.member()
}

// pair is two hosts.
func (n *nemesis) pair() (a, b string) {
	x := n.victim()
	y := n.member()
	for y == x {
		y = n.member()
	}
	return x.host(), y.host()
}

// up starts a member that was taken, on whatever is on its disk.
func (n *nemesis) up(m *member) {
	if err := m.start(); err != nil {
		n.failures = append(n.failures, fmt.Sprintf("server %d does not start: %v", m.id, err))
	}
}

// down stops a member that was taken; nothing but what is expected may have ended it before.
func (n *nemesis) down(m *member) {
	if err := m.stop(); err != nil {
		n.failures = append(n.failures, fmt.Sprintf("server %d ended: %v", m.id, err))
	}
}

var harms = []struct {
	name string
	do   func(n *nemesis)
}{
	{"cut one way", func(n *nemesis) {
		a, b := n.pair()
		n.net.Cut(a, b)
		n.pause(1500)
		n.net.Heal(a, b)
	}},
	{"cut", func(n *nemesis) {
		a, b := n.pair()
		n.net.Cut(a, b)
		n.net.Cut(b, a)
		n.pause(1500)
		n.net.Heal(a, b)
		n.net.Heal(b, a)
	}},
	{"flapping", func(n *nemesis) {
		a, b := n.pair()
		for range 1 + n.rand.IntN(8) {
			n.net.Cut(a, b)
			n.pause(120)
			n.net.Heal(a, b)
			n.pause(40)
		}
	}},
	{"isolated", func(n *nemesis) { // its clients still reach it: their writes go to its log, and nowhere else
		m := n.victim()
		n.isolate(m, n.net.Cut)
		n.pause(2000)
		n.isolate(m, n.net.Heal)
	}},
	{"alone in the world", func(n *nemesis) {
		m := n.victim()
		n.net.Cut(m.host(), "")
		n.net.Cut("", m.host())
		n.pause(1500)
		n.net.Heal(m.host(), "")
		n.net.Heal("", m.host())
	}},
	{"delayed", func(n *nemesis) {
		a, b := n.pair()
		n.net.Delay(a, b, time.Duration(1+n.rand.IntN(60))*time.Millisecond)
		n.pause(1500)
		n.net.Heal(a, b)
	}},
	{"reset", func(n *nemesis) {
		a, b := n.pair()
		if n.rand.IntN(3) == 0 {
			b = ""
		}
		n.net.Reset(a, b)
	}},
	{"slow disk", func(n *nemesis) { n.slowDisk(40, 1500) }},
	{"very slow disk", func(n *nemesis) { n.slowDisk(400, 2500) }},
	{"hanging disk", func(n *nemesis) {
		m := n.victim()
		m.take()
		defer m.give()
		m.drive.hang()
		n.pause(300)
		if n.rand.IntN(2) == 0 { // in the middle of a change of roles
			n.net.Reset(m.host(), "")
		}
		n.pause(2500)
		switch n.rand.IntN(3) {
		case 0:
			m.crash(losing(n.rand))
			n.up(m)
		case 1:
			n.closeWhileHanging(m)
		}
		m.drive.release()
	}},
	{"full disk", func(n *nemesis) { n.fillDisk(n.victim()) }},
	{"crash", func(n *nemesis) {
		m := n.victim()
		m.take()
		defer m.give()
		m.crash(losing(n.rand))
		n.pause(1500)
		n.up(m)
	}},
	{"crash loop", func(n *nemesis) {
		m := n.victim()
		m.take()
		defer m.give()
		for range 2 + n.rand.IntN(4) {
			m.crash(losing(n.rand))
			n.up(m)
			n.pause(80)
		}
	}},
	{"all crash", func(n *nemesis) {
		for _, m := range n.members {
			m.take()
			defer m.give()
		}
		n.powerCycle(n.rand)
	}},
	{"closed", func(n *nemesis) {
		m := n.victim()
		m.take()
		defer m.give()
		n.down(m)
		n.pause(800)
		n.up(m)
	}},
	{"closed at once", func(n *nemesis) { // in whatever phase it is
		m := n.victim()
		m.take()
		defer m.give()
		for range 1 + n.rand.IntN(4) {
			n.down(m)
			n.up(m)
			if n.rand.IntN(3) > 0 {
				n.pause(60)
			}
		}
	}},
	{"left behind", (*nemesis).leaveBehind},
}

// isolate cuts a member off from all others, or heals that.
func (n *nemesis) isolate(m *member, do func(from, to string)) {
	for _, o := range n.members {
		if o != m {
			do(m.host(), o.host())
			do(o.host(), m.host())
		}
	}
}

func (n *nemesis) slowDisk(most, pause int) {
	m := n.victim()
	m.take()
	defer m.give()
	r := rand.New(rand.NewPCG(n.rand.Uint64(), 3))
	m.drive.slowDown(func() time.Duration { return time.Duration(r.IntN(most)) * time.Millisecond })
	n.pause(pause)
	m.drive.release()
}

// closeWhileHanging has two close a server whose disk hangs: both wait for it.
func (n *nemesis) closeWhileHanging(m *member) {
	s := m.running()
	var closing sync.WaitGroup
	for range 2 {
		closing.Go(func() { _ = s.Close() })
	}
	n.pause(100)
	m.drive.release()
	closing.Wait()
	n.down(m)
	n.up(m)
}

// fillDisk takes all space but a little. The server ends when it needs more, and says why.
func (n *nemesis) fillDisk(m *member) {
	m.take()
	defer m.give()
	s := m.running()
	m.drive.fs.SetBudget(m.drive.fs.Used() + int64(n.rand.IntN(8<<10)))
	select {
	case <-s.Done():
		if err := s.Err(); err == nil || !strings.Contains(err.Error(), disk.ErrNoSpace.Error()) { // also of what broke the store
			n.failures = append(n.failures, fmt.Sprintf("server %d ended on a full disk: %v", m.id, err))
		}
		n.counts["ended by a full disk"]++
		_ = m.stop()
		m.drive.fs.SetBudget(0)
		n.up(m)
	case <-time.After(time.Duration(500+n.rand.IntN(3000)) * time.Millisecond):
		m.drive.fs.SetBudget(0)
	}
}

// leaveBehind keeps a member down until the others have gone on, brings it back over a slow line, so that what it lacks takes a
// while, and perhaps takes the leader away meanwhile.
func (n *nemesis) leaveBehind() {
	m := n.member()
	m.take()
	defer m.give()
	n.down(m)
	n.pause(1500)
	delay := time.Duration(5+n.rand.IntN(40)) * time.Millisecond
	for _, o := range n.members {
		if o != m {
			n.net.Delay(o.host(), m.host(), delay)
		}
	}
	n.up(m)
	n.pause(500)
	if l := n.leader(); l != nil && l != m {
		switch n.rand.IntN(4) {
		case 0:
			n.net.Reset(l.host(), m.host())
		case 1:
			select {
			case <-l.turn: // unless the other nemesis is at it
				l.crash(losing(n.rand))
				n.up(l)
				l.give()
			default:
			}
		case 2:
			m.crash(losing(n.rand))
			n.up(m)
		}
	}
	n.pause(500)
	for _, o := range n.members {
		n.net.Heal(o.host(), m.host())
	}
}
