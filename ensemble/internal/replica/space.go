package replica

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// refusal is the answer to a write when the disk has no space for it: it was not done, and the session lives. ZooKeeper has no
// code for it; every client knows this one.
const refusal = znode.CodeSystemError

// spareRoom is what is reserved beyond the weight of a batch, in bytes: what the server asks for itself finds room then, too.
const spareRoom = 64 << 10

// recordOverhead bounds what a record takes in the log besides its payload, in bytes.
const recordOverhead = 16

// reserve makes sure that the log has the space for requests, and returns for how many bytes.
func (r *Replica) reserve(reqs []local) (int64, error) {
	if r.cfg.Space == nil {
		return 0, nil
	}
	room := int64(spareRoom)
	for i := range reqs {
		room += r.weight(&reqs[i])
	}
	err := r.cfg.Space.Reserve(room)
	r.full = err
	return room, err
}

// giveBack returns what was reserved and not used. Where more was used, by a list longer than foreseen, that is reserved too; without
// the space for it the log will stop the server.
func (r *Replica) giveBack(room int64) {
	switch {
	case r.cfg.Space == nil:
	case room > 0:
		r.cfg.Space.Release(room)
	case room < 0:
		if err := r.cfg.Space.Reserve(-room); err != nil {
			r.full = err
		}
	}
}

// Full is why the log takes no more, nil if it does.
func (r *Replica) Full() error { return r.full }

// weight bounds the log record that will be made of a request, in bytes: names get a number, ACLs may be expanded to all the
// asker's identities, and the end of a session lists its ephemerals, those planned before as the planner says, those of the same
// batch as the double weight of their creation allows for.
func (r *Replica) weight(q *local) int64 {
	w := int64(q.Size)*2 + 512
	if q.Op == wire.OpCloseSession {
		w += int64(r.planner.Estate(q.Session))
	}
	return w
}
