package conformance

import (
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// addWatch sets a persistent watch, where there are such.
func (s *session) addWatch(path string, mode wire.WatchMode) {
	s.offers(wire.OpAddWatch, &wire.AddWatchRequest{Path: path, Mode: mode})
}

// watches are the checks of watches.
var watches = []check{
	{"watches", "one-shot", "a watch tells of the first change, once, and of no other", func(p *probe) {
		s, other := p.connect(), p.connect()
		s.make(p.root + "/n")
		s.watch(wire.OpGetData, p.root+"/n")
		s.watch(wire.OpGetData, p.root+"/n") // twice is as once
		s.watch(wire.OpExists, p.root+"/n")
		other.set(p.root+"/n", "1")
		other.set(p.root+"/n", "2")
		s.event(znode.EventDataChanged, p.root+"/n")
		s.quiet("the watch has told already")
	}},
	{"watches", "created", "who waits for a node is told of its creation", func(p *probe) {
		s, other := p.connect(), p.connect()
		s.refuses(znode.CodeNoNode, wire.OpExists, &wire.WatchRequest{Path: p.root + "/n", Watch: true})
		s.refuses(znode.CodeNoNode, wire.OpGetData, &wire.WatchRequest{Path: p.root + "/m", Watch: true})
		other.make(p.root + "/m")
		other.make(p.root + "/n")
		s.event(znode.EventCreated, p.root+"/n") // and not of m: what fails sets no watch
		other.set(p.root+"/n", "x")
		s.quiet("the watch has told already")
	}},
	{"watches", "deleted", "who waits in line is told, once, that the one before him is gone", func(p *probe) {
		s, other := p.connect(), p.connect()
		s.make(p.root + "/n")
		for _, op := range []wire.Op{wire.OpExists, wire.OpGetData, wire.OpGetChildren, wire.OpGetChildren2} {
			s.watch(op, p.root+"/n")
		}
		other.del(p.root + "/n")
		other.make(p.root + "/n")
		s.event(znode.EventDeleted, p.root+"/n")
		s.quiet("the node was deleted once")
	}},
	{"watches", "children", "a watch for children tells that some came or went, and not of what they hold", func(p *probe) {
		for _, op := range []wire.Op{wire.OpGetChildren, wire.OpGetChildren2} {
			s, other := p.connect(), p.connect()
			s.watch(op, p.root)
			other.make(p.root + "/n")
			s.event(znode.EventChildrenChanged, p.root)
			s.watch(op, p.root)
			other.set(p.root+"/n", "x")
			other.set(p.root, "x")
			other.make(p.root + "/n/deeper")
			other.del(p.root + "/n/deeper")
			s.quiet("no child came or went")
			other.del(p.root + "/n")
			s.event(znode.EventChildrenChanged, p.root)
			s.quiet("the watch has told already")
		}
	}},
	{"watches", "session-end", "a session that ends is seen by its ephemeral nodes", func(p *probe) {
		s, other := p.connect(), p.connect()
		s.create(p.root+"/e", "", znode.ModeEphemeral)
		other.watch(wire.OpExists, p.root+"/e")
		other.watch(wire.OpGetChildren, p.root)
		s.ok(wire.OpCloseSession, nil)
		s.lost = true
		first := other.event(znode.EventDeleted, p.root+"/e")
		second := other.event(znode.EventChildrenChanged, p.root)
		same(p, "the zxids of the two events", first.Header.Zxid, second.Header.Zxid)
	}},
	{"watches", "before-own-answer", "who has changed something is told by his own watch before he hears that it is done", func(p *probe) {
		s := p.connect()
		s.watch(wire.OpGetData, p.root)
		s.watch(wire.OpGetChildren, p.root)
		s.conn.Send(wire.OpSetData, &wire.SetDataRequest{Path: p.root, Data: []byte("x"), Version: -1})
		s.event(znode.EventDataChanged, p.root)
		s.answer(wire.OpSetData)
		s.conn.Send(wire.OpCreate, creation(p.root+"/n", "", 0))
		s.event(znode.EventChildrenChanged, p.root)
		s.answer(wire.OpCreate)
	}},
	{"watches", "before-anything-newer", "caches: nobody is shown something new before he is told that the old has changed", func(p *probe) {
		s, other := p.connect(), p.connect()
		for i := range 20 {
			before := s.ok(wire.OpGetData, &wire.WatchRequest{Path: p.root, Watch: true}).Record.(*wire.DataResponse).Stat.Version
			s.conn.Arrived()
			other.conn.Send(wire.OpSetData, &wire.SetDataRequest{Path: p.root, Data: []byte{byte(i)}, Version: -1})
			p.must(other.conn.Flush(p.ctx) == nil, "set: the connection failed")
			for s.stat(p.root).Version == before { // until it is shown
			}
			told := s.conn.Arrived()
			p.must(len(told) == 1, "a change is shown, and %d events have come before; want one", len(told))
			s.isEvent(told[0], znode.EventDataChanged, p.root)
			other.answer(wire.OpSetData)
		}
	}},
	{"watches", "multi", "each part of a multi fires its watches, before the answer", func(p *probe) {
		s := p.connect()
		s.make(p.root + "/a")
		s.watch(wire.OpGetData, p.root+"/a")
		s.refuses(znode.CodeNoNode, wire.OpExists, &wire.WatchRequest{Path: p.root + "/b", Watch: true})
		s.conn.Send(wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{changed(p.root+"/a", "x", -1), created(p.root+"/b", 0)}})
		first := s.event(znode.EventDataChanged, p.root+"/a")
		second := s.event(znode.EventCreated, p.root+"/b")
		same(p, "the zxids of the two events", first.Header.Zxid, second.Header.Zxid)
		s.answer(wire.OpMulti)
		s.watch(wire.OpGetData, p.root+"/a")
		s.multi(changed(p.root+"/a", "y", -1), checked(p.root+"/no", 0))
		s.quiet("the multi has failed")
	}},
	{"watches", "refused-is-nothing", "what did not happen fires nothing, and neither does a new access control list", func(p *probe) {
		s := p.connect()
		s.watch(wire.OpGetData, p.root)
		s.watch(wire.OpGetChildren, p.root)
		s.refuses(znode.CodeBadVersion, wire.OpSetData, &wire.SetDataRequest{Path: p.root, Version: 9})
		s.refuses(znode.CodeNoNode, wire.OpDelete, &wire.DeleteRequest{Path: p.root + "/no", Version: -1})
		s.ok(wire.OpSetACL, &wire.SetACLRequest{Path: p.root, ACL: znode.OpenACL(), Version: -1})
		s.quiet("no data and no child has changed")
	}},
	{"watches", "event-zxid", "newer clients learn from an event which transaction it tells of", func(p *probe) {
		s, other := p.connect(), p.connect()
		s.watch(wire.OpGetData, p.root)
		want := other.set(p.root, "x").Header.Zxid
		got := s.event(znode.EventDataChanged, p.root).Header.Zxid
		if got == -1 {
			p.notOffered("events do not name their transaction, as before 3.9")
		}
		same(p, "the zxid of the event", want, got)
	}},
	{"watches", "set-again", "a client that comes back sets its watches again, and is told first what it has missed", func(p *probe) {
		s, other := p.connect(), p.connect()
		for _, name := range []string{"/kept", "/changed", "/deleted", "/parent", "/lonely"} {
			s.make(p.root + name)
		}
		seen := s.make(p.root + "/last").Header.Zxid
		s.leave()
		other.set(p.root+"/changed", "x")
		other.del(p.root + "/deleted")
		other.make(p.root + "/created")
		other.make(p.root + "/parent/n")
		next := p.connectAs(s.as())
		next.conn.Send(wire.OpSetWatches, &wire.SetWatchesRequest{
			RelativeZxid: seen,
			Data:         []string{p.root + "/changed", p.root + "/deleted", p.root + "/kept"},
			Exist:        []string{p.root + "/created", p.root + "/absent"},
			Child:        []string{p.root + "/parent", p.root + "/lonely"},
		})
		next.event(znode.EventDataChanged, p.root+"/changed")
		next.event(znode.EventDeleted, p.root+"/deleted")
		next.event(znode.EventCreated, p.root+"/created")
		next.event(znode.EventChildrenChanged, p.root+"/parent")
		next.answer(wire.OpSetWatches)
		other.set(p.root+"/changed", "y")
		next.quiet("what has told is not set again")
		other.set(p.root+"/kept", "x")
		next.event(znode.EventDataChanged, p.root+"/kept")
		other.make(p.root + "/absent")
		next.event(znode.EventCreated, p.root+"/absent")
		other.make(p.root + "/lonely/n")
		next.event(znode.EventChildrenChanged, p.root+"/lonely")
	}},
	{"watches", "not-kept", "watches are the connection's: who comes back and sets none is told nothing", func(p *probe) {
		s, other := p.connect(), p.connect()
		s.watch(wire.OpGetData, p.root)
		s.leave()
		next := p.connectAs(s.as())
		other.set(p.root, "x")
		next.quiet("this connection has set no watch")
	}},
	{"watches", "persistent", "a persistent watch tells of every change of a node and of its children's coming and going", func(p *probe) {
		s, other := p.connect(), p.connect()
		s.addWatch(p.root+"/n", wire.WatchPersistent)
		other.make(p.root + "/n")
		s.event(znode.EventCreated, p.root+"/n")
		for range 2 {
			other.set(p.root+"/n", "x")
			s.event(znode.EventDataChanged, p.root+"/n")
		}
		other.make(p.root + "/n/c")
		s.event(znode.EventChildrenChanged, p.root+"/n")
		other.set(p.root+"/n/c", "x")
		other.make(p.root + "/n/c/d")
		s.quiet("a child's data and children are not its parent's")
		other.del(p.root + "/n/c/d")
		other.del(p.root + "/n/c")
		s.event(znode.EventChildrenChanged, p.root+"/n")
		other.del(p.root + "/n")
		s.event(znode.EventDeleted, p.root+"/n")
		other.make(p.root + "/n")
		s.event(znode.EventCreated, p.root+"/n")
	}},
	{"watches", "recursive", "a recursive watch tells of all below it too, by what happens to each node and not to its parent", func(p *probe) {
		s, other := p.connect(), p.connect()
		s.addWatch(p.root, wire.WatchPersistentRecursive)
		other.make(p.root + "/a")
		s.event(znode.EventCreated, p.root+"/a")
		other.make(p.root + "/a/b")
		s.event(znode.EventCreated, p.root+"/a/b")
		other.set(p.root+"/a/b", "x")
		s.event(znode.EventDataChanged, p.root+"/a/b")
		other.del(p.root + "/a/b")
		s.event(znode.EventDeleted, p.root+"/a/b")
		other.set(p.root, "x")
		s.event(znode.EventDataChanged, p.root)
		s.quiet("all has been told")
	}},
	{"watches", "persistent-set-again", "a client that comes back sets its persistent watches too", func(p *probe) {
		s, other := p.connect(), p.connect()
		s.addWatch(p.root, wire.WatchPersistent)
		s.leave()
		next := p.connectAs(s.as())
		next.offers(wire.OpSetWatches2, &wire.SetWatchesRequest{Two: true, RelativeZxid: 1 << 60, Persistent: []string{p.root}, PersistentRecursive: []string{p.root + "/a"}})
		other.make(p.root + "/a")
		next.event(znode.EventCreated, p.root+"/a")
		next.event(znode.EventChildrenChanged, p.root)
		other.make(p.root + "/a/b")
		next.event(znode.EventCreated, p.root+"/a/b")
	}},
	{"watches", "remove", "a watch that is taken away tells nothing, and taking away what is not there is said to be that", func(p *probe) {
		s, other := p.connect(), p.connect()
		s.watch(wire.OpGetData, p.root)
		s.offers(wire.OpRemoveWatches, &wire.WatcherRequest{Path: p.root, Type: wire.WatcherData})
		other.set(p.root, "x")
		s.quiet("the watch was removed")
		s.refuses(znode.CodeNoWatcher, wire.OpRemoveWatches, &wire.WatcherRequest{Path: p.root, Type: wire.WatcherAny})
		s.watch(wire.OpGetChildren, p.root)
		s.refuses(znode.CodeNoWatcher, wire.OpCheckWatches, &wire.WatcherRequest{Path: p.root, Type: wire.WatcherData})
		s.ok(wire.OpCheckWatches, &wire.WatcherRequest{Path: p.root, Type: wire.WatcherChildren})
		other.make(p.root + "/n")
		s.event(znode.EventChildrenChanged, p.root)
	}},
}

// answer waits for the next message, which has to be an answer to what was sent.
func (s *session) answer(op wire.Op) {
	m, err := s.conn.Receive(s.p.ctx)
	s.p.must(err == nil, "%v: the connection failed instead of an answer: %v", op, err)
	s.p.must(m.Op == op && m.Event() == nil, "want the answer to %v, got %v", op, m.Op)
	s.p.must(m.Header.Err == znode.CodeOK, "%v: want it done, got %v", op, m.Header.Err)
}
