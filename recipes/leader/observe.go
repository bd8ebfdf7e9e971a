package leader

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// Participant is a candidate, or the leader, as others see it. The zero Participant is nobody.
type Participant struct {
	ID       string    // its name: Options.ID, or Curator's participant id
	Token    int64     // that of the term it has or will have; never 0
	Path     string    // of its node
	Joined   time.Time // when it took its place, by the servers' clock
	Session  int64     // the session it lives in
	Priority int       // Options.Priority
}

// Leader returns who leads, or is about to: the first in line, as the server knows which this client is connected to. It is not ok
// when there is no candidate. Who is cut off from the servers, and has stopped, stands there until its session's timeout is over. To
// know what was true after the call began, call client.Client.Sync first. It takes two requests.
func (e *Election) Leader(ctx context.Context) (leader Participant, ok bool, err error) {
	for {
		line, err := ticket.Line(ctx, e.client, e.path, e.opts.Layout.marker())
		if err != nil || len(line) == 0 {
			return Participant{}, false, e.observed("leader", err)
		}
		now, _, err := e.first(ctx, line, false)
		if err != nil || now.Token != 0 {
			return now, err == nil, e.observed("leader", err)
		}
	}
}

// Participants returns the candidates in order, the leader first, as Leader finds it. It takes a request and one more for each of them.
func (e *Election) Participants(ctx context.Context) ([]Participant, error) {
	line, err := ticket.Line(ctx, e.client, e.path, e.opts.Layout.marker())
	if err != nil {
		return nil, e.observed("participants", err)
	}
	all, err := e.participants(ctx, line)
	return all, e.observed("participants", err)
}

// participants reads all that are still there.
func (e *Election) participants(ctx context.Context, line []ticket.Place) ([]Participant, error) {
	var all []Participant
	for _, place := range line {
		p, _, err := e.read(ctx, place, false)
		if err != nil {
			return nil, err
		}
		if p.Token != 0 {
			all = append(all, p)
		}
	}
	// The line's order but for two of one number, which is told by the transactions alone.
	slices.SortFunc(all, byToken)
	return all, nil
}

// State is an election as it stands on the servers.
type State struct {
	// Candidates are all who stand, in order: the first leads, or is about to. Who looks on leaves nothing behind to be seen by.
	Candidates []Participant
	// Next is the path of the candidate the last leader handed over to, as long as others are ahead of it; else "".
	Next string
	// Foreign are the names of children that are no candidates: of another recipe perhaps, which this one does not exclude.
	Foreign []string
}

// Inspect returns the election as the server knows it that this client is connected to. It changes nothing, and takes two requests and one
// more for each candidate; those that go meanwhile are left out.
func (e *Election) Inspect(ctx context.Context) (State, error) {
	var s State
	names, _, err := e.client.Children(ctx, e.path)
	if errors.Is(err, client.ErrNoNode) {
		return s, nil
	}
	var line []ticket.Place
	for _, name := range names {
		if place, ok := ticket.Parse(name, e.opts.Layout.marker()); ok {
			line = append(line, place)
		} else {
			s.Foreign = append(s.Foreign, name)
		}
	}
	slices.Sort(s.Foreign)
	if err == nil {
		s.Candidates, err = e.participants(ctx, line)
	}
	var data []byte
	if err == nil {
		data, _, err = e.client.Get(ctx, e.path)
	}
	if err != nil && !errors.Is(err, client.ErrNoNode) {
		return State{}, e.failed("inspect", err)
	}
	if next, ok := strings.CutPrefix(string(data), note); ok {
		next = client.Join(e.path, next)
		if slices.IndexFunc(s.Candidates, func(p Participant) bool { return p.Path == next }) > 0 {
			s.Next = next
		}
	}
	return s, nil
}

// Watch follows who leads: it yields the present leader, as Leader finds it, and then each next one; nobody, the zero Participant, when there
// is no candidate. Leaders that follow each other faster than the loop takes them are left out, but never the last one, and none comes
// after one with a greater token, also in another session or at another server. After a restore of old data a new loop is needed. An
// error ends the loop and is the last thing yielded: ctx's cause, client.ErrClosed, ….
//
// It sets one watch, on the leader's node, and asks the servers again when that wakes, with two requests; candidates that come and go cost
// nothing.
func (e *Election) Watch(ctx context.Context) iter.Seq2[Participant, error] {
	return func(yield func(Participant, error) bool) {
		if err := e.follow(ctx, func(p Participant) bool { return yield(p, nil) }); err != nil {
			yield(Participant{}, e.observed("watch", err))
		}
	}
}

