package link_test

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/link"
	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A counter is a Handler that lets count see each batch.
type counter struct {
	opened chan *link.Conn
	count  func(c *link.Conn, batch []packet.Packet)
}

func (h *counter) Opened(c *link.Conn)                          { h.opened <- c }
func (h *counter) Received(c *link.Conn, batch []packet.Packet) { h.count(c, batch) }
func (h *counter) Progress(*link.Conn)                          {}
func (h *counter) Closed(*link.Conn, error)                     {}
func (h *counter) Failed(leader packet.ServerID, err error)     { panic(err) }
func (h *counter) Snapshot(_ *link.Conn, _ znode.Zxid, _ []byte, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// linked is a link with a Handler at each end.
func linked(b *testing.B, transport string, atLearner, atLeader func(c *link.Conn, batch []packet.Packet)) (learner, leader *link.Conn) {
	var l net.Listener
	var err error
	var network memnet.Network
	dial := network.Dial
	if transport == "tcp" {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	} else {
		l, err = network.Listen("127.0.0.1:0")
	}
	require.NoError(b, err)
	one := &counter{opened: make(chan *link.Conn, 1), count: atLearner}
	two := &counter{opened: make(chan *link.Conn, 1), count: func(*link.Conn, []packet.Packet) {}}
	leaders := link.NewLinks(link.LinksOptions{Listener: l, Handler: two})
	learners := link.NewLinks(link.LinksOptions{Dial: dial, Handler: one})
	b.Cleanup(func() {
		leaders.Close()
		learners.Close()
	})
	leaders.Serve(true)
	learners.Dial(b.Context(), 1, l.Addr().String())
	learner = <-one.opened
	two.count = func(c *link.Conn, batch []packet.Packet) {
		if batch[0].Type == packet.TypeFollowerInfo {
			batch = batch[1:]
		}
		if len(batch) > 0 {
			atLeader(c, batch)
		}
	}
	learner.Send(&followerInfo)
	learner.Flush()
	return learner, <-two.opened
}

// Proposals of 100 bytes from a leader, flushed in batches, of which at most 10000 are on their way.
func BenchmarkPackets(b *testing.B) {
	for _, transport := range []string{"tcp", "mem"} {
		for _, batch := range []int{1, 10, 100} {
			b.Run(transport+"/batch="+[]string{1: "1", 10: "10", 100: "100"}[batch], func(b *testing.B) {
				room := make(chan struct{}, 10_000)
				done := make(chan struct{})
				got := 0
				_, leader := linked(b, transport, func(_ *link.Conn, batch []packet.Packet) {
					for range batch {
						<-room
					}
					if got += len(batch); got == b.N {
						close(done)
					}
				}, nil)
				p := packet.Packet{Type: packet.TypeProposal, Data: make([]byte, 100)}
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					room <- struct{}{}
					leader.Send(&p)
					if (i+1)%batch == 0 {
						leader.Flush()
					}
				}
				leader.Flush()
				<-done
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
			})
		}
	}
}

// A proposal and its ACK, one after the other.
func BenchmarkRoundTrip(b *testing.B) {
	for _, transport := range []string{"tcp", "mem"} {
		b.Run(transport, func(b *testing.B) {
			back := make(chan struct{}, 1)
			ack := packet.Packet{Type: packet.TypeAck}
			_, leader := linked(b, transport, func(c *link.Conn, _ []packet.Packet) {
				c.Send(&ack)
				c.Flush()
			}, func(*link.Conn, []packet.Packet) { back <- struct{}{} })
			p := packet.Packet{Type: packet.TypeProposal, Data: make([]byte, 100)}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				leader.Send(&p)
				leader.Flush()
				<-back
			}
		})
	}
}
