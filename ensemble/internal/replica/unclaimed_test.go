package replica_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// revalidates reports whether something on its way is a REVALIDATE.
func (i item) revalidates() bool {
	if i.packet == nil {
		return false
	}
	var p packet.Packet
	d := jute.NewDecoder(i.packet)
	p.DecodeJute(&d)
	return p.Type == packet.TypeRevalidate
}

// What the leader says to a connection that has gone is not said to the one that came after it: how long its session will last from
// then on the leader does not know before it is asked again.
func TestAnswersToThoseWhoHaveGone(t *testing.T) {
	worlds(t, three, func(w *world) {
		w.start()
		leader, h := w.mustServe(), w.followers()[0]
		id := h.mustOpen(10 * tick).session
		asked := leader.ends[slices.IndexFunc(leader.ends, func(e *end) bool { return e.peer.host == h })]
		h.attach(id)
		h.settle()
		again := h.attach(id)
		h.settle()
		last := len(asked.in) - 1
		for !asked.in[last].revalidates() {
			last--
		}
		late := asked.in[last]
		asked.in = slices.Delete(asked.in, last, last+1)
		require.True(w, slices.ContainsFunc(asked.in, item.revalidates), "the first question will be answered")
		w.pass(2 * tick)
		require.False(w, again.greeted, "and the second has not been asked yet")
		asked.in = append(asked.in, late)
		w.until(func() bool { return again.greeted }, "it is")
		require.Equal(w, id, again.session)
		again.must(again.create("/again", znode.ModeEphemeral))
	})
}
