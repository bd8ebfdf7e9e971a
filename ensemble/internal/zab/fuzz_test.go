package zab

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A tape is a fuzzer's input, read byte by byte; it ends in zeros.
type tape []byte

func (t *tape) byte() byte {
	if len(*t) == 0 {
		return 0
	}
	b := (*t)[0]
	*t = (*t)[1:]
	return b
}

func (t *tape) n(n int) int { return int(t.byte()) % n }

// zxid is mostly one of a few that may well fit.
func (t *tape) zxid() znode.Zxid {
	switch b := t.byte(); {
	case b == 255:
		return -1
	case b == 254:
		return znode.Zxid(binary.BigEndian.Uint64([]byte{t.byte(), t.byte(), t.byte(), t.byte(), t.byte(), t.byte(), t.byte(), t.byte()}))
	default:
		return z(uint32(b>>4&3), uint32(b&15))
	}
}

func (t *tape) packet() packet.Packet {
	p := packet.Packet{Type: packet.Type(t.n(22)), Zxid: t.zxid()}
	switch t.n(6) {
	case 0:
		info := packet.LeaderInfo{Protocol: packet.Protocol, Ours: t.n(2) == 0}
		p.Data = info.AppendJute(nil)
	case 1:
		info := packet.LearnerInfo{ServerID: packet.ServerID(t.n(6)) - 1, Protocol: packet.Protocol, Ours: t.n(2) == 0}
		p.Data = info.AppendJute(nil)
	case 2:
		p.Data = binary.BigEndian.AppendUint32(nil, uint32(t.n(4)-1))
	case 3:
		p.Data = binary.BigEndian.AppendUint64(nil, uint64(t.n(4)))
	case 4:
		for range t.n(40) {
			p.Data = append(p.Data, t.byte())
		}
	}
	return p
}

// FuzzLearner tells a learner anything in any order. Whatever it is, there is no panic, the log has no gap, and Abandon is the last word.
func FuzzLearner(f *testing.F) {
	live := []byte{0, 0, 2, 17, 0x20, 0, 0, 4, 0, 2, 13, 0x11, 5, 2, 2, 0x20, 5, 2, 10, 0x20, 5, 3, 0x11, 4, 1, 2, 12, 255, 5}
	f.Add(live)
	f.Add(append(live[:len(live):len(live)], 2, 2, 0x21, 5, 2, 4, 0x21, 5, 3, 0x21, 2, 5, 0x20, 3, 0, 8))
	f.Add([]byte{0, 1, 2, 17, 0x20, 0, 0, 4, 0, 2, 15, 0x13, 5, 2, 2, 0x14, 5, 6, 0x13, 2, 8, 0x15, 5})
	f.Add([]byte{0, 0, 2, 17, 0x20, 0, 0, 4, 0, 2, 14, 0x11, 5, 2, 2, 0x12, 5, 5, 0x11, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := tape(data)
		var out []Effect
		history := NewHistory(0, 8, 1000)
		for c := range uint32(3) {
			require.NoError(t, history.Add(Record{Zxid: z(1, c+1)}))
		}
		log := history.Last()
		role := in.n(3)
		l := NewLearner(LearnerConfig{
			Self: 2, Leader: 1, Quorum: of(1, 2, 3), Observer: role == 1, Untrusted: role == 2, AcceptedEpoch: 1, CurrentEpoch: 1,
			Last: log, History: history, Tick: 1000, InitLimit: 10, SyncLimit: 5, MaxHeld: 2000,
		}, 0, &out)
		now, gone := int64(0), false
		for len(in) > 0 {
			out = out[:0]
			switch in.n(10) {
			case 0:
				l.Connected(now, &out)
			case 1, 2:
				p := in.packet()
				l.Receive(&p, now, &out)
			case 3:
				l.Synced(in.zxid(), now, &out)
			case 4:
				l.Saved(EpochFile(in.n(2)), int64(l.epoch)-int64(in.n(2)), now, &out)
			case 5:
				l.Truncated(in.zxid(), in.n(2) == 0, now, &out)
			case 6:
				l.Installed(in.zxid(), now, &out)
			case 7:
				now += int64(in.byte()) * 10
				l.Tick(now, &out)
			case 8:
				l.PingReply(nil, now, &out)
			default:
				l.Progress(now)
				l.Fresh(now)
			}
			if len(out) > 0 && out[0].Kind == Append {
				log = max(log, l.Base()) // what was installed before
				if cut := l.Base(); cut < log && Follows(cut, out[0].Record.Zxid) {
					log = cut
				}
			}
			for _, e := range out {
				require.False(t, gone, "%v after the end", &e)
				switch e.Kind {
				case Append:
					require.True(t, Follows(log, e.Record.Zxid), "%v after %v", e.Record.Zxid, log)
					log = e.Record.Zxid
				case Abandon:
					gone = true
					require.Error(t, e.Err)
				}
			}
			require.LessOrEqual(t, l.Durable(), l.Last())
			require.LessOrEqual(t, l.Committed(), l.Last())
			require.LessOrEqual(t, l.heldBytes, 2000+1000)
			require.Equal(t, l.Last(), history.Last())
		}
	})
}

