package sim

import (
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/judge"
	"github.com/bellwether-zk/bellwether/ensemble/sim/workload"
)

// A client is a machine on which one of the workload's clients runs.
type client struct {
	*simulation
	c      *workload.Client
	number int
	ends   map[judge.ConnID]*end
	dials  map[judge.ConnID]bool // under way; false: given up
	out    []workload.Effect
	alarm  clock.Time
	alarms int
	asleep bool // paused
	missed []func()
}

func (s *simulation) newClient(n int) *client {
	ids := make([]int, len(s.servers))
	for i, v := range s.servers {
		ids[i] = int(v.id)
	}
	return &client{
		simulation: s, number: n, ends: map[judge.ConnID]*end{}, dials: map[judge.ConnID]bool{}, alarm: clock.Never,
		c: workload.New(n, ids, s.opts.Mix, s.world.chance(ofClients+uint64(n)), s.history),
	}
}

func (c *client) node() node { return firstClient + node(c.number) }

// up implements machine, as do the following.
func (c *client) up() (power, process bool) { return true, true }

func (c *client) later(f func()) {
	if c.asleep {
		c.missed = append(c.missed, f)
		return
	}
	f()
}

func (c *client) accept(_ port, e *end) { e.close() }

// pause stops the client for a while.
func (c *client) pause(span clock.Time) {
	if !c.asleep {
		c.asleep = true
		c.world.after(span, c.wake)
	}
}

func (c *client) wake() {
	c.asleep = false
	missed := c.missed
	c.missed = nil
	for _, f := range missed {
		f()
	}
}

// tick says what time it is, and carries out what the client wants.
func (c *client) tick() {
	c.c.Tick(c.world.now, &c.out)
	c.perform()
}

func (c *client) perform() {
	for i := 0; i < len(c.out); i++ {
		e := c.out[i]
		switch e.Kind {
		case workload.Dial:
			c.dial(e)
		case workload.Send:
			if end := c.ends[e.Conn]; end != nil {
				end.send(e.Bytes)
			}
		case workload.Close:
			if end := c.ends[e.Conn]; end != nil {
				delete(c.ends, e.Conn)
				end.closed = nil
				end.close()
			}
			delete(c.dials, e.Conn)
		}
	}
	c.out = c.out[:0]
	c.wind()
}

func (c *client) dial(e workload.Effect) {
	c.dials[e.Conn] = true
	c.net.dial(clientPort, c.node(), node(e.Server), func(end *end) {
		if !c.dials[e.Conn] {
			if end != nil {
				end.close()
			}
			return
		}
		delete(c.dials, e.Conn)
		if end == nil {
			c.later(func() {
				c.c.Disconnected(c.world.now, e.Conn, &c.out)
				c.perform()
			})
			return
		}
		c.ends[e.Conn] = end
		end.bytes = func(b []byte, _ bool) {
			c.c.Receive(c.world.now, e.Conn, b, &c.out)
			c.perform()
		}
		end.closed = func(error) {
			delete(c.ends, e.Conn)
			c.c.Disconnected(c.world.now, e.Conn, &c.out)
			c.perform()
		}
		c.later(func() {
			c.c.Connected(c.world.now, e.Conn, &c.out)
			c.perform()
		})
	})
}

// wind sets the alarm.
func (c *client) wind() {
	next := c.c.Next()
	if next == clock.Never || c.alarm <= next && c.alarm > c.world.now {
		return
	}
	c.alarm = next
	c.alarms++
	mine := c.alarms
	c.world.at(next, func() {
		if c.alarms != mine {
			return
		}
		c.alarm = clock.Never
		c.later(c.tick)
	})
}
