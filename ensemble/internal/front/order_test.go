package front_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/front"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// bubble runs a test in a bubble of its own.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func TestReadsAreAnsweredAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		h.backend.data["/a"] = []byte("1")
		c := h.join()
		c.send(append(get(1, "/a"), append(get(2, "/b"), ping()...)...))
		c.mustGet(1, "1")
		c.mustReply(wire.ReplyHeader{Xid: 2, Err: znode.CodeNoNode})
		c.mustReply(wire.ReplyHeader{Xid: wire.XidPing})
	})
}

func TestPingIsAnsweredAsPing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := serve(t, front.Options{}).join()
		c.send(ask(nil, 77, wire.OpPing, nil))
		c.mustReply(wire.ReplyHeader{Xid: wire.XidPing})
	})
}

func TestReadsWaitBehindOwnWritesOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		h.backend.data["/a"] = []byte("0")
		c, other := h.join(), h.join()
		c.send(append(set(1, "/a", "1"), append(get(2, "/a"), append(set(3, "/a", "3"), get(4, "/a")...)...)...))
		c.mustWait()
		other.send(get(1, "/a"))
		other.mustGet(1, "0")
		h.backend.commit(1)
		c.mustReply(wire.ReplyHeader{Xid: 1, Zxid: 1})
		c.mustGet(2, "1") // before the second write, which is not applied
		c.mustWait()
		h.backend.commit(1)
		c.mustReply(wire.ReplyHeader{Xid: 3, Zxid: 2})
		c.mustGet(4, "3")
	})
}

func TestReadBetweenTwoWritesOfOneBatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		c := h.join()
		c.send(append(set(1, "/a", "1"), append(get(2, "/a"), append(set(3, "/a", "3"), get(4, "/a")...)...)...))
		synctest.Wait()
		h.backend.commit(2)
		c.mustReply(wire.ReplyHeader{Xid: 1, Zxid: 1})
		c.mustGet(2, "1")
		c.mustReply(wire.ReplyHeader{Xid: 3, Zxid: 2})
		c.mustGet(4, "3")
	})
}

// TestWriteBehindReadsNobodyHasRunYet sends a write between Complete, which leaves a read to the connection, and Wake.
func TestWriteBehindReadsNobodyHasRunYet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		h.backend.data["/a"] = []byte("0")
		c := h.join()
		c.send(append(set(1, "/a", "1"), get(2, "/a")...))
		synctest.Wait()
		var conn *front.Conn
		for each := range h.server.Conns() {
			conn = each
		}
		h.backend.waiting = nil
		h.backend.data["/a"] = []byte("1")
		require.True(t, conn.Complete(wire.AppendErrorFrame(nil, wire.ReplyHeader{Xid: 1, Zxid: 1})))
		h.backend.eager = true
		c.send(set(3, "/a", "3"))
		synctest.Wait()
		conn.Wake()
		c.mustReply(wire.ReplyHeader{Xid: 1, Zxid: 1})
		c.mustGet(2, "1")
		c.mustReply(wire.ReplyHeader{Xid: 3, Zxid: 1})
	})
}

func TestEventLeavesBeforeTheAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		h.backend.data["/a"] = []byte("0")
		c, other := h.join(), h.join()
		for _, each := range []*client{c, other} {
			each.send(ask(nil, 1, wire.OpGetData, &wire.WatchRequest{Path: "/a", Watch: true}))
			each.mustGet(1, "0")
		}
		c.send(set(2, "/a", "1"))
		synctest.Wait()
		h.backend.commit(1)
		for _, each := range []*client{c, other} {
			head, d := each.reply()
			require.Equal(t, wire.ReplyHeader{Xid: wire.XidNotification, Zxid: 1}, head)
			var e wire.WatcherEvent
			e.DecodeJute(&d)
			require.Equal(t, wire.WatcherEvent{Type: znode.EventDataChanged, State: wire.StateSyncConnected, Path: "/a"}, e)
		}
		c.mustReply(wire.ReplyHeader{Xid: 2, Zxid: 1})
	})
}

func TestWakeIsAskedForOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		c := h.join()
		c.send(append(set(1, "/a", "1"), set(2, "/a", "2")...))
		synctest.Wait()
		var conn *front.Conn
		for each := range h.server.Conns() {
			conn = each
		}
		reply := wire.AppendErrorFrame(nil, wire.ReplyHeader{})
		require.True(t, conn.Complete(reply))
		require.False(t, conn.Notify(reply))
		require.False(t, conn.Complete(reply))
		c.mustWait()
		conn.Wake()
		for range 3 {
			c.mustReply(wire.ReplyHeader{})
		}
		require.True(t, conn.Notify(reply))
		require.Panics(t, func() { conn.Complete(reply) }, "there is nothing to complete")
		conn.Close()
		require.False(t, conn.Notify(reply))
		require.False(t, conn.Complete(reply), "nothing happens to a closed connection")
		conn.Wake()
	})
}

// TestAnyMixIsAnsweredAsIfOneByOne sends random requests, cut at random, and commits at random moments. Answers must come in the
// order of the requests, and say what they would if each had been sent after the answer to the one before.
func TestAnyMixIsAnsweredAsIfOneByOne(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ops := rapid.SliceOfN(rapid.SampledFrom([]string{"get", "get", "set", "ping", "bad set", "auth"}), 1, 80).Draw(rt, "ops")
		cuts := rapid.SliceOfN(rapid.IntRange(1, 400), 1, 10).Draw(rt, "cuts")
		commits := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 10).Draw(rt, "commits")
		o := front.Options{
			MaxLane:        rapid.IntRange(1, 50).Draw(rt, "lane"),
			MaxOutstanding: rapid.IntRange(1, 50).Draw(rt, "outstanding"),
			MaxOutput:      rapid.IntRange(200, 4000).Draw(rt, "output"),
		}
		synctest.Test(t, func(t *testing.T) {
			h := serve(t, o)
			h.backend.data["/a"] = []byte("start")
			c := h.join()
			var bytes []byte
			for i, op := range ops {
				xid := int32(i + 1)
				switch op {
				case "get":
					bytes = append(bytes, get(xid, "/a")...)
				case "set":
					bytes = append(bytes, set(xid, "/a", fmt.Sprint(xid))...)
				case "ping":
					bytes = append(bytes, ping()...)
				case "bad set":
					bytes = append(bytes, ask(nil, xid, wire.OpSetData, &wire.PathRequest{Path: "/a"})...)
				case "auth":
					bytes = append(bytes, ask(nil, wire.XidAuth, wire.OpAuth, &wire.AuthRequest{Scheme: "digest", Auth: []byte("u")})...)
				}
			}
			done := make(chan struct{})
			go func() { // ends when all is sent
				defer close(done)
				for i := 0; len(bytes) > 0; i++ {
					n := min(len(bytes), cuts[i%len(cuts)])
					if _, err := c.Write(bytes[:n]); err != nil {
						return
					}
					bytes = bytes[n:]
					synctest.Wait()
					h.backend.commit(min(h.backend.pending(), commits[i%len(commits)]))
				}
				for {
					synctest.Wait()
					n := h.backend.pending()
					if n == 0 {
						return
					}
					h.backend.commit(min(n, 1+commits[0]))
				}
			}()
			value := "start"
			for i, op := range ops {
				xid := int32(i + 1)
				switch op {
				case "get":
					c.mustGet(xid, value)
				case "set":
					value = fmt.Sprint(xid)
					head, _ := c.reply()
					require.Equal(t, xid, head.Xid)
					require.Equal(t, znode.CodeOK, head.Err)
				case "ping":
					head, _ := c.reply()
					require.Equal(t, wire.XidPing, head.Xid)
				case "bad set":
					head, _ := c.reply()
					require.Equal(t, xid, head.Xid)
					require.Equal(t, znode.CodeMarshallingError, head.Err)
				case "auth":
					c.mustReply(wire.ReplyHeader{Xid: wire.XidAuth})
				}
			}
			<-done
			require.NoError(t, c.Close())
		})
	})
}

