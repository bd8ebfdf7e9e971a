package group

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/node"
)

// ErrTaken tells that there is another member with this id.
var ErrTaken = node.ErrTaken

// ErrLeft is the cause in the context of a Membership that was given up.
var ErrLeft = errors.New("member has left")

// Options of a Group. The zero value works, and nil means the zero value.
type Options struct {
	// Layout says whose group it is. Default: MemberLayout.
	Layout Layout
	// Patience is how long Join waits for another member with this id to go before it fails with ErrTaken. The node of one who died stays
	// for its session's timeout. If it is negative Join does not wait. Default: the session's timeout and a fifth of it.
	Patience time.Duration
	// ACL is that of the member's node and of directories made for it. All members and those who look on must be able to list the
	// directory and to read each other's nodes. Default: the client's.
	ACL []client.ACL
	// Logger is warned once of children of the directory that are no members. Default: silence.
	Logger *slog.Logger
}

// Group is a group at a path: who belongs to it, and a way to belong to it. It may be used by many goroutines.
type Group struct {
	client  *client.Client
	path    string
	opts    Options
	foreign sync.Once

	mu  sync.Mutex
	own map[string]<-chan struct{} // the members made by Join, by their nodes' names, and closed when their nodes are gone for good
}

// New describes the group at a path. It sends nothing.
func New(c *client.Client, path string, opts *Options) *Group {
	g := &Group{client: c, path: path, own: map[string]<-chan struct{}{}}
	if opts != nil {
		g.opts = *opts
	}
	if g.opts.Logger == nil {
		g.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return g
}

// Path returns the group's path.
func (g *Group) Path() string { return g.path }

// Member is a member as others see it.
type Member struct {
	ID      string
	Payload []byte    // shared with everybody, and not to be changed
	Token   int64     // the transaction that registered it: who is registered anew, by a restart or in another session, has a greater one
	Path    string    // of its node
	Joined  time.Time // when it was registered, by the servers' clock
	Changed time.Time // when its payload was written last, by the servers' clock
	Session int64     // the session it lives in
	Err     error     // why it cannot be read, such as client.ErrNoAuth: then it is known by the name of its node only
}

// Inspect returns the members as they are registered now, as the server knows which this client is connected to; the longest-serving is the
// first. It takes a list and one read for each, and waits for nobody else.
func (g *Group) Inspect(ctx context.Context) ([]Member, error) {
	names, _, err := g.client.Children(ctx, g.path)
	if errors.Is(err, client.ErrNoNode) {
		return nil, nil
	}
	if err != nil {
		return nil, g.failed("inspect", err)
	}
	var all []Member
	for _, name := range names {
		path := client.Join(g.path, name)
		data, stat, err := g.client.Get(ctx, path)
		switch {
		case errors.Is(err, client.ErrNoNode):
			continue
		case err != nil && !errors.Is(err, client.ErrNoAuth):
			return nil, g.failed("inspect", err)
		}
		if m, ok := g.member(path, data, stat, err); ok {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Or(cmp.Compare(a.Token, b.Token), cmp.Compare(a.Path, b.Path)) })
	return all, nil
}

// member reads a node, and tells whether it is a member's.
func (g *Group) member(path string, data []byte, stat client.Stat, failure error) (Member, bool) {
	name := path[strings.LastIndexByte(path, '/')+1:]
	id, payload, ok := g.opts.Layout.read(name, data)
	if !ok || failure == nil && stat.EphemeralOwner == 0 {
		g.foreign.Do(func() {
			g.opts.Logger.Warn("group's directory has children that are no members", "path", g.path, "name", name)
		})
		return Member{}, false
	}
	return Member{
		ID: id, Payload: payload, Token: stat.Czxid, Path: path, Joined: stat.Ctime, Changed: stat.Mtime, Session: stat.EphemeralOwner, Err: failure,
	}, true
}

// mustName refuses what cannot be an id.
func (l Layout) mustName(id string) error {
	if id == "" || l != PartyLayout && strings.Contains(id, "/") {
		return fmt.Errorf("%w: %q is no member's id", client.ErrInvalidPath, id)
	}
	return nil
}

// failed puts the group's own operation and path on an error.
func (g *Group) failed(op string, err error) error {
	if inner, ok := errors.AsType[*client.Error](err); ok && error(inner) == err {
		err = inner.Err
	}
	return &client.Error{Op: op, Path: g.path, Err: err}
}
