package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
)

// A Trial is one recipe's: where, by whom, and what came of it.
type Trial struct {
	Subject
	// Recipe is what is on trial.
	Recipe Recipe
	// Dir is the directory for its nodes, which is there.
	Dir string
	// Witness is a client that nothing happens to but what happens to servers.
	Witness *client.Client

	run   *run
	users []*User

	mu     sync.Mutex
	spans  []Span
	writes []write
	wrong  []string
	counts counts
	last   int // users who had their last turn
	// sessions are those of users, by id.
	sessions map[int64]stint

	// untilAll ends, by allHad, when all users had their last turn.
	untilAll context.Context
	allHad   context.CancelFunc
}

// A Span is the time in which a user held something, for certain.
type Span struct {
	What        string // is held
	User        int
	Token       int64
	Shared      bool // others may hold it too
	Weight      int  // how much of it
	From, Until time.Duration
}

func (s Span) String() string {
	return fmt.Sprintf("user %d held %s with token %d from %v to %v", s.User, s.What, s.Token, s.From, s.Until)
}

// A write was made by who held something with a token.
type write struct {
	path        string
	zxid, token int64
}

// A stint is one session of a user, in one of his lives.
type stint struct {
	user, life int
	lost       bool // and so its nodes may go, though nobody wishes it
}

// counts are how often what happened.
type counts struct {
	turns, troubled, failed int // turns that came about, those of them that met a fault, and others
	held, writes            int // spans, and guarded writes
	faults, struck          int // of users' connections, and those of them that met a frame or broke a connection
	sessions                int // lost in a turn
}

// Now is the time since the run began, on the clock that all users share.
func (t *Trial) Now() time.Duration { return time.Since(t.run.began) }

// Wrong notes what must not be.
func (t *Trial) Wrong(format string, args ...any) {
	text := fmt.Sprintf("%8.3fs %s: %s", t.Now().Seconds(), t.Name, fmt.Sprintf(format, args...))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wrong = append(t.wrong, text)
}

func (t *Trial) note(what func(*counts)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	what(&t.counts)
}

func (t *Trial) noteSession(s client.StateChange, user, life int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sessions == nil {
		t.sessions = map[int64]stint{}
	}
	before := t.sessions[s.Session.ID()]
	t.sessions[s.Session.ID()] = stint{user, life, before.lost || s.State == client.StateLost}
}

// session tells whose a session is, or was. That of nobody is user 0's in no life.
func (t *Trial) session(id int64) stint {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sessions[id]
}

func (t *Trial) noteSpans(spans []Span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spans = append(t.spans, spans...)
	t.counts.held += len(spans)
}

func (t *Trial) noteWrite(w write) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writes = append(t.writes, w)
	t.counts.writes++
}

// hadLast counts a user who had his last turn.
func (t *Trial) hadLast() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last++; t.last == len(t.users) {
		t.allHad()
	}
}

// Spans are all that was held of something, in order of time.
func (t *Trial) Spans(what string) []Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	spans := slices.DeleteFunc(slices.Clone(t.spans), func(s Span) bool { return s.What != what })
	slices.SortStableFunc(spans, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	return spans
}

// CatchUp lets what a client reads next include all that was done before: by a write, since a sync on Apache's servers may miss some.
func (t *Trial) CatchUp(ctx context.Context, c *client.Client) error {
	for {
		_, err := c.Set(ctx, root, nil, client.AnyVersion)
		again := errors.Is(err, client.ErrUnknown) && !errors.Is(err, client.ErrSessionExpired)
		if !again || !pause(ctx, 10*time.Millisecond) {
			return err
		}
	}
}

// Connect makes a client to judge with.
func (t *Trial) Connect(ctx context.Context) (*client.Client, error) {
	return client.Connect(ctx, t.run.Servers, t.run.options(t.run.Dial))
}

