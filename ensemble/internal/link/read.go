package link

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
)

// An inbound is the reader's half of a Conn; nobody else uses it.
type inbound struct {
	c         *Conn
	packets   *packet.Reader
	batch     []packet.Packet // gathered and not handed over yet
	streaming bool            // a snapshot is being read
	buffer    []byte          // for what is read ahead of a snapshot's small reads; nil before the first
	ahead     []byte          // the rest of that; a part of buffer
	progress  pace
}

func (in *inbound) init(c *Conn) {
	in.c = c
	in.packets = packet.NewReader(in, c.links.limits.MaxPacket)
	in.progress.least = c.links.limits.Progress
}

// readAhead is how much of a snapshot is read from the socket at once.
const readAhead = 64 << 10

// Read reads from the socket for the packet reader. It may wait, so it hands over first what has been gathered: packets that came
// together go together, and none waits for a later one.
func (in *inbound) Read(p []byte) (int, error) {
	if len(in.ahead) == 0 && in.streaming && len(p) < readAhead {
		if in.buffer == nil {
			in.buffer = make([]byte, readAhead)
		}
		n, err := in.receive(in.buffer)
		if n == 0 {
			return 0, err
		}
		in.ahead = in.buffer[:n]
	}
	if len(in.ahead) > 0 {
		n := copy(p, in.ahead)
		in.ahead = in.ahead[n:]
		return n, nil
	}
	return in.receive(p)
}

func (in *inbound) receive(p []byte) (int, error) {
	in.deliver()
	n, err := in.c.nc.Read(p)
	if in.streaming && n > 0 && in.progress.due() {
		in.c.links.handler.Progress(in.c)
	}
	return n, err
}

func (in *inbound) deliver() {
	if len(in.batch) == 0 {
		return
	}
	batch := in.batch
	in.batch = make([]packet.Packet, 0, min(2*len(batch), 256))
	in.c.links.handler.Received(in.c, batch)
}

// read reads until the link ends. opened reports whether the handler has been told of it.
func (in *inbound) read() (opened bool, err error) {
	if !in.c.dialled {
		if err := in.greet(); err != nil {
			return false, err
		}
	}
	in.c.links.handler.Opened(in.c)
	err = in.follow()
	in.deliver()
	return true, err
}

// greet waits until learners are served and the first packet has come, and no longer than that may take.
func (in *inbound) greet() error {
	l := in.c.links
	defer l.begun(in.c)
	if err := in.hold(); err != nil {
		return err
	}
	if err := in.c.nc.SetReadDeadline(time.Now().Add(l.limits.FirstPacket)); err != nil {
		return err
	}
	var first packet.Packet
	if err := in.packets.Next(&first); errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrSilent
	} else if err != nil {
		return err
	}
	if first.Type != packet.TypeFollowerInfo && first.Type != packet.TypeObserverInfo {
		return fmt.Errorf("%w: a learner does not begin with type %d", ErrProtocol, first.Type)
	}
	in.batch = append(in.batch, first)
	return in.c.nc.SetReadDeadline(time.Time{})
}

// hold waits for Links.Serve(true), for a moment.
func (in *inbound) hold() error {
	l := in.c.links
	l.mu.Lock()
	serving := l.serving
	l.mu.Unlock()
	timer := time.NewTimer(l.limits.Hold)
	defer timer.Stop()
	select {
	case <-serving:
		return nil
	case <-timer.C:
		return ErrNotServing
	case <-in.c.closing:
		return in.c.reason()
	}
}

// follow gathers packets until reading fails.
func (in *inbound) follow() error {
	for {
		var p packet.Packet
		if err := in.packets.Next(&p); err != nil {
			return err
		}
		in.batch = append(in.batch, p)
		if p.Type == packet.TypeSnap && in.c.dialled {
			if err := in.snapshot(&p); err != nil {
				return err
			}
		}
	}
}

// snapshot lets the handler read the stream behind a SNAP packet.
func (in *inbound) snapshot(p *packet.Packet) error {
	in.deliver()
	in.streaming = true
	defer func() { in.streaming = false }()
	return in.c.links.handler.Snapshot(in.c, p.Zxid, p.Data, in.packets)
}
