package sim

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/judge"
	"github.com/bellwether-zk/bellwether/ensemble/sim/workload"
)

// The clients of a scenario have names of one letter, and do what they are told.

// An actor is one of them.
type actor struct {
	*client
	s     *scene
	asked []judge.OpID // since the last time that all had to be answered
}

// sceneClients is what clients do. "does x" waits until it is answered, and it must be done; "asks to x" waits for nothing.
var sceneClients = []sceneCommand{
	sentence(`client WHO at SERVERS`, func(s *scene, a []string) error { return s.comeIn(a[0], a[1], 0) }),
	sentence(`client WHO at SERVERS with a timeout of SPAN`, func(s *scene, a []string) error {
		return s.comeIn(a[0], a[1], int32(stretch(a[2]).Millis()))
	}),
	sentence(`client WHO knocks at SERVERS`, func(s *scene, a []string) error { s.enter(a[0], s.ids(a[1]), 0); return nil }),
	sentence(`wait until WHO is in`, func(s *scene, a []string) error { return s.until(s.actor(a[0]).in) }),
	sentence(`client WHO takes the session of WHO at SERVERS`, func(s *scene, a []string) error {
		c := s.enterAs(a[0], s.ids(a[2]), 0, s.actor(a[1]).c)
		return s.until(c.in)
	}),
	sentence(`WHO moves to SERVERS`, func(s *scene, a []string) error {
		c := s.actor(a[0])
		c.c.Served(s.ids(a[1]))
		c.c.HangUp(s.world.now, &c.out)
		c.perform()
		return s.until(c.in)
	}),
	sentence(`WHO leaves for SERVERS`, func(s *scene, a []string) error {
		c := s.actor(a[0])
		c.c.Served(s.ids(a[1]))
		c.c.HangUp(s.world.now, &c.out)
		c.perform()
		return nil
	}),
	sentence(`WHO vanishes`, func(s *scene, a []string) error {
		c := s.actor(a[0])
		c.c.Vanish(s.world.now, &c.out)
		c.perform()
		return nil
	}),
	sentence(`WHO closes its session`, func(s *scene, a []string) error {
		c := s.actor(a[0])
		c.c.Leave()
		c.tick()
		return s.until(c.c.Idle)
	}),
	sentence(`WHO asks to close its session`, func(s *scene, a []string) error {
		c := s.actor(a[0])
		c.c.Leave()
		c.tick()
		return nil
	}),
	sentence(`WHO falls silent`, func(s *scene, a []string) error { s.actor(a[0]).asleep = true; return nil }),
	sentence(`WHO wakes up`, func(s *scene, a []string) error { s.actor(a[0]).wake(); return nil }),
	sentence(`WHO creates PATH`, func(s *scene, a []string) error { return s.actor(a[0]).does("create", a[1], "") }),
	sentence(`WHO creates PATH, (ephemeral|sequential)`, func(s *scene, a []string) error { return s.actor(a[0]).does("create "+a[2], a[1], "") }),
	sentence(`WHO sets PATH to WORD`, func(s *scene, a []string) error { return s.actor(a[0]).does("set", a[1], a[2]) }),
	sentence(`WHO deletes PATH`, func(s *scene, a []string) error { return s.actor(a[0]).does("delete", a[1], "") }),
	sentence(`WHO syncs`, func(s *scene, a []string) error { return s.actor(a[0]).does("sync", "/", "") }),
	sentence(`WHO pings`, func(s *scene, a []string) error { return s.actor(a[0]).does("ping", "", "") }),
	sentence(`WHO watches PATH`, func(s *scene, a []string) error {
		c := s.actor(a[0])
		return errors.Join(c.ask("watch", a[1], ""), s.until(c.answered))
	}),
	sentence(`WHO writes N times`, func(s *scene, a []string) error {
		c := s.actor(a[0])
		return errors.Join(c.asksMany(number(a[1])), c.allDone())
	}),
	sentence(`WHO asks to write N times`, func(s *scene, a []string) error { return s.actor(a[0]).asksMany(number(a[1])) }),
	sentence(`WHO asks to create PATH`, func(s *scene, a []string) error { return s.actor(a[0]).ask("create", a[1], "") }),
	sentence(`WHO asks to create PATH, (ephemeral|sequential)`, func(s *scene, a []string) error {
		return s.actor(a[0]).ask("create "+a[2], a[1], "")
	}),
	sentence(`WHO asks to set PATH to WORD`, func(s *scene, a []string) error { return s.actor(a[0]).ask("set", a[1], a[2]) }),
	sentence(`WHO asks to delete PATH`, func(s *scene, a []string) error { return s.actor(a[0]).ask("delete", a[1], "") }),
	sentence(`WHO asks to sync`, func(s *scene, a []string) error { return s.actor(a[0]).ask("sync", "/", "") }),
	sentence(`WHO asks to ping`, func(s *scene, a []string) error { return s.actor(a[0]).ask("ping", "", "") }),
	sentence(`wait until WHO is answered`, func(s *scene, a []string) error { return s.actor(a[0]).allDone() }),
	sentence(`expect WHO unanswered`, func(s *scene, a []string) error {
		if c := s.actor(a[0]); len(c.asked) == 0 || c.answered() {
			return errors.New("it has been answered")
		}
		return nil
	}),
	sentence(`WHO forgets what it asked`, func(s *scene, a []string) error { s.actor(a[0]).asked = nil; return nil }),
	sentence(`expect WHO refused with (.+)`, func(s *scene, a []string) error { return s.actor(a[0]).refused(a[1]) }),
	sentence(`expect WHO cut off`, func(s *scene, a []string) error {
		if c := s.actor(a[0]); c.in() {
			return errors.New("it has a session and a connection")
		}
		return nil
	}),
	sentence(`expect WHO attached to SERVER`, func(s *scene, a []string) error {
		if at, ok := s.actor(a[0]).c.Attached(); !ok || at != number(a[1]) {
			return fmt.Errorf("it is attached %v, at %d", ok, at)
		}
		return nil
	}),
	sentence(`WHO reads PATH = WORD`, func(s *scene, a []string) error { return s.actor(a[0]).reads(a[1], a[2]) }),
	sentence(`WHO syncs and reads PATH = WORD`, func(s *scene, a []string) error {
		c := s.actor(a[0])
		return errors.Join(c.ask("sync", "/", ""), c.reads(a[1], a[2]))
	}),
	sentence(`WHO finds no PATH`, func(s *scene, a []string) error {
		return errors.Join(s.actor(a[0]).ask("get", a[1], ""), s.actor(a[0]).refused(znode.CodeNoNode.String()))
	}),
	sentence(`wait until WHO is told that PATH was (created|deleted|set)`, func(s *scene, a []string) error {
		return s.until(func() bool { return s.told_(s.actor(a[0]), a[1], a[2]) })
	}),
	sentence(`wait until the session of WHO is over`, func(s *scene, a []string) error {
		id := s.actor(a[0]).c.Session()
		return s.until(func() bool { return s.over(id) })
	}),
	sentence(`expect the session of WHO alive`, func(s *scene, a []string) error {
		if id := s.actor(a[0]).c.Session(); id == 0 || s.over(id) {
			return errors.New("it is over")
		}
		return nil
	}),
}

