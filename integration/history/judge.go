package history

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/history"
)

// Options say what to require.
type Options struct {
	// StaleSync leaves reads out of the search for an order: with Apache's servers a read after a sync may miss a write.
	StaleSync bool
	// Patience bounds the search for one node's order. Default: a minute.
	Patience time.Duration
}

// Judge returns everything that is wrong with a history, nil if nothing is. A search that takes too long is an error.
func Judge(all []Operation, o Options) error {
	return errors.Join(zxidsRise(all), zxidsAreWrites(all), sessionsDoNotGoBack(all), linearizable(all, o))
}

// linearizable looks for an order of each node's operations.
func linearizable(all []Operation, o Options) error {
	var ops []Operation
	for _, op := range all {
		if op.Kind != WeakRead {
			ops = append(ops, op)
		}
	}
	resolve(ops, all)
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	return history.Check(register, calls(ops, o.StaleSync), &history.Options{Patience: o.Patience})
}

// resolve makes Done of operations without an answer whose value somebody read: they had happened when that answer came, and with
// which version is known. That loses nothing, and saves the search much.
func resolve(ops, all []Operation) {
	seen := map[string]Operation{}
	for _, op := range all {
		if before, ok := seen[op.Value]; op.reads() && (!ok || op.Return < before.Return) {
			seen[op.Value] = op
		}
	}
	for i := range ops {
		op := &ops[i]
		if read, ok := seen[op.Value]; ok && op.Outcome == Unknown && op.Kind != Read {
			op.Outcome, op.Version, op.Return = Done, read.Version, read.Return
		}
	}
}

// calls are the operations as the checker takes them. An operation is its own input and output.
func calls(ops []Operation, withoutReads bool) []history.Operation[Operation, Operation] {
	var out []history.Operation[Operation, Operation]
	for _, op := range ops {
		if op.Kind == Read && (withoutReads || op.Outcome != Done) {
			continue
		}
		call := history.Operation[Operation, Operation]{
			Client: fmt.Sprint(op.Client), Input: op, Call: int64(op.Call), Return: int64(op.Return), Began: time.Time{}.Add(op.Call),
		}
		if op.Outcome != Unknown {
			call.Output = &op
		}
		out = append(out, call)
	}
	return out
}

// content is what a register holds.
type content struct {
	version int32
	value   string
}

// register is one node.
var register = history.Model[content, Operation, Operation]{
	Init: func() content { return content{} },
	Step: func(s content, op Operation, _ *Operation) (content, bool) {
		after := content{s.version + 1, op.Value}
		switch {
		case op.Kind == Read:
			return s, s == content{op.Version, op.Value}
		case op.Outcome == Refused:
			return s, s.version != op.Expect
		case op.Outcome == Done:
			return after, after.version == op.Version && (op.Kind == Write || s.version == op.Expect)
		}
		return after, op.Kind == Write || s.version == op.Expect
	},
	Key:      func(op Operation) string { return op.Node },
	Describe: func(op Operation, _ *Operation) string { return op.String() },
}

// zxidsRise requires of any two writes, on whatever nodes, that the one that began after the other's answer has the higher zxid.
func zxidsRise(all []Operation) error {
	var byCall, byReturn []*Operation
	for i := range all {
		if op := &all[i]; op.wrote() {
			byCall, byReturn = append(byCall, op), append(byReturn, op)
		}
	}
	slices.SortFunc(byCall, func(a, b *Operation) int { return cmp.Compare(a.Call, b.Call) })
	slices.SortFunc(byReturn, func(a, b *Operation) int { return cmp.Compare(a.Return, b.Return) })
	var highest *Operation // of those answered before
	answered := 0
	var problems []error
	for _, op := range byCall {
		for ; byReturn[answered].Return < op.Call; answered++ {
			if before := byReturn[answered]; highest == nil || before.Zxid > highest.Zxid {
				highest = before
			}
		}
		if highest != nil && op.Zxid <= highest.Zxid {
			problems = append(problems, fmt.Errorf("history: a later write has a lower zxid:\n  %s\n  %s", highest, op))
		}
	}
	return errors.Join(problems...)
}

// zxidsAreWrites requires that a zxid belongs to one write, and that everybody who is shown it is shown the same.
func zxidsAreWrites(all []Operation) error {
	writes, shown := map[int64]*Operation{}, map[int64]*Operation{}
	var problems []error
	for i := range all {
		op := &all[i]
		if !op.wrote() && !op.reads() || op.Zxid == 0 {
			continue
		}
		if op.wrote() {
			if other := writes[op.Zxid]; other != nil {
				problems = append(problems, fmt.Errorf("history: two writes have one zxid:\n  %s\n  %s", other, op))
			}
			writes[op.Zxid] = op
		}
		other := shown[op.Zxid]
		shown[op.Zxid] = op
		// All nodes may have been made by one transaction; their first values are one.
		if other != nil && (other.Value != op.Value || other.Version != op.Version || other.Node != op.Node && op.Version != 0) {
			problems = append(problems, fmt.Errorf("history: one zxid is shown as two things:\n  %s\n  %s", other, op))
		}
	}
	return errors.Join(problems...)
}

// sessionsDoNotGoBack requires that what a session sees of a node, by reading or writing, never has a lower zxid than before.
func sessionsDoNotGoBack(all []Operation) error {
	type view struct {
		session int64
		client  int
		node    string
	}
	ops := slices.Clone(all)
	slices.SortStableFunc(ops, func(a, b Operation) int { return cmp.Compare(a.Call, b.Call) })
	last := map[view]Operation{}
	var problems []error
	for _, op := range ops {
		if !op.wrote() && !op.reads() {
			continue
		}
		v := view{op.Session, op.Client, op.Node}
		before, again := last[v]
		if again && op.Zxid < before.Zxid {
			problems = append(problems, fmt.Errorf("history: a session sees a node go back:\n  %s\n  %s", before, op))
			continue
		}
		last[v] = op
	}
	return errors.Join(problems...)
}
