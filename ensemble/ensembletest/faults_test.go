package ensembletest_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

// Each fault does what it says, in virtual time: durations are exact. A tick is 3 s, a silent server is noticed after 5.
const (
	tick    = 3 * time.Second
	silence = 5 * tick
)

// without is a context that ends after d.
func without(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Whichever way a leader ends, another one is there at once, and the one that comes back has what was acknowledged.
func TestEnds(t *testing.T) {
	for how, end := range map[string]func(*ensembletest.Server){
		"stop":       func(s *ensembletest.Server) { _ = s.Stop() },
		"kill":       (*ensembletest.Server).Kill,
		"crash":      func(s *ensembletest.Server) { s.Crash(nil) },
		"torn":       func(s *ensembletest.Server) { s.Crash(rand.New(rand.NewPCG(1, 2))) },
		"stop again": func(s *ensembletest.Server) { _, _ = s.Stop(), s.Stop(); s.Kill() },
	} {
		t.Run(how, func(t *testing.T) {
			bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
				leader := e.Leader()
				c := e.Follower().Connect(t)
				mustCreate(t, c, "/n", client.Persistent)
				begun := time.Now()
				end(leader)
				require.False(t, leader.Running())
				require.Empty(t, leader.Role())
				require.NotEqual(t, leader, mustLead(t, e))
				require.Less(t, time.Since(begun), time.Second, "nobody has to wait for silence")
				mustSet(t, c, "/n", "without it")
				mustRestart(t, leader)
				mustCatchUp(t, e)
				require.Equal(t, "without it", mustRead(t, leader.Connect(t), "/n"))
				require.Equal(t, "follower", leader.Role())
			})
		})
	}
}

// Who is connected to a server notices how it ends: in order, or not.
func TestEndsOfConnections(t *testing.T) {
	bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		heard := func(end func()) error {
			conn, err := e.Dial(t.Context(), "tcp", e.Server(3).ConnectString())
			require.NoError(t, err)
			defer conn.Close()
			synctest.Wait() // until it is accepted
			end()
			_, err = conn.Read(make([]byte, 1))
			return err
		}
		require.Equal(t, io.EOF, heard(func() { require.NoError(t, e.Server(3).Stop()) }))
		for _, end := range []func(){e.Server(3).Kill, func() { e.Server(3).Crash(nil) }} {
			mustRestart(t, e.Server(3))
			require.ErrorIs(t, heard(end), syscall.ECONNRESET)
		}
	})
}

// All are lost at once, one way or another, in the middle of writes. What was acknowledged is there afterwards.
func TestAllCrash(t *testing.T) {
	for seed := range uint64(20) {
		bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
			r := rand.New(rand.NewPCG(seed, 0))
			c := e.Connect(t)
			mustCreate(t, c, "/n", client.Persistent)
			for _, s := range e.Servers() {
				s.SlowDisk(time.Duration(1+r.IntN(10)) * time.Millisecond)
			}
			ctx, cancel := context.WithCancel(t.Context())
			acked := make(chan int, 1)
			go func() { // ends with ctx
				for n := 1; ; n++ {
					if _, err := c.Set(ctx, "/n", fmt.Append(nil, n, strings.Repeat(" and more", 200)), client.AnyVersion); err != nil {
						acked <- n - 1
						return
					}
				}
			}()
			time.Sleep(time.Duration(r.IntN(200_000)) * time.Microsecond)
			for _, s := range e.Servers() {
				s.Crash(r)
			}
			cancel()
			last := <-acked
			for _, s := range e.Servers() {
				mustRestart(t, s)
			}
			mustCatchUp(t, e)
			found := 0
			_, _ = fmt.Sscan(mustRead(t, c, "/n"), &found) // nothing, before the first
			require.GreaterOrEqual(t, found, last, "seed %d", seed)
			require.LessOrEqual(t, found, last+1, "seed %d", seed)
		})
	}
}

