package zoocfg

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func parseFiles(text string, f files) (*Config, error) {
	return Parse(Input{Name: "zoo.cfg", Text: []byte(text), ReadFile: f.read})
}

func TestSingleServerLineRunsStandalone(t *testing.T) {
	cfg, err := parseFiles("dataDir=/d\nserver.5=h:2888:3888;2181\n", files{"/d/myid": []byte("5\n")})
	require.NoError(t, err)
	require.Equal(t, "0.0.0.0:2181", cfg.ClientAddr)
	require.False(t, cfg.Membership.Distributed())
	require.Equal(t, int64(5), cfg.Membership.ID)
	require.Equal(t, []Member{{ID: 5, Addresses: []PeerAddress{{"h", 2888, 3888}}, ClientAddr: "0.0.0.0:2181"}}, cfg.Membership.Members)
}

func TestDynamicFile(t *testing.T) {
	cfg, err := parseFiles("dataDir=/d\ndynamicConfigFile=/c/zoo.cfg.dynamic.1f\n", files{
		"/d/myid":                 []byte("1"),
		"/c/zoo.cfg.dynamic.1f":   []byte("server.1=h:1:2:participant;h:3\nserver.1=h:1:2:participant;h:4\n"),
		"/c/not-read.cfg.dynamic": nil,
	})
	require.NoError(t, err)
	require.Equal(t, int64(0x1f), cfg.Membership.Version)
	require.Equal(t, "h:4", cfg.ClientAddr)
	shown := cfg.Describe(false)
	require.Equal(t, "/c/zoo.cfg.dynamic.1f:2", shown[3].Origin)
	require.Equal(t, "set again in /c/zoo.cfg.dynamic.1f:2", shown[2].Note)
}

func TestSeveralServersAreReadAndRefused(t *testing.T) {
	cfg, err := parseFiles(minimal+"initLimit=10\nsyncLimit=5\nmultiAddress.enabled=true\n"+
		"server.3=h3:2888:3888:observer\nserver.1=h1:2888:3888|[2001:db8::1]:2889:3889;10.0.0.1:2181;2281\nserver.2=h2:2888:3888:PARTICIPANT;;2281\n"+
		"group.1=1:2\nweight.2=0\n", files{"/d/myid": []byte("2")})
	require.EqualError(t, err, "there are 3 server lines: this version serves a single server")
	require.ErrorIs(t, err, ErrRefused)
	m := cfg.Membership
	require.True(t, m.Distributed())
	require.Equal(t, []Member{
		{ID: 1, Addresses: []PeerAddress{{"h1", 2888, 3888}, {"2001:db8::1", 2889, 3889}}, ClientAddr: "10.0.0.1:2181", SecureClientAddr: "0.0.0.0:2281"},
		{ID: 2, Addresses: []PeerAddress{{"h2", 2888, 3888}}, SecureClientAddr: "0.0.0.0:2281"},
		{ID: 3, Addresses: []PeerAddress{{"h3", 2888, 3888}}, Observer: true},
	}, m.Members)
	require.Equal(t, map[int64]int64{1: 1, 2: 1}, m.Groups)
	require.Equal(t, map[int64]int64{2: 0}, m.Weights)
}

