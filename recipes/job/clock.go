package job

import "time"

// A clock shows what the servers' clock shows, or a little less: it is set by what they have written, and goes on by this machine's
// monotonic one.
type clock struct {
	server time.Time // as it was written
	heard  time.Time // when that was known here
}

// fresh is how long a clock is relied on before a run.
const fresh = 10 * time.Minute

// set sets the clock by the time of something that has just been written.
func (c *clock) set(server time.Time) {
	c.server, c.heard = server, time.Now()
}

func (c *clock) now() time.Time { return c.server.Add(time.Since(c.heard)) }

func (c *clock) old() bool { return time.Since(c.heard) > fresh }
