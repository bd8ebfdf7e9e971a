package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// errWatchTimeout ends a watch whose time ran out; it is an error only when events were still missing.
var errWatchTimeout = errors.New("the time to watch is over")

// shownEvent is an event as -o json prints it, one on a line.
type shownEvent struct {
	Type string `json:"type"`
	Path string `json:"path"`
	Zxid string `json:"zxid"` // of the change; servers older than 3.9 do not say: 0xffffffffffffffff
}

func watchCommand(f *clientFlags) *cobra.Command {
	var count int
	var timeout time.Duration
	var recursive bool
	cmd := &cobra.Command{
		Use:   "watch PATH",
		Short: "Print what happens to a node and to the list of its children",
		Long: `Print what happens to a node and to the list of its children, one event on a line: its type, the transaction and the path.
The node need not exist yet.

It ends after --count events, after --timeout or when it is interrupted, all with exit code 0; only a --timeout that comes
before --count is reached makes it 31.`,
		Args: between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 0 || timeout < 0 {
				return usagef("--count and --timeout must not be negative")
			}
			show := func(e *wire.WatcherEvent, zxid znode.Zxid) error {
				if f.output == formatJSON {
					return printJSON(cmd.OutOrStdout(), shownEvent{e.Type.String(), e.Path, zxid.String()})
				}
				p := printer{out: cmd.OutOrStdout()}
				p.line("%s %s %s", e.Type, zxid, e.Path)
				return p.err
			}
			return f.withSession(cmd.Context(), func(ctx context.Context, c *conn) error {
				mode := wire.WatchPersistent
				if recursive {
					mode = wire.WatchPersistentRecursive
				}
				if _, err := c.call(ctx, wire.OpAddWatch, args[0], &wire.AddWatchRequest{Path: args[0], Mode: mode}); err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "watching %s\n", args[0])
				return c.watch(ctx, count, timeout, show)
			})
		},
	}
	cmd.Flags().IntVarP(&count, "count", "n", 0, "end after that many `events`; 0: never")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "end after this `time`; 0: never")
	cmd.Flags().BoolVarP(&recursive, "recursive", "R", false, "watch all nodes below, too")
	return cmd
}

// watch hands events to show until there were count of them, time is out or ctx ends.
func (c *conn) watch(ctx context.Context, count int, timeout time.Duration, show func(*wire.WatcherEvent, znode.Zxid) error) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, errWatchTimeout)
		defer cancel()
	}
	for seen := 0; count == 0 || seen < count; {
		m, err := c.Receive(ctx)
		switch {
		case err != nil && errors.Is(context.Cause(ctx), errWatchTimeout) && count > 0:
			return &exitError{exitTimeout, fmt.Errorf("%d of %d events came in time", seen, count)}
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return connectionError(ctx, err)
		}
		e := m.Event()
		if e == nil {
			continue
		}
		if err := show(e, m.Header.Zxid); err != nil {
			return err
		}
		seen++
	}
	return nil
}
