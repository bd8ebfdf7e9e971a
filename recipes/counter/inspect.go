package counter

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// State is a counter as it stands on the servers.
type State struct {
	Exists  bool // else it is 0, and has not been changed yet
	Value   int64
	Version int32     // how often it was changed since it was made, on 32 bits
	Since   time.Time // when it was made, by the servers' clock
	Changed time.Time // when it was changed last
	Zxid    int64     // the transaction that did so
	// Changes are those under way: made already but not known to be, perhaps, to who asked for them.
	Changes []Change
	// Waiting are those that were beaten too often: the first in line changes the number, and the others wait for their turn.
	Waiting []ticket.Place
}

// Change is one that has left a mark.
type Change struct {
	Path    string    // of the mark
	Session int64     // the session it was made in
	Made    time.Time // by the servers' clock
}

// Inspect returns the counter as the server knows it that this client is connected to. It changes nothing, and takes three requests and one more
// for each change under way. It fails with client/typed.ErrDecode if the node's data are no number.
func (c *Counter) Inspect(ctx context.Context) (State, error) {
	s, err := c.inspect(ctx)
	if err != nil {
		return State{}, &client.Error{Op: "inspect", Path: c.path, Err: err}
	}
	return s, nil
}

func (c *Counter) inspect(ctx context.Context) (s State, err error) {
	v, stat, err := c.node.Get(ctx)
	switch {
	case err == nil:
		s = State{Exists: true, Value: v, Version: stat.Version, Since: stat.Ctime, Changed: stat.Mtime, Zxid: stat.Mzxid}
	case !errors.Is(err, client.ErrNoNode):
		return s, err
	}
	if s.Changes, err = c.changes(ctx); err == nil {
		s.Waiting, err = c.queue.Line(ctx)
	}
	return s, err
}

// changes reads the marks.
func (c *Counter) changes(ctx context.Context) (all []Change, err error) {
	names, _, err := c.client.Children(ctx, c.marks)
	if err != nil && !errors.Is(err, client.ErrNoNode) {
		return nil, err
	}
	for _, name := range names {
		path := strings.TrimSuffix(c.marks, "/") + "/" + name
		stat, there, err := c.client.Exists(ctx, path)
		if err != nil {
			return nil, err
		}
		if there {
			all = append(all, Change{Path: path, Session: stat.EphemeralOwner, Made: stat.Ctime})
		}
	}
	return all, nil
}
