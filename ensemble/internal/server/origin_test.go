package server

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// empty removes all that a stopped server has written, but for what stands beside version-2.
func (m *member) empty() {
	m.Helper()
	names, err := m.drive.fs.ReadDir("data/version-2")
	require.NoError(m, err)
	require.NotEmpty(m, names)
	for _, name := range names {
		require.NoError(m, m.drive.fs.Remove(filepath.Join("data/version-2", name)))
	}
}

// mustLookOn waits for a while in which none of some members may serve.
func (c *cluster) mustLookOn(members ...*member) {
	c.Helper()
	for range 60 {
		time.Sleep(tick)
		for _, m := range members {
			require.Equal(c, "looking", m.running().Role(), "server %d", m.id)
			require.NoError(c, m.running().Err())
		}
	}
}

// mustLoseAll empties the disks of all members and starts them again, and nobody serves.
func (c *cluster) mustLoseAll() {
	for _, m := range c.members {
		require.NoError(c, m.stop())
		m.empty()
	}
	for _, m := range c.members {
		m.mustStart()
	}
	c.mustLookOn(c.members...)
}

// Servers that have served, and whose disks are all empty now, do not make a new beginning of it: somebody has lost something. They are
// told to begin anew by the file initialize, which counts once; who is not told takes over what the others have.
func TestEmptiedServersDoNotBeginAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		c.mustServe().write("lost", 3)
		c.mustLoseAll()
		for _, m := range c.members {
			m.running().inCore(func() { require.ErrorIs(t, m.running().replica.Untrusted(), ErrLost) })
		}

		for _, m := range c.members[:2] {
			require.NoError(t, m.stop())
			require.NoError(t, disk.Replace(m.drive.fs, "data/initialize", nil))
			m.mustStart()
		}
		c.mustServe()
		c.mustAgree()
		for _, m := range c.members {
			v := m.mustDial()
			require.Equal(t, []string{"zookeeper"}, v.children("/"), "server %d", m.id)
			require.NoError(t, v.CloseSession(t.Context()))
			_, err := m.drive.fs.Stat("data/initialize")
			require.Error(t, err, "server %d", m.id)
		}
		require.Equal(t, 1, c.ledger.count("snapshot taken over from the leader"))

		// The permission has been used up.
		c.mustLoseAll()
	})
}

// successor is a member other than one that leads and serves, nil if there is none. The one may not know yet.
func (c *cluster) successor(of *member) *member {
	for _, m := range c.members {
		if s := m.running(); m != of && s.role() == replica.Leading && s.mode.Load()&1 == 1 {
			return m
		}
	}
	return nil
}

// A leader that does nothing any more, or whose disk does nothing, loses its office in the time that a silent peer is waited for, and
// the others' clients go on.
func TestALeaderThatHangsIsReplaced(t *testing.T) {
	const bound = (5 + 4) * tick // syncLimit; what an election adds, in which one that can be reached is waited for
	for name, hang := range map[string]func(l *member) (release func()){
		"its disk": func(l *member) func() {
			l.drive.hang()
			return l.drive.release
		},
		"its core": func(l *member) func() {
			hold := make(chan struct{})
			go l.running().inCore(func() { <-hold }) // ends with hold
			return func() { close(hold) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 3, 0, nil)
				l := c.mustServe()
				l.write("kept", 5)
				v := c.follower().mustDial()
				release := hang(l)
				synctest.Wait()
				begun := time.Now()
				v.mustCall(wire.OpCreate, &wire.CreateRequest{Path: "/kept-meanwhile", ACL: znode.OpenACL()})
				for c.successor(l) == nil { // without its disk the others may have a quorum all the same
					require.LessOrEqual(t, time.Since(begun), bound)
					time.Sleep(tick / 10)
				}
				release()
				time.Sleep(tick) // it learns what it has missed
				require.NotSame(t, l, c.mustServe())
				require.NoError(t, v.CloseSession(t.Context()))
				c.mustHaveOnly(6)
			})
		})
	}
}
