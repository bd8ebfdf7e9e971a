// Package judge decides whether what an ensemble did was right.
//
// It never looks into a server. Whoever runs the ensemble writes down what happened, as it happens, in a [History]: what the
// clients asked and were told, and what the servers logged, committed and applied. From that the judge works out for itself
// what should have happened, and holds it against what did. The one idea is that ZooKeeper's promises leave hardly any choice
// once the committed order is known: every reply carries the zxid of the state it was made from, so every answer, every
// sequence number, every event and its place in its connection's stream can be predicted, by a [Model] that is a second,
// slow and obvious version of the tree, and has to be met exactly.
//
// There are two halves.
//
// The [Invariants] (A1 to A10) are told of each step of a server while the run goes on, and stop it at the first wrong one,
// when the cause is still near. They also find out the committed order: a transaction is committed when the established
// leader says so, and the Invariants check that it may.
//
//	h := judge.NewHistory()
//	inv := judge.NewInvariants(h, judge.Rules{Voters: []int{1, 2, 3}, Tick: 2 * clock.Second})
//	inv.Logged(now, server, zxid, payload)       // … and so on, see there
//	op := h.Invoke(now, conn, xid, wire.OpGetData, record)
//	h.Return(now, op, header, answer)            // … package workload's clients do this
//	inv.Inspect(now, image)                      // at the end: what each server holds
//	violations := append(inv.Violations(), judge.Judge(h, rules)...)
//
// The checkers (C1 to C13, each a method of a [Case]) look at a finished history. [Judge] runs them all.
//
//	C1  Agreement     every server applied the same transactions in the same order, and its log says so
//	C2  Writes        acknowledged means committed, refused means not, nothing twice, nothing nobody asked for
//	C3  RealTime      who asked after another was answered comes after it
//	C4  Replay        the model, asked what was asked, answers what was answered; its tree is every server's tree
//	C5  Reads         (within Replay) every read is the model's answer at the zxid of its reply
//	C6  Order         per connection and session: order of requests, replies and zxids; the floor holds over reconnects
//	C7  Linearizable  porcupine's verdict on each node, without trusting a zxid
//	C9  Watches       every connection's events: complete, in order, before the data that shows them, once
//	C10 Sessions      who closes whom and when; a closed session is gone with all it owned
//	C12 Sync          what a sync answers is not older than anything anybody had seen when it was asked
//	C13 Liveness      after healing the ensemble serves again
//
// (C8, C11 and C14 are about recipes and reconfiguration and are judged elsewhere.)
//
// A [Violation] names its check, the moment, and whom it happened to, in words a person can act on.
//
// Everything here is a plain function of what it was told: no clock, no randomness, no goroutine but porcupine's own. A History
// and its Invariants belong to one goroutine.
package judge

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
)

// Rules are what the judge must know of an ensemble. The zero value of each but Voters and Tick has a meaning.
type Rules struct {
	Voters       []int      // ids of the servers whose majority decides; required
	Tick         clock.Time // tickTime; required
	FirstCounter uint32     // a counter that may open an epoch besides 1: where runs begin near the counter's end
	Extended     bool       // there are TTL nodes (extendedTypesEnabled)
	MaxDrift     int64      // parts per million any server's clock may be wrong; 0: 100000, a tenth
	Slack        clock.Time // how much older than an answered ping the touches may be that the leader knows of; 0: two ticks
	Patience     clock.Time // how long after healing a request may take (C13); 0: 60 seconds
}

func (r *Rules) fill() {
	if r.MaxDrift == 0 {
		r.MaxDrift = 100_000
	}
	if r.Slack == 0 {
		r.Slack = 2 * r.Tick
	}
	if r.Patience == 0 {
		r.Patience = 60 * clock.Second
	}
}

// quorum reports whether a set of servers, as bits, has a majority of the voters.
func (r *Rules) quorum(set uint64) bool {
	n := 0
	for _, v := range r.Voters {
		if set&bit(v) != 0 {
			n++
		}
	}
	return 2*n > len(r.Voters)
}

// voter reports whether a server counts.
func (r *Rules) voter(server int) bool { return slices.Contains(r.Voters, server) }

func bit(server int) uint64 { return 1 << (uint(server) & 63) }

// A Violation is something that must not happen and did.
type Violation struct {
	Check string     // "C5", "A2": see the package's doc
	At    clock.Time // when it showed
	Text  string     // what it was, and to whom
}

// String is one line.
func (v Violation) String() string { return fmt.Sprintf("%v %s: %s", v.At, v.Check, v.Text) }

// most is how many violations one check reports: what follows the first few is mostly their echo.
const most = 20

// findings collects the violations of one check.
type findings struct {
	check string
	list  []Violation
}

func (f *findings) add(at clock.Time, format string, args ...any) {
	if len(f.list) < most {
		f.list = append(f.list, Violation{Check: f.check, At: at, Text: fmt.Sprintf(format, args...)})
	}
}

// Judge runs every checker over a finished history and returns what they found, in order of time.
func Judge(h *History, rules Rules) []Violation {
	c := Open(h, rules)
	var all []Violation
	for _, check := range []func() []Violation{
		c.Agreement, c.Writes, c.RealTime, c.Replay, c.Order, c.Linearizable, c.Watches, c.Sessions, c.Sync, c.Liveness,
	} {
		all = append(all, check()...)
	}
	slices.SortStableFunc(all, func(a, b Violation) int { return cmp.Compare(a.At, b.At) })
	return all
}
