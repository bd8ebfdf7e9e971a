package client

import (
	"context"
	"iter"
	"sync"
)

// Queued puts a queue between a loop that watches and its slow caller, for those who want every state that was seen instead of the
// last one:
//
//	follow := func(ctx context.Context) iter.Seq2[client.Node, error] { return c.WatchNode(ctx, "/config") }
//	for node, err := range client.Queued(ctx, follow, gauge) { … }
//
// The loop of watch runs on a goroutine of its own, as fast as it can, and what it yields waits until the caller comes for it. The queue has
// no bound; length, unless it is nil, is told how much waits whenever that changes, and must not block. What comes from watch comes in
// order and complete, an error last. The goroutine ends before the loop does.
func Queued[T any](ctx context.Context, watch func(context.Context) iter.Seq2[T, error], length func(int)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		q := queue[T]{more: make(chan struct{}, 1), length: length}
		var watching sync.WaitGroup
		defer watching.Wait()
		defer cancel()
		watching.Go(func() { // ends with watch's loop, which ctx asks for
			for v, err := range watch(ctx) {
				q.put(queued[T]{v, err})
			}
			q.close()
		})
		for range q.more {
			for {
				next, ok := q.take()
				if !ok {
					break
				}
				if !yield(next.value, next.err) {
					return
				}
			}
		}
	}
}

// queued is what waits.
type queued[T any] struct {
	value T
	err   error
}

type queue[T any] struct {
	length func(int)
	more   chan struct{} // holds one token when there may be something, and is closed behind the last

	mu      sync.Mutex
	waiting []queued[T]
}

func (q *queue[T]) put(v queued[T]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, v)
	q.measure()
	select {
	case q.more <- struct{}{}:
	default:
	}
}

func (q *queue[T]) take() (v queued[T], ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return v, false
	}
	v, q.waiting = q.waiting[0], q.waiting[1:]
	q.measure()
	return v, true
}

func (q *queue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	close(q.more)
}

func (q *queue[T]) measure() {
	if q.length != nil {
		q.length(len(q.waiting))
	}
}
