package ensemble

import (
	"context"
	"net"

	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
)

// A Network carries what servers, and their clients, say to each other within this process, in memory. The zero value is ready; it
// must not be copied. Inside a testing/synctest bubble it belongs to the bubble.
type Network struct{ net memnet.Network }

// Dial connects to addr on the network, whatever network says, so that it fits where a client takes a dialer.
func (n *Network) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return n.net.Dial(ctx, addr)
}
