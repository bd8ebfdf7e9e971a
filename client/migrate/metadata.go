package migrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bellwether-zk/bellwether/client"
)

const metaPrefix = "meta-"

func metaName(number int32) string { return fmt.Sprintf("%s%010d", metaPrefix, number) }

// metadata are what is recorded of a set.
type metadata struct {
	there   bool     // whether the directory is
	records [][]byte // hashes, in order; never more than there are steps, and the same
	next    int32    // the number that a sequential node would get
}

// load reads the metadata, as they are no earlier than now, and compares them with the set. All children count, as they do for Curator.
func (r *runner) load(ctx context.Context) (*metadata, error) {
	if err := r.c.Sync(ctx, r.dir); err != nil {
		return nil, r.fail(nil, err)
	}
	for {
		names, stat, err := r.c.Children(ctx, r.dir)
		if errors.Is(err, client.ErrNoNode) {
			return &metadata{}, nil
		}
		if err != nil {
			return nil, r.fail(nil, err)
		}
		slices.Sort(names)
		m, err := r.read(ctx, names)
		if errors.Is(err, client.ErrNoNode) {
			continue // deleted in between
		}
		if err != nil {
			return nil, err
		}
		m.next = nextNumber(names, stat)
		return m, nil
	}
}

func (r *runner) read(ctx context.Context, names []string) (*metadata, error) {
	if len(names) > len(r.steps) {
		return nil, r.fail(nil, fmt.Errorf("%w: there are metadata of %d migrations, and the set has %d", ErrMismatch, len(names), len(r.steps)))
	}
	m := &metadata{there: true}
	for i, name := range names {
		data, _, err := r.c.Get(ctx, client.Join(r.dir, name))
		if err != nil {
			return nil, r.fail(&r.steps[i], err)
		}
		if !bytes.Equal(data, r.steps[i].hash) {
			return nil, r.fail(&r.steps[i], fmt.Errorf("%w: the hash in %s is %x, and the set's %x", ErrMismatch, name, data, r.steps[i].hash))
		}
		m.records = append(m.records, data)
	}
	return m, nil
}

// nextNumber returns the number the servers would give a sequential child next: how many children were ever created. A directory
// that was not filled one by one, but restored with its names, may be ahead of that; then its last name counts.
func nextNumber(names []string, stat client.Stat) int32 {
	next := (stat.Cversion + int32(stat.NumChildren)) / 2 // the Stat counts each creation and each deletion
	for _, name := range names {
		if digits, ok := strings.CutPrefix(name, metaPrefix); ok {
			if n, err := strconv.ParseInt(digits, 10, 32); err == nil && int32(n) >= next {
				next = int32(n) + 1
			}
		}
	}
	return next
}