func (s *scene) ids(list string) (ids []int) {
	for _, v := range s.some(list) {
		ids = append(ids, int(v.id))
	}
	return ids
}

// actor is the client of that name.
func (s *scene) actor(name string) *actor {
	c := s.named[name]
	if c == nil {
		panic("sim: no client is called " + name)
	}
	return c
}

// comeIn makes a client and waits until it has a session.
func (s *scene) comeIn(name, list string, timeout int32) error {
	return s.until(s.enter(name, s.ids(list), timeout).in)
}

func (s *scene) enter(name string, at []int, timeout int32) *actor {
	return s.enterAs(name, at, timeout, nil)
}

// enterAs makes a client, with another's session if there is another.
func (s *scene) enterAs(name string, at []int, timeout int32, as *workload.Client) *actor {
	n := len(s.clients)
	c := s.newClient(n)
	mix := s.opts.Mix
	mix.Timeout = cmpPositive(timeout, mix.Timeout)
	c.c = workload.New(n, at, mix, s.world.chance(ofClients+uint64(n)), s.history)
	c.c.Quiet()
	if as != nil {
		c.c.Impersonate(as)
	}
	s.clients = append(s.clients, c)
	a := &actor{client: c, s: s}
	s.named[name] = a
	c.tick()
	return a
}

func cmpPositive(a, b int32) int32 {
	if a > 0 {
		return a
	}
	return b
}

func (a *actor) in() bool {
	_, ok := a.c.Attached()
	return ok
}

