package main

import (
	"context"
	"net"
	"sync"
)

// A machine may stand still: nothing comes in then, and nothing goes out, and nobody is told. A virtual machine that is moved does that,
// a laptop that is closed, a process that is swapped out.
type machine struct{ still sync.RWMutex }

func (m *machine) stop()   { m.still.Lock() }
func (m *machine) resume() { m.still.Unlock() }

func (m *machine) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	return wire{conn, m}, err
}

type wire struct {
	net.Conn
	machine *machine
}

func (w wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.machine.still.RLock()
	defer w.machine.still.RUnlock()
	return n, err
}

func (w wire) Write(b []byte) (int, error) {
	w.machine.still.RLock()
	defer w.machine.still.RUnlock()
	return w.Conn.Write(b)
}
