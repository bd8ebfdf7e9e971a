package link_test

import (
	"errors"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/link"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
)

var proposal = packet.Packet{Type: packet.TypeProposal, Data: make([]byte, 1000)}

// stall makes the learner take nothing any more, as a machine that has stopped.
func (p *pair) stall() { p.network.Cut("10.0.0.1", "10.0.0.2") }

func TestSlowLearnerIsDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{MaxOutput: 1 << 20, WriteTimeout: time.Hour})
		learner, leader := p.connect()
		p.learner.Dial(t.Context(), 1, p.addr)
		synctest.Wait()
		second := p.atLearner.last(t)
		second.Send(&followerInfo)
		second.Flush()
		synctest.Wait()
		atLeader := p.atLeader.last(t)
		p.atLeader.read()

		release := make(chan struct{})
		p.atLearner.received = func(c *link.Conn, got *packet.Packet) {
			if c == learner {
				<-release
			}
		}
		sent := 0
		for ; len(p.atLeader.read()) == 0; sent++ {
			require.Less(t, sent, 2000, "more than there is room for")
			leader.Send(&proposal)
			leader.Flush()
			synctest.Wait()
		}
		require.Greater(t, sent, 1000)
		close(release)
		synctest.Wait()
		p.atLearner.received = nil
		p.mustFlow(second, atLeader)
	})
}

func TestSlowIsToldAsSuch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{MaxOutput: 10_000})
		_, leader := p.connect()
		p.stall()
		for range 10 {
			leader.Send(&proposal)
		}
		synctest.Wait()
		require.Equal(t, []string{"1 closed: link: the peer takes too little of what it is sent"}, p.atLeader.read())
	})
}

// A peer that takes nothing is given up after a while, one that takes little is not.
func TestWriteTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{WriteTimeout: 10 * time.Second})
		_, leader := p.connect()
		p.atLearner.received = func(*link.Conn, *packet.Packet) { time.Sleep(9 * time.Second / 40) } // 4.4 kB/s, in chunks of 32 KiB
		for range 1000 {
			leader.Send(&proposal)
		}
		leader.Flush()
		time.Sleep(time.Minute)
		require.Empty(t, p.atLeader.read())
		start := time.Now()
		p.stall()
		for len(p.atLeader.read()) == 0 {
			require.Less(t, time.Since(start), 30*time.Second)
			time.Sleep(time.Second)
		}
		require.GreaterOrEqual(t, time.Since(start), 10*time.Second)
	})
}

func TestSilenceIsNoSlowness(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{WriteTimeout: time.Second})
		learner, leader := p.connect()
		for range 5 {
			time.Sleep(time.Minute)
			p.mustFlow(learner, leader)
		}
	})
}

// While a snapshot is on its way both ends make progress, and the one that makes it holds little of it in memory.
func TestLongSnapshot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{Progress: time.Second})
		_, leader := p.connect()
		const pieces, piece = 1000, 10_000
		var made, read atomic.Int64
		p.atLearner.snapshot = func(c *link.Conn, data []byte, r io.Reader) error {
			buf := make([]byte, piece)
			for range pieces {
				if _, err := io.ReadFull(r, buf); err != nil {
					return err
				}
				time.Sleep(100 * time.Millisecond)
				read.Add(1)
			}
			return nil
		}
		leader.Send(&packet.Packet{Type: packet.TypeSnap})
		require.NoError(t, leader.SendStream(func(w io.Writer) error {
			buf := make([]byte, piece)
			for ; made.Load() < pieces; made.Add(1) {
				if _, err := w.Write(buf); err != nil {
					return err
				}
			}
			return nil
		}))
		leader.Send(&packet.Packet{Type: packet.TypeNewLeader})
		leader.Flush()
		synctest.Wait()
		require.Less(t, made.Load(), int64(40), "400 kB hold what is under way")
		time.Sleep(50 * time.Second)
		require.InDelta(t, 500, read.Load(), 10)
		for _, d := range []*diary{&p.atLearner, &p.atLeader} { // 64 KiB take two thirds of a second
			require.Greater(t, d.made(), 30)
			require.LessOrEqual(t, d.made(), 50)
		}
		require.Equal(t, []string{"1 SNAP 0x0", "1 snapshot 0x0"}, p.atLearner.read())
		time.Sleep(51 * time.Second)
		require.Equal(t, []string{"1 NEWLEADER 0x0"}, p.atLearner.read())
		require.Empty(t, p.atLeader.read())

		made1, made2 := p.atLearner.made(), p.atLeader.made()
		for range 10 {
			time.Sleep(time.Second)
			p.mustFlow(p.atLearner.last(t), leader)
		}
		require.Equal(t, made1, p.atLearner.made(), "packets are no snapshot")
		require.Equal(t, made2, p.atLeader.made())
	})
}

