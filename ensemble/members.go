package ensemble

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/server"
)

// checkMembers finds everything that is wrong with what o says about several servers.
func (o *Options) checkMembers() []error {
	if len(o.Members) == 0 {
		return nil
	}
	var problems []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf("ensemble: "+format, args...))
		}
	}
	ids, addrs, voters, self := map[int]bool{}, map[string]int{}, 0, or(o.ServerID, 1)
	for i := range o.Members {
		m := &o.Members[i]
		wrong(ids[m.ID], "Members: there are two with the ID %d", m.ID)
		ids[m.ID] = true
		if !m.Observer {
			voters++
		}
		problems = append(problems, m.check()...)
		for _, port := range []int{m.QuorumPort, m.ElectionPort} {
			addr := net.JoinHostPort(m.Host, fmt.Sprint(port))
			other, taken := addrs[addr]
			wrong(taken, "Members: %d and %d are both at %s", other, m.ID, addr)
			addrs[addr] = m.ID
		}
	}
	wrong(!ids[self], "Members: ServerID %d is not among them", self)
	wrong(voters == 0, "Members: nobody has a vote")
	q := &o.Quorum
	wrong(q.InitLimit < 0, "Quorum.InitLimit %d is negative", q.InitLimit)
	wrong(q.SyncLimit < 0, "Quorum.SyncLimit %d is negative", q.SyncLimit)
	wrong(q.CommitLogCount < 0, "Quorum.CommitLogCount %d is negative", q.CommitLogCount)
	wrong(q.ConnectTimeout < 0, "Quorum.ConnectTimeout %v is negative", q.ConnectTimeout)
	return problems
}

func (m *Member) check() []error {
	var problems []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf("ensemble: Members: "+format, args...))
		}
	}
	wrong(m.ID < 1 || m.ID > 255, "ID %d is not between 1 and 255", m.ID)
	wrong(m.Host == "", "%d has no Host", m.ID)
	wrong(m.QuorumPort < 1 || m.QuorumPort > 65535, "%d: QuorumPort %d is not a port", m.ID, m.QuorumPort)
	wrong(m.ElectionPort < 1 || m.ElectionPort > 65535, "%d: ElectionPort %d is not a port", m.ID, m.ElectionPort)
	if m.ClientAddr != "" {
		_, _, err := net.SplitHostPort(m.ClientAddr)
		wrong(err != nil, "%d: ClientAddr %q is not host:port", m.ID, m.ClientAddr)
	}
	return problems
}

// ensemble opens this server's ports for the others. What it opens is the server's to close.
func (o *Options) ensemble(ctx context.Context) (_ *server.Ensemble, err error) {
	self := packet.ServerID(or(o.ServerID, 1))
	e := &server.Ensemble{
		Self: self, Quorum: o.quorum(), Hold: o.holdClients(),
		InitLimit: or(o.Quorum.InitLimit, 10), SyncLimit: or(o.Quorum.SyncLimit, 5), History: o.Quorum.CommitLogCount,
	}
	timeout := or(o.Quorum.ConnectTimeout, 5*time.Second)
	dial := func(ctx context.Context, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return o.dialPeer(ctx, addr)
	}
	e.DialElection, e.DialQuorum = dial, dial
	own, _ := e.Quorum.Member(self)
	if e.Election, err = o.listenPeers(ctx, own.Addrs[0].Election(), own.Addrs[0].ElectionPort); err != nil {
		return nil, err
	}
	if e.Listener, err = o.listenPeers(ctx, own.Addrs[0].Quorum(), own.Addrs[0].QuorumPort); err != nil {
		return nil, errors.Join(err, e.Election.Close())
	}
	return e, nil
}

// holdClients is for how long clients are kept while there is no leader: an election that is no longer than their shortest session
// should go by unnoticed.
func (o *Options) holdClients() time.Duration {
	tick := or(o.TickTime, 3*time.Second)
	return or(o.MinSessionTimeout, 2*tick)
}

func (o *Options) quorum() *quorum.Config {
	c := &quorum.Config{Version: o.Quorum.ConfigVersion}
	for i := range o.Members {
		m := &o.Members[i]
		c.Members = append(c.Members, quorum.Member{
			ID:       packet.ServerID(m.ID),
			Addrs:    []quorum.Addr{{Host: m.Host, QuorumPort: m.QuorumPort, ElectionPort: m.ElectionPort}},
			Observer: m.Observer, Client: m.ClientAddr,
		})
	}
	return c
}

func (o *Options) dialPeer(ctx context.Context, addr string) (net.Conn, error) {
	if o.Network != nil {
		return o.Network.net.DialFrom(ctx, o.memberHost(), addr)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", addr)
}

func (o *Options) listenPeers(ctx context.Context, addr string, port int) (net.Listener, error) {
	if o.Network != nil {
		return o.Network.net.Listen(addr)
	}
	if o.Quorum.ListenOnAllIPs {
		addr = net.JoinHostPort("", fmt.Sprint(port))
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", addr)
}

// memberHost is this server's Host.
func (o *Options) memberHost() string {
	for i := range o.Members {
		if o.Members[i].ID == or(o.ServerID, 1) {
			return o.Members[i].Host
		}
	}
	return ""
}
