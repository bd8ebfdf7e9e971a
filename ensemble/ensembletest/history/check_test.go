package history_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/history"
)

type (
	addition = history.Operation[history.Add, int64]
	written  = history.Operation[history.NodeInput, history.NodeOutput]
)

// add is an addition that took from one moment to another; out < 0: nobody knows the answer.
func add(from, to, delta, out int64) addition {
	op := addition{Client: "c", Input: history.Add{Delta: delta}, Call: from, Return: to}
	if out >= 0 {
		op.Output = &out
	}
	return op
}

func TestCounters(t *testing.T) {
	for name, c := range map[string]struct {
		illegal bool
		ops     []addition
	}{
		"nothing":                 {false, nil},
		"one after another":       {false, []addition{add(1, 2, 5, 5), add(3, 4, 2, 7), add(5, 6, 0, 7)}},
		"at the same time":        {false, []addition{add(1, 4, 5, 7), add(2, 3, 2, 2)}},
		"lost":                    {true, []addition{add(1, 2, 5, 5), add(3, 4, 2, 2)}},
		"stale":                   {true, []addition{add(1, 2, 5, 5), add(3, 4, 0, 0)}},
		"twice":                   {true, []addition{add(1, 2, 5, 5), add(3, 4, 0, 10)}},
		"reordered":               {true, []addition{add(1, 2, 5, 7), add(3, 4, 2, 2)}},
		"unknown and done":        {false, []addition{add(1, 0, 5, -1), add(2, 3, 0, 5)}},
		"unknown and never":       {false, []addition{add(1, 0, 5, -1), add(2, 3, 0, 0)}},
		"unknown and later":       {false, []addition{add(1, 0, 5, -1), add(2, 3, 0, 0), add(4, 5, 0, 5)}},
		"unknown and twice":       {true, []addition{add(1, 0, 5, -1), add(2, 3, 0, 10)}},
		"unknown and gone again":  {true, []addition{add(1, 0, 5, -1), add(2, 3, 0, 5), add(4, 5, 0, 0)}},
		"unknown, but not before": {true, []addition{add(1, 2, 0, 5), add(3, 0, 5, -1)}},
	} {
		t.Run(name, func(t *testing.T) {
			err := history.Check(history.CounterModel(), c.ops, nil)
			if c.illegal {
				require.ErrorIs(t, err, history.ErrIllegal)
				require.NotErrorIs(t, err, history.ErrUndecided)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func TestFences(t *testing.T) {
	type step struct {
		use, token int64 // use 0: acquire
		refused    bool
	}
	for name, c := range map[string]struct {
		illegal bool
		steps   []step
	}{
		"tokens grow":                     {false, []step{{0, 3, false}, {3, 0, false}, {0, 8, false}, {8, 0, false}}},
		"a holder that was late":          {false, []step{{0, 3, false}, {0, 8, false}, {8, 0, false}, {3, 0, true}}},
		"late, but nobody was there":      {false, []step{{0, 3, false}, {0, 8, false}, {3, 0, false}, {8, 0, false}}},
		"not to be had":                   {false, []step{{0, 3, false}, {0, 0, true}, {3, 0, false}}},
		"the same token twice":            {true, []step{{0, 3, false}, {0, 3, false}}},
		"a lower token later":             {true, []step{{0, 8, false}, {0, 3, false}}},
		"a late holder is let in":         {true, []step{{0, 3, false}, {0, 8, false}, {8, 0, false}, {3, 0, false}}},
		"a holder is refused":             {true, []step{{0, 3, false}, {3, 0, true}}},
		"a token that nobody was given":   {true, []step{{0, 3, false}, {4, 0, false}}},
		"the highest is refused at once":  {true, []step{{0, 3, false}, {0, 8, false}, {3, 0, false}, {8, 0, true}}},
		"refused for what comes later on": {true, []step{{0, 3, false}, {0, 8, false}, {3, 0, true}, {8, 0, false}}},
	} {
		t.Run(name, func(t *testing.T) {
			var rec history.Recorder[history.Fence, history.Fenced]
			for _, s := range c.steps {
				rec.Begin(1, history.Fence{Lock: "l", Token: s.use}).End(history.Fenced{Token: s.token, Refused: s.refused})
			}
			err := history.Check(history.FenceModel(), rec.Operations(), nil)
			if c.illegal {
				require.ErrorIs(t, err, history.ErrIllegal)
			} else {
				require.NoError(t, err)
			}
		})
	}
	var rec history.Recorder[history.Fence, history.Fenced]
	rec.Begin(1, history.Fence{}).Unknown()
	rec.Begin(2, history.Fence{}).End(history.Fenced{Token: 8})
	rec.Begin(2, history.Fence{Token: 8}).Unknown()
	rec.Begin(3, history.Fence{}).End(history.Fenced{Token: 9})
	rec.Begin(3, history.Fence{Token: 9}).End(history.Fenced{})
	require.NoError(t, history.Check(history.FenceModel(), rec.Operations(), nil))
}

func TestDistinct(t *testing.T) {
	var rec history.Recorder[string, int]
	for id := range 5 {
		rec.Begin("a", "take").End(id)
	}
	rec.Begin("b", "take").Unknown()
	rec.Begin("b", "take").Unknown()
	require.NoError(t, history.Distinct(rec.Operations()))
	rec.Begin("c", "take").End(3)
	err := history.Distinct(rec.Operations())
	require.ErrorIs(t, err, history.ErrIllegal)
	require.ErrorContains(t, err, `"3"`)
}

// Check finds what trying all orders finds, and what porcupine finds.
func TestCheckAgainstAllOrders(t *testing.T) {
	legal, illegal := 0, 0
	check := func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "operations")
		times := rapid.Permutation(upTo(2*n)).Draw(t, "times")
		ops := make([]addition, n)
		for i := range ops {
			from, to := min(times[2*i], times[2*i+1]), max(times[2*i], times[2*i+1])
			out := rapid.Int64Range(-1, 4).Draw(t, "answer")
			ops[i] = add(from, to, rapid.Int64Range(0, 2).Draw(t, "delta"), out)
		}
		err := history.Check(history.CounterModel(), ops, nil)
		require.Equal(t, ordered(ops, 0), porcupine.CheckOperations(counter, theirs(ops)))
		if ordered(ops, 0) {
			legal++
			require.NoError(t, err)
		} else {
			illegal++
			require.ErrorIs(t, err, history.ErrIllegal)
		}
	}
	for legal < 5 || illegal < 5 { // once, but for bad luck
		rapid.Check(t, check)
	}
}

// counter is the counters' model as one would write it for porcupine.
var counter = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, input, output any) (bool, any) {
		after := state.(int64) + input.(history.Add).Delta
		out := output.(*int64)
		return out == nil || *out == after, after
	},
}

func theirs(ops []addition) []porcupine.Operation {
	all := make([]porcupine.Operation, len(ops))
	for i, op := range ops {
		all[i] = porcupine.Operation{Input: op.Input, Output: op.Output, Call: op.Call, Return: op.Return}
		if op.Output == nil {
			all[i].Return = math.MaxInt64
		}
	}
	return all
}

func upTo(n int) []int64 {
	all := make([]int64, n)
	for i := range all {
		all[i] = int64(i + 1)
	}
	return all
}

// ordered tries all orders of what is left, one operation after another.
func ordered(left []addition, total int64) bool {
	answered := false
	for i, op := range left {
		answered = answered || op.Output != nil
		first := true
		for _, other := range left {
			first = first && (other.Output == nil || other.Return > op.Call)
		}
		if !first || op.Output != nil && *op.Output != total+op.Input.Delta {
			continue
		}
		rest := append(append([]addition(nil), left[:i]...), left[i+1:]...)
		if ordered(rest, total+op.Input.Delta) {
			return true
		}
	}
	return !answered // those whose outcome nobody knows need not have happened
}

// hard is a history whose search is long: so many additions of different numbers, of unknown outcome, and an answer that needs all
// orders of theirs to be refused.
func hard(n int) []addition {
	var ops []addition
	for i := range n {
		ops = append(ops, add(int64(i+1), 0, int64(2)<<i, -1))
	}
	return append(ops, add(int64(n+1), int64(n+2), 0, 1)) // all are even
}

// What is not decided within the bounds is not said to be right, nor wrong.
func TestUndecided(t *testing.T) {
	require.ErrorIs(t, history.Check(history.CounterModel(), hard(10), nil), history.ErrIllegal)

	err := history.Check(history.CounterModel(), hard(40), &history.Options{Steps: 10_000})
	require.ErrorIs(t, err, history.ErrUndecided)
	require.NotErrorIs(t, err, history.ErrIllegal)
	require.ErrorContains(t, err, "40 outcomes are unknown")

	begun := time.Now()
	err = history.Check(history.CounterModel(), hard(40), &history.Options{Steps: 1 << 62, Patience: 20 * time.Millisecond})
	require.ErrorIs(t, err, history.ErrUndecided)
	require.Less(t, time.Since(begun), 10*time.Second)

	synctest.Test(t, func(t *testing.T) { // where no time passes
		err := history.Check(history.CounterModel(), hard(40), &history.Options{Steps: 10_000, Patience: time.Nanosecond})
		require.ErrorIs(t, err, history.ErrUndecided)
	})
}

// What is wrong early is found, though all that follows is too much to search.
func TestWrongEarly(t *testing.T) {
	wrong := []addition{add(1, 2, 0, 0)}
	for _, op := range hard(40) {
		op.Call, op.Return = op.Call+10, op.Return+10
		wrong = append(wrong, op)
	}
	for i := range int64(20) {
		wrong = append(wrong, add(100+2*i, 101+2*i, 0, 1))
	}
	opts := &history.Options{Steps: 10_000}
	require.ErrorIs(t, history.Check(history.CounterModel(), wrong, opts), history.ErrUndecided)
	wrong[0] = add(1, 2, 0, 1)
	require.ErrorIs(t, history.Check(history.CounterModel(), wrong, opts), history.ErrIllegal)
}

// One object that cannot be decided does not hide another that is wrong, nor the other way round.
func TestObjectsAreJudgedOneByOne(t *testing.T) {
	ops := hard(40)
	for i := range ops {
		ops[i].Input.Counter = "hard"
	}
	wrong := add(100, 101, 1, 7)
	wrong.Input.Counter = "wrong"
	right := add(102, 103, 1, 1)
	right.Input.Counter = "right"
	err := history.Check(history.CounterModel(), append(ops, wrong, right), &history.Options{Steps: 10_000})
	require.ErrorIs(t, err, history.ErrIllegal)
	require.ErrorIs(t, err, history.ErrUndecided)
	require.ErrorContains(t, err, `"wrong", 1 operations`)
	require.NotContains(t, err.Error(), `"right"`)
}

// The error names the first answer that nothing explains, though more come later, and the picture shows it.
func TestStory(t *testing.T) {
	var rec history.Recorder[history.Add, int64]
	say := func(client string, delta, out int64) {
		rec.Begin(client, history.Add{Counter: "n", Delta: delta}).End(out)
	}
	for i := range int64(60) {
		say("early", 1, i+1)
	}
	pending := rec.Begin("slow", history.Add{Counter: "n", Delta: 1000})
	say("culprit", 1, 60)
	say("later", 1, 62)
	say("later", 1, 5)
	pending.End(1061)
	picture := filepath.Join(t.TempDir(), "picture.html")
	err := history.Check(history.CounterModel(), rec.Operations(), &history.Options{Picture: picture})
	require.ErrorIs(t, err, history.ErrIllegal)
	var e *history.Error
	require.True(t, errors.As(err, &e))
	require.Equal(t, "n", e.Key)
	require.Equal(t, 64, e.Operations)
	lines := strings.Split(e.Story, "\n")
	require.Equal(t, "the last of these answers is explained by nothing", lines[0])
	require.Equal(t, "  (21 before)", lines[1])
	require.Contains(t, lines[len(lines)-3], "culprit: {Counter:n Delta:1} -> 60")
	require.Contains(t, lines[len(lines)-2], "do not help")
	require.Contains(t, lines[len(lines)-1], "slow: {Counter:n Delta:1000} -> ?")
	require.NotContains(t, e.Story, "later")

	html, err := os.ReadFile(picture)
	require.NoError(t, err)
	require.Contains(t, string(html), "{Counter:n Delta:1} -\\u003e 60")

	err = history.Check(history.CounterModel(), rec.Operations(), &history.Options{Picture: t.TempDir()})
	require.ErrorIs(t, err, history.ErrIllegal)
	require.ErrorContains(t, err, "draw")
}

func TestModelsAreChecked(t *testing.T) {
	err := history.Check(history.Model[[]int, int, int]{}, nil, nil)
	require.ErrorContains(t, err, "lacks Init, and Step, and Equal, as its states")

	queue := history.Model[[]int, string, int]{ // of one's own, with states that are not comparable
		Init: func() []int { return []int{1, 2} },
		Step: func(s []int, _ string, out *int) ([]int, bool) {
			if len(s) == 0 {
				return nil, out == nil
			}
			return s[1:], out == nil || *out == s[0]
		},
		Equal: func(a, b []int) bool { return len(a) == len(b) },
	}
	var rec history.Recorder[string, int]
	rec.Begin(1, "take").End(1)
	rec.Begin(1, "take").End(2)
	require.NoError(t, history.Check(queue, rec.Operations(), nil))
	rec.Begin(2, "take").End(2)
	err = history.Check(queue, rec.Operations(), nil)
	require.ErrorIs(t, err, history.ErrIllegal)
	require.ErrorContains(t, err, "2: take -> 2")
}

func TestRecorder(t *testing.T) {
	var rec history.Recorder[int, string]
	var all sync.WaitGroup
	for client := range 8 {
		all.Go(func() { // ends after its calls
			for i := range 100 {
				c := rec.Begin(client, i)
				switch i % 3 {
				case 0:
					c.End("done")
				case 1:
					c.Unknown()
				default:
					c.Never()
				}
			}
		})
	}
	all.Wait()
	rec.Begin("last", 7)
	ops := rec.Operations()
	require.Len(t, ops, 8*67+1)
	seen := map[int64]bool{}
	unknown := 0
	for i, op := range ops {
		require.False(t, seen[op.Call])
		seen[op.Call] = true
		require.True(t, i == 0 || ops[i-1].Call < op.Call)
		if op.Output == nil {
			unknown++
			continue
		}
		require.Greater(t, op.Return, op.Call)
		require.False(t, seen[op.Return])
		seen[op.Return] = true
	}
	require.Equal(t, 8*33+1, unknown)

	c := rec.Begin(1, 1)
	c.End("")
	require.Panics(t, c.Unknown)
}
