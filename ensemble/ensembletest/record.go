package ensembletest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/internal/server"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// An Operation is a request of a client that a server has answered.
type Operation struct {
	Server  int    // the number of the one that was asked
	Session int64  // whose
	Op      string // as ZooKeeper calls it: "create2", "delete", "exists", "getData", "setData", "getChildren2", "multi", "sync", …
	Path    string // that it names; empty if it names none, or several
	Watch   bool   // it asked for a watch
	Created string // the path of the node it has made
	Err     error  // a client.Code, nil if it was done
	Parts   []Operation
	At      time.Time
}

// String is "getData /a by 0x1…: node does not exist".
func (o Operation) String() string {
	s := o.Op
	if o.Path != "" {
		s += " " + o.Path
	}
	for _, p := range o.Parts {
		s += fmt.Sprintf(" [%s %s]", p.Op, p.Path)
	}
	s += fmt.Sprintf(" by %#x", o.Session)
	if o.Err != nil {
		s += ": " + o.Err.Error()
	}
	return s
}

// An Event is what a session was told because it watched.
type Event struct {
	Server  int
	Session int64
	Type    client.EventType
	Path    string
	At      time.Time
}

// String is "/a deleted: to 0x1…".
func (e Event) String() string { return fmt.Sprintf("%s %v: to %#x", e.Path, e.Type, e.Session) }

// A Match says which operations or events are meant. Each field that is set restricts it; the zero Match is all.
type Match struct {
	Op      string           // of operations: this one; "create" stands for all that create a node, "getChildren" for both
	Type    client.EventType // of events: this one
	Path    string           // this path
	Below   string           // paths below this one
	Session int64
	Server  int
}

// on reports whether a path is meant.
func (m *Match) on(path string) bool {
	return (m.Path == "" || path == m.Path) && (m.Below == "" || path != m.Below && within(path, m.Below))
}

func (m *Match) by(session int64, server int) bool {
	return (m.Session == 0 || session == m.Session) && (m.Server == 0 || server == m.Server)
}

// operation reports whether an operation is meant: of several in one it is enough that one is.
func (m *Match) operation(o *Operation) bool {
	if !m.by(o.Session, o.Server) {
		return false
	}
	of := m.Op == "" || o.Op == m.Op || (m.Op == "create" || m.Op == "getChildren") && strings.HasPrefix(o.Op, m.Op)
	return of && (m.on(o.Path) || slices.ContainsFunc(o.Parts, func(p Operation) bool { return m.on(p.Path) })) ||
		slices.ContainsFunc(o.Parts, func(p Operation) bool { return m.operation(&p) })
}

// A Recorder records what clients ask of the servers of an ensemble and are told. Its methods may be called by many goroutines.
type Recorder struct {
	e *Ensemble

	mu         sync.Mutex
	operations []Operation
	events     []Event
}

// Record begins to record: all operations that come to a server from now on, when they are answered, and all events, until
// [Recorder.Stop]. Pings are left out, and what the servers do by themselves. Operations of a server are in the order of their answers,
// and an event is there before the answer to whatever has caused it. Recording holds everything in memory.
func (e *Ensemble) Record() *Recorder {
	e.mustBelong()
	r := &Recorder{e: e}
	e.mu.Lock()
	defer e.mu.Unlock()
	list := append(slices.Clone(e.recorders()), r)
	e.recording.Store(&list)
	return r
}

// Stop ends the recording. What was recorded stays.
func (r *Recorder) Stop() {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(r.e.recorders()), func(other *Recorder) bool { return other == r })
	r.e.recording.Store(&list)
}

// Reset forgets what was recorded so far, and goes on.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.operations, r.events = nil, nil
}

// Operations are those recorded so far that m means, in order.
func (r *Recorder) Operations(m Match) []Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []Operation
	for i := range r.operations {
		if m.operation(&r.operations[i]) {
			found = append(found, r.operations[i])
		}
	}
	return found
}

// Events are those recorded so far that m means, in order.
func (r *Recorder) Events(m Match) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []Event
	for _, e := range r.events {
		if m.by(e.Session, e.Server) && (m.Type == 0 || m.Type == e.Type) && m.on(e.Path) {
			found = append(found, e)
		}
	}
	return found
}

// Woken are the sessions that were told of something that m means, each once, in the order in which they were told first: where a
// crowd waits for its turn it should be one.
func (r *Recorder) Woken(m Match) []int64 {
	var woken []int64
	for _, e := range r.Events(m) {
		if !slices.Contains(woken, e.Session) {
			woken = append(woken, e.Session)
		}
	}
	return woken
}

// recorders are those that record.
func (e *Ensemble) recorders() []*Recorder {
	if list := e.recording.Load(); list != nil {
		return *list
	}
	return nil
}

// observer tells who records of what a server does.
func (s *Server) observer() *server.Observer {
	return &server.Observer{
		Wanted: func() bool { return len(s.e.recorders()) > 0 },
		Operation: func(o server.Operation) {
			op := s.operation(&o, time.Now())
			for _, r := range s.e.recorders() {
				r.mu.Lock()
				r.operations = append(r.operations, op)
				r.mu.Unlock()
			}
		},
		Event: func(session znode.SessionID, typ znode.EventType, path string) {
			e := Event{Server: s.id, Session: int64(session), Type: client.EventType(typ), Path: path, At: time.Now()}
			for _, r := range s.e.recorders() {
				r.mu.Lock()
				r.events = append(r.events, e)
				r.mu.Unlock()
			}
		},
	}
}

func (s *Server) operation(o *server.Operation, at time.Time) Operation {
	out := Operation{Server: s.id, Session: int64(o.Session), Op: o.Op.String(), Path: o.Path, Watch: o.Watch, Created: o.Created, At: at}
	if o.Code != znode.CodeOK {
		out.Err = client.Code(o.Code)
	}
	for i := range o.Parts {
		out.Parts = append(out.Parts, s.operation(&o.Parts[i], at))
	}
	return out
}
