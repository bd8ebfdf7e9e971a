package ensembletest_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

// mustStop waits until a server has stopped by itself.
func mustStop(t testing.TB, s *ensembletest.Server) {
	t.Helper()
	select {
	case <-s.Done():
	case <-soon(t).Done():
		t.Fatalf("%v goes on", s)
	}
	require.Error(t, s.Err())
	require.False(t, s.Running())
}

// A server whose disk has failed stops, and acknowledges nothing it could not sync.
func TestFailNextSync(t *testing.T) {
	bubble(t, 1, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		s, c := e.Server(1), e.Connect(t)
		mustCreate(t, c, "/n", client.Persistent)
		s.FailNextSync()
		_, err := c.Set(without(t, time.Second), "/n", []byte("failed"), client.AnyVersion)
		require.ErrorIs(t, err, client.ErrUnknown)
		mustStop(t, s)
		require.ErrorIs(t, s.Err(), syscall.EIO)
		s.Crash(nil)
		mustRestart(t, s)
		require.NoError(t, s.Err())
		require.Equal(t, "/n", mustRead(t, c, "/n"))
		mustSet(t, c, "/n", "it fails once")
		s.FailNextSync()
		s.Kill()
		require.ErrorIs(t, s.Restart(soon(t)), syscall.EIO, "it syncs what it finds")
		require.Nil(t, s.Err())
		require.False(t, s.Running())
		mustRestart(t, s)
		require.Equal(t, "it fails once", mustRead(t, c, "/n"))

		s.FailNextSync()
		_, err = c.Set(without(t, time.Second), "/n", []byte("can be read"), client.AnyVersion)
		require.ErrorIs(t, err, client.ErrUnknown)
		mustStop(t, s)
		mustRestart(t, s)
		require.Equal(t, "can be read", mustRead(t, c, "/n"), "the system shows what it was not able to sync")
		s.Crash(nil)
		mustRestart(t, s)
		require.Equal(t, "can be read", mustRead(t, c, "/n"), "and what was read once is there for ever")
	})
}

// A power failure takes what the process had not synced also when that was killed before.
func TestCrashAfterKill(t *testing.T) {
	for _, crash := range []bool{false, true} {
		bubble(t, 1, nil, func(t *testing.T, e *ensembletest.Ensemble) {
			s, c := e.Server(1), e.Connect(t)
			mustCreate(t, c, "/n", client.Persistent)
			s.SlowDisk(time.Hour)
			_, err := c.Set(without(t, time.Second), "/n", []byte("not synced"), client.AnyVersion)
			require.ErrorIs(t, err, client.ErrUnknown)
			s.Kill()
			want := "not synced"
			if crash {
				s.Crash(nil)
				want = "/n"
			}
			s.SlowDisk(0)
			mustRestart(t, s)
			require.Equal(t, want, mustRead(t, c, "/n"))
		})
	}
}

// A leader whose disk has failed is followed by another one, which has all that was acknowledged; so is one whose disk is full.
func TestDiskOfALeader(t *testing.T) {
	for what, harm := range map[string]func(*ensembletest.Server){
		"failed": (*ensembletest.Server).FailNextSync,
		"full":   (*ensembletest.Server).FillDisk,
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, 3, nil, func(t *testing.T, e *ensembletest.Ensemble) {
				leader, c := e.Leader(), e.Follower().Connect(t)
				mustCreate(t, c, "/n", client.Persistent)
				harm(leader)
				acked := 0
				for acked < 200 && leader.Running() {
					data := append(fmt.Append(nil, acked+1), make([]byte, 4000)...)
					if _, err := c.Set(soon(t), "/n", data, client.AnyVersion); err != nil {
						require.ErrorIs(t, err, client.ErrUnknown)
						break
					}
					acked++
				}
				require.Less(t, acked, 100, "its log has 64 KiB; the others need not wait for it")
				mustStop(t, leader)
				require.NotEqual(t, leader, mustLead(t, e))
				found := 0
				_, _ = fmt.Sscan(mustRead(t, c, "/n"), &found)
				require.GreaterOrEqual(t, found, acked)
				mustSet(t, c, "/n", "without it")
				leader.FreeDisk()
				mustRestart(t, leader)
				mustCatchUp(t, e)
				require.Equal(t, "follower", leader.Role())
				require.Equal(t, "without it", mustRead(t, leader.Connect(t), "/n"))
			})
		})
	}
}

// A server alone refuses what it has no space for, and nobody loses a session over it.
func TestFillDisk(t *testing.T) {
	bubble(t, 1, nil, func(t *testing.T, e *ensembletest.Ensemble) {
		s, c, other := e.Server(1), e.Connect(t), e.Connect(t)
		mustCreate(t, c, "/n", client.Ephemeral)
		s.FillDisk()
		_, err := c.Set(soon(t), "/n", make([]byte, 60_000), client.AnyVersion)
		require.ErrorIs(t, err, client.ErrSystem, "it was refused")
		require.Equal(t, "/n", mustRead(t, c, "/n"))
		require.True(t, s.Running())
		s.Crash(nil)
		mustRestart(t, s)
		require.Equal(t, "/n", mustRead(t, other, "/n"), "it is connected again")
		_, err = other.Set(soon(t), "/n", make([]byte, 60_000), client.AnyVersion)
		require.ErrorIs(t, err, client.ErrSystem, "also after a restart")
		e.CutClient(c)
		time.Sleep(time.Hour)
		require.Equal(t, "/n", mustRead(t, other, "/n"), "the end of its session is a write, too")
		s.FreeDisk()
		mustCreate(t, other, "/m", client.Persistent)
		time.Sleep(2 * tick)
		_, there, err := other.Exists(soon(t), "/n")
		require.NoError(t, err)
		require.False(t, there)
	})
	onDisk := ensembletest.Start(t, 1, &ensembletest.Options{OnDisk: true}).Server(1)
	for _, harm := range []func(){onDisk.FailNextSync, onDisk.FillDisk, onDisk.FreeDisk} {
		require.Panics(t, harm)
	}
}