func TestAuthCountsWhenReadAndIsAnsweredInTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		c := h.join()
		auth := &wire.AuthRequest{Scheme: "digest", Auth: []byte("bob")}
		b := set(1, "/a", "1")
		b = ask(b, 2, wire.OpAuth, auth) // go-zookeeper uses ordinary xids here
		b = ask(b, 3, wire.OpSetData, &wire.SetDataRequest{Path: "/a", Data: []byte("3"), Version: -1})
		c.send(b)
		c.mustWait()
		synctest.Wait()
		require.Equal(t, []znode.ID{{Scheme: "ip", Name: "10.0.0.1"}}, h.backend.waiting[0].IDs)
		bob := []znode.ID{{Scheme: "ip", Name: "10.0.0.1"}, {Scheme: "digest", Name: "bob"}}
		require.Equal(t, bob, h.backend.waiting[1].IDs)
		for conn := range h.server.Conns() {
			require.Equal(t, bob, conn.IDs())
		}
		h.backend.commit(2)
		c.mustReply(wire.ReplyHeader{Xid: 1, Zxid: 1})
		c.mustReply(wire.ReplyHeader{Xid: 2})
		c.mustReply(wire.ReplyHeader{Xid: 3, Zxid: 2})
	})
}

func TestFailedAuthIsAnsweredThenTheConnectionEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		c := h.join()
		b := set(1, "/a", "1")
		b = ask(b, wire.XidAuth, wire.OpAuth, &wire.AuthRequest{Scheme: "kerberos"})
		b = append(b, set(3, "/a", "3")...)
		c.send(b)
		c.mustWait()
		require.Equal(t, 1, h.backend.pending(), "what comes after is not for us")
		h.backend.commit(1)
		c.mustReply(wire.ReplyHeader{Xid: 1, Zxid: 1})
		c.mustReply(wire.ReplyHeader{Xid: wire.XidAuth, Err: znode.CodeAuthFailed})
		c.mustEnd()
		require.Equal(t, int64(1), h.server.Totals().AuthFailures)
	})
}

func TestSASLIsAnsweredWithoutAToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := serve(t, front.Options{}).join()
		c.send(ask(nil, 1, wire.OpSASL, &wire.SASLToken{Token: []byte("x")}))
		head, d := c.reply()
		require.Equal(t, wire.ReplyHeader{Xid: 1}, head)
		require.Nil(t, d.Buffer())
		require.NoError(t, d.Err())
	})
}

func TestEnforcedAuthentication(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serveFor(t, front.Options{}, register{required: "digest"})
		c := h.join()
		c.send(ask(nil, 1, wire.OpAuth, &wire.AuthRequest{Scheme: "digest", Auth: []byte("bob")}))
		c.mustReply(wire.ReplyHeader{Xid: 1})
		c.send(ping())
		c.mustReply(wire.ReplyHeader{Xid: wire.XidPing})

		for _, first := range [][]byte{ping(), get(9, "/a"), set(9, "/a", "1")} {
			c = h.join()
			c.send(append(first, get(10, "/a")...))
			head, _ := c.reply()
			require.Equal(t, znode.CodeSessionClosedRequireSASL, head.Err)
			require.Zero(t, head.Zxid)
			c.mustEnd()
		}
		require.Zero(t, h.backend.pending())
	})
}

func TestCloseSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		c := h.join()
		c.send(append(ask(set(1, "/a", "1"), 2, wire.OpCloseSession, nil), set(3, "/a", "3")...))
		c.mustWait()
		require.Equal(t, 2, h.backend.pending(), "what comes after closeSession is not for us")
		h.backend.commit(2)
		c.mustReply(wire.ReplyHeader{Xid: 1, Zxid: 1})
		c.mustReply(wire.ReplyHeader{Xid: 2, Zxid: 2})
		c.mustEnd()
		time.Sleep(5 * time.Second)
		require.Zero(t, h.server.Totals().Connections, "a client that does not hang up is not waited for")
	})
}

func TestCloseEndsConnectAndLosesNothingElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		c, other := h.join(), h.join()
		c.send(set(1, "/a", "1"))
		synctest.Wait()
		for conn := range h.server.Conns() {
			if conn.Session() == 1 {
				conn.Close()
			}
		}
		c.mustEnd()
		h.backend.commit(1)
		other.send(get(1, "/a"))
		other.mustGet(1, "1")
		synctest.Wait()
		require.Equal(t, 1, h.backend.gone[1])
	})
}

func TestUnknownOpsEndTheConnection(t *testing.T) {
	for _, op := range []wire.Op{wire.OpNotification, wire.OpCheck, wire.OpDeleteContainer, wire.OpCreateSession, wire.OpError, 10, 99, -99, 1 << 30} {
		bubble(t, func(t *testing.T) {
			h := serve(t, front.Options{})
			c := h.join()
			c.send(append(ask(set(1, "/a", "1"), 5, op, &wire.PathRequest{Path: "/a"}), set(6, "/a", "6")...))
			synctest.Wait()
			require.Equal(t, 1, h.backend.pending(), "what comes after is not for us")
			h.backend.commit(1)
			c.mustReply(wire.ReplyHeader{Xid: 1, Zxid: 1})
			c.mustReply(wire.ReplyHeader{Xid: 5, Zxid: -1, Err: znode.CodeUnimplemented})
			c.mustEnd()
		})
	}
}

func TestUndecodableWriteTakesNoPartInTheOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		c := h.join()
		b := set(1, "/a", "1")
		for i, op := range []wire.Op{wire.OpCreate, wire.OpDelete, wire.OpSetData, wire.OpSetACL, wire.OpMulti, wire.OpReconfig, wire.OpCreateTTL} {
			b = ask(b, int32(i+2), op, &wire.CountResponse{Count: 1 << 30})
		}
		c.send(append(b, set(9, "/a", "9")...))
		synctest.Wait()
		require.Equal(t, 2, h.backend.pending())
		h.backend.commit(1)
		c.mustReply(wire.ReplyHeader{Xid: 1, Zxid: 1})
		for xid := range int32(7) {
			c.mustReply(wire.ReplyHeader{Xid: xid + 2, Zxid: 1, Err: znode.CodeMarshallingError})
		}
		c.mustWait()
		h.backend.commit(1)
		c.mustReply(wire.ReplyHeader{Xid: 9, Zxid: 2})
	})
}

func TestWritesOwnTheirBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := serve(t, front.Options{})
		c := h.join()
		c.send(set(1, "/a", "first"))
		synctest.Wait()
		for xid := range int32(100) {
			c.send(get(xid+2, "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"))
		}
		synctest.Wait()
		h.backend.commit(1)
		require.Equal(t, "first", string(h.backend.data["/a"]))
	})
}

func TestPanicEndsItsConnectionOnly(t *testing.T) {
	// The three places where a read runs: on the reader, on the writer behind a write, and between two writes.
	for name, requests := range map[string][]byte{
		"reader":  get(1, "/panic"),
		"writer":  append(set(1, "/a", "1"), get(2, "/panic")...),
		"between": append(set(1, "/a", "1"), append(get(2, "/panic"), set(3, "/a", "3")...)...),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := serve(t, front.Options{})
				h.backend.data["/a"] = []byte("0")
				h.backend.onAnswer = func(r *request.Request) {
					if len(r.Body) > 10 {
						panic("a bug")
					}
				}
				c, other := h.join(), h.join()
				c.send(requests)
				synctest.Wait()
				h.backend.commit(h.backend.pending())
				require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Second)))
				for _, err := c.Read(make([]byte, 100)); err == nil; _, err = c.Read(make([]byte, 100)) {
				}
				c.mustEnd()
				other.send(append(set(1, "/a", "5"), get(2, "/a")...))
				synctest.Wait()
				h.backend.commit(1)
				other.mustReply(wire.ReplyHeader{Xid: 1, Zxid: h.backend.zxid})
				other.mustGet(2, "5")
			})
		})
	}
}
