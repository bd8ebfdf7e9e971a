package link_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/link"
	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
)

// An electorate is some servers that vote over a network in memory. Server n is the host "n".
type electorate struct {
	t       testing.TB
	network *memnet.Network
	config  *quorum.Config
	voters  map[packet.ServerID]*voter
}

// A voter remembers what it has heard last from each of the others.
type voter struct {
	votes     *link.Votes
	mu        sync.Mutex
	heard     map[packet.ServerID]int64 // Round of the last notification
	count     int
	reachable map[packet.ServerID]bool
}

func newElectorate(t testing.TB, size int) *electorate {
	var text strings.Builder
	for i := 1; i <= size; i++ {
		fmt.Fprintf(&text, "server.%d=%d:2888:3888:participant\n", i, i)
	}
	config, err := quorum.Parse(text.String())
	require.NoError(t, err)
	e := &electorate{t: t, network: new(memnet.Network), config: config, voters: map[packet.ServerID]*voter{}}
	t.Cleanup(func() {
		for _, v := range e.voters {
			v.votes.Close()
		}
	})
	return e
}

// start starts a server, or starts it again.
func (e *electorate) start(id packet.ServerID) *voter {
	l, err := e.network.Listen(fmt.Sprintf("%d:3888", id))
	require.NoError(e.t, err)
	return e.startOn(id, l)
}

func (e *electorate) startOn(id packet.ServerID, l net.Listener) *voter {
	v := &voter{heard: map[packet.ServerID]int64{}, reachable: map[packet.ServerID]bool{}}
	v.votes = link.NewVotes(link.VotesOptions{
		Self: id, Config: e.config, Listener: l, Rand: rand.New(rand.NewPCG(1, uint64(id))),
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			return e.network.DialFrom(ctx, fmt.Sprint(id), addr)
		},
		Receive: func(from packet.ServerID, n packet.Notification) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.heard[from] = n.Round
			v.count++
		},
		Reachable: func(server packet.ServerID, up bool) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.reachable[server] = up
		},
	})
	e.voters[id] = v
	return v
}

func (e *electorate) stop(id packet.ServerID) {
	e.voters[id].votes.Close()
	delete(e.voters, id)
}

func (v *voter) says(to packet.ServerID, round int64) {
	v.votes.Send(to, &packet.Notification{State: packet.Looking, Round: round, Version: packet.NotificationVersion})
}

// hears are the rounds heard last, by server.
func (v *voter) hears() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var s []string
	for id, round := range v.heard {
		s = append(s, fmt.Sprintf("%d:%d", id, round))
	}
	slices.Sort(s)
	return strings.Join(s, " ")
}

func (v *voter) reaches() []packet.ServerID {
	v.mu.Lock()
	defer v.mu.Unlock()
	var ids []packet.ServerID
	for id, up := range v.reachable {
		if up {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func TestVotesReachEverybody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newElectorate(t, 3)
		for id := packet.ServerID(1); id <= 3; id++ {
			v := e.start(id)
			for to := packet.ServerID(1); to <= 3; to++ {
				v.says(to, int64(10*id))
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, "2:20 3:30", e.voters[1].hears())
		require.Equal(t, "1:10 3:30", e.voters[2].hears())
		require.Equal(t, "1:10 2:20", e.voters[3].hears())
		require.Equal(t, []packet.ServerID{1, 3}, e.voters[2].reaches())

		e.stop(2)
		synctest.Wait()
		require.Equal(t, []packet.ServerID{1}, e.voters[3].reaches(), "a server that stops is missed at once")
		e.voters[3].says(2, 31)
		e.voters[3].says(2, 32)
		back := e.start(2)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, "1:10 3:32", back.hears(), "what was said last is said again")
		require.Equal(t, 2, back.count, "and only that")
		require.Equal(t, []packet.ServerID{1, 2}, e.voters[3].reaches())
	})
}