// A peer that takes a snapshot too slowly is given up, though it takes some of it all the time. Time in which nothing is made for it
// is not its fault.
func TestSlowSnapshot(t *testing.T) {
	for _, slow := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			const rate = 10_000
			p := newPair(t, link.Limits{StreamRate: rate, StreamPeriod: 30 * time.Second, WriteTimeout: 10 * time.Second})
			_, leader := p.connect()
			pause := 80 * time.Millisecond
			if slow {
				pause = 120 * time.Millisecond
			}
			p.atLearner.snapshot = func(_ *link.Conn, _ []byte, r io.Reader) error {
				for buf := make([]byte, rate/10); ; time.Sleep(pause) {
					if _, err := io.ReadFull(r, buf); err != nil {
						return err
					}
				}
			}
			leader.Send(&packet.Packet{Type: packet.TypeSnap})
			var ended atomic.Bool
			require.NoError(t, leader.SendStream(func(w io.Writer) error {
				defer ended.Store(true)
				time.Sleep(5 * time.Minute)
				for {
					if _, err := w.Write(make([]byte, 10_000)); err != nil {
						return err
					}
				}
			}))
			leader.Flush()
			time.Sleep(5 * time.Minute)
			require.False(t, ended.Load())
			time.Sleep(100 * time.Second) // the second period shows it: much was under way in the first
			require.Equal(t, slow, ended.Load())
			if !slow {
				time.Sleep(10 * time.Minute)
				require.False(t, ended.Load())
				return
			}
			require.Equal(t, []string{"1 closed: link: sending a stream: link: the peer takes too little of what it is sent: less than 10000 bytes of a snapshot in a second"}, p.atLeader.read())
		})
	}
}

func TestStreamFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{})
		_, leader := p.connect()
		p.atLearner.snapshot = func(_ *link.Conn, _ []byte, r io.Reader) error {
			_, err := io.ReadFull(r, make([]byte, 100))
			return err
		}
		broken := errors.New("no such tree")
		leader.Send(&packet.Packet{Type: packet.TypeSnap})
		require.NoError(t, leader.SendStream(func(w io.Writer) error {
			_, _ = w.Write(make([]byte, 10))
			return broken
		}))
		leader.Flush()
		synctest.Wait()
		require.Equal(t, []string{"1 closed: link: sending a stream: no such tree"}, p.atLeader.read())
		require.Equal(t, []string{"1 SNAP 0x0", "1 snapshot 0x0", "1 closed: EOF"}, p.atLearner.read())
	})
}

func TestSnapshotRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{})
		_, leader := p.connect()
		leader.Send(&packet.Packet{Type: packet.TypeSnap})
		leader.Flush()
		synctest.Wait()
		require.Equal(t, []string{"1 SNAP 0x0", "1 closed: no snapshot was expected"}, p.atLearner.read())
	})
}

// From a learner SNAP is a packet as others; what it means is not for link to say.
func TestSnapFromLearner(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{})
		learner, leader := p.connect()
		learner.Send(&packet.Packet{Type: packet.TypeSnap})
		learner.Flush()
		synctest.Wait()
		require.Equal(t, []string{"1 SNAP 0x0"}, p.atLeader.read())
		p.mustFlow(learner, leader)
	})
}

