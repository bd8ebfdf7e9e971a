package server

import (
	"sync/atomic"
	"time"
)

// stallAfter is how long the core or the disk may be at one piece of work before the log says so; watchEvery is how often it is
// looked. What was seen too late by one look is seen by the next, so whoever reads the log knows within their sum.
const (
	stallAfter = 4 * time.Second
	watchEvery = time.Second
)

// A stage is a goroutine that others wait for. Nobody can free one that hangs, in a disk's system call say: its peers leave a leader
// whose stages hang, since nothing reaches them any more, and a member's clients are not served on the word of such a leader. But
// whoever runs the server has to hear of it before it comes back, or of a server alone nobody would.
type stage struct {
	name  string
	since atomic.Int64 // when its work began, in nanoseconds since the server did; 0: it has none
}

// begin says that the stage has work from now on.
func (g *stage) begin(s *Server) { g.since.Store(max(int64(time.Since(s.begun)), 1)) }

// end says that it has none.
func (g *stage) end() { g.since.Store(0) }

// watchdog tells of stages that hang, once for each piece of work, and when they go on. It ends with stopping.
func (s *Server) watchdog() {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	stages := [...]*stage{&s.stage, &s.writer.stage}
	var told [len(stages)]int64
	for {
		select {
		case <-ticker.C:
		case <-s.stopping:
			return
		}
		for i, g := range stages {
			since := g.since.Load()
			took := time.Since(s.begun) - time.Duration(since)
			switch {
			case since == told[i]: // still, or still not
			case told[i] != 0:
				s.log.Info("goes on", "server", s.cfg.ID, "stage", g.name)
				told[i] = 0
			case since != 0 && took >= stallAfter:
				s.log.Warn("hangs", "server", s.cfg.ID, "stage", g.name, "for", took.Round(time.Millisecond))
				told[i] = since
			}
		}
	}
}
