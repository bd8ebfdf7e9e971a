package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/link"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// follower is a member that does not lead.
func (c *cluster) follower() *member {
	l := c.leader()
	for _, m := range c.members {
		if m != l {
			return m
		}
	}
	return nil
}

// isolate cuts a member off from all others, and unite heals that.
func (m *member) isolate() { m.others(m.net.Cut) }
func (m *member) unite()   { m.others(m.net.Heal) }

func (m *member) others(do func(from, to string)) {
	for _, o := range m.members {
		if o != m {
			do(m.host(), o.host())
			do(o.host(), m.host())
		}
	}
}

// write has n nodes made at a member.
func (m *member) write(what string, n int) {
	m.Helper()
	v := m.mustDial()
	for i := range n {
		v.mustCall(wire.OpCreate, &wire.CreateRequest{Path: fmt.Sprint("/", what, "-", i), Data: make([]byte, 5000), ACL: znode.OpenACL()})
	}
	require.NoError(m, v.CloseSession(m.Context()))
}

// loseTail leaves a leader with writes in its log that the others never hear of, and has these go on without it.
func (c *cluster) loseTail() *member {
	c.Helper()
	l := c.mustServe()
	v := l.mustDial()
	l.isolate()
	for i := range 5 {
		v.Send(wire.OpCreate, create(fmt.Sprint("/lost-", i), znode.ModePersistent))
	}
	require.NoError(c, v.Flush(c.Context()))
	for deadline := time.Now().Add(patience); ; time.Sleep(tick) {
		for _, m := range c.members {
			if s := m.running(); m != l && s.role() == replica.Leading && s.mode.Load()&1 == 1 {
				m.write("kept", 10)
				_ = v.Close()
				synctest.Wait() // its server knows that nobody waits for them any more, and asks for them no more
				return l
			}
		}
		require.True(c, time.Now().Before(deadline), "nobody else leads")
	}
}

// mustHaveOnly checks what became of loseTail.
func (c *cluster) mustHaveOnly(kept int) {
	c.Helper()
	c.mustServe()
	c.mustAgree()
	for _, m := range c.members {
		v := m.mustDial()
		n := 0
		for _, name := range v.children("/") {
			require.False(c, strings.HasPrefix(name, "lost-"), "server %d has what was never agreed on", m.id)
			if strings.HasPrefix(name, "kept-") {
				n++
			}
		}
		require.Equal(c, kept, n, "server %d", m.id)
		require.NoError(c, v.CloseSession(c.Context()))
	}
	require.Empty(c, c.ledger.never)
}

func TestPingWaitsUntilItsTouchIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		c.mustServe()
		m := c.follower()
		v := m.mustDial()
		v.mustCall(wire.OpPing, nil)
		m.isolate()
		time.Sleep(2 * tick)
		for range 2 {
			v.Send(wire.OpPing, nil)
			require.NoError(t, v.Flush(t.Context()))
		}
		ctx, cancel := context.WithTimeout(t.Context(), tick)
		defer cancel()
		_, err := v.Receive(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded, "a ping is answered by a server that its leader may have given up")
		require.Equal(t, replica.Following, m.running().role())
		m.unite()
		got, err := v.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, wire.OpPing, got.Op)
		for range 20 { // another answer would be one to nothing that is asked: the second ping was in the same wait
			time.Sleep(tick)
			v.mustCall(wire.OpExists, &wire.WatchRequest{Path: "/"})
		}
		require.Empty(t, v.Arrived())
	})
}

func TestPacketsWaitOutsideUntilTheCoreTakesThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		s := c.mustServe().running()
		var conn *link.Conn
		s.inCore(func() {
			for _, conn = range s.peers.conns {
			}
		})
		require.NotNil(t, conn)
		hold := make(chan struct{})
		go s.inCore(func() { <-hold }) // ends with hold
		synctest.Wait()
		var posted atomic.Int32
		flood := func() {
			for range 2 * peerRoom >> 20 {
				s.peers.Received(conn, []packet.Packet{{Type: packet.TypePing, Data: make([]byte, 1<<20)}})
				posted.Add(1)
			}
		}
		go flood() // ends when the server does
		synctest.Wait()
		require.LessOrEqual(t, posted.Load(), int32(peerRoom>>20+1))
		require.Greater(t, posted.Load(), int32(peerRoom>>20-2))
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }() // ends when the core goes on
		synctest.Wait()
		require.Equal(t, int32(2*peerRoom>>20), posted.Load(), "nobody waits for a server that ends")
		close(hold)
		require.NoError(t, <-closed)
	})
}

func TestSnapshotNobodyAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		c.mustServe()
		s := c.follower().running()
		var conn *link.Conn
		s.inCore(func() {
			for _, conn = range s.peers.conns {
			}
		})
		before := s.facts()
		require.ErrorIs(t, s.peers.Snapshot(conn, 1, nil, strings.NewReader("ZKSN")), errUnwanted)
		require.Equal(t, before, s.facts())
		require.NoError(t, s.Close())
		require.Error(t, s.peers.Snapshot(conn, 1, nil, strings.NewReader("ZKSN")), "nor of a server that has ended")
	})
}

// A tree that turns out to be wrong is read by nobody from that moment on: clients are gone before readers are let in again.
func TestNobodyReadsATreeThatDiverged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		l := c.mustServe()
		l.write("before", 1)
		f := c.follower()
		v := f.mustDial()
		v.mustCall(wire.OpSync, &wire.SyncRequest{Path: []byte("/")})
		writer := l.mustDial()
		v.mustCall(wire.OpSync, &wire.SyncRequest{Path: []byte("/")})
		s := f.running()
		var applied, why, read error
		s.inCore(func() {
			s.tree.Lock()
			var res tree.Result
			s.replica.Tree().Apply(&txn.Txn{
				Header: txn.Header{Zxid: s.replica.Tree().Zxid(), Type: wire.OpSetData},
				Body:   &txn.SetData{Path: "/before-0", Data: []byte("a bit has flipped"), Version: 1},
			}, &res)
			s.tree.Unlock()
			writer.Send(wire.OpCreate, &wire.CreateRequest{Path: "/after", ACL: znode.OpenACL()})
			applied = writer.Flush(t.Context())
			for !s.replica.Applicable() && applied == nil { // as the core does, but for applying
				time.Sleep(time.Millisecond)
				now := s.now()
				applied = s.completed(now)
				s.inMu.Lock()
				s.in, s.taken = s.taken, s.in
				s.inMu.Unlock()
				for i := range s.taken.peers {
					s.peers.take(&s.taken.peers[i], now)
				}
				s.taken.reset()
				s.perform(now)
			}
			if applied == nil {
				_, applied = s.applyBatch(s.now())
			}
			why = s.replica.Untrusted()
			ctx, cancel := context.WithTimeout(t.Context(), tick)
			defer cancel()
			_, read = v.Call(ctx, wire.OpGetData, &wire.WatchRequest{Path: "/before-0"})
		})
		require.NoError(t, applied)
		require.ErrorIs(t, why, replica.ErrDiverged)
		require.Error(t, read)
		require.NotErrorIs(t, read, context.DeadlineExceeded, "its connection is still there")
		c.mustServe()
		c.mustAgree()
		require.Equal(t, 1, c.ledger.count("the tree is not what a transaction's digest says"), "the operator is told")
		require.EqualValues(t, 1, view{s}.Ensemble().DigestMismatches)
	})
}

// forgetful is a cluster that brings whoever has missed a few transactions up to date with a snapshot.
func forgetful(c *Config) { c.Ensemble.History = 2 }

func TestLearnersWaitForTheirSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, dumpsMost, forgetful)
		l := c.mustServe()
		slow := append([]*member{c.follower()}, c.members[3:]...)
		for _, m := range slow {
			require.NoError(t, m.stop())
		}
		l.write("bulk", 100)
		for _, m := range slow {
			c.net.Delay(l.host(), m.host(), tick/2)
			m.mustStart()
		}
		waiting := 0
		v := l.mustDial()
		for range 60 {
			l.running().inCore(func() {
				if l.running().dump.sending.Load() == dumpsMost && len(l.running().dump.learners) > 0 {
					waiting++
				}
			})
			begun := time.Now()
			v.mustCall(wire.OpSetData, set("/bulk-0", "x"))
			require.Less(t, time.Since(begun), tick/10, "nobody who writes waits")
			time.Sleep(tick / 4)
		}
		require.Positive(t, waiting, "one waits while the others get their snapshots")
		c.net.Heal("", "")
		c.mustServe()
		require.GreaterOrEqual(t, c.ledger.count("snapshot taken over from the leader"), len(slow))
		require.NoError(t, v.CloseSession(t.Context()))
		c.mustAgree()
		require.Empty(t, c.ledger.never)
	})
}

