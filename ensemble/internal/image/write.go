package image

import (
	"errors"
	"slices"
	"sync"

	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// pieceSize is how many bytes of nodes are copied while writers are kept out.
const pieceSize = 256 << 10

// ErrStopped means that Source.Stop was closed before the end.
var ErrStopped = errors.New("image: stopped")

// A Source is a tree of one moment, and how to read it while others go on.
type Source struct {
	Dump *tree.Dump
	// Lock keeps those out who change the tree, such as a sync.RWMutex's RLocker. It is held for one piece at a time, about
	// 256 KiB or one node. Nil: nobody changes the tree meanwhile.
	Lock sync.Locker
	// Stop ends it early when it is closed; nil: nobody will.
	Stop <-chan struct{}
}

// Write writes a whole image and finishes it. On an error, which is w's own or ErrStopped, the caller abandons w. The Dump stays
// open.
func Write(w *snapshot.Writer, src Source) error {
	d := src.Dump
	if err := src.each(w); err != nil {
		return err
	}
	return w.Finish(trailer(d.Zxid, d.Digest, d.HasDigest))
}

// trailer is that of a tree of one moment.
func trailer(zxid znode.Zxid, digest uint64, has bool) snapshot.Trailer {
	return snapshot.Trailer{HasDigest: has, DigestZxid: zxid, Digest: digest, HasLast: has, Last: zxid}
}

// each gives all parts of the tree to w, in order.
func (src Source) each(w sink) error {
	sessions := make([]snapshot.Session, len(src.Dump.Sessions))
	for i, x := range src.Dump.Sessions {
		sessions[i] = snapshot.Session{ID: x.ID, Timeout: x.Timeout}
	}
	acls := make([]snapshot.ACL, len(src.Dump.ACLs))
	for i, x := range src.Dump.ACLs {
		acls[i] = snapshot.ACL{ID: x.ID, List: x.List}
	}
	if err := w.Sessions(sessions); err != nil {
		return err
	}
	if err := w.ACLs(acls); err != nil {
		return err
	}
	var images []tree.Image
	var nodes []snapshot.Node
	for {
		select {
		case <-src.Stop:
			return ErrStopped
		default:
		}
		if images = src.next(images[:0]); len(images) == 0 {
			return nil
		}
		nodes = slices.Grow(nodes[:0], len(images))
		for _, x := range images {
			nodes = append(nodes, snapshot.Node{Path: x.Path, Data: x.Data, ACL: x.ACL, Stat: x.Stat})
		}
		if err := w.Nodes(nodes); err != nil {
			return err
		}
	}
}

// next copies a piece while writers are kept out.
func (src Source) next(dst []tree.Image) []tree.Image {
	if src.Lock != nil {
		src.Lock.Lock()
		defer src.Lock.Unlock()
	}
	return src.Dump.Next(dst, pieceSize)
}
