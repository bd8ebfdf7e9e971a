package judge_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/judge"
)

// A trio is three voters (and room for an observer, 4) whose steps a test tells one by one.
type trio struct {
	*judge.Invariants
	t *testing.T
	h *judge.History
}

const session znode.SessionID = 0x77

// digest is that of a tree without nodes of anybody's: what the transactions here say it stays.
var digest = judge.NewModel(false).Digest()

func z(epoch, counter uint32) znode.Zxid { return znode.MakeZxid(epoch, counter) }

// payload is a transaction that changes no digest.
func payload(zxid znode.Zxid, typ wire.Op, body txn.Body) []byte {
	x := txn.Txn{Header: txn.Header{Session: session, Cxid: int32(zxid.Counter()), Zxid: zxid, Type: typ}, Body: body, Digest: digest, HasDigest: true}
	return x.AppendPayload(nil)
}

// plain is the transaction the tests use where it does not matter which: the session opens with the first of all.
func plain(zxid znode.Zxid) []byte {
	if zxid == z(1, 1) {
		return payload(zxid, wire.OpCreateSession, &txn.CreateSession{Timeout: 4000})
	}
	return payload(zxid, wire.OpError, &txn.Error{Code: znode.CodeNoNode})
}

// newTrio has server 1 lead epoch 1, and all serve.
func newTrio(t *testing.T) *trio {
	h := judge.NewHistory()
	y := &trio{judge.NewInvariants(h, judge.Rules{Voters: []int{1, 2, 3}, Tick: toyTick}), t, h}
	for id := 1; id <= 4; id++ {
		y.Start(0, id, judge.Boot{})
		y.Load(0, id, 0, digest)
	}
	y.elect(1, 1, 1, 2, 3, 4)
	return y
}

// elect has a server lead an epoch that those have saved.
func (y *trio) elect(leader int, epoch int64, by ...int) {
	for _, id := range by {
		y.AcceptEpoch(0, id, epoch)
		y.SaveEpoch(0, id, epoch)
	}
	y.Establish(0, leader, epoch)
	for _, id := range by {
		y.Serve(0, id)
	}
}

// log has servers log and sync a transaction.
func (y *trio) log(zxid znode.Zxid, by ...int) {
	for _, id := range by {
		y.Logged(0, id, zxid, plain(zxid))
		y.Synced(0, id, zxid)
	}
}

// agree is a whole write: logged by those, the leader first, committed and applied.
func (y *trio) agree(zxid znode.Zxid, by ...int) {
	y.log(zxid, by...)
	for _, id := range by {
		y.Ack(0, by[0], id, zxid)
	}
	for _, id := range by {
		y.Commit(0, id, zxid)
		y.Apply(0, id, zxid, digest)
	}
}

// TestInvariantsBearWhatIsRight goes through what a good ensemble does in bad times.
func TestInvariantsBearWhatIsRight(t *testing.T) {
	y := newTrio(t)
	y.agree(z(1, 1), 1, 2, 3)
	y.agree(z(1, 2), 1, 2) // 3 is behind
	y.log(z(1, 3), 1)      // the leader alone has this
	y.Logged(0, 1, z(1, 4), plain(z(1, 4)))
	y.Reply(0, 1, 10, z(1, 2))
	y.Event(0, 1, 10, z(1, 3))
	y.Reply(0, 1, 10, z(1, 0)+2)
	require.Len(t, y.Violations(), 1, "an event was ahead of that reply")

	y = newTrio(t)
	y.agree(z(1, 1), 1, 2, 3)
	y.agree(z(1, 2), 1, 2)
	y.log(z(1, 3), 1)
	y.Logged(0, 1, z(1, 4), plain(z(1, 4)))
	y.Stop(0, 1) // and loses 4
	y.Rest(0, 2)
	y.Rest(0, 3)

	y.AcceptEpoch(0, 2, 2)
	y.AcceptEpoch(0, 3, 2)
	y.log(z(1, 2), 3) // 2 leads and synchronises 3
	y.Commit(0, 3, z(1, 2))
	y.Apply(0, 3, z(1, 2), digest)
	y.SaveEpoch(0, 2, 2)
	y.SaveEpoch(0, 3, 2)
	y.Establish(0, 2, 2)
	y.Serve(0, 2)
	y.Serve(0, 3)
	y.agree(z(2, 1), 2, 3)

	y.Start(0, 1, judge.Boot{Accepted: 1, Current: 1, Last: z(1, 3)})
	y.Load(0, 1, z(1, 3), digest) // a tail of its own
	y.AcceptEpoch(0, 1, 2)
	y.Truncating(0, 1, z(1, 2))
	y.Stop(0, 1)
	y.Damage(1)
	y.Start(0, 1, judge.Boot{Untrusted: true}) // for another reason, which goes by itself
	y.Installing(0, 1, z(2, 1))
	y.Stop(0, 1)
	y.Start(0, 1, judge.Boot{Accepted: 2, Current: 1, Last: z(1, 2)})
	y.Load(0, 1, z(1, 2), digest)
	y.log(z(2, 1), 1)
	y.Apply(0, 1, z(2, 1), digest)
	y.SaveEpoch(0, 1, 2)
	y.Serve(0, 1)
	y.agree(z(2, 2), 2, 3, 1)

	y.Stop(0, 3)
	y.Damage(3)
	y.Start(0, 3, judge.Boot{Untrusted: true})
	y.Load(0, 3, 0, digest)
	y.AcceptEpoch(0, 3, 2)
	y.Installing(0, 3, z(2, 2))
	y.Installed(0, 3)
	y.Load(0, 3, z(2, 2), digest)
	y.SaveEpoch(0, 3, 2)
	y.Serve(0, 3)
	y.agree(z(2, 3), 2, 3)

	for _, accepted := range []int64{6, 2} { // a flip, and the same once more: what was there is there again
		y.Stop(0, 3)
		y.Damage(3)
		y.Start(0, 3, judge.Boot{Accepted: accepted, Current: 2, Last: z(2, 3), Untrusted: accepted == 6})
		y.Load(0, 3, z(2, 3), digest)
	}
	y.Bound(0, 3, "requests", 5, 5)
	require.Empty(t, y.Violations())
	require.Equal(t, 1, y.LeaderChanges())
	require.Equal(t, z(2, 3), y.Committed())
	require.Len(t, y.h.Txns, 5)
	require.Equal(t, 2, y.h.Txns[2].Leader)
}

