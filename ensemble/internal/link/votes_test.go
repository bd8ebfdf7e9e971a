package link_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/link"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
)

func TestVotesReachEverybody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newElectorate(t, 3)
		for id := packet.ServerID(1); id <= 3; id++ {
			v := e.start(id)
			for to := packet.ServerID(1); to <= 3; to++ {
				v.says(to, int64(10*id))
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, "2:20 3:30", e.voters[1].hears())
		require.Equal(t, "1:10 3:30", e.voters[2].hears())
		require.Equal(t, "1:10 2:20", e.voters[3].hears())
		require.Equal(t, []packet.ServerID{1, 3}, e.voters[2].reaches())

		e.stop(2)
		synctest.Wait()
		require.Equal(t, []packet.ServerID{1}, e.voters[3].reaches(), "a server that stops is missed at once")
		e.voters[3].says(2, 31)
		e.voters[3].says(2, 32)
		back := e.start(2)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, "1:10 3:32", back.hears(), "what was said last is said again")
		require.Equal(t, 2, back.count, "and only that")
		require.Equal(t, []packet.ServerID{1, 2}, e.voters[3].reaches())
	})
}

// dials is a connection to a server's election port that is made by hand.
func (e *electorate) dials(from string, to packet.ServerID) net.Conn {
	e.t.Helper()
	nc, err := e.network.DialFrom(e.t.Context(), from, fmt.Sprintf("%d:3888", to))
	require.NoError(e.t, err)
	e.t.Cleanup(func() { _ = nc.Close() })
	return nc
}

// hello is the first message of a server, as Apache's send it.
func hello(id packet.ServerID) []byte {
	h := packet.Hello{Server: id, Addrs: []string{fmt.Sprintf("%d:3888", id)}}
	return h.AppendJute(nil)
}

func vote(round int64) []byte {
	n := packet.Notification{Round: round, Version: packet.NotificationVersion, Config: "version=0"}
	return n.AppendFrame(nil)
}

// A wiretap counts the writes of a connection and keeps what was written.
type wiretap struct {
	net.Conn
	writes *[][]byte
}

func (w wiretap) Write(p []byte) (int, error) {
	*w.writes = append(*w.writes, bytes.Clone(p))
	return w.Conn.Write(p)
}

// The dialler says who it is in one write and at once, for Apache's server reads it with one read, and lets nobody else in meanwhile.
func TestHandshakeBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newElectorate(t, 2)
		l, err := e.network.Listen("1:3888")
		require.NoError(t, err)
		defer l.Close()
		mine, err := e.network.Listen("2:3888")
		require.NoError(t, err)
		var writes [][]byte
		votes := link.NewVotes(link.VotesOptions{
			Self: 2, Config: e.config, Listener: mine,
			Dial: func(ctx context.Context, addr string) (net.Conn, error) {
				nc, err := e.network.DialFrom(ctx, "2", addr)
				return wiretap{nc, &writes}, err
			},
		})
		defer votes.Close()
		votes.Send(1, &packet.Notification{State: packet.Looking, Leader: 2, Zxid: 0x100000003, Round: 5, PeerEpoch: 1, Version: packet.NotificationVersion, Config: "version=0"})
		nc, err := l.Accept()
		require.NoError(t, err)
		defer nc.Close()
		synctest.Wait()
		require.Len(t, writes, 2)
		require.Equal(t, "ffffffffffff0000"+"0000000000000002"+"00000006"+hex.EncodeToString([]byte("2:3888")), hex.EncodeToString(writes[0]))
		require.Equal(t, "00000035"+"00000000"+"0000000000000002"+"0000000100000003"+"0000000000000005"+"0000000000000001"+"00000002"+
			"00000009"+hex.EncodeToString([]byte("version=0")), hex.EncodeToString(writes[1]))
	})
}

// From a larger server the connection is kept, in whatever pieces its hello comes, and whichever form it has.
func TestAcceptsLarger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newElectorate(t, 3)
		v := e.start(1)
		nc := e.dials("3", 1)
		for _, b := range append(hello(3), vote(7)...) {
			_, err := nc.Write([]byte{b})
			require.NoError(t, err)
			synctest.Wait()
		}
		require.Equal(t, "3:7", v.hears())
		require.Equal(t, []packet.ServerID{3}, v.reaches())

		second := e.dials("3", 1)
		_, err := second.Write(append([]byte{0, 0, 0, 0, 0, 0, 0, 3}, vote(8)...)) // as 3.4 says hello
		require.NoError(t, err)
		mustEnd(t, nc)
		synctest.Wait()
		require.Equal(t, "3:8", v.hears())
		require.Equal(t, []packet.ServerID{3}, v.reaches())

		e.network.Reset("3", "1")
		synctest.Wait()
		require.Empty(t, v.reaches(), "at once")
	})
}

