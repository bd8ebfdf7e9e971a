package quorum_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want quorum.Member
	}{
		{"server.1=h:2888:3888", quorum.Member{ID: 1, Addrs: []quorum.Addr{{"h", 2888, 3888}}}},
		{"server.1=h:2888:3888:participant", quorum.Member{ID: 1, Addrs: []quorum.Addr{{"h", 2888, 3888}}}},
		{"# who\n\n!and\n  server.12 = h:2888:3888:Observer ; 2181 \r\n",
			quorum.Member{ID: 12, Addrs: []quorum.Addr{{"h", 2888, 3888}}, Observer: true, Client: "0.0.0.0:2181"}},
		{"server.0=[2001:db8::1]:2888:3888;[::]:2181",
			quorum.Member{ID: 0, Addrs: []quorum.Addr{{"2001:db8::1", 2888, 3888}}, Client: "[::]:2181"}},
		{"server.1=a:1:2|[::1]:3:4:observer;c:5", quorum.Member{ID: 1, Addrs: []quorum.Addr{{"a", 1, 2}, {"::1", 3, 4}}, Observer: true, Client: "c:5"}},
		{"server.1=a:1:2;c:5;d:6", quorum.Member{ID: 1, Addrs: []quorum.Addr{{"a", 1, 2}}, Client: "c:5", SecureClient: "d:6"}},
		{"server.1=a:1:2;;d:6", quorum.Member{ID: 1, Addrs: []quorum.Addr{{"a", 1, 2}}, SecureClient: "d:6"}},
	} {
		got := mustParse(t, c.text)
		require.Equal(t, []quorum.Member{c.want}, got.Members, c.text)
		m, ok := got.Member(c.want.ID)
		require.True(t, ok)
		require.Equal(t, c.want, m)
	}
	require.Equal(t, int64(0x1_0000_000a), mustParse(t, "version=10000000a").Version)
	require.Equal(t, int64(0), mustParse(t, "").Version)
}

func TestParseRefuses(t *testing.T) {
	for text, line := range map[string]int{
		"server.1":                       1,
		"\n# c\nclientPort=2181":         3,
		"server.x=h:1:2":                 1,
		"server.-1=h:1:2":                1,
		"server.1=h:1":                   1,
		"server.1=h:1:2:3":               1,
		"server.1=h:1:2:leader":          1,
		"server.1=h:1:2:observer:x":      1,
		"server.1=:1:2":                  1,
		"server.1=::1:1:2":               1,
		"server.1=[::1:1:2":              1,
		"server.1=h:1:65536":             1,
		"server.1=h:x:2":                 1,
		"server.1=h:1:2;":                1,
		"server.1=h:1:2;c:":              1,
		"server.1=h:1:2;1;2;3":           1,
		"server.1=h:1:2|":                1,
		"server.1=h:1:2\nserver.1=h:1:2": 2,
		"version=0x1":                    1,
		"version=-1":                     1,
		"version=1\nversion=1":           2,
		"version.1=1":                    1,
		"group.1=1:1":                    1,
		"group.a=1":                      1,
		"group.1=":                       1,
		"weight.1=-1":                    1,
		"weight.1=99999999999999999":     1,
		"weight.1=1\nweight.1=1":         2,
		"server.1=h:1:2\nserver.2=h:1:2\ngroup.1=1":         0,
		"server.1=h:1:2\nweight.1=1":                        0,
		"server.1=h:1:2\ngroup.1=1:2":                       0,
		"server.1=h:1:2\ngroup.1=1\nweight.3=1":             0,
		"server.1=h:1:2\nserver.2=h:1:2\ngroup.1=1:2\ng.1=": 4,
	} {
		_, err := quorum.Parse(text)
		require.ErrorIs(t, err, quorum.ErrConfig, text)
		var at *quorum.LineError
		require.True(t, errors.As(err, &at))
		require.Equal(t, line, at.Line, "%q: %v", text, err)
		require.Contains(t, err.Error(), at.Reason)
	}
}

// What Apache's servers write, we write.
func TestString(t *testing.T) {
	for _, text := range []string{
		"server.1=127.0.0.1:21911:22011:participant\nserver.2=127.0.0.1:21912:22012:participant\nserver.3=127.0.0.1:21913:22013:participant\nversion=0",
		"server.1=[::1]:2888:3888:participant;0.0.0.0:2181\nserver.4=h:2888:3888:observer;[::1]:2181\nversion=10000000a",
		"server.1=a:1:2|b:1:2:participant\nserver.2=c:1:2:participant\nserver.3=d:1:2:participant\ngroup.1=1:3\ngroup.2=2\nweight.2=5\nversion=0",
	} {
		require.Equal(t, text, mustParse(t, text).String())
	}
}

func TestAddr(t *testing.T) {
	a := quorum.Addr{Host: "::1", QuorumPort: 2888, ElectionPort: 3888}
	require.Equal(t, "[::1]:2888", a.Quorum())
	require.Equal(t, "[::1]:3888", a.Election())
	require.Equal(t, "[::1]:2888:3888", a.String())
}

func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		got, err := quorum.Parse(c.String())
		require.NoError(t, err)
		require.True(t, c.Equal(got), "%v\n%v", c, got)
		require.Equal(t, c.Version, got.Version)
		require.Equal(t, c.String(), got.String())
	})
}

func FuzzConfig(f *testing.F) {
	f.Add("server.1=127.0.0.1:21911:22011:participant\nserver.2=127.0.0.1:21912:22012:observer;2181\nversion=a")
	f.Add("server.1=[::1]:1:2|b:1:2:participant;c:1;d:2\nserver.2=c:1:2\ngroup.1=1:2\nweight.2=5")
	f.Add("# x\n!\n = \nversion=")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := quorum.Parse(text)
		if err != nil {
			require.ErrorIs(t, err, quorum.ErrConfig)
			return
		}
		again, err := quorum.Parse(c.String())
		require.NoError(t, err, "%q", c.String())
		require.True(t, c.Equal(again))
		require.Equal(t, c.Members, again.Members)
		require.Equal(t, c.Version, again.Version)
		c.Quorum(func(id packet.ServerID) bool { return id%2 == 0 })
	})
}
