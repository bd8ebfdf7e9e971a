package packet_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
)

// A packet that can be read can be written and read again, and a Reader reads the same as a decoder.
func FuzzPacket(f *testing.F) {
	for _, name := range recordings(f, "quorum-") {
		_, all := packets(f, recording(f, name))
		for _, p := range all {
			f.Add(p.AppendJute(nil))
		}
	}
	f.Add(bytes.Repeat([]byte{0xff}, 20))
	f.Add([]byte("\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x7f\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, again, read packet.Packet
		err := packet.Decode(b, &p)
		readErr := packet.NewReader(bytes.NewReader(b), packet.DefaultMax).Next(&read)
		require.Equal(t, err == nil, readErr == nil, "%v %v", err, readErr)
		if err != nil {
			return
		}
		require.Equal(t, p, read)
		require.NoError(t, packet.Decode(p.AppendJute(nil), &again))
		require.Equal(t, p, again)
		for _, pair := range [][2]wire.Record{
			{&packet.LearnerInfo{}, &packet.LearnerInfo{}}, {&packet.LeaderInfo{}, &packet.LeaderInfo{}}, {&packet.Request{}, &packet.Request{}},
			{&packet.Revalidate{}, &packet.Revalidate{}}, {&packet.Revalidated{}, &packet.Revalidated{}},
		} {
			if packet.Decode(p.Data, pair[0]) == nil {
				require.NoError(t, packet.Decode(pair[0].AppendJute(nil), pair[1]))
				require.Equal(t, pair[0], pair[1])
			}
		}
		if touches, err := packet.DecodeTouches(p.Data, nil); err == nil {
			require.True(t, bytes.Equal(p.Data, packet.AppendTouches(nil, touches)))
		}
	})
}

func FuzzNotification(f *testing.F) {
	for _, name := range recordings(f, "election-") {
		_, all := notifications(f, recording(f, name), !bytes.HasSuffix([]byte(name), []byte("acceptor.bin")))
		for _, n := range all {
			f.Add(n.AppendJute(nil))
		}
	}
	whole := (&packet.Notification{Version: 1}).AppendJute(nil)
	for n := range whole {
		f.Add(whole[:n])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var n, again packet.Notification
		if packet.Decode(b, &n) != nil {
			return
		}
		require.NoError(t, packet.Decode(n.AppendJute(nil), &again))
		require.Equal(t, n, again)
		require.NoError(t, packet.ReadNotification(bytes.NewReader(n.AppendFrame(nil)), &again))
		require.Equal(t, n, again)
	})
}

func FuzzHello(f *testing.F) {
	f.Add(recording(f, "election-please-call.bin"))
	f.Add((&packet.Hello{Server: 1, Addrs: []string{"a:1", "[::1]:2"}}).AppendJute(nil))
	f.Add((&packet.Hello{Server: 1}).AppendJute(nil))
	f.Add(bytes.Repeat([]byte{0xff}, 30))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := packet.ReadHello(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := packet.ReadHello(bytes.NewReader(h.AppendJute(nil)))
		require.NoError(t, err)
		require.Equal(t, h, again)
		var decoded packet.Hello
		require.NoError(t, packet.Decode(b, &decoded))
		require.Equal(t, h, decoded)
	})
}
