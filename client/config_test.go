package client

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseConfig(t *testing.T) {
	peer := func(host string) PeerAddr { return PeerAddr{host, 2888, 3888} }
	for _, c := range []struct {
		in   string
		want Config
	}{
		{"", Config{}},
		{"version=0", Config{}},
		{"server.1=zk1:2888:3888:participant;0.0.0.0:2181\nversion=100000000",
			Config{1 << 32, []Server{{ID: 1, Addrs: []PeerAddr{peer("zk1")}, ClientAddr: "0.0.0.0:2181"}}}},
		{"version=f00000000000000a\r\nserver.12=zk1:2888:3888:OBSERVER\r\nserver.3 = zk3:2888:3888 ; 2181 \r\n",
			Config{-0xffffffffffffff6, []Server{
				{ID: 3, Addrs: []PeerAddr{peer("zk3")}, ClientAddr: "0.0.0.0:2181"},
				{ID: 12, Addrs: []PeerAddr{peer("zk1")}, Observer: true}}}},
		{"server.1=a:2888:3888|[fe80::1]:2888:3888|b:2888:3888:observer;[::]:2181;[::1]:2281",
			Config{0, []Server{{ID: 1, Addrs: []PeerAddr{peer("a"), peer("fe80::1"), peer("b")}, Observer: true, ClientAddr: "[::]:2181", SecureClientAddr: "[::1]:2281"}}}},
		{"server.1=a:2888:3888;:2181", Config{0, []Server{{ID: 1, Addrs: []PeerAddr{peer("a")}, ClientAddr: "0.0.0.0:2181"}}}},
		{"server.1=a:2888:3888;;2281", Config{0, []Server{{ID: 1, Addrs: []PeerAddr{peer("a")}, SecureClientAddr: "0.0.0.0:2281"}}}},
		{"tickTime=2000\n#server.9=nonsense\ngroup.1=1:2\nweight.1=2\nnonsense\nserver.1=a:2888:3888",
			Config{0, []Server{{ID: 1, Addrs: []PeerAddr{peer("a")}}}}},
	} {
		got, err := ParseConfig(c.in)
		require.NoError(t, err, "%q", c.in)
		require.Equal(t, c.want, got, "%q", c.in)
		again, err := ParseConfig(got.String())
		require.NoError(t, err, "%q", got.String())
		require.Equal(t, got, again, "%q", c.in)
	}
	for _, in := range []string{
		"server.1", "server.1=", "server.=a:1:2", "server.x=a:1:2", "server.1=a", "server.1=a:1", "server.1=a:1:2:3:4", "server.1=a:x:2", "server.1=a:1:y",
		"server.1=a:1:70000", "server.1=:1:2", "server.1=a b:1:2", "server.1=a:1:2:leader", "server.1=a:1:2:observer|b:1:2:participant",
		"server.1=[::1:1:2", "server.1=[]:1:2", "server.1=[::1]1:2", "server.1=a:1:2;x", "server.1=a:1:2;b:c:3", "server.1=a:1:2;1;2;3",
		"server.1=a:1:2|", "server.1=a:1:2\nserver.1=b:1:2", "version=xyz", "version=", "version=1\nversion=1",
	} {
		_, err := ParseConfig(in)
		require.Error(t, err, "%q", in)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add("server.1=zk1:2888:3888:participant;0.0.0.0:2181\nversion=100000000")
	f.Add("server.1=a:1:2|[fe80::1%eth0]:1:2:observer;[::]:2181;2281\nserver.-2=b:1:2\nversion=ffffffffffffffff")
	f.Add("server.1=a:1:2:;\ngroup.1=1\n\nversion")
	f.Add("server.9999999999999999999=[[:1:1")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConfig(text)
		if err != nil {
			return
		}
		again, err := ParseConfig(c.String())
		require.NoError(t, err, "%q", c.String())
		require.Equal(t, c, again)
		for _, s := range c.Servers {
			line, err := s.line()
			require.NoError(t, err)
			require.Equal(t, s.String(), line, "what was read may be asked for")
			require.NotContains(t, line, ",", "it would be two")
		}
		for _, addr := range reachable(c, false) {
			require.False(t, local(addr), addr)
		}
	})
}

