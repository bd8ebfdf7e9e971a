package conformance

import (
	"context"
	"slices"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// shortTTL is how long nodes live that are waited for.
const shortTTL = 2 * time.Second

// container makes a container.
func (s *session) container(path string) {
	s.offers(wire.OpCreateContainer, creation(path, "", znode.ModeContainer))
}

// mortal makes a node that may be removed when nothing has changed it for shortTTL.
func (s *session) mortal(path string) {
	r := creation(path, "", znode.ModeTTL)
	r.TTL, r.HasTTL = shortTTL.Milliseconds(), true
	s.offers(wire.OpCreateTTL, r)
}

// removed waits until nodes are removed, in whatever order, of which s is to be told, and of nothing else. It returns when each was.
func (s *session) removed(paths ...string) map[string]time.Time {
	ctx, cancel := context.WithTimeout(s.p.ctx, s.p.r.opts.Removal)
	defer cancel()
	when := make(map[string]time.Time)
	for len(when) < len(paths) {
		m, err := s.conn.Receive(ctx)
		if err != nil {
			s.p.fail("%v should be gone within %v, and %d of them are: %v", paths, s.p.r.opts.Removal, len(when), err)
		}
		path := paths[0]
		if e := m.Event(); e != nil && slices.Contains(paths, e.Path) {
			path = e.Path
		}
		s.isEvent(m, znode.EventDeleted, path)
		when[path] = time.Now()
	}
	return when
}

// pass lets time pass.
func (p *probe) pass(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.ctx.Done():
		p.fail("%v", context.Cause(p.ctx))
	}
}

// removals are the checks of what servers remove by themselves.
var removals = []check{
	{"removals", "container", "recipes leave it to servers to remove what is empty, and what is not, or is about to be used, stays", func(p *probe) {
		s := p.connect()
		for _, name := range []string{"/empty", "/full", "/new"} {
			s.container(p.root + name)
			s.watch(wire.OpExists, p.root+name)
		}
		s.make(p.root + "/full/n")
		s.make(p.root + "/empty/n")
		s.del(p.root + "/empty/n")
		s.removed(p.root + "/empty")
		s.quiet("one has a child, and the other one never had any")
		s.lists(p.root, "full new")
	}},
	{"removals", "ttl", "what nobody renews vanishes, and not before its time", func(p *probe) {
		s := p.connect()
		left, renewed := p.root+"/left", p.root+"/renewed"
		s.mortal(p.root + "/parent")
		s.make(p.root + "/parent/n")
		since := map[string]time.Time{left: time.Now()}
		for _, path := range []string{left, renewed} {
			s.mortal(path)
		}
		p.pass(shortTTL / 2)
		since[renewed] = time.Now()
		s.set(renewed, "again")
		for path := range since {
			s.watch(wire.OpExists, path)
		}
		for path, when := range s.removed(left, renewed) {
			lived := when.Sub(since[path])
			p.must(lived >= shortTTL, "%s was removed %v after its last change, and may live for %v", path, lived, shortTTL)
		}
		s.lists(p.root, "parent")
	}},
}
