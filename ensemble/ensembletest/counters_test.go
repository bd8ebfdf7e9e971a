package ensembletest_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

// After the highest number comes the lowest, on all servers, whoever leads, and after a restart.
func TestSetSequence(t *testing.T) {
	for _, n := range []int{1, 3} {
		bubble(t, n, nil, func(t *testing.T, e *ensembletest.Ensemble) {
			c := e.Connect(t)
			mustCreate(t, c, "/q", client.Persistent)
			mustCreate(t, c, "/e", client.Ephemeral)
			next := func() string {
				path, err := c.Create(soon(t), "/q/", nil, &client.CreateOptions{Mode: client.PersistentSequential})
				require.NoError(t, err)
				return path
			}
			require.Equal(t, "/q/0000000000", next())
			_, _, children, err := c.ChildrenW(soon(t), "/q")
			require.NoError(t, err)
			require.NoError(t, e.SetSequence(soon(t), "/q", math.MaxInt32-1))
			_, err = children.Wait(soon(t))
			require.NoError(t, err)
			require.Equal(t, "/q/2147483646", next())
			require.Equal(t, "/q/2147483647", next())
			leader := e.Leader()
			leader.Kill()
			if n > 1 {
				mustLead(t, e)
			}
			mustRestart(t, leader)
			mustCatchUp(t, e)
			require.Equal(t, "/q/-2147483648", next())
			require.Equal(t, "/q/-2147483647", next())
			names, stat, err := c.Children(soon(t), "/q")
			require.NoError(t, err)
			require.Len(t, names, 5)
			require.Equal(t, 5, stat.NumChildren)

			for path, to := range map[string]int32{"/none": 5, "/e": 5, "/q": 0, "/": 1, "": -5} {
				require.Error(t, e.SetSequence(soon(t), path, to), path)
			}
			require.NoError(t, e.SetSequence(soon(t), "/", 1000))
			path, err := c.Create(soon(t), "/s-", nil, &client.CreateOptions{Mode: client.EphemeralSequential})
			require.NoError(t, err)
			require.Equal(t, "/s-0000001000", path)
			mustCatchUp(t, e)
			for _, s := range e.Servers() {
				require.Equal(t, e.Server(1).Tree(), s.Tree())
				require.NoError(t, s.Err(), "the digests hold")
			}
			if n > 1 {
				e.Partition([]int{1}, []int{2}, []int{3})
				require.ErrorIs(t, e.SetSequence(soon(t), "/q", 5), ensembletest.ErrNoLeader)
			}
		})
	}
}

// After the highest version comes the lowest, and after the last before none at all the one that no request can ask for.
func TestSetVersion(t *testing.T) {
	for _, n := range []int{1, 3} {
		bubble(t, n, nil, func(t *testing.T, e *ensembletest.Ensemble) {
			c := e.Connect(t)
			mustCreate(t, c, "/n", client.Persistent)
			_, _, changed, err := c.GetW(soon(t), "/n")
			require.NoError(t, err)
			require.NoError(t, e.SetVersion(soon(t), "/n", []byte("much"), math.MaxInt32))
			_, err = changed.Wait(soon(t))
			require.NoError(t, err)
			data, before, err := c.Get(soon(t), "/n")
			require.NoError(t, err)
			require.Equal(t, "much", string(data))
			require.EqualValues(t, math.MaxInt32, before.Version)
			after, err := c.Set(soon(t), "/n", []byte("more"), before.Version)
			require.NoError(t, err)
			require.EqualValues(t, math.MinInt32, after.Version)

			require.NoError(t, e.SetVersion(soon(t), "/n", []byte("last"), -2))
			leader := e.Leader()
			leader.Kill()
			if n > 1 {
				mustLead(t, e)
			}
			mustRestart(t, leader)
			mustCatchUp(t, e)
			for _, v := range []int32{-1, 0, 1} {
				after, err = c.Set(soon(t), "/n", []byte("on"), v-1)
				require.NoError(t, err)
				require.Equal(t, v, after.Version)
			}
			require.NoError(t, e.SetVersion(soon(t), "/", []byte("of all"), 7))
			require.Error(t, e.SetVersion(soon(t), "/none", nil, 1))
			mustCatchUp(t, e)
			for _, s := range e.Servers() {
				require.Equal(t, e.Server(1).Tree(), s.Tree())
				require.NoError(t, s.Err(), "the digests hold")
			}
		})
	}
}

// When an epoch has no zxid left the next one begins; clients wait a little, and lose nothing.
func TestEpochLength(t *testing.T) {
	const length, writes = 10, 35
	opts := &ensembletest.Options{EpochLength: length}
	bubble(t, 3, opts, func(t *testing.T, e *ensembletest.Ensemble) {
		c := e.Connect(t)
		session := c.Session()
		mustCreate(t, c, "/n", client.Ephemeral)
		begun, first := time.Now(), e.Leader().Zxid()>>32
		for range writes {
			mustSet(t, c, "/n", "x")
		}
		synctest.Wait()
		mustCatchUp(t, e)
		n, _ := e.Server(1).Node("/n")
		require.EqualValues(t, writes, n.Stat.Version, "each once")
		require.Less(t, time.Since(begun), 10*time.Second, "nobody waits for silence")
		require.EqualValues(t, first+(writes+2)/length, e.Leader().Zxid()>>32)
		require.Equal(t, session, c.Session())
		require.NoError(t, session.Err())
		for _, s := range e.Servers() {
			s.Kill()
		}
		for _, s := range e.Servers() {
			mustRestart(t, s)
		}
		mustCatchUp(t, e)
		require.Equal(t, "x", mustRead(t, c, "/n"))
	})
	_, err := ensembletest.New(t.Context(), 1, opts)
	require.ErrorContains(t, err, "which has no epochs")
}