func TestALearnerThatLeavesGivesItsDumpBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 1, forgetful)
		l := c.mustServe()
		gone, other := c.follower(), c.members[3]
		require.NoError(t, gone.stop())
		require.NoError(t, other.stop())
		l.write("bulk", 100)
		c.net.Delay(l.host(), gone.host(), tick)
		gone.mustStart()
		for l.running().dump.sending.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		other.mustStart()
		time.Sleep(tick)
		require.EqualValues(t, 1, l.running().dump.sending.Load(), "the other has got its own meanwhile")
		require.NoError(t, gone.stop()) // in the middle of it
		time.Sleep(tick)
		c.mustServe()
		require.Zero(t, l.running().dump.sending.Load())
		c.net.Heal("", "")
		gone.mustStart()
		c.mustServe()
		c.mustAgree()
		require.GreaterOrEqual(t, c.ledger.count("snapshot taken over from the leader"), 2)
	})
}

// trickle is a stranger who asks a leader for its tree and then reads 32 kB of it a second, until the connection ends.
func (m *member) trickle(ctx context.Context, id packet.ServerID) error {
	nc, err := m.net.DialFrom(ctx, fmt.Sprint("stranger-", id), m.host()+":2888")
	if err != nil {
		return err
	}
	defer nc.Close()
	info := packet.LearnerInfo{ServerID: id, Protocol: packet.Protocol}
	b := (&packet.Packet{Type: packet.TypeObserverInfo, Data: info.AppendJute(nil)}).AppendJute(nil)
	b = (&packet.Packet{Type: packet.TypeAckEpoch, Data: make([]byte, 4)}).AppendJute(b)
	if _, err := nc.Write(b); err != nil {
		return err
	}
	for b := make([]byte, 320); ; time.Sleep(10 * time.Millisecond) {
		if _, err := io.ReadFull(nc, b); err != nil {
			return err
		}
	}
}

// Who takes the tree so slowly that he never has all of it is in nobody's way for long, and not at all in that of the leader's own
// snapshots.
func TestStrangersThatReadSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, func(c *Config) {
			forgetful(c)
			c.SnapCount = 20
			c.Ensemble.InitLimit, c.Ensemble.SyncLimit = 100, 20 // so slow, and still not silent
		})
		l := c.mustServe()
		behind := c.follower()
		require.NoError(t, behind.stop())
		l.write("bulk", 400)
		var strangers sync.WaitGroup
		for i := range dumpsMost + 2 {
			strangers.Go(func() { require.Error(t, l.trickle(t.Context(), packet.ServerID(100+i))) }) // ends with its connection
		}
		for l.running().dump.sending.Load() < dumpsMost {
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		before := l.running().snapshots.timing().Count
		l.write("more", 100)
		synctest.Wait()
		require.Greater(t, l.running().snapshots.timing().Count, before)
		require.EqualValues(t, dumpsMost, l.running().dump.sending.Load())
		behind.mustStart()
		begun := time.Now()
		c.mustServe()
		require.Less(t, time.Since(begun), 2*(100+20)*tick, "twice initLimit and syncLimit")
		strangers.Wait()
		synctest.Wait()
		require.Zero(t, l.running().dump.sending.Load())
		c.mustAgree()
	})
}

func TestADumpForALinkThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		s := c.mustServe().running()
		for range 3 { // a dump that was not given back, or twice, would be in the way of the next
			s.inCore(func() {
				for _, conn := range s.peers.conns {
					conn.Close(nil)
					s.sendTree(conn)
					return
				}
			})
			synctest.Wait()
			require.Zero(t, s.dump.sending.Load())
			c.mustServe()
		}
		c.mustAgree()
	})
}

func TestLeaderIsLostWhileADiskHangsOverItsSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 5, 0, forgetful)
		l := c.mustServe()
		m := c.follower()
		require.NoError(t, m.stop())
		l.write("bulk", 50)
		hung := make(chan struct{})
		var once sync.Once
		m.drive.hangWhere(func(op disk.Op) bool {
			if op.Kind != disk.OpWrite || !strings.Contains(op.Path, "snapshot.") || m.running() == nil {
				return false
			}
			once.Do(func() { close(hung) })
			return true
		})
		m.mustStart()
		<-hung
		require.NoError(t, l.stop())
		time.Sleep(20 * tick) // the others elect another, who would send its own
		require.NoError(t, m.running().Err())
		require.Equal(t, "looking", m.running().Role(), "nobody can say what is on its disk, and it has no vote")
		m.drive.release()
		c.mustServe()
		l.mustStart()
		c.mustServe()
		c.mustAgree()
		require.Empty(t, c.ledger.never)
	})
}

func TestTailThatWasNeverAgreedOnIsCutOff(t *testing.T) {
	for name, restart := range map[string]bool{"while it runs": false, "and read again": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3, 0, nil)
				l := c.loseTail()
				if restart {
					require.NoError(t, l.stop())
					l.mustStart()
					require.NotNil(t, l.running().replica.Tree().Node("/lost-4"), "it is in its tree, for all it knows")
				}
				l.unite()
				c.mustHaveOnly(10)
			})
		})
	}
}

