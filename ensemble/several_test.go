package ensemble_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
)

func TestThreeServersAgree(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	e, err := ensemble.StartSeveral(ctx, 3, &ensemble.Options{TickTime: 200 * time.Millisecond, Logger: logger()})
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	require.NotNil(t, e.Leader())
	c, err := client.Connect(ctx, e.ConnectString(), &client.Options{Dialer: e.Dial})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	_, err = c.Create(ctx, "/a", []byte("1"), nil)
	require.NoError(t, err)
}

func logger() *slog.Logger {
	if os.Getenv("BELLWETHER_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
