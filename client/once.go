package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// MultiOnce carries out all the parts as [Client.Multi] does, or none of them, and does not leave it open which: when the answer is
// lost with a connection it finds out, and does what has not been done. So an increment, an unconditional set or a transfer between two
// nodes happens exactly once:
//
//	_, err := c.MultiOnce(ctx, "/app/marks", client.SetOp("/from", less, v), client.SetOp("/to", more, w))
//
// It is told by a mark: an ephemeral node below dir, with a name of its own, that the same transaction makes, and that is removed behind it
// in the background. dir is made, as a container, where it is missing. A call that waits for nothing costs the transaction and the removal.
//
// The error has ErrUnknown only if ctx or the session ended in between: the mark ends with its session, so nobody can tell then. The results
// of a transaction whose answer was lost have the paths of what it made and no Stat. A sequential create is refused with ErrBadArguments, as
// its name could be lost too; [CreateOptions].Protected is for that.
func (c *Client) MultiOnce(ctx context.Context, dir string, ops ...Op) ([]Result, error) {
	if err := checkOnce(dir, ops); err != nil {
		return nil, err
	}
	s, err := c.AwaitSession(ctx)
	if err != nil {
		return nil, &Error{Op: "multi", Err: reason(err)}
	}
	results, err := outlive(ctx, s, func(work context.Context) ([]Result, error) {
		mark := Join(dir, protectedPrefix+NewProtectionID()+"-mark")
		results, err := multiOnce(work, c.In(s), dir, mark, ops, func() bool { return ctx.Err() == nil })
		if err == nil || errors.Is(err, ErrUnknown) {
			_ = s.Go(func(life context.Context) { reap(life, c.In(s), mark) }) // if the session is over, so is the mark
		}
		return results, err
	}, func(context.Context, []Result, error) {})
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			err = &Error{Op: "multi", Err: err}
		}
		return results, err
	}
	return results, nil
}

// multiOnce tries until it is known to have happened, as long as somebody waits for it.
func multiOnce(ctx context.Context, view *Client, dir, mark string, ops []Op, wanted func() bool) ([]Result, error) {
	parts := append(slices.Clone(ops), CreateOp(mark, nil, &CreateOptions{Mode: Ephemeral}))
	for {
		results, err := view.Multi(ctx, parts...)
		switch {
		case err == nil:
			return results[:len(ops)], nil
		case len(results) > len(ops) && isNoNode(results[len(ops)].Err):
			if err := view.makeDir(ctx, dir, &CreateOptions{Parents: ContainerParents}); err != nil {
				return nil, &Error{Op: "multi", Path: dir, Err: reason(err)}
			}
			continue
		case !errors.Is(err, ErrUnknown):
			return results[:min(len(ops), len(results))], err
		}
		done, lookErr := view.marked(ctx, mark)
		switch {
		case lookErr != nil:
			return nil, &Error{Op: "multi", Err: fmt.Errorf("%w; looking for its mark: %w", reason(err), reason(lookErr))}
		case done:
			return lostResults(ops), nil
		case !wanted():
			return nil, err
		}
	}
}

func checkOnce(dir string, ops []Op) error {
	if err := checkPath(dir, false); err != nil {
		return &Error{Op: "multi", Path: dir, Err: err}
	}
	for _, op := range ops {
		if op.kind == opCreate && op.options.Mode.sequential() {
			return &Error{Op: "multi", Path: op.path, Err: fmt.Errorf("%w: a sequential create cannot be done exactly once in this way", ErrBadArguments)}
		}
	}
	return nil
}

// marked tells whether a mark is there that its own session made. It sees all that the session sent before.
func (c *Client) marked(ctx context.Context, mark string) (bool, error) {
	if err := c.Sync(ctx, mark); err != nil {
		return false, err
	}
	_, found, err := c.Exists(ctx, mark)
	return found, err
}

// lostResults are what is known of parts that were done.
func lostResults(ops []Op) []Result {
	results := make([]Result, len(ops))
	for i, op := range ops {
		if op.kind == opCreate {
			results[i].Path = op.path
		}
	}
	return results
}
