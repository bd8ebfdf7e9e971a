package ensembletest

import (
	"context"
	"net"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/server"
)

// A garble is what is wrong with the notifications one server sends to another while they elect.
type garble struct{ twice, late bool }

// Duplicate lets each notification of an election that one server sends to another arrive twice, until Heal. Nothing else can: a
// connection of TCP repeats nothing, and the rest of what servers say depends on that. Notifications are whole by themselves, and a
// server says its last one again on each new connection.
func (e *Ensemble) Duplicate(from, to int) { e.garble(from, to, garble{twice: true}) }

// Reorder lets each second notification of an election that one server sends to another arrive before the one it was sent after, until
// Heal. The last one may wait for one more. See [Ensemble.Duplicate] for why it is only these.
func (e *Ensemble) Reorder(from, to int) { e.garble(from, to, garble{late: true}) }

func (e *Ensemble) garble(from, to int, g garble) {
	e.mustBelong()
	w := way{e.Server(from).host, e.Server(to).host}
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	was := e.faults.garbled[w]
	e.faults.garbled[w] = garble{twice: was.twice || g.twice, late: was.late || g.late}
}

// garbleOf is what is wrong with notifications on a way.
func (f *faults) garbleOf(w way) garble {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.garbled[w]
}

// listenTo puts a server's elections behind the faults of notifications.
func (f *faults) listenTo(host string, c *server.Ensemble) {
	dial := c.DialElection
	c.DialElection = func(ctx context.Context, addr string) (net.Conn, error) {
		nc, err := dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		return &voice{Conn: nc, faults: f, way: way{host, hostOf(nc.RemoteAddr())}, hello: true}, nil
	}
	c.Election = &ear{Listener: c.Election, faults: f, host: host}
}

// An ear is where a server hears of who has dialled it for an election.
type ear struct {
	net.Listener
	faults *faults
	host   string
}

// Accept waits for the next connection.
func (e *ear) Accept() (net.Conn, error) {
	nc, err := e.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &voice{Conn: nc, faults: e.faults, way: way{e.host, hostOf(nc.RemoteAddr())}}, nil
}

// A voice is what one end of an election connection says to the other. Package link says one message with each Write, and one at a time.
type voice struct {
	net.Conn
	faults *faults
	way    way
	hello  bool   // the next message says who dials
	kept   []byte // the notification that the next one overtakes, nil if there is none
}

// Write says a message, or keeps it for later.
func (v *voice) Write(message []byte) (int, error) {
	if v.hello {
		v.hello = false
		return v.Conn.Write(message)
	}
	g := v.faults.garbleOf(v.way)
	said := message
	if g.twice {
		said = slices.Concat(message, message)
	}
	switch kept := v.kept; {
	case kept == nil && g.late:
		v.kept = slices.Clone(said)
		return len(message), nil
	case g.late:
		said, v.kept = slices.Concat(said, kept), nil
	case kept != nil:
		said, v.kept = slices.Concat(kept, said), nil
	}
	if _, err := v.Conn.Write(said); err != nil {
		return 0, err
	}
	return len(message), nil
}

func hostOf(addr net.Addr) string {
	host, _, _ := net.SplitHostPort(addr.String()) // in memory it has one
	return host
}
