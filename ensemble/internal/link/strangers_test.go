package link_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/link"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
)

func TestSilentStrangerIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{FirstPacket: 3 * time.Second})
		learner, leader := p.connect()
		start := time.Now()
		silent, half := p.stranger(), p.stranger()
		_, err := half.Write(followerInfo.AppendJute(nil)[:25])
		require.NoError(t, err)
		p.mustFlow(learner, leader)
		mustEnd(t, silent)
		mustEnd(t, half)
		require.Equal(t, 3*time.Second, time.Since(start))
		synctest.Wait()
		require.Empty(t, p.atLeader.read(), "nobody hears of strangers")

		// Who has begun may be silent.
		time.Sleep(time.Hour)
		p.mustFlow(learner, leader)
	})
}

// What is not a learner's first word ends a connection, and what is no packet at all does so at any time, to nobody's harm.
func TestGarbageConcernsNobodyElse(t *testing.T) {
	huge := packet.Packet{Type: packet.TypeFollowerInfo}
	lengths := huge.AppendJute(nil)
	copy(lengths[12:], []byte{0x7f, 0xff, 0xff, 0xff})
	for name, garbage := range map[string][]byte{
		"http":        []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"zeros":       make([]byte, 4096),
		"four letter": []byte("ruokruokruokruokruok"),
		"an ack":      (&packet.Packet{Type: packet.TypeAck}).AppendJute(nil),
		"2 GiB":       lengths,
		"tls":         {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newPair(t, link.Limits{})
				learner, leader := p.connect()
				nc := p.stranger()
				_, _ = nc.Write(garbage)
				mustEnd(t, nc)
				synctest.Wait()
				require.Empty(t, p.atLeader.read())

				nc = p.stranger()
				_, _ = nc.Write(followerInfo.AppendJute(nil))
				_, _ = nc.Write(lengths)
				mustEnd(t, nc)
				synctest.Wait()
				got := p.atLeader.read()
				require.Len(t, got, 3)
				require.Contains(t, got[2], "closed: ")
				p.mustFlow(learner, leader)
			})
		})
	}
}

// A flood of connections that say nothing takes a bounded number of goroutines and does not keep a learner out.
func TestFloodOfStrangers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{MaxPending: 8})
		learner, leader := p.connect()
		before := runtime.NumGoroutine()
		strangers := make([]net.Conn, 1000)
		for i := range strangers {
			strangers[i] = p.stranger()
			if i%100 == 0 {
				synctest.Wait()
				require.LessOrEqual(t, runtime.NumGoroutine()-before, 2*8+8, "two for each that waits, and some that are about to go")
			}
		}
		p.learner.Dial(t.Context(), 1, p.addr)
		synctest.Wait()
		second := p.atLearner.last(t)
		require.NotSame(t, learner, second)
		second.Send(&followerInfo)
		second.Flush()
		synctest.Wait()
		p.mustFlow(second, p.atLeader.last(t))
		p.mustFlow(learner, leader)
		for _, nc := range strangers[:1000-8] {
			mustEnd(t, nc) // those before the last have been closed without waiting
		}
	})
}

// Learners may know who leads before the leader does.
func TestHeldUntilServing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{Hold: 2 * time.Second})
		early := p.stranger()
		_, err := early.Write(followerInfo.AppendJute(nil))
		require.NoError(t, err)
		time.Sleep(1900 * time.Millisecond)
		p.leader.Serve(true)
		synctest.Wait()
		require.Equal(t, []string{"1 opened", "1 FOLLOWERINFO 0x0 20 bytes"}, p.atLeader.read())

		p.leader.Serve(true)
		p.leader.Serve(false)
		mustEnd(t, early)
		synctest.Wait()
		require.Equal(t, []string{"1 closed: link: not serving"}, p.atLeader.read())
		start := time.Now()
		tooEarly := p.stranger()
		_, err = tooEarly.Write(followerInfo.AppendJute(nil))
		require.NoError(t, err)
		mustEnd(t, tooEarly)
		require.Equal(t, 2*time.Second, time.Since(start))
		require.Empty(t, p.atLeader.read())
	})
}

func TestCloseWhileHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{Hold: time.Hour})
		p.stranger()
		synctest.Wait()
		start := time.Now()
		p.leader.Close()
		require.Zero(t, time.Since(start))
		require.Empty(t, p.atLeader.read())
	})
}

// A server that stops leading keeps the link by which it learns.
func TestServeFalseKeepsDialled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{})
		learner, leader := p.connect()
		p.learner.Serve(true)
		p.learner.Serve(false)
		synctest.Wait()
		p.mustFlow(learner, leader)
	})
}

// A faulty listener has no file descriptors left for a while.
type faulty struct {
	net.Listener
	failures atomic.Int64
}

func (f *faulty) Accept() (net.Conn, error) {
	if f.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

func TestListenersSurviveErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{})
		l, err := p.network.Listen("10.0.0.1:2889")
		require.NoError(t, err)
		f := &faulty{Listener: l}
		f.failures.Store(20)
		p.addr = l.Addr().String()
		second := link.NewLinks(link.LinksOptions{Listener: f, Handler: &p.atLeader})
		defer second.Close()
		second.Serve(true)
		p.learner.Dial(t.Context(), 1, p.addr)
		synctest.Wait()
		p.atLearner.last(t).Send(&followerInfo)
		p.atLearner.last(t).Flush()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"1 opened", "1 FOLLOWERINFO 0x0 20 bytes"}, p.atLeader.read())

		// Closed by somebody else, it is given up.
		require.NoError(t, l.Close())
		synctest.Wait()
	})
}

func TestDialFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{})
		p.learner.Dial(t.Context(), 7, "10.0.0.3:2888")
		synctest.Wait()
		require.Equal(t, []string{"server 7 failed: dial mem 10.0.0.3:2888: connection refused"}, p.atLearner.read())

		p.network.Cut("10.0.0.1", "")
		ctx, cancel := context.WithCancelCause(t.Context())
		p.learner.Dial(ctx, 1, p.addr)
		time.Sleep(time.Hour)
		require.Empty(t, p.atLearner.read())
		cancel(errors.New("elected somebody else"))
		synctest.Wait()
		require.Equal(t, []string{"server 1 failed: dial mem 10.0.0.1:2888: context canceled"}, p.atLearner.read())

		p.learner.Dial(t.Context(), 1, p.addr)
		synctest.Wait()
		p.learner.Close()
		require.Equal(t, []string{"server 1 failed: link: closed"}, p.atLearner.read())
		p.learner.Dial(t.Context(), 1, p.addr)
		synctest.Wait()
		require.Empty(t, p.atLearner.read(), "after Close nothing is heard")
	})
}

// A dial that ends when all is over leaves nothing open.
func TestDialTooLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{})
		var d diary
		slow := link.NewLinks(link.LinksOptions{Handler: &d, Dial: func(_ context.Context, addr string) (net.Conn, error) {
			time.Sleep(time.Minute)
			return p.network.DialFrom(context.Background(), "10.0.0.2", addr)
		}})
		slow.Dial(t.Context(), 1, p.addr)
		synctest.Wait()
		slow.Close()
		require.Equal(t, []string{"server 1 failed: link: closed"}, d.read())
		p.leader.Close()
		require.Zero(t, p.network.Connections())
	})
}

// Random bytes behind a proper beginning never bring down more than their connection.
func FuzzPackets(f *testing.F) {
	f.Add((&packet.Packet{Type: packet.TypeAck, Zxid: 1}).AppendJute(nil))
	f.Add((&packet.Packet{Type: packet.TypeSnap, Data: []byte("x")}).AppendJute(nil))
	f.Add(make([]byte, 100))
	rng := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, 300)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	f.Add(noise)
	f.Fuzz(func(t *testing.T, b []byte) {
		bubble(t, func(t *testing.T) {
			p := newPair(t, link.Limits{})
			learner, leader := p.connect()
			nc := p.stranger()
			_, _ = nc.Write(followerInfo.AppendJute(nil))
			go func() { // ends when the leader closes, or with the link's end
				_, _ = nc.Write(b)
				_ = nc.Close()
			}()
			synctest.Wait()
			got := p.atLeader.read()
			require.Contains(t, got[len(got)-1], "closed: ")
			p.mustFlow(learner, leader)
		})
	})
}
