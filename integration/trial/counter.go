package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/recipes/counter"
)

// tally is a counter that all add to.
type tally struct {
	add  func(ctx context.Context, c *client.Client, path string, delta int64) (int64, error)
	lose bool // answers of writes are lost now and then

	mu   sync.Mutex
	adds []addition
}

// addition is what one user added, or may have.
type addition struct {
	user         int
	delta, sum   int64
	unknown      bool
	began, ended time.Duration
}

func newTally() Recipe {
	return &tally{add: func(ctx context.Context, c *client.Client, path string, delta int64) (int64, error) {
		return counter.New(c, path, nil).Add(ctx, delta)
	}}
}

func (y *tally) Begin(context.Context, *Trial) error { return nil }

func (y *tally) Turn(ctx context.Context, u *User) error {
	if y.lose && u.breaks() && u.IntN(20) == 0 {
		u.wire.Lose(proxy.Reply(proxy.OpSetData, ""))
	}
	a := addition{user: u.Number, delta: 1 + u.Int64N(5), began: u.Now()}
	sum, err := y.add(ctx, u.Client, u.Dir+"/count", a.delta)
	a.sum, a.unknown, a.ended = sum, errors.Is(err, client.ErrUnknown), u.Now()
	if err == nil || a.unknown {
		y.mu.Lock()
		y.adds = append(y.adds, a)
		y.mu.Unlock()
	}
	pause(ctx, u.UpTo(stay/2))
	return err
}

func (y *tally) Judge(ctx context.Context, t *Trial) error {
	if err := t.CatchUp(ctx, t.Witness); err != nil {
		return err
	}
	total, err := counter.New(t.Witness, t.Dir+"/count", nil).Get(ctx)
	if err != nil {
		return err
	}
	t.All(added(y.adds, total))
	return nil
}

// added finds what does not add up: a total that is not that of the known additions and some of the unknown ones, a sum that two were told,
// one that is less than was there before, and one that the count has lost again.
func added(adds []addition, total int64) (wrong []string) {
	var known, unknown int64
	var told []addition
	for _, a := range adds {
		if a.unknown {
			unknown += a.delta
			continue
		}
		known += a.delta
		told = append(told, a)
	}
	if total < known {
		wrong = append(wrong, fmt.Sprintf("the count is %d, %d too few: %d were added, %d perhaps", total, known-total, known, unknown))
	}
	if total > known+unknown {
		wrong = append(wrong, fmt.Sprintf("the count is %d, %d too many: %d were added, %d perhaps", total, total-known-unknown, known, unknown))
	}
	slices.SortFunc(told, func(a, b addition) int { return cmp.Compare(a.sum, b.sum) })
	var before, last addition // the next smaller sum; and that which began last, of all with a smaller sum
	for _, a := range told {
		if a.sum-a.delta < before.sum {
			wrong = append(wrong, fmt.Sprintf("user %d added %d and got %d, and user %d got %d", a.user, a.delta, a.sum, before.user, before.sum))
		}
		if a.ended < last.began {
			wrong = append(wrong, fmt.Sprintf("user %d got %d at %v, and user %d later %d", a.user, a.sum, a.ended, last.user, last.sum))
		}
		if a.began > last.began {
			last = a
		}
		before = a
	}
	if before.sum > total {
		wrong = append(wrong, fmt.Sprintf("the count is %d, and user %d got %d", total, before.user, before.sum))
	}
	return wrong
}
