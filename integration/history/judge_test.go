package history

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

// at is an operation of client c on /a from one moment to another.
func at(c int, from, to time.Duration, kind Kind, outcome Outcome, value string, version int32, zxid int64) Operation {
	return Operation{Client: c, Session: int64(c), Node: "/a", Kind: kind, Outcome: outcome, Value: value, Expect: version - 1,
		Version: version, Zxid: zxid, Call: from * ms, Return: to * ms}
}

// TestJudge has one history a case: what happened, and what of it must be noticed.
func TestJudge(t *testing.T) {
	cases := []struct {
		name, want string
		history    []Operation
	}{
		{"nothing", "", nil},
		{"one after another", "", []Operation{
			at(1, 0, 1, Write, Done, "x", 1, 11), at(2, 2, 3, Read, Done, "x", 1, 11), at(2, 4, 5, Swap, Done, "y", 2, 12),
			at(1, 6, 7, Swap, Refused, "z", 2, 0), at(1, 8, 9, Read, Done, "y", 2, 12),
		}},
		{"first value", "", []Operation{at(1, 0, 1, Read, Done, "", 0, 5), at(2, 2, 3, WeakRead, Done, "", 0, 5)}},
		{"overlapping", "", []Operation{
			at(1, 0, 9, Write, Done, "x", 2, 12), at(2, 0, 9, Write, Done, "y", 1, 11), at(3, 1, 8, Read, Done, "y", 1, 11),
		}},
		{"lost write", "no order of the operations explains", []Operation{at(1, 0, 1, Write, Done, "x", 1, 11), at(2, 2, 3, Read, Done, "", 0, 5)}},
		{"lost write, overwritten", "no order of the operations explains", []Operation{at(1, 0, 1, Write, Done, "x", 1, 11), at(2, 2, 3, Write, Done, "y", 1, 12)}},
		{"value from nowhere", "no order of the operations explains", []Operation{at(2, 2, 3, Read, Done, "ghost", 1, 11)}},
		{"happened twice", "no order of the operations explains", []Operation{at(1, 0, 1, Write, Done, "x", 1, 11), at(2, 2, 3, Read, Done, "x", 2, 12)}},
		{"swap in spite of another version", "no order of the operations explains", []Operation{at(1, 0, 1, Write, Done, "x", 1, 11), at(2, 2, 3, Swap, Done, "y", 1, 12)}},
		{"swap refused without a reason", "no order of the operations explains", []Operation{at(1, 0, 1, Write, Done, "x", 1, 11), at(2, 2, 3, Swap, Refused, "y", 2, 0)}},
		{"unknown and never", "", []Operation{at(1, 0, 0, Write, Unknown, "x", 0, 0), at(2, 2, 3, Read, Done, "", 0, 5)}},
		{"unknown and at once", "", []Operation{at(1, 0, 0, Write, Unknown, "x", 0, 0), at(2, 2, 3, Read, Done, "x", 1, 11)}},
		{"unknown and later", "", []Operation{
			at(1, 0, 0, Write, Unknown, "x", 0, 0), at(2, 2, 3, Read, Done, "", 0, 5), at(2, 4, 5, Read, Done, "x", 1, 11),
		}},
		{"unknown, unseen, but counted", "", []Operation{at(1, 0, 0, Write, Unknown, "x", 0, 0), at(2, 2, 3, Write, Done, "y", 2, 12)}},
		{"unknown and twice", "no order of the operations explains", []Operation{at(1, 0, 0, Write, Unknown, "x", 0, 0), at(2, 2, 3, Write, Done, "y", 3, 13)}},
		{"unknown, and gone again", "no order of the operations explains", []Operation{
			at(1, 0, 0, Write, Unknown, "x", 0, 0), at(2, 2, 3, Read, Done, "x", 1, 11), at(2, 4, 5, Read, Done, "", 0, 5),
		}},
		{"unknown swap that could not happen", "no order of the operations explains", []Operation{
			at(1, 0, 1, Write, Done, "x", 1, 11), at(2, 2, 2, Swap, Unknown, "y", 1, 0), at(3, 4, 5, Read, Done, "y", 2, 12),
		}},
		{"zxids against time", "a later write has a lower zxid", []Operation{
			at(1, 0, 1, Write, Done, "x", 1, 12), {Client: 2, Session: 2, Node: "/b", Kind: Write, Outcome: Done, Value: "y", Version: 1, Zxid: 11, Call: 2 * ms, Return: 3 * ms},
		}},
		{"one zxid for two", "two writes have one zxid", []Operation{
			at(1, 0, 9, Write, Done, "x", 1, 11), {Client: 2, Session: 2, Node: "/b", Kind: Write, Outcome: Done, Value: "y", Version: 1, Zxid: 11, Call: 2 * ms, Return: 3 * ms},
		}},
		{"one zxid shown as two", "one zxid is shown as two things", []Operation{
			at(1, 0, 1, Write, Done, "x", 1, 11), at(2, 2, 3, WeakRead, Done, "y", 1, 11),
		}},
		{"a session goes back", "a session sees a node go back", []Operation{
			at(1, 0, 1, Write, Done, "x", 1, 11), at(2, 2, 3, WeakRead, Done, "x", 1, 11), at(2, 4, 5, WeakRead, Done, "", 0, 5),
		}},
		{"another session is behind", "", []Operation{
			at(1, 0, 1, Write, Done, "x", 1, 11), at(2, 4, 5, WeakRead, Done, "", 0, 5),
		}},
		{"own write not seen", "a session sees a node go back", []Operation{
			at(1, 0, 1, Write, Done, "x", 1, 11), at(1, 2, 3, WeakRead, Done, "", 0, 5),
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := Judge(c.history, Options{})
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.want)
			}
		})
	}
}

