package history

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
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
	nodes := map[string][]Operation{}
	for _, op := range all {
		if op.Kind == WeakRead {
			continue
		}
		nodes[op.Node] = append(nodes[op.Node], op)
	}
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	var problems []error
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		ops := nodes[node]
		resolve(ops, all)
		switch porcupine.CheckOperationsTimeout(register, calls(ops, o.StaleSync), o.Patience) {
		case porcupine.Illegal:
			problems = append(problems, fmt.Errorf("history: no order explains the answers about %s:\n%s", node, describe(ops)))
		case porcupine.Unknown:
			problems = append(problems, fmt.Errorf("history: an order for the %d operations on %s was not found in %v", len(ops), node, o.Patience))
		}
	}
	return errors.Join(problems...)
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

// calls are the operations as porcupine takes them.
func calls(ops []Operation, withoutReads bool) []porcupine.Operation {
	var out []porcupine.Operation
	for _, op := range ops {
		if op.Kind == Read && (withoutReads || op.Outcome != Done) {
			continue
		}
		end := int64(op.Return)
		if op.Outcome == Unknown {
			end = math.MaxInt64
		}
		out = append(out, porcupine.Operation{ClientId: op.Client, Input: op, Output: op, Call: int64(op.Call), Return: end})
	}
	return out
}

// content is what a register holds.
type content struct {
	version int32
	value   string
}

// register is one node: an operation is its own input and output.
var register = porcupine.Model{
	Init: func() any { return content{} },
	Step: func(state, input, _ any) (bool, any) {
		s, op := state.(content), input.(Operation)
		after := content{s.version + 1, op.Value}
		switch {
		case op.Kind == Read:
			return s == content{op.Version, op.Value}, s
		case op.Outcome == Refused:
			return s.version != op.Expect, s
		case op.Outcome == Done:
			return after.version == op.Version && (op.Kind == Write || s.version == op.Expect), after
		case op.Kind == Swap && s.version != op.Expect: // nobody was told that it was refused
			return true, s
		}
		return true, after
	},
	Equal: func(a, b any) bool { return a == b },
}

// describe lists the end of a node's operations, in the order of their calls.
func describe(ops []Operation) string {
	slices.SortFunc(ops, func(a, b Operation) int { return cmp.Compare(a.Call, b.Call) })
	text := ""
	for _, op := range ops[max(0, len(ops)-400):] {
		text += "  " + op.String() + "\n"
	}
	return text
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
