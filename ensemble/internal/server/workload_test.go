package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// worker is a client that goes from server to server with its session, writes, reads and remembers what it was told. It never asks
// for the same write twice.
type worker struct {
	*cluster
	name string
	rand *rand.Rand
	quit *atomic.Bool

	conn     *rawclient.Conn // nil: none
	session  znode.SessionID // 0: none
	password []byte
	zxid     znode.Zxid // latest it was told

	asked int                      // creates asked for
	acked []string                 // paths of those that were acknowledged
	sent  int                      // last value asked to be written to its own node
	known int                      // value that is certain to be reached
	lost  bool                     // writes between known and sent may or may not have happened
	mark  string                   // its session's ephemeral node, once acknowledged
	ended map[znode.SessionID]bool // sessions it was told are no more
	fault error                    // what it was told that must not be
}

func newWorker(c *cluster, name string, seed uint64, quit *atomic.Bool) *worker {
	h := uint64(0)
	for _, b := range []byte(name) {
		h = h*31 + uint64(b)
	}
	return &worker{cluster: c, name: name, rand: rand.New(rand.NewPCG(seed, h)), quit: quit, ended: map[znode.SessionID]bool{}}
}

func (w *worker) own() string { return "/own-" + w.name }

// wrong notes the first thing that must not be.
func (w *worker) wrong(format string, args ...any) {
	if w.fault == nil {
		w.fault = fmt.Errorf("%s, session %v: %s", w.name, w.session, fmt.Sprintf(format, args...))
	}
}

// work goes on until it is to quit.
func (w *worker) work() {
	for !w.quit.Load() && w.fault == nil {
		if w.conn == nil && !w.attach() {
			time.Sleep(time.Duration(1+w.rand.IntN(50)) * time.Millisecond)
			continue
		}
		if !w.act() {
			w.hangUp()
		}
		time.Sleep(time.Duration(w.rand.IntN(20)) * time.Millisecond)
	}
}

func (w *worker) hangUp() {
	_ = w.conn.Close()
	w.conn, w.lost = nil, true
}

// attach opens a session, or takes its own to a server, which need not be the same.
func (w *worker) attach() bool {
	m := w.members[w.rand.IntN(len(w.members))]
	o := m.options()
	o.Session, o.Password, o.LastZxid = w.session, w.password, w.zxid
	ctx, cancel := context.WithTimeout(context.Background(), 8*tick)
	defer cancel()
	conn, err := rawclient.Dial(ctx, o)
	switch {
	case errors.Is(err, rawclient.ErrSessionExpired):
		w.forget()
		return false
	case err != nil:
		return false
	}
	if w.ended[conn.Session()] {
		w.wrong("has been told that it is no more, and now that it is")
	}
	w.conn, w.session, w.password = conn, conn.Session(), conn.Password()
	if w.mark == "" {
		w.stick()
	}
	return w.conn != nil
}

// forget notes that the session is no more.
func (w *worker) forget() {
	w.ended[w.session] = true
	w.session, w.password, w.mark = 0, nil, ""
}

// call asks and waits; false means that the connection is of no more use.
func (w *worker) call(op wire.Op, rec wire.Record) (rawclient.Message, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 8*tick)
	defer cancel()
	m, err := w.conn.Call(ctx, op, rec)
	if err != nil {
		return m, false
	}
	if op != wire.OpPing && m.Header.Zxid > 0 { // the answer to a ping that had to wait goes beside the others
		if m.Header.Zxid < w.zxid {
			w.wrong("%v is answered at %v, after it has seen %v", op, m.Header.Zxid, w.zxid)
		}
		w.zxid = max(w.zxid, m.Header.Zxid)
	}
	return m, true
}

// stick leaves an ephemeral node for the session.
func (w *worker) stick() {
	path := fmt.Sprintf("/e/%s-%x", w.name, uint64(w.session))
	m, ok := w.call(wire.OpCreate, create(path, znode.ModeEphemeral))
	switch {
	case !ok:
		w.hangUp()
	case m.Header.Err == znode.CodeOK || m.Header.Err == znode.CodeNodeExists: // an earlier attempt did it
		w.mark = path
	}
}

// act does one thing.
func (w *worker) act() bool {
	switch n := w.rand.IntN(100); {
	case n < 40:
		return w.create()
	case n < 65:
		return w.write()
	case n < 85:
		return w.read()
	case n < 92:
		_, ok := w.call(wire.OpPing, nil)
		return ok
	case n < 96:
		_, ok := w.call(wire.OpSync, &wire.SyncRequest{Path: []byte("/")})
		return ok
	case n < 98:
		return false // it leaves without a word
	default:
		_, ok := w.call(wire.OpCloseSession, nil)
		if ok {
			w.forget()
		}
		return false
	}
}

