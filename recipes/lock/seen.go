package lock

import (
	"context"

	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// words are what becomes of locks, in spans and metrics.
var words = []telemetry.Word{
	{Err: ErrHeld, Word: "held", Fine: true},
	{Err: ErrReleased, Word: "released"},
	{Err: ErrRemoved, Word: "removed", Lost: true},
	{Err: ErrMaxHold, Word: "max_hold", Lost: true},
	{Err: ErrLimit, Word: "limit"},
}

// How the locks are called there. A Multi is its Mutexes; a semaphore's door and permits are seen as one.
var (
	mutexes    = telemetry.Recipe{Family: telemetry.Lock, Name: "mutex", Words: words}
	writers    = telemetry.Recipe{Family: telemetry.Lock, Name: "rwmutex.write", Words: words}
	readers    = telemetry.Recipe{Family: telemetry.Lock, Name: "rwmutex.read", Words: words}
	semaphores = telemetry.Recipe{Family: telemetry.Lock, Name: "semaphore", Words: words}
)

// seen acquires a lock, and tells who looks of the wait and of the hold.
func (l *line) seen(ctx context.Context, k kind, acquire func(context.Context, kind) (*Hold, error)) (*Hold, error) {
	ctx, wait := l.kit.Wait(ctx, k.measured, l.path)
	h, err := acquire(ctx, k)
	if err != nil {
		wait.Failed(err)
		return nil, err
	}
	h.held.seen = wait.Held(telemetry.Held{Session: h.Session(), Life: h.held.ticket.Context(), Path: h.Path(), Token: h.Token()})
	return h, nil
}

// seen is the same for permits.
func (s *Semaphore) seen(ctx context.Context, weight int, acquire func(context.Context, int) (*Holds, error)) (*Holds, error) {
	ctx, wait := s.door.kit.Wait(ctx, &semaphores, s.path)
	h, err := acquire(ctx, weight)
	if err != nil {
		wait.Failed(err)
		return nil, err
	}
	wait.Held(telemetry.Held{Session: h.all[0].Session(), Life: h.Context(), Path: s.path})
	return h, nil
}
