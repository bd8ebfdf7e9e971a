package zab

import "github.com/bellwether-zk/bellwether/ensemble/internal/znode"

const (
	// overhead is what a record costs in memory besides its payload, in bytes.
	overhead = 48
	// everything is a keep that keeps nothing: all may be trimmed.
	everything = znode.Zxid(1<<63 - 1)

	defaultCount = 10_000   // records
	defaultBytes = 16 << 20 // bytes
)

// A History is the end of a server's log in memory: the most recent records, without a gap, whether they are committed or not. From
// it a leader gives a learner what it lacks; a learner that has fallen behind its beginning is sent a snapshot instead (Apache's
// committed log, class ZKDatabase, which holds committed ones only and so had holes, ZOOKEEPER-4925).
//
// It is bounded by count and bytes; older records are trimmed as newer ones come, except those that the keep protects.
type History struct {
	maxCount int
	maxBytes int

	base  znode.Zxid // of the transaction just before the first record; the last transaction if there is no record
	keep  znode.Zxid // records after it are not trimmed
	ring  []Record   // its length is a power of two, or 0; ring[(head+i) & (len-1)] for 0 ≤ i < count are held, zxids rising
	head  int
	count int
	bytes int // of the records held, overhead included
}

// NewHistory returns an empty History that goes on from base, the zxid of the snapshot or the transaction before the first record to
// come; 0 means that there was nothing before. maxCount is in records, maxBytes in bytes, counting 48 for each record; at least one
// record is remembered.
func NewHistory(base znode.Zxid, maxCount, maxBytes int) *History {
	return &History{maxCount: max(maxCount, 1), maxBytes: maxBytes, base: base, keep: everything}
}

// Follows reports whether next may stand behind prev in a log: it is the next of the same epoch, or of a higher epoch. (With counter
// 0 there is no transaction.)
func Follows(prev, next znode.Zxid) bool {
	if next.Counter() == 0 || next < 0 {
		return false
	}
	return prev.Epoch() == next.Epoch() && next == prev+1 || next.Epoch() > prev.Epoch()
}

// Add appends a record, which must follow the last one: otherwise an [*Error] of kind ErrGap, and the History is as it was.
func (h *History) Add(r Record) error {
	if !Follows(h.Last(), r.Zxid) {
		return &Error{Zxid: r.Zxid, Kind: ErrGap, Detail: "after " + h.Last().String()}
	}
	if h.count == len(h.ring) {
		h.grow()
	}
	h.ring[(h.head+h.count)&(len(h.ring)-1)] = r
	h.count++
	h.bytes += overhead + len(r.Payload)
	h.trim()
	return nil
}

func (h *History) grow() {
	ring := make([]Record, max(64, 2*len(h.ring)))
	for i := range h.count {
		ring[i] = h.At(i)
	}
	h.ring, h.head = ring, 0
}

func (h *History) trim() {
	for h.count > 1 && (h.count > h.maxCount || h.bytes > h.maxBytes) && h.ring[h.head].Zxid <= h.keep {
		h.base = h.ring[h.head].Zxid
		h.bytes -= overhead + len(h.ring[h.head].Payload)
		h.ring[h.head] = Record{}
		h.head = (h.head + 1) & (len(h.ring) - 1)
		h.count--
	}
}

// Keep protects records after zxid from being trimmed, and releases those up to it. Unless told otherwise a History protects none. A
// server that may come to lead protects what its tree does not have yet: a snapshot of the tree is of use only with what follows.
func (h *History) Keep(zxid znode.Zxid) {
	h.keep = zxid
	h.trim()
}

// Truncate forgets the records after zxid. If zxid lies before them all, the History is empty and goes on from zxid. What comes after
// zxid from now on is protected, unless nothing is.
func (h *History) Truncate(zxid znode.Zxid) {
	h.lower(zxid)
	if zxid < h.base {
		h.Reset(zxid)
		return
	}
	for h.count > 0 {
		i := (h.head + h.count - 1) & (len(h.ring) - 1)
		if h.ring[i].Zxid <= zxid {
			return
		}
		h.bytes -= overhead + len(h.ring[i].Payload)
		h.ring[i] = Record{}
		h.count--
	}
}

// lower lets keep fall to zxid: no tree is younger now.
func (h *History) lower(zxid znode.Zxid) {
	if h.keep != everything {
		h.keep = min(h.keep, zxid)
	}
}

// Reset forgets everything; the History goes on from base. What comes from now on is protected, unless nothing is.
func (h *History) Reset(base znode.Zxid) {
	h.lower(base)
	h.base, h.ring, h.head, h.count, h.bytes = base, nil, 0, 0, 0
}

// Base is the zxid just before the first record.
func (h *History) Base() znode.Zxid { return h.base }

// First is the first record's zxid, or Base if there is none.
func (h *History) First() znode.Zxid {
	if h.count == 0 {
		return h.base
	}
	return h.ring[h.head].Zxid
}

// Last is the last record's zxid, or Base if there is none.
func (h *History) Last() znode.Zxid {
	if h.count == 0 {
		return h.base
	}
	return h.At(h.count - 1).Zxid
}

// Len is how many records there are, Bytes what they cost.
func (h *History) Len() int   { return h.count }
func (h *History) Bytes() int { return h.bytes }

// At is the record at index i, 0 ≤ i < Len().
func (h *History) At(i int) Record { return h.ring[(h.head+i)&(len(h.ring)-1)] }

// After is the index of the first record after zxid; Len() if there is none.
func (h *History) After(zxid znode.Zxid) int {
	low, high := 0, h.count
	for low < high {
		if middle := (low + high) / 2; h.At(middle).Zxid <= zxid {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// Has reports whether zxid is in the history: a record, or the base.
func (h *History) Has(zxid znode.Zxid) bool {
	if zxid == h.base {
		return true
	}
	i := h.After(zxid)
	return i > 0 && h.At(i-1).Zxid == zxid
}
