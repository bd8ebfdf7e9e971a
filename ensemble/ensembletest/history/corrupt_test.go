package history_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/history"
)

// A service is nodes that are done wrong, or right, by what breaks them.
type service struct {
	random *rand.Rand
	nodes  map[string]history.NodeState
	wrong  string
	before map[string]history.NodeState // what a stale read sees
	late   []history.NodeInput
}

// do does what is asked, in this moment.
func (s *service) do(in history.NodeInput) history.NodeOutput {
	old := s.nodes[in.Path]
	next, possible := history.NodeModel().Step(old, in, nil)
	out := history.NodeOutput{Version: next.Version, Data: next.Data}
	if !possible {
		next, out = old, history.NodeOutput{Err: refusal(old, in)}
	}
	if next != old {
		s.before[in.Path] = old
	}
	hit := s.random.IntN(2) == 0
	switch {
	case s.wrong == "lost write" && hit && in.Op == history.NodeSet:
		return out
	case s.wrong == "stale read" && hit && in.Op == history.NodeRead && possible && s.before[in.Path].Exists:
		return history.NodeOutput{Version: s.before[in.Path].Version, Data: s.before[in.Path].Data}
	case s.wrong == "double effect" && hit && in.Op == history.NodeSet && possible:
		next.Version++
	case s.wrong == "reordered" && hit && in.Op == history.NodeSet && possible:
		s.late = append(s.late, in)
		return out
	case s.wrong == "version ignored" && in.Op == history.NodeSet && !possible && old.Exists:
		next = history.NodeState{Exists: true, Version: old.Version + 1, Data: in.Data}
		out = history.NodeOutput{Version: next.Version}
	}
	s.nodes[in.Path] = next
	for _, in := range s.late { // too late, and in spite of what came between
		next, _ := history.NodeModel().Step(s.nodes[in.Path], history.NodeInput{Op: history.NodeSet, Data: in.Data, Version: -1}, nil)
		s.nodes[in.Path] = next
	}
	s.late = nil
	return out
}

// refusal is why something cannot be done to a node.
func refusal(s history.NodeState, in history.NodeInput) client.Code {
	switch {
	case in.Op == history.NodeCreate:
		return client.ErrNodeExists
	case !s.Exists:
		return client.ErrNoNode
	}
	return client.ErrBadVersion
}

// A pending operation waits for its moment, or has had it.
type pending struct {
	call *history.Call[history.NodeInput, history.NodeOutput]
	in   history.NodeInput
	out  *history.NodeOutput
}

// dice has what clients do, as often as they do it.
var dice = []history.NodeOp{
	history.NodeRead, history.NodeRead, history.NodeRead, history.NodeRead, history.NodeExists,
	history.NodeSet, history.NodeSet, history.NodeSet, history.NodeSet, history.NodeCreate, history.NodeCreate, history.NodeDelete,
}

// play lets six clients use a service at the same time. Some of the answers are lost, some of the requests too.
func play(seed uint64, wrong string) []written {
	random := rand.New(rand.NewPCG(seed, 1))
	s := &service{random: random, nodes: map[string]history.NodeState{}, before: map[string]history.NodeState{}, wrong: wrong}
	var rec history.Recorder[history.NodeInput, history.NodeOutput]
	clients := make([]*pending, 6)
	for i := range 800 {
		id := random.IntN(len(clients))
		switch p := clients[id]; {
		case p == nil:
			in := history.NodeInput{
				Op:   dice[random.IntN(len(dice))],
				Path: []string{"/a", "/b"}[random.IntN(2)], Data: fmt.Sprint(i), Version: -1,
			}
			if in.Op != history.NodeDelete && random.IntN(3) == 0 {
				in.Version = max(0, s.nodes[in.Path].Version-random.Int32N(2))
			}
			clients[id] = &pending{call: rec.Begin(id, in), in: in}
		case p.out == nil && random.IntN(40) == 0: // lost before it arrived
			p.call.Unknown()
			clients[id] = nil
		case p.out == nil:
			out := s.do(p.in)
			p.out = &out
		default:
			if random.IntN(40) == 0 {
				p.call.Unknown()
			} else {
				p.call.End(*p.out)
			}
			clients[id] = nil
		}
	}
	return rec.Operations()
}

// A service that does one thing after another is never blamed, and one that does not always is.
func TestServices(t *testing.T) {
	for _, wrong := range []string{"", "lost write", "stale read", "double effect", "reordered", "version ignored"} {
		t.Run(wrong, func(t *testing.T) {
			for seed := range uint64(4) {
				err := history.Check(history.NodeModel(), play(seed, wrong), nil)
				if wrong == "" {
					require.NoError(t, err, "seed %d", seed)
				} else {
					require.ErrorIs(t, err, history.ErrIllegal, "seed %d", seed)
				}
			}
		})
	}
}