// What kill -9 leaves a power failure takes, or tears: a write that was on its way to the disk. What was acknowledged both leave.
func TestCrashLosesWhatKillLeaves(t *testing.T) {
	lose := func(end func(*ensembletest.Server)) (left bool) {
		bubble(t, 1, nil, func(t *testing.T, e *ensembletest.Ensemble) {
			s, c := e.Server(1), e.Connect(t)
			mustCreate(t, c, "/n", client.Persistent)
			s.SlowDisk(time.Hour)
			_, err := c.Create(without(t, time.Second), "/m", []byte(strings.Repeat("more than a sector", 1000)), nil)
			require.ErrorIs(t, err, client.ErrUnknown)
			begun := time.Now()
			end(s)
			require.Zero(t, time.Since(begun), "the dead do not wait for a disk")
			require.Panics(t, s.Pause, "it does not run")
			s.SlowDisk(0)
			mustRestart(t, s)
			again := e.Connect(t)
			require.Equal(t, "/n", mustRead(t, again, "/n"))
			_, left, err = again.Exists(soon(t), "/m")
			require.NoError(t, err)
		})
		return left
	}
	require.True(t, lose((*ensembletest.Server).Kill))
	require.False(t, lose(func(s *ensembletest.Server) { s.Crash(nil) }))
	for seed := range uint64(10) {
		require.False(t, lose(func(s *ensembletest.Server) { s.Crash(rand.New(rand.NewPCG(seed, 0))) }), "of 35 sectors one is missing")
	}
	onDisk := ensembletest.Start(t, 1, &ensembletest.Options{OnDisk: true})
	s := onDisk.Server(1)
	require.Panics(t, func() { s.Crash(nil) })
	require.Panics(t, func() { s.SlowDisk(time.Second) })
	mustCreate(t, onDisk.Connect(t), "/n", client.Persistent)
	s.Kill()
	mustRestart(t, s)
	require.Equal(t, "/n", mustRead(t, onDisk.Connect(t), "/n"))
}

// A paused leader says nothing until the others give it up; when it goes on it must not believe that it still leads. Its clients keep
// their connections, and their answers come late.
func TestPause(t *testing.T) {
	bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		leader := e.Leader()
		c := e.Follower().Connect(t)
		mustCreate(t, c, "/n", client.Persistent)
		begun := time.Now()
		leader.Pause()
		leader.Pause()
		require.True(t, leader.Paused() && leader.Running())
		require.Nil(t, e.Leader())
		require.ErrorContains(t, e.WaitCaughtUp(without(t, time.Second)), "is paused leader")
		next := mustLead(t, e)
		require.NotEqual(t, leader, next)
		require.GreaterOrEqual(t, time.Since(begun), silence-tick, "it has not said goodbye")
		require.Less(t, time.Since(begun), silence+tick)
		mustSet(t, next.Connect(t), "/n", "meanwhile")
		require.Equal(t, "leader", leader.Role(), "it knows of nothing")
		leader.Resume()
		leader.Resume()
		mustCatchUp(t, e)
		require.Equal(t, "follower", leader.Role())
		require.Equal(t, "meanwhile", mustRead(t, leader.Connect(t), "/n"))
	})
	bubble(t, 1, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		c := e.Connect(t)
		session := c.Session()
		time.AfterFunc(2*time.Second, e.Server(1).Resume)
		e.Server(1).Pause()
		begun := time.Now()
		_, _, err := c.Get(soon(t), "/")
		require.NoError(t, err)
		require.Equal(t, 2*time.Second, time.Since(begun), "reads wait too")
		require.Equal(t, session, c.Session())
	})
	for how, end := range map[string]func(*ensembletest.Server){"stop": func(s *ensembletest.Server) { _ = s.Stop() }, "kill": (*ensembletest.Server).Kill} {
		bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
			leader := e.Leader()
			leader.Pause()
			end(leader)
			require.False(t, leader.Running() || leader.Paused(), how)
			mustLead(t, e)
			mustRestart(t, leader)
			mustCatchUp(t, e)
		})
	}
}

// The minority stops, the majority goes on, and after Heal all agree on what the majority did.
func TestPartition(t *testing.T) {
	bubble(t, 5, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		old := e.Leader()
		minority := []int{old.ID(), old.ID()%5 + 1}
		left := e.Server(minority[1])
		alone := old.Connect(t)
		mustCreate(t, alone, "/n", client.Persistent)
		begun := time.Now()
		e.Partition(minority)
		require.Nil(t, e.Leader(), "who has no majority does not lead, whatever it believes")
		require.Equal(t, "leader", old.Role())
		leader := mustLead(t, e)
		require.NotContains(t, minority, leader.ID())
		require.GreaterOrEqual(t, time.Since(begun), silence-tick)
		mustSet(t, leader.Connect(t), "/n", "majority")
		_, err := alone.Set(without(t, time.Minute), "/n", []byte("minority"), client.AnyVersion)
		require.Error(t, err)
		require.Equal(t, "looking", old.Role())
		require.Equal(t, "looking", left.Role())
		e.Heal()
		mustCatchUp(t, e)
		require.Equal(t, leader, e.Leader(), "it was not disturbed")
		require.Equal(t, "majority", mustRead(t, old.Connect(t), "/n"))

		e.Partition([]int{1}, []int{2}, []int{3}, []int{4, 5})
		_, err = e.WaitLeader(without(t, 10*time.Minute))
		require.ErrorContains(t, err, "nobody leads: 1 is looking")
		e.Partition([]int{1, 2, 3}, []int{4, 5})
		require.LessOrEqual(t, mustLead(t, e).ID(), 3)
		require.Panics(t, func() { e.Partition([]int{1, 2}, []int{2}) })
		require.Panics(t, func() { e.Partition([]int{6}) })
	})
}

