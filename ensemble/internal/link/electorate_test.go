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