// TestHistoryIsNotTakenBackUnderASnapshot has a server told to cut its log, or to take over a leader's tree, while it writes
// a snapshot of its own on a disk that hangs.
func TestHistoryIsNotTakenBackUnderASnapshot(t *testing.T) {
	for name, change := range map[string]func(*Config){"cut": nil, "replaced": forgetful} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3, 0, func(c *Config) {
					if c.SnapCount = 30; change != nil {
						change(c)
					}
				})
				l := c.mustServe()
				l.drive.hangWhere(func(op disk.Op) bool {
					return op.Kind == disk.OpWrite && strings.Contains(op.Path, "snapshot.")
				})
				l.write("kept-early", 30)
				require.True(t, l.running().dump.writing())
				require.Same(t, l, c.loseTail())
				l.unite()
				time.Sleep(10 * tick)
				require.False(t, l.running().mode.Load()&1 == 1, "it serves with what is to be taken back")
				if change == nil {
					withheld := 0
					l.running().inCore(func() { withheld = len(l.running().withheld) })
					require.Positive(t, withheld)
				}
				require.NoError(t, l.running().Err())
				l.drive.release()
				c.mustHaveOnly(40)
				require.Equal(t, change != nil, c.ledger.count("snapshot taken over from the leader") > 0)
				before := c.mustAgree()
				require.NoError(t, l.stop())
				l.mustStart()
				c.mustServe()
				require.Equal(t, before, l.running().facts())
			})
		})
	}
}

func TestAFailingDiskEndsALeaderAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		l := c.mustServe()
		l.write("kept", 5)
		v := l.mustDial()
		broken := errors.New("input/output error")
		l.drive.fail(broken)
		v.Send(wire.OpCreate, create("/maybe", znode.ModePersistent))
		require.NoError(t, v.Flush(t.Context()))
		<-l.running().Done()
		require.ErrorIs(t, l.running().Err(), broken)
		_, err := v.Receive(t.Context())
		require.Error(t, err, "nothing is acknowledged after it")
		require.ErrorIs(t, l.stop(), broken)
		c.mustServe()
		c.follower().write("kept-late", 5)
		l.drive.fail(nil)
		l.mustStart()
		c.mustHaveOnly(10)
	})
}

func TestCloseWhileEverybodyAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		s := c.mustServe().running()
		var asking sync.WaitGroup
		for range 8 {
			asking.Go(func() {
				for s.Err() == nil {
					select {
					case <-s.stopping:
						return
					default:
					}
					ran := false
					s.inCore(func() { ran = true })
					_ = view{s}.Ensemble()
					_ = ran
					time.Sleep(time.Millisecond)
				}
			})
		}
		time.Sleep(tick)
		var closing sync.WaitGroup
		for range 2 {
			closing.Go(func() { _ = s.Close() })
		}
		closing.Wait()
		asking.Wait()
		require.NoError(t, s.Err())
	})
}

// TestCloseInEveryPhase closes a server a little later each time: while it looks, follows, takes over a tree, serves.
func TestCloseInEveryPhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, forgetful)
		l := c.mustServe()
		l.write("bulk", 40)
		roles := map[string]int{}
		for _, m := range c.members {
			c.net.Delay(m.host(), "", 3*time.Millisecond)
		}
		for i := range 16 {
			m := c.follower()
			require.NoError(t, m.stop())
			c.mustServe().write(fmt.Sprint("more-", i), 3)
			m.mustStart()
			time.Sleep(time.Duration(3*i) * time.Millisecond)
			roles[m.running().Role()]++
			require.NoError(t, m.stop())
			m.mustStart()
			c.mustServe()
		}
		require.Positive(t, roles["looking"], "%v", roles)
		require.Positive(t, roles["follower"], "%v", roles)
		c.mustAgree()
		require.NoError(t, c.members[0].stop())
		require.NoError(t, c.members[1].stop())
		require.NoError(t, c.members[2].stop())
		c.members[0].mustStart() // alone, it looks until it is closed
		time.Sleep(50 * tick)
		require.Equal(t, "looking", c.members[0].running().Role())
		require.NoError(t, c.members[0].stop())
		require.Zero(t, c.net.Connections())
	})
}

func TestAStartThatFailsLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		m := c.follower()
		twin := &member{cluster: c, id: 9, drive: m.drive}
		require.ErrorIs(t, twin.start(), disk.ErrLocked)
		for _, port := range []string{":2181", ":2888", ":3888"} {
			l, err := c.net.Listen(twin.host() + port)
			require.NoError(t, err, "the ports are free again")
			require.NoError(t, l.Close())
		}
		c.mustServe()
	})
}