// TestInvariantsFind takes one wrong step at a time, from the state in which z(1, 1) is agreed by all and z(1, 2) by 1 and 2.
func TestInvariantsFind(t *testing.T) {
	for _, c := range []struct {
		check, name string
		step        func(y *trio)
	}{
		{"A1", "two leaders of one epoch", func(y *trio) { y.Establish(0, 2, 1) }},
		{"A1", "an accepted epoch that falls", func(y *trio) { y.AcceptEpoch(0, 3, 0) }},
		{"A1", "a current epoch that falls", func(y *trio) { y.SaveEpoch(0, 3, 0) }},
		{"A1", "a current epoch that was not accepted", func(y *trio) { y.SaveEpoch(0, 3, 2) }},
		{"A1", "a current epoch below the one that was promised", func(y *trio) { y.AcceptEpoch(0, 3, 3); y.SaveEpoch(0, 3, 2) }},
		{"A1", "epochs that fall over a restart", func(y *trio) { y.Start(0, 2, judge.Boot{Accepted: 1, Last: z(1, 2)}) }},
		{"A1", "an epoch in the log that was not accepted", func(y *trio) {
			y.AcceptEpoch(0, 1, 2)
			y.AcceptEpoch(0, 2, 2)
			y.elect(1, 2, 1, 2)
			y.log(z(2, 1), 1)
			y.log(z(1, 2), 3)
			y.log(z(2, 1), 3)
		}},
		{"A1", "a tree of an epoch that is not the current one", func(y *trio) {
			y.elect(1, 2, 1, 2)
			y.agree(z(2, 1), 1, 2)
			y.AcceptEpoch(0, 3, 2)
			y.log(z(1, 2), 3)
			y.log(z(2, 1), 3)
			y.Apply(0, 3, z(1, 2), digest)
			y.Apply(0, 3, z(2, 1), digest)
			y.Serve(0, 3)
		}},
		{"A2", "one zxid, two transactions", func(y *trio) {
			y.log(z(1, 3), 1)
			y.log(z(1, 2), 3)
			y.Logged(0, 3, z(1, 3), payload(z(1, 3), wire.OpDelete, &txn.Delete{Path: "/a"}))
		}},
		{"A2", "a log nobody wrote", func(y *trio) { y.Start(0, 2, judge.Boot{Accepted: 1, Current: 1, Last: z(1, 9)}) }},
		{"A2", "a commit of what nobody proposed", func(y *trio) { y.Commit(0, 1, z(1, 9)) }},
		{"A2", "a commit of what it has not", func(y *trio) { y.log(z(1, 3), 1); y.Commit(0, 2, z(1, 3)) }},
		{"A2", "a truncation of what is committed", func(y *trio) { y.Truncating(0, 2, z(1, 1)) }},
		{"A2", "a truncation to what it never had", func(y *trio) { y.Truncating(0, 3, z(1, 2)) }},
		{"A2", "a snapshot that takes back what is committed", func(y *trio) { y.Installing(0, 2, z(1, 1)) }},
		{"A2", "a snapshot of what nobody proposed", func(y *trio) { y.Installing(0, 2, z(1, 7)) }},
		{"A2", "a tree its log does not lead to", func(y *trio) { y.Load(0, 3, z(1, 2), digest) }},
		{"A2", "a proposal that is no transaction", func(y *trio) { y.Logged(0, 1, z(1, 3), []byte{1, 2, 3}) }},
		{"A3", "a gap in the proposals", func(y *trio) { y.log(z(1, 4), 1) }},
		{"A3", "an epoch that does not begin with 1", func(y *trio) { y.elect(1, 2, 1, 2); y.log(z(2, 2), 1) }},
		{"A3", "a gap in a log", func(y *trio) { y.log(z(1, 3), 1); y.log(z(1, 3), 3) }},
		{"A3", "a gap in a tree", func(y *trio) {
			y.agree(z(1, 3), 1, 2)
			y.log(z(1, 2), 3)
			y.log(z(1, 3), 3)
			y.Apply(0, 3, z(1, 3), digest)
		}},
		{"A3", "a transaction applied twice", func(y *trio) { y.Apply(0, 2, z(1, 2), digest) }},
		{"A4", "a proposal by a follower", func(y *trio) { y.log(z(1, 3), 2) }},
		{"A4", "a proposal of a leader that was deposed", func(y *trio) { y.Depose(0, 1); y.log(z(1, 3), 1) }},
		{"A4", "a leader without all that is committed", func(y *trio) { y.elect(3, 2, 1, 3) }},
		{"A5", "a leader whose epoch no quorum has", func(y *trio) { y.elect(1, 2, 1, 4) }},
		{"A5", "an acknowledgement of what is not on disk", func(y *trio) {
			y.log(z(1, 3), 1)
			y.Logged(0, 2, z(1, 3), plain(z(1, 3)))
			y.Ack(0, 1, 2, z(1, 3))
		}},
		{"A5", "a vote of a server that does not believe its disk", func(y *trio) {
			y.Stop(0, 3)
			y.Damage(3)
			y.Start(0, 3, judge.Boot{Untrusted: true})
			y.Vote(0, 3, -1)
			y.Vote(0, 3, 0)
		}},
		{"A1", "an epoch that a flipped bit hid for a while, and is gone", func(y *trio) {
			y.AcceptEpoch(0, 3, 2)
			for _, accepted := range []int64{6, 1} { // the first is a flip, and not believed; the second is
				y.Stop(0, 3)
				y.Damage(3)
				y.Start(0, 3, judge.Boot{Accepted: accepted, Current: 1, Last: z(1, 2), Untrusted: accepted == 6})
			}
		}},
		{"A5", "an acknowledgement of what nobody proposed", func(y *trio) { y.Ack(0, 1, 2, z(1, 9)) }},
		{"A5", "a commit by a minority", func(y *trio) { y.log(z(1, 3), 1); y.Commit(0, 1, z(1, 3)) }},
		{"A5", "a commit that an observer makes a majority", func(y *trio) {
			y.log(z(1, 3), 1)
			for c := uint32(1); c <= 3; c++ {
				y.log(z(1, c), 4)
			}
			y.Commit(0, 1, z(1, 3))
		}},
		{"A5", "a commit before the disks have it", func(y *trio) {
			y.log(z(1, 3), 1)
			y.Logged(0, 2, z(1, 3), plain(z(1, 3)))
			y.Commit(0, 1, z(1, 3))
		}},
		{"A5", "a follower that commits before its leader", func(y *trio) { y.log(z(1, 3), 1, 2); y.Commit(0, 2, z(1, 3)) }},
		{"A5", "what was synced is gone after a crash", func(y *trio) {
			y.log(z(1, 3), 1, 2)
			y.Stop(0, 2)
			y.Start(0, 2, judge.Boot{Accepted: 1, Current: 1, Last: z(1, 2)})
		}},
		{"A5", "a damaged server that takes itself for whole", func(y *trio) {
			y.Stop(0, 2)
			y.Damage(2)
			y.Start(0, 2, judge.Boot{Accepted: 1, Current: 1, Last: z(1, 1)})
		}},
		{"A5", "more synced than logged", func(y *trio) { y.Synced(0, 3, z(1, 2)) }},
		{"A5", "the epoch on disk before the history", func(y *trio) {
			y.AcceptEpoch(0, 3, 2)
			y.Logged(0, 3, z(1, 2), plain(z(1, 2)))
			y.SaveEpoch(0, 3, 2)
		}},
		{"A5", "a tree ahead of the disk", func(y *trio) { y.Logged(0, 3, z(1, 2), plain(z(1, 2))); y.Apply(0, 3, z(1, 2), digest) }},
		{"A5", "a tree ahead of the commits", func(y *trio) { y.log(z(1, 3), 1, 2); y.Apply(0, 2, z(1, 3), digest) }},
		{"A5", "serving what is not committed", func(y *trio) {
			y.log(z(1, 3), 1, 2)
			y.Stop(0, 2)
			y.Start(0, 2, judge.Boot{Accepted: 1, Current: 1, Last: z(1, 3)})
			y.Load(0, 2, z(1, 3), digest)
			y.Serve(0, 2)
		}},
		{"A5", "an answer of what is not committed", func(y *trio) { y.log(z(1, 3), 1, 2); y.Reply(0, 1, 5, z(1, 3)) }},
		{"A5", "an answer without serving", func(y *trio) { y.Rest(0, 2); y.Reply(0, 2, 5, z(1, 1)) }},
		{"A6", "another digest than the transaction's", func(y *trio) {
			y.log(z(1, 2), 3)
			y.log(z(1, 3), 1)
			y.Apply(0, 3, z(1, 2), digest+1)
		}},
		{"A6", "another digest after loading", func(y *trio) {
			y.Stop(0, 2)
			y.Start(0, 2, judge.Boot{Accepted: 1, Current: 1, Last: z(1, 2)})
			y.Load(0, 2, z(1, 2), 5)
		}},
		{"A7", "a write of a closed session", func(y *trio) {
			y.commit(payload(z(1, 3), wire.OpCloseSession, &txn.CloseSession{}))
			y.commit(payload(z(1, 4), wire.OpDelete, &txn.Delete{Path: "/a"}))
		}},
		{"A7", "a session that opens twice", func(y *trio) { y.commit(payload(z(1, 3), wire.OpCreateSession, &txn.CreateSession{})) }},
		{"A7", "a closed session that keeps an ephemeral", func(y *trio) {
			y.commit(payload(z(1, 3), wire.OpCreate, &txn.Create{Path: "/e", Ephemeral: true}))
			y.commit(payload(z(1, 4), wire.OpCloseSession, &txn.CloseSession{}))
		}},
		{"A7", "a closed session that takes another's node", func(y *trio) {
			y.commit(payload(z(1, 3), wire.OpCreate, &txn.Create{Path: "/p"}))
			y.commit(payload(z(1, 4), wire.OpCloseSession, &txn.CloseSession{Paths: []string{"/p"}}))
		}},
		{"A8", "replies that fall", func(y *trio) { y.Reply(0, 1, 5, z(1, 2)); y.Reply(0, 1, 5, z(1, 1)) }},
		{"A8", "an event behind the reply that shows it", func(y *trio) { y.Reply(0, 1, 5, z(1, 2)); y.Event(0, 1, 5, z(1, 2)) }},
		{"A8", "events that fall", func(y *trio) { y.Event(0, 1, 5, z(1, 2)); y.Event(0, 1, 5, z(1, 1)) }},
		{"A9", "a queue beyond its bound", func(y *trio) { y.Bound(0, 1, "requests", 11, 10) }},
		{"A10", "a leader that is none any more and answers pings", func(y *trio) { // at zxids that are as good as any
			y.log(z(1, 2), 3)
			y.elect(2, 2, 2, 3)
			y.Pong(2*toyTick, 1)
			y.Pong(9*toyTick, 2)
			require.Empty(y.t, y.Violations())
			y.Pong(5*toyTick/2, 1)
		}},
		{"A10", "its observer that does", func(y *trio) {
			y.log(z(1, 2), 3)
			y.elect(2, 2, 2, 3)
			y.Pong(15*toyTick/4, 4)
			require.Empty(y.t, y.Violations())
			y.Pong(5*toyTick, 4)
		}},
	} {
		t.Run(c.check+"/"+c.name, func(t *testing.T) {
			y := newTrio(t)
			y.agree(z(1, 1), 1, 2, 3)
			y.agree(z(1, 2), 1, 2)
			require.Empty(t, y.Violations())
			c.step(y)
			require.NotEmpty(t, y.Violations())
			require.Equal(t, c.check, y.Violations()[0].Check, "%v", y.Violations())
			t.Log(y.Violations()[0])
		})
	}
}

// commit has 1 and 2 agree on a transaction.
func (y *trio) commit(b []byte) {
	head, err := txn.DecodeHeader(b)
	if err != nil {
		panic(err)
	}
	for id := 1; id <= 2; id++ {
		y.Logged(0, id, head.Zxid, b)
		y.Synced(0, id, head.Zxid)
	}
	y.Commit(0, 1, head.Zxid)
}
