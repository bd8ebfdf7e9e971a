package client

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// proofsPerTimeout is how often the client asks for a proof that the session lives, while somebody keeps it.
const proofsPerTimeout = 8

// To write to a node that is never there, in a version it could not have, changes nothing, and needs a majority to find that out.
const (
	nowhere       = "/zookeeper/nowhere"
	never   int32 = math.MinInt32
)

// errUnproved is the cause of a session given up because nobody could tell whether it still lived.
var errUnproved = fmt.Errorf("%w: no majority answered in time", ErrSessionExpired)

// A ledger is what a generation knows of its lease: what was asked and not answered yet, and who wants to be sure of the session. Its
// mutex is held for a moment, and nothing else is locked meanwhile.
type ledger struct {
	strict atomic.Int32 // how many hold something that ends with the lease

	mu      sync.Mutex
	lease   lease
	local   bool          // this connection's server has no majority, and what it answers proves nothing
	pending []request     // in the order they were sent
	keeping int           // how many want proofs
	asking  bool          // a goroutine asks for them
	shown   time.Time     // when the last request was sent, on this connection, that a majority has answered; zero: one is wanted at once
	proved  chan struct{} // closed, and replaced, when the lease may have become longer
	hurry   chan struct{} // holds one token when a proof is wanted at once
	timer   *time.Timer   // ends the session with its lease; nil before somebody held something
}

// A request waits for its answer.
type request struct {
	xid, op int32
	sent    time.Time
}

// byMajority tells whether an answer to an operation is known to have a majority behind it: a transaction, or the refusal of one that only
// a leader can find out. Others, such as that the server is overloaded or reads only, any server gives by itself.
func byMajority(op, code int32) bool {
	switch op {
	case 1, 2, 5, 7, 14, 15, 16, 19, 21: // create, delete, setData, setACL, multi, create2, reconfig, createContainer, createTTL
	default:
		return false
	}
	switch Code(code) {
	case 0, ErrNoNode, ErrBadVersion, ErrNodeExists, ErrNotEmpty:
		return true
	}
	return false
}

func newLedger() ledger { return ledger{proved: make(chan struct{}), hurry: make(chan struct{}, 1)} }

// sends notes a request that is about to be sent.
func (l *ledger) sends(xid, op int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(l.pending, request{xid, op, time.Now()})
}

// hears notes an answer.
func (l *ledger) hears(xid, code int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range l.pending { // most often the first
		if r.xid != xid {
			continue
		}
		l.pending = l.pending[:i+copy(l.pending[i:], l.pending[i+1:])]
		if l.local {
			return
		}
		was := l.lease.proof
		sure := byMajority(r.op, code)
		l.lease.answered(r.sent, sure)
		if sure {
			l.shown = r.sent
		}
		if l.lease.proof != was {
			close(l.proved)
			l.proved = make(chan struct{})
		}
		return
	}
}

// opens notes that a connection has got the session, with a handshake that was sent then.
func (l *ledger) opens(sent time.Time, given grant, tick time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = l.pending[:0]
	if l.local = given.readOnly; l.local {
		return
	}
	l.lease.opened(sent, given.timeout, tick)
	l.shown = time.Time{}
	l.hasten()
}

// hasten has the next proof asked for at once.
func (l *ledger) hasten() {
	select {
	case l.hurry <- struct{}{}:
	default:
	}
}

// hold makes the session end with its lease, if that is not over; else proved will tell when to try again. over ends it then.
func (l *ledger) hold(over func()) (proved <-chan struct{}, sure bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.lease.over(now) {
		l.shown = time.Time{}
		l.hasten()
		return l.proved, false
	}
	l.strict.Add(1)
	if left := l.lease.until().Sub(now); l.timer == nil {
		l.timer = time.AfterFunc(left, over)
	} else {
		l.timer.Reset(left)
	}
	return nil, true
}

// over tells whether the session has to end: somebody relies on a lease that is over.
func (l *ledger) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.strict.Load() > 0 && l.lease.over(time.Now())
}

// rearm sets the timer for when the lease may be over.
func (l *ledger) rearm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.strict.Load() > 0 {
		l.timer.Reset(time.Until(l.lease.until()))
	}
}

// stop stops the timer.
func (l *ledger) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
	}
}

