// Package session knows who is alive: which sessions are open, when each would expire, which is on its way out. It also makes the
// ids, passwords and timeouts sessions are given.
//
// The one idea is the bucket. A deadline is rounded up to the next multiple of the tick, strictly later than the moment it was
// counted to (class ExpiryQueue), so sessions share deadlines and a [Tracker] keeps one linked list per deadline: a touch
// unlinks a session here and links it there, at a cost that does not depend on how many there are, and an expiry looks at one
// list. A session therefore lives at least its timeout and at most its timeout and a tick after its last touch.
//
//	t := session.New(2000)
//	t.Open(id, 10000, now)
//	for _, seen := range touches { t.Touch(seen.ID, now) }   // first what was heard
//	for _, id := range t.Expired(now) { … }                   // then who was not: propose closeSession, later t.Close(id)
//
// Time is an argument, in milliseconds of a clock that does not jump: wall clocks do. A process can still be stopped for a while
// (a suspended machine, SIGSTOP), and when it wakes its clients' pings lie unread in its sockets. So the caller reports touches
// before it asks who expired, and the Tracker does not count time in which nobody asked: see [Tracker.Expired].
//
// Nothing here locks; a Tracker belongs to one goroutine. That a session ends is decided here but made true by a closeSession
// transaction, which is somebody else's business.
package session

import (
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Tracker holds the open sessions of a leader or a standalone server. Make one with [New].
type Tracker struct {
	tick    int64
	byID    map[znode.SessionID]*entry
	buckets map[int64]*bucket // by deadline, in tracked time; holds exactly what queue holds
	queue   []*bucket         // a heap by deadline; an empty bucket stays until it comes to the front

	last  int64 // the latest moment anybody told, in the caller's time; only grows
	slept int64 // time not counted; tracked time = the caller's time - slept
	begun bool  // last is set
}

// An entry is one session. It is linked in a bucket unless it is closing.
type entry struct {
	id         znode.SessionID
	timeout    int64
	bucket     *bucket // nil iff closing
	prev, next *entry
}

// A bucket is the sessions of one deadline, the longest linked first.
type bucket struct {
	deadline    int64
	first, last *entry
	n           int
}

// New returns a Tracker whose deadlines are multiples of tick milliseconds; a tick below 1 counts as 1.
func New(tick int64) *Tracker {
	return &Tracker{tick: max(tick, 1), byID: map[znode.SessionID]*entry{}, buckets: map[int64]*bucket{}}
}

// Open starts tracking a session with that timeout in milliseconds. A session that is tracked already is only given the new
// timeout, as by [Tracker.SetTimeout]; false says it is closing, and stays so.
func (t *Tracker) Open(id znode.SessionID, timeout int32, now int64) bool {
	if t.byID[id] == nil {
		t.byID[id] = &entry{id: id, bucket: &bucket{}} // a bucket of its own until SetTimeout links it
	}
	return t.SetTimeout(id, timeout, now)
}

// Touch says that the session was heard of at now. false: it is not open. A touch never brings a deadline forward.
func (t *Tracker) Touch(id znode.SessionID, now int64) bool {
	t.observe(now)
	e := t.byID[id]
	if e == nil || e.bucket == nil {
		return false
	}
	if d := t.deadline(e, now); d > e.bucket.deadline {
		t.move(e, d)
	}
	return true
}

// SetTimeout gives the session a timeout in milliseconds that counts from now, be it shorter or longer than the old one: a
// client that reconnects negotiates anew. false: it is not open.
func (t *Tracker) SetTimeout(id znode.SessionID, timeout int32, now int64) bool {
	t.observe(now)
	e := t.byID[id]
	if e == nil || e.bucket == nil {
		return false
	}
	e.timeout = int64(timeout)
	t.move(e, t.deadline(e, now))
	return true
}

// Timeout is the session's timeout in milliseconds; ok is false if it is not open.
func (t *Tracker) Timeout(id znode.SessionID) (timeout int32, ok bool) {
	e := t.byID[id]
	if e == nil || e.bucket == nil {
		return 0, false
	}
	return int32(e.timeout), true
}

// Check is what a request of the session is answered: CodeOK, or CodeSessionExpired when it is unknown or closing. (Apache's
// standalone server says UnknownSession, -12, where its quorum servers say this.)
func (t *Tracker) Check(id znode.SessionID) znode.Code {
	if e := t.byID[id]; e == nil || e.bucket == nil {
		return znode.CodeSessionExpired
	}
	return znode.CodeOK
}

// Known reports whether the session is tracked, be it open or closing.
func (t *Tracker) Known(id znode.SessionID) bool { return t.byID[id] != nil }

// SetClosing says that the session's end has been proposed: from now on it can neither be touched nor expire nor ask for
// anything, until [Tracker.Close] forgets it.
func (t *Tracker) SetClosing(id znode.SessionID) {
	if e := t.byID[id]; e != nil && e.bucket != nil {
		e.unlink()
	}
}

// Close forgets the session: its end has been applied.
func (t *Tracker) Close(id znode.SessionID) {
	t.SetClosing(id)
	delete(t.byID, id)
}

// Len is how many sessions are tracked, the closing ones included.
func (t *Tracker) Len() int { return len(t.byID) }

// Expired takes out the sessions whose deadline has passed, the earliest deadline first, and marks them closing. The caller
// proposes their end.
//
// Every touch up to now has to be reported before. Besides, time in which the Tracker was neither told anything nor asked is
// forgiven when it is more than a tick longer than [Tracker.Next] allowed: the server did not run then, so it could not have
// heard anybody. Of such a pause one tick counts, which is the time the touches that piled up have to arrive.
func (t *Tracker) Expired(now int64) []znode.SessionID {
	t.observe(now)
	var ids []znode.SessionID
	for len(t.queue) > 0 && t.queue[0].deadline <= now-t.slept {
		b := t.queue[0]
		for b.first != nil {
			ids = append(ids, b.first.id)
			b.first.unlink()
		}
		t.popBucket()
	}
	return ids
}

// Next is when [Tracker.Expired] has to be called next, in the caller's time: the earliest deadline. ok is false while nobody
// can expire. It may be earlier after any call and later after a touch.
func (t *Tracker) Next() (deadline int64, ok bool) {
	for len(t.queue) > 0 && t.queue[0].n == 0 {
		t.popBucket()
	}
	if len(t.queue) == 0 {
		return 0, false
	}
	return t.queue[0].deadline + t.slept, true
}

// A Bucket is the sessions that expire together.
type Bucket struct {
	Deadline int64 // in the caller's time, milliseconds
	Sessions []znode.SessionID
}

// Buckets is a copy of all buckets that are not empty, the earliest first and sessions in order of their ids: what the word dump
// prints. It costs as much as there are sessions.
func (t *Tracker) Buckets() []Bucket {
	var out []Bucket
	for _, b := range t.queue {
		if b.n == 0 {
			continue
		}
		s := Bucket{Deadline: b.deadline + t.slept, Sessions: make([]znode.SessionID, 0, b.n)}
		for e := b.first; e != nil; e = e.next {
			s.Sessions = append(s.Sessions, e.id)
		}
		slices.Sort(s.Sessions)
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Bucket) int { return int(min(max(a.Deadline-b.Deadline, -1), 1)) })
	return out
}

