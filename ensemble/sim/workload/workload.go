// Package workload is the clients of a simulated ensemble: what they want, drawn from a seed, and how they go about it.
//
// The one idea is that a [Client] is a machine as a server is: it is told the time, that a connection is up or gone, and what
// bytes came; it says what to dial, send and hang up. It speaks the whole protocol (handshake, pings, pipelining, watches that
// are restored after a reconnect) and writes all it asks and is told into a [judge.History], so that whoever carries its bytes
// need not understand them.
//
//	h := judge.NewHistory()
//	mix := workload.Draw(r)                                   // this seed's habits
//	c := workload.New(7, []int{1, 2, 3}, mix, r, h)
//	c.Tick(now, &out)                                          // now and whenever c.Next() has come
//	for _, e := range out { … }                                // Dial: connect, then c.Connected; Send; Close
//	c.Receive(now, conn, bytes, &out)
//
// What clients want is chosen to be hard on the servers rather than useful: a handful of names, so that everything meets; versions
// taken from what the client last saw; sequential and ephemeral nodes; multis that half the time must fail; watches; syncs with a
// read behind them; sessions that are closed, abandoned, or left alone just long enough to expire; moves from server to server.
// There are lulls in which a client writes nothing: a write that hangs on a server that is cut off hides what that server says of all
// that is asked behind it. Everything is bounded: names, nodes a client leaves, requests under way.
//
// A [Mix] is drawn by the swarm rule: each habit is on with probability one half, with a weight of its own, since a run in which
// one thing never happens often finds what a run of everything hides.
//
// A Client has no clock and no goroutine, its randomness is given to it, and it belongs to the goroutine that owns the History.
package workload

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// A Habit is something clients do.
type Habit int

// The habits.
const (
	Create Habit = iota
	CreateEphemeral
	CreateSequential
	CreateEphemeralSequential
	CreateContainer
	SetData
	Delete
	SetACL
	Multi
	GetData
	Exists
	GetChildren
	SyncAndRead
	Sync
	Survey // getEphemerals, getAllChildrenNumber, getACL, multiRead
	AddWatch
	RemoveWatches
	Ping
	CloseSession
	Abandon // leave the session to expire and open another
	Move    // hang up and go to another server
	Sulk    // hang up and come back late, perhaps too late
	habits
)

var habitNames = [habits]string{
	"create", "ephemeral", "sequential", "ephemeral-sequential", "container", "set", "delete", "acl", "multi", "get", "exists",
	"children", "sync+read", "sync", "survey", "add-watch", "remove-watches", "ping", "close", "abandon", "move", "sulk",
}

// String is the habit's name.
func (h Habit) String() string { return habitNames[h] }

// writes reports whether h asks for transactions.
func (h Habit) writes() bool { return h <= Multi }

// usual is what a habit weighs when it is on and its draw is average. The rare ones cost a session or a connection.
var usual = [habits]int{
	Create: 100, CreateEphemeral: 60, CreateSequential: 60, CreateEphemeralSequential: 60, CreateContainer: 15, SetData: 240, Delete: 70,
	SetACL: 15, Multi: 80, GetData: 100, Exists: 50, GetChildren: 50, SyncAndRead: 60, Sync: 15, Survey: 20, AddWatch: 10,
	RemoveWatches: 8, Ping: 5, CloseSession: 3, Abandon: 1, Move: 5, Sulk: 2,
}

// A Mix is the habits of all clients of one run, and their circumstances.
type Mix struct {
	Clients int         // how many there are
	Weights [habits]int // of each habit; 0: never
	Names   int         // how many different names there are at each place
	Window  int         // requests a client has under way at most
	Think   clock.Time  // mean time between a client's requests
	Timeout int32       // session timeout asked for, milliseconds; who knows the servers' tick may want another
	Watch   float64     // probability that a read leaves a watch
	Wrong   float64     // probability that a version is not the one last seen, nor any
	Blind   float64     // probability that a version is -1
	Size    int         // bytes of data besides its unique stamp, at most
	Lull    float64     // share of its time in which a client asks for no writes
}

// Draw draws a mix. Creating, setting and deleting are always on: a run needs writes.
func Draw(r *rand.Rand) Mix {
	m := Mix{
		Clients: 3 + r.IntN(6), Names: 2 + r.IntN(5), Window: 1 + r.IntN(8), Think: clock.Time(2+r.IntN(30)) * clock.Millisecond,
		Timeout: int32(4000 + r.IntN(8)*1000), Watch: r.Float64() * 0.6, Wrong: r.Float64() * 0.2, Blind: 0.2 + r.Float64()*0.6,
	}
	if r.IntN(4) == 0 {
		m.Size = 1 << r.IntN(12)
	}
	if r.IntN(2) == 0 {
		m.Lull = 0.2 + r.Float64()*0.5
	}
	for h := range habits {
		factor := 1 + r.IntN(8) // quarters
		on := r.IntN(2) == 0
		if on || h == Create || h == SetData || h == Delete {
			m.Weights[h] = max(usual[h]*factor/4, 1)
		}
	}
	return m
}

// String is one line a reader can tell mixes apart by.
func (m Mix) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d clients, %d names, window %d, a request every %v, timeout %d ms, data to %d bytes, watch %.2f, versions blind %.2f wrong %.2f, lull %.2f;",
		m.Clients, m.Names, m.Window, m.Think, m.Timeout, m.Size, m.Watch, m.Blind, m.Wrong, m.Lull)
	for h, w := range m.Weights {
		if w > 0 {
			fmt.Fprintf(&b, " %v %d", Habit(h), w)
		}
	}
	return b.String()
}

// pick draws a habit among those that fit.
func (m *Mix) pick(r *rand.Rand, fits func(Habit) bool) (Habit, bool) {
	total := 0
	for h, w := range m.Weights {
		if w > 0 && fits(Habit(h)) {
			total += w
		}
	}
	if total == 0 {
		return 0, false
	}
	n := r.IntN(total)
	for h, w := range m.Weights {
		if w == 0 || !fits(Habit(h)) {
			continue
		}
		if n -= w; n < 0 {
			return Habit(h), true
		}
	}
	return 0, false
}
