//go:build interop

package integration

import (
	"context"
	"flag"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
)

var subject = flag.String("subject", "", "whose ensembles to test: bellwether, apache, or older, which is Apache's too; by default ours, and Apache's with INTEROP_FULL")

// full reports whether tests should take their time.
func full() bool { return os.Getenv("INTEROP_FULL") != "" }

// onEnsembles runs a test on ensembles of each kind that is asked for. Apache's show that the test asks for nothing impossible.
func onEnsembles(t *testing.T, test func(t *testing.T, k process.Kind)) {
	kinds := map[string][]process.Kind{
		"bellwether": {process.Bellwether}, "apache": {process.Apache39}, "older": {process.ApacheOld}, "": {process.Bellwether},
	}
	if full() {
		kinds[""] = append(kinds[""], process.Apache39)
	}
	require.Contains(t, kinds, *subject)
	for _, k := range kinds[*subject] {
		t.Run(k.Name, func(t *testing.T) { test(t, k) })
	}
}

// onEnsembleInTurn runs a test on ensembles of each kind that is asked for, and if none is, of one, ours, Apache's newest or an older one of
// theirs as inTurn has it.
func onEnsembleInTurn(t *testing.T, test func(t *testing.T, k process.Kind)) {
	if *subject != "" {
		onEnsembles(t, test)
		return
	}
	inTurn(t, test, process.Bellwether, process.Apache39, process.ApacheOld)
}

// inTurn runs a test on one of some kinds of servers, the next one each time INTEROP_TURN is one more, as it is with each commit in .ci/run;
// and on all with INTEROP_FULL.
func inTurn(t *testing.T, test func(t *testing.T, k process.Kind), kinds ...process.Kind) {
	if !full() {
		turn, _ := strconv.Atoi(os.Getenv("INTEROP_TURN"))
		kinds = kinds[turn%len(kinds):][:1]
	}
	for _, k := range kinds {
		t.Run(k.Name, func(t *testing.T) { test(t, k) })
	}
}

// pause waits, unless ctx ends before. It reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// mustEventually asks again and again, until what it is told is nil.
func mustEventually(t *testing.T, patience time.Duration, ask func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		if !pause(ctx, 20*time.Millisecond) {
			require.NoError(t, err, "for %v", patience)
		}
	}
}

func quickly() backoff.BackOff { return backoff.NewConstantBackOff(20 * time.Millisecond) }

// reconnecting is a client that tries hard to have a connection: faults are short here.
func reconnecting(t *testing.T, servers string) *bwclient.Client {
	t.Helper()
	return reconnectingWithin(t, servers, 4*time.Second)
}

// reconnectingWithin is such a client with a session timeout of its own. It hangs up on a server that is silent for two thirds of that.
func reconnectingWithin(t *testing.T, servers string, session time.Duration) *bwclient.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := bwclient.Connect(ctx, servers, &bwclient.Options{SessionTimeout: session, ConnectTimeout: time.Second, Reconnect: quickly, Retry: quickly})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() }) // of a session no server may be left to close
	return c
}
