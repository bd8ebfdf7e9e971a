package replica_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
)

// soon is how long an election may take that nobody has to be waited for in, in milliseconds; initLimit is five seconds here.
const soon = 1500

// is reports whether a host is in that role, serving or not, under that leader.
func (h *host) is(as replica.Role, leader *host) bool {
	role, _ := h.r.Role()
	return role == as && h.r.Leader() == leader.id
}

// mustServeSoon lets the world go on until all serve, for which nobody may have had to wait for another's time to be over.
func (w *world) mustServeSoon() {
	w.Helper()
	begun := w.now
	w.mustServe()
	require.Less(w, w.now-begun, int64(soon), w.state())
}

// begin starts two servers, the second of which has waited for the first for so long that it need not wait any more once it is there.
func begin(w *world, first, second *host) {
	second.boot(nil)
	w.pass(300)
	first.boot(nil)
}

// A server was elected, and whoever voted for it has heard of a better one before it heard of that. The elected one does not wait until
// its time is over.
func TestALeaderWhoseVotersTurnAway(t *testing.T) {
	worlds(t, three, func(w *world) {
		one, two, three := w.hosts[0], w.hosts[1], w.hosts[2]
		begin(w, one, two)
		w.until(func() bool { return two.is(replica.Leading, two) }, "it is elected")
		require.False(w, one.is(replica.Following, two), "the one that has just started waits")
		delete(one.votes, two.id) // what was said last comes too late
		three.boot(nil)
		w.mustServeSoon()
	})
}

// A server follows one that has heard of a better one before it heard that it was elected. The follower does not go on calling it.
func TestAFollowerWhoseLeaderTurnsAway(t *testing.T) {
	worlds(t, three, func(w *world) {
		one, two, three := w.hosts[0], w.hosts[1], w.hosts[2]
		two.swallows = true
		begin(w, two, one)
		w.until(func() bool { return one.is(replica.Following, two) }, "it has elected the other")
		delete(two.votes, one.id)
		three.boot(nil)
		w.mustServeSoon()
		two.swallows = false
	})
}

// Whenever the third of three servers comes, while the others elect one of them or have just done so, all serve soon.
func TestTheThirdComesDuringTheElection(t *testing.T) {
	for _, order := range [][3]int{{0, 1, 2}, {1, 0, 2}, {0, 2, 1}, {2, 0, 1}, {1, 2, 0}, {2, 1, 0}} {
		worlds(t, three, func(w *world) {
			begin(w, w.hosts[order[0]], w.hosts[order[1]])
			for range w.rng.IntN(30) {
				w.settleAll()
				w.step()
			}
			w.hosts[order[2]].boot(nil)
			w.mustServeSoon()
		})
	}
}
