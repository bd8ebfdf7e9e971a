package ensembletest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/bellwether-zk/bellwether/client"
)

// Load makes a persistent node with that data for each path, and parents that are missing, empty ones. Where there is a node, it gets the
// data. All of it are ordinary writes, of a session of its own; when Load returns, every client that syncs sees them. The first
// write that fails ends it; what was written before is there.
func (e *Ensemble) Load(ctx context.Context, nodes map[string]string) (err error) {
	c, err := e.dialClient(ctx, e.ConnectString())
	if err != nil {
		return fmt.Errorf("ensembletest: load: %w", err)
	}
	defer e.disconnect(c)
	for _, path := range slices.Sorted(maps.Keys(nodes)) {
		data := []byte(nodes[path])
		_, err := c.Create(ctx, path, data, &client.CreateOptions{Parents: client.PersistentParents})
		if errors.Is(err, client.ErrNodeExists) {
			_, err = c.Set(ctx, path, data, client.AnyVersion)
		}
		if err != nil {
			return fmt.Errorf("ensembletest: load: %w", err)
		}
	}
	return nil
}
