package node

import (
	"context"
	"errors"
	"time"

	"github.com/bellwether-zk/bellwether/client"
)

// State is what stands at a path.
type State struct {
	Exists  bool // else all is zero
	Path    string
	Data    []byte
	Session int64     // the session that owns it; 0 if it is not ephemeral
	Own     bool      // it is owned by the session this client has, or, of a kind without owners, has the data it should have
	Czxid   int64     // the transaction that created it
	Created time.Time // by the servers' clock
	Written time.Time // when its data were written last
}

// Inspect returns what stands at the node's path, whosever it is, as the server knows it that this client is connected to, in one request.
func (n *Node) Inspect(ctx context.Context) (State, error) {
	path := n.Path()
	data, stat, err := n.client.Get(ctx, path)
	switch {
	case errors.Is(err, client.ErrNoNode):
		return State{}, nil
	case err != nil:
		return State{}, n.failed("inspect", err)
	}
	s := State{
		Exists: true, Path: path, Data: data, Session: stat.EphemeralOwner, Czxid: stat.Czxid, Created: stat.Ctime, Written: stat.Mtime,
	}
	wanted, _, _ := n.wanted()
	if n.opts.TTL != 0 || n.opts.Persistent {
		s.Own = stat.EphemeralOwner == 0 && string(wanted) == string(data)
	} else {
		s.Own = stat.EphemeralOwner == n.client.Session().ID()
	}
	return s, nil
}
