package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

func TestMain(m *testing.M) {
	if IsInstance() {
		Main(nil, sayAndWait)
		return
	}
	goleak.VerifyTestMain(m)
}

// sayAndWait says what it was given, and waits until it is asked to end.
func sayAndWait(ctx context.Context, args []string) error {
	fmt.Println(args)
	<-ctx.Done()
	fmt.Println(context.Cause(ctx))
	return context.Cause(ctx)
}

// A process ends when it is asked to, with its last words; when it is killed, without; and with the context it was started under.
func TestProcess(t *testing.T) {
	for how, end := range map[string]func(*Process) error{
		"asked":  (*Process).ask,
		"killed": func(p *Process) error { return p.command.Process.Kill() },
	} {
		t.Run(how, func(t *testing.T) {
			p, err := Start(t.Context(), "one", "two")
			require.NoError(t, err)
			lines := bufio.NewScanner(p.Output)
			require.True(t, lines.Scan())
			require.Equal(t, "[one two]", lines.Text())
			require.NoError(t, end(p))
			require.Equal(t, how == "asked", lines.Scan())
			require.Equal(t, how == "asked", p.End() == nil)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	p, err := Start(ctx)
	require.NoError(t, err)
	cancel()
	_, err = io.ReadAll(p.Output)
	require.NoError(t, err)
	p.Kill() // and it has been by then
}

// An example finds an empty place, whatever runs beside it, and leaves nothing behind, also when it fails.
func TestPerform(t *testing.T) {
	e := ensembletest.Start(t, 1, &ensembletest.Options{TCP: true})
	c := e.Connect(t)
	_, err := c.Create(t.Context(), "/there", nil, nil) // nobody makes the chroot of a connect string
	require.NoError(t, err)
	failed := errors.New("no paper")
	for name, servers := range map[string]string{"servers of its own": "", "servers elsewhere": e.ConnectString(), "a chroot": e.ConnectString() + "/there"} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				err := perform(t.Context(), io.Discard, servers, func(ctx context.Context, _ io.Writer, servers string) error {
					c, err := client.Connect(ctx, servers, nil)
					require.NoError(t, err)
					defer c.Close()
					children, _, err := c.Children(ctx, "/")
					require.NoError(t, err)
					require.Empty(t, children)
					_, err = c.Create(ctx, "/left/behind", nil, &client.CreateOptions{Parents: client.PersistentParents})
					require.NoError(t, err)
					return failed
				})
				require.ErrorIs(t, err, failed)
			}
		})
	}
	for _, path := range []string{"/examples", "/there/examples"} {
		children, _, err := c.Children(t.Context(), path)
		require.NoError(t, err)
		require.Empty(t, children)
	}
}

// A context that has ended is no reason to leave anything behind.
func TestPerformIsInterrupted(t *testing.T) {
	e := ensembletest.Start(t, 1, &ensembletest.Options{TCP: true})
	ctx, interrupt := context.WithCancel(t.Context())
	err := perform(ctx, io.Discard, e.ConnectString(), func(ctx context.Context, _ io.Writer, _ string) error {
		interrupt()
		return ctx.Err()
	})
	require.ErrorIs(t, err, context.Canceled)
	children, _, err := e.Connect(t).Children(t.Context(), "/examples")
	require.NoError(t, err)
	require.Empty(t, children)
}
