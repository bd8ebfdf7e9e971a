package ticket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
)

// Identity is what a ticket's node says by default of who has made it, for people who look: the name of the host and the number of the
// process, as in "web7-31415".
func Identity() string { return identity() }

var identity = sync.OnceValue(func() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
})

// Contender is a ticket as it stands on the servers.
type Contender struct {
	Place
	Path    string
	Data    []byte    // what its node says, see Identity; nil if that may not be read
	Session int64     // to whom it belongs
	Token   int64     // as Ticket.Token, unless it was exchanged: then that of its present node
	Since   time.Time // when it came, by the leader's clock
}

// Inspect reads what stands in a directory: the tickets of some markers, first to last, and all other children by name, whose places have
// no more than a name. It costs the list and one read for each child, all at once. What vanishes meanwhile is left out, and a
// directory that does not exist has nothing in it.
func Inspect(ctx context.Context, c *client.Client, dir string, markers ...string) (line, others []Contender, err error) {
	names, _, err := c.Children(ctx, dir)
	if err != nil && !errors.Is(err, client.ErrNoNode) {
		return nil, nil, err
	}
	tickets, foreign := places(names, markers)
	slices.Sort(foreign)
	for _, name := range foreign {
		tickets = append(tickets, Place{Name: name})
	}
	all, err := readAll(ctx, c, dir, tickets)
	if err != nil {
		return nil, nil, err
	}
	for _, one := range all {
		switch {
		case one == nil:
		case one.Marker == "":
			others = append(others, *one)
		default:
			line = append(line, *one)
		}
	}
	slices.SortFunc(line, func(a, b Contender) int { return cmp.Or(byNumber(a.Place, b.Place), cmp.Compare(a.Token, b.Token)) })
	return line, others, nil
}

// readAll reads nodes at once, so many at a time that nobody is overwhelmed. There is nothing of one that is gone.
func readAll(ctx context.Context, c *client.Client, dir string, of []Place) ([]*Contender, error) {
	var (
		all  = make([]*Contender, len(of))
		errs = make([]error, len(of))
		room = make(chan struct{}, 64)
		wg   sync.WaitGroup
	)
	for i, p := range of {
		room <- struct{}{}
		wg.Go(func() {
			all[i], errs[i] = read(ctx, c, client.Join(dir, p.Name), p)
			<-room
		})
	}
	wg.Wait()
	return all, cmp.Or(errs...)
}

// read reads one node, nil if it is gone.
func read(ctx context.Context, c *client.Client, path string, p Place) (*Contender, error) {
	data, stat, err := c.Get(ctx, path)
	if errors.Is(err, client.ErrNoAuth) {
		var exists bool
		stat, exists, err = c.Exists(ctx, path)
		switch {
		case err == nil && !exists:
			return nil, nil
		case errors.Is(err, client.ErrNoAuth):
			return &Contender{Place: p, Path: path}, nil
		}
	}
	if errors.Is(err, client.ErrNoNode) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &Contender{Place: p, Path: path, Data: data, Session: stat.EphemeralOwner, Token: stat.Czxid, Since: stat.Ctime}, nil
}
