package quorum_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
)

func mustParse(t testing.TB, text string) *quorum.Config {
	t.Helper()
	c, err := quorum.Parse(text)
	require.NoError(t, err, text)
	return c
}

// only says yes for the given ids.
func only(ids ...packet.ServerID) func(packet.ServerID) bool {
	return func(id packet.ServerID) bool { return slices.Contains(ids, id) }
}

func TestMajority(t *testing.T) {
	c := mustParse(t, "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2\nserver.9=o:1:2:observer")
	require.False(t, c.Quorum(only()))
	require.False(t, c.Quorum(only(1, 2)), "half is not more than half")
	require.True(t, c.Quorum(only(1, 2, 4)))
	require.False(t, c.Quorum(only(1, 2, 9, 77)), "only voters count")
	require.Equal(t, []packet.ServerID{1, 2, 3, 4}, c.Voters())
	require.True(t, c.Voter(1))
	require.False(t, c.Voter(9))
	require.False(t, c.Voter(77))
	require.Equal(t, []int64{1, 0, 0}, []int64{c.Weight(1), c.Weight(9), c.Weight(77)})
	require.False(t, (&quorum.Config{}).Quorum(func(packet.ServerID) bool { return true }), "nobody is not enough")
}

// Three groups of three, one of them without weight: two groups count, and both must have a majority.
func TestHierarchy(t *testing.T) {
	text := ""
	for id := 1; id <= 9; id++ {
		text += fmt.Sprintf("server.%d=h%d:1:2\n", id, id)
	}
	c := mustParse(t, text+"group.1=1:2:3\ngroup.2=4:5:6\ngroup.3=7:8:9\nweight.1=3\nweight.7=0\nweight.8=0\nweight.9=0")
	require.True(t, c.Quorum(only(1, 4, 5)), "1 weighs as much as 3 of 5")
	require.False(t, c.Quorum(only(2, 3, 4, 5, 6)))
	require.False(t, c.Quorum(only(1, 7, 8, 9)), "a group without weight is none")
	require.False(t, c.Quorum(only(1, 2, 3)))
	require.Equal(t, []int64{3, 1, 0}, []int64{c.Weight(1), c.Weight(2), c.Weight(7)})
}

func drawConfig(t *rapid.T) *quorum.Config {
	c := &quorum.Config{Version: int64(rapid.Uint32().Draw(t, "version"))}
	hierarchical := rapid.Bool().Draw(t, "hierarchical")
	if hierarchical {
		c.Groups, c.Weights = make(map[packet.ServerID]int64), make(map[packet.ServerID]int64)
	}
	for i := range rapid.IntRange(1, 8).Draw(t, "members") {
		id := packet.ServerID(i + 1)
		m := quorum.Member{ID: id, Observer: rapid.IntRange(0, 3).Draw(t, "observer") == 0}
		for range rapid.IntRange(1, 2).Draw(t, "addresses") {
			m.Addrs = append(m.Addrs, quorum.Addr{
				Host:         rapid.SampledFrom([]string{"a", "h.example", "10.0.0.1", "fe80::1%eth0", "::"}).Draw(t, "host"),
				QuorumPort:   rapid.IntRange(0, 65535).Draw(t, "quorum port"),
				ElectionPort: rapid.IntRange(0, 65535).Draw(t, "election port"),
			})
		}
		m.Client = rapid.SampledFrom([]string{"", "0.0.0.0:2181", "[::1]:2181"}).Draw(t, "client")
		m.SecureClient = rapid.SampledFrom([]string{"", "", "h:2281"}).Draw(t, "secure client")
		c.Members = append(c.Members, m)
		if hierarchical {
			c.Groups[id] = rapid.Int64Range(1, 3).Draw(t, "group")
			if rapid.Bool().Draw(t, "weighted") {
				c.Weights[id] = rapid.Int64Range(0, 3).Draw(t, "weight")
			}
		}
	}
	return c
}

// enough is the definition, word for word and slowly.
func enough(c *quorum.Config, yes map[packet.ServerID]bool) bool {
	if len(c.Groups) == 0 {
		count := 0
		for _, id := range c.Voters() {
			if yes[id] {
				count++
			}
		}
		return 2*count > len(c.Voters())
	}
	of, have := make(map[int64]int64), make(map[int64]int64)
	for _, id := range c.Voters() {
		of[c.Groups[id]] += c.Weight(id)
		if yes[id] {
			have[c.Groups[id]] += c.Weight(id)
		}
	}
	groups, won := 0, 0
	for group, weight := range of {
		if weight == 0 {
			continue
		}
		groups++
		if 2*have[group] > weight {
			won++
		}
	}
	return 2*won > groups
}

func drawSet(t *rapid.T, c *quorum.Config) map[packet.ServerID]bool {
	yes := make(map[packet.ServerID]bool)
	for _, m := range c.Members {
		yes[m.ID] = rapid.Bool().Draw(t, "yes")
	}
	return yes
}

func TestQuorumIsTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		yes := drawSet(t, c)
		has := func(id packet.ServerID) bool { return yes[id] }
		require.Equal(t, enough(c, yes), c.Quorum(has), "%v in\n%v", yes, c)

		complement := func(id packet.ServerID) bool { return !yes[id] }
		require.False(t, c.Quorum(has) && c.Quorum(complement), "two quorums without a common voter")
	})
}

func TestQuorumAllocatesNothing(t *testing.T) {
	for _, text := range []string{"", "group.1=1:2\ngroup.2=3\nweight.1=2\n"} {
		c := mustParse(t, "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n"+text)
		has := only(1, 3)
		require.Zero(t, testing.AllocsPerRun(10, func() { c.Quorum(has) }))
	}
}

func TestEqual(t *testing.T) {
	a := "server.1=a:1:2;2181\nserver.2=b:1:2:observer\nversion=1"
	for text, want := range map[string]bool{
		a: true,
		"version=ff\nserver.2 = b:1:2:OBSERVER\nserver.1=a:1:2:participant;0.0.0.0:2181": true,
		"server.1=a:1:2;2181\nserver.2=b:1:2":                                            false,
		"server.1=a:1:2;2182\nserver.2=b:1:2:observer":                                   false,
		"server.1=a:1:3;2181\nserver.2=b:1:2:observer":                                   false,
		"server.1=a:1:2;2181":                                                            false,
		"server.1=a:1:2;2181\nserver.2=b:1:2:observer\ngroup.1=1":                        false,
	} {
		require.Equal(t, want, mustParse(t, a).Equal(mustParse(t, text)), text)
	}
	grouped := "server.1=a:1:2\nserver.2=b:1:2\ngroup.1=1:2\n"
	require.True(t, mustParse(t, grouped).Equal(mustParse(t, grouped+"weight.1=1")), "1 is what a voter weighs")
	require.False(t, mustParse(t, grouped).Equal(mustParse(t, grouped+"weight.1=2")))
	two := "server.1=a:1:2|b:1:2"
	require.True(t, mustParse(t, two).Equal(mustParse(t, "server.1=b:1:2|a:1:2")), "the order of addresses does not matter")
}
