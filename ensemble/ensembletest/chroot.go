package ensembletest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bellwether-zk/bellwether/client"
)

// A Chroot is a test's own part of the tree of an [Ensemble] that tests share: a node that was not there before, and is not there
// afterwards.
type Chroot struct {
	e    *Ensemble
	t    testing.TB
	path string
}

// Chroot makes a node for a test, named after it. The end of the test removes it, with what is below, and ephemeral nodes with it.
func (e *Ensemble) Chroot(t testing.TB) *Chroot {
	t.Helper()
	e.mustServe(t)
	name := strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && r != '/' {
			return r
		}
		return '_'
	}, t.Name())
	r := &Chroot{e: e, t: t, path: "/" + name + "-" + strconv.FormatInt(e.chroots.Add(1), 10)}
	t.Cleanup(r.remove) // after clients of the test, connected later, are gone
	r.do(func(ctx context.Context, c *client.Client) error {
		_, err := c.Create(ctx, r.path, nil, nil)
		return err
	})
	return r
}

// Path is the node's.
func (r *Chroot) Path() string { return r.path }

// ConnectString is the ensemble's with the chroot: clients that are given it see the node as "/".
func (r *Chroot) ConnectString() string { return r.e.ConnectString() + r.path }

// Connect connects a client that sees the node as "/"; see [Ensemble.Connect].
func (r *Chroot) Connect() *client.Client {
	r.t.Helper()
	return r.e.connect(r.t, r.ConnectString())
}

// do works with a client that sees the whole tree, and ends the test if that fails.
func (r *Chroot) do(work func(context.Context, *client.Client) error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), patience)
	defer cancel()
	c, err := r.e.dialClient(ctx, r.e.ConnectString())
	if err == nil {
		err = work(ctx, c)
		r.e.disconnect(c)
	}
	if err != nil {
		r.t.Fatalf("ensembletest: chroot %s: %v", r.path, err)
	}
}

// remove takes the node away. Somebody else may be removing, or adding, nodes at the same time.
func (r *Chroot) remove() {
	r.t.Helper()
	r.do(func(ctx context.Context, c *client.Client) error {
		for {
			paths, err := below(ctx, c, r.path)
			if err != nil {
				return err
			}
			for _, path := range slices.Backward(paths) {
				err = c.Delete(ctx, path, client.AnyVersion)
				if err != nil && !errors.Is(err, client.ErrNoNode) {
					break
				}
				err = nil
			}
			if !errors.Is(err, client.ErrNotEmpty) && !errors.Is(err, client.ErrUnknown) {
				return err
			}
		}
	})
}

// below is a node and all below it, parents before their children.
func below(ctx context.Context, c *client.Client, path string) ([]string, error) {
	paths := []string{path}
	for i := 0; i < len(paths); i++ {
		names, _, err := c.Children(ctx, paths[i])
		if errors.Is(err, client.ErrNoNode) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			paths = append(paths, paths[i]+"/"+name)
		}
	}
	return paths, nil
}
