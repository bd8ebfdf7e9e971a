package client

import (
	"errors"
	"slices"
)

// watchKind is what a watch watches, by the operation that set it.
type watchKind int

const (
	watchData watchKind = iota
	watchExists
	watchChildren

	kinds // how many there are
)

// wokenBy lists the kinds each of the server's events wakes (DataTree and WatchManager in Java). An event may find a kind that is not set
// on the server in that way, such as exists for a node that was there; to wake it is harmless.
var wokenBy = map[EventType][]watchKind{
	EventCreated:         {watchExists},
	EventDeleted:         {watchData, watchExists, watchChildren},
	EventDataChanged:     {watchData, watchExists},
	EventChildrenChanged: {watchChildren},
}

type watchKey struct {
	kind watchKind
	path string // absolute
}

// signal is a one-shot watch all waiters of one key share. event and err are written before done is closed and not after.
type signal struct {
	done  chan struct{}
	event Event // with the absolute path
	err   error
	tell  []follower

	armed bool // the server has it
	users int  // reads under way that would arm it
}

// watches are the signals of one generation that have not fired, guarded by the generation's mutex. A signal leaves when it fires, when the
// connection is made anew, or when no read succeeded in arming it: nothing is left over by waiters who went away, as they share
// what is armed.
type watches struct {
	signals map[watchKey]*signal
	arming  map[watchKey]int // reads under way that set a watch
}

func newWatches() watches {
	return watches{signals: make(map[watchKey]*signal), arming: make(map[watchKey]int)}
}

// errSessionOver stands in for the cause in a watch that was asked for after the end; the read beside it fails with the cause.
var errSessionOver = errors.New("session is over")

// take returns the signal for a key, for a read that is about to be sent; if the server does not have the watch yet, the read will set
// it. Taking comes before sending, so that no event can slip between the answer and the waiting for it.
func (g *generation) take(key watchKey) *signal {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watches.arming[key]++
	s := g.watches.signals[key]
	if s == nil {
		s = &signal{done: make(chan struct{})}
		if g.ended {
			s.fail(errSessionOver)
			return s
		}
		g.watches.signals[key] = s
	}
	s.users++
	return s
}

// settle notes how the read went that took the signal, when the library has answered.
func (g *generation) settle(key watchKey, s *signal, armed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.watches.arming[key]--; g.watches.arming[key] == 0 {
		delete(g.watches.arming, key)
	}
	s.users--
	s.armed = s.armed || armed
	if !s.armed && s.users == 0 && g.watches.signals[key] == s {
		delete(g.watches.signals, key)
	}
}

// wanted tells whether a read of this key that is being sent is to set a watch: somebody is waiting for the answer to one, and the server
// does not have it. Another read of the same key sets it just as well.
func (g *generation) wanted(key watchKey) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.watches.signals[key]
	return g.watches.arming[key] > 0 && (s == nil || !s.armed)
}

// fire wakes what an event of the server concerns.
func (w *watches) fire(t EventType, path string) {
	for _, kind := range wokenBy[t] {
		key := watchKey{kind, path}
		if s := w.signals[key]; s != nil {
			delete(w.signals, key)
			s.event = Event{Type: t, Path: path}
			s.wake()
		}
	}
}

// fireAll wakes everybody.
func (w *watches) fireAll(t EventType) {
	for key, s := range w.signals {
		s.event = Event{Type: t, Path: key.path}
		s.wake()
	}
	clear(w.signals)
}

// failAll wakes everybody with the end of the session.
func (w *watches) failAll(cause error) {
	for _, s := range w.signals {
		s.fail(cause)
	}
	clear(w.signals)
}

// wake tells all waiters.
func (s *signal) wake() {
	close(s.done)
	for _, f := range s.tell {
		f.woken(s, f.look)
	}
	s.tell = nil
}

// follower is told when a signal fires that was set by a look, with the generation's mutex held.
type follower struct {
	look  look
	woken func(*signal, look)
}

// follow has f told when the signal fires, at once if it has.
func (g *generation) follow(s *signal, f follower) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-s.done:
		f.woken(s, f.look)
	default:
		s.tell = append(s.tell, f)
	}
}

// unfollow forgets a follower.
func (g *generation) unfollow(s *signal, l look) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.tell = slices.DeleteFunc(s.tell, func(f follower) bool { return f.look == l })
}

func (s *signal) fail(cause error) {
	s.err = cause
	s.wake()
}

func isNoNode(err error) bool { return errors.Is(err, ErrNoNode) }
