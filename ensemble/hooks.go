package ensemble

import (
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/server"
)

// Hooks are told what happens to a server, for those who want to watch it: tests, demonstrations, dashboards. Each is optional. They
// are called one after the other on the goroutine that runs the server, which waits for them: a hook returns soon, and does not call
// [Server.Close] or anything else that waits for the server.
type Hooks struct {
	// RoleChanged is called when a member of an ensemble has taken or lost a role, or has come a phase further on the way to serving
	// in it. A phase that takes no time may be left out, but for the election. A server that stands alone has no roles.
	RoleChanged func(RoleChange)
}

// A RoleChange says what a member of an ensemble has become.
type RoleChange struct {
	Server int       // its ServerID
	Time   time.Time // when
	Role   string    // as [Server.Role]: "looking", "leader", "follower" or "observer"
	Phase  string    // how far it has come: one of the Phase constants
	Leader int       // the ServerID of the leader, 0 while none is elected

	// AcceptedEpoch is the epoch the server has promised to follow, Epoch that of the leader whose history it has, both as on its
	// disk. Zxid is the last transaction in its log; the epoch in which it was proposed is in the upper 32 bits.
	AcceptedEpoch, Epoch int64
	Zxid                 int64

	// Cause is why the last role ended, when the server looks for a leader; nil after its start.
	Cause error
}

// The phases of a server's way to serving, in order.
const (
	PhaseElection        = "election"        // it looks for a leader
	PhaseDiscovery       = "discovery"       // leader and followers agree on an epoch higher than any before
	PhaseSynchronization = "synchronization" // everybody gets the leader's history, and makes it durable
	PhaseBroadcast       = "broadcast"       // clients are served
)

// roleChanged is the hook as the server within takes it, nil without one.
func (o *Options) roleChanged() func(server.RoleChange) {
	hook := o.Hooks.RoleChanged
	if hook == nil {
		return nil
	}
	id := or(o.ServerID, 1)
	return func(c server.RoleChange) {
		hook(RoleChange{
			Server: id, Time: time.Now(), Role: c.Role.String(), Phase: c.Phase.String(), Leader: int(c.Leader),
			AcceptedEpoch: c.Accepted, Epoch: c.Epoch, Zxid: int64(c.Zxid), Cause: c.Cause,
		})
	}
}