func (w *worker) create() bool {
	w.asked++
	rec := create(fmt.Sprintf("/w/%s.%d.", w.name, w.asked), znode.ModePersistentSequential)
	rec.Data = make([]byte, w.rand.IntN(300))
	m, ok := w.call(wire.OpCreate, rec)
	if !ok {
		return false
	}
	if p, done := m.Record.(*wire.CreateResponse); done && m.Err() == nil {
		w.acked = append(w.acked, p.Path)
	} else if m.Header.Err == znode.CodeSessionExpired || m.Header.Err == znode.CodeSessionMoved {
		return false
	} else {
		w.wrong("create is answered with %v", m.Header.Err)
	}
	return true
}

func (w *worker) write() bool {
	w.sent++
	m, ok := w.call(wire.OpSetData, set(w.own(), strconv.Itoa(w.sent)))
	if !ok || m.Err() != nil {
		w.lost = true
		return false
	}
	w.known, w.lost = w.sent, false
	return true
}

func (w *worker) read() bool {
	m, ok := w.call(wire.OpGetData, &wire.WatchRequest{Path: w.own()})
	if !ok || m.Err() != nil {
		return false
	}
	w.reads(string(m.Record.(*wire.DataResponse).Data))
	return true
}

// reads holds what its own node has against what it wrote.
func (w *worker) reads(value string) {
	n, err := strconv.Atoi(value)
	switch {
	case err != nil:
		w.wrong("reads %q", value)
	case w.lost && (n < w.known || n > w.sent):
		w.wrong("reads %d: an acknowledged write is gone: %d to %d may be", n, w.known, w.sent)
	case !w.lost && n != w.known:
		w.wrong("reads %d in place of %d", n, w.known)
	}
	w.known = max(w.known, n)
}

// finish looks a last time, when all is well again, and closes the session, if it is still there.
func (w *worker) finish() {
	if w.conn != nil {
		w.hangUp()
	}
	for deadline := time.Now().Add(patience); w.session != 0; time.Sleep(tick / 4) {
		require.NoError(w, w.fault)
		require.True(w, time.Now().Before(deadline), "%s cannot get its session back", w.name)
		if w.conn == nil && !w.attach() {
			continue
		}
		if _, ok := w.call(wire.OpSync, &wire.SyncRequest{Path: []byte("/")}); !ok || !w.read() || !w.stays() {
			w.hangUp()
			continue
		}
		if _, ok := w.call(wire.OpCloseSession, nil); ok {
			w.forget()
		}
		w.hangUp()
	}
	require.NoError(w, w.fault)
}

// stays looks whether the ephemeral node of a session that lives is there.
func (w *worker) stays() bool {
	if w.mark == "" {
		return true
	}
	m, ok := w.call(wire.OpExists, &wire.WatchRequest{Path: w.mark})
	if !ok {
		return false
	}
	if m.Err() != nil {
		w.wrong("its session lives, and %s is gone: %v", w.mark, m.Err())
	} else if owner := m.Record.(*wire.StatResponse).Stat.EphemeralOwner; owner != w.session {
		w.wrong("%s belongs to %v", w.mark, owner)
	}
	return true
}

// judge checks at one member that everything acknowledged is there once, and nothing twice.
func (v *visitor) judge(workers []*worker) {
	v.Helper()
	there := v.children("/w")
	slices.Sort(there)
	for i := 1; i < len(there); i++ {
		require.NotEqual(v, stem(there[i-1]), stem(there[i]), "done twice")
	}
	for _, w := range workers {
		for _, path := range w.acked {
			_, found := slices.BinarySearch(there, strings.TrimPrefix(path, "/w/"))
			require.True(v, found, "server %d: %s was acknowledged and is not there", v.id, path)
		}
		data := v.mustCall(wire.OpGetData, &wire.WatchRequest{Path: w.own()}).Record.(*wire.DataResponse)
		w.reads(string(data.Data))
		require.NoError(v, w.fault)
	}
	require.Empty(v, v.children("/e"), "ephemeral nodes of sessions that have ended")
}

// stem is the name of a sequential node without its number: one for each request.
func stem(name string) string { return name[:strings.LastIndexByte(name, '.')] }
