package ensembletest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

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
// looks at all that clients have been told is done, and returns how many were found when the leader has applied their removal. A container
// that was kept by another one in it only is found next time, as ever. ErrNoLeader if nobody leads; otherwise an error is the cause of
// ctx's end.
func (e *Ensemble) Sweep(ctx context.Context) (found int, err error) {
	e.mustBelong()
	leader := e.Leader()
	if leader == nil {
		return 0, ErrNoLeader
	}
	told := e.applied() // what clients have been told, the leader may be the last to have in its tree
	if err := e.wait(ctx, func() string {
		if leader.Running() && leader.Zxid() < told {
			return fmt.Sprintf("%v has not caught up with what others have, %#x: %s", leader, told, e.describe())
		}
		return ""
	}); err != nil {
		return 0, err
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

// TransferLeadership makes a server lead instead of the one that does, and returns when those who elected it, and the old leader, serve
// again. Nothing that was acknowledged is lost, and clients keep their sessions. It is a fault, not a request: Apache's
// protocol knows no way to hand over, so the servers are kept from hearing each other, for a moment, in a way that leaves a majority in
// which this one knows most and must be elected: the old leader gets one more write, of which it hears alone; then the others elect
// without the old leader.
//
// The server must be a voter, and one of a majority of them besides the leader, which hear each other and the leader: of three voters all
// must be well, of two neither can take over. An error says what is missing, or is the cause of ctx's end; then the network is as it
// was, and somebody leads or will.
func (e *Ensemble) TransferLeadership(ctx context.Context, to int) error {
	next := e.Server(to)
	leader, err := e.WaitLeader(ctx)
	if err != nil || leader == next {
		return err
	}
	electors, err := e.electors(leader, next)
	if err != nil {
		return err
	}
	if err := e.wait(ctx, func() string {
		if !next.serves() || next.Zxid() < leader.Zxid() {
			return fmt.Sprintf("%v has not caught up with %v: %s", next, leader, e.describe())
		}
		return ""
	}); err != nil {
		return err
	}
	c, err := e.dialClient(ctx, leader.ConnectString())
	if err != nil {
		return fmt.Errorf("ensembletest: transfer leadership to %v: %w", next, err)
	}
	defer e.disconnect(c)
	defer e.faults.change(func() { e.faults.apart = nil }) // before that, or its session could not be closed
	var others []string                                    // who hears neither the leader's last write nor, later, the leader
	for _, s := range e.servers {
		if s != leader && s != next {
			others = append(others, s.host)
		}
	}
	e.faults.separate([]string{leader.host, next.host}, others)
	if err := e.tell(ctx, c, leader, next); err != nil {
		return err
	}
	e.faults.separate([]string{leader.host}, append(others, next.host))
	for _, s := range append(electors, leader) {
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
	return e.wait(ctx, func() string {
		for _, s := range append(electors, leader) {
			if s.Running() && (s.Paused() || !s.serves() || s.Zxid() < next.Zxid()) {
				return fmt.Sprintf("%v has not caught up with %v: %s", s, next, e.describe())
			}
		}
		return ""
	})
}

// electors are voters that can elect next without the leader: they hear each other, or none of them would know that it is a majority,
// and so does the leader, which is to follow.
func (e *Ensemble) electors(leader, next *Server) ([]*Server, error) {
	voters := e.servers[:len(e.servers)-e.opts.Observers]
	together := []*Server{leader}
	join := func(s *Server) {
		deaf := func(o *Server) bool { return !e.faults.connected(s.host, o.host) }
		if s.Running() && !s.Paused() && !slices.Contains(together, s) && !slices.ContainsFunc(together, deaf) {
			together = append(together, s)
		}
	}
	if slices.Contains(voters, next) {
		join(next)
	}
	for _, s := range voters {
		join(s)
	}
	electors := together[1:]
	if len(electors) <= len(voters)/2 || electors[0] != next {
		return nil, fmt.Errorf("ensembletest: leadership cannot be transferred to %v, which would need the votes of %d voters besides %v: %s",
			next, len(voters)/2+1, leader, e.describe())
	}
	return electors, nil
}

// tell has the leader write something that nobody hears of but next, and returns when next has logged it. c is connected to the leader.
func (e *Ensemble) tell(ctx context.Context, c *client.Client, leader, next *Server) error {
	before := leader.logged() // all that the others can have heard
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	asking.Go(func() { _ = c.Delete(ctx, "/zookeeper/nothing", client.AnyVersion) }) // it fails, which takes a transaction like all else
	defer asking.Wait()
	defer cancel()
	return e.wait(ctx, func() string {
		if next.logged() <= before {
			return fmt.Sprintf("%v hears nothing from %v: %s", next, leader, e.describe())
		}
		return ""
	})
}

// logged is the zxid of the last transaction that the server has given to its log, 0 while it does not run.
func (s *Server) logged() znode.Zxid {
	if srv := s.now(); srv != nil {
		return inside.Server(srv).Logged()
	}
	return 0
}