// A server that hears nothing from the leader leaves it, though the leader hears all it says.
func TestCutOneWay(t *testing.T) {
	bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		leader, deaf := e.Leader(), e.Follower()
		c := leader.Connect(t)
		mustCreate(t, c, "/n", client.Persistent)
		mustCatchUp(t, e)
		was := deaf.Zxid()
		e.CutOneWay(leader.ID(), deaf.ID())
		mustSet(t, c, "/n", "unheard")
		require.Equal(t, "follower", deaf.Role())
		require.Equal(t, was, deaf.Zxid())
		time.Sleep(silence + tick)
		require.Equal(t, "looking", deaf.Role())
		require.Equal(t, leader, e.Leader())
		e.Heal()
		mustCatchUp(t, e)
		require.Equal(t, leader.Zxid(), deaf.Zxid())
	})
}

// A server that is not heard hears all the same.
func TestCutTheOtherWay(t *testing.T) {
	bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		leader, mute := e.Leader(), e.Follower()
		e.CutOneWay(mute.ID(), leader.ID())
		mustCreate(t, leader.Connect(t), "/n", client.Persistent)
		time.Sleep(time.Second)
		require.Equal(t, leader.Zxid(), mute.Zxid())
		require.Equal(t, "follower", mute.Role())
		time.Sleep(silence + tick)
		require.Equal(t, "looking", mute.Role(), "the leader has given it up")
	})
}

// Who is cut off from the leader alone follows nobody, and disturbs nobody; but it counts when the leader needs it.
func TestCutFromLeader(t *testing.T) {
	bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		leader, cut := e.Leader(), e.Follower()
		require.Nil(t, e.CutFromLeader(leader.ID()))
		require.Equal(t, leader, e.CutFromLeader(cut.ID()))
		time.Sleep(silence + tick)
		require.Equal(t, leader, e.Leader(), "it has a majority")
		require.Equal(t, "looking", cut.Role())
		other := e.Server(6 - leader.ID() - cut.ID())
		other.Kill()
		require.Nil(t, e.Leader())
		mustRestart(t, other)
		require.NotNil(t, mustLead(t, e))
		e.Heal()
		mustCatchUp(t, e)
	})
}

// A client that is cut off loses its session when its timeout is over, and its node goes; who is not cut off keeps it.
func TestCutClient(t *testing.T) {
	const timeout = 10 * time.Second
	opts := &ensembletest.Options{Client: client.Options{SessionTimeout: timeout}}
	bubble(t, 3, opts, func(t *testing.T, e *ensembletest.Ensemble) {
		holder, other, dialled := e.Connect(t), e.Connect(t), e.Connect(t)
		mustCreate(t, holder, "/held", client.Ephemeral)
		mustCreate(t, dialled, "/kept", client.Ephemeral)
		require.NoError(t, other.Sync(t.Context(), "/"))
		_, _, gone, err := other.ExistsW(t.Context(), "/held")
		require.NoError(t, err)
		session, begun := holder.Session(), time.Now()
		e.CutClient(holder)
		_, err = gone.Wait(soon(t))
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(begun), timeout-tick)
		require.Less(t, time.Since(begun), timeout+2*tick)
		<-session.Context().Done()
		e.Heal()
		next, err := holder.AwaitSession(soon(t))
		require.NoError(t, err)
		require.NotEqual(t, session, next)
		require.Equal(t, "/kept", mustRead(t, other, "/kept"))

		e.CutClient(dialled, 1, 2)
		time.Sleep(time.Hour)
		require.Equal(t, "/kept", mustRead(t, dialled, "/kept"), "it found the third one in time")
		require.Panics(t, func() { e.CutClient(new(client.Client)) })
	})
}

