package proxy

import (
	"fmt"
	"path"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/dialogue"
)

// always is how often a fault strikes that only End ends.
const always = -1

// A Match says which frames a fault meets. [Request], [Reply] and [Event] make one that meets the next frame.
type Match struct {
	part  dialogue.Part
	op    Op
	path  string
	skip  int
	times int
}

// Request is what clients ask, on its way to the server. The op's and the path's meaning is in the package comment; a pattern that is
// malformed panics, here and in Reply and Event.
func Request(op Op, path string) Match { return newMatch(dialogue.Request, op, path) }

// Reply is the answer to what Request would be, on its way back; also to a request that has passed before there was a fault. With OpAll
// it is events too: all that the server says.
func Reply(op Op, path string) Match { return newMatch(dialogue.Reply, op, path) }

// Event is what a server tells of a node that has changed to a client that has left a watch; with a recursive watch the node is not
// the one that is watched.
func Event(path string) Match { return newMatch(dialogue.Event, OpAll, path) }

func newMatch(part dialogue.Part, op Op, pattern string) Match {
	if _, err := path.Match(strings.TrimSuffix(pattern, below), ""); err != nil {
		panic(fmt.Sprintf("proxy: the path %q: %v", pattern, err))
	}
	if opNames[op] == "" {
		panic(fmt.Sprintf("proxy: there is no op %d", op))
	}
	return Match{part: part, op: op, path: pattern, times: 1}
}

// Times is the next n of them instead of one. It panics if n is less than 1.
func (m Match) Times(n int) Match {
	if n < 1 {
		panic(fmt.Sprintf("proxy: a fault that strikes %d times", n))
	}
	m.times = n
	return m
}

// Always is all of them until the fault ends.
func (m Match) Always() Match {
	m.times = always
	return m
}

// Skip lets n of them pass first.
func (m Match) Skip(n int) Match {
	m.skip = n
	return m
}

// String is for people: "reply to create /n".
func (m Match) String() string {
	what := "request " + m.op.String()
	switch m.part {
	case dialogue.Reply:
		what = "reply to " + m.op.String()
	case dialogue.Event:
		what = "event"
	}
	if m.path != "" {
		what += " " + m.path
	}
	return what
}

// meets reports whether a frame is one of those, however many of them are meant.
func (m Match) meets(f *dialogue.Message) bool {
	if f.Part != m.part && !(f.Part == dialogue.Event && m.part == dialogue.Reply && m.op == OpAll) {
		return false
	}
	own := m.op.covers(f.Op)
	if own && m.path == "" {
		return true
	}
	for _, t := range f.Targets {
		if (own || m.op.covers(t.Op)) && onPath(m.path, t.Path) {
			return true
		}
	}
	return false
}

// below, in the end of a pattern, is everything below.
const below = "/**"

// onPath reports whether a path is meant by a pattern.
func onPath(pattern, p string) bool {
	if p == "" {
		p = "/" // as servers take it
	}
	if pattern == "" {
		return true
	}
	parent, all := strings.CutSuffix(pattern, below)
	if !all {
		matched, err := path.Match(pattern, p)
		return matched && err == nil
	}
	end := 0 // of the part of p that has as many names as parent
	for range strings.Count(parent, "/") + 1 {
		next := strings.IndexByte(p[end:], '/')
		if next < 0 {
			return false
		}
		end += next + 1
	}
	matched, err := path.Match(parent, p[:end-1])
	return matched && err == nil && end < len(p)
}
