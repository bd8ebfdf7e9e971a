package differential

import (
	"fmt"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
)

// A Kind names a sort of operation in the mix: its op, and for creates the mode.
type Kind string

// Link is what a step does to its session's connection before anything is sent on it.
type Link int

// The links.
const (
	Stay          Link = iota // nothing
	Open                      // a new session on a new connection
	Reattach                  // disconnect, then a new connection for the same session
	TakeOver                  // a new connection for the session while the older one lives; the server must end that
	WrongPassword             // the same with a wrong password, which the server must refuse, then Reattach
	Ahead                     // a connection that has seen a zxid the server has not, which it must refuse, then Reattach
)

func (l Link) String() string {
	return [...]string{"stay", "open", "reattach", "takeOver", "wrongPassword", "ahead"}[l]
}

// A Call is one request. Several in a step are sent in one burst.
type Call struct {
	Kind   Kind
	Op     wire.Op
	Record wire.Record // nil for none
}

// A Step is one session's turn.
type Step struct {
	Number int
	Slot   int // which of the sessions
	Link   Link
	Legacy bool // the connection leaves out the readOnly byte
	Calls  []Call
}

// kinds are those of the step's operations: the link counts as one.
func (s *Step) kinds() []Kind {
	var all []Kind
	if s.Link != Stay {
		all = append(all, Kind(s.Link.String()))
	}
	for i := range s.Calls {
		all = append(all, s.Calls[i].Kind)
	}
	return all
}

// writes reports whether the step may cause events.
func (s *Step) writes() bool {
	for i := range s.Calls {
		if s.Calls[i].Op.Write() {
			return true
		}
	}
	return false
}

func (s *Step) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "step %d, session %d", s.Number, s.Slot)
	if s.Link != Stay {
		fmt.Fprintf(&b, ", %v (legacy %v)", s.Link, s.Legacy)
	}
	for i := range s.Calls {
		fmt.Fprintf(&b, "\n    %v", &s.Calls[i])
	}
	return b.String()
}

func (c *Call) String() string {
	if m, ok := c.Record.(*wire.MultiRequest); ok {
		var b strings.Builder
		fmt.Fprintf(&b, "%v of %d", c.Op, len(m.Ops))
		for _, op := range m.Ops {
			fmt.Fprintf(&b, "\n        %v %+v", op.Op, op.Record)
		}
		return b.String()
	}
	if c.Record == nil {
		return c.Op.String()
	}
	return fmt.Sprintf("%v %+v", c.Op, c.Record)
}

// A Body is a record that is only bytes: for requests no encoder would make.
type Body []byte

// AppendJute appends the bytes.
func (r Body) AppendJute(b []byte) []byte { return append(b, r...) }

// DecodeJute makes Body a wire.Record; it reads nothing.
func (r Body) DecodeJute(*jute.Decoder) {}

// An Outcome is all that one server said in a step.
type Outcome struct {
	Lines   [][]string          // by slot, in the order it arrived
	Replies []rawclient.Message // to the step's calls; the zero Message for one without an answer
	Lost    bool                // the server ended the acting session's connection
}

// A Difference is one slot's first line that the two servers do not share.
type Difference struct {
	Slot       int
	Line       int
	Want, Have string // empty where a server said less
}

func (d Difference) String() string {
	return fmt.Sprintf("session %d, line %d\n    reference: %s\n    candidate: %s", d.Slot, d.Line, d.Want, d.Have)
}

// Compare returns the first difference of each slot, nothing if the servers said the same.
func Compare(reference, candidate Outcome) []Difference {
	var all []Difference
	for slot := range max(len(reference.Lines), len(candidate.Lines)) {
		want, have := slotLines(reference, slot), slotLines(candidate, slot)
		for i := range max(len(want), len(have)) {
			if w, h := lineAt(want, i), lineAt(have, i); w != h {
				all = append(all, Difference{Slot: slot, Line: i, Want: w, Have: h})
				break
			}
		}
	}
	return all
}

func slotLines(o Outcome, slot int) []string {
	if slot < len(o.Lines) {
		return o.Lines[slot]
	}
	return nil
}

func lineAt(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}
