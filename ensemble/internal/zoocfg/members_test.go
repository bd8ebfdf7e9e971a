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

// three is what a server among three says, beside its own part.
const three = minimal + "initLimit=10\nsyncLimit=5\nserver.1=h1:2888:3888\nserver.2=h2:2888:3888;10.0.0.2:2181\nserver.3=h3:2888:3888\n"

func TestSeveralServers(t *testing.T) {
	cfg, err := parseFiles(minimal+"initLimit=10\nsyncLimit=5\nquorumListenOnAllIPs=true\ncommitLogCount=7\ncnxTimeout=8\n"+
		"server.3=h3:2888:3888:observer\nserver.1=[2001:db8::1]:2889:3889;10.0.0.1:2181;2281\nserver.2=h2:2888:3888:PARTICIPANT;2181\n"+
		"server.4=h4:1:2\n", files{"/d/myid": []byte("2")})
	require.NoError(t, err)
	m := cfg.Membership
	require.True(t, m.Distributed())
	require.Equal(t, []Member{
		{ID: 1, Addresses: []PeerAddress{{"2001:db8::1", 2889, 3889}}, ClientAddr: "10.0.0.1:2181", SecureClientAddr: "0.0.0.0:2281"},
		{ID: 2, Addresses: []PeerAddress{{"h2", 2888, 3888}}, ClientAddr: "0.0.0.0:2181"},
		{ID: 3, Addresses: []PeerAddress{{"h3", 2888, 3888}}, Observer: true},
		{ID: 4, Addresses: []PeerAddress{{"h4", 1, 2}}},
	}, m.Members)
	require.Equal(t, []int{10, 5, 7}, []int{m.InitLimit, m.SyncLimit, m.CommitLogCount})
	require.Equal(t, 8*ms, m.ConnectTimeout)
	require.True(t, m.ListenOnAllIPs)
	require.Empty(t, cfg.Ignored())
}

// TestEffectsAmongSeveral checks that what is idle in a single server's configuration is not among several.
func TestEffectsAmongSeveral(t *testing.T) {
	cases := []struct {
		line string
		want Effect
		note string
	}{
		{"initLimit=3", Honoured, "ticks"},
		{"leaderServes=yes", Honoured, "it is so"},
		{"leaderServes=no", Ignored, "a leader serves clients too"},
		{"localSessionsEnabled=false", Honoured, "it is so"},
		{"peerType=observer", Honoured, "the server line decides"},
		{"oraclePath=/o", Ignored, "quorums are majorities; no oracle is asked"},
		{"fastleader.minNotificationInterval=200", Honoured, "it is so"},
		{"fastleader.minNotificationInterval=100", Ignored, "votes are sent again after 200 ms, then ever more seldom, up to a minute"},
		{"fastleader.maxNotificationInterval=1000", Ignored, "votes are sent again after 200 ms, then ever more seldom, up to a minute"},
		{"electionAlg=3", Honoured, "there is no other"},
		{"leader.maxConcurrentSnapSyncs=2", Ignored, "a leader sends its tree to four learners at a time; others wait, and who takes less than 64 KiB of it a second gives way"},
	}
	for _, c := range cases {
		cfg, err := parseFiles(three+c.line, files{"/d/myid": []byte("2")})
		require.NoError(t, err)
		all := cfg.Describe(false)
		got := all[len(all)-1]
		require.Equal(t, c.want.String(), got.Effect.String(), c.line)
		require.Equal(t, c.note, got.Note, c.line)

		got = mustParse(t, minimal+c.line).Describe(false)[2]
		require.Equal(t, Idle.String(), got.Effect.String(), c.line)
		require.Equal(t, several, got.Note, c.line)
	}
	cfg, err := parseFiles(three+"peerType=observer", files{"/d/myid": []byte("2")})
	require.NoError(t, err)
	require.Equal(t, []string{"peerType says otherwise than server.2, which counts"}, cfg.Notes())
	for _, s := range cfg.Describe(true) {
		require.NotEqual(t, Idle.String(), s.Effect.String(), s.Name)
	}
}

// TestRefusedAmongSeveral checks that what a single server has no use for keeps a server among several from starting.
func TestRefusedAmongSeveral(t *testing.T) {
	for line, note := range map[string]string{
		"group.1=1:2:3":             noWeights,
		"weight.1=2":                noWeights,
		"localSessionsEnabled=true": "every session would be a write of the whole ensemble",
		"multiAddress.enabled=true": oneAddress,
	} {
		_, err := parseFiles(three+line, files{"/d/myid": []byte("2")})
		require.EqualError(t, err, "zoo.cfg:8: "+line+": not supported, and ignoring it would be unsafe: "+note)
		require.ErrorIs(t, err, ErrRefused)
	}
	mustParse(t, minimal+"weight.1=2\nlocalSessionsEnabled=true\nmultiAddress.enabled=true")
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
		{minimal + "standaloneEnabled=false\nserver.1=h:1:2\ninitLimit=1\nsyncLimit=0", files{"/d/myid": []byte("1")},
			"zoo.cfg:6: syncLimit=0: must be at least 1"},
		{minimal + "server.1=h:1:2\nserver.2=h:1:2", nil,
			"initLimit is not set\nsyncLimit is not set\nthere is no myid file in dataDir"},
		{three, files{"/d/myid": []byte("4")}, "myid says 4 and there is no server.4"},
		{three + "initLimit=x", files{"/d/myid": []byte("1")}, "zoo.cfg:8: initLimit=x: is not a whole number"},
		{three + "server.256=h:1:2\nserver.0=h:1:3", files{"/d/myid": []byte("1")},
			"server.0: the number is not between 1 and 255, the top byte of session ids\n" +
				"server.256: the number is not between 1 and 255, the top byte of session ids"},
		{three + "server.3=h:1:2;;2281", files{"/d/myid": []byte("3")},
			"server.3 has a secure client address: not supported, and ignoring it would be unsafe: " + tlsRefused},
		{three + "commitLogCount=0", files{"/d/myid": []byte("3")}, "zoo.cfg:8: commitLogCount=0: must be at least 1"},
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
