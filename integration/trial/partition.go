package trial

import (
	"context"
	"time"

	"github.com/bellwether-zk/bellwether/recipes/partition"
)

// shares are parts that are divided among those who are there; each owner writes its part's register.
type shares struct{}

// parts are so many that nobody goes empty when all are there.
var parts = []string{"1", "2", "3", "4", "5", "6", "7", "8"}

func (shares) Begin(ctx context.Context, t *Trial) error {
	for _, p := range parts {
		if _, err := t.Witness.Create(ctx, t.Dir+"/register-"+p, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// Turn is to be there for a while, and to have had a part.
func (shares) Turn(ctx context.Context, u *User) error {
	until, leave := context.WithTimeout(ctx, 200*time.Millisecond+u.UpTo(time.Second))
	defer leave()
	had := make(chan struct{}, 1)
	o := &partition.Options{ID: u.ID(), Settle: 50 * time.Millisecond, Notice: -1}
	err := partition.New(u.Client, u.Dir+"/parts", parts, o).Run(until, func(ctx context.Context, p *partition.Part) error {
		in := u.Enter(p, Span{What: p.Name(), Token: p.Token()})
		u.Write(ctx, p, u.Dir+"/register-"+p.Name())
		<-ctx.Done()
		in.Leave()
		select {
		case had <- struct{}{}:
		default:
		}
		return nil
	})
	if len(had) > 0 && ctx.Err() == nil {
		return nil
	}
	return err
}

func (shares) Judge(ctx context.Context, t *Trial) error {
	for _, p := range parts {
		t.All(Ordered(t.Spans(p)))
	}
	return nil
}
