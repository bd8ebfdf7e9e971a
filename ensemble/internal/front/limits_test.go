package front_test

import (
	"io"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/front"
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
)

func TestTooManyConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{MaxPerHost: 2, MaxConns: 3})
		mustReset := func(c *client) {
			t.Helper()
			_, err := c.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
		}
		first := h.join()
		h.join()
		mustReset(h.dial())
		third := h.dialFrom("10.0.0.2")
		third.handshake(&wire.ConnectRequest{Timeout: 4000})
		mustReset(h.dialFrom("10.0.0.3"))
		require.NoError(t, first.Close())
		synctest.Wait()
		h.join()
		mustReset(h.dialFrom("10.0.0.3"))
		require.Equal(t, int64(3), h.server.Totals().Rejected)
		require.Equal(t, 3, h.server.Totals().Connections)
	})
}

func TestLocalConnectionsAreNoHosts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{MaxPerHost: 1, MaxConns: 4})
		l, err := h.network.Listen("127.0.0.1:0")
		require.NoError(t, err)
		served := make(chan error, 1)
		go func() { served <- h.server.ServeLocal(l) }() // ends with Close
		local := func() *client {
			nc, err := h.network.DialFrom(t.Context(), "10.0.0.1", l.Addr().String())
			require.NoError(t, err)
			return newClient(t, nc)
		}
		first := local()
		first.handshake(&wire.ConnectRequest{Timeout: 4000})
		local().handshake(&wire.ConnectRequest{Timeout: 4000})
		h.join()
		require.NoError(t, first.Close())
		synctest.Wait()
		local().handshake(&wire.ConnectRequest{Timeout: 4000})
		_, err = h.dial().Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET, "the one that left was none of the host's")
		h.server.Close()
		require.NoError(t, <-served)
	})
}

func TestHandshakeThatTakesTooLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		h.backend.hang = true
		c := h.dial()
		start := time.Now()
		b, at := wire.BeginFrame(nil)
		c.send(wire.EndFrame((&wire.ConnectRequest{Timeout: 4000}).AppendJute(b), at))
		c.mustEnd()
		require.InDelta(t, 10, time.Since(start).Seconds(), 1.1, "nobody waits behind it any more; in the end there would be no room for others")
		synctest.Wait()
		require.Zero(t, h.server.Totals().Connections)
	})
}

func TestConnectionWithoutAWordIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		start := time.Now()
		h.dial().mustEnd()
		require.InDelta(t, 10, time.Since(start).Seconds(), 1.1)

		// Bytes that trickle in do not buy time.
		c := h.dial()
		b, at := wire.BeginFrame(nil)
		b = wire.EndFrame((&wire.ConnectRequest{Timeout: 4000}).AppendJute(b), at)
		start = time.Now()
		for _, x := range b {
			if _, err := c.Write([]byte{x}); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		c.mustEnd()
		require.InDelta(t, 10, time.Since(start).Seconds(), 2.1)
	})
}

func TestSilentClientIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		c := h.join()
		for range 5 {
			time.Sleep(9 * time.Second)
			c.send(ping())
			c.reply()
		}
		start := time.Now()
		c.mustEnd()
		require.InDelta(t, 10, time.Since(start).Seconds(), 1.1)

		// Half a request, a byte at a time, is silence too.
		c = h.join()
		start = time.Now()
		for _, x := range get(1, "/a") {
			if _, err := c.Write([]byte{x}); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		c.mustEnd()
		require.InDelta(t, 10, time.Since(start).Seconds(), 2.1)
	})
}

