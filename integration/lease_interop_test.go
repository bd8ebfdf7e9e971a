//go:build interop

package integration

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// A holder whose server is cut off from the others, be it a follower or the leader, knows that it holds no more before somebody else can
// hold. A server notices after two and a half seconds that it is alone, and answers pings until then; sessions end after two.
func TestHoldIsDeadBeforeAnotherHolds(t *testing.T) {
	rounds := 2
	if full() {
		rounds = 30
	}
	test := func(t *testing.T, k process.Kind) {
		e := process.StartEnsemble(t, process.Options{Kinds: []process.Kind{k}, Size: 3, Proxied: true, Flags: []string{fast}})
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 1))
		var gaps time.Duration
		for round := range rounds {
			leader := e.MustLeader(t)
			at, elsewhere := (leader+1)%3, (leader+2)%3
			if round%2 == 0 {
				at = leader
			}
			o := &bwclient.Options{SessionTimeout: 2 * time.Second}
			if round%4 < 2 {
				o.TickTime = process.TickTime * time.Millisecond
			}
			holder, other := mustConnectWith(t, e.Servers[at].Addr, o), mustConnectWith(t, e.Servers[elsewhere].Addr, o)
			pass := func() { // the phase of everybody's timers differs from round to round
				timer := time.NewTimer(time.Duration(r.IntN(1000)) * time.Millisecond)
				<-timer.C
			}
			pass()
			hold, err := lock.NewMutex(holder, "/lease", nil).Lock(t.Context())
			require.NoError(t, err)
			ended := make(chan time.Time, 1)
			go func() { // ends with the hold
				<-hold.Context().Done()
				ended <- time.Now()
			}()
			type outcome struct {
				hold *lock.Hold
				at   time.Time
				err  error
			}
			next := make(chan outcome, 1)
			go func() { // ends with the test, at the latest
				h, err := lock.NewMutex(other, "/lease", nil).Lock(t.Context())
				next <- outcome{h, time.Now(), err}
			}()
			pass()
			require.NoError(t, hold.Context().Err(), "nothing has happened yet")
			e.Network.Isolate(at)
			got := <-next
			require.NoError(t, got.err)
			require.Error(t, hold.Context().Err())
			end := <-ended
			require.True(t, end.Before(got.at), "round %d: the hold ended %v after the next one began", round, end.Sub(got.at))
			gaps += got.at.Sub(end)
			e.Network.Heal()
			require.NoError(t, e.AwaitServing(t.Context()))
			require.NoError(t, got.hold.Release(t.Context()))
			_ = holder.Close() // of its second session
			_ = other.Close()
		}
		t.Logf("%s: %d holders cut off with their servers; nobody held for %v in the mean", k.Name, rounds, gaps/time.Duration(rounds))
	}
	for _, k := range []process.Kind{process.Bellwether, process.Apache39} { // whatever servers there are, a lock is one
		t.Run(k.Name, func(t *testing.T) { test(t, k) })
	}
}

func mustConnectWith(t *testing.T, addr string, o *bwclient.Options) *bwclient.Client {
	t.Helper()
	c, err := bwclient.Connect(t.Context(), addr, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}
