package peers_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/peers"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
)

// members is a configuration of servers 1 to n at h1:3888 and so on, of which the last observes.
func members(t testing.TB, n int) *quorum.Config {
	t.Helper()
	var text strings.Builder
	for i := 1; i <= n; i++ {
		role := "participant"
		if i == n && n > 2 {
			role = "observer"
		}
		fmt.Fprintf(&text, "server.%d=h%d:2888:3888:%s\n", i, i, role)
	}
	c, err := quorum.Parse(text.String())
	require.NoError(t, err)
	return c
}

// A script is one server's machine and a clock, for scenarios.
type script struct {
	t   *testing.T
	m   *peers.Peers
	now int64
	out []peers.Effect
}

func newScript(t *testing.T, self packet.ServerID, c *quorum.Config) *script {
	return &script{t: t, m: peers.New(peers.Config{Self: self, Quorum: c, Rand: rand.New(rand.NewPCG(1, 2))})}
}

// does checks what came out since the last call, separated by "; ".
func (s *script) does(want string) {
	s.t.Helper()
	var got []string
	for _, e := range s.out {
		got = append(got, e.String())
	}
	s.out = nil
	require.Equal(s.t, want, strings.Join(got, "; "), "at %d ms", s.now)
}

func (s *script) want(server packet.ServerID) { s.m.Want(server, s.now, &s.out) }
func (s *script) dialled(server packet.ServerID, c peers.ConnID) {
	s.m.Dialled(server, c, s.now, &s.out)
}
func (s *script) closed(c peers.ConnID) { s.m.Closed(c, s.now, &s.out) }

func (s *script) accepted(c peers.ConnID, server packet.ServerID, addrs ...string) {
	s.m.Accepted(c, &packet.Hello{Server: server, Addrs: addrs}, s.now, &s.out)
}

// wait lets time pass until the next Tick is due, which must be after between least and most milliseconds, and ticks.
func (s *script) wait(least, most int64) {
	s.t.Helper()
	at, ok := s.m.Next()
	require.True(s.t, ok, "nothing is due")
	require.GreaterOrEqual(s.t, at-s.now, least)
	require.LessOrEqual(s.t, at-s.now, most)
	s.now = at - 1
	s.m.Tick(s.now, &s.out)
	s.does("")
	s.now = at
	s.m.Tick(s.now, &s.out)
}

func (s *script) rests() {
	s.t.Helper()
	_, ok := s.m.Next()
	require.False(s.t, ok, "something is due")
}

func TestLargerDials(t *testing.T) {
	s := newScript(t, 3, members(t, 3))
	s.rests()
	s.want(1)
	s.does("dial 1 at h1:3888")
	s.want(1)
	s.does("")
	s.rests()
	s.dialled(1, 7)
	s.does("say 3 on #7; up 1; use #7 for 1")
	s.want(1)
	s.does("")
	s.rests()
	s.want(3) // ourselves
	s.want(9) // nobody
	s.does("")
}

func TestSmallerAsksToBeCalled(t *testing.T) {
	s := newScript(t, 1, members(t, 3))
	s.want(2)
	s.does("dial 2 at h2:3888")
	s.dialled(2, 4)
	s.does("say 1 on #4; close #4")
	s.wait(10, 20) // and again, until it does call
	s.does("dial 2 at h2:3888")
	s.accepted(5, 2, "h2:3888")
	s.does("up 2; use #5 for 2")
	s.dialled(2, 6) // it need not any more
	s.does("close #6")
	s.rests()
}

func TestCalledByTheSmaller(t *testing.T) {
	s := newScript(t, 2, members(t, 3))
	s.accepted(4, 1, "h1:3888")
	s.does("close #4; dial 1 at h1:3888")
	s.accepted(5, 1, "h1:3888") // it is impatient
	s.does("close #5")
	s.dialled(1, 6)
	s.does("say 2 on #6; up 1; use #6 for 1")
	s.rests()

	// A server that was never spoken to is not called again when it hangs up.
	s.closed(6)
	s.does("down 1")
	s.rests()
}

// A server whose machine died and came back calls, while the old connection still looks alive (ZOOKEEPER-2164). The old one ends when
// the new one is there, not before; and who calls all the time cannot make us dial all the time.
func TestCalledWhileConnected(t *testing.T) {
	s := newScript(t, 2, members(t, 3))
	s.want(1)
	s.dialled(1, 6)
	s.does("dial 1 at h1:3888; say 2 on #6; up 1; use #6 for 1")
	s.now = 60_000
	s.accepted(7, 1, "h1:3888")
	s.does("close #7; dial 1 at h1:3888")
	s.dialled(1, 8)
	s.does("say 2 on #8; close #6; use #8 for 1")
	s.closed(6)
	s.does("")
	for c := peers.ConnID(10); c < 20; c++ {
		s.now++
		s.accepted(c, 1, "h1:3888")
		s.does(fmt.Sprintf("close #%d", c))
	}
	s.wait(900, 1000)
	s.does("dial 1 at h1:3888")
	s.dialled(1, 0) // a liar has called: there is a connection, so be it
	s.does("")
	s.rests()
}

