//go:build interop

package integration

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/integration/process"
)

// Ports of an ensemble's servers are open to whoever can reach them. What strangers say there while clients write costs nobody a
// write and no leader its office; and when the leader dies afterwards, the others hear one another as before.
func TestStrangersOnThePeerPorts(t *testing.T) {
	onEnsembles(t, func(t *testing.T, k process.Kind) {
		e := process.StartEnsemble(t, process.Options{Kinds: []process.Kind{k}, Size: 3, Flags: []string{fast}})
		leader := e.MustLeader(t)
		var writers []*writer
		for i, s := range e.Servers {
			writers = append(writers, startWriter(t, s.Addr, fmt.Sprintf("/strangers/%d", i), func(time.Time, time.Time) {}))
		}
		length := 4 * time.Second
		if full() {
			length = 30 * time.Second
		}
		t.Logf("%d strangers came", besiege(t, k, e, leader, length))
		for _, w := range writers {
			w.mustWriteMore(t, 100)
			w.mustNotHaveFailed(t)
			w.end()
		}
		require.Equal(t, leader, e.MustLeader(t), "the leader changed")

		e.Servers[leader].Kill()
		other := writers[(leader+1)%3]
		again := startWriter(t, e.Servers[(leader+1)%3].Addr, other.path, func(time.Time, time.Time) {})
		again.mustWriteMore(t, 100)
		require.NoError(t, e.StartAll(t.Context()))
		again.mustWriteMore(t, 100)
	})
}

// besiege sends strangers to the election ports of all servers and to the leader's quorum port until the time is over, and returns how
// many came. Some stay until the end. All are let in; Apache's servers let some wait for longer than five seconds.
func besiege(t *testing.T, k process.Kind, e *process.Ensemble, leader int, length time.Duration) int {
	t.Helper()
	const atOnce = 4
	end := time.Now().Add(length)
	var coming sync.WaitGroup
	counts := make([]int, atOnce)
	for i := range atOnce {
		random := rand.New(rand.NewPCG(uint64(i), 1))
		coming.Go(func() { // ends when the time is over
			var stay []net.Conn
			for ; time.Now().Before(end); counts[i]++ {
				addr, _ := e.PeerAddrs(leader)
				says := onQuorumPort
				if random.IntN(2) == 0 {
					_, addr = e.PeerAddrs(random.IntN(len(e.Servers)))
					says = onElectionPort
				}
				c, err := visit(addr, says[random.IntN(len(says))](random))
				if err != nil {
					if k.Is(process.Bellwether) {
						t.Errorf("a port of a server is closed: %v", err)
					}
					continue
				}
				if stay = append(stay, c); len(stay) > 50 {
					_ = stay[0].Close()
					stay = stay[1:]
				}
			}
			for _, c := range stay {
				_ = c.Close()
			}
		})
	}
	coming.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}

// visit says something at an address and listens a moment. The connection is the caller's.
func visit(addr string, words []byte) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	// A server may close while it is spoken to.
	_ = c.SetDeadline(time.Now().Add(5 * time.Millisecond))
	_, _ = c.Write(words)
	_, _ = io.CopyN(io.Discard, c, 1<<10)
	return c, nil
}

