package election_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/election"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
)

// A leader that has given up, and cannot look because its disk hangs, is not what keeps the others from electing one.
func TestWhoHasWithdrawnTellsOfNoLeader(t *testing.T) {
	config, err := quorum.Parse(servers(3, 0))
	require.NoError(t, err)
	looks := &packet.Notification{State: packet.Looking, Leader: 2, Zxid: 5, Round: 3, PeerEpoch: 1, Version: packet.NotificationVersion}
	e := election.New(election.Config{Self: 1, Quorum: config})
	var out []election.Message
	e.Look(election.Candidate{Zxid: 9, Epoch: 1}, 0, &out)
	e.Settle(packet.Leading, election.Vote{Leader: 1, Zxid: 9, Round: 1, Epoch: 2})
	out = nil
	e.Receive(2, looks, 10, &out)
	require.Len(t, out, 1)
	require.Equal(t, packet.Leading, out[0].Notification.State)

	out = nil
	e.Withdraw()
	e.Receive(2, looks, 20, &out)
	e.Tick(10_000, &out)
	require.Empty(t, out)
	_, ok := e.Decision()
	require.False(t, ok)

	e.Look(election.Candidate{Zxid: 9, Epoch: 1}, 10_000, &out)
	require.Len(t, out, 2)
	require.Equal(t, packet.Looking, out[0].Notification.State)
}
