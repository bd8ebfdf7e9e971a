package server

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
)

// standStill makes the core do nothing until release is called. Both are for a synctest bubble.
func (s *Server) standStill() (release func()) {
	released := make(chan struct{})
	go s.inCore(func() { <-released }) // ends with release
	synctest.Wait()
	return func() {
		close(released)
		synctest.Wait()
	}
}

// What is asked of the core finds it knowing all that had come in before: a snapshot's stream must not overtake the packet that
// announces it.
func TestWhatIsAskedOfTheCoreComesBehindWhatHasComeIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		for range 20 {
			release := r.standStill()
			r.inMu.Lock()
			r.in.handshakes = append(r.in.handshakes, handshake{1 << 40, &wire.ConnectRequest{Timeout: 1000}})
			r.inMu.Unlock()
			r.kick()
			knows := make(chan bool, 1)
			go r.inCore(func() { knows <- !r.replica.Idle() })
			synctest.Wait()
			release()
			require.True(t, <-knows)
			r.inMu.Lock()
			r.in.gone = append(r.in.gone, 1<<40)
			r.inMu.Unlock()
			r.kick()
			synctest.Wait()
			require.True(t, r.replica.Idle())
		}
	})
}

// A server that stood still does not answer pings by what it knew before: its sessions may have ended meanwhile.
func TestPingsAreNotAnsweredByWhatWasKnownBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		s := c.mustServe().running()
		time.Sleep(3 * tick)
		ping := &request.Request{Conn: 1 << 40, Xid: wire.XidPing, Op: wire.OpPing}
		require.NotEmpty(t, backend{s}.Answer(nil, ping))
		release := s.standStill()
		time.Sleep(tick)
		require.Empty(t, backend{s}.Answer(nil, ping))
		release()
		time.Sleep(tick)
		require.NotEmpty(t, backend{s}.Answer(nil, ping))
	})
}

// A ping that was found too old to be answered a moment before it could be is not forgotten.
func TestAPingIsOwedAlsoToOneWhoComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		leader := c.mustServe()
		v := leader.mustDial()
		s := leader.running()
		time.Sleep(3 * tick)
		s.connsMu.RLock()
		for id := range s.conns {
			s.owe(id)
		}
		s.connsMu.RUnlock()
		time.Sleep(tick)
		s.owedMu.Lock()
		defer s.owedMu.Unlock()
		require.Empty(t, s.owed)
		require.NoError(t, v.Close())
	})
}

// A server that floods another with votes is made to wait, instead of filling its memory.
func TestVotesDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, 0, nil)
		s := c.mustServe().running()
		release := s.standStill()
		config := strings.Repeat("x", 512<<10)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 200 {
				s.peers.post(peerEvent{kind: peerVote, server: 99, vote: packet.Notification{Config: config}})
			}
		}()
		synctest.Wait()
		s.inMu.Lock()
		require.Less(t, len(s.in.peers), 50)
		s.inMu.Unlock()
		release()
		<-done
	})
}