// FuzzLeader tells a leader anything in any order, from any of a few links. Whatever it is, there is no panic, commits rise and never
// pass what was proposed, and Abdicate is the last word.
func FuzzLeader(f *testing.F) {
	join := func(link, id byte) []byte { return []byte{0, link, 1, link, 11, 0x10, 1, id + 1, 0} }
	up := append(append([]byte{}, join(2, 2)...), 2, 0, 0, 1, 2, 18, 0x13, 2, 2, 2, 1, 0, 1, 2, 3, 0x20, 5)
	f.Add(up)
	f.Add(append(up[:len(up):len(up)], 4, 3, 0x21, 1, 2, 3, 0x21, 5, 6, 1, 2, 5, 0x20, 5))
	f.Add(append(append(up[:len(up):len(up)], join(3, 3)...), 1, 3, 18, 255, 2, 0, 5, 3, 0x13, 1, 3, 3, 0x20, 5))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := tape(data)
		var out []Effect
		history := NewHistory(0, 2, 1000)
		for c := range uint32(3) {
			require.NoError(t, history.Add(Record{Zxid: z(1, c+1)}))
		}
		l := NewLeader(LeaderConfig{
			Self: 1, Quorum: of(1, 2, 3), AcceptedEpoch: 1, CurrentEpoch: 1, Last: history.Last(), History: history,
			Tick: 1000, InitLimit: 10, SyncLimit: 5, MaxLearners: 4,
		}, 0, &out)
		now, gone, committed := int64(0), false, l.Committed()
		for len(in) > 0 {
			out = out[:0]
			switch in.n(10) {
			case 0:
				l.Accept(packet.LinkID(in.n(6)), now, &out)
			case 1:
				link := packet.LinkID(in.n(6))
				p := in.packet()
				l.Receive(link, &p, now, &out)
			case 2:
				l.Saved(EpochFile(in.n(2)), l.epoch-int64(in.n(2)), now, &out)
			case 3:
				l.Synced(in.zxid(), now, &out)
			case 4:
				if err := l.Propose(Record{Zxid: l.Next()}, now, &out); err != nil {
					require.False(t, l.Established())
				}
			case 5:
				l.SnapshotTaken(packet.LinkID(in.n(6)), in.zxid(), now, &out)
			case 6:
				l.Barrier(now, &out)
			case 7:
				now += int64(in.byte()) * 10
				l.Tick(now, &out)
			case 8:
				l.Drop(packet.LinkID(in.n(6)), now, &out)
			default:
				l.Applied(in.zxid())
				l.Progress(packet.LinkID(in.n(6)), now)
				l.Fresh(now)
			}
			for _, e := range out {
				require.False(t, gone, "%v after the end", &e)
				switch e.Kind {
				case Committed:
					require.Greater(t, e.Zxid, committed)
					committed = e.Zxid
				case Abdicate:
					gone = true
					require.Error(t, e.Err)
				case Close:
					require.Error(t, e.Err)
				}
			}
			require.LessOrEqual(t, l.Committed(), l.Last())
			require.LessOrEqual(t, len(l.learners), 4)
			require.Equal(t, len(l.learners), len(l.links))
		}
	})
}