// judge judges a recipe when its users have gone.
func (t *Trial) judge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*t.run.Patience)
	defer cancel()
	t.All(fenced(t.writes))
	if err := t.Recipe.Judge(ctx, t); err != nil {
		return err
	}
	patience := time.Now().Add(t.run.Patience)
	for {
		left, err := t.left(ctx)
		if err == nil && len(left) == 0 {
			return nil
		}
		if time.Now().After(patience) || !pause(ctx, 50*time.Millisecond) {
			if err == nil {
				t.Wrong("left behind: %s", strings.Join(left, ", "))
			}
			return err
		}
	}
}

// left are the nodes below the directory that nobody should have left. Containers are given time to be swept.
func (t *Trial) left(ctx context.Context) ([]string, error) {
	if err := t.CatchUp(ctx, t.Witness); err != nil {
		return nil, err
	}
	return t.leftBelow(ctx, t.Dir)
}

func (t *Trial) leftBelow(ctx context.Context, dir string) (left []string, err error) {
	names, _, err := t.Witness.Children(ctx, dir)
	if errors.Is(err, client.ErrNoNode) {
		return nil, nil
	}
	for _, name := range names {
		node := path.Join(dir, name)
		below, err := t.leftBelow(ctx, node)
		if err != nil {
			return nil, err
		}
		left = append(left, below...)
		_, there, err := t.Witness.Exists(ctx, node)
		if err != nil {
			return nil, err
		}
		if there && !t.leaves(strings.TrimPrefix(node, t.Dir+"/")) {
			left = append(left, node)
		}
	}
	return left, err
}

func (t *Trial) leaves(name string) bool {
	return slices.ContainsFunc(t.Leaves, func(pattern string) bool {
		ok, _ := path.Match(pattern, name)
		return ok
	})
}

// Ordered finds spans that overlap though one of them is not shared, and tokens that do not grow: who holds alone has a greater token than
// everybody before, and who shares one that is not less than that of who held alone before. spans are in order of time.
func Ordered(spans []Span) (wrong []string) {
	var latest, alone Span // who holds longest, and who does so alone; of all before
	var token, exclusive int64
	for i, s := range spans {
		before := latest
		if s.Shared {
			before = alone
		}
		if i > 0 && before.Until > s.From {
			wrong = append(wrong, fmt.Sprintf("%v while %v", s, before))
		}
		switch {
		case s.Shared && s.Token < exclusive:
			wrong = append(wrong, fmt.Sprintf("%v after token %d", s, exclusive))
		case !s.Shared && s.Token <= token:
			wrong = append(wrong, fmt.Sprintf("%v after token %d", s, token))
		}
		token = max(token, s.Token)
		if s.Until > latest.Until {
			latest = s
		}
		if !s.Shared {
			exclusive = max(exclusive, s.Token)
			if s.Until > alone.Until {
				alone = s
			}
		}
	}
	return wrong
}

// fenced finds writes with a smaller token after those with a greater one.
func fenced(writes []write) (wrong []string) {
	slices.SortFunc(writes, func(a, b write) int { return cmp.Compare(a.zxid, b.zxid) })
	last := map[string]write{}
	for _, w := range writes {
		if before := last[w.path]; w.token < before.token {
			wrong = append(wrong, fmt.Sprintf("%s was written with token %d at %#x, after token %d at %#x", w.path, w.token, w.zxid, before.token, before.zxid))
		}
		last[w.path] = w
	}
	return wrong
}

// Crowded finds the moments at which more was held than there is room for. spans are in order of time.
func Crowded(spans []Span, room int) (wrong []string) {
	var inside []Span
	for _, s := range spans {
		inside = slices.DeleteFunc(inside, func(o Span) bool { return o.Until <= s.From })
		inside = append(inside, s)
		sum := 0
		for _, o := range inside {
			sum += o.Weight
		}
		if sum > room {
			wrong = append(wrong, fmt.Sprintf("%d held where there is room for %d: %v", sum, room, inside))
		}
	}
	return wrong
}

// All notes each of some findings as wrong.
func (t *Trial) All(findings []string) {
	for _, f := range findings {
		t.Wrong("%s", f)
	}
}
