package replica

import (
	"iter"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Sweep says how containers and TTL nodes are removed (class ContainerManager). The zero value never does.
type Sweep struct {
	Interval     int64 // milliseconds between looks at the tree; 0: never
	PerMinute    int   // most removals a minute, spaced evenly; at least 1
	MaxNeverUsed int64 // milliseconds after which a container that never had a child goes; 0: never
}

// sweeper finds the containers and TTL nodes whose time has come. Ages are counted on the monotonic clock from the first moment
// this server saw the node as it is: a jump of the wall clock removes nothing early, and a restart lets a node live longer,
// never shorter. (Apache's server compares wall clocks.)
type sweeper struct {
	cfg   Sweep
	now   int64      // monotonic, milliseconds
	next  int64      // when to look at the tree again
	free  int64      // when the next removal may go out
	until znode.Zxid // of the last removal proposed; before it is applied the tree still has what is on its way out
	queue []string
	seen  map[string]sight // of every container and TTL node
	fresh []string         // changed since now: they are seen by the next clock that is read, which is not before the change
}

// sight is when a node was first seen with these marks.
type sight struct {
	czxid, mzxid znode.Zxid
	mono         int64
}

func (s *sweeper) start(t *tree.Tree, cfg Sweep, now Time) {
	s.cfg, s.now, s.next, s.fresh = cfg, now.Mono, now.Mono+cfg.Interval, nil
	s.look(t)
}

// applied notes that nodes that time may remove were made or changed.
func (s *sweeper) applied(t *tree.Tree, changes []tree.Change) {
	if s.cfg.Interval == 0 {
		return
	}
	for i := range changes {
		if changes[i].Type == znode.EventDeleted {
			continue
		}
		if n := t.Node(changes[i].Path); n != nil && (n.Kind() == znode.TTL || n.Kind() == znode.Container) {
			s.fresh = append(s.fresh, n.Path())
		}
	}
}

// at sets the clock.
func (s *sweeper) at(t *tree.Tree, now Time) {
	s.now = now.Mono
	for _, path := range s.fresh {
		if n := t.Node(path); n != nil && (n.Kind() == znode.TTL || n.Kind() == znode.Container) {
			s.see(n)
		}
	}
	s.fresh = s.fresh[:0]
}

// see is since when n has been as it is.
func (s *sweeper) see(n *tree.Node) int64 {
	p := n.Persisted()
	at, ok := s.seen[n.Path()]
	if !ok || at.czxid != p.Czxid || at.mzxid != p.Mzxid {
		at = sight{czxid: p.Czxid, mzxid: p.Mzxid, mono: s.now}
		s.seen[n.Path()] = at
	}
	return at.mono
}

// ripe reports whether n's time has come.
func (s *sweeper) ripe(n *tree.Node) bool {
	age := s.now - s.see(n)
	if n.NumChildren() > 0 {
		return false
	}
	switch p := n.Persisted(); n.Kind() {
	case znode.TTL:
		return age > p.Owner.TTL()
	case znode.Container:
		return p.Cversion > 0 || s.cfg.MaxNeverUsed > 0 && age > s.cfg.MaxNeverUsed
	}
	return false
}

// look goes through all containers and TTL nodes, forgets those that are gone and queues those whose time has come, sorted.
func (s *sweeper) look(t *tree.Tree) {
	old := s.seen
	s.seen = make(map[string]sight, len(old))
	for _, nodes := range []iter.Seq[*tree.Node]{t.Containers(), t.TTLs()} {
		for n := range nodes {
			if at, ok := old[n.Path()]; ok {
				s.seen[n.Path()] = at
			}
			if s.ripe(n) {
				s.queue = append(s.queue, n.Path())
			}
		}
	}
	slices.Sort(s.queue)
}

// due adds the removals that may go out now, each looked at once more: what is queued may have been used meanwhile.
func (s *sweeper) due(reqs []request.Request, t *tree.Tree, now Time) []request.Request {
	s.at(t, now)
	if s.cfg.Interval == 0 {
		return reqs
	}
	if now.Mono >= s.next && len(s.queue) == 0 && t.Zxid() >= s.until {
		s.look(t)
		s.next = now.Mono + s.cfg.Interval
		s.free = max(s.free, now.Mono)
	}
	space := 60_000 / int64(max(s.cfg.PerMinute, 1))
	for len(s.queue) > 0 && s.free <= now.Mono {
		path := s.queue[0]
		s.queue = s.queue[1:]
		if n := t.Node(path); n != nil && s.ripe(n) {
			reqs = append(reqs, request.Request{Op: wire.OpDeleteContainer, Record: &wire.PathRequest{Path: path}})
			s.free += space
		}
	}
	return reqs
}

// Sweep asks for the removal of all containers and TTL nodes whose time has come at this moment, as the next Tick would if it were time
// to look and no pace were kept; what has to be looked at again once earlier removals are applied is left. It returns how many they are,
// 0 unless this server leads or stands alone. The next Tick plans them.
func (r *Replica) Sweep(now Time) int {
	s := &r.sweeper
	if r.sessions == nil || !r.serving || r.tree.Zxid() < s.until {
		return 0
	}
	s.at(r.tree, now)
	s.queue = nil
	s.look(r.tree)
	for _, path := range s.queue {
		r.due = append(r.due, request.Request{Op: wire.OpDeleteContainer, Record: &wire.PathRequest{Path: path}})
	}
	n := len(s.queue)
	s.queue = nil
	return n
}
