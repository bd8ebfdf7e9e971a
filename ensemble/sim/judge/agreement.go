package judge

import (
	"bytes"
	"maps"
	"slices"
)

// Agreement is C1: the committed zxids rise without gaps, every server's tree went through exactly these states, and every log
// that was looked at says the same.
func (c *Case) Agreement() []Violation {
	f := findings{check: "C1"}
	c.rising(&f)
	for _, server := range slices.Sorted(maps.Keys(c.h.Steps)) {
		c.steps(&f, server, c.h.Steps[server])
	}
	for i := range c.h.Images {
		c.log(&f, &c.h.Images[i])
	}
	return f.list
}

func (c *Case) rising(f *findings) {
	for i := 1; i < len(c.h.Txns); i++ {
		x, y := &c.h.Txns[i-1], &c.h.Txns[i]
		switch {
		case y.Zxid <= x.Zxid:
			f.add(y.Committed.At, "committed %v does not come after %v", y.Zxid, x.Zxid)
		case y.Zxid.Epoch() == x.Zxid.Epoch() && y.Zxid != x.Zxid+1:
			f.add(y.Committed.At, "committed %v follows %v: a gap", y.Zxid, x.Zxid)
		case y.Zxid.Epoch() == x.Zxid.Epoch() && y.Leader != x.Leader:
			f.add(y.Committed.At, "%v was proposed by server %d, %v by server %d", x.Zxid, x.Leader, y.Zxid, y.Leader)
		}
	}
}

// steps follows one server's tree.
func (c *Case) steps(f *findings, server int, steps []Applied) {
	digests := make([]uint64, len(c.h.Txns))
	had := make([]bool, len(c.h.Txns))
	at := 0 // state the tree is in
	for i := range steps {
		s := &steps[i]
		if s.Loaded {
			at = c.stateAt(s.Zxid)
			continue
		}
		place, ok := at, at < len(c.h.Txns) && c.h.Txns[at].Zxid == s.Zxid
		if !ok {
			place, ok = c.place[s.Zxid]
		}
		if !ok {
			f.add(s.At.At, "server %d applied %v, which was never committed", server, s.Zxid)
			continue
		}
		if place != at {
			f.add(s.At.At, "server %d applied %v, transaction %d of the order, in the state after %d", server, s.Zxid, place, at)
		}
		at = place + 1
		if x := &c.h.Txns[place]; x.HasDigest && x.Digest != s.Digest {
			f.add(s.At.At, "server %d has the digest %x after %v, whose transaction says %x", server, s.Digest, s.Zxid, x.Digest)
		}
		if had[place] && digests[place] != s.Digest {
			f.add(s.At.At, "server %d has the digest %x after %v, and had %x before", server, s.Digest, s.Zxid, digests[place])
		}
		digests[place], had[place] = s.Digest, true
	}
}

// log compares a server's log with the order.
func (c *Case) log(f *findings, img *Image) {
	if img.Faulty {
		return
	}
	if img.AcceptedEpoch < img.CurrentEpoch || img.CurrentEpoch < int64(img.Zxid.Epoch()) {
		f.add(img.At.At, "server %d has accepted epoch %d, current epoch %d and a tree at %v", img.Server, img.AcceptedEpoch, img.CurrentEpoch, img.Zxid)
	}
	if len(img.Log) == 0 {
		return
	}
	first, ok := c.place[img.Log[0].Zxid]
	for i, r := range img.Log {
		at := first + i
		switch {
		case !ok || at >= len(c.h.Txns) || c.h.Txns[at].Zxid != r.Zxid:
			f.add(img.At.At, "server %d has %v in its log, where the order has something else", img.Server, r.Zxid)
			return
		case !bytes.Equal(c.h.Txns[at].Payload, r.Payload):
			f.add(img.At.At, "server %d has other bytes at %v in its log than were committed", img.Server, r.Zxid)
			return
		}
	}
	if last := img.Log[len(img.Log)-1].Zxid; len(c.h.Txns) > 0 && last != c.lastBefore(img.At).Zxid {
		f.add(img.At.At, "server %d has a log that ends at %v; committed is %v", img.Server, last, c.lastBefore(img.At).Zxid)
	}
}

// lastBefore is the last transaction that was committed by then.
func (c *Case) lastBefore(m Moment) *Txn {
	i, _ := slices.BinarySearchFunc(c.h.Txns, m, func(x Txn, m Moment) int {
		if x.Committed.Before(m) {
			return -1
		}
		return 1
	})
	if i == 0 {
		return &Txn{}
	}
	return &c.h.Txns[i-1]
}
