package sim

import (
	"bytes"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/peers"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// votes are the connections of the election port, as package link's Votes has them: one message waits for each server, the newest.
type votes struct {
	l       *life
	machine *peers.Peers
	boxes   map[packet.ServerID]*box
	lines   map[peers.ConnID]*line
	last    peers.ConnID
	out     []peers.Effect
	alarms  int
}

// A box is where the newest message for one server lies.
type box struct {
	frame  []byte
	unsent bool
	wanted bool
	line   *line
}

// A line is one connection.
type line struct {
	v      *votes
	id     peers.ConnID
	end    *end
	in     []byte
	hello  bool // the other's is still to come
	server packet.ServerID
	used   bool
}

func newVotes(l *life) *votes {
	v := &votes{l: l, boxes: map[packet.ServerID]*box{}, lines: map[peers.ConnID]*line{}}
	for _, m := range l.config.Members {
		if m.ID != l.id {
			v.boxes[m.ID] = &box{}
		}
	}
	v.machine = peers.New(peers.Config{Self: l.id, Quorum: l.config, Rand: l.world.chance(ofPeers + uint64(l.id)<<16 + uint64(l.lives)<<32)})
	return v
}

// send has a notification sent to a server, in place of an older one that waits.
func (v *votes) send(to packet.ServerID, n *packet.Notification) {
	b := v.boxes[to]
	if b == nil {
		return
	}
	if n.State == packet.Looking {
		v.l.inv.Vote(v.l.world.now, int(v.l.id), n.Zxid)
	}
	b.frame, b.unsent = n.AppendFrame(nil), true
	b.write()
	if !b.wanted {
		b.wanted = true
		v.machine.Want(to, v.now(), &v.out)
		v.perform()
	}
}

func (b *box) write() {
	if b.line != nil && b.unsent {
		b.unsent = false
		b.line.end.send(bytes.Clone(b.frame))
	}
}

func (v *votes) now() int64 { return v.l.clock.Mono(v.l.world.now) }

// perform does what the machine says, and sets the alarm for what it wants to do next.
func (v *votes) perform() {
	v.machine.Tick(v.now(), &v.out)
	for i := 0; i < len(v.out); i++ {
		v.do(v.out[i])
	}
	v.out = v.out[:0]
	at, ok := v.machine.Next()
	v.alarms++
	if mine := v.alarms; ok {
		l := v.l
		l.world.at(max(l.clock.When(l.world.now, at), l.world.now+1), func() {
			if !l.over && v.alarms == mine {
				l.later(v.perform)
			}
		})
	}
}

func (v *votes) do(e peers.Effect) {
	l := v.l
	switch e.Kind {
	case peers.Up, peers.Down:
		up := e.Kind == peers.Up
		l.in.peers = append(l.in.peers, func(now replica.Time) { l.r.Reachable(e.Server, up, now) })
		l.kick()
		return
	case peers.Dial:
		l.net.dial(electionPort, l.node(), node(e.Server), func(end *end) { v.dialled(e.Server, end) })
		return
	}
	n := v.lines[e.Conn]
	if n == nil {
		return
	}
	switch e.Kind {
	case peers.Say:
		n.end.send(e.Hello.AppendJute(nil))
	case peers.Use:
		n.use(e.Server)
	case peers.Close:
		n.close()
	}
}

func (v *votes) dialled(server packet.ServerID, e *end) {
	l := v.l
	if l.over {
		if e != nil {
			e.close()
		}
		return
	}
	var id peers.ConnID
	if e != nil {
		id = v.open(e, false).id
	}
	l.later(func() {
		if n := v.lines[id]; n == nil || !n.end.open { // it has ended before anybody heard of it
			delete(v.lines, id)
			id = 0
		}
		v.machine.Dialled(server, id, v.now(), &v.out)
		v.perform()
	})
}

func (v *votes) accept(e *end) { v.open(e, true) }

func (v *votes) open(e *end, accepted bool) *line {
	v.last++
	n := &line{v: v, id: v.last, end: e, hello: accepted}
	v.lines[n.id] = n
	e.bytes, e.closed = n.take, n.ended
	return n
}

// use lets messages flow: the last one goes out again.
func (n *line) use(server packet.ServerID) {
	b := n.v.boxes[server]
	if !n.end.open || b == nil {
		return
	}
	n.server, n.used = server, true
	b.line, b.unsent = n, b.frame != nil
	b.write()
	n.read()
}

func (n *line) close() {
	n.end.close()
	n.forget()
}

func (n *line) forget() {
	delete(n.v.lines, n.id)
	if b := n.v.boxes[n.server]; b != nil && b.line == n {
		b.line = nil
	}
}

// ended is what the network says when the other end has closed.
func (n *line) ended(error) {
	if n.v.lines[n.id] == nil {
		return
	}
	n.forget()
	n.v.machine.Closed(n.id, n.v.now(), &n.v.out)
	n.v.perform()
}

func (n *line) take(b []byte, _ bool) {
	n.in = append(n.in, b...)
	n.read()
}

// read reads the hello, then notifications.
func (n *line) read() {
	v := n.v
	if n.hello {
		r := bytes.NewReader(n.in)
		hello, err := packet.ReadHello(r)
		if err != nil {
			return
		}
		n.in, n.hello = n.in[len(n.in)-r.Len():], false
		v.machine.Accepted(n.id, &hello, v.now(), &v.out)
		v.perform()
		return // use reads on
	}
	if !n.used {
		return
	}
	for len(n.in) > 0 {
		r := bytes.NewReader(n.in)
		var m packet.Notification
		if packet.ReadNotification(r, &m) != nil {
			return
		}
		n.in = n.in[len(n.in)-r.Len():]
		n.hand(&m)
	}
}

// hand leaves a notification for the core.
func (n *line) hand(m *packet.Notification) {
	l, server := n.v.l, n.server
	l.world.say("server %d: hears from %d: %v votes for %d (%v, epoch %d, round %d)", l.id, server, m.State, m.Leader, m.Zxid, m.PeerEpoch, m.Round)
	l.world.mix(uint64(l.id), uint64(server), uint64(m.State), uint64(m.Leader), uint64(m.Zxid), uint64(m.Round), uint64(m.PeerEpoch))
	vote := func() {
		l.in.peers = append(l.in.peers, func(now replica.Time) { l.r.Vote(server, m, now) })
		l.kick()
	}
	vote()
	if late := l.servers[server-1].echo; late > 0 {
		l.world.after(clock.Time(l.rand.Int64N(int64(late)+1)), func() {
			if !l.over {
				l.later(vote)
			}
		})
	}
}