func TestTouched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		c := h.dial()
		synctest.Wait()
		var conn *front.Conn
		for each := range h.server.Conns() {
			conn = each
		}
		_, _, ok := conn.Touched()
		require.False(t, ok, "there is no session")
		c.handshake(&wire.ConnectRequest{Timeout: 10_000})
		_, _, _ = conn.Touched()
		time.Sleep(time.Second)
		_, _, ok = conn.Touched()
		require.False(t, ok)
		c.send(ping())
		sent := time.Now()
		c.reply()
		time.Sleep(time.Second)
		id, at, ok := conn.Touched()
		require.True(t, ok)
		require.Equal(t, conn.Session(), id)
		require.True(t, sent.Equal(at), "%v, not %v", at, sent)
	})
}

func TestReadingStopsWhenTooMuchIsOutstanding(t *testing.T) {
	for name, o := range map[string]front.Options{
		"lane":        {MaxLane: 3},
		"outstanding": {MaxOutstanding: 2},
		"bytes":       {MaxLaneBytes: 2 * (len(set(1, "/a", "1")) - 4)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := serve(t, o)
				h.backend.data["/a"] = []byte("0")
				c, other := h.join(), h.join()
				var b []byte
				for xid := range int32(20) {
					b = append(b, set(xid+1, "/a", "1")...)
				}
				c.send(b)
				synctest.Wait()
				require.Equal(t, 3, h.backend.pending())
				other.send(get(1, "/a"))
				other.mustGet(1, "0")
				for xid := range int32(20) {
					h.backend.commit(1)
					h1, _ := c.reply()
					require.Equal(t, xid+1, h1.Xid)
					synctest.Wait()
				}
				require.Zero(t, h.backend.pending())
			})
		})
	}
}

func TestClientWhoseReadingWeStoppedIsNotSilent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{MaxLane: 1})
		c := h.join()
		c.send(append(set(1, "/a", "1"), append(set(2, "/a", "2"), ping()...)...))
		time.Sleep(time.Minute + 300*time.Millisecond) // between two looks of the sweeper
		var conn *front.Conn
		for each := range h.server.Conns() {
			conn = each
		}
		_, at, ok := conn.Touched()
		require.True(t, ok)
		require.Zero(t, time.Since(at), "however short its session's timeout")
		h.backend.commit(1)
		c.mustReply(wire.ReplyHeader{Xid: 1, Zxid: 1})
		synctest.Wait()
		h.backend.commit(1)
		c.mustReply(wire.ReplyHeader{Xid: 2, Zxid: 2})
		c.reply()
	})
}

func TestClientThatSendsAllBeforeItReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		h.backend.data["/a"] = make([]byte, 1000)
		c := h.join()
		const n = 5000 // more answers than the network holds, fewer than we do
		for xid := range int32(n) {
			c.send(get(xid, "/a"))
		}
		for xid := range int32(n) {
			c.mustGet(xid, string(make([]byte, 1000)))
		}
	})
}

func TestClientThatNeverReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{MaxOutput: 1 << 20})
		h.backend.data["/a"] = make([]byte, 1000)
		c := h.join()
		answered := 0
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second)))
		for ; ; answered++ {
			if _, err := c.Write(get(1, "/a")); err != nil {
				break
			}
		}
		require.Greater(t, answered, 500, "half of the room is for answers")
		require.Less(t, answered, 6000, "it is read although it does not")
		start := time.Now()
		for h.server.Totals().Connections > 0 {
			time.Sleep(time.Second)
		}
		require.InDelta(t, 10, time.Since(start).Seconds(), 3, "it should be closed after its session's timeout")
	})
}

func TestSlowClientIsServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{MaxOutput: 1 << 20})
		h.backend.data["/a"] = make([]byte, 1<<20)
		c := h.dial()
		c.handshake(&wire.ConnectRequest{Timeout: 60_000})
		go func() { // ends when all is sent
			for xid := range int32(5) {
				_, _ = c.Write(get(xid, "/a"))
			}
		}()
		got := 0
		for want := 5 * (1<<20 + 4 + 16 + 4 + 68); got < want; time.Sleep(time.Second) { // for longer than its timeout
			n, err := io.ReadFull(c, make([]byte, min(30_000, want-got)))
			require.NoError(t, err)
			got += n
		}
	})
}