// What is delayed takes exactly as long, each way, and a slow follower does not hold up a majority.
func TestDelay(t *testing.T) {
	const d = 100 * time.Millisecond
	bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		took := func(c *client.Client) time.Duration {
			begun := time.Now()
			mustSet(t, c, "/n", "x")
			return time.Since(begun)
		}
		leader := e.Leader()
		c := leader.Connect(t)
		mustCreate(t, c, "/n", client.Persistent)
		require.Zero(t, took(c))
		e.DelayClient(c, d)
		require.Equal(t, 2*d, took(c))
		require.Zero(t, took(leader.Connect(t)), "it concerns one client only")
		e.DelayClient(c, 0)
		require.Zero(t, took(c))

		others := []int{leader.ID()%3 + 1, (leader.ID()+1)%3 + 1}
		e.Delay(leader.ID(), others[0], d)
		require.Zero(t, took(c), "one other is enough")
		e.Delay(others[1], leader.ID(), 2*d)
		require.Equal(t, d, took(c), "there to one, and back from it; the other one takes longer")
		begun := time.Now()
		mustCatchUp(t, e)
		require.GreaterOrEqual(t, time.Since(begun), d, "the first one has to hear that it is committed")
		e.Heal()
		time.Sleep(time.Second)
		require.Zero(t, took(c))
		require.Equal(t, leader, e.Leader())
	})
}

// A slow disk holds up who waits for it: a server alone, but not a majority without it.
func TestSlowDisk(t *testing.T) {
	for _, n := range []int{1, 3} {
		bubble(t, n, nil, func(t *testing.T, e *ensembletest.Ensemble) {
			c := e.Server(n).Connect(t) // of three one whose own disk is fast
			mustCreate(t, c, "/n", client.Persistent)
			e.Server(1).SlowDisk(time.Second)
			begun := time.Now()
			mustSet(t, c, "/n", "slowly")
			if n == 1 {
				require.Equal(t, time.Second, time.Since(begun))
			} else {
				require.Zero(t, time.Since(begun))
			}
			time.Sleep(2 * time.Second)
			e.Server(1).SlowDisk(0)
			begun = time.Now()
			mustSet(t, c, "/n", "fast")
			require.Zero(t, time.Since(begun))
		})
	}
}

// The leader may be the last to have what a majority without it has acknowledged: it is waited for, too.
func TestWaitCaughtUpWaitsForTheLeader(t *testing.T) {
	bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		leader, c := e.Leader(), e.Follower().Connect(t)
		mustCreate(t, c, "/n", client.Persistent)
		mustCatchUp(t, e)
		leader.SlowDisk(time.Second)
		mustSet(t, c, "/n", "acknowledged")
		n, _ := leader.Node("/n")
		require.Equal(t, "/n", string(n.Data))
		begun := time.Now()
		mustCatchUp(t, e)
		require.Greater(t, time.Since(begun), time.Second/2)
		n, _ = leader.Node("/n")
		require.Equal(t, "acknowledged", string(n.Data))
	})
}

// Connections that break come again, with the same session.
func TestDrop(t *testing.T) {
	bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		one, other := e.Connect(t), e.Connect(t)
		states := map[*client.Client]chan client.State{one: make(chan client.State, 100), other: make(chan client.State, 100)}
		for c, heard := range states {
			go func() { // ends when the client is closed
				for s := range c.States(context.Background()) {
					heard <- s.State
				}
			}()
		}
		synctest.Wait()
		lost := func(c *client.Client) (n int) {
			synctest.Wait()
			for len(states[c]) > 0 {
				if <-states[c] == client.StateSuspended {
					n++
				}
			}
			return n
		}
		mustCreate(t, one, "/e", client.Ephemeral)
		session := one.Session()
		e.Drop(one)
		require.Equal(t, "/e", mustRead(t, one, "/e"))
		require.Equal(t, []int{1, 0}, []int{lost(one), lost(other)})
		e.Drop()
		require.Equal(t, "/e", mustRead(t, one, "/e"))
		require.Equal(t, "/e", mustRead(t, other, "/e"))
		require.Equal(t, []int{1, 1}, []int{lost(one), lost(other)})
		require.Equal(t, session, one.Session())
	})

	var looking atomic.Int32
	hooks := ensemble.Hooks{RoleChanged: func(r ensemble.RoleChange) {
		if r.Role == "looking" {
			looking.Store(int32(r.Server))
		}
	}}
	bubble(t, 3, &ensembletest.Options{Server: ensemble.Options{Hooks: hooks}}, func(t *testing.T, e *ensembletest.Ensemble) {
		leader, follower := e.Leader(), e.Follower()
		looking.Store(0)
		e.DropBetween(leader.ID(), follower.ID())
		synctest.Wait()
		require.EqualValues(t, follower.ID(), looking.Load(), "it has lost its leader")
		mustCatchUp(t, e)
		require.Equal(t, leader, e.Leader())
	})
}

