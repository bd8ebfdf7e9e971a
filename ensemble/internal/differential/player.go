package differential

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// patience is how long a server may take for one answer, or to end a connection it has to end.
const patience = 20 * time.Second

// sessionTimeout is what new sessions ask for: above what a server grants at a tick of two seconds, so that it has to negotiate.
const sessionTimeout = 45 * time.Second

// A slot is one of the sessions that act in turn.
type slot struct {
	conn       *rawclient.Conn // nil while disconnected
	id         znode.SessionID
	password   []byte
	generation int
	lastZxid   znode.Zxid
}

// A Player performs steps against one server. One goroutine may use it at a time; Close it in the end.
type Player struct {
	name   string
	addr   string
	net    rawclient.Dialer
	slots  []slot
	render *renderer
}

// A said is one thing the server said, with what is needed to bring closeSession's events into one order.
type said struct {
	text  string
	event bool
	zxid  znode.Zxid
}

// NewPlayer makes a player of that many sessions, none of them open. network may be nil for TCP.
func NewPlayer(name, addr string, network rawclient.Dialer, sessions int) *Player {
	if network == nil {
		network = &net.Dialer{}
	}
	return &Player{name: name, addr: addr, net: lingering{network}, slots: make([]slot, sessions), render: newRenderer()}
}

// lingering is a network whose connections close only when the server has closed them too. Apache's server forgets which
// connection a session has when it closes an older one of it late (NIOServerCnxnFactory.removeCnxn does not look whose entry
// it removes), and then would not end that connection when the session moves on.
type lingering struct{ rawclient.Dialer }

func (n lingering) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := n.Dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &lingeringConn{Conn: c}, nil
}

type lingeringConn struct{ net.Conn }

func (c *lingeringConn) Close() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = c.SetReadDeadline(time.Now().Add(patience / 4))
		_, _ = io.Copy(io.Discard, c.Conn)
	}
	return c.Conn.Close()
}

// Close closes the connections and leaves the sessions.
func (p *Player) Close() {
	for i := range p.slots {
		if c := p.slots[i].conn; c != nil {
			_ = c.Close()
			p.slots[i].conn = nil
		}
	}
}

// Play performs one step and waits until the server has said all there is to say about it. An error means that the server
// did not do what every server must, in a way that leaves nothing to compare.
func (p *Player) Play(ctx context.Context, s *Step) (Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lines := make([][]said, len(p.slots))
	out := Outcome{Replies: make([]rawclient.Message, len(s.Calls))}
	mine, err := p.link(ctx, s)
	if err != nil {
		return out, fmt.Errorf("%s: %v: %w", p.name, s, err)
	}
	more, err := p.burst(ctx, s, &out)
	lines[s.Slot] = append(mine, more...)
	if err == nil && s.writes() {
		err = p.flush(ctx, s.Slot, lines)
	}
	if err != nil {
		return out, fmt.Errorf("%s: %v: %w", p.name, s, err)
	}
	out.Lines = make([][]string, len(lines))
	ending := endOfSession(s, &out)
	for i := range lines {
		orderVanished(lines[i], ending)
		for _, l := range lines[i] {
			out.Lines[i] = append(out.Lines[i], l.text)
		}
	}
	return out, nil
}

// link does to the connection what the step says.
func (p *Player) link(ctx context.Context, s *Step) ([]said, error) {
	at := &p.slots[s.Slot]
	old := at.conn
	var lines []said
	switch s.Link {
	case Stay:
		return nil, nil
	case Open:
		at.id, at.password, at.lastZxid = 0, nil, 0
		at.generation++
		old = nil
	case Reattach:
		if old != nil {
			_ = old.Close()
			old = nil
		}
	case WrongPassword, Ahead:
		lines = append(lines, p.refused(ctx, at, s))
		if s.Link == Ahead && old != nil {
			_ = old.Close()
			old = nil
		}
	}
	name := fmt.Sprintf("S%d.%d", s.Slot, at.generation)
	conn, err := rawclient.Dial(ctx, p.options(at, s))
	if err != nil {
		return nil, fmt.Errorf("attaching %s: %w", name, err)
	}
	hail := conn.Handshake()
	same := at.id == 0 || at.id == conn.Session() && slices.Equal(at.password, conn.Password())
	at.conn, at.id, at.password = conn, conn.Session(), conn.Password()
	p.render.sessions[at.id] = name
	lines = append(lines, said{text: fmt.Sprintf("session %s timeout=%d version=%d readOnly=%v legacy=%v password=%d bytes same=%v",
		name, hail.Timeout, hail.ProtocolVersion, hail.ReadOnly, hail.Legacy, len(hail.Password), same)})
	if old != nil {
		ended, err := p.untilEnd(ctx, old, "older connection: ")
		return append(lines, ended...), err
	}
	return lines, nil
}

func (p *Player) options(at *slot, s *Step) rawclient.Options {
	return rawclient.Options{
		Addr: p.addr, Network: p.net, Timeout: sessionTimeout, Session: at.id, Password: at.password, LastZxid: at.lastZxid, Legacy: s.Legacy,
	}
}

