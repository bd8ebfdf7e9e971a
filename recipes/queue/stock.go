package queue

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// stock is what a queue knows of what there is to take: the first names of the last listing. It says what is tried next.
//
// Who is alone takes one name after the other. When others were quicker, it goes on somewhere among the first names, and from there one after
// the other again: so those who are at it at the same time find each a run of their own, and meet at the runs' ends, not at each name.
type stock struct {
	window int
	names  []name          // in order, but for those that were chosen
	at     int             // where among them the next is chosen
	left   int             // how many may be chosen before it is time to list again
	until  time.Time       // when it is, at the latest
	chosen int             // how many were, of this listing
	run    int             // how many were of the former one: so far a run goes, by experience
	runs   int             // how many runs there are to begin with, less than window: 1, unless others were quicker lately
	lost   int             // how often they were since something was claimed
	busy   map[string]bool // what somebody of this process is about to claim
}

const (
	// maxAge is how long a listing is good for: who takes seldom takes what is first now.
	maxAge = 500 * time.Millisecond
	// maxLost is how often others may be quicker before a listing is not worth the tries.
	maxLost = 3
)

func newStock(window int) stock {
	return stock{window: window, run: window, runs: 1, busy: make(map[string]bool)}
}

// fill remembers what a listing had.
func (s *stock) fill(names []name, now time.Time) {
	if s.chosen > 0 {
		s.run = s.chosen
	}
	s.names = slices.Clone(names[:min(len(names), s.window*s.window)]) // of a long list, the rest is not to be kept
	s.left, s.until, s.chosen, s.lost = s.window, now.Add(maxAge), 0, 0
	s.jump()
}

// jump begins a run.
func (s *stock) jump() {
	s.at = 0
	if among := min(s.runs*s.run, len(s.names)); among > 0 && s.runs > 1 {
		s.at = rand.IntN(among)
	}
}

// choose takes up to n names out of the stock.
func (s *stock) choose(n int, now time.Time) []name {
	s.names = slices.DeleteFunc(s.names, func(n name) bool { return s.busy[n.text] })
	if len(s.names) == 0 || s.left <= 0 || now.After(s.until) {
		return nil
	}
	n = min(n, len(s.names))
	from := min(s.at, len(s.names)-n)
	picked := slices.Clone(s.names[from : from+n])
	s.names = slices.Delete(s.names, from, from+n)
	s.left -= n
	s.chosen += n
	for _, p := range picked {
		s.busy[p.text] = true
	}
	return picked
}

// won tells that all that was chosen was claimed: there may be fewer others.
func (s *stock) won() { s.runs, s.lost = max(s.runs-1, 1), 0 }

// beaten tells that somebody else was quicker to claim a name.
func (s *stock) beaten() {
	s.runs = max(min(2*s.runs, s.window-1), 1)
	if s.lost++; s.lost >= maxLost {
		s.drop()
		return
	}
	s.jump()
}

// drop forgets the listing.
func (s *stock) drop() { s.names = nil }

// stocked tells whether there is more to take.
func (q *Queue) stocked() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.stock.names) > 0
}

// fill remembers what a listing had.
func (q *Queue) fill(l *listing) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stock.fill(l.free, time.Now())
}

// choose takes up to n names that nobody else in this process is about to claim.
func (q *Queue) choose(n int) []name {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stock.choose(n, time.Now())
}

// unpick ends what choose began. What was not claimed may be taken by another in this process, of which no server tells, and is ahead of the rest of
// the stock.
func (q *Queue) unpick(picked []name, failed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range picked {
		delete(q.stock.busy, p.text)
	}
	if failed {
		q.stock.drop()
		q.changedLocked()
	}
}

// won tells that all of a choice was claimed.
func (q *Queue) won() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stock.won()
}

// beaten tells that somebody else was quicker.
func (q *Queue) beaten() {
	q.kit.Count(telemetry.QueueConflicts, 1)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stock.beaten()
}

// forget drops the stock: something may have come to stand ahead of it.
func (q *Queue) forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stock.drop()
}

func (q *Queue) changes() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.changed
}

func (q *Queue) changedLocked() {
	close(q.changed)
	q.changed = make(chan struct{})
}