var minutes = flag.Int("minutes", 0, "how long TestLongWork works, in virtual minutes; 0: 6, with -short 2")

// A long time of work, 50 writes a second and a fault a minute. Every write that was acknowledged counts.
func TestLongWork(t *testing.T) {
	n, begun := *minutes, time.Now()
	switch {
	case n > 0:
	case testing.Short(): // as the race detector is run
		n = 2
	default:
		n = 6
	}
	bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		r := rand.New(rand.NewPCG(4, 4))
		c := e.Connect(t)
		mustCreate(t, c, "/n", client.Persistent)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*time.Minute)
		defer cancel()
		done := make(chan [2]int)
		go func() { // ends with ctx
			acked, unknown := 0, 0
			for again := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-again.C {
				if _, err := c.Set(ctx, "/n", nil, client.AnyVersion); err == nil {
					acked++
				} else {
					unknown++
				}
			}
			done <- [2]int{acked, unknown}
		}()
		for ctx.Err() == nil {
			harm(t, e, c, e.Server(1+r.IntN(3)), r)
			time.Sleep(time.Duration(r.IntN(40)) * time.Second)
			e.Heal()
			for _, s := range e.Servers() {
				s.Resume()
				s.FreeDisk()
				s.SlowDisk(0)
				if !s.Running() {
					mustRestart(t, s)
				}
			}
			mustCatchUp(t, e)
			time.Sleep(time.Duration(r.IntN(40)) * time.Second)
		}
		counts := <-done
		require.NoError(t, c.Sync(soon(t), "/n"))
		stat, _, err := c.Exists(soon(t), "/n")
		require.NoError(t, err)
		require.GreaterOrEqual(t, int(stat.Version), counts[0])
		require.LessOrEqual(t, int(stat.Version), counts[0]+counts[1])
		require.Greater(t, counts[0], n*1000)
		t.Logf("%d writes acknowledged, of %d nobody knows", counts[0], counts[1])
	})
	t.Logf("%d minutes took %v", n, time.Since(begun))
}

// harm does one of all there is.
func harm(t *testing.T, e *ensembletest.Ensemble, c *client.Client, s *ensembletest.Server, r *rand.Rand) {
	id, next := s.ID(), s.ID()%3+1
	faults := []func(){
		func() { require.NoError(t, s.Stop()) },
		s.Kill,
		func() { s.Crash(r) },
		s.Pause,
		func() { e.Partition([]int{id}) },
		func() { e.Cut(id, next) },
		func() { e.CutOneWay(id, next) },
		func() { e.CutFromLeader(id) },
		func() { e.Delay(id, next, time.Duration(r.IntN(5000))*time.Millisecond) },
		func() { e.DelayClient(c, time.Duration(r.IntN(500))*time.Millisecond) },
		func() { e.Drop(); e.DropBetween(id, next) },
		func() { e.Duplicate(id, next); e.Reorder(next, id); e.Leader().Kill() },
		func() { s.SlowDisk(time.Duration(r.IntN(2000)) * time.Millisecond) },
		s.FailNextSync,
		s.FillDisk,
		func() { s.Kill(); s.Crash(r) },
		func() { require.NoError(t, e.TransferLeadership(soon(t), id)) },
		func() { require.NoError(t, e.Expire(soon(t), c)) },
	}
	faults[r.IntN(len(faults))]()
}

// Real time, with small ticks: silence is noticed in a fifth of a second.
func TestRealTime(t *testing.T) {
	e := ensembletest.Start(t, 3, &ensembletest.Options{Server: ensemble.Options{TickTime: 40 * time.Millisecond, MaxSessionTimeout: time.Minute}})
	leader := e.Leader()
	c := e.Connect(t)
	mustCreate(t, c, "/n", client.Persistent)
	e.Partition([]int{leader.ID()})
	require.NotEqual(t, leader, mustLead(t, e))
	e.Heal()
	mustCatchUp(t, e)
	require.Equal(t, "/n", mustRead(t, leader.Connect(t), "/n"))
	leader.Pause()
	mustLead(t, e)
	leader.Resume()
	mustCatchUp(t, e)
}
