package image

import (
	"errors"
	"fmt"
	"io"

	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Send writes the stream that goes behind a SNAP packet: the tree of the Dump's moment, signature and all. It blocks as w does and
// holds about 512 KiB meanwhile. The error is w's or ErrStopped. The Dump stays open.
func Send(w io.Writer, src Source) error {
	out := snapshot.NewStreamWriter(w)
	if err := src.each(out); err != nil {
		return err
	}
	return out.Finish()
}

// An Arrival is what a receiver knows of a stream before it comes.
type Arrival struct {
	Zxid    znode.Zxid // the SNAP packet's: every transaction up to this one is in the tree
	Options tree.Options
	// Digest is what the tree's will be, if HasDigest; only a leader of ours can tell, for Apache's go on changing the tree
	// while they send it.
	Digest    uint64
	HasDigest bool
	// MaxField is the longest path, data or string to accept, in bytes; 0 is 256 MiB.
	MaxField int
	// Copy, if not nil, gets all of it too, and is finished, so that it can be given to store.Store's Install: its zxid must be
	// Zxid. It is for a tree of one moment. A stream of Apache's is fuzzy, it may have parts of later transactions in it, and
	// may only become durable together with these: receive it without Copy, apply what follows up to NEWLEADER, and Write that.
	Copy *snapshot.Writer
}

// Receive reads a stream up to its last byte, and not beyond. The tree is good only without an error: snapshot.ErrStream for what
// is no stream or ends too early, tree.ErrBadImage for what is no tree, ErrDiverged for a digest that is not Digest, or one of the
// reader or of Copy, which the caller abandons then. It takes no memory for what has not come; r should be buffered, and is what
// ends a Receive that takes too long.
func Receive(r io.Reader, a Arrival) (*tree.Tree, error) {
	if a.Copy != nil && a.Copy.Name().Zxid != a.Zxid {
		return nil, fmt.Errorf("%w: a copy named %v of a tree at %v", snapshot.ErrMisuse, a.Copy.Name(), a.Zxid)
	}
	loader, err := build(snapshot.NewStreamReader(r, a.MaxField), a.Options, a.Copy)
	if err != nil {
		return nil, err
	}
	t, err := loader.Tree(a.Zxid)
	if err != nil {
		return nil, err
	}
	if a.HasDigest && !a.Options.NoDigest && t.Digest() != a.Digest {
		return nil, fmt.Errorf("%w: zxid %v, digest %x, tree %x", ErrDiverged, a.Zxid, a.Digest, t.Digest())
	}
	if a.Copy != nil {
		if err := a.Copy.Finish(trailer(a.Zxid, t.Digest(), !a.Options.NoDigest)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// parts is where a tree comes from.
type parts interface {
	Sessions() ([]snapshot.Session, error)
	ACLs() ([]snapshot.ACL, error)
	Next(*snapshot.Node) error
}

// sink is where a tree goes.
type sink interface {
	Sessions([]snapshot.Session) error
	ACLs([]snapshot.ACL) error
	Nodes([]snapshot.Node) error
}

// build reads sessions, ACLs and nodes up to their end. All of it is also given to copied, if that is not nil.
func build(r parts, opts tree.Options, copied *snapshot.Writer) (*tree.Loader, error) {
	load := tree.NewLoader(opts)
	sessions, err := r.Sessions()
	if err != nil {
		return nil, err
	}
	for _, x := range sessions {
		load.Session(x.ID, x.Timeout)
	}
	acls, err := r.ACLs()
	if err != nil {
		return nil, err
	}
	for _, x := range acls {
		load.ACL(x.ID, x.List)
	}
	if copied != nil {
		if err := errors.Join(copied.Sessions(sessions), copied.ACLs(acls)); err != nil {
			return nil, err
		}
	}
	one := make([]snapshot.Node, 1)
	for {
		n := &one[0]
		if err := r.Next(n); err == io.EOF {
			return load, nil
		} else if err != nil {
			return nil, err
		}
		if err := load.Node(tree.Image{Path: n.Path, Data: n.Data, ACL: n.ACL, Stat: n.Stat}); err != nil {
			return nil, err
		}
		if copied != nil {
			if err := copied.Nodes(one); err != nil {
				return nil, err
			}
		}
	}
}