// What strangers say.
var (
	onBoth = []func(*rand.Rand) []byte{
		func(*rand.Rand) []byte { return nil }, // silence
		noise,
		func(*rand.Rand) []byte { return []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n") },
		func(*rand.Rand) []byte { return []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") }, // the beginning of TLS
		func(*rand.Rand) []byte { return []byte("srvr") },
		func(*rand.Rand) []byte { return []byte{0x7f, 0xff, 0xff, 0xff} }, // a length
		func(*rand.Rand) []byte { return []byte{0xff, 0xff, 0xff, 0xff, 0, 0} },
	}
	onElectionPort = append([]func(*rand.Rand) []byte{
		func(r *rand.Rand) []byte { return append(introduction(stranger(r), "127.0.0.1:1"), noise(r)...) },
		func(r *rand.Rand) []byte { return introduction(stranger(r), "no address") },
		func(r *rand.Rand) []byte { return introduction(int64(1+r.IntN(3)), "127.0.0.1:1") }, // in a member's name
		func(r *rand.Rand) []byte { return introduction(math.MaxInt64, "127.0.0.1:1") },      // as an observer without a number
		func(r *rand.Rand) []byte { return introduction(stranger(r), "")[:20] },
		func(r *rand.Rand) []byte { return introduction(stranger(r), "127.0.0.1:1")[:r.IntN(30)] },
		func(r *rand.Rand) []byte { // an address as long as can be said
			return binary.BigEndian.AppendUint32(introduction(stranger(r), "")[:16], math.MaxUint32>>uint(r.IntN(2)))
		},
		func(r *rand.Rand) []byte { // somebody else leads, with the best vote there can be
			b := introduction(stranger(r), "127.0.0.1:1")
			for state := range int32(4) {
				b = append(b, vote(state, stranger(r), math.MaxInt64, math.MaxInt64, math.MaxInt64, "")...)
			}
			return b
		},
		func(r *rand.Rand) []byte { // with another configuration
			return append(introduction(stranger(r), "127.0.0.1:1"),
				vote(0, 1, 1<<40, 1, 1, "server.77=127.0.0.1:1:2:participant\nversion=7fffffffffffffff")...)
		},
		func(r *rand.Rand) []byte { // a vote with a state nobody knows, and one that ends early
			b := append(introduction(stranger(r), "127.0.0.1:1"), vote(77, 1, 1, 1, 1, "")...)
			return append(b, vote(0, 1, 1, 1, 1, "server.1=x")[:40]...)
		},
	}, onBoth...)
	onQuorumPort = append([]func(*rand.Rand) []byte{
		func(r *rand.Rand) []byte { return append(learner(11, stranger(r), math.MaxInt64), noise(r)...) }, // follows from a far epoch
		func(r *rand.Rand) []byte { return learner(16, stranger(r), 0) },                                  // observes
		func(r *rand.Rand) []byte { return learner(11, stranger(r), 0)[:r.IntN(40)] },
		func(r *rand.Rand) []byte { return quorumPacket(3, 1<<40, nil) }, // an acknowledgement before anything else
		func(r *rand.Rand) []byte { return quorumPacket(int32(r.Uint32()), int64(r.Uint64()), []byte("?")) },
		func(r *rand.Rand) []byte { // acknowledges an epoch nobody proposed, and everything
			b := append(learner(11, stranger(r), 0), quorumPacket(18, math.MaxInt64, []byte{0, 0, 0, 1})...)
			return append(b, quorumPacket(3, math.MaxInt64, nil)...)
		},
		func(r *rand.Rand) []byte { // a request that is none
			return append(learner(16, stranger(r), 0), quorumPacket(1, -1, []byte{0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1})...)
		},
		func(r *rand.Rand) []byte { // data longer than the packet, and than anything
			b := quorumPacket(11, 1, []byte("x"))
			binary.BigEndian.PutUint32(b[12:], math.MaxInt32)
			return b
		},
	}, onBoth...)
)

// stranger is a number no member has.
func stranger(r *rand.Rand) int64 { return []int64{0, 4, 77, 1 << 40, -1, math.MinInt64}[r.IntN(6)] }

func noise(r *rand.Rand) []byte {
	b := make([]byte, r.IntN(3000))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// introduction is what a dialer says first on an election port.
func introduction(server int64, addr string) []byte {
	b := binary.BigEndian.AppendUint64(nil, ^uint64(0xffff))
	b = binary.BigEndian.AppendUint64(b, uint64(server))
	b = binary.BigEndian.AppendUint32(b, uint32(len(addr)))
	return append(b, addr...)
}

// vote is a notification in its frame.
func vote(state int32, leader, zxid, round, epoch int64, config string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(44+len(config)))
	b = binary.BigEndian.AppendUint32(b, uint32(state))
	for _, v := range []int64{leader, zxid, round, epoch} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	b = binary.BigEndian.AppendUint32(b, 2)
	b = binary.BigEndian.AppendUint32(b, uint32(len(config)))
	return append(b, config...)
}

// quorumPacket is a packet without identities.
func quorumPacket(kind int32, zxid int64, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(kind))
	b = binary.BigEndian.AppendUint64(b, uint64(zxid))
	length := uint32(math.MaxUint32) // null
	if data != nil {
		length = uint32(len(data))
	}
	b = append(binary.BigEndian.AppendUint32(b, length), data...)
	return binary.BigEndian.AppendUint32(b, math.MaxUint32)
}

// learner is how a follower (11) or an observer (16) introduces itself on a quorum port.
func learner(kind int32, server, zxid int64) []byte {
	info := binary.BigEndian.AppendUint64(nil, uint64(server))
	info = binary.BigEndian.AppendUint32(info, 0x10000)
	info = binary.BigEndian.AppendUint64(info, 0)
	return quorumPacket(kind, zxid, info)
}