// Each stream runs once, so that what it holds is given back: also when its turn never comes.
func TestStreamsRunOnce(t *testing.T) {
	for name, end := range map[string]func(p *pair, leader *link.Conn){
		"closed":   func(_ *pair, leader *link.Conn) { leader.Close(errors.New("enough")) },
		"by peer":  func(p *pair, _ *link.Conn) { p.learner.Close() },
		"links":    func(p *pair, _ *link.Conn) { go p.leader.Close() }, // ends when the links have
		"reset":    func(p *pair, _ *link.Conn) { p.network.Reset("10.0.0.1", "") },
		"timeout":  func(p *pair, _ *link.Conn) { time.Sleep(time.Minute) },
		"not ours": func(p *pair, _ *link.Conn) { p.leader.Serve(false) },
	} {
		for _, flushed := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					p := newPair(t, link.Limits{})
					_, leader := p.connect()
					p.stall()
					var ran [3]atomic.Int64
					var failed atomic.Int64
					for i := range ran {
						require.NoError(t, leader.SendStream(func(w io.Writer) error {
							ran[i].Add(1)
							_, err := w.Write(make([]byte, 200<<10))
							if err != nil {
								failed.Add(1)
							}
							return err
						}))
						leader.Send(&proposal)
					}
					if flushed {
						leader.Flush()
						synctest.Wait()
						require.Zero(t, ran[1].Load(), "its turn has not come")
					} else if name == "timeout" {
						leader.Close(nil) // nothing is tried, nothing fails
					}
					end(p, leader)
					p.network.Heal("", "") // for the end to be heard of
					synctest.Wait()
					for i := range ran {
						require.Equal(t, int64(1), ran[i].Load())
					}
					require.Equal(t, int64(3), failed.Load())
					require.Len(t, p.atLeader.read(), 1)
					require.Error(t, leader.SendStream(func(io.Writer) error { panic("it is closed") }))
				})
			})
		}
	}
}

// Closed is the last that is heard, and Close waits for it: streams have run by then.
func TestCloseWaitsForStreams(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{})
		_, leader := p.connect()
		var ended atomic.Bool
		require.NoError(t, leader.SendStream(func(w io.Writer) error {
			time.Sleep(time.Minute)
			require.Empty(t, p.atLeader.read(), "it is not over")
			ended.Store(true)
			return nil
		}))
		leader.Flush()
		synctest.Wait()
		p.leader.Close()
		require.True(t, ended.Load())
		require.Equal(t, []string{"1 closed: link: closed"}, p.atLeader.read())
	})
}

// Buffers are given back: a link through which much has gone is not big.
func TestOutputIsGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{MaxOutput: 25 << 20})
		p.atLearner.received = func(*link.Conn, *packet.Packet) {}
		_, leader := p.connect()
		big := packet.Packet{Type: packet.TypeProposal, Data: make([]byte, 1<<20)}
		held := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := held()
		for range 3 {
			for range 20 {
				leader.Send(&big)
			}
			leader.Flush()
			synctest.Wait()
			require.Empty(t, p.atLeader.read(), "what has gone does not count")
		}
		require.Less(t, held(), before+8<<20)
		runtime.KeepAlive(leader)
	})
}

// A packet that has come is handed over though the next is only half here.
func TestHalfAPacketHoldsNobodyBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPair(t, link.Limits{})
		p.leader.Serve(true)
		nc := p.stranger()
		b := followerInfo.AppendJute(nil)
		b = (&packet.Packet{Type: packet.TypeAck, Zxid: 1}).AppendJute(b)
		whole := len(b)
		b = (&packet.Packet{Type: packet.TypeAck, Zxid: 2}).AppendJute(b)
		_, err := nc.Write(b[:whole+7])
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, []string{"1 opened", "1 FOLLOWERINFO 0x0 20 bytes", "1 ACK 0x1"}, p.atLeader.read())
		_, err = nc.Write(b[whole+7:])
		require.NoError(t, err)
		require.NoError(t, nc.Close())
		synctest.Wait()
		require.Equal(t, []string{"1 ACK 0x2", "1 closed: EOF"}, p.atLeader.read())
	})
}
