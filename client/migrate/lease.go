package migrate

import (
	"context"
	"fmt"
	"strings"

	"github.com/bellwether-zk/bellwether/client"
)

// leasesName is the directory in which an InterProcessSemaphoreMutex of Curator has one ephemeral node for who holds it.
const leasesName = "leases"

// proveFree returns ops that succeed only if nobody holds Curator's lock at that moment. It waits while somebody holds it. The directory is
// made again where there was one: Curator makes it once and fails if it finds it gone.
func (r *runner) proveFree(ctx context.Context) ([]client.Op, error) {
	if r.leases == "" {
		return nil, nil
	}
	for {
		stat, there, err := r.c.Exists(ctx, r.leases)
		switch {
		case err != nil:
			return nil, fmt.Errorf("looking for Curator's lock: %w", err)
		case !there:
			return r.proveMissing(ctx)
		case stat.NumChildren == 0:
			return []client.Op{client.DeleteOp(r.leases, client.AnyVersion), client.CreateOp(r.leases, nil, nil)}, nil
		}
		if err := r.awaitChange(ctx); err != nil {
			return nil, fmt.Errorf("waiting for Curator's lock: %w", err)
		}
	}
}

// proveMissing returns ops that succeed only if the topmost directory that is missing above the leases is still missing.
func (r *runner) proveMissing(ctx context.Context) ([]client.Op, error) {
	missing := r.leases
	for {
		parent := missing[:strings.LastIndexByte(missing, '/')]
		if parent == "" {
			break
		}
		_, there, err := r.c.Exists(ctx, parent)
		if err != nil {
			return nil, fmt.Errorf("looking for Curator's lock: %w", err)
		}
		if there {
			break
		}
		missing = parent
	}
	return []client.Op{client.CreateOp(missing, nil, nil), client.DeleteOp(missing, 0)}, nil
}

// awaitChange returns when there is no lease, or another one.
func (r *runner) awaitChange(ctx context.Context) error {
	for children, err := range r.c.WatchChildren(ctx, r.leases) {
		if err != nil {
			return err
		}
		if len(children.Names) == 0 {
			return nil
		}
	}
	return context.Cause(ctx)
}
