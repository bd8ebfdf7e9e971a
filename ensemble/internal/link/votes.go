package link

import (
	"bufio"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/peers"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
)

// maxHandshakes is how many connections of the election port may be without their hello at once.
const maxHandshakes = 64

// VotesOptions says who votes with whom, and who hears of it.
type VotesOptions struct {
	Self     packet.ServerID
	Config   *quorum.Config // the other servers; read, never changed
	Listener net.Listener   // this server's election port; Close closes it
	Dial     Dialer

	// Receive is given each notification, in the order they came from that server; several servers' come at once. While it does
	// not return, nothing is read from that server. Nil: they are thrown away.
	Receive func(from packet.ServerID, n packet.Notification)
	// Reachable says that a connection to a server exists, or that it does no more. All calls come one after the other, a true
	// before the first notification of that connection. Nil: nobody wants to know.
	Reachable func(server packet.ServerID, up bool)

	HandshakeTimeout time.Duration // in which a stranger must have said who it is; default 5 s
	ConnectTimeout   time.Duration // for one dial; default 5 s
	WriteTimeout     time.Duration // for one notification; a connection that takes longer is closed; default 15 s
	Rand             *rand.Rand    // jitter of the pauses between dials; used by one goroutine; nil: a random one
	Log              *slog.Logger  // default: quiet
}

func (o VotesOptions) withDefaults() VotesOptions {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&o.HandshakeTimeout, 5 * time.Second}, {&o.ConnectTimeout, 5 * time.Second}, {&o.WriteTimeout, 15 * time.Second}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if o.Receive == nil {
		o.Receive = func(packet.ServerID, packet.Notification) {}
	}
	if o.Reachable == nil {
		o.Reachable = func(packet.ServerID, bool) {}
	}
	if o.Rand == nil {
		o.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	o.Log = orQuiet(o.Log)
	return o
}

// Votes exchanges notifications with all other servers of a configuration: at most one connection to each, and one message waiting
// for each, for only a server's newest vote means anything. One goroutine owns the machine that decides about connections (package
// peers) and does what it says.
type Votes struct {
	opts   VotesOptions
	start  time.Time     // what the machine's time counts from
	signal chan struct{} // holds one when inbox has something new
	ctx    context.Context
	cancel context.CancelFunc

	machine *peers.Peers // the deciding goroutine's own
	running sync.WaitGroup

	mu      sync.Mutex
	inbox   []input
	boxes   map[packet.ServerID]*box
	lines   map[peers.ConnID]*line
	waiting []*line // accepted and without their hello, the oldest first
	lastID  peers.ConnID
	closed  bool
}

// An input is something the machine has not been told yet: one of its methods.
type input func(m *peers.Peers, now int64, out *[]peers.Effect)

// A box is where the newest message for one server lies. Votes.mu guards it.
type box struct {
	frame  []byte // nil before the first; never changed in place
	unsent bool   // frame has not been written to line, or to none
	wanted bool   // the machine knows that there is something to say
	line   *line  // the connection in use, or nil
}

// NewVotes begins to listen, and returns.
func NewVotes(o VotesOptions) *Votes {
	v := &Votes{
		opts: o.withDefaults(), start: time.Now(), signal: make(chan struct{}, 1),
		boxes: map[packet.ServerID]*box{}, lines: map[peers.ConnID]*line{},
	}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	for _, m := range o.Config.Members {
		if m.ID != o.Self {
			v.boxes[m.ID] = &box{}
		}
	}
	v.machine = peers.New(peers.Config{Self: o.Self, Quorum: o.Config, Rand: v.opts.Rand})
	v.running.Go(v.decide)                                                       // ends with Close
	v.running.Go(func() { accept(v.ctx, v.opts.Listener, v.opts.Log, v.admit) }) // ends with Close
	return v
}

// Send has n sent to a server, in place of an older message that still waits. It waits for nothing. The last message is sent again
// whenever a connection to that server begins, so that a server that was away hears what was said. Messages to this server or to one
// that the configuration lacks go nowhere.
func (v *Votes) Send(to packet.ServerID, n *packet.Notification) {
	v.mu.Lock()
	defer v.mu.Unlock()
	b := v.boxes[to]
	if b == nil || v.closed {
		return
	}
	b.frame, b.unsent = n.AppendFrame(nil), true
	if b.line != nil {
		b.line.wake.Signal()
	}
	if !b.wanted {
		b.wanted = true
		v.post(func(m *peers.Peers, now int64, out *[]peers.Effect) { m.Want(to, now, out) })
	}
}

