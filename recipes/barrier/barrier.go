package barrier

import (
	"context"
	"errors"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// How barriers are called in spans and metrics.
var (
	measured       = telemetry.Recipe{Family: telemetry.Barrier, Name: "barrier"}
	measuredDouble = telemetry.Recipe{Family: telemetry.Barrier, Name: "double_barrier", Words: []telemetry.Word{
		{Err: ErrLeft, Word: "left"},
		{Err: ErrRemoved, Word: "removed", Lost: true},
	}}
)

// Barrier is a gate at a path, that is down or raised. It may be used by many goroutines.
type Barrier struct {
	client *client.Client
	path   string
	kit    *telemetry.Kit // nil: nobody looks
}

// New describes the barrier at a path. It sends nothing.
func New(c *client.Client, path string) *Barrier {
	return &Barrier{client: c, path: path, kit: telemetry.Of(c)}
}

// Path returns the barrier's path.
func (b *Barrier) Path() string { return b.path }

// Raise raises the barrier, if it is not: who comes to it waits. Missing parents are made as containers. The barrier stays raised when its
// maker's session ends.
func (b *Barrier) Raise(ctx context.Context) error {
	for {
		_, err := b.client.Create(ctx, b.path, nil, &client.CreateOptions{Parents: client.ContainerParents})
		switch {
		case err == nil, errors.Is(err, client.ErrNodeExists):
			return nil
		case !again(ctx, err):
			return b.failed("raise", err)
		}
	}
}

// Lower lets everybody pass, if the barrier is raised. A lower that fails with client.ErrUnknown may have done so.
func (b *Barrier) Lower(ctx context.Context) error {
	for {
		err := b.client.Delete(ctx, b.path, client.AnyVersion)
		switch {
		case err == nil, errors.Is(err, client.ErrNoNode):
			return nil
		case !again(ctx, err):
			return b.failed("lower", err)
		}
	}
}

// again tells whether to do once more what may have been done, as it does no harm.
func again(ctx context.Context, err error) bool {
	return errors.Is(err, client.ErrUnknown) && ctx.Err() == nil && !errors.Is(err, client.ErrClosed)
}

// Raised tells whether the barrier is raised.
func (b *Barrier) Raised(ctx context.Context) (bool, error) {
	_, raised, err := b.client.Exists(ctx, b.path)
	if err != nil {
		return false, b.failed("raised", err)
	}
	return raised, nil
}

// Wait returns when the barrier is not raised, or when the one that was raised when Wait began has been lowered: that somebody raises it again
// at once holds nobody back. It fails with ctx's cause.
func (b *Barrier) Wait(ctx context.Context) error {
	ctx, wait := b.kit.Wait(ctx, &measured, b.path)
	if err := b.wait(ctx); err != nil {
		wait.Failed(err)
		return b.failed("wait", err)
	}
	wait.Passed()
	return nil
}

// wait reads the data, since a look whether the node exists would leave a watch behind when it does not.
func (b *Barrier) wait(ctx context.Context) error {
	for first := int64(0); ; {
		_, stat, w, err := b.client.GetW(ctx, b.path)
		switch {
		case errors.Is(err, client.ErrNoNode), err == nil && first != 0 && stat.Czxid != first:
			return nil
		case err != nil:
			return err
		}
		first = stat.Czxid
		if _, err := w.Wait(ctx); err == nil {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := b.client.Sync(ctx, b.path); err != nil { // the server of the next session must not know less
			return err
		}
	}
}

func (b *Barrier) failed(op string, err error) error {
	return &client.Error{Op: op, Path: b.path, Err: err}
}