// observe notices a pause, before anything is decided by now. See Expired.
func (t *Tracker) observe(now int64) {
	if !t.begun {
		t.begun, t.last = true, now
		return
	}
	if next, ok := t.Next(); ok && now-max(t.last, next) > t.tick {
		t.slept += now - t.last - t.tick
	}
	t.last = max(t.last, now)
}

// deadline is where e goes when it is heard of at now, in tracked time.
func (t *Tracker) deadline(e *entry, now int64) int64 {
	return ((now-t.slept+e.timeout)/t.tick + 1) * t.tick
}

func (t *Tracker) move(e *entry, deadline int64) {
	e.unlink()
	b := t.buckets[deadline]
	if b == nil {
		b = &bucket{deadline: deadline}
		t.buckets[deadline] = b
		t.pushBucket(b)
	}
	b.link(e)
}

func (b *bucket) link(e *entry) {
	e.bucket, e.prev, e.next = b, b.last, nil
	if b.last != nil {
		b.last.next = e
	} else {
		b.first = e
	}
	b.last = e
	b.n++
}

// unlink takes e out of its bucket, if it is in the list at all: a new entry's bucket is empty.
func (e *entry) unlink() {
	b := e.bucket
	e.bucket = nil
	if b.n == 0 {
		return
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		b.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		b.last = e.prev
	}
	e.prev, e.next = nil, nil
	b.n--
}
