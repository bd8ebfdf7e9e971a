package partition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/group"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/lock"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// Defaults of Options.
const (
	DefaultSettle = 5 * time.Second
	DefaultNotice = 5 * time.Second
	DefaultGrace  = 10 * time.Second
)

// Why a part is not this member's any more, beside the end of its session and of Run's context.
var (
	// ErrMoved is the cause when the part is another's by now, or does not exist any more.
	ErrMoved = errors.New("part has moved")
	// ErrReleased is the cause when the part was given back.
	ErrReleased = lock.ErrReleased
	// ErrRemoved is the cause when somebody else removed the owner's node.
	ErrRemoved = lock.ErrRemoved
	// ErrLeft is the cause when the member has left.
	ErrLeft = group.ErrLeft
)

// Options of a Partition. The zero value works, and nil means the zero value.
type Options struct {
	// ID is this member's, which no other may have. Who comes back with the same id gets the same parts; so it should be one that
	// outlives a restart. Default: a new one for each Join, that begins with ticket.Identity, the host's name and the process's number.
	ID string
	// Weight is how much this member takes, compared to others, up to MaxWeight; a negative one takes nothing. Default: 1.
	Weight int
	// Settle is how long the members must have stayed the same before anybody acts upon it: one who is back by then has kept its parts. If
	// they never stay the same so long it is acted after five times that. If it is negative nobody waits. Default: 5 s.
	Settle time.Duration
	// Notice is how long an owner may still work after it was told that the part moves, before the part's context ends. If it is
	// negative that is at once. Default: 5 s.
	Notice time.Duration
	// Grace is how long an owner may take to let go when the part's context has ended: then the part is given up over its head, and
	// Overdue is called. If it is negative the owner is waited for. Default: 10 s.
	Grace time.Duration
	// Overdue, if not nil, is called when Grace is over, once a part and on a goroutine that waits for it. Ending the process is a
	// good answer.
	Overdue func(*Part)
	// ACL is that of the nodes of this member and of directories made for them. All members must be able to list the directories, to add
	// children, and to read each other's nodes. Default: the client's.
	ACL []client.ACL
	// Logger is warned of children of the directories that are not theirs, of parts that were given up over the head of their owner, and of
	// errors of Run's function that came when the part was not its any more. Default: silence.
	Logger *slog.Logger
}

// Partition is a set of parts that members divide among each other, at a path. It may be used by many goroutines.
type Partition struct {
	client *client.Client
	path   string
	parts  []string // that are fixed; sorted
	dir    string   // or whose children are the parts
	bad    error
	opts   Options
	kit    *telemetry.Kit // nil: nobody looks
}

// measured is how parts are called where they are seen.
var measured = telemetry.Recipe{Family: telemetry.Partition, Name: "part", Words: []telemetry.Word{
	{Err: ErrMoved, Word: "moved"}, {Err: ErrReleased, Word: "released"}, {Err: ErrRemoved, Word: "removed", Lost: true}, {Err: ErrLeft, Word: "left"},
}}

// New describes how parts are divided. It sends nothing. Names of parts are names of nodes. Members count only those who divide the same
// parts: while some have other parts than others, as during an upgrade, each kind divides all of its own, and what both know is owned by one of
// either kind.
func New(c *client.Client, path string, parts []string, opts *Options) *Partition {
	p := newPartition(c, path, opts)
	p.parts = slices.Compact(slices.Sorted(slices.Values(parts)))
	for _, name := range p.parts {
		if name == "" || strings.Contains(name, "/") {
			p.bad = fmt.Errorf("%w: %q is no part's name", client.ErrInvalidPath, name)
		}
	}
	return p
}

// NewOfChildren describes how the children of a node are divided, which may come and go. It sends nothing.
func NewOfChildren(c *client.Client, path, dir string, opts *Options) *Partition {
	p := newPartition(c, path, opts)
	p.dir = dir
	return p
}

