package client

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func mustParse(t *testing.T, text string) Config {
	t.Helper()
	c, err := ParseConfig(text)
	require.NoError(t, err)
	return c
}

func TestReachable(t *testing.T) {
	for _, c := range []struct {
		in     string
		locals bool
		want   []string
	}{
		{"server.1=zk1:1:2;out1:2181\nserver.2=zk2:1:2;[fe80::1]:2182", false, []string{"out1:2181", "[fe80::1]:2182"}},
		{"server.1=zk1:1:2\nserver.2=zk2:1:2;2181", false, []string{"zk2:2181"}}, // who does not tell is left out
		{"server.1=zk1:1:2;0.0.0.0:2181\nserver.2=zk2:1:2;[::]:2181\nserver.3=zk3:1:2;:2181", false, []string{"zk1:2181", "zk2:2181", "zk3:2181"}},
		{"server.1=zk1:1:2;[::ffff:0.0.0.0]:2181\nserver.2=zk2:1:2;[0:0:0:0:0:0:0:0]:2181", false, []string{"zk1:2181", "zk2:2181"}},
		{"server.1=a:1:2|b:1:2;2181", false, []string{"a:2181", "b:2181"}},
		{"server.1=0.0.0.0:1:2;0.0.0.0:2181\nserver.2=zk2:1:2;2181", false, []string{"zk2:2181"}}, // as containers are told of themselves
		{"server.1=zk1:1:2;2181\nserver.2=zk1:1:2;2181", false, []string{"zk1:2181"}},
		{"server.1=zk1:1:2;localhost:2181\nserver.2=127.0.0.1:1:2;2181\nserver.3=zk3:1:2;[::1]:2181", false, nil},
		{"server.1=zk1:1:2;localhost:2181\nserver.2=127.0.0.1:1:2;2181\nserver.3=zk3:1:2;[::1]:2181", true, []string{"localhost:2181", "127.0.0.1:2181", "[::1]:2181"}},
		{"server.1=zk1:1:2;;2281", false, nil},
	} {
		require.Equal(t, c.want, reachable(mustParse(t, c.in), c.locals), c.in)
	}
}

func TestRosterKeepsWhatItWasTold(t *testing.T) {
	r := newRoster([]string{"zk1:2181", "zk2:2181"})
	all := func() []string {
		servers, _ := r.servers()
		require.Len(t, servers, r.size())
		return servers
	}
	_, before := r.servers()
	r.configured(mustParse(t, "server.2=zk2:1:2;2181\nserver.3=zk3:1:2;2181\nserver.4=zk4:1:2;internal:2181"))
	require.Equal(t, []string{"zk1:2181", "zk2:2181"}, all(), "who was not reached is nobody to connect to")
	require.Equal(t, []string{"zk3:2181", "internal:2181"}, r.unreached())

	_, after := r.servers()
	require.Equal(t, before, after)
	r.reached("zk3:2181")
	r.reached("zk9:2181") // of a configuration before
	require.Equal(t, []string{"zk1:2181", "zk2:2181", "zk3:2181"}, all())
	require.Equal(t, []string{"internal:2181"}, r.unreached())
	_, after = r.servers()
	require.NotEqual(t, before, after)

	before = after
	r.configured(mustParse(t, "server.3=zk3:1:2;2181\nserver.5=zk5:1:2;2181"))
	_, after = r.servers()
	require.Equal(t, before, after)
	require.Equal(t, []string{"zk1:2181", "zk2:2181", "zk3:2181"}, all(), "once reached is enough")
	require.Equal(t, []string{"zk5:2181"}, r.unreached())

	r.configured(mustParse(t, "server.5=zk5:1:2;2181"))
	require.Equal(t, []string{"zk1:2181", "zk2:2181"}, all(), "who leaves the configuration leaves")
	_, after = r.servers()
	require.NotEqual(t, before, after)
	r.reached("zk3:2181")
	require.Equal(t, []string{"zk1:2181", "zk2:2181"}, all(), "too late")
}

func TestRosterTakesLoopbackFromWhoUsesIt(t *testing.T) {
	c := mustParse(t, "server.1=127.0.0.1:1:2;2181")
	r := newRoster([]string{"zk1:2181"})
	r.configured(c)
	require.Empty(t, r.unreached())
	r = newRoster([]string{"zk1:2181", "localhost:2182"})
	r.configured(c)
	require.Equal(t, []string{"127.0.0.1:2181"}, r.unreached())
}

// The library goes on with its rounds while the servers change.
func TestRoundsFollowTheRoster(t *testing.T) {
	roster := newRoster([]string{"a:1", "b:1"})
	r := newRounds(roster, func() bool { return false }, func() string { return "" })
	round := func(n int) map[string]bool {
		seen := map[string]bool{}
		for range n {
			s, _ := r.Next()
			seen[s] = true
		}
		require.Len(t, seen, n)
		return seen
	}
	round(2)
	r.Next()
	roster.configured(mustParse(t, "server.3=c:1:2;1\nserver.4=d:1:2;1"))
	roster.reached("c:1")
	roster.reached("d:1")
	require.Equal(t, 4, r.Len())
	require.True(t, round(4)["c:1"])
	r.Next()
	r.Next()
	roster.configured(mustParse(t, "server.4=d:1:2;1"))
	require.False(t, round(3)["c:1"])
	roster.configured(mustParse(t, "server.9=e:1:2"))
	require.Equal(t, map[string]bool{"a:1": true, "b:1": true}, round(2))
}
