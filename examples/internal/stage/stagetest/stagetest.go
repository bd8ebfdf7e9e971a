// Package stagetest performs examples for their tests.
package stagetest

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/examples/internal/stage"
)

// limit bounds an example on a machine that has a lot to do.
const limit = 30 * time.Second

// Perform runs an example on a server of its own, as stage.Main does, and returns all that it has told. The test fails if the example does.
func Perform(t testing.TB, example stage.Example) string {
	t.Helper()
	e := ensembletest.Start(t, 1, &ensembletest.Options{TCP: true, Server: ensemble.Options{TickTime: 200 * time.Millisecond}})
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var out bytes.Buffer
	if err := example(ctx, &out, e.ConnectString()); err != nil {
		t.Fatalf("%v, after it told\n%s", err, &out)
	}
	return out.String()
}
