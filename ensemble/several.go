package ensemble

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// Ports of the members of a Several, each on a host of its own.
const (
	memberClientPort   = 2181
	memberQuorumPort   = 2888
	memberElectionPort = 3888
)

// A Several is an ensemble whose servers all live in this process and talk to each other in memory.
type Several struct {
	servers []*Server
	network Network
}

// StartSeveral starts n servers, which elect one of them to lead, and returns when all of them serve. opts is for each, but for
// ServerID, Members and Network, which are set here: the servers are 1 to n on hosts named after them. With a Dir each has a
// folder named by its number in it; with an Addr, whose port should be 0, clients reach each by TCP too. A nil opts is the zero
// Options. If ctx ends before they serve, all are stopped and the cause is returned.
func StartSeveral(ctx context.Context, n int, opts *Options) (*Several, error) {
	if n < 1 || n > 255 {
		return nil, fmt.Errorf("ensemble: %d servers: not between 1 and 255", n)
	}
	e := &Several{}
	for id := 1; id <= n; id++ {
		s, err := Start(ctx, e.member(id, n, opts))
		if err != nil {
			return nil, errors.Join(err, e.Close())
		}
		e.servers = append(e.servers, s)
	}
	for _, s := range e.servers {
		if err := s.Serving(ctx); err != nil {
			return nil, errors.Join(err, e.Close())
		}
	}
	return e, nil
}

// member is the options of one server.
func (e *Several) member(id, n int, opts *Options) *Options {
	var o Options
	if opts != nil {
		o = *opts
	}
	for i := 1; i <= n; i++ {
		o.Members = append(o.Members[:i-1:i-1], Member{
			ID: i, Host: "server-" + strconv.Itoa(i), QuorumPort: memberQuorumPort, ElectionPort: memberElectionPort,
		})
	}
	o.ServerID, o.Network = id, &e.network
	if o.Dir != "" {
		o.Dir = filepath.Join(o.Dir, strconv.Itoa(id))
	}
	if o.LogDir != "" {
		o.LogDir = filepath.Join(o.LogDir, strconv.Itoa(id))
	}
	return &o
}

// Servers are the servers, by number. One of them may be closed to see what the others do then.
func (e *Several) Servers() []*Server { return append([]*Server(nil), e.servers...) }

// Leader is the server that leads, nil while there is none.
func (e *Several) Leader() *Server {
	for _, s := range e.servers {
		if s.Role() == "leader" {
			return s
		}
	}
	return nil
}

// ConnectString is what clients are given to find any of the servers.
func (e *Several) ConnectString() string {
	addrs := make([]string, len(e.servers))
	for i, s := range e.servers {
		addrs[i] = s.ConnectString()
	}
	return strings.Join(addrs, ",")
}

// Dial connects to one of the servers through memory by its address in the ConnectString.
func (e *Several) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	for _, s := range e.servers {
		if s.ConnectString() == addr {
			return s.Dial(ctx, network, addr)
		}
	}
	return e.network.Dial(ctx, network, addr)
}

// Close ends all servers, the way [Server.Close] does.
func (e *Several) Close() error {
	var errs []error
	for _, s := range e.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
