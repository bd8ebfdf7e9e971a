package conformance_test

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/conformance"
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A mistake is what a wrong server does differently. Either function may be nil, and changes nothing then.
type mistake struct {
	// asked changes a request: the record behind its header, or the whole handshake.
	asked func(c *conn, op wire.Op, record []byte) []byte
	// told changes what the server says: the frames to take a frame's place, headers included.
	told func(c *conn, op wire.Op, frame []byte) [][]byte
}

// handshake stands for the op of the first frames.
const handshake = wire.OpCreateSession

// A conn comes between a client and a server, and makes a mistake. Its reader and its writer are one goroutine.
type conn struct {
	net.Conn
	mistake  mistake
	shaken   bool              // the handshake was asked for
	welcome  bool              // and answered
	ops      map[int32]wire.Op // by xid
	out, in  []byte            // parts of frames
	ready    []byte            // for the client
	held     [][]byte          // a mistake's
	counters map[string]int    // a mistake's
}

func wrong(dial func(context.Context, string, string) (net.Conn, error), m mistake) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &conn{Conn: c, mistake: m, ops: map[int32]wire.Op{}, counters: map[string]int{}}, nil
	}
}

// cut takes a whole frame from the front of b, without its length; nil if there is none.
func cut(b *[]byte) []byte {
	if len(*b) < 4 || int32(binary.BigEndian.Uint32(*b)) < 0 {
		return nil
	}
	n := int(binary.BigEndian.Uint32(*b))
	if len(*b) < 4+n {
		return nil
	}
	frame := (*b)[4 : 4+n]
	*b = (*b)[4+n:]
	return frame
}