// follow is Watch. It returns nil when yield says so.
func (e *Election) follow(ctx context.Context, yield func(Participant) bool) error {
	var last Participant // yielded
	var greatest int64   // of the tokens
	for told := false; ; {
		now, w, err := e.look(ctx)
		if err != nil {
			return err
		}
		// A server that is behind the one before, which it may be in a session that only it knows of (local sessions), tells of a
		// leader who has gone. It wakes the watch when it has caught up.
		behind := now.Token != 0 && now.Token < greatest
		if !behind && (!told || now != last) {
			if !yield(now) {
				return nil
			}
			if greatest != 0 && now.Token > greatest {
				e.kit.Count(telemetry.LeaderChanges, 1)
			}
			last, told, greatest = now, true, max(greatest, now.Token)
		}
		// The end of a session is no end: the next look is in the next one, or tells why there is none.
		if _, err := w.Wait(ctx); err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// look finds the leader, and sets a watch that wakes when it may be another one.
func (e *Election) look(ctx context.Context) (Participant, *client.Watch, error) {
	for {
		line, err := ticket.Line(ctx, e.client, e.path, e.opts.Layout.marker())
		if err != nil {
			return Participant{}, nil, err
		}
		if len(line) == 0 {
			if w, err := e.vacancy(ctx); w != nil || err != nil {
				return Participant{}, w, err
			}
			continue
		}
		if now, w, err := e.first(ctx, line, true); err != nil || now.Token != 0 {
			return now, w, err
		}
	}
}

// first reads the first participant in a line, and sets a watch on it if it is to be watched. It is nobody if that one is gone.
func (e *Election) first(ctx context.Context, line []ticket.Place, watch bool) (first Participant, w *client.Watch, err error) {
	for _, place := range line {
		if place.Number != line[0].Number {
			break
		}
		p, pw, err := e.read(ctx, place, watch)
		if err != nil {
			return Participant{}, nil, err
		}
		if p.Token != 0 && (first.Token == 0 || p.Token < first.Token) {
			first, w = p, pw
		}
	}
	return first, w, nil
}

// read reads a participant, and sets a watch on it if it is to be watched. It is nobody if it is gone.
func (e *Election) read(ctx context.Context, place ticket.Place, watch bool) (p Participant, w *client.Watch, err error) {
	var data []byte
	var stat client.Stat
	path := client.Join(e.path, place.Name)
	if watch {
		data, stat, w, err = e.client.GetW(ctx, path)
	} else {
		data, stat, err = e.client.Get(ctx, path)
	}
	if errors.Is(err, client.ErrNoNode) {
		return Participant{}, nil, nil
	}
	return Participant{
		ID: string(data), Token: stat.Czxid, Path: path, Joined: stat.Ctime, Session: stat.EphemeralOwner,
		Priority: priority(place.Name, e.opts.Layout.marker()),
	}, w, err
}

func byToken(a, b Participant) int { return cmp.Compare(a.Token, b.Token) }

// vacancy sets a watch on a directory without candidates. It is nil if there are any.
func (e *Election) vacancy(ctx context.Context) (*client.Watch, error) {
	names, _, w, err := e.client.ChildrenW(ctx, e.path)
	if errors.Is(err, client.ErrNoNode) {
		var exists bool
		if _, exists, w, err = e.client.ExistsW(ctx, e.path); exists {
			return nil, err
		}
	}
	candidate := func(name string) bool { _, ok := ticket.Parse(name, e.opts.Layout.marker()); return ok }
	if err != nil || slices.ContainsFunc(names, candidate) {
		return nil, err
	}
	return w, nil
}

// observed is failed for what may not have failed.
func (e *Election) observed(op string, err error) error {
	if err == nil {
		return nil
	}
	return e.failed(op, err)
}
