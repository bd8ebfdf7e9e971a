package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/examples/internal/stage/stagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStory(t *testing.T) {
	require.Equal(t, `The tills are open. The workers are started, and wait.
The tills are closed.
  worker 1: a part is missing: there are 2 of 3
  worker 2: a part is missing: there are 2 of 3
  worker 3: died
They are started once more.
  worker 1: the takings are 4330
  worker 2: the takings are 4330
  worker 3: the takings are 4330
`, stagetest.Perform(t, run))
}