// Close closes the listener and all connections and waits until nothing runs any more. It must not be called from Receive or
// Reachable.
func (v *Votes) Close() {
	v.cancel()
	_ = v.opts.Listener.Close()
	v.mu.Lock()
	v.closed = true
	for _, l := range v.lines {
		l.close()
	}
	v.mu.Unlock()
	v.running.Wait()
}

// post hands the machine an input. v.mu is held.
func (v *Votes) post(in input) {
	v.inbox = append(v.inbox, in)
	select {
	case v.signal <- struct{}{}:
	default:
	}
}

// decide owns the machine: inputs in, effects performed in their order, until Close.
func (v *Votes) decide() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var inbox []input
	var out []peers.Effect
	for {
		if at, ok := v.machine.Next(); ok {
			timer.Reset(time.Until(v.start.Add(time.Duration(at) * time.Millisecond)))
		} else {
			timer.Stop()
		}
		select {
		case <-v.signal:
		case <-timer.C:
		case <-v.ctx.Done():
			return
		}
		v.mu.Lock()
		inbox, v.inbox = v.inbox, inbox[:0]
		v.mu.Unlock()
		now := time.Since(v.start).Milliseconds()
		for _, in := range inbox {
			in(v.machine, now, &out)
		}
		v.machine.Tick(now, &out)
		for i := range out {
			v.perform(&out[i])
		}
		clear(inbox)
		clear(out)
		out = out[:0]
	}
}

func (v *Votes) perform(e *peers.Effect) {
	switch e.Kind {
	case peers.Up, peers.Down:
		v.opts.Log.Info("election peer", "server", e.Server, "reachable", e.Kind == peers.Up)
		v.opts.Reachable(e.Server, e.Kind == peers.Up)
		return
	case peers.Dial:
		server, addr := e.Server, e.Addr
		v.running.Go(func() { v.dial(server, addr) }) // ends with the attempt or as the line does; Close cancels both
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	l := v.lines[e.Conn]
	if l == nil { // it has ended already, and its Closed is in the inbox
		return
	}
	switch e.Kind {
	case peers.Say:
		l.say(e.Hello.AppendJute(nil))
	case peers.Use:
		l.use(e.Server, v.boxes[e.Server])
	case peers.Close:
		l.end()
	}
}

// dial makes one attempt to reach a server, and lives on as the line's reader if it succeeds.
func (v *Votes) dial(server packet.ServerID, addr string) {
	ctx, cancel := context.WithTimeout(v.ctx, v.opts.ConnectTimeout)
	nc, err := v.opts.Dial(ctx, addr)
	cancel()
	if err != nil {
		v.opts.Log.Debug("election peer not reached", "server", server, "addr", addr, "error", err)
		v.mu.Lock()
		defer v.mu.Unlock()
		v.post(func(m *peers.Peers, now int64, out *[]peers.Effect) { m.Dialled(server, 0, now, out) })
		return
	}
	if l := v.open(nc, false); l != nil {
		l.run(func(*bufio.Reader) error {
			l.dialled(server)
			return nil
		})
	}
}

// admit lets somebody in who has not said its name. It runs on the accepting goroutine and waits for nobody.
func (v *Votes) admit(nc net.Conn) {
	if l := v.open(nc, true); l != nil {
		v.running.Go(func() { l.run(l.greet) }) // ends when the line does; Close closes it
	}
}

// open makes a line of a socket; nil if it is too late for that.
func (v *Votes) open(nc net.Conn, accepted bool) *line {
	tune(nc, v.opts.WriteTimeout)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed {
		_ = nc.Close()
		return nil
	}
	v.lastID++
	l := newLine(v, v.lastID, nc)
	v.lines[l.id] = l
	if accepted {
		if len(v.waiting) >= maxHandshakes {
			v.waiting[0].close()
			v.waiting = slices.Delete(v.waiting, 0, 1)
		}
		v.waiting = append(v.waiting, l)
	}
	return l
}
