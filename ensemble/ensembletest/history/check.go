package history

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// What is wrong with a history, for errors.Is. The errors themselves are of type [*Error], one or several joined.
var (
	// ErrIllegal means that no order explains the answers.
	ErrIllegal = errors.New("no order of the operations explains the answers")
	// ErrUndecided means that the search did not end within its bounds; the history may be right or wrong.
	ErrUndecided = errors.New("the search for an order was given up")
)

// Defaults of Options.
const (
	DefaultSteps    = 5_000_000
	DefaultPatience = 30 * time.Second
)

// Options bound a check. The zero value works, and nil means it.
type Options struct {
	// Steps is how many steps of the model the search for one object may take. A step may take some hundred bytes of memory. Default:
	// DefaultSteps.
	Steps int64
	// Patience is how long the search for one object may take. In a testing/synctest bubble no time passes meanwhile, and Steps alone
	// is the bound. Default: DefaultPatience.
	Patience time.Duration
	// Picture is an HTML file to write when a history is illegal, which shows the operations on the first object that is to blame, up
	// to the answer that nothing explains, and the orders that explain most of it. Default: none is written.
	Picture string
}

// An Error tells what is wrong with the operations on one object.
type Error struct {
	Key        string // the object
	Operations int    // on it
	Err        error  // ErrIllegal or ErrUndecided
	Story      string // for people: which answer, and what was known before it
}

func (e *Error) Error() string {
	return fmt.Sprintf("history: %v: %q, %d operations: %s", e.Err, e.Key, e.Operations, e.Story)
}

// Unwrap returns ErrIllegal or ErrUndecided.
func (e *Error) Unwrap() error { return e.Err }

// Check finds out whether operations can be put in an order that the model allows, and that no answer contradicts. It returns nil only if
// they can; see the package's documentation for the other outcomes. The error tells of all objects that something is wrong with. What
// takes long is to be checked outside of a synctest bubble.
func Check[S, I, O any](m Model[S, I, O], ops []Operation[I, O], o *Options) error {
	m, err := m.withDefaults()
	if err != nil {
		return err
	}
	var opts Options
	if o != nil {
		opts = *o
	}
	opts.Steps = cmp.Or(opts.Steps, DefaultSteps)
	opts.Patience = cmp.Or(opts.Patience, DefaultPatience)
	objects := make(map[string][]Operation[I, O])
	for _, op := range ops {
		key := m.Key(op.Input)
		objects[key] = append(objects[key], op)
	}
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		s := search[S, I, O]{model: m, opts: opts, key: key}
		err := s.check(objects[key])
		problems = append(problems, err)
		if errors.Is(err, ErrIllegal) {
			opts.Picture = "" // it is taken
		}
	}
	return errors.Join(problems...)
}

// A search is for an order of the operations on one object.
type search[S, I, O any] struct {
	model Model[S, I, O]
	opts  Options
	key   string
}

func (s *search[S, I, O]) check(ops []Operation[I, O]) error {
	var ends []int64 // of answers
	for _, op := range ops {
		if op.Output != nil {
			ends = append(ends, op.Return)
		}
	}
	slices.Sort(ends)
	found, wrong := find(&s.model, ops, &s.opts), len(ends)
	for few := 8; found == undecided && few < len(ends); few *= 2 { // what is wrong early may be found early
		if find(&s.model, cut(ops, ends[few-1]), &s.opts) == illegal {
			found, wrong = illegal, few
		}
	}
	switch found {
	case legal:
		return nil
	case illegal:
		until, certain := s.narrow(ops, ends[:wrong])
		err := &Error{Key: s.key, Operations: len(ops), Err: ErrIllegal, Story: s.story(until, certain)}
		return errors.Join(err, s.draw(until))
	}
	return &Error{
		Key: s.key, Operations: len(ops), Err: ErrUndecided,
		Story: fmt.Sprintf("not decided in %d steps or %v; %d outcomes are unknown", s.opts.Steps, s.opts.Patience, len(ops)-len(ends)),
	}
}

// narrow finds the first of the answers, given by their ends, after which there is no order any more; there is none after the last of them.
// It returns the operations until then, and whether it is certain that there was an order before that answer.
func (s *search[S, I, O]) narrow(ops []Operation[I, O], ends []int64) (until []Operation[I, O], certain bool) {
	low, high := 0, len(ends) // no order at high; one at low, or it is not known whether there is
	certain = true
	for high-low > 1 {
		middle := (low + high) / 2
		switch find(&s.model, cut(ops, ends[middle-1]), &s.opts) {
		case illegal:
			high = middle
		case undecided:
			low, certain = middle, false
		default:
			low = middle
		}
	}
	return cut(ops, ends[high-1]), certain
}

// cut is what was known of the operations when that answer had come.
func cut[I, O any](ops []Operation[I, O], last int64) []Operation[I, O] {
	var until []Operation[I, O]
	for _, op := range ops {
		if op.Call > last {
			continue
		}
		if op.Output != nil && op.Return > last {
			op.Output = nil
		}
		until = append(until, op)
	}
	return until
}

// shown is how many operations a story tells of.
const shown = 40

// story tells of the last operations, in the order of their answers; the last answer is the one that nothing explains.
func (s *search[S, I, O]) story(ops []Operation[I, O], certain bool) string {
	when := func(op Operation[I, O]) int64 {
		if op.Output == nil {
			return math.MaxInt64
		}
		return op.Return
	}
	known := slices.SortedStableFunc(slices.Values(ops), func(a, b Operation[I, O]) int { return cmp.Compare(when(a), when(b)) })
	open := slices.IndexFunc(known, func(op Operation[I, O]) bool { return op.Output == nil })
	if open < 0 {
		open = len(known)
	}
	var text strings.Builder
	text.WriteString("the last of these answers is explained by nothing")
	if !certain {
		text.WriteString(" (or one of those before)")
	}
	from := max(0, open-shown)
	if from > 0 {
		fmt.Fprintf(&text, "\n  (%d before)", from)
	}
	for _, op := range known[from:open] {
		fmt.Fprintf(&text, "\n  %d-%d %s %s: %s", op.Call, op.Return, op.Began.Format("15:04:05.000"), op.Client, s.model.Describe(op.Input, op.Output))
	}
	for i, op := range known[open:] {
		if i == 0 {
			text.WriteString("\nand these, without an answer by then, do not help")
		}
		if i == shown {
			fmt.Fprintf(&text, "\n  (and %d others)", len(known)-open-i)
			break
		}
		fmt.Fprintf(&text, "\n  %d-? %s %s: %s", op.Call, op.Began.Format("15:04:05.000"), op.Client, s.model.Describe(op.Input, nil))
	}
	return text.String()
}
