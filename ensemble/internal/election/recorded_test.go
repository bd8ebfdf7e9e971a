package election_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/election"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// recorded is what a server of Apache ZooKeeper 3.8.0 said on one connection of the election port.
func recorded(t *testing.T, name string, hello bool) []packet.Notification {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "packet", "testdata", "apache-3.8.0", name))
	require.NoError(t, err)
	r := bytes.NewReader(b)
	if hello {
		_, err := packet.ReadHello(r)
		require.NoError(t, err)
	}
	var all []packet.Notification
	for r.Len() > 0 {
		var n packet.Notification
		require.NoError(t, packet.ReadNotification(r, &n))
		all = append(all, n)
	}
	return all
}

// In the place of an Apache server that came back after five writes without it, ours follows the same leader.
func TestRecordedLateJoiner(t *testing.T) {
	one, three := recorded(t, "election-late-other-acceptor.bin", false), recorded(t, "election-late-dialler.bin", true)
	config, err := quorum.Parse(three[0].Config)
	require.NoError(t, err)
	e := election.New(election.Config{Self: 2, Quorum: config})
	var out []election.Message
	e.Look(election.Candidate{Zxid: znode.MakeZxid(1, 7), Epoch: 1}, 0, &out)
	require.Equal(t, recorded(t, "election-late-acceptor.bin", false)[0], out[1].Notification, "what Apache's server said")
	for _, n := range three {
		e.Receive(3, &n, 1, &out)
	}
	_, ok := e.Decision()
	require.False(t, ok)
	for _, n := range one {
		e.Receive(1, &n, 1, &out)
	}
	v, ok := e.Decision()
	require.True(t, ok)
	require.Equal(t, election.Vote{Leader: 3, Round: 1, Epoch: 1}, v)
	require.True(t, e.History())
}
