package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrTooMany tells that a subtree has more nodes than were to be deleted.
var ErrTooMany = errors.New("more nodes than allowed")

// DeleteTreeOptions say how a subtree is deleted. The zero value works, and nil means the zero value.
type DeleteTreeOptions struct {
	// Max is how many nodes may be deleted; a subtree that has more is refused with ErrTooMany, before anything is deleted. If it grows
	// beyond that meanwhile, what is left of it stays. Default: any number.
	Max int
	// DryRun deletes nothing, and tells what would be.
	DryRun bool
}

const (
	walkers     = 16  // how many lists of children are asked for at the same time
	deleteBatch = 100 // how many nodes go in one transaction
)

// DeleteTree deletes a node and all below it, and returns the paths of what it has deleted, children before their parents. It is no
// transaction: others see it go on, and what failed half-way has deleted some. Nodes that come meanwhile are deleted too, until ctx ends.
// What somebody else deletes first is none of its paths. The root cannot be deleted.
//
// Among its failures are ErrNoNode, if there is no such node, ErrTooMany, and ErrNoAuth. A connection that breaks does not end it: to delete
// once more is as good. With ErrUnknown more may be deleted than it tells.
func (c *Client) DeleteTree(ctx context.Context, path string, opts *DeleteTreeOptions) (deleted []string, err error) {
	o := DeleteTreeOptions{}
	if opts != nil {
		o = *opts
	}
	fail := func(err error) ([]string, error) {
		return deleted, &Error{Op: "deletetree", Path: path, Err: err}
	}
	if err := checkPath(path, false); err != nil {
		return fail(err)
	}
	if path == "/" {
		return fail(fmt.Errorf("%w: the root cannot be deleted", ErrBadArguments))
	}
	for {
		below, err := c.walk(ctx, path, o.Max-len(deleted), o.Max > 0)
		switch {
		case isNoNode(err) && len(deleted) > 0:
			return deleted, nil // somebody else was faster in the end
		case err != nil:
			return fail(err)
		}
		slices.Reverse(below)
		if o.DryRun {
			return below, nil
		}
		for batch := range slices.Chunk(below, deleteBatch) {
			gone, err := c.deleteAll(ctx, batch)
			deleted = append(deleted, gone...)
			if err != nil {
				return fail(err)
			}
		}
		if _, there, err := c.Exists(ctx, path); err != nil {
			return fail(err)
		} else if !there {
			return deleted, nil
		}
	}
}

// walk lists a node and all below it, parents before their children. It fails with ErrNoNode if there is no such node, and with
// ErrTooMany if bounded and there are more than most.
func (c *Client) walk(ctx context.Context, path string, most int, bounded bool) ([]string, error) {
	all := []string{path}
	for level := all; len(level) > 0; {
		lists := make([][]string, len(level))
		errs := make([]error, len(level))
		turn := make(chan struct{}, walkers)
		var asking sync.WaitGroup
		for i, parent := range level {
			turn <- struct{}{}
			asking.Go(func() { // ends with the answer, or ctx
				defer func() { <-turn }()
				names, _, err := c.Children(ctx, parent)
				if isNoNode(err) && parent != path {
					err = nil
				}
				for _, name := range names {
					lists[i] = append(lists[i], Join(parent, name))
				}
				errs[i] = err
			})
		}
		asking.Wait()
		if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
			return nil, errs[i]
		}
		level = slices.Concat(lists...)
		all = append(all, level...)
		if bounded && len(all) > most {
			return nil, fmt.Errorf("%w: at least %d, and %d may be deleted", ErrTooMany, len(all), most)
		}
	}
	return all, nil
}

// deleteAll deletes nodes, children before their parents, in one transaction if it can be, else one by one. It leaves nodes to which
// children have come.
func (c *Client) deleteAll(ctx context.Context, paths []string) (gone []string, err error) {
	ops := make([]Op, len(paths))
	for i, path := range paths {
		ops[i] = DeleteOp(path, AnyVersion)
	}
	_, err = c.Multi(ctx, ops...)
	if err == nil {
		return paths, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	unsure := errors.Is(err, ErrUnknown) // then what is not there may have been deleted here, and counts so
	for _, path := range paths {
		unsure := unsure
		err := c.Delete(ctx, path, AnyVersion)
		for errors.Is(err, ErrUnknown) && ctx.Err() == nil {
			unsure = true
			err = c.Delete(ctx, path, AnyVersion)
		}
		switch {
		case err == nil, unsure && isNoNode(err):
			gone = append(gone, path)
		case isNoNode(err), errors.Is(err, ErrNotEmpty):
		case unsure:
			return gone, unknown(err)
		default:
			return gone, err
		}
	}
	return gone, nil
}