func TestMembershipProblems(t *testing.T) {
	form := errServerLine.Error()
	cases := []struct {
		text string
		f    files
		want string
	}{
		{minimal, files{"/d/myid": []byte("one\n")}, `/d/myid: "one" is not a number`},
		{minimal, files{"/d/myid": nil}, "myid: open /d/myid: permission denied"},
		{minimal + "server.x=h:1:2", nil, `zoo.cfg:3: server.x=h:1:2: "x" is not a number`},
		{minimal + "server.1=h", nil, "zoo.cfg:3: server.1=h: " + form},
		{minimal + "server.1=h:1", nil, "zoo.cfg:3: server.1=h:1: " + form},
		{minimal + "server.1=:1:2", nil, "zoo.cfg:3: server.1=:1:2: " + form},
		{minimal + "server.1=h:1:2:participant:3", nil, "zoo.cfg:3: server.1=h:1:2:participant:3: " + form},
		{minimal + "server.1=h:1:2;3;4;5", nil, "zoo.cfg:3: server.1=h:1:2;3;4;5: " + form},
		{minimal + "server.1=h:1:99999", nil, `zoo.cfg:3: server.1=h:1:99999: "99999" is not a port`},
		{minimal + "server.1=h:1:2:king", nil, `zoo.cfg:3: server.1=h:1:2:king: role "king" is neither participant nor observer`},
		{minimal + "server.1=h:1:2:observer|g:1:2", nil, "zoo.cfg:3: server.1=h:1:2:observer|g:1:2: all addresses of a server must name the same role"},
		{minimal + "server.1=h:1:2|g:1:2", nil, "server.1 has several addresses but multiAddress.enabled is not true"},
		{minimal + "server.1=h:1:2;;2281", nil, "server.1 has a secure client address: not supported, and ignoring it would be unsafe: " + tlsRefused},
		{minimal + "server.1=h:1:2:observer", nil, "there are observers but no participant"},
		{minimal + "server.1=h:1:2\nserver.2=h:1:2:observer", nil, "there are observers but one participant is no quorum"},
		{minimal + "standaloneEnabled=false", nil, "standaloneEnabled is false and there is no participant"},
		{minimal + "standaloneEnabled=false\nserver.1=h:1:2\ninitLimit=1\nsyncLimit=1", files{"/d/myid": []byte("1")},
			"standaloneEnabled is false: this version serves a single server"},
		{minimal + "server.1=h:1:2\nserver.2=h:1:2", nil, "there are 2 server lines: this version serves a single server\n" +
			"initLimit is not set\nsyncLimit is not set\nthere is no myid file in dataDir"},
		{minimal + "server.1=h:1:2\nserver.2=h:1:2\ninitLimit=1\nsyncLimit=1", files{"/d/myid": []byte("3")},
			"there are 2 server lines: this version serves a single server\nmyid says 3 and there is no server.3"},
		{minimal + "server.1=h:1:2\ngroup.1=2", nil, "server.1 is in no group"},
		{minimal + "server.1=h:1:2\ngroup.1=1\ngroup.2=1", nil, "zoo.cfg:5: group.2=1: server 1 is in group 1 already"},
		{minimal + "group.1=a", nil, `zoo.cfg:3: group.1=a: "a" is not a server number`},
		{minimal + "weight.1=-1", nil, "zoo.cfg:3: weight.1=-1: is not a weight"},
		{"dataDir=/d\nserver.1=h:1:2;2181", nil,
			"clientPort is not set: the client address of a server line counts only with a myid file in dataDir"},
		{minimal + "server.1=h:1:2;2182", files{"/d/myid": []byte("1")},
			"server.1 says that its client address is 0.0.0.0:2182, clientPort and clientPortAddress say :2181"},
		{minimal + "dynamicConfigFile=/dyn", nil, "dynamicConfigFile: open /dyn: file does not exist"},
		{minimal + "dynamicConfigFile=/dyn\nserver.1=h:1:2", files{"/dyn": []byte("server.1=h:1:2")},
			"zoo.cfg:4: server.1=h:1:2: must be in the dynamic configuration file /dyn"},
		{minimal + "dynamicConfigFile=/dyn", files{"/dyn": []byte("version=5\ntickTime=3\n")},
			"/dyn:1: version=5: a dynamic configuration file must not say its version\n" +
				"/dyn:2: tickTime=3: does not belong into a dynamic configuration file"},
		{minimal + "dynamicConfigFile=/dyn", files{"/dyn": []byte("a=\\u")},
			`/dyn:1: \u must be followed by four hexadecimal digits`},
	}
	for _, c := range cases {
		_, err := parseFiles(c.text, c.f)
		require.EqualError(t, err, c.want, "%q", c.text)
	}
}