// What comes on a connection comes after all that came on the one it replaces.
func TestReplacedInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newElectorate(t, 3)
		l, err := e.network.Listen("1:3888")
		require.NoError(t, err)
		begun, proceed := make(chan int64, 10), make(chan struct{})
		votes := link.NewVotes(link.VotesOptions{
			Self: 1, Config: e.config, Listener: l, Dial: e.network.Dial,
			Receive: func(_ packet.ServerID, n packet.Notification) {
				begun <- n.Round
				<-proceed
			},
		})
		defer votes.Close()
		for round := range int64(2) {
			_, err := e.dials("3", 1).Write(append(hello(3), vote(round)...))
			require.NoError(t, err)
			synctest.Wait()
		}
		require.Len(t, begun, 1)
		close(proceed)
		synctest.Wait()
		require.Equal(t, int64(0), <-begun)
		require.Equal(t, int64(1), <-begun)
	})
}

// A smaller server is called back; itself and servers that nobody knows are refused.
func TestRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newElectorate(t, 3)
		v := e.start(2)
		l, err := e.network.Listen("1:3888")
		require.NoError(t, err)
		defer l.Close()
		for _, id := range []packet.ServerID{1, 2, 4, 0, -1} {
			nc := e.dials("x", 2)
			_, err := nc.Write(append(hello(id), vote(7)...))
			require.NoError(t, err)
			mustEnd(t, nc)
		}
		nc, err := l.Accept()
		require.NoError(t, err)
		defer nc.Close()
		h, err := packet.ReadHello(nc)
		require.NoError(t, err)
		require.Equal(t, packet.ServerID(2), h.Server)
		_, err = nc.Write(vote(9))
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, "1:9", v.hears(), "only what came on the connection to be used")
	})
}

// Silence, garbage and floods on the election port leave everybody else alone (ZOOKEEPER-3769, 2186).
func TestStrangersAtElections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newElectorate(t, 3)
		v := e.start(1)
		good := e.dials("3", 1)
		_, err := good.Write(append(hello(3), vote(1)...))
		require.NoError(t, err)
		start := time.Now()
		silent, half := e.dials("x", 1), e.dials("x", 1)
		_, err = half.Write(hello(2)[:18])
		require.NoError(t, err)
		for _, garbage := range [][]byte{
			[]byte("GET / HTTP/1.1\r\n\r\n"), bytes.Repeat([]byte{0xff}, 100), {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 9},
			slices.Concat(hello(2)[:16], []byte{0, 0, 0, 0}), slices.Concat(hello(2)[:16], []byte{0x7f, 0xff, 0xff, 0xff}, []byte("x")),
		} {
			nc := e.dials("x", 1)
			_, _ = nc.Write(garbage)
			mustEnd(t, nc)
		}
		require.Zero(t, time.Since(start), "nobody waited for them")
		mustEnd(t, silent)
		mustEnd(t, half)
		require.Equal(t, 5*time.Second, time.Since(start))

		strangers := make([]net.Conn, 300)
		for i := range strangers {
			strangers[i] = e.dials("x", 1)
		}
		second := e.dials("2", 1)
		_, err = second.Write(append(hello(2), vote(2)...))
		require.NoError(t, err)
		_, err = good.Write(vote(3))
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, "2:2 3:3", v.hears())
		for _, nc := range strangers[:200] {
			mustEnd(t, nc) // long before their time
		}
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

// A frame that cannot be one ends its connection; a notification that makes no sense does not even do that.
func TestBadFrames(t *testing.T) {
	for name, frame := range map[string][]byte{
		"empty":    {0, 0, 0, 0},
		"negative": {0xff, 0xff, 0xff, 0xff},
		"too long": {0, 8, 0, 1},
		"huge":     {0x7f, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := newElectorate(t, 3)
				v := e.start(1)
				nc := e.dials("3", 1)
				_, err := nc.Write(slices.Concat(hello(3), []byte{0, 0, 0, 3, 1, 2, 3}, vote(1), frame))
				require.NoError(t, err)
				_, _ = nc.Write(vote(2))
				mustEnd(t, nc)
				synctest.Wait()
				require.Equal(t, "3:1", v.hears())
				require.Empty(t, v.reaches())
			})
		})
	}
}

// While a server takes nothing there is one message for it, the newest.
func TestNewestReplaces(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newElectorate(t, 2)
		a, b := e.start(1), e.start(2)
		b.says(1, 1)
		time.Sleep(time.Second)
		require.Equal(t, "2:1", a.hears())
		e.network.Cut("2", "1")
		long := packet.Notification{Version: packet.NotificationVersion, Config: strings.Repeat("x", 40_000)}
		for long.Round = 2; long.Round <= 100; long.Round++ {
			b.votes.Send(1, &long)
			synctest.Wait()
		}
		e.network.Heal("2", "1")
		synctest.Wait()
		require.Equal(t, "2:100", a.hears())
		require.LessOrEqual(t, a.count, 4)
		b.says(2, 7) // itself
		b.says(9, 7) // nobody
		synctest.Wait()
		require.Empty(t, b.hears())
	})
}

