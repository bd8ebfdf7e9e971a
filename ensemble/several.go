package ensemble

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
)

// Ports of the members of a Several, each on a host of its own.
const (
	memberClientPort   = 2181
	memberQuorumPort   = 2888
	memberElectionPort = 3888
)

// A Several is an ensemble whose servers all live in this process and talk to each other in memory. Its methods may be called by
// several goroutines.
type Several struct {
	opts    Options
	network Network
	disks   []disk.FS // what is in memory outlives a server, by number - 1; nil with a Dir

	mu      sync.Mutex
	servers []*Server // by number - 1; replaced by Restart
}

// StartSeveral starts n servers, which elect one of them to lead, and returns when all of them serve. opts is for each, but for
// ServerID, Members and Network, which are set here: the servers are 1 to n, at addresses from 127.0.0.1 to 127.0.0.n that only
// [Several.Dial] knows. With a Dir each has a folder named by its number in it; with an Addr, whose port should be 0, clients reach
// each by TCP too. A nil opts is the zero Options. If ctx ends before they serve, all are stopped and the cause is returned.
func StartSeveral(ctx context.Context, n int, opts *Options) (*Several, error) {
	if n < 1 || n > 255 {
		return nil, fmt.Errorf("ensemble: %d servers: not between 1 and 255", n)
	}
	e := &Several{servers: make([]*Server, 0, n)}
	if opts != nil {
		e.opts = *opts
	}
	for i := range n {
		if e.opts.Dir == "" {
			e.disks = append(e.disks, newMemory())
		}
		s, err := Start(ctx, e.member(i+1, n))
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

// member is the options of one server of n.
func (e *Several) member(id, n int) *Options {
	o := e.opts
	o.ServerID, o.Network, o.Members = id, &e.network, make([]Member, n)
	for i := range o.Members {
		m := &o.Members[i]
		*m = Member{ID: i + 1, Host: "127.0.0." + strconv.Itoa(i+1), QuorumPort: memberQuorumPort, ElectionPort: memberElectionPort}
		if o.Addr == "" {
			m.ClientAddr = net.JoinHostPort(m.Host, strconv.Itoa(memberClientPort))
		}
	}
	if o.Dir == "" {
		o.memory = e.disks[id-1]
		return &o
	}
	o.Dir = filepath.Join(o.Dir, strconv.Itoa(id))
	if o.LogDir != "" {
		o.LogDir = filepath.Join(o.LogDir, strconv.Itoa(id))
	}
	return &o
}

// Servers are the servers, by number: the one with the ServerID 1 is the first. One of them may be closed to see what the others do
// then.
func (e *Several) Servers() []*Server {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]*Server(nil), e.servers...)
}

// Restart starts the server with that number again, with the data it had when it was closed, in memory too; it closes it before if
// nobody has. It returns the new server as soon as that runs, which may be long before it serves: alone, without a majority, it
// never does. Where the port in Addr is 0, the new server gets another one.
func (e *Several) Restart(ctx context.Context, id int) (*Server, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if id < 1 || id > len(e.servers) {
		return nil, fmt.Errorf("ensemble: no server %d among %d", id, len(e.servers))
	}
	_ = e.servers[id-1].Close() // why it had stopped by itself, its own Err tells
	s, err := Start(ctx, e.member(id, len(e.servers)))
	if err != nil {
		return nil, err
	}
	e.servers[id-1] = s
	return s, nil
}

// Leader is the server that leads and serves, nil while there is none. One that is cut off may go on believing it leads for a moment.
func (e *Several) Leader() *Server {
	for _, s := range e.Servers() {
		if s.Role() == "leader" && s.inner.Serves() {
			return s
		}
	}
	return nil
}

// ConnectString is what clients are given to find any of the servers.
func (e *Several) ConnectString() string {
	servers := e.Servers()
	addrs := make([]string, len(servers))
	for i, s := range servers {
		addrs[i] = s.ConnectString()
	}
	return strings.Join(addrs, ",")
}

// Dial connects to one of the servers through memory by its address in the ConnectString. It fits where a client takes a dialer.
func (e *Several) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	for _, s := range e.Servers() {
		if s.ConnectString() == addr {
			return s.Dial(ctx, network, addr)
		}
	}
	return e.network.Dial(ctx, network, addr)
}

// Close ends all servers, the way [Server.Close] does.
func (e *Several) Close() error {
	var errs []error
	for _, s := range e.Servers() {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
