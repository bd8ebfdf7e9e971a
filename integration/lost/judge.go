package lost

import (
	"errors"
	"fmt"
	"slices"

	"github.com/bellwether-zk/bellwether/client"
)

// An outcome is what the caller of an operation was told.
type outcome string

// The outcomes.
const (
	done    outcome = "done"
	notDone outcome = "not done"
	unknown outcome = "unknown"
)

// A story is what a run has shown.
type story struct {
	answer answer
	err    error
	// What has happened until the call returned.
	strikes int  // frames that faults have met
	left    bool // the caller did
	ended   bool // the session did
	away    bool // the connection was broken before
	rivals  int  // what the witness has done of the same
	granted bool // the client has got the identity it asked for; that is found out later
	// The tree before, when the call had returned (if it is done), when the client had cleaned up, and in the end.
	before, soon, calm, late tree
}

// outcome is what the caller was told.
func (s *story) outcome() outcome {
	switch {
	case s.err == nil:
		return done
	case errors.Is(s.err, client.ErrUnknown):
		return unknown
	}
	return notDone
}

// A judge collects what is wrong.
type judge struct {
	*story
	k     *kind
	wrong []string
}

func (j *judge) failed(format string, args ...any) {
	j.wrong = append(j.wrong, fmt.Sprintf(format, args...))
}

// verdict tells what must not be in a story of a kind of operation.
func verdict(k *kind, s *story) []string {
	j := &judge{story: s, k: k}
	j.words()
	switch s.outcome() {
	case done:
		j.done()
	case notDone:
		j.notDone()
	case unknown:
		j.unknown()
	}
	if !k.clean(s, s.calm) || s.err != nil && !k.clean(s, s.late) {
		j.failed("it has left %v", append(k.remains(s.calm), k.remains(s.late)...))
	}
	if !gone(s.late) {
		j.failed("an ephemeral node outlives its session")
	}
	return j.wrong
}

// words are those of the error.
func (j *judge) words() {
	if j.err == nil {
		return
	}
	var e *client.Error
	switch {
	case !errors.As(j.err, &e):
		j.failed("the error is no *client.Error")
	case e.Op != j.k.opName:
		j.failed("the error is about %q and not %q", e.Op, j.k.opName)
	case e.Path != j.k.path && !slices.Contains(j.k.parts, e.Path):
		j.failed("the error is about the path %q and not %q", e.Path, j.k.path)
	}
}

// count counts how often the operation took effect, as a tree shows.
func (j *judge) count(when string, t tree) int {
	n, wrong := j.k.times(j.story, t)
	if wrong != "" {
		j.failed("%s: %s", when, wrong)
	}
	return n
}

func (j *judge) done() {
	if j.k.refusing != 0 {
		j.failed("it is done, though it has to be refused")
	}
	want := 1
	if j.k.read {
		want = 0
	}
	if n := j.count("at once", j.soon); n != want && !j.k.grants {
		j.failed("it is done, and took effect %d times", n)
	}
	if n := j.count("in the end", j.late); n != want {
		j.failed("it is done, and took effect %d times in the end", n)
	}
	_, alive := j.soon[canary] // or what it made may be gone again
	if j.k.right == nil || j.rivals > 0 || j.k.ephemeral && !alive {
		return
	}
	if wrong := j.k.right(j.story, j.soon); wrong != "" {
		j.failed("it is done, but %s", wrong)
	}
}

func (j *judge) notDone() {
	switch {
	case j.k.refusing != 0 && errors.Is(j.err, j.k.refusing):
	case j.left && errors.Is(j.err, errLeft):
	case j.ended && errors.Is(j.err, client.ErrSessionExpired):
	default:
		j.failed("there is no reason for this error")
	}
	if n := j.count("in the end", j.late); n != 0 {
		j.failed("it is not done for certain, and took effect %d times", n)
	}
}

func (j *judge) unknown() {
	if j.k.read {
		j.failed("a read is done or not")
	}
	if j.k.exact && !j.left && !j.ended {
		j.failed("it could have found out")
	}
	switch {
	case (j.strikes > 0 || j.away) && errors.Is(j.err, client.ErrConnectionLoss):
	case j.left && errors.Is(j.err, errLeft):
	case j.ended && errors.Is(j.err, client.ErrSessionExpired):
	default:
		j.failed("there is no reason for this error")
	}
	if n := j.count("in the end", j.late); n > 1 || n < 0 {
		j.failed("it is done or not, and took effect %d times", n)
	} else if n > 0 && j.k.refusing != 0 {
		j.failed("it took effect, though it has to be refused")
	}
}
