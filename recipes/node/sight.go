package node

import (
	"cmp"
	"context"
	"errors"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// errGone is why a node is not there that somebody has deleted.
var errGone = errors.New("somebody deleted the node")

// words are what becomes of nodes, in spans and metrics.
var words = []telemetry.Word{
	{Err: ErrClosed, Word: "closed"},
	{Err: ErrTaken, Word: "taken", Lost: true},
	{Err: errGone, Word: "removed", Lost: true},
}

// How the kinds of nodes are called there.
var (
	ephemeral  = telemetry.Recipe{Family: telemetry.Node, Name: "ephemeral_node", Words: words}
	sequential = telemetry.Recipe{Family: telemetry.Node, Name: "sequential_node", Words: words}
	persistent = telemetry.Recipe{Family: telemetry.Node, Name: "persistent_node", Words: words}
	ttl        = telemetry.Recipe{Family: telemetry.Node, Name: "ttl_node", Words: words}
)

func (o *Options) measured() *telemetry.Recipe {
	switch {
	case o.TTL != 0:
		return &ttl
	case o.Persistent:
		return &persistent
	case o.Sequential:
		return &sequential
	default:
		return &ephemeral
	}
}

// sight is how a node is seen in spans and metrics, if somebody looks: it is wanted, and then there, and wanted again. It belongs to the
// goroutine that keeps the node, and may be nil.
type sight struct {
	node    *Node
	kit     *telemetry.Kit
	recipe  *telemetry.Recipe
	wait    *telemetry.Wait // nil while the node is there
	hold    *telemetry.Hold
	session *client.Session // in which it was there last
	czxid   int64
}

// look begins with a node that is wanted.
func (n *Node) look() *sight {
	kit := telemetry.Of(n.client)
	if kit == nil {
		return nil
	}
	s := &sight{node: n, kit: kit, recipe: n.opts.measured().Seen(n.life)}
	s.want()
	return s
}

func (s *sight) want() {
	_, s.wait = s.kit.Wait(s.node.life, s.recipe, s.node.path)
}

// below returns a context for what is done for the node now.
func (s *sight) below(ctx context.Context) context.Context {
	switch {
	case s == nil:
		return ctx
	case s.wait != nil:
		return s.wait.Context(ctx)
	default:
		return s.hold.Context(ctx)
	}
}

// present tells that the node is there.
func (s *sight) present(session *client.Session, czxid int64) {
	if s == nil || s.wait == nil && s.czxid == czxid && s.session == session {
		return
	}
	if s.wait == nil { // it went, and nobody saw it
		s.absent(cmp.Or(s.session.Err(), errGone))
	}
	if s.session != nil {
		s.kit.Repaired(s.recipe)
	}
	s.hold = s.wait.Held(telemetry.Held{Session: session, Path: s.node.path, Token: czxid})
	s.wait, s.session, s.czxid = nil, session, czxid
}

// absent tells that it is not, and is wanted.
func (s *sight) absent(why error) {
	if s != nil && s.wait == nil {
		s.hold.End(why)
		s.want()
	}
}

// overwritten tells that somebody has written other data, and that they are put right.
func (s *sight) overwritten() {
	if s != nil {
		s.kit.Repaired(s.recipe)
	}
}

// end tells that it is not wanted any more.
func (s *sight) end(why error) {
	switch {
	case s == nil:
	case s.wait != nil:
		s.wait.Failed(why)
	default:
		s.hold.End(why)
	}
}
