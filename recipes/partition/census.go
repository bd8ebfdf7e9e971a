package partition

import (
	"encoding/json"
	"maps"
	"time"
)

// note is what a member says of itself: the payload of its node.
type note struct {
	Weight int    `json:"weight"`
	Parts  string `json:"parts"` // which parts it divides: only those who divide the same count each other
}

func (n note) text() []byte {
	text, _ := json.Marshal(n) // a number and a string
	return text
}

// read tells what a member of the same group says of itself; it is not ok if that is none of ours.
func (n *note) read(payload []byte) bool { return json.Unmarshal(payload, n) == nil && n.Parts != "" }

// census is who divides the parts, as it is seen from here.
type census struct {
	weights map[string]int // by id
	me      bool           // the one with this id is this member
}

func (c census) equal(d census) bool { return c.me == d.me && maps.Equal(c.weights, d.weights) }

// impatience is after how many settle times in which the members never were the same for one of them it is acted all the same.
const impatience = 5

// settler says when to act on who is there: when that was the same for a while.
type settler struct {
	wait  time.Duration
	acted census    // what is acted upon
	began bool      // it ever was
	seen  census    // as it was seen last
	same  time.Time // since when it is
	other time.Time // since when it is another one than acted
}

// see notes who is there.
func (s *settler) see(now time.Time, c census) {
	if s.same.IsZero() || !c.equal(s.seen) {
		if s.settled() {
			s.other = now
		}
		s.seen, s.same = c, now
	}
}

// settled tells that there is nothing to wait for.
func (s *settler) settled() bool {
	return s.same.IsZero() || s.began && s.seen.equal(s.acted)
}

// due tells when what was seen is acted upon if nothing changes, unless it is so already.
func (s *settler) due() (time.Time, bool) {
	at, latest := s.same.Add(s.wait), s.other.Add(impatience*s.wait)
	if latest.Before(at) {
		at = latest
	}
	return at, !s.settled()
}

// act takes up what was seen if it is time, and tells whether it did.
func (s *settler) act(now time.Time) bool {
	at, waits := s.due()
	if !waits || now.Before(at) {
		return false
	}
	s.acted, s.began = s.seen, true
	return true
}
