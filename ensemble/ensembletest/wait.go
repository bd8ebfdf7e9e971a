package ensembletest

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Leader is the server that leads, serves and, as far as faults go, has a majority of the voters; nil if there is none. A leader that
// is paused, or cut off from a majority, is not meant, though it may not have noticed yet. A server that stands alone is its own
// leader.
func (e *Ensemble) Leader() *Server {
	var leader *Server
	for _, s := range e.servers {
		if role := s.Role(); role != "leader" && role != "standalone" || s.Paused() || !s.serves() || !e.majority(s) {
			continue
		}
		if leader == nil || s.epoch.Load() > leader.epoch.Load() { // the other one has just been replaced
			leader = s
		}
	}
	return leader
}

// majority reports whether the faults leave a server a majority of those who vote, itself among them.
func (e *Ensemble) majority(s *Server) bool {
	voters := e.servers[:len(e.servers)-e.opts.Observers]
	reached := 0
	for _, v := range voters {
		if v.Running() && !v.Paused() && e.faults.connected(s.host, v.host) {
			reached++
		}
	}
	return reached > len(voters)/2
}

// Follower is a server that runs, votes and does not lead, the first of them; nil if there is none.
func (e *Ensemble) Follower() *Server {
	for _, s := range e.servers {
		if s.Role() == "follower" && !s.Paused() {
			return s
		}
	}
	return nil
}

// WaitLeader waits until there is a leader, as [Ensemble.Leader] understands it, and returns it, or the cause when ctx ends before.
func (e *Ensemble) WaitLeader(ctx context.Context) (leader *Server, err error) {
	err = e.wait(ctx, func() string {
		if leader = e.Leader(); leader == nil {
			return "nobody leads: " + e.describe()
		}
		return ""
	})
	return leader, err
}

// WaitCaughtUp waits until there is a leader, and every server that runs serves and has applied all that any of them had applied when
// they were looked at last: what a client has been told is done everywhere. A server that is cut off or paused is waited for too, until
// ctx ends; then the error says who was missing.
func (e *Ensemble) WaitCaughtUp(ctx context.Context) error {
	return e.wait(ctx, func() string {
		if e.Leader() == nil {
			return "nobody leads: " + e.describe()
		}
		zxid := e.applied()
		for _, s := range e.servers {
			if s.Running() && (s.Paused() || !s.serves() || s.Zxid() < zxid) {
				return fmt.Sprintf("%v has not caught up with what others have, %#x: %s", s, zxid, e.describe())
			}
		}
		return ""
	})
}

// applied is the zxid of the last transaction that any server has applied. The leader may be the last one: a majority needs not its disk.
func (e *Ensemble) applied() (zxid int64) {
	for _, s := range e.servers {
		if s.Running() {
			zxid = max(zxid, s.Zxid())
		}
	}
	return zxid
}

// wait looks again and again until missing says that nothing is.
func (e *Ensemble) wait(ctx context.Context, missing func() string) error {
	e.mustBelong()
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		what := missing()
		if what == "" {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("ensembletest: %s: %w", what, context.Cause(ctx))
		}
	}
}

// describe is what each server is, for people.
func (e *Ensemble) describe() string {
	all := make([]string, len(e.servers))
	for i, s := range e.servers {
		role := s.Role()
		switch {
		case role == "":
			role = "down"
		case s.Paused():
			role = "paused " + role
		case !s.serves():
			role += " that does not serve"
		}
		all[i] = fmt.Sprintf("%d is %s at %#x", s.id, role, s.Zxid())
	}
	return strings.Join(all, ", ")
}
