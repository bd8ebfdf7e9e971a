package main

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStory(t *testing.T) {
	e := ensembletest.Start(t, 1, &ensembletest.Options{TCP: true})
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, run(ctx, &out, e.ConnectString()))
	require.Equal(t, `The tills are open. The workers are started, and wait.
The tills are closed.
  worker 1: a part is missing: there are 2 of 3
  worker 2: a part is missing: there are 2 of 3
  worker 3: died
They are started once more.
  worker 1: the takings are 4330
  worker 2: the takings are 4330
  worker 3: the takings are 4330
`, out.String())
}
