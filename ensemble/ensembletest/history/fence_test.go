package history_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/history"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// A resource refuses tokens lower than one it has seen; or, a careless one, none.
type resource struct {
	mu       sync.Mutex
	seen     int64
	careless bool
}

func (r *resource) use(token int64) (refused bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if token < r.seen && !r.careless {
		return true
	}
	r.seen = max(r.seen, token)
	return false
}

// A holder that is cut off goes on for a while after its session is over, and somebody else holds the lock. The tokens make that harmless,
// if what they protect looks at them.
func TestLockWithFences(t *testing.T) {
	for name, careless := range map[string]bool{"fenced": false, "careless": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := ensembletest.Start(t, 3, nil)
				var rec history.Recorder[history.Fence, history.Fenced]
				protected := resource{careless: careless}
				acquire := func(name string, c *client.Client) int64 {
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
					defer cancel()
					call := rec.Begin(name, history.Fence{Lock: "/lock"})
					hold, err := lock.NewMutex(c, "/lock", nil).Lock(ctx)
					require.NoError(t, err)
					call.End(history.Fenced{Token: hold.Token()})
					return hold.Token()
				}
				use := func(name string, token int64) {
					call := rec.Begin(name, history.Fence{Lock: "/lock", Token: token})
					call.End(history.Fenced{Refused: protected.use(token)})
				}
				lonely := e.Connect(t)
				first := acquire("lonely", lonely)
				use("lonely", first)
				e.CutClient(lonely)
				second := acquire("next", e.Connect(t)) // once the session of the first is over
				use("next", second)
				use("lonely", first) // it has not looked at the clock
				e.Heal()
				err := history.Check(history.FenceModel(), rec.Operations(), nil)
				if careless {
					require.ErrorIs(t, err, history.ErrIllegal)
				} else {
					require.NoError(t, err)
				}
			})
		})
	}
}
