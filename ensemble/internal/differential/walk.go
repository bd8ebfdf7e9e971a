package differential

import (
	"context"
	"fmt"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Tree is every node a slot's session can see, one line each in the order of paths.
func (p *Player) Tree(ctx context.Context, slot int) ([]string, error) {
	return walk(ctx, p.slots[slot].conn, p.render)
}

func walk(ctx context.Context, c *rawclient.Conn, r *renderer) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	var lines []string
	for todo := []string{znode.Root}; len(todo) > 0; {
		path := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		line, children, err := look(ctx, c, r, path)
		if err != nil {
			return lines, fmt.Errorf("%s: %w", path, err)
		}
		lines = append(lines, line)
		for _, name := range children {
			todo = append(todo, znode.Join(path, name))
		}
	}
	slices.Sort(lines)
	return lines, nil
}

// look is one node with all that can be asked about it.
func look(ctx context.Context, c *rawclient.Conn, r *renderer, path string) (line string, children []string, err error) {
	c.Send(wire.OpGetData, &wire.WatchRequest{Path: path})
	c.Send(wire.OpGetACL, &wire.PathRequest{Path: path})
	c.Send(wire.OpGetChildren2, &wire.WatchRequest{Path: path})
	line = fmt.Sprintf("%q", path)
	for c.Outstanding() > 0 {
		m, err := c.Receive(ctx)
		if err != nil {
			return line, nil, err
		}
		if m.Event() != nil {
			return line, nil, fmt.Errorf("an event while nobody writes: %v", m.Event())
		}
		if m.Err() != nil {
			return line, nil, fmt.Errorf("%v: %w", m.Op, m.Err())
		}
		line += " | " + r.record(m.Record)
		if list, ok := m.Record.(*wire.ChildrenResponse); ok {
			children = list.Children
		}
	}
	return line, children, nil
}
