package barrier

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bellwether-zk/bellwether/client"
)

// State is a Barrier as it stands on the servers.
type State struct {
	Raised bool
	Since  time.Time // by the servers' clock; zero if it is not raised
}

// Inspect returns the barrier as the server knows it that this client is connected to, in one request.
func (b *Barrier) Inspect(ctx context.Context) (State, error) {
	stat, raised, err := b.client.Exists(ctx, b.path)
	if err != nil {
		return State{}, b.failed("inspect", err)
	}
	if !raised {
		return State{}, nil
	}
	return State{Raised: true, Since: stat.Ctime}, nil
}

// DoubleState is a Double as it stands on the servers.
type DoubleState struct {
	// Present are those who are there, in the order in which they came.
	Present []Member
	// Missing is how many more must come before the next round can begin, which waits for the end of a round that goes on.
	Missing int
	// Began is when the round began that goes on, by the servers' clock; zero if there is none. If none of its members is there any more, who
	// comes next ends it.
	Began time.Time
	// Left is how many members have left that round, or died. Of one that Curator has begun it is not known, and 0.
	Left int
	// Foreign are the names of children that are neither.
	Foreign []string
}

// Member is one who is at a Double.
type Member struct {
	Path    string    // of its node
	Data    []byte    // Options.Data
	In      bool      // it is in the round that goes on; else it waits for the next
	Token   int64     // the transaction that created its node
	Joined  time.Time // when it came, by the servers' clock
	Session int64     // the session it lives in
}

// Inspect returns the meeting as the server knows it that this client is connected to. It changes nothing, and takes a request and one more for
// each node; those that go meanwhile are left out.
func (d *Double) Inspect(ctx context.Context) (DoubleState, error) {
	s, err := d.inspect(ctx)
	if err != nil {
		return DoubleState{}, d.failed("inspect", err)
	}
	return s, nil
}

func (d *Double) inspect(ctx context.Context) (s DoubleState, err error) {
	names, _, err := d.client.Children(ctx, d.path)
	if err != nil && !errors.Is(err, client.ErrNoNode) {
		return s, err
	}
	var round []string // its members; nil if they are not known
	var began int64    // the transaction that let them in
	for _, name := range names {
		if name != ready && !isMember(name) {
			s.Foreign = append(s.Foreign, name)
			continue
		}
		data, stat, err := d.client.Get(ctx, d.child(name))
		switch {
		case errors.Is(err, client.ErrNoNode):
		case err != nil:
			return s, err
		case name == ready:
			if members, ok := parseMembers(data); ok {
				round = members
			}
			s.Began, began = stat.Ctime, stat.Czxid
		default:
			s.Present = append(s.Present, Member{
				Path: d.child(name), Data: data, Token: stat.Czxid, Joined: stat.Ctime, Session: stat.EphemeralOwner,
			})
		}
	}
	slices.Sort(s.Foreign)
	slices.SortFunc(s.Present, func(a, b Member) int { return cmp.Compare(a.Token, b.Token) })
	s.count(d, round, began)
	return s, nil
}

// count tells who is in, and how many are not, or not any more.
func (s *DoubleState) count(d *Double, round []string, began int64) {
	s.Missing = d.size
	in := 0
	for i := range s.Present {
		m := &s.Present[i]
		switch {
		case began == 0:
		case round != nil:
			m.In = slices.ContainsFunc(round, func(name string) bool { return d.child(name) == m.Path })
		default:
			m.In = m.Token < began
		}
		if m.In {
			in++
		} else {
			s.Missing = max(s.Missing-1, 0)
		}
	}
	if round != nil {
		s.Left = len(round) - in
	}
}
