package link_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/link"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

// A relay is a Handler that puts what it hears into channels.
type relay struct {
	opened   chan *link.Conn
	received chan packet.Packet
	image    chan []byte
	closed   chan error
}

func newRelay() *relay {
	return &relay{make(chan *link.Conn, 10), make(chan packet.Packet, 10_000), make(chan []byte, 10), make(chan error, 10)}
}

func (r *relay) Opened(c *link.Conn) { r.opened <- c }
func (r *relay) Received(_ *link.Conn, batch []packet.Packet) {
	for _, p := range batch {
		r.received <- p
	}
}

func (r *relay) Snapshot(_ *link.Conn, zxid znode.Zxid, _ []byte, in io.Reader) error {
	image := make([]byte, zxid)
	_, err := io.ReadFull(in, image)
	r.image <- image
	return err
}
func (r *relay) Progress(*link.Conn)                 {}
func (r *relay) Closed(_ *link.Conn, err error)      { r.closed <- err }
func (r *relay) Failed(_ packet.ServerID, err error) { r.closed <- err }

func TestLinksOverTCP(t *testing.T) {
	l := listenTCP(t)
	atLeader, atLearner := newRelay(), newRelay()
	leaders := link.NewLinks(link.LinksOptions{Listener: l, Handler: atLeader})
	defer leaders.Close()
	learners := link.NewLinks(link.LinksOptions{Dial: dialTCP, Handler: atLearner})
	defer learners.Close()
	learners.Dial(t.Context(), 1, l.Addr().String()) // too early
	learner := <-atLearner.opened
	learner.Send(&followerInfo)
	learner.Flush()
	leaders.Serve(true)
	leader := <-atLeader.opened
	require.Equal(t, packet.TypeFollowerInfo, (<-atLeader.received).Type)

	image := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	leader.Send(&packet.Packet{Type: packet.TypeSnap, Zxid: znode.Zxid(len(image))})
	require.NoError(t, leader.SendStream(func(w io.Writer) error {
		_, err := w.Write(image)
		return err
	}))
	for z := range znode.Zxid(5000) {
		leader.Send(&packet.Packet{Type: packet.TypeProposal, Zxid: z, Data: make([]byte, z)})
		leader.Flush()
	}
	require.True(t, bytes.Equal(image, <-atLearner.image))
	require.Equal(t, packet.TypeSnap, (<-atLearner.received).Type)
	for z := range znode.Zxid(5000) {
		p := <-atLearner.received
		require.Equal(t, z, p.Zxid)
		require.Len(t, p.Data, int(z))
	}
	leader.Close(nil)
	require.ErrorIs(t, <-atLeader.closed, link.ErrClosed)
	require.Error(t, <-atLearner.closed)

	require.NoError(t, l.Close())
	learners.Dial(t.Context(), 1, l.Addr().String())
	require.Error(t, <-atLearner.closed, "nobody listens any more")
}

func TestVotesOverTCP(t *testing.T) {
	listeners := make([]net.Listener, 3)
	config := &quorum.Config{}
	for i := range listeners {
		listeners[i] = listenTCP(t)
		addr := quorum.Addr{Host: "127.0.0.1", ElectionPort: listeners[i].Addr().(*net.TCPAddr).Port}
		config.Members = append(config.Members, quorum.Member{ID: packet.ServerID(i + 1), Addrs: []quorum.Addr{addr}})
	}
	type heard struct {
		by, from packet.ServerID
		round    int64
	}
	hears := make(chan heard, 100)
	type reached struct {
		by, server packet.ServerID
		up         bool
	}
	reaches := make(chan reached, 100)
	votes := make([]*link.Votes, 3)
	for i := range votes {
		id := packet.ServerID(i + 1)
		votes[i] = link.NewVotes(link.VotesOptions{
			Self: id, Config: config, Listener: listeners[i], Dial: dialTCP,
			Receive:   func(from packet.ServerID, n packet.Notification) { hears <- heard{id, from, n.Round} },
			Reachable: func(server packet.ServerID, up bool) { reaches <- reached{id, server, up} },
		})
		for to := packet.ServerID(1); to <= 3; to++ {
			votes[i].Send(to, &packet.Notification{Round: int64(id), Version: packet.NotificationVersion})
		}
	}
	seen := map[string]bool{}
	for len(seen) < 6 {
		h := <-hears
		require.Equal(t, int64(h.from), h.round)
		seen[fmt.Sprint(h.by, h.from)] = true
	}
	votes[2].Close()
	missed := map[packet.ServerID]bool{}
	deadline := time.After(time.Minute)
	for len(missed) < 2 {
		select {
		case r := <-reaches:
			if r.server == 3 && !r.up {
				missed[r.by] = true
			}
		case <-deadline:
			t.Fatal("a server that is gone is not missed")
		}
	}
	votes[1].Close()
	votes[0].Close()
}
