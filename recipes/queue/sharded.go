package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/bellwether-zk/bellwether/client"
)

// Sharded is one queue in several parts, for more items than the list of one can have, and for consumers that shall not meet so often. Among the parts
// there is no order. It may be used by many goroutines.
type Sharded struct {
	path   string
	shards []*Queue
}

// NewSharded describes a queue of n shards, which is 1 at least. All who use it must agree on n: whoever knows of fewer does not take from the rest. It
// sends nothing. Options hold for each of the shards, MaxItems among them, but for Claims, which is not used; keys are those of all.
func NewSharded(c *client.Client, path string, n int, opts *Options) *Sharded {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Claims = ""
	s := &Sharded{path: path}
	for i := range max(n, 1) {
		name := fmt.Sprintf("queue-%03d", i)
		s.shards = append(s.shards, newQueue(c, path+"/"+name, path+"-shards/"+name, path, &o))
	}
	return s
}

// Shards returns the shards, each a queue, for what is done with each of them: to inspect, to look for dead letters, to remove.
func (s *Sharded) Shards() []*Queue { return s.shards }

// Put puts items into one of the shards, all of them or none, as [Queue.Put] does.
func (s *Sharded) Put(ctx context.Context, items ...Item) error {
	return s.shards[rand.IntN(len(s.shards))].Put(ctx, items...)
}

// Len returns how many items are in the shards, as [Queue.Len] does, one after the other.
func (s *Sharded) Len(ctx context.Context) (int, error) {
	sum := 0
	for _, q := range s.shards {
		n, err := q.Len(ctx)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// TryTake takes from the first shard that has something, beginning with any. It fails with ErrEmpty if none has.
func (s *Sharded) TryTake(ctx context.Context) (*Delivery, error) {
	first := rand.IntN(len(s.shards))
	for i := range s.shards {
		d, err := s.shards[(first+i)%len(s.shards)].TryTake(ctx)
		if !errors.Is(err, ErrEmpty) {
			return d, err
		}
	}
	return nil, &client.Error{Op: "take", Path: s.path, Err: ErrEmpty}
}

// Take takes from any shard, and waits until one has something: in the line of each. It fails as [Queue.Take] does.
func (s *Sharded) Take(ctx context.Context) (*Delivery, error) {
	d, err := s.TryTake(ctx)
	if !errors.Is(err, ErrEmpty) {
		return d, err
	}
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		asking sync.WaitGroup
		once   sync.Once
	)
	for _, q := range s.shards {
		asking.Go(func() { // ends with what it takes, or when another has taken something
			next, nextErr := q.Take(waiting)
			won := false
			once.Do(func() {
				d, err, won = next, nextErr, true
				cancel(errAnother)
			})
			if !won && nextErr == nil {
				next.release()
			}
		})
	}
	asking.Wait()
	return d, err
}

// errAnother ends the waiting in one shard when another had something.
var errAnother = errors.New("taken from another shard")
