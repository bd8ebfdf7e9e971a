package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/examples/internal/stage"
	"github.com/bellwether-zk/bellwether/examples/internal/stage/stagetest"
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
	require.Equal(t, `alpha has joined: room for 10 requests, at [alpha]
beta has joined: room for 20 requests, at [alpha beta]
gamma has joined: room for 30 requests, at [alpha beta gamma]
beta is killed
beta has left: room for 20 requests, at [alpha gamma]
alpha has updated: room for 30 requests, at [alpha gamma]
gamma is asked to end
gamma has left: room for 20 requests, at [alpha]
`, stagetest.Perform(t, run))
}
