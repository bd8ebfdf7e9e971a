package client

import "time"

// A lease is until when a session is sure to live: no server can have ended it before, as far as can be proved on this side.
//
// The leader ends a session when it has heard nothing of it for its timeout. It hears of a session that a follower serves when that
// follower tells it, with its answers to the leader's pings, every half tick; that the session wrote something tells an Apache leader nothing
// (LearnerHandler, LearnerSessionTracker in Java). So a request that was answered has touched the session at one server, and whether the
// leader has learned of it is another question: that server may have been cut off in the next moment. It has, if a later request on the
// same connection, sent when half a tick had passed, was answered by the leader and a majority: the two servers speak through one
// connection, in order. The majority matters, since one who was the leader goes on answering what takes none, such as a sync, while another
// one counts from its own beginning.
//
// Time is counted from when a request was sent, since the server cannot have had it before; and on both clocks, since the monotonic one
// stands still while a machine sleeps, and the other one may be set.
type lease struct {
	timeout time.Duration // negotiated
	half    time.Duration // half a tick, at the most
	touches []touch       // what this connection's server has answered, the oldest first
	proof   time.Time     // when the last touch was sent that the leader has learned of
}

// A touch is a request that was answered.
type touch struct {
	sent time.Time
	told bool // the server has asked the leader about it
}

// touchesPerTimeout bounds how many touches a lease keeps: each covers those that come so soon after it.
const touchesPerTimeout = 64

// opened begins with a connection, whose handshake was sent then. One that opened the session was answered by a majority; one that
// came back to it by who is taken for the leader.
func (l *lease) opened(sent time.Time, timeout, tick time.Duration) {
	if tick <= 0 || tick > timeout/2 {
		tick = timeout / 2 // unless they are told otherwise, servers grant no timeout below two ticks
	}
	l.timeout, l.half = timeout, tick/2+tick/8 // leaders are not quite punctual
	l.touches = append(l.touches[:0], touch{sent, true})
	if l.proof.IsZero() {
		l.proof = sent
	}
}

// answered notes an answer to a request that was sent then, and whether a majority stands behind it.
func (l *lease) answered(sent time.Time, byMajority bool) {
	for i := len(l.touches) - 1; byMajority && i >= 0; i-- {
		if t := l.touches[i]; t.told || sent.Sub(t.sent) >= l.half {
			l.touches = l.touches[:copy(l.touches, l.touches[i:])] // those before prove nothing more
			if t.sent.After(l.proof) {
				l.proof = t.sent
			}
			break
		}
	}
	if n := len(l.touches); n > 0 && sent.Sub(l.touches[n-1].sent) < l.timeout/touchesPerTimeout {
		return
	}
	if len(l.touches) > touchesPerTimeout { // no majority for the whole timeout
		l.touches = l.touches[:copy(l.touches, l.touches[1:])]
	}
	l.touches = append(l.touches, touch{sent, false})
}

// length is how long the lease lasts from its proof: a tenth less than the servers wait, for clocks that do not run alike.
func (l *lease) length() time.Duration { return l.timeout - l.timeout/10 }

// until is when the lease is over.
func (l *lease) until() time.Time { return l.proof.Add(l.length()) }

// over tells whether it is, on either clock.
func (l *lease) over(now time.Time) bool {
	return now.Sub(l.proof) >= l.length() || now.Round(0).Sub(l.proof.Round(0)) >= l.length()
}
