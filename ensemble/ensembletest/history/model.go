package history

import (
	"fmt"
	"reflect"
	"strings"
)

// A Model says what a service should be: what its state is, and what each operation does to it. Its functions must not change what they
// are given.
type Model[S, I, O any] struct {
	// Init is the state of an object before the first operation.
	Init func() S
	// Step carries an operation out: it tells whether in state s it may have answered *out, and the state afterwards. With a nil out the
	// answer is not known, and ok says whether the operation can take effect in this state at all.
	Step func(s S, in I, out *O) (next S, ok bool)
	// Equal compares states. Default: ==, for an S that can be compared so.
	Equal func(a, b S) bool
	// Key is the object an operation is about; objects are independent of each other, and checked one by one, which takes much less
	// time. Default: all are about one object.
	Key func(in I) string
	// Describe is an operation in words, for errors and pictures; out is nil when the answer is not known. Default: as fmt's %v.
	Describe func(in I, out *O) string
}

// Function is the model of a service in which state and input determine the answer: apply is the service, done in order.
func Function[S, I any, O comparable](init S, apply func(s S, in I) (next S, out O)) Model[S, I, O] {
	return Model[S, I, O]{
		Init: func() S { return init },
		Step: func(s S, in I, out *O) (S, bool) {
			next, want := apply(s, in)
			return next, out == nil || *out == want
		},
	}
}

// withDefaults returns a complete copy, or says what is missing.
func (m Model[S, I, O]) withDefaults() (Model[S, I, O], error) {
	var problems []string
	if m.Init == nil {
		problems = append(problems, "Init")
	}
	if m.Step == nil {
		problems = append(problems, "Step")
	}
	if m.Equal == nil {
		if !reflect.TypeFor[S]().Comparable() {
			problems = append(problems, "Equal, as its states cannot be compared by ==")
		}
		m.Equal = func(a, b S) bool { return any(a) == any(b) }
	}
	if len(problems) > 0 {
		return m, fmt.Errorf("history: the model lacks %s", strings.Join(problems, ", and "))
	}
	if m.Key == nil {
		m.Key = func(I) string { return "" }
	}
	if m.Describe == nil {
		m.Describe = func(in I, out *O) string {
			if out == nil {
				return fmt.Sprintf("%+v -> ?", in)
			}
			return fmt.Sprintf("%+v -> %+v", in, *out)
		}
	}
	return m, nil
}

// Add adds a number to a counter, which begins with 0; a Delta of 0 reads it. Its output is the counter's value afterwards.
type Add struct {
	Counter string
	Delta   int64
}

// CounterModel is the model of counters that many add to.
func CounterModel() Model[int64, Add, int64] {
	m := Function(0, func(s int64, in Add) (int64, int64) { return s + in.Delta, s + in.Delta })
	m.Key = func(in Add) string { return in.Counter }
	return m
}

// Fence is what the holder of a lock does: it acquires the lock, with the zero Token, and is given a fencing token; or, with the token, it
// uses what the lock protects, which should refuse tokens lower than one it has seen.
type Fence struct {
	Lock  string
	Token int64
}

// Fenced is what a [Fence] is told.
type Fenced struct {
	Token   int64 // the one given, when it was to be acquired
	Refused bool  // the use; or the lock was not to be had, which is always right
}

// Fences are the tokens of a lock: the highest that was given, and the highest that what it protects has seen.
type Fences struct{ Given, Seen int64 }

// FenceModel is the model of locks with fencing tokens, and of what they protect: each token is higher than all that were given before; a
// use is refused exactly if there was one with a higher token, and nobody uses a token that was not given.
//
// That only one holds a lock at a time is not in it, since nobody can promise that in terms of time: a holder that is paused does not
// notice that its session is over. With tokens that grow it does not matter.
func FenceModel() Model[Fences, Fence, Fenced] {
	return Model[Fences, Fence, Fenced]{
		Init: func() Fences { return Fences{} },
		Step: func(s Fences, in Fence, out *Fenced) (Fences, bool) {
			used := Fences{s.Given, max(s.Seen, in.Token)}
			switch {
			case in.Token == 0 && (out == nil || out.Refused): // a token that nobody was told is used by nobody
				return s, true
			case in.Token == 0:
				return Fences{out.Token, s.Seen}, out.Token > s.Given
			case out == nil:
				return used, in.Token >= s.Seen && in.Token <= s.Given
			case out.Refused:
				return s, in.Token < s.Seen
			}
			return used, in.Token >= s.Seen && in.Token <= s.Given
		},
		Key: func(in Fence) string { return in.Lock },
	}
}

// Distinct requires that all answers differ, as those of a service that gives away ids do. It is an ErrIllegal if two do not.
func Distinct[I any, O comparable](ops []Operation[I, O]) error {
	given := make(map[O]Operation[I, O])
	for _, op := range ops {
		if op.Output == nil {
			continue
		}
		if before, again := given[*op.Output]; again {
			return &Error{
				Key: fmt.Sprint(*op.Output), Operations: len(ops), Err: ErrIllegal,
				Story: fmt.Sprintf("given away twice, to %s at %d-%d and to %s at %d-%d",
					before.Client, before.Call, before.Return, op.Client, op.Call, op.Return),
			}
		}
		given[*op.Output] = op
	}
	return nil
}