func TestNewerConnectionReplaces(t *testing.T) {
	s := newScript(t, 1, members(t, 3))
	s.accepted(4, 2, "h2:3888")
	s.does("up 2; use #4 for 2")
	s.accepted(5, 2, "h2:3888")
	s.does("close #4; use #5 for 2")
	s.closed(4)
	s.does("")
	s.closed(5)
	s.does("down 2")
	s.closed(5)
	s.closed(0)
	s.does("")
}

func TestStrangersAreRefused(t *testing.T) {
	s := newScript(t, 2, members(t, 3))
	for c, id := range []packet.ServerID{0, 2, 4, -1, 1<<63 - 1} {
		s.accepted(peers.ConnID(c+1), id, "h9:3888")
		s.does(fmt.Sprintf("close #%d", c+1))
	}
	s.dialled(9, 7)
	s.does("close #7")
	s.dialled(1, 8) // nobody has dialled
	s.does("close #8")
	s.dialled(1, 0)
	s.does("")
	s.rests()
}

func TestPausesDouble(t *testing.T) {
	s := newScript(t, 2, members(t, 3))
	s.want(1)
	s.does("dial 1 at h1:3888")
	for _, pause := range []int64{20, 40, 80, 160, 320, 640, 1000, 1000} {
		s.now += 3000 // a dial that takes its time is no excuse
		s.dialled(1, 0)
		s.does("")
		s.wait(pause/2, pause)
		s.does("dial 1 at h1:3888")
	}
	// The pauses of one server are not those of another (ZOOKEEPER-822).
	s.want(3)
	s.does("dial 3 at h3:3888")
	s.dialled(1, 0)
	s.does("")

	// It is alive: it calls.
	s.now++
	s.accepted(4, 1, "h1:3888")
	s.does("close #4")
	s.wait(19, 19) // since the last attempt
	s.does("dial 1 at h1:3888")
	s.dialled(1, 0)
	s.does("")
	s.wait(10, 20)
}

// A connection that the other side closes at once, as it would if it did not know us, is no reason to hurry.
func TestShortConnectionsAreNoSuccess(t *testing.T) {
	s := newScript(t, 2, members(t, 3))
	s.want(1)
	c := peers.ConnID(1)
	for _, pause := range []int64{20, 40, 80, 160, 320, 640, 1000, 1000} {
		s.dialled(1, c)
		s.closed(c)
		s.does(fmt.Sprintf("dial 1 at h1:3888; say 2 on #%d; up 1; use #%d for 1; down 1", c, c))
		s.wait(pause/2, pause)
		c++
	}
	s.dialled(1, c)
	s.now += 1000
	s.closed(c)
	s.does(fmt.Sprintf("dial 1 at h1:3888; say 2 on #%d; up 1; use #%d for 1; down 1", c, c))
	s.wait(10, 20)
	s.does("dial 1 at h1:3888")
}

// What a server says of its addresses is tried after what the configuration says, and a wildcard is no address (ZOOKEEPER-2164).
func TestAddresses(t *testing.T) {
	c, err := quorum.Parse("server.1=h1:2888:3888|[fd00::1]:2888:3889:participant\nserver.2=h2:2888:3888|h2b:2888:3888:participant")
	require.NoError(t, err)
	s := newScript(t, 2, c)
	s.accepted(1, 1, "0.0.0.0:3888", "[::]:3888", "h1:3888", "h7:3888", "h7:3888")
	s.does("close #1; dial 1 at h1:3888")
	for _, addr := range []string{"[fd00::1]:3889", "h7:3888", "h1:3888", "[fd00::1]:3889"} {
		s.dialled(1, 0)
		s.wait(10, 1000)
		s.does("dial 1 at " + addr)
	}
	s.dialled(1, 2)
	require.Equal(t, []string{"h2:3888", "h2b:3888"}, s.out[0].Hello.Addrs)
	s.does("say 2 on #2; up 1; use #2 for 1")
	s.now = 10_000
	s.closed(2)
	s.want(1)
	s.does("down 1")
	s.wait(10, 20)
	s.does("dial 1 at [fd00::1]:3889") // the one that worked
}

func TestServerWithoutAddress(t *testing.T) {
	s := newScript(t, 2, &quorum.Config{Members: []quorum.Member{{ID: 1}, {ID: 2}}})
	s.want(1)
	s.does("")
	s.rests()
	s.accepted(1, 1, "h7:3888")
	s.does("close #1; dial 1 at h7:3888")
}
