// Package history judges what clients of an ensemble saw: were the answers such that one server, working on one request after another, could
// have given them?
//
// The nodes are registers. Clients write them, swap them if the version is the one they expect, and read them; every written value
// is unique. Each call is an [Operation] with the moment it began and the moment its answer came, and what the answer said. An answer
// that never came leaves open whether the operation happened, and when. [Judge] requires
//
//   - that some order of each node's operations explains every answer and never puts one behind another that began after its
//     answer had come (linearizability, by ensembletest/history, which is for everybody; what follows is about ZooKeeper alone);
//   - that zxids rise with real time: a write that began after another's answer has a higher zxid, whatever the nodes;
//   - that one zxid is one write, and is shown with the same value and version to everybody;
//   - that no session sees a node go back, its own writes included.
//
// Reads without a sync before them promise only the last two. Everything here is a pure function of its arguments; a [Recorder] may be
// used by many goroutines.
package history

import (
	"fmt"
	"sync"
	"time"
)

// Kind is what an operation does.
type Kind byte

// The kinds of operations.
const (
	Write    Kind = iota // sets the value, whatever the version is
	Swap                 // sets the value if the version is Expect
	Read                 // reads after a sync
	WeakRead             // reads what the session's server has
)

func (k Kind) String() string { return [...]string{"write", "swap", "read", "weak read"}[k] }

// Outcome is how an operation ended.
type Outcome byte

// The outcomes of operations. One that certainly did not happen is no part of a history.
const (
	Unknown Outcome = iota // no answer: it may happen at any time after the call, or never
	Done
	Refused // a swap that found another version
)

func (o Outcome) String() string { return [...]string{"unknown", "done", "refused"}[o] }

// An Operation is one call of a client.
type Operation struct {
	Client  int
	Session int64
	Node    string
	Kind    Kind
	Outcome Outcome
	// Value written, or read; unique among writes and swaps. A node's first value is empty.
	Value string
	// Expect is the version a swap expects.
	Expect int32
	// Version and Zxid are those of the node's data after the operation, if it is Done. A node's first version is 0.
	Version int32
	Zxid    int64
	// Call and Return are when the operation began and when its answer came, since a moment common to all; without an answer,
	// Return says nothing.
	Call, Return time.Duration
}

func (o Operation) String() string {
	return fmt.Sprintf("%v-%v client %d session %#x: %s of %s value %q expecting %d: %s, version %d, zxid %#x",
		o.Call, o.Return, o.Client, o.Session, o.Kind, o.Node, o.Value, o.Expect, o.Outcome, o.Version, o.Zxid)
}

// wrote reports whether the operation changed its node, as far as anybody knows.
func (o *Operation) wrote() bool { return (o.Kind == Write || o.Kind == Swap) && o.Outcome == Done }

// reads reports whether the operation told a client a node's value.
func (o *Operation) reads() bool { return (o.Kind == Read || o.Kind == WeakRead) && o.Outcome == Done }

// A Recorder collects a history. Its zero value is ready.
type Recorder struct {
	mu   sync.Mutex
	all  []Operation
	done int
}

// Add records an operation.
func (r *Recorder) Add(o Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, o)
	if o.Outcome != Unknown {
		r.done++
	}
}

// Answered is how many operations had an answer so far.
func (r *Recorder) Answered() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done
}

// Operations are all that were recorded. The caller may keep the slice.
func (r *Recorder) Operations() []Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Operation(nil), r.all...)
}
