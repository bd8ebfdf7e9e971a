package ensembletest

import (
	"context"
	"errors"
	"fmt"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/internal/inside"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// ErrNoLeader means that nobody leads at the moment who could do what was asked for.
var ErrNoLeader = errors.New("ensembletest: nobody leads")

// ErrNoSession means that there is no such session, or no more.
var ErrNoSession = errors.New("ensembletest: there is no such session")

// Expire ends a client's session at once, in the way it would end if nobody had heard of the client for its timeout: whoever leads
// proposes it. On return the leader has applied it: the session's ephemeral nodes are gone there, their watchers are being told, and
// the client learns of it as soon as it hears of a server. The client may be anybody's. ErrNoLeader and ErrNoSession tell why it cannot
// be done; otherwise an error is the cause of ctx's end.
func (e *Ensemble) Expire(ctx context.Context, c *client.Client) error {
	return e.ExpireSession(ctx, c.Session().ID())
}

// ExpireSession is [Ensemble.Expire] for a session of which only the id is known, as for one of another client library.
func (e *Ensemble) ExpireSession(ctx context.Context, id int64) error {
	e.mustBelong()
	leader := e.Leader()
	if leader == nil {
		return ErrNoLeader
	}
	if srv := leader.now(); srv == nil || !inside.Server(srv).Expire(znode.SessionID(id)) {
		return fmt.Errorf("%w: %#x", ErrNoSession, id)
	}
	return e.wait(ctx, func() string {
		open := false
		leader.look(func(t *tree.Tree) { _, open = t.Session(znode.SessionID(id)) })
		if open {
			return fmt.Sprintf("the end of session %#x is proposed and not applied: %s", id, e.describe())
		}
		return ""
	})
}

// Sweep removes the containers that are empty and have been used, and the nodes whose time to live is over, without waiting for the
// interval at which servers look for them (Containers.CheckInterval, a minute; also if that is switched off) or keeping their pace. It
// returns how many were found when the leader has applied their removal. A container that was kept by another one in it only is found
// next time, as ever. ErrNoLeader if nobody leads; otherwise an error is the cause of ctx's end.
func (e *Ensemble) Sweep(ctx context.Context) (found int, err error) {
	e.mustBelong()
	leader := e.Leader()
	if leader == nil {
		return 0, ErrNoLeader
	}
	srv := leader.now()
	if srv == nil {
		return 0, ErrNoLeader
	}
	n, zxid, ok := inside.Server(srv).Sweep()
	if !ok {
		return 0, ErrNoLeader
	}
	return n, e.wait(ctx, func() string {
		if leader.Zxid() < int64(zxid) {
			return fmt.Sprintf("%d removals are proposed and not applied: %s", n, e.describe())
		}
		return ""
	})
}

// TransferLeadership makes a server lead instead of the one that does, and returns when it leads and all others that run serve again.
// Nothing that was acknowledged is lost, and clients keep their sessions. It is a fault, not a request: Apache's protocol knows no way
// to hand over, so the servers are kept from hearing each other, for a moment, in a way that leaves a majority in which this one knows
// most and must be elected. First it and just as many others as make a majority with the old leader get one more write, which the
// rest does not hear of; then the rest elects with it.
//
// All voters must run and hear each other, there must be an odd number of them, and the server must be one. An error says what is
// missing, or is the cause of ctx's end; then the network is as it was, and somebody leads or will.
func (e *Ensemble) TransferLeadership(ctx context.Context, to int) error {
	next := e.Server(to)
	leader, err := e.WaitLeader(ctx)
	if err != nil || leader == next {
		return err
	}
	with, rest, err := e.divide(leader, next)
	if err != nil {
		return err
	}
	if err := e.WaitCaughtUp(ctx); err != nil {
		return err
	}
	defer e.faults.change(func() { e.faults.apart = nil })
	e.faults.separate(hostsOf(rest), append(hostsOf(with), leader.host, next.host))
	c, err := e.dialClient(ctx, leader.ConnectString()) // a write, which a majority has: these, next among them
	if err != nil {
		return fmt.Errorf("ensembletest: transfer leadership to %v: %w", next, err)
	}
	defer e.disconnect(c)
	defer e.faults.change(func() { e.faults.apart = nil }) // before that, or its session could not be closed
	if err := e.wait(ctx, func() string {
		if next.Zxid() < leader.Zxid() {
			return fmt.Sprintf("%v does not catch up: %s", next, e.describe())
		}
		return ""
	}); err != nil {
		return err
	}
	e.faults.separate(append(hostsOf(rest), next.host), append(hostsOf(with), leader.host))
	for _, s := range append(append(with, rest...), leader, next) {
		if srv := s.now(); srv != nil {
			inside.Server(srv).Resign() // nobody has to wait for silence
		}
	}
	if err := e.wait(ctx, func() string {
		if e.Leader() != next {
			return fmt.Sprintf("%v does not lead: %s", next, e.describe())
		}
		return ""
	}); err != nil {
		return err
	}
	e.faults.change(func() { e.faults.apart = nil })
	return e.WaitCaughtUp(ctx)
}

// divide says which voters besides leader and next make up a majority with these, and which are the rest.
func (e *Ensemble) divide(leader, next *Server) (with, rest []*Server, err error) {
	voters := e.servers[:len(e.servers)-e.opts.Observers]
	if len(voters)%2 == 0 || next.id > len(voters) {
		return nil, nil, fmt.Errorf("ensembletest: leadership cannot be transferred to %v among %d voters", next, len(voters))
	}
	for _, s := range voters {
		for _, other := range voters {
			if !s.Running() || s.Paused() || !e.faults.connected(s.host, other.host) {
				return nil, nil, fmt.Errorf("ensembletest: leadership cannot be transferred: not all voters hear each other: %s", e.describe())
			}
		}
		switch {
		case s == leader || s == next:
		case len(with) < len(voters)/2-1:
			with = append(with, s)
		default:
			rest = append(rest, s)
		}
	}
	return with, rest, nil
}

func hostsOf(servers []*Server) []string {
	hosts := make([]string, len(servers))
	for i, s := range servers {
		hosts[i] = s.host
	}
	return hosts
}