func framed(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

func (c *conn) Write(p []byte) (int, error) {
	if !c.shaken && len(p) >= 4 && binary.BigEndian.Uint32(p) > 1<<24 { // a four-letter word, or junk
		return c.Conn.Write(p)
	}
	c.out = append(c.out, p...)
	for frame := cut(&c.out); frame != nil; frame = cut(&c.out) {
		op, header := handshake, []byte(nil)
		if c.shaken {
			op, header, frame = wire.Op(binary.BigEndian.Uint32(frame[4:])), frame[:8:8], frame[8:]
			c.ops[int32(binary.BigEndian.Uint32(header))] = op
		}
		c.shaken = true
		if c.mistake.asked != nil {
			frame = c.mistake.asked(c, op, frame)
		}
		if _, err := c.Conn.Write(framed(append(header, frame...))); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (c *conn) Read(p []byte) (int, error) {
	for len(c.ready) == 0 {
		buf := make([]byte, 4096)
		n, err := c.Conn.Read(buf)
		if n == 0 && err != nil {
			return 0, err
		}
		if !c.shaken {
			return copy(p, buf[:n]), nil
		}
		c.in = append(c.in, buf[:n]...)
		for frame := cut(&c.in); frame != nil; frame = cut(&c.in) {
			for _, told := range c.alter(frame) {
				c.ready = append(c.ready, framed(told)...)
			}
		}
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

func (c *conn) alter(frame []byte) [][]byte {
	op := handshake
	if c.welcome {
		op = wire.OpNotification
		if xid := int32(binary.BigEndian.Uint32(frame)); xid != wire.XidNotification {
			op = c.ops[xid]
		}
	}
	c.welcome = true
	if c.mistake.told == nil {
		return [][]byte{frame}
	}
	return c.mistake.told(c, op, frame)
}

// code is that of an answer.
func code(frame []byte) znode.Code { return znode.Code(binary.BigEndian.Uint32(frame[12:])) }

// withCode is an answer that is only a header, with another code.
func withCode(frame []byte, code znode.Code) [][]byte {
	return [][]byte{binary.BigEndian.AppendUint32(frame[:12:12], uint32(code))}
}

// recoded answers one code with another.
func recoded(op wire.Op, from, to znode.Code) mistake {
	return mistake{told: func(_ *conn, got wire.Op, frame []byte) [][]byte {
		if got == op && code(frame) == from {
			return withCode(frame, to)
		}
		return [][]byte{frame}
	}}
}

// reworded changes the record of requests.
func reworded[R any, P interface {
	*R
	wire.Record
}](op wire.Op, change func(P)) mistake {
	return mistake{asked: func(_ *conn, got wire.Op, record []byte) []byte {
		if got != op {
			return record
		}
		var r R
		d := jute.NewDecoder(record)
		if P(&r).DecodeJute(&d); d.Err() != nil {
			return record
		}
		change(&r)
		return P(&r).AppendJute(nil)
	}}
}

// retold changes the record of answers that are no errors.
func retold[R any, P interface {
	*R
	wire.Record
}](op wire.Op, change func(c *conn, r P)) mistake {
	return mistake{told: func(c *conn, got wire.Op, frame []byte) [][]byte {
		if got != op || op != handshake && code(frame) != 0 {
			return [][]byte{frame}
		}
		header := wire.ReplyHeaderLen
		if op == handshake {
			header = 0
		}
		var r R
		d := jute.NewDecoder(frame[header:])
		if P(&r).DecodeJute(&d); d.Err() != nil {
			return [][]byte{frame}
		}
		change(c, &r)
		return [][]byte{P(&r).AppendJute(frame[:header:header])}
	}}
}

// events changes what is said of changes.
func events(change func(c *conn, frame []byte) [][]byte) mistake {
	return mistake{told: func(c *conn, op wire.Op, frame []byte) [][]byte {
		if op != wire.OpNotification {
			return [][]byte{frame}
		}
		return change(c, frame)
	}}
}

// behind holds what it is told to back until after the next frame.
func behind(hold func(op wire.Op) bool) mistake {
	return mistake{told: func(c *conn, op wire.Op, frame []byte) [][]byte {
		if hold(op) {
			c.held = append(c.held, frame)
			return nil
		}
		all := append([][]byte{frame}, c.held...)
		c.held = nil
		return all
	}}
}

// wrongs are servers that make one mistake each, and the check that is meant for it.
func wrongs() map[string]struct {
	check   string
	mistake mistake
} {
	type w = struct {
		check   string
		mistake mistake
	}
	passwords := map[znode.SessionID][]byte{}
	remember := retold(handshake, func(_ *conn, r *wire.ConnectResponse) { passwords[r.Session] = r.Password })
	forgive := reworded(handshake, func(r *wire.ConnectRequest) {
		if passwords[r.Session] != nil {
			r.Password = passwords[r.Session]
		}
	})
	return map[string]w{
		"ignores versions":      {"nodes/set", reworded(wire.OpSetData, func(r *wire.SetDataRequest) { r.Version = -1 })},
		"ignores it in deletes": {"nodes/delete", reworded(wire.OpDelete, func(r *wire.DeleteRequest) { r.Version = -1 })},
		"makes all persistent":  {"nodes/ephemeral", reworded(wire.OpCreate, func(r *wire.CreateRequest) { r.Mode &^= 1 })},
		"looks at no zxid":      {"sessions/ahead", reworded(handshake, func(r *wire.ConnectRequest) { r.LastZxidSeen = 0 })},
		"looks at no password":  {"sessions/wrong-password", mistake{forgive.asked, remember.told}},
		"opens instead":         {"sessions/unknown", reworded(handshake, func(r *wire.ConnectRequest) { r.Session = 0 })},
		"mixes up answers":      {"sessions/answers-in-order", behind(func(op wire.Op) bool { return op == wire.OpSync })},
		"sync says nothing":     {"sessions/sync", retold(wire.OpSync, func(_ *conn, r *wire.SyncRequest) { r.Path = []byte{} })},
		"has other codes":       {"nodes/create-refused", recoded(wire.OpCreate, znode.CodeNodeExists, znode.CodeNoNode)},
		"deletes parents":       {"nodes/delete", recoded(wire.OpDelete, znode.CodeNotEmpty, 0)},
		"knows no null":         {"nodes/null-data", retold(wire.OpGetData, func(_ *conn, r *wire.DataResponse) { r.Data = append([]byte{}, r.Data...) })},
		"counts no children":    {"nodes/parent-stat", retold(wire.OpExists, func(_ *conn, r *wire.StatResponse) { r.Stat.Cversion = 0 })},
		"counts from one": {"sequences/count", retold(wire.OpCreate, func(_ *conn, r *wire.CreateResponse) {
			r.Path = strings.Replace(r.Path, "-0000000000", "-0000000001", 1)
		})},
		"answers without a zxid": {"nodes/zxids", mistake{told: func(_ *conn, op wire.Op, frame []byte) [][]byte {
			if op != handshake && op != wire.OpNotification {
				clear(frame[4:12])
			}
			return [][]byte{frame}
		}}},
		"has a multi's error in its header": {"multis/nothing", mistake{told: func(_ *conn, op wire.Op, frame []byte) [][]byte {
			if op != wire.OpMulti || code(frame) != 0 {
				return [][]byte{frame}
			}
			r := &wire.MultiResponse{}
			d := jute.NewDecoder(frame[wire.ReplyHeaderLen:])
			r.DecodeJute(&d)
			for _, result := range r.Results {
				if result.Err != 0 {
					return withCode(frame, result.Err)
				}
			}
			return [][]byte{frame}
		}}},
		"blames all parts": {"multis/nothing", retold(wire.OpMulti, func(_ *conn, r *wire.MultiResponse) {
			for i := range r.Results {
				if r.Results[i].Err != 0 {
					r.Results[i].Err = znode.CodeRuntimeInconsistency
				}
			}
		})},
		"has multis without checks": {"multis/nothing", reworded(wire.OpMulti, func(r *wire.MultiRequest) {
			for _, op := range r.Ops {
				if check, ok := op.Record.(*wire.CheckRequest); ok {
					check.Version = -1
				}
			}
		})},
		"tells twice":       {"watches/one-shot", events(func(_ *conn, frame []byte) [][]byte { return [][]byte{frame, frame} })},
		"tells late":        {"watches/before-own-answer", behind(func(op wire.Op) bool { return op == wire.OpNotification })},
		"shows, then tells": {"watches/before-anything-newer", behind(func(op wire.Op) bool { return op == wire.OpNotification })},
		"does not tell":     {"watches/deleted", events(func(*conn, []byte) [][]byte { return nil })},
		"tells once": {"watches/persistent", events(func(c *conn, frame []byte) [][]byte {
			if c.counters["events"]++; c.counters["events"] > 1 {
				return nil
			}
			return [][]byte{frame}
		})},
		"tells of other transactions": {"watches/event-zxid", events(func(_ *conn, frame []byte) [][]byte { frame[11]++; return [][]byte{frame} })},
		"tells nothing of before":     {"watches/set-again", reworded(wire.OpSetWatches, func(r *wire.SetWatchesRequest) { r.RelativeZxid = 1 << 60 })},
		"tells of lists": {"watches/refused-is-nothing", mistake{told: func(_ *conn, op wire.Op, frame []byte) [][]byte {
			if op != wire.OpSetACL {
				return [][]byte{frame}
			}
			return [][]byte{wire.AppendNotification(nil, 1, znode.EventDataChanged, "/x")[4:], frame}
		}}},
		"protects nothing":          {"permissions/owner-only", reworded(wire.OpCreate, func(r *wire.CreateRequest) { r.ACL = znode.OpenACL() })},
		"sets no list":              {"permissions/list-set", reworded(wire.OpSetACL, func(r *wire.SetACLRequest) { r.ACL = znode.OpenACL() })},
		"takes any scheme":          {"permissions/unknown-scheme", recoded(wire.OpAuth, znode.CodeAuthFailed, 0)},
		"takes any list":            {"permissions/list-refused", recoded(wire.OpSetACL, znode.CodeInvalidACL, 0)},
		"a list is a change":        {"permissions/aversion", retold(wire.OpSetACL, func(_ *conn, r *wire.StatResponse) { r.Stat.Version++ })},
		"removes too early":         {"removals/ttl", reworded(wire.OpCreateTTL, func(r *wire.CreateRequest) { r.TTL = 1 })},
		"never removes":             {"removals/ttl", reworded(wire.OpCreateTTL, func(r *wire.CreateRequest) { r.TTL = 1 << 30 })},
		"keeps containers":          {"removals/container", events(func(*conn, []byte) [][]byte { return nil })},
		"removes what has children": {"removals/container", retold(wire.OpGetChildren, func(_ *conn, r *wire.ChildrenResponse) { r.Children = r.Children[1:] })},
		"has no word for it":        {"limits/unknown-request", recoded(4711, znode.CodeUnimplemented, znode.CodeSystemError)},
		"does what it cannot read":  {"limits/unreadable", recoded(wire.OpGetData, znode.CodeMarshallingError, 0)},
	}
}

// Each mistake is found by the check that is meant for it.
func TestWrongServers(t *testing.T) {
	for name, w := range wrongs() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 1, &ensembletest.Options{Server: everything})
				report, _ := conformance.Check(t.Context(), e.ConnectString(), &conformance.Options{
					Dial: wrong(e.Dial, w.mistake), All: true, Only: []string{w.check}, Removal: 2 * time.Minute,
				})
				require.NotNil(t, report)
				require.ErrorContains(t, report.Err(), w.check+": failed")
			})
		})
	}
}

// The proxy in itself is not what the checks find wrong.
func TestProxyMakesNoMistake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, &ensembletest.Options{Server: everything})
		report, err := conformance.Check(t.Context(), e.ConnectString(), &conformance.Options{Dial: wrong(e.Dial, mistake{}), All: true})
		require.NoError(t, err)
		require.NoError(t, report.Err())
	})
}
