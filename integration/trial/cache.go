package trial

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/cache"
)

// mirrors are one cache of each user of a tree that all write, each his own nodes.
type mirrors struct {
	open func(ctx context.Context, c *client.Client, path string) (mirror, error)

	mu    sync.Mutex
	known map[string]known // what was written last, by path
}

// mirror is a cache.
type mirror interface {
	Get(path string) (cache.Node, bool)
	StaleSince() time.Time
	Len() int
	Close()
}

// known is what is known of a node, unless somebody writes it.
type known struct {
	exists  bool
	data    []byte
	since   time.Duration
	unknown bool // it is being written, or nobody was told what became of that
}

// own is how many nodes each user writes.
const own = 4

func newMirrors() Recipe {
	return &mirrors{known: map[string]known{}, open: func(ctx context.Context, c *client.Client, path string) (mirror, error) {
		return cache.Open(ctx, c, path, nil)
	}}
}

func (m *mirrors) Begin(ctx context.Context, t *Trial) error {
	_, err := t.Witness.Create(ctx, t.Dir+"/tree", nil, nil)
	return err
}

func (m *mirrors) Turn(ctx context.Context, u *User) error {
	mine, ok := u.Kept.(mirror)
	if !ok {
		opened, err := m.open(ctx, u.Client, u.Dir+"/tree")
		if err != nil {
			return err
		}
		mine, u.Kept = opened, opened
		u.AtEnd(func(ctx context.Context) { m.end(ctx, u, opened) })
	}
	m.look(ctx, u, mine)
	err := m.write(ctx, u)
	pause(ctx, u.UpTo(stay))
	return err
}

// write changes one of the user's nodes, or removes it, or makes it again.
func (m *mirrors) write(ctx context.Context, u *User) error {
	i := 1 + u.IntN(own-1)
	if u.IntN(300) == 0 { // seldom, so that what a mirror has of it may be long out of date
		i = 0
	}
	node := fmt.Sprintf("%s/tree/%d-%d", u.Dir, u.Number, i)
	before := m.begin(node)
	data := strconv.AppendInt(nil, u.Int64(), 36)
	now := known{exists: true, data: data}
	var err error
	switch {
	case !before.exists || before.unknown:
		if _, err = u.Client.Create(ctx, node, data, nil); errors.Is(err, client.ErrNodeExists) {
			_, err = u.Client.Set(ctx, node, data, client.AnyVersion)
		}
	case u.IntN(3) == 0:
		now = known{}
		err = u.Client.Delete(ctx, node, client.AnyVersion)
	case u.IntN(2) == 0:
		_, err = u.Client.Multi(ctx, client.DeleteOp(node, client.AnyVersion), client.CreateOp(node, data, nil))
	default:
		_, err = u.Client.Set(ctx, node, data, client.AnyVersion)
	}
	now.since = u.Now()
	switch {
	case err == nil:
		m.set(node, now)
	case !errors.Is(err, client.ErrUnknown):
		m.set(node, before)
	}
	return err
}

// begin tells what is known of a node that is about to be written.
func (m *mirrors) begin(node string) known {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.known[node]
	now := before
	now.unknown = true
	m.known[node] = now
	return before
}

func (m *mirrors) set(node string, now known) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[node] = now
}

// look requires that a mirror which says that it is current shows no less than what was written long ago: by then a silent server would have
// been noticed.
func (m *mirrors) look(ctx context.Context, u *User, mine mirror) {
	node := fmt.Sprintf("%s/tree/%d-%d", u.Dir, u.IntN(len(u.users)), u.IntN(own))
	now, ok := m.settled(node, u.Now()-3*u.run.Client.SessionTimeout)
	if !ok || !mine.StaleSince().IsZero() {
		return
	}
	got, there := mine.Get(node)
	if there == now.exists && bytes.Equal(got.Data, now.data) {
		return
	}
	// A write that nobody was told the fate of may have come late. Then that is what is there.
	if u.CatchUp(ctx, u.Witness) != nil {
		return
	}
	data, stat, err := u.Witness.Get(ctx, node)
	if err != nil && !errors.Is(err, client.ErrNoNode) || there == (err == nil) && bytes.Equal(got.Data, data) {
		return
	}
	again, _ := mine.Get(node)
	after, ok := m.settled(node, now.since)
	if ok && after.since == now.since && again.Stat.Mzxid == got.Stat.Mzxid && mine.StaleSince().IsZero() {
		u.Wrong("user %d has %q (%t) at %s, where there is %q of %#x since %v", u.Number, got.Data, there, node, data, stat.Mzxid, now.since)
	}
}

// settled tells what is known of a node, if that was so already at some time and nobody is about to change it.
func (m *mirrors) settled(node string, at time.Duration) (known, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, ok := m.known[node]
	return now, ok && !now.unknown && now.since <= at
}

// end requires that the mirror is what is there, now that nobody writes.
func (m *mirrors) end(ctx context.Context, u *User, mine mirror) {
	defer mine.Close()
	last := "" // difference
	for {
		differs, err := m.differs(ctx, u, mine)
		switch {
		case err == nil && differs == "":
			return
		case err == nil:
			last = differs
		}
		if pause(ctx, 20*time.Millisecond) {
			continue
		}
		if last == "" {
			u.Wrong("user %d cannot be compared with what is there: %v", u.Number, err)
			return
		}
		u.Wrong("user %d, who says he is stale since %v, has not what is there: %s", u.Number, mine.StaleSince(), last)
		return
	}
}

// differs tells the first difference between a mirror and the tree.
func (m *mirrors) differs(ctx context.Context, u *User, mine mirror) (string, error) {
	tree := u.Dir + "/tree"
	if err := u.CatchUp(ctx, u.Witness); err != nil {
		return "", err
	}
	names, _, err := u.Witness.Children(ctx, tree)
	if err != nil {
		return "", err
	}
	if n := mine.Len(); n != len(names)+1 {
		return fmt.Sprintf("%d nodes for %d", n, len(names)+1), nil
	}
	for _, name := range names {
		node := path.Join(tree, name)
		data, stat, err := u.Witness.Get(ctx, node)
		if err != nil {
			return "", err
		}
		got, _ := mine.Get(node)
		if got.Stat.Czxid != stat.Czxid || got.Stat.Mzxid != stat.Mzxid || !bytes.Equal(got.Data, data) {
			return fmt.Sprintf("%s %q of %+v for %q of %+v", node, got.Data, got.Stat, data, stat), nil
		}
	}
	return "", nil
}

func (m *mirrors) Judge(context.Context, *Trial) error { return nil }
