package lock

import (
	"context"

	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// State is who holds a lock and who waits for it, as it stands on the servers: by the order of the line, which a holder may not know yet.
type State struct {
	Holders []ticket.Contender // of a Semaphore the permits
	Waiters []ticket.Contender // in the order in which they come in
	// Foreign are other children of the lock's directories. They are not waited for, and do not wait. Those of another recipe, such as
	// kazoo's contenders where the layout is Curator's, hold what they hold at the same time: it is no lock between them and us.
	Foreign []ticket.Contender
	// Limit is how many permits a Semaphore has; 0 for other locks.
	Limit int
}

// Inspect reads who holds the lock, who waits, and what else stands in its directory. It costs the list, and a read for each node, all at
// once. A node whose data are "__REVOKE__" is one that somebody has asked to let go.
func (m *Mutex) Inspect(ctx context.Context) (State, error) { return m.line.inspect(ctx, m.kind) }

// Inspect is Mutex.Inspect. Who is a reader is told by the marker.
func (m *RWMutex) Inspect(ctx context.Context) (State, error) {
	return m.line.inspect(ctx, m.writer, m.reader)
}

// Inspect is Mutex.Inspect. Who waits for permits stands at the door, the first of them until there are enough; those who are given some at
// this moment stand there, too.
func (s *Semaphore) Inspect(ctx context.Context) (State, error) {
	door, err := s.door.inspect(ctx, kind{marker: marker})
	if err != nil {
		return State{}, err
	}
	permits, err := s.leases.inspect(ctx, kind{marker: leaseMarker, rule: func([]ticket.Place) *ticket.Place { return nil }})
	if err != nil {
		return State{}, err
	}
	limit, err := s.Limit(ctx)
	if err != nil {
		return State{}, err
	}
	return State{
		Holders: permits.Holders,
		Waiters: append(door.Holders, door.Waiters...),
		Foreign: append(door.Foreign, permits.Foreign...),
		Limit:   limit,
	}, nil
}

// Inspect is Mutex.Inspect of each, in the order in which the locks were given.
func (m *Multi) Inspect(ctx context.Context) ([]State, error) {
	states := make([]State, len(m.locks))
	err := each(m.locks, func(i int, l *Mutex) (err error) {
		states[i], err = l.Inspect(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return states, nil
}

// inspect reads the line, whose contenders are of these kinds.
func (l *line) inspect(ctx context.Context, kinds ...kind) (State, error) {
	all, foreign, err := ticket.Inspect(ctx, l.client, l.path, l.markers...)
	if err != nil {
		return State{}, l.failed("inspect", err)
	}
	state := State{Foreign: foreign}
	var ahead []ticket.Place
	for _, one := range all {
		for _, k := range kinds {
			switch {
			case k.marker != one.Marker:
			case k.waits(ahead):
				state.Waiters = append(state.Waiters, one)
			default:
				state.Holders = append(state.Holders, one)
			}
		}
		ahead = append(ahead, one.Place)
	}
	return state, nil
}
