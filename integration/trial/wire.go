package trial

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// A wire is what is between one client and all servers.
type wire struct {
	*proxy.Proxy

	mu      sync.Mutex
	out     bool   // nobody is reached
	refused string // a server that is not reached
	last    string // server that was dialled last
	strikes int    // of faults that are over
	current *proxy.Fault
	silent  bool // nobody is heard, or hears, on connections that stand
}

var errUnplugged = errors.New("unplugged")

// dial is the client's dialer.
func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	out := w.out || w.refused == addr
	w.last = addr
	w.mu.Unlock()
	if out {
		return nil, errUnplugged
	}
	return w.Dial(ctx, network, addr)
}

// A life is what one client of a wire has to do with others. When it has ended the client reaches nobody, and nobody it.
type life struct {
	number int // of the user's, from 1
	wire   *wire

	mu   sync.Mutex
	over bool
	conn net.Conn // the last one
}

// dial is the client's dialer.
func (l *life) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := l.wire.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return nil, errors.Join(errUnplugged, conn.Close())
	}
	l.conn = conn
	return conn, nil
}

func (l *life) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if l.conn != nil {
		_ = l.conn.Close() // of which nothing is wanted any more
	}
}

// broken reports whether nothing comes through, one way or both.
func (w *wire) broken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out || w.silent
}

// struck is how many frames faults have met so far.
func (w *wire) struck() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current != nil {
		return w.strikes + w.current.Strikes()
	}
	return w.strikes
}

func (w *wire) set(f *proxy.Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = f
}

// unplug lets nobody be reached, or not the server that was reached last.
func (w *wire) unplug(all bool) {
	w.mu.Lock()
	w.out = all
	if !all {
		w.refused = w.last
	}
	w.mu.Unlock()
	w.Drop()
}

// silence lets nothing through, and tells nobody, as when a cable is pulled.
func (w *wire) silence(requests, replies bool) {
	w.mu.Lock()
	w.silent = true
	w.mu.Unlock()
	if requests {
		w.set(w.Freeze(proxy.Request(proxy.OpAll, "").Always()))
	}
	if replies {
		w.set(w.Freeze(proxy.Reply(proxy.OpAll, "").Always()))
	}
}

// heal ends what is wrong.
func (w *wire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out, w.silent, w.refused = false, false, ""
	if w.current != nil {
		w.strikes += w.current.Strikes()
		w.current = nil
	}
	w.Heal()
}

// misfortunes are what happens to a connection, until heal.
var misfortunes = []func(w *wire, r *rand.Rand){
	func(w *wire, r *rand.Rand) { w.Drop() },
	func(w *wire, r *rand.Rand) { w.unplug(true) },
	func(w *wire, r *rand.Rand) { w.unplug(false) },
	func(w *wire, r *rand.Rand) { w.silence(true, true) },
	func(w *wire, r *rand.Rand) { w.silence(true, false) },
	func(w *wire, r *rand.Rand) { w.silence(false, true) },
	func(w *wire, r *rand.Rand) { w.set(w.Lose(some(r))) },
	func(w *wire, r *rand.Rand) { w.set(w.Lose(some(r))) },
	func(w *wire, r *rand.Rand) { w.set(w.Cut(some(r))) },
	func(w *wire, r *rand.Rand) { w.set(w.Freeze(some(r))) },
	func(w *wire, r *rand.Rand) {
		w.set(w.Delay(proxy.Reply(proxy.OpAll, "").Always(), time.Duration(r.IntN(300))*time.Millisecond))
	},
}

// some are a frame or two among those to come.
func some(r *rand.Rand) proxy.Match {
	ops := []proxy.Op{proxy.OpCreate, proxy.OpDelete, proxy.OpExists, proxy.OpGetData, proxy.OpGetChildren, proxy.OpMulti, proxy.OpSetData, proxy.OpAny}
	op := ops[r.IntN(len(ops))]
	return []proxy.Match{proxy.Reply(op, ""), proxy.Reply(op, ""), proxy.Request(op, ""), proxy.Event("")}[r.IntN(4)].
		Skip(r.IntN(3)).Times(1 + r.IntN(2))
}