func newPartition(c *client.Client, path string, opts *Options) *Partition {
	p := &Partition{client: c, path: path, kit: telemetry.Of(c)}
	if opts != nil {
		p.opts = *opts
	}
	for value, normal := range map[*time.Duration]time.Duration{
		&p.opts.Settle: DefaultSettle, &p.opts.Notice: DefaultNotice, &p.opts.Grace: DefaultGrace,
	} {
		if *value == 0 {
			*value = normal
		}
	}
	if p.opts.Weight == 0 {
		p.opts.Weight = 1
	}
	if p.opts.Logger == nil {
		p.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return p
}

// Path returns the partition's path.
func (p *Partition) Path() string { return p.path }

// kind tells partitions of other parts apart.
func (p *Partition) kind() string {
	text := "children of " + p.dir
	if p.dir == "" {
		text = strings.Join(p.parts, "/")
	}
	return fmt.Sprintf("%016x", hash(text))
}

func (p *Partition) members() *group.Group {
	return group.New(p.client, p.path+"/members", &group.Options{ACL: p.opts.ACL, Logger: p.opts.Logger})
}

// locks is the directory in which the owner of a part holds a lock.
func (p *Partition) locks(part string) string { return p.path + "/locks/" + part }

func (p *Partition) mutex(part, id string) *lock.Mutex {
	return lock.NewMutex(p.client, p.locks(part), &lock.Options{Data: []byte(id), ACL: p.opts.ACL, Logger: p.opts.Logger})
}

// marker is that of lock.Mutex.
const marker = "lock-"

// weights are those of members who divide the same parts.
func (p *Partition) weights(members []group.Member) map[string]int {
	kind, weights := p.kind(), make(map[string]int)
	for _, m := range members {
		var n note
		if m.Err == nil && n.read(m.Payload) && n.Parts == kind {
			weights[m.ID] = n.Weight
		}
	}
	return weights
}

// State is what stands on the servers about a part.
type State struct {
	Part    string
	Owner   string    // the id of who owns it; "": nobody
	Token   int64     // the owner's
	Since   time.Time // when the owner took its place in line, by the servers' clock
	Session int64     // the owner's
	Path    string    // of the owner's node
	Waiting []string  // the ids of those who wait for it, in order
	Target  string    // the id of who is to have it, with the members there are now; "": nobody
}

// Inspect returns whose each part is and who is to have it next, by name, as the server knows which this client is connected to. It takes a list
// of the members and one for each part, and a read for each node in them; it waits for nobody else.
func (p *Partition) Inspect(ctx context.Context) ([]State, error) {
	members, err := p.members().Inspect(ctx)
	if err != nil {
		return nil, p.failed("inspect", err)
	}
	parts := p.parts
	if p.dir != "" {
		if parts, _, err = p.client.Children(ctx, p.dir); err != nil && !errors.Is(err, client.ErrNoNode) {
			return nil, p.failed("inspect", err)
		}
		slices.Sort(parts)
	}
	lots := drawers(p.weights(members))
	all := make([]State, 0, len(parts))
	for _, name := range parts {
		s := State{Part: name, Target: lots.choose(name)}
		if err := p.inspect(ctx, &s); err != nil {
			return nil, p.failed("inspect", err)
		}
		all = append(all, s)
	}
	return all, nil
}

// inspect reads the line of a part.
func (p *Partition) inspect(ctx context.Context, s *State) error {
	line, err := ticket.Line(ctx, p.client, p.locks(s.Part), marker)
	if err != nil {
		return err
	}
	for _, place := range line {
		path := p.locks(s.Part) + "/" + place.Name
		data, stat, err := p.client.Get(ctx, path)
		switch {
		case errors.Is(err, client.ErrNoNode):
		case err != nil:
			return err
		case s.Token == 0:
			s.Owner, s.Token, s.Since, s.Session, s.Path = string(data), stat.Czxid, stat.Ctime, stat.EphemeralOwner, path
		default:
			s.Waiting = append(s.Waiting, string(data))
		}
	}
	return nil
}

// failed puts the partition's own operation and path on an error.
func (p *Partition) failed(op string, err error) error {
	return &client.Error{Op: op, Path: p.path, Err: err}
}
