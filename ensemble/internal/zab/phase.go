package zab

// A Phase is how far a leader and its learners have come with one another (class QuorumPeer.ZabState).
type Phase uint8

// Phases, in order. Elections are not zab's.
const (
	Election        Phase = iota
	Discovery             // a new epoch is agreed upon
	Synchronization       // everybody is given the leader's history
	Broadcast             // transactions are proposed and committed
)

var phaseNames = [...]string{"election", "discovery", "synchronization", "broadcast"}

// String is the phase as Apache's servers print it.
func (p Phase) String() string { return phaseNames[p] }

// Phase is how far the Leader has come: into Synchronization when a quorum has promised its epoch, into Broadcast when it is
// [Established].
func (l *Leader) Phase() Phase {
	switch l.phase {
	case settling:
		return Synchronization
	case leading:
		return Broadcast
	case ended:
		return Election
	}
	return Discovery
}

// Phase is how far the Learner has come: into Synchronization when it has answered the leader's epoch, into Broadcast when it is
// [Established].
func (l *Learner) Phase() Phase {
	switch {
	case l.at == departed:
		return Election
	case l.at == serving:
		return Broadcast
	case l.at >= choosing:
		return Synchronization
	}
	return Discovery
}
