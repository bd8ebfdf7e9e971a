package main

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

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

// That no more orders fail than may is what run itself sees to. What the gateway sees besides depends on the servers it was connected to,
// and the time.
func TestStory(t *testing.T) {
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	require.NoError(t, run(ctx, &out), &out)
	lines := slices.Collect(strings.Lines(out.String()))
	for _, want := range []string{
		"  gateway: stock-1 is up, version 1", "  gateway: stock-2 is up, version 1",
		"  gateway: orders-1 is up, version 1", "  gateway: orders-2 is up, version 1",
		"Every instance is replaced by version 2, one after the other.",
		"  gateway: stock-1 has gone", "  gateway: stock-1 is up, version 2",
		"  gateway: stock-2 has gone", "  gateway: stock-2 is up, version 2",
		"  gateway: orders-1 has gone", "  gateway: orders-1 is up, version 2",
		"  gateway: orders-2 has gone", "  gateway: orders-2 is up, version 2",
		`Of \d+ orders meanwhile 0 failed.`,
		"The process orders-2 is killed.", "  gateway: orders-2 has gone", `Of \d+ orders meanwhile [0-8] failed.`,
		"The server that leads is closed, and orders-3 joins.", "  gateway: orders-3 is up, version 2", `Of \d+ orders meanwhile 0 failed.`,
		"Orders-1 leaves.", "  gateway: orders-1 has gone", `Of \d+ orders meanwhile 0 failed.`,
	} {
		at := slices.IndexFunc(lines, regexp.MustCompile("^"+want+"\n$").MatchString)
		require.GreaterOrEqual(t, at, 0, "%s\n%s", want, &out)
		lines = lines[at+1:]
	}
}
