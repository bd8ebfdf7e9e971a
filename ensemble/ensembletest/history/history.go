// Package history records what the clients of a service did, and what they were told, and finds out whether a service that does one thing
// after another could have told them so (linearizability).
//
// Three lines find lost writes, stale reads and effects that come twice, in nodes of ZooKeeper:
//
//	var nodes history.Nodes
//	c := nodes.Client("one", e.Connect(t)) // and others, each in a goroutine of its own: c.Set, c.Get, c.Create, …, while things break
//	require.NoError(t, nodes.Check(nil))
//
// For a service of one's own take a [Recorder], and a [Model] that says what the service should be: a counter, a lock that counts, or any
// other, as plain functions.
//
//	var rec history.Recorder[history.Add, int64]
//	call := rec.Begin("one", history.Add{Counter: "visits", Delta: 1})
//	total, err := service.Add(ctx, "visits", 1)
//	switch {
//	case err == nil:       call.End(total)
//	case mayHaveHappened:  call.Unknown() // it may take effect at any time from its beginning on, or never
//	default:               call.Never()   // it certainly did not take effect
//	}
//	err = history.Check(history.CounterModel(), rec.Operations(), nil)
//
// # What it says
//
// [Check] searches for an order of all operations on an object that explains every answer and puts none behind another one that began
// after its answer had come. There are three outcomes: an order was found, and there is no error; there is none, [ErrIllegal]; or the
// search took too long, [ErrUndecided], which is never taken for the first. Searches are short while few operations are under way on
// an object at the same time, and get long with the number of those whose outcome is unknown: ten clients and a handful of unknown
// outcomes for each object are well, a hundred are not. Give each object (a node, a counter) its own key, and go on with fresh ones
// after a while.
//
// An error names the answer that no order explains, with what was known before it, and [Options].Picture has it drawn.
//
// # Order, not time
//
// What began and ended before what is counted where it is recorded, and not measured: it holds too where no time passes, in a
// testing/synctest bubble. The beginning has to be recorded before the operation is asked for, the end after its answer is there, and all
// in one process.
//
// # What ZooKeeper promises
//
// Writes are linearizable, and reads after a sync; a plain read may be of the past. So [Client.Get] and [Client.Exists] call sync first.
// (Apache's servers may answer a sync before a new leader has been heard of: there even that read may miss a write, rarely, while leaders
// change.)
//
// Recorders may be used by many goroutines. Everything else here is a function of its arguments.
package history

import (
	"fmt"
	"sync"
	"time"
)

// An Operation is something a client asked of a service: a call with its answer.
type Operation[I, O any] struct {
	Client string
	Input  I
	Output *O // what it answered; nil: nobody knows, it may take effect at any time after Call, or never
	// Call and Return are when the operation began and when its answer came: places in one count of all beginnings and ends, none
	// twice. Without Output, Return says nothing.
	Call, Return int64
	Began        time.Time // by the clock, for people
}

// A Recorder collects the operations of many clients. Its zero value is ready.
type Recorder[I, O any] struct {
	mu    sync.Mutex
	count int64
	calls []*Call[I, O] // none that never happened, or only for a while
}

// A Call is an operation under way. One of End, Unknown and Never says how it ended; without any it counts as Unknown.
type Call[I, O any] struct {
	rec   *Recorder[I, O]
	op    Operation[I, O]
	ended bool
	never bool
}

// Begin records that a client, a number or a name, is about to ask for something. Clients that do several things at once may have one
// name for all.
func (r *Recorder[I, O]) Begin(client any, in I) *Call[I, O] {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	c := &Call[I, O]{rec: r, op: Operation[I, O]{Client: fmt.Sprint(client), Input: in, Call: r.count, Began: time.Now()}}
	r.calls = append(r.calls, c)
	return c
}

// End records the answer.
func (c *Call[I, O]) End(out O) {
	c.end(func() {
		c.rec.count++
		c.op.Output, c.op.Return = &out, c.rec.count
	})
}

// Unknown records that there will be no answer: the connection broke, or the client's patience. The operation may take effect at any time
// from its beginning on, once, or never.
func (c *Call[I, O]) Unknown() { c.end(func() {}) }

// Never records that the operation has not taken effect and will not; it is no part of the history. A read without an answer is best told
// so too: it says nothing, and would only make the search longer.
func (c *Call[I, O]) Never() { c.end(func() { c.never = true }) }

// end ends the call once.
func (c *Call[I, O]) end(how func()) {
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	if c.ended {
		panic("history: this call had already ended")
	}
	c.ended = true
	how()
}

// Operations are all that were begun so far, in that order, save those that never happened. Calls that have not ended are among them,
// without an output. The caller may keep the slice.
func (r *Recorder[I, O]) Operations() []Operation[I, O] {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Operation[I, O]
	for _, c := range r.calls {
		if !c.never {
			all = append(all, c.op)
		}
	}
	return all
}