// next is how long nobody needs to ask for a proof, and how long it is at most; whatever a majority has answered is as good as one, so who
// writes asks less. done tells that nobody wants any more, and that the goroutine which asks is to end.
func (l *ledger) next() (pause, most time.Duration, done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keeping == 0 {
		l.asking = false
		return 0, 0, true
	}
	most = l.lease.timeout / proofsPerTimeout
	return most - min(time.Since(l.shown), most), most, false
}

// Deadline is until when the session is sure to live: as far as this client knows, the servers cannot have ended it before, and given to
// others what it held. It moves with what is written in the session, and all the time while somebody keeps it, see [Session.Keep]. It is the
// zero time for a session that a read-only server opened.
func (s *Session) Deadline() time.Time {
	l := &s.gen.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lease.until()
}

// Keep makes sure of the session for one who holds something in it that two must not have, such as a lock. It returns when the session
// is known to live, which takes nothing, or one answer of the servers if the client was idle. From then until release is called, the
// client asks a majority of the servers for a sign eight times per timeout, less often if it writes anyway, and ends the session by
// itself at its [Session.Deadline], before the servers can: Context ends at that moment, and who asks later, by [Session.Err] or by the
// Err of its Context, has the clocks read and is told the truth, also when the process was stopped meanwhile. What neither can prevent is
// a pause between the question and what is done upon its answer: for that there are fencing tokens, and checks in the same multi.
//
// A session with a timeout of T survives an outage if it is connected again within T/3, and within T/2 if Options.TickTime tells that a
// tick is a tenth of T or less: the servers count from when the leader has heard of the session, which may be half a tick later than it
// was heard of, or never. A wall clock that is set forward by as much ends it, too: it cannot be told from a machine that slept. The signs
// are transactions that change nothing, and cost the servers as much as a write.
//
// release may be called more than once. Keep fails with ctx's cause, or that of the session's end; with ErrWrapped; and at once with
// ErrNotReadOnly if a read-only server opened the session, as no majority will ever know it.
func (s *Session) Keep(ctx context.Context) (release func(), err error) {
	g := s.gen
	switch {
	case g.foreign:
		return nil, ErrWrapped
	case g.local && s.Err() == nil:
		return nil, ErrNotReadOnly
	}
	if err := g.keep(); err != nil {
		return nil, err
	}
	for {
		proved, sure := g.ledger.hold(g.alarm)
		if sure {
			return sync.OnceFunc(func() { g.ledger.strict.Add(-1); g.letGo() }), nil
		}
		select {
		case <-proved:
			continue
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-g.ctx.Done():
			err = context.Cause(g.ctx)
		}
		g.letGo()
		return nil, err
	}
}

// keep has proofs asked for until letGo.
func (g *generation) keep() error {
	if err := g.begin(); err != nil {
		return err
	}
	g.ledger.mu.Lock()
	defer g.ledger.mu.Unlock()
	g.ledger.keeping++
	if g.ledger.asking {
		g.calls.Done()
		return nil
	}
	g.ledger.asking = true
	go g.askForProofs() // ends after the last letGo, or with the session
	return nil
}

func (g *generation) letGo() {
	g.ledger.mu.Lock()
	defer g.ledger.mu.Unlock()
	if g.ledger.keeping--; g.ledger.keeping == 0 {
		g.ledger.hasten()
	}
}

// askForProofs asks for one after the other.
func (g *generation) askForProofs() {
	defer g.calls.Done()
	for {
		pause, most, done := g.ledger.next()
		if done {
			return
		}
		if pause == 0 {
			_, _ = g.conn.Set(nowhere, nil, never) // the ledger hears the answer
			pause = most
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-g.ledger.hurry:
		case <-g.ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// alarm is what the timer calls.
func (g *generation) alarm() {
	if !g.expire() {
		g.ledger.rearm()
	}
}

// expire ends the session if somebody relies on its lease, and that is over.
func (g *generation) expire() bool {
	over := g.ledger.over()
	if over {
		g.end(errUnproved)
	}
	return over
}

// leasedContext is a session's context, whose Err looks at the clocks.
type leasedContext struct {
	context.Context
	gen *generation
}

// Err is context.Context's.
func (c leasedContext) Err() error {
	if c.gen.ledger.strict.Load() > 0 {
		c.gen.expire()
	}
	return c.Context.Err()
}
