package lease

import (
	"context"
	"errors"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// State is how a lease stands on the servers.
type State struct {
	// Holder is the Options.ID of who was granted the lease last, and empty if it was released. While Options.AtLeast keeps a lease from
	// everybody that was released, " (released)" stands behind it.
	Holder string
	// Since and Until are when it was granted and how long others take it for granted, by the servers' clock; Since is zero of those that
	// kazoo granted. Until may be over: then it is free.
	Since, Until time.Time
	// Token is Grant.Token, and 0 of those that kazoo granted.
	Token int64
	// Waiting are those who wait for the lease, in line, and Looking those who look at it at this moment. Their nodes say the Options.ID.
	Waiting, Looking []ticket.Contender
}

// Inspect tells how the lease stands, as the server knows which this client is connected to. It only reads: a list, the
// record, and what stands beside it.
func (l *Lease) Inspect(ctx context.Context) (State, error) {
	line, _, err := ticket.Inspect(ctx, l.client, l.path, lineMarker, doorMarker)
	if err != nil {
		return State{}, l.failed("inspect", err)
	}
	var state State
	for _, one := range line {
		if one.Marker == lineMarker {
			state.Waiting = append(state.Waiting, one)
		} else {
			state.Looking = append(state.Looking, one)
		}
	}
	data, stat, err := l.client.Get(ctx, l.record())
	if errors.Is(err, client.ErrNoNode) {
		return state, nil
	}
	if err != nil {
		return State{}, err
	}
	r, err := decode(data, stat)
	if err != nil {
		return State{}, l.failed("inspect", err)
	}
	state.Holder, state.Since, state.Until, state.Token = r.Holder, r.Since, r.end, r.Token
	return state, nil
}