// ask sends a request, as soon as there is a connection.
func (a *actor) ask(what, path, value string) error {
	if err := a.s.until(a.in); err != nil {
		return fmt.Errorf("it finds no server: %w", err)
	}
	op, rec := a.s.request(what, path, value)
	id, _ := a.c.Ask(a.world.now, op, rec, &a.out)
	a.asked = append(a.asked, id)
	a.perform()
	return nil
}

// request is what a verb means.
func (s *scene) request(what, path, value string) (wire.Op, wire.Record) {
	s.stamp++
	data := fmt.Appendf(nil, "%s|%d", value, s.stamp) // unlike any other
	verb, mode, _ := strings.Cut(what, " ")
	switch verb {
	case "create":
		q := &wire.CreateRequest{Path: path, Data: data, ACL: znode.OpenACL(), TTL: -1}
		switch mode {
		case "ephemeral":
			q.Mode = znode.ModeEphemeral
		case "sequential":
			q.Mode = znode.ModePersistentSequential
		}
		return wire.OpCreate, q
	case "set":
		return wire.OpSetData, &wire.SetDataRequest{Path: path, Data: data, Version: -1}
	case "delete":
		return wire.OpDelete, &wire.DeleteRequest{Path: path, Version: -1}
	case "sync":
		return wire.OpSync, &wire.SyncRequest{Path: []byte(path)}
	case "get":
		return wire.OpGetData, &wire.WatchRequest{Path: path}
	case "watch":
		return wire.OpExists, &wire.WatchRequest{Path: path, Watch: true}
	}
	return wire.OpPing, nil
}

// asksMany creates a sequence of nodes.
func (a *actor) asksMany(n int) error {
	for range n {
		if err := a.ask("create sequential", "/n-", ""); err != nil {
			return err
		}
	}
	return nil
}

// answered reports whether all was that has been asked.
func (a *actor) answered() bool {
	for _, id := range a.asked {
		if !a.history.Ops[id].Returned.Happened() {
			return false
		}
	}
	return true
}

// allDone waits until all is answered, and done.
func (a *actor) allDone() error {
	if err := a.s.until(a.answered); err != nil {
		return err
	}
	asked := a.asked
	a.asked = nil
	for _, id := range asked {
		if o := &a.history.Ops[id]; !o.Done() {
			return fmt.Errorf("%v %s: %v", o.Type, o.Path(), o.Err)
		}
	}
	return nil
}

func (a *actor) does(what, path, value string) error {
	a.asked = nil
	return errors.Join(a.ask(what, path, value), a.allDone())
}

// refused waits until the last is answered, and wants it refused.
func (a *actor) refused(why string) error {
	if len(a.asked) == 0 {
		return errors.New("it has asked for nothing")
	}
	if err := a.s.until(a.answered); err != nil {
		return err
	}
	o := &a.history.Ops[a.asked[len(a.asked)-1]]
	a.asked = nil
	if o.Err == znode.CodeOK || o.Err.String() != why {
		return fmt.Errorf("the answer is %q", o.Err.String())
	}
	return nil
}

// reads waits until all is answered, a read the last of it, and wants it to show a value.
func (a *actor) reads(path, value string) error {
	if err := a.ask("get", path, ""); err != nil {
		return err
	}
	last := a.asked[len(a.asked)-1]
	if err := a.allDone(); err != nil {
		return err
	}
	r, ok := a.history.Ops[last].Response.(*wire.DataResponse)
	if !ok || !is(r.Data, value) {
		return fmt.Errorf("it reads %q", r.Data)
	}
	return nil
}

// is reports whether data was written as value.
func is(data []byte, value string) bool {
	got, _, _ := bytes.Cut(data, []byte("|"))
	return string(got) == value
}

// write creates a node, on whatever connection the client has.
func (s *scene) write(a *actor, path, value string) error {
	return a.does("create", path, value)
}

// told_ reports whether a client had an event.
func (s *scene) told_(a *actor, path, what string) bool {
	kind := map[string]znode.EventType{"created": znode.EventCreated, "deleted": znode.EventDeleted, "set": znode.EventDataChanged}[what]
	for i := range s.history.Events {
		e := &s.history.Events[i]
		if s.history.Conns[e.Conn].Client == a.number && e.Path == path && e.Type == kind {
			return true
		}
	}
	return false
}

// over reports whether a session has ended, as far as all know that serve.
func (s *scene) over(id znode.SessionID) bool {
	for _, v := range s.servers {
		if v.life != nil && v.life.told.serving {
			if _, open := v.life.r.Tree().Session(id); open {
				return false
			}
		}
	}
	return true
}
