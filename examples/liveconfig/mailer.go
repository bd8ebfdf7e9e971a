package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/recipes/node"
)

// Limits are the configuration: one value in one node, so that nobody ever sees half of a change.
type Limits struct {
	MaxBytes int `json:"maxBytes"`
}

var errNonsense = errors.New("limits make no sense")

// Validate is asked by who writes limits, and by who reads them: a reader cannot know that every writer is careful.
func (l Limits) Validate() error {
	if l.MaxBytes < 1 {
		return fmt.Errorf("%w: maxBytes is %d", errNonsense, l.MaxBytes)
	}
	return nil
}

// validate is the same as a rule for the data of the node.
func validate(_ string, data []byte) error {
	l, err := typed.JSON[Limits]().Decode(data)
	if err != nil {
		return err
	}
	return l.Validate()
}

// A mailer sends letters, within limits that may change at any moment.
type mailer struct {
	name   string
	limits atomic.Pointer[Limits] // the last good ones; nil before there were any
}

// send is the work. It asks no server: the limits are at hand, and the same from its beginning to its end.
func (m *mailer) send(bytes int) string {
	switch l := m.limits.Load(); {
	case l == nil:
		return "not yet"
	case bytes > l.MaxBytes:
		return "refused"
	default:
		return "sent"
	}
}

// run follows the limits until ctx ends.
func (m *mailer) run(ctx context.Context, servers string) error {
	c, err := client.Connect(ctx, servers, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	// What it works with others can see, as long as it lives.
	status := Status{Version: -1}
	shown, err := node.Keep(ctx, c, mailersPath+"/"+m.name, status.encode(), nil)
	if err != nil {
		return err
	}
	defer shown.Close(context.WithoutCancel(ctx))

	// The loop reads again after each change, and after each outage. What it yields may be old by then, but is never left at that.
	for state, err := range typed.NewNode[Limits](c, limitsPath, nil).Watch(ctx) {
		status.Version, status.Problem = state.Stat.Version, ""
		if err == nil && state.Exists {
			err = state.Value.Validate()
		}
		switch {
		case errors.Is(err, typed.ErrDecode), errors.Is(err, errNonsense):
			status.Problem = err.Error() // and the last good ones stay
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case !state.Exists:
			status.Version, status.Problem = -1, "no limits"
		default:
			m.limits.Store(&state.Value)
			status.Limits = state.Value
		}
		if err := shown.Set(ctx, status.encode()); err != nil {
			return err
		}
	}
	return nil
}

// Status is what a mailer says of itself.
type Status struct {
	Version int32  // of the limits it looked at last, -1 if there were none
	Limits  Limits // those it works with
	Problem string `json:",omitempty"` // why it does not work with those it looked at
}

func (s Status) encode() []byte {
	data, _ := json.Marshal(s) // which cannot fail for these types
	return data
}

func (s Status) String() string {
	if s.Problem != "" {
		return fmt.Sprintf("still at most %d bytes: %s", s.Limits.MaxBytes, s.Problem)
	}
	return fmt.Sprintf("at most %d bytes, as of version %d", s.Limits.MaxBytes, s.Version)
}