func TestEventsNobodyTakes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{MaxOutput: 100_000})
		h.join()
		synctest.Wait()
		var conn *front.Conn
		for each := range h.server.Conns() {
			conn = each
		}
		for range 300 {
			conn.Notify(make([]byte, 1000))
			conn.Wake()
			synctest.Wait()
		}
		require.Zero(t, h.server.Totals().Connections)
	})
}

func TestReadsBetweenWritesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{MaxOutput: 100_000})
		h.backend.data["/big"] = make([]byte, 20_000)
		c := h.join()
		c.send(get(1, "/big"))
		c.mustGet(1, string(make([]byte, 20_000)))
		b := set(2, "/a", "1")
		for xid := range int32(40) {
			b = append(b, get(3+xid, "/big")...)
		}
		c.send(append(b, set(99, "/a", "2")...))
		synctest.Wait()
		require.Equal(t, 1, h.backend.pending(), "the second write was taken although there is no room for what is before it")
		h.backend.commit(1)
		c.mustReply(wire.ReplyHeader{Xid: 2, Zxid: 1})
		for xid := range int32(40) {
			c.mustGet(3+xid, string(make([]byte, 20_000)))
		}
		synctest.Wait()
		h.backend.commit(1)
		c.mustReply(wire.ReplyHeader{Xid: 99, Zxid: 2})
	})
}

func TestReadsBetweenWritesThatTurnOutTooLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{MaxOutput: 10_000})
		h.backend.data["/big"] = make([]byte, 20_000)
		c, other := h.join(), h.join()
		b := set(2, "/a", "1")
		for xid := range int32(40) {
			b = append(b, get(3+xid, "/big")...)
		}
		c.send(append(b, set(99, "/a", "2")...))
		synctest.Wait()
		require.Equal(t, 2, h.backend.pending(), "nobody knew how long the answers would be")
		made := 0
		h.backend.onAnswer = func(*request.Request) { made++ }
		h.backend.commit(2)
		require.Equal(t, 2, made, "no more are made than it takes to know that they are too long")
		h.backend.onAnswer = nil
		c.mustEnd()
		other.send(get(1, "/a"))
		other.mustGet(1, "2")
	})
}

func TestLargeRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{LargeRequest: 1000, MaxLargeRequests: 5000})
		c, other := h.join(), h.join()
		big := string(make([]byte, 2000))
		c.send(append(set(1, "/a", big), set(2, "/a", big)...))
		synctest.Wait()
		require.Equal(t, 2, h.backend.pending())
		other.send(set(1, "/a", big)[:10]) // its length is enough
		other.mustEnd()
		h.backend.commit(1)
		c.mustReply(wire.ReplyHeader{Xid: 1, Zxid: 1})
		other = h.join()
		other.send(append(set(1, "/a", big), get(2, big)...))
		other.mustEnd()
		h.backend.commit(h.backend.pending())
		for range 10 { // what is answered counts no more
			other = h.join()
			other.send(set(1, "/a", big))
			synctest.Wait()
			h.backend.commit(1)
			other.reply()
			other.send(append(get(2, big), set(3, "/a", "small")...))
			other.reply()
			require.NoError(t, other.Close())
			synctest.Wait()
			h.backend.commit(1)
		}
	})
}

func TestConnectionThrottle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{Throttle: front.Throttle{Tokens: 2, FillTime: time.Second, FreezeTime: -1}})
		h.join()
		h.join()
		c := h.dial()
		b, start := wire.BeginFrame(nil)
		c.send(wire.EndFrame((&wire.ConnectRequest{}).AppendJute(b), start))
		c.mustEnd()
		time.Sleep(time.Second)
		h.join()
	})
}