// A connection that takes nothing is given up in the end, and made anew.
func TestStuckConnectionIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newElectorate(t, 2)
		a, b := e.start(1), e.start(2)
		b.says(1, 1)
		time.Sleep(time.Second)
		e.network.Cut("2", "1")
		long := packet.Notification{Round: 2, Version: packet.NotificationVersion, Config: strings.Repeat("x", 100_000)}
		b.votes.Send(1, &long)
		time.Sleep(14 * time.Second)
		require.Equal(t, []packet.ServerID{1}, b.reaches())
		time.Sleep(2 * time.Second)
		require.Empty(t, b.reaches())
		b.says(1, 3)
		e.network.Heal("2", "1")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, []packet.ServerID{1}, b.reaches())
		require.Equal(t, "2:3", a.hears())
	})
}

// A machine whose address answers nothing costs the others nothing (ZOOKEEPER-822, 3756).
func TestDeadMachineDelaysNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newElectorate(t, 5)
		e.network.Cut("", "4")
		e.network.Cut("", "5")
		for id := packet.ServerID(1); id <= 3; id++ {
			v := e.start(id)
			for to := packet.ServerID(5); to > 0; to-- {
				v.says(to, int64(id))
			}
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, "1:1 2:2", e.voters[3].hears())
		require.Equal(t, "2:2 3:3", e.voters[1].hears())
	})
}

// An attempt that gets no answer is given up, and made again.
func TestConnectTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newElectorate(t, 2)
		l, err := e.network.Listen("2:3888")
		require.NoError(t, err)
		var dials []time.Duration
		votes := link.NewVotes(link.VotesOptions{
			Self: 2, Config: e.config, Listener: l,
			Dial: func(ctx context.Context, addr string) (net.Conn, error) {
				start := time.Now()
				<-ctx.Done()
				dials = append(dials, time.Since(start))
				return nil, ctx.Err()
			},
		})
		votes.Send(1, &packet.Notification{})
		time.Sleep(time.Minute)
		votes.Close()
		require.InDelta(t, 11, len(dials), 1)
		require.Equal(t, 5*time.Second, dials[0])
	})
}

// A listener that fails for a while, as with no file descriptors left, listens again (ZOOKEEPER-3320).
func TestElectionListenerSurvivesErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newElectorate(t, 2)
		l, err := e.network.Listen("1:3888")
		require.NoError(t, err)
		f := &faulty{Listener: l}
		f.failures.Store(10)
		a, b := e.startOn(1, f), e.start(2)
		b.says(1, 1)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, "2:1", a.hears())
	})
}

// Whatever the network and the machines did, in the end everybody knows what everybody else said last, on one connection for each two
// of them (ZOOKEEPER-2164, 4220).
func TestVotesUnderFaults(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { votesUnderFaults(t, rand.New(rand.NewPCG(seed, 4))) })
		})
	}
}

func votesUnderFaults(t *testing.T, rng *rand.Rand) {
	size := 2 + rng.IntN(4)
	e := newElectorate(t, size)
	anybody := func() packet.ServerID { return packet.ServerID(1 + rng.IntN(size)) }
	host := func() string {
		if rng.IntN(4) == 0 {
			return ""
		}
		return fmt.Sprint(anybody())
	}
	last := map[[2]packet.ServerID]int64{}
	say := func(from, to packet.ServerID, round int64) {
		if v := e.voters[from]; v != nil && from != to {
			v.says(to, round)
			last[[2]packet.ServerID{from, to}] = round
		}
	}
	for id := range packet.ServerID(size) {
		e.start(id + 1)
	}
	for round := range int64(150) {
		for range rng.IntN(4) {
			say(anybody(), anybody(), 1+round)
		}
		switch id := anybody(); rng.IntN(10) {
		case 0:
			e.network.Cut(host(), host())
		case 1:
			e.network.Delay(host(), host(), time.Duration(rng.IntN(2000))*time.Millisecond)
		case 2, 3:
			e.network.Heal(host(), host())
		case 4:
			e.network.Reset(host(), host())
		case 5:
			if e.voters[id] != nil && rng.IntN(2) == 0 {
				e.stop(id)
			} else if e.voters[id] == nil {
				e.start(id)
			}
		}
		time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
	}
	e.network.Heal("", "")
	for id := range packet.ServerID(size) {
		if e.voters[id+1] == nil {
			e.start(id + 1)
		}
		for to := range packet.ServerID(size) {
			say(id+1, to+1, 1000)
		}
	}
	time.Sleep(20 * time.Second)
	synctest.Wait()
	for id, v := range e.voters {
		var hears []string
		for other := range packet.ServerID(size) {
			if other+1 != id {
				hears = append(hears, fmt.Sprintf("%d:%d", other+1, last[[2]packet.ServerID{other + 1, id}]))
			}
		}
		require.Equal(t, strings.Join(hears, " "), v.hears(), "server %d", id)
		require.Len(t, v.reaches(), size-1)
	}
	require.Equal(t, size*(size-1)/2, e.network.Connections())
}
