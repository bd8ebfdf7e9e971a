package ensembletest_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

// A session that is ended is over at once, for its client and for everybody, and no other is.
func TestExpire(t *testing.T) {
	for _, n := range []int{1, 3} {
		bubble(t, n, nil, func(t *testing.T, e *ensembletest.Ensemble) {
			c, other := e.Server(1).Connect(t), e.Server(n).Connect(t)
			mustCreate(t, c, "/held", client.Ephemeral)
			mustCreate(t, other, "/kept", client.Ephemeral)
			_, _, gone, err := other.ExistsW(soon(t), "/held")
			require.NoError(t, err)
			session, kept := c.Session(), other.Session()
			time.Sleep(time.Hour)
			begun := time.Now()
			require.NoError(t, e.Expire(soon(t), c))
			_, there := e.Leader().Node("/held")
			require.False(t, there)
			_, err = gone.Wait(soon(t))
			require.NoError(t, err)
			<-session.Context().Done()
			require.Less(t, time.Since(begun), time.Second)
			require.ErrorIs(t, session.Err(), client.ErrSessionExpired)

			next, err := c.AwaitSession(soon(t))
			require.NoError(t, err)
			require.NotEqual(t, session, next)
			require.ErrorIs(t, e.ExpireSession(soon(t), session.ID()), ensembletest.ErrNoSession)
			require.Equal(t, kept, other.Session())
			require.Equal(t, "/kept", mustRead(t, c, "/kept"))
			if n > 1 {
				e.Partition([]int{1}, []int{2}, []int{3})
				require.ErrorIs(t, e.Expire(soon(t), c), ensembletest.ErrNoLeader)
			}
		})
	}
}

// A container goes when it is told to, one that is in use or was never used does not, and a node with time left does not either.
func TestSweep(t *testing.T) {
	for _, interval := range []time.Duration{0, -1} {
		opts := &ensembletest.Options{Server: ensemble.Options{TTLNodes: true, Containers: ensemble.Containers{CheckInterval: interval}}}
		bubble(t, 3, opts, func(t *testing.T, e *ensembletest.Ensemble) {
			c := e.Connect(t)
			for _, path := range []string{"/unused", "/inuse", "/outer", "/outer/inner"} {
				mustCreate(t, c, path, client.Container)
			}
			for _, path := range []string{"/inuse/n", "/outer/inner/n"} {
				mustCreate(t, c, path, client.Persistent)
			}
			require.NoError(t, c.Delete(soon(t), "/outer/inner/n", client.AnyVersion))
			_, err := c.Create(soon(t), "/ttl", nil, &client.CreateOptions{Mode: client.PersistentTTL, TTL: 10 * time.Second})
			require.NoError(t, err)
			begun := time.Now()
			for _, want := range []int{1, 1, 0} {
				found, err := e.Sweep(soon(t))
				require.NoError(t, err)
				require.Equal(t, want, found)
			}
			require.Less(t, time.Since(begun), time.Second, "it does not wait for a minute")
			nodes := e.Leader().Tree()
			require.Contains(t, nodes, "/unused")
			require.Contains(t, nodes, "/inuse")
			require.Contains(t, nodes, "/ttl")
			require.NotContains(t, nodes, "/outer")
			time.Sleep(11 * time.Second)
			found, err := e.Sweep(soon(t))
			require.NoError(t, err)
			require.Equal(t, 1, found)
			require.NotContains(t, e.Leader().Tree(), "/ttl")
			e.Partition([]int{1}, []int{2}, []int{3})
			_, err = e.Sweep(soon(t))
			require.ErrorIs(t, err, ensembletest.ErrNoLeader)
		})
	}
}