func TestStaleSyncIsForgiven(t *testing.T) {
	stale := []Operation{at(1, 0, 1, Write, Done, "x", 1, 11), at(2, 2, 3, Read, Done, "", 0, 5)}
	require.Error(t, Judge(stale, Options{}))
	require.NoError(t, Judge(stale, Options{StaleSync: true}))
}

// legal plays clients against one register after another, with answers that overlap and get lost.
func legal(t *rapid.T) []Operation {
	type state struct {
		content
		zxid int64
	}
	nodes := map[string]*state{"/a": {zxid: 1}, "/b": {zxid: 2}}
	zxid := int64(2)
	var all []Operation
	free := map[int]time.Duration{} // when a client may call again
	for i := range rapid.IntRange(1, 60).Draw(t, "operations") {
		now := time.Duration(i) * 10 // operations happen one after another; calls lie before, answers behind
		op := Operation{
			Client: rapid.IntRange(1, 5).Draw(t, "client"), Node: rapid.SampledFrom([]string{"/a", "/b"}).Draw(t, "node"),
			Kind: Kind(rapid.IntRange(0, 3).Draw(t, "kind")), Value: fmt.Sprint("v", i), Outcome: Done,
		}
		if free[op.Client] >= now {
			continue
		}
		op.Session = int64(op.Client)
		op.Call = max(free[op.Client]+1, now-time.Duration(rapid.IntRange(0, 50).Draw(t, "before")))
		op.Return = now + time.Duration(rapid.IntRange(0, 50).Draw(t, "after"))
		free[op.Client] = op.Return
		s, lost := nodes[op.Node], rapid.IntRange(0, 9).Draw(t, "lost") == 0
		op.Expect = s.version - int32(rapid.IntRange(0, 1).Draw(t, "wrong"))
		switch {
		case op.Kind == Read || op.Kind == WeakRead:
			op.Value = s.value
		case lost && rapid.Bool().Draw(t, "never"):
		case op.Kind == Swap && op.Expect != s.version:
			op.Outcome = Refused
		default:
			zxid++
			*s = state{content{s.version + 1, op.Value}, zxid}
		}
		if op.Outcome == Done {
			op.Version, op.Zxid = s.version, s.zxid
		}
		if lost {
			op.Outcome, op.Version, op.Zxid = Unknown, 0, 0
		}
		all = append(all, op)
	}
	return all
}

func TestLegalHistoriesPass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := legal(t)
		if err := Judge(all, Options{}); err != nil {
			t.Fatal(err)
		}
	})
}

// TestForgottenWriteIsNoticed takes a write that was answered, and that the next version of its node builds on, out of the ensemble's
// memory: everything behind it happens as if it had not been.
func TestForgottenWriteIsNoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := legal(t)
		last := map[string]*Operation{}
		for i := range all {
			op := &all[i]
			if op.wrote() {
				last[op.Node] = op
			}
		}
		for _, op := range last {
			late := max(op.Return, all[len(all)-1].Return) + 1000
			forgotten := append(all[:len(all):len(all)], Operation{
				Client: 9, Session: 9, Node: op.Node, Kind: Write, Outcome: Done, Value: "afterwards",
				Version: op.Version, Zxid: op.Zxid + 1000, Call: late, Return: late + 1,
			})
			if Judge(forgotten, Options{}) == nil {
				t.Fatalf("the loss of %s was not noticed", op)
			}
		}
	})
}

func TestRecorder(t *testing.T) {
	var r Recorder
	r.Add(at(1, 0, 1, Write, Done, "x", 1, 11))
	r.Add(at(1, 0, 0, Write, Unknown, "y", 0, 0))
	require.Equal(t, 1, r.Answered())
	require.Len(t, r.Operations(), 2)
}
