package proxy

import (
	"slices"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/dialogue"
)

// A fate is what becomes of a frame that has waited as long as it had to.
type fate int8

const (
	arrives fate = iota
	isLost       // and the connection breaks
	isCut        // it arrives, and the connection breaks
	isSwallowed
)

// A Fault is something that happens, or has happened, to frames that match. Its methods may be called by many goroutines.
type Fault struct {
	p     *Proxy
	match Match
	fate  fate
	waits bool // the frame does, for delay or, if that is 0, until the end
	delay time.Duration

	struck chan struct{} // closed when it has struck for the first time
	ended  chan struct{} // closed when it is over

	// p.mu guards these.
	skip    int // frames to let pass
	left    int // times to strike, or always
	strikes int
	over    bool
}

// Lose lets a frame not arrive, and breaks the connection at that moment, as a client sees it when its network or its server fails. A
// request that is lost is never done, a reply that is lost is that of something done. What the connection said before arrives.
func (p *Proxy) Lose(m Match) *Fault { return p.add(&Fault{match: m, fate: isLost}) }

// Cut breaks the connection right behind a frame, which arrives. Behind a request that is: the server may do it or not, and nobody hears
// of it; behind a reply: the client has it, and loses the connection next.
func (p *Proxy) Cut(m Match) *Fault { return p.add(&Fault{match: m, fate: isCut}) }

// Swallow takes a frame out of a connection that goes on. Nobody is told: who asked waits until it stops waiting by itself. A Java client
// notices with the next reply, and breaks the connection. A lost event is a watch that never fires.
func (p *Proxy) Swallow(m Match) *Fault { return p.add(&Fault{match: m, fate: isSwallowed}) }

// Freeze holds a frame until the fault ends, and with it all that comes behind it on the same way of the same connection. A client that
// gives up meanwhile, and closes the connection, does not take back what it has said: the end of the connection waits too.
func (p *Proxy) Freeze(m Match) *Fault { return p.add(&Fault{match: m, waits: true}) }

// Delay lets a frame arrive d later than it would have, and all that comes behind it on the same way of the same connection not before
// it. Several that are on their way at once are late by d each, and not by the sum. When the fault ends, what is late arrives.
func (p *Proxy) Delay(m Match, d time.Duration) *Fault {
	return p.add(&Fault{match: m, waits: d > 0, delay: d})
}

// add makes a fault that happens from now on.
func (p *Proxy) add(f *Fault) *Fault {
	f.p, f.skip, f.left = p, f.match.skip, f.match.times
	f.struck, f.ended = make(chan struct{}), make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, f)
	return f
}

// Struck is closed when the fault has struck for the first time: the frame has come to the proxy, which has lost it, holds it, or is
// about to pass it on and cut the connection behind it.
func (f *Fault) Struck() <-chan struct{} { return f.struck }

// Strikes is how often the fault has struck.
func (f *Fault) Strikes() int {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	return f.strikes
}

// End ends the fault: it does not strike again, and what it holds goes on its way, which takes a moment. What it has lost is lost. It may
// be called more than once.
func (f *Fault) End() {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	f.p.faults = slices.DeleteFunc(f.p.faults, func(other *Fault) bool { return other == f })
	f.end()
}

// end is for whoever has p.mu.
func (f *Fault) end() {
	if !f.over {
		f.over = true
		close(f.ended)
	}
}

// String is for people.
func (f *Fault) String() string {
	what := map[fate]string{isLost: "lose ", isCut: "cut at ", isSwallowed: "swallow "}[f.fate]
	switch {
	case f.delay > 0:
		what = "delay by " + f.delay.String() + " "
	case f.waits:
		what = "freeze "
	}
	return what + f.match.String()
}

// A verdict is what faults do to one frame.
type verdict struct {
	fate  fate
	waits []*Fault
}

// judge lets all faults strike that meet a frame.
func (p *Proxy) judge(m *dialogue.Message) (v verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		if f.left == 0 || v.fate != arrives && f.fate != arrives || !f.match.meets(m) {
			continue
		}
		if f.skip > 0 {
			f.skip--
			continue
		}
		f.strike()
		if f.fate != arrives {
			v.fate = f.fate
		}
		if f.waits {
			v.waits = append(v.waits, f)
		}
	}
	return v
}

// strike is for whoever has p.mu.
func (f *Fault) strike() {
	if f.left != always {
		f.left--
	}
	if f.strikes++; f.strikes == 1 {
		close(f.struck)
	}
}