// refused tries to connect in a way no server may accept, and says how it was refused.
func (p *Player) refused(ctx context.Context, at *slot, s *Step) said {
	o := p.options(at, s)
	if s.Link == WrongPassword {
		o.Password = slices.Clone(o.Password)
		o.Password[3] ^= 0x10
	} else {
		o.LastZxid += 1 << 20
	}
	conn, err := rawclient.Dial(ctx, o)
	switch {
	case err == nil:
		_ = conn.Close()
		return said{text: "accepted"}
	case errors.Is(err, rawclient.ErrSessionExpired):
		return said{text: "refused as expired"}
	case ended(err):
		return said{text: "refused without a word"}
	}
	return said{text: err.Error()}
}

// burst sends the step's calls and receives until all are answered or the connection ends.
func (p *Player) burst(ctx context.Context, s *Step, out *Outcome) ([]said, error) {
	if len(s.Calls) == 0 {
		return nil, nil
	}
	at := &p.slots[s.Slot]
	if at.conn == nil {
		return nil, errors.New("the session is not connected")
	}
	for i := range s.Calls {
		at.conn.Send(s.Calls[i].Op, s.Calls[i].Record)
	}
	var lines []said
	for answered := 0; answered < len(s.Calls); {
		m, err := at.conn.Receive(ctx)
		if ended(err) {
			lines = append(lines, said{text: fmt.Sprintf("connection ended with %d calls unanswered", len(s.Calls)-answered)})
			p.lose(at, out)
			return lines, nil
		}
		if err != nil {
			return lines, fmt.Errorf("after %d answers: %w", answered, err)
		}
		lines = append(lines, p.told(at, m))
		if m.Event() != nil {
			continue
		}
		out.Replies[answered] = m
		answered++
		if final(m) {
			rest, err := p.untilEnd(ctx, at.conn, "")
			p.lose(at, out)
			return append(lines, rest...), err
		}
	}
	return lines, nil
}

// final reports whether a server ends the connection after m.
func final(m rawclient.Message) bool {
	switch m.Header.Err {
	case znode.CodeOK:
		return m.Op == wire.OpCloseSession
	case znode.CodeAuthFailed:
		return true
	case znode.CodeUnimplemented:
		return m.Header.Zxid == -1
	}
	return false
}

func (p *Player) lose(at *slot, out *Outcome) {
	_ = at.conn.Close()
	at.conn, out.Lost = nil, true
}

func (p *Player) told(at *slot, m rawclient.Message) said {
	if m.Header.Zxid > at.lastZxid {
		at.lastZxid = m.Header.Zxid
	}
	return said{text: p.render.message(m), event: m.Event() != nil, zxid: m.Header.Zxid}
}

// untilEnd receives what is left on a connection that the server has to end.
func (p *Player) untilEnd(ctx context.Context, c *rawclient.Conn, prefix string) ([]said, error) {
	defer c.Close()
	var lines []said
	for {
		m, err := c.Receive(ctx)
		switch {
		case ended(err):
			return append(lines, said{text: prefix + "ended"}), nil
		case err != nil:
			return lines, fmt.Errorf("%sthe server does not end it: %w", prefix, err)
		}
		lines = append(lines, said{text: prefix + p.render.message(m), event: m.Event() != nil, zxid: m.Header.Zxid})
	}
}

// ended reports whether err is the server's ending a connection: with a FIN, or with a reset if it had not read everything.
func ended(err error) bool {
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded) &&
		(errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE))
}

// flush makes every other session show the events it has, by a ping.
func (p *Player) flush(ctx context.Context, acting int, lines [][]said) error {
	for i := range p.slots {
		if c := p.slots[i].conn; c != nil && i != acting {
			c.Send(wire.OpPing, nil)
			if err := c.Flush(ctx); err != nil {
				return fmt.Errorf("session %d: %w", i, err)
			}
		}
	}
	for i := range p.slots {
		at := &p.slots[i]
		for at.conn != nil && at.conn.Outstanding() > 0 && i != acting {
			m, err := at.conn.Receive(ctx)
			if err != nil {
				return fmt.Errorf("session %d: %w", i, err)
			}
			lines[i] = append(lines[i], p.told(at, m))
		}
	}
	return nil
}

// endOfSession is the zxid of the step's closeSession, 0 if there is none.
func endOfSession(s *Step, out *Outcome) znode.Zxid {
	for i := range s.Calls {
		if s.Calls[i].Op == wire.OpCloseSession && out.Replies[i].Op == wire.OpCloseSession {
			return out.Replies[i].Header.Zxid
		}
	}
	return 0
}

// orderVanished sorts the events of the change ending: a session's ephemeral nodes vanish in no particular order.
func orderVanished(lines []said, ending znode.Zxid) {
	if ending == 0 {
		return
	}
	of := func(l said) bool { return l.event && l.zxid == ending }
	for from := 0; from < len(lines); from++ {
		to := from
		for to < len(lines) && of(lines[to]) {
			to++
		}
		slices.SortFunc(lines[from:to], func(a, b said) int {
			if a.text < b.text {
				return -1
			}
			if a.text > b.text {
				return 1
			}
			return 0
		})
		from = max(from, to-1)
	}
}
