package client

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who does not ask for telemetry pays nothing for it.
func TestUnusedTelemetryAllocatesNothing(t *testing.T) {
	c, err := newCore("nowhere", nil)
	require.NoError(t, err)
	ctx, failed := t.Context(), errors.New("failed")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		ctx, seen := c.observe(ctx, "get", "/a")
		seen.end(ctx, 1, failed)
	}))
}

func BenchmarkUnusedTelemetry(b *testing.B) {
	c, err := newCore("nowhere", nil)
	require.NoError(b, err)
	for b.Loop() {
		ctx, seen := c.observe(context.Background(), "get", "/a")
		seen.end(ctx, 1, nil)
	}
}