// TestMemoryIsPaidForFirst claims a thousand longest frames and sends next to nothing of them.
func TestMemoryIsPaidForFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		const conns = 1000
		clients := make([]*client, conns)
		for i := range clients {
			clients[i] = h.join()
		}
		grown := growth(func() {
			for _, c := range clients {
				c.send(append(jute.AppendInt32(nil, wire.DefaultMaxFrame), "some bytes"...))
			}
			synctest.Wait()
		})
		require.Less(t, grown, int64(conns*2<<10), "a claimed megabyte should cost next to nothing")
	})
}

// growth is by how many bytes the heap is larger after f.
func growth(f func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// TestBuffersShrink sends a lot at once and then little.
func TestBuffersShrink(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		h.backend.data["/big"] = make([]byte, 1_000_000)
		const conns = 20
		clients := make([]*client, conns)
		for i := range clients {
			clients[i] = h.join()
		}
		grown := growth(func() {
			for _, c := range clients {
				c.send(append(get(1, string(make([]byte, 1_000_000))), get(2, "/big")...))
				c.reply()
				c.reply()
			}
			for range 100 {
				for _, c := range clients {
					c.send(ping())
					c.reply()
				}
				time.Sleep(2 * time.Second)
			}
		})
		require.Less(t, grown, int64(conns*150<<10)) // most of it is the network's
	})
}

func TestStats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		h.backend.data["/a"] = []byte("1")
		start := time.Now()
		c := h.join()
		synctest.Wait()
		var conn *front.Conn
		for each := range h.server.Conns() {
			conn = each
		}
		st := conn.Stats()
		require.Equal(t, "SESS", st.LastOp)
		require.Equal(t, int32(-1), st.LastCxid)
		require.Equal(t, 1, st.Interest)
		require.True(t, start.Equal(st.Established))
		require.Equal(t, 10*time.Second, st.Timeout)
		require.Equal(t, conn.Remote().String(), st.Addr)

		c.send(get(1, "/a"))
		c.mustGet(1, "1")
		c.send(append(set(7, "/a", "2"), get(8, "/a")...))
		synctest.Wait()
		require.Equal(t, int64(2), conn.Stats().Queued)
		require.Equal(t, int64(2), h.server.Totals().Outstanding)
		time.Sleep(30 * time.Millisecond)
		h.backend.commit(1)
		c.mustReply(wire.ReplyHeader{Xid: 7, Zxid: 1})
		c.mustGet(8, "2")
		synctest.Wait()
		st = conn.Stats()
		require.Zero(t, st.Queued)
		require.Equal(t, int64(4), st.Received) // the handshake and three requests
		require.Equal(t, int64(4), st.Sent)
		require.Equal(t, "GETD", st.LastOp)
		require.Equal(t, int32(8), st.LastCxid)
		require.Equal(t, int64(1), int64(st.LastZxid))
		require.Equal(t, 30*time.Millisecond, st.LastLatency)
		require.Equal(t, front.Latency{Count: 3, Sum: 60, Min: 0, Max: 30}, st.Latency)
		require.InDelta(t, 20, st.Latency.Avg(), 0.001)

		total := h.server.Totals()
		require.Equal(t, st.Latency, total.Latency)
		require.Equal(t, int64(4), total.Received)
		require.Equal(t, int64(20), total.MinReply)
		require.Equal(t, int64(20+4+1+68), total.MaxReply)
		require.Equal(t, total.MaxReply, total.LastReply)

		conn.ResetStats()
		require.Zero(t, conn.Stats().Received)
		require.Equal(t, "NA", conn.Stats().LastOp)
		require.NoError(t, c.Close())
		synctest.Wait()
		require.Equal(t, int64(4), h.server.Totals().Received, "the server remembers who is gone")
		require.Equal(t, st.Latency, h.server.Totals().Latency)
		h.server.ResetStats()
		require.Equal(t, front.Totals{LastReply: -1, MinReply: -1, MaxReply: -1}, h.server.Totals())
	})
}
