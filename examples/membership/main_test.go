package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/examples/internal/stage"
)

// The program starts itself, and here that is the test.
func TestMain(m *testing.M) {
	if stage.IsInstance() {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestStory(t *testing.T) {
	e := ensembletest.Start(t, 1, &ensembletest.Options{TCP: true, Server: ensemble.Options{TickTime: 200 * time.Millisecond}})
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, run(ctx, &out, e.ConnectString()))
	require.Equal(t, `alpha has joined: room for 10 requests, at [alpha]
beta has joined: room for 20 requests, at [alpha beta]
gamma has joined: room for 30 requests, at [alpha beta gamma]
beta is killed
beta has left: room for 20 requests, at [alpha gamma]
alpha has updated: room for 30 requests, at [alpha gamma]
gamma is asked to end
gamma has left: room for 20 requests, at [alpha]
`, out.String())
}