func TestConfigChangeSaysWhatItMeans(t *testing.T) {
	good := Server{ID: 4, Addrs: []PeerAddr{{"zk4", 2888, 3888}}, Observer: true, ClientAddr: "2181"}
	line, err := good.line()
	require.NoError(t, err)
	require.Equal(t, "server.4=zk4:2888:3888:observer;0.0.0.0:2181", line)
	for _, bad := range []ConfigChange{
		{},
		{Members: []Server{good}, Leaving: []int64{1}},
		{Members: []Server{good}, Joining: []Server{good}},
		{Joining: []Server{{ID: 4}}},
		{Joining: []Server{{ID: 4, Addrs: []PeerAddr{{"", 1, 2}}}}},
		{Joining: []Server{{ID: 4, Addrs: []PeerAddr{{"a,server.5=b", 1, 2}}}}},
		{Joining: []Server{{ID: 4, Addrs: []PeerAddr{{"a:1:2|b", 1, 2}}}}},
		{Joining: []Server{{ID: 4, Addrs: []PeerAddr{{"a", 1, -2}}}}},
		{Members: []Server{{ID: 4, Addrs: []PeerAddr{{"a", 1, 2}}, ClientAddr: "b"}}},
		{Members: []Server{{ID: 4, Addrs: []PeerAddr{{"a", 1, 2}}, ClientAddr: "1,server.5=b:1:2;1"}}},
		{Members: []Server{{ID: 4, Addrs: []PeerAddr{{"a", 1, 2}}, ClientAddr: "1;2"}}},
	} {
		_, _, err := bad.request(-1)
		require.ErrorIs(t, err, ErrBadArguments, "%+v", bad)
	}
}

// answerOf is the body of an answer to a reconfiguration.
func answerOf(data string, zxid int64) []byte {
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
	b = binary.BigEndian.AppendUint64(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(zxid))
	return append(b, make([]byte, 52)...)
}

func TestMadeConfigsAreTakenOnce(t *testing.T) {
	var m madeConfigs
	one := "server.1=a:1:2:participant\nversion=7"
	m.hears(answerOf(one, 7))
	m.hears(answerOf("version=zz", 8))
	for cut := range answerOf(one, 9)[:4+len(one)+16] {
		m.hears(answerOf(one, 9)[:cut])
	}
	m.hears(binary.BigEndian.AppendUint32(nil, 0x80000000))
	data, ok := m.take(7)
	require.True(t, ok)
	require.Equal(t, one, string(data))
	for _, version := range []int64{7, 9} {
		_, ok = m.take(version)
		require.False(t, ok)
	}
	data, ok = m.take(8)
	require.True(t, ok)
	_, err := ParseConfig(string(data))
	require.ErrorIs(t, outcome(translate(err)), ErrUnknown, "it was made, and nobody can say more")
	require.Empty(t, m.data)
}

// The tap finds the answers to reconfigurations among all others, by their numbers.
func TestTapHearsOfReconfigurations(t *testing.T) {
	reply := func(xid, code int32, body []byte) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(xid))
		b = binary.BigEndian.AppendUint64(b, 1)
		b = binary.BigEndian.AppendUint32(b, uint32(code))
		return frame(append(b, body...)...)
	}
	request := func(xid, op int32) []byte {
		b := binary.BigEndian.AppendUint32(nil, uint32(xid))
		return frame(binary.BigEndian.AppendUint32(b, uint32(op))...)
	}
	s := &written{stream: stream{pieces: [][]byte{frame(make([]byte, 36)...)}}}
	tp := quietTap(s, time.Time{})
	var heard []string
	tp.reconfigured = func(body []byte) { heard = append(heard, string(body)) }
	_, err := tp.Read(make([]byte, 100))
	require.NoError(t, err)
	for xid, op := range []int32{1, opReconfig, opReconfig, opReconfig, 4} {
		_, err := tp.Write(request(int32(xid), op))
		require.NoError(t, err)
	}
	s.pieces = append(s.pieces, reply(0, 0, []byte("a")), reply(2, 0, []byte("second")), reply(1, 0, []byte("first")), reply(3, -13, nil),
		reply(4, 0, []byte("b")), reply(1, 0, []byte("c")))
	for {
		if _, err := tp.Read(make([]byte, 100)); err != nil {
			break
		}
	}
	require.Equal(t, []string{"second", "first"}, heard)
	require.Zero(t, tp.open.Load())
}

// written is a stream that takes what is written to it.
type written struct{ stream }

func (*written) Write(p []byte) (int, error) { return len(p), nil }

func TestReconfigurationCodesHaveNames(t *testing.T) {
	for number, want := range map[string]Code{"-13": ErrNewConfigNoQuorum, "-14": ErrReconfigInProgress} {
		err := outcome(translate(errors.New("unknown error: " + number)))
		require.ErrorIs(t, err, want)
		require.NotErrorIs(t, err, ErrUnknown, "a refusal")
		require.False(t, strings.HasPrefix(err.Error(), "zookeeper error code"))
	}
}