// Leadership goes where it is told to, while clients write; nothing of what they were told is lost, nor a session.
func TestTransferLeadership(t *testing.T) {
	for _, n := range []int{1, 3, 4, 6} {
		opts := &ensembletest.Options{}
		if n == 6 {
			opts.Observers = 1
		}
		bubble(t, n, opts, func(t *testing.T, e *ensembletest.Ensemble) {
			c := e.Connect(t)
			session := c.Session()
			mustCreate(t, c, "/n", client.Persistent)
			ctx, cancel := context.WithCancel(t.Context())
			var acked atomic.Int32
			done := make(chan struct{})
			go func() { // ends with ctx
				defer close(done)
				for ctx.Err() == nil {
					if _, err := c.Set(ctx, "/n", nil, client.AnyVersion); err == nil {
						acked.Add(1)
					}
					time.Sleep(time.Millisecond)
				}
			}()
			defer func() { cancel(); <-done }()
			voters := n - opts.Observers
			for round := range 2 * voters {
				to := 1 + (round*2+1)%voters
				begun := time.Now()
				require.NoError(t, e.TransferLeadership(soon(t), to))
				require.Equal(t, e.Server(to), e.Leader())
				require.Less(t, time.Since(begun), tick, "nobody has to wait for silence")
				for _, s := range e.Servers() {
					require.True(t, s.Running())
				}
			}
			cancel()
			<-done
			mustCatchUp(t, e)
			for _, s := range e.Servers() {
				node, _ := s.Node("/n")
				require.GreaterOrEqual(t, node.Stat.Version, acked.Load())
			}
			require.True(t, n == 1 || acked.Load() > int32(voters), "%d", acked.Load())
			require.Equal(t, session, c.Session())
			synctest.Wait()
			require.NoError(t, session.Err())
		})
	}
}

// It needs a majority besides the leader, and no more: one of five servers is down.
func TestTransferLeadershipAmongTheRest(t *testing.T) {
	bubble(t, 5, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		c := e.Connect(t)
		mustCreate(t, c, "/n", client.Persistent)
		var down *ensembletest.Server
		for _, s := range e.Servers() {
			if s != e.Leader() {
				s.Kill()
				down = s
				break
			}
		}
		for range 2 {
			for _, s := range e.Servers() {
				if s != down {
					require.NoError(t, e.TransferLeadership(soon(t), s.ID()))
					require.Equal(t, s, e.Leader())
				}
			}
		}
		mustRestart(t, down)
		mustCatchUp(t, e)
		leader := e.Leader()
		var others []int
		for _, s := range e.Servers() {
			if s != leader {
				others = append(others, s.ID())
			}
		}
		const refused = "would need the votes of 3 voters besides "
		e.Cut(leader.ID(), others[0])
		require.ErrorContains(t, e.TransferLeadership(soon(t), others[0]), refused+leader.String(), "it does not hear the leader")
		e.Cut(others[1], others[2])
		require.ErrorContains(t, e.TransferLeadership(soon(t), others[3]), refused+leader.String(), "there are three, which do not all hear each other")
		e.Heal()
		e.Cut(leader.ID(), others[0])
		require.NoError(t, e.TransferLeadership(soon(t), others[1]))
		require.Equal(t, others[1], e.Leader().ID())
		mustSet(t, c, "/n", "goes on")
		e.Heal()
		mustCatchUp(t, e)
		require.Equal(t, others[1], e.Leader().ID())
	})
}

// Where it cannot be done it is said, and nothing has happened.
func TestTransferLeadershipRefused(t *testing.T) {
	bubble(t, 4, &ensembletest.Options{Observers: 1}, func(t *testing.T, e *ensembletest.Ensemble) {
		leader := e.Leader()
		const refused = "cannot be transferred to server %d, which would need the votes of 2 voters besides"
		require.ErrorContains(t, e.TransferLeadership(soon(t), 4), fmt.Sprintf(refused, 4), "it is an observer")
		to := e.Follower().ID()
		e.CutFromLeader(to)
		require.ErrorContains(t, e.TransferLeadership(soon(t), to), fmt.Sprintf(refused, to))
		e.Heal()
		mustCatchUp(t, e)
		require.Equal(t, leader, e.Leader())
		leader.SlowDisk(time.Hour)
		e.Server(to).SlowDisk(time.Hour)
		require.ErrorIs(t, e.TransferLeadership(without(t, time.Minute), to), context.DeadlineExceeded)
		leader.SlowDisk(0)
		e.Server(to).SlowDisk(0)
	})
	bubble(t, 2, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		require.ErrorContains(t, e.TransferLeadership(soon(t), e.Follower().ID()), "would need the votes of 2 voters besides")
	})
}