// node is an operation on /a that took from one moment to another, and its answer.
func node(from, to int64, op history.NodeOp, data string, version int32, out *history.NodeOutput) written {
	return written{Client: "c", Input: history.NodeInput{Op: op, Path: "/a", Data: data, Version: version}, Output: out, Call: from, Return: to}
}

func told(data string, version int32) *history.NodeOutput {
	return &history.NodeOutput{Data: data, Version: version}
}

func refused(code client.Code) *history.NodeOutput { return &history.NodeOutput{Err: code} }

func TestNodes(t *testing.T) {
	made := node(1, 2, history.NodeCreate, "x", 0, told("", 0))
	for name, c := range map[string]struct {
		illegal bool
		ops     []written
	}{
		"one after another": {false, []written{
			made, node(3, 4, history.NodeSet, "y", 0, told("", 1)), node(5, 6, history.NodeRead, "", 0, told("y", 1)),
			node(7, 8, history.NodeExists, "", 0, told("", 1)), node(9, 10, history.NodeCheck, "", 1, told("", 0)),
			node(11, 12, history.NodeDelete, "", 1, told("", 0)), node(13, 14, history.NodeRead, "", 0, refused(client.ErrNoNode)),
			node(15, 16, history.NodeCreate, "z", 0, told("", 0)), node(17, 18, history.NodeRead, "", 0, told("z", 0)),
		}},
		"refused for reasons": {false, []written{
			node(-3, -2, history.NodeDelete, "", -1, refused(client.ErrNoNode)), made, node(3, 4, history.NodeCreate, "y", 0, refused(client.ErrNodeExists)),
			node(5, 6, history.NodeSet, "y", 1, refused(client.ErrBadVersion)), node(7, 8, history.NodeDelete, "", -1, refused(client.ErrNotEmpty)),
			node(9, 10, history.NodeSet, "y", -1, refused(client.ErrNoAuth)), node(11, 12, history.NodeRead, "", 0, told("x", 0)),
		}},
		"created twice":          {true, []written{made, node(3, 4, history.NodeCreate, "y", 0, told("", 0))}},
		"created, and not there": {true, []written{made, node(3, 4, history.NodeRead, "", 0, refused(client.ErrNoNode))}},
		"deleted, and there":     {true, []written{made, node(3, 4, history.NodeDelete, "", -1, told("", 0)), node(5, 6, history.NodeExists, "", 0, told("", 0))}},
		"lost write":             {true, []written{made, node(3, 4, history.NodeSet, "y", -1, told("", 1)), node(5, 6, history.NodeRead, "", 0, told("x", 0))}},
		"lost, and overwritten":  {true, []written{made, node(3, 4, history.NodeSet, "y", -1, told("", 1)), node(5, 6, history.NodeSet, "z", -1, told("", 1))}},
		"from nowhere":           {true, []written{made, node(3, 4, history.NodeRead, "", 0, told("y", 0))}},
		"twice":                  {true, []written{made, node(3, 4, history.NodeSet, "y", -1, told("", 1)), node(5, 6, history.NodeRead, "", 0, told("y", 2))}},
		"unknown and twice":      {true, []written{made, node(3, 0, history.NodeSet, "y", -1, nil), node(5, 6, history.NodeRead, "", 0, told("y", 2))}},
		"unknown and once":       {false, []written{made, node(3, 0, history.NodeSet, "y", -1, nil), node(5, 6, history.NodeRead, "", 0, told("y", 1))}},
		"unknown and impossible": {true, []written{made, node(3, 0, history.NodeSet, "y", 4, nil), node(5, 6, history.NodeRead, "", 0, told("y", 1))}},
		"in spite of its version": {true, []written{
			made, node(3, 4, history.NodeSet, "y", 4, told("", 1)),
		}},
		"refused without a reason": {true, []written{made, node(3, 4, history.NodeSet, "y", 0, refused(client.ErrBadVersion))}},
		"checked wrongly":          {true, []written{made, node(3, 4, history.NodeCheck, "", 1, told("", 0))}},
		"not empty, and not there": {true, []written{node(3, 4, history.NodeDelete, "", -1, refused(client.ErrNotEmpty))}},
		"no parent, but a child":   {true, []written{made, node(3, 4, history.NodeCreate, "", 0, refused(client.ErrNoNode))}},
		"set answered by another version": {true, []written{
			made, node(3, 4, history.NodeSet, "y", -1, told("", 2)),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			err := history.Check(history.NodeModel(), c.ops, nil)
			if c.illegal {
				require.ErrorIs(t, err, history.ErrIllegal)
				require.ErrorContains(t, err, "/a")
			} else {
				require.NoError(t, err)
			}
		})
	}
}
