package differential

import (
	"math/rand/v2"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// A Generator makes steps. The same seed and the same answers make the same steps.
type Generator struct {
	rand  *rand.Rand
	slots []actor
	tree  *model
	next  int // number of the next step
	calls int // operations made so far
	total int // weight of all choices
	last  znode.Zxid
	held  *choice // what the burst made last had no room for: the same slot's next step
	by    int     // that slot

	// MaxBurst is how many calls a step may have; 1 makes every step a single request.
	MaxBurst int
	// HardQuotas allows hard limits. Apache checks them against what has been applied, which in a burst is a matter of luck.
	HardQuotas bool
	// PlainMultis keeps create2 out of multis: before 3.9, Apache's server logs such a multi and then cannot apply it, neither
	// at once nor when it reads the log (class DataTree, processTxn).
	PlainMultis bool
}

// An actor is what the generator knows of a slot.
type actor struct {
	connected, session bool
	watched            []string // a few paths it has set watches on
	made               []string // a few paths it has created as ephemerals
}

// A choice is a kind of operation and how often it comes.
type choice struct {
	kind   Kind
	weight int
	call   func(g *Generator, slot int) (wire.Op, wire.Record)
	link   Link // instead of call
	alone  bool // never in a burst, save that closeSession ends one
}

// NewGenerator returns one for that many sessions.
func NewGenerator(seed uint64, sessions int) *Generator {
	g := &Generator{rand: rand.New(rand.NewPCG(seed, 0x2d99787926d46932)), slots: make([]actor, sessions), tree: newModel(), MaxBurst: 1}
	for _, c := range choices {
		g.total += c.weight
	}
	return g
}

// Operations is how many operations have been made.
func (g *Generator) Operations() int { return g.calls }

// Kinds are all there are.
func Kinds() []Kind {
	kinds := []Kind{Kind(Open.String())}
	for _, c := range choices {
		kinds = append(kinds, c.kind)
	}
	return kinds
}

// Next makes a step: by a slot that has to connect if there is one, by a random one otherwise.
func (g *Generator) Next() *Step {
	s := &Step{Number: g.next, Legacy: g.chance(30)}
	g.next++
	if g.held != nil && g.slots[g.by].connected {
		s.Slot = g.by
		g.fill(s)
	} else if i := slices.IndexFunc(g.slots, func(a actor) bool { return !a.connected }); i >= 0 {
		s.Slot, s.Link = i, Reattach
		if !g.slots[i].session {
			s.Link = Open
		}
	} else {
		s.Slot = g.rand.IntN(len(g.slots))
		g.fill(s)
	}
	g.calls += len(s.kinds())
	return s
}

// fill gives the step its calls, or a link.
func (g *Generator) fill(s *Step) {
	room := 1
	if g.MaxBurst > 1 {
		room += g.rand.IntN(g.MaxBurst)
	}
	for len(s.Calls) < room {
		c := g.held
		if g.held = nil; c == nil {
			c = g.choose()
		}
		if c.alone && len(s.Calls) > 0 {
			g.held, g.by = c, s.Slot
			return
		}
		if s.Link = c.link; s.Link != Stay {
			return
		}
		call := Call{Kind: c.kind}
		call.Op, call.Record = c.call(g, s.Slot)
		s.Calls = append(s.Calls, call)
		// Apache checks what follows a setACL against the older list until it has been applied, which in a burst is a matter of
		// luck (class PrepRequestProcessor: the pending change keeps the node's ACL as it was). Ours never does.
		if c.alone || call.Op == wire.OpCloseSession || call.Op == wire.OpSetACL {
			return
		}
	}
}

func (g *Generator) choose() *choice {
	n := g.rand.IntN(g.total)
	for i := range choices {
		if n -= choices[i].weight; n < 0 {
			return &choices[i]
		}
	}
	panic("the weights do not add up")
}

// Learn takes in what the reference answered to the step.
func (g *Generator) Learn(s *Step, out *Outcome) {
	a := &g.slots[s.Slot]
	if s.Link != Stay {
		a.connected, a.session, a.watched = true, true, nil
	}
	for i := range s.Calls {
		m := &out.Replies[i]
		if m.Header.Zxid > g.last {
			g.last = m.Header.Zxid
		}
		if m.Op != s.Calls[i].Op || m.Header.Err != znode.CodeOK {
			continue
		}
		g.learn(s.Slot, s.Calls[i].Op, s.Calls[i].Record, m.Record)
	}
	if out.Lost {
		a.connected, a.watched = false, nil
	}
}

func (g *Generator) learn(slot int, op wire.Op, asked, answer wire.Record) {
	switch q := asked.(type) {
	case *wire.CreateRequest:
		g.learnCreate(slot, q, answer.(*wire.CreateResponse).Path)
	case *wire.DeleteRequest:
		g.tree.deleted(q.Path)
	case *wire.SetDataRequest:
		g.learnVersion(q.Path, answer.(*wire.StatResponse).Stat.Version)
	case *wire.SetACLRequest:
		if e := g.tree.at[q.Path]; e != nil {
			e.aversion, e.open = answer.(*wire.StatResponse).Stat.Aversion, isOpen(q.ACL)
		}
	case *wire.MultiRequest:
		g.learnMulti(slot, q, answer.(*wire.MultiResponse))
	case *wire.WatchRequest:
		if q.Watch {
			g.remember(&g.slots[slot].watched, q.Path)
		}
	case *wire.AddWatchRequest:
		g.remember(&g.slots[slot].watched, q.Path)
	}
	if op == wire.OpCloseSession {
		g.tree.sessionEnded(slot)
		g.slots[slot] = actor{}
	}
}

func (g *Generator) learnCreate(slot int, q *wire.CreateRequest, path string) {
	owner := -1
	if q.Mode.Ephemeral() && !q.HasTTL {
		owner = slot
		g.remember(&g.slots[slot].made, path)
	}
	g.tree.created(path, owner, isOpen(q.ACL))
}

func (g *Generator) learnVersion(path string, version int32) {
	if e := g.tree.at[path]; e != nil {
		e.version = version
	}
}

func (g *Generator) learnMulti(slot int, q *wire.MultiRequest, answer *wire.MultiResponse) {
	if q.Read || len(q.Ops) != len(answer.Results) {
		return
	}
	for i, op := range q.Ops {
		res := &answer.Results[i]
		if res.Err != znode.CodeOK || res.Op == wire.OpError {
			return
		}
		switch sub := op.Record.(type) {
		case *wire.CreateRequest:
			g.learnCreate(slot, sub, res.Path)
		case *wire.DeleteRequest:
			g.tree.deleted(sub.Path)
		case *wire.SetDataRequest:
			g.learnVersion(sub.Path, res.Stat.Version)
		}
	}
}

// remember keeps the last few of a list.
func (g *Generator) remember(list *[]string, path string) {
	if *list = append(*list, path); len(*list) > 12 {
		*list = slices.Delete(*list, 0, 1)
	}
}

// chance is true in percent of all cases.
func (g *Generator) chance(percent int) bool { return g.rand.IntN(100) < percent }

func oneOf[T any](g *Generator, of ...T) T { return of[g.rand.IntN(len(of))] }
