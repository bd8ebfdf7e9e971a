package leader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// note precedes, in the data of the election's directory, the name of the candidate whom the last leader wanted to be the next. Names do not
// come twice, so a note is of no meaning once its candidate is gone.
const note = "next="

// label is what stands before the marker in a candidate's name: nothing for the usual priority, and otherwise p<priority>- .
func label(priority int) string {
	if priority == 0 {
		return ""
	}
	return "p" + strconv.Itoa(priority) + "-"
}

// priority reads a candidate's priority from its name. A name that tells none has 0.
func priority(name, marker string) int {
	_, rest, ok := client.ParseProtected(name)
	if !ok {
		return 0
	}
	text, ok := strings.CutSuffix(rest[:max(strings.LastIndex(rest, marker), 0)], "-")
	if !ok || !strings.HasPrefix(text, "p") {
		return 0
	}
	n, err := strconv.Atoi(text[1:])
	if err != nil || label(n) != text+"-" {
		return 0
	}
	return n
}

// givesWay tells whether a candidate whose turn it is has to let another one ahead: the one that was handed over to, or else one with a
// greater priority. It leaves the line for that and joins it again, so that the order of the line goes on to decide who leads.
func (e *Election) givesWay(ctx context.Context, t *ticket.Ticket) (bool, error) {
	view, marker := e.client.In(t.Session()), e.opts.Layout.marker()
	line, err := ticket.Line(ctx, view, e.path, marker)
	if err != nil {
		return false, err
	}
	i := slices.Index(line, t.Place())
	if i < 0 {
		return false, ticket.ErrGone
	}
	behind := line[i+1:]
	if len(behind) == 0 {
		return false, nil
	}
	data, _, err := view.Get(ctx, e.path)
	if errors.Is(err, client.ErrNoNode) {
		return false, ticket.ErrGone
	}
	if err != nil {
		return false, err
	}
	if next, ok := strings.CutPrefix(string(data), note); ok {
		if next == t.Place().Name {
			return false, nil
		}
		if slices.ContainsFunc(behind, func(p ticket.Place) bool { return p.Name == next }) {
			return true, nil
		}
	}
	return slices.ContainsFunc(behind, func(p ticket.Place) bool { return priority(p.Name, marker) > e.opts.Priority }), nil
}

// HandOver resigns in favour of the candidate with an id, the first of them in line: those ahead of it who are of this package let it ahead
// once, whatever their priority. Curator's do not. It returns when the leader's node is certainly gone, and it is written down who is
// to be the next, in one transaction; whether that one has begun to lead, Watch tells. If it goes away meanwhile, the next in line leads.
//
// If there is no such candidate HandOver fails with ErrNoCandidate, and if the election's directory has data that are somebody's own, with
// client.ErrBadArguments; then the term goes on, as it does when the servers could not be asked for that. When it fails later the
// term is over, as Context tells, the place is given up as by Resign, and nobody is preferred; or perhaps somebody is, with
// client.ErrUnknown.
func (t *Term) HandOver(ctx context.Context, id string) error {
	if err := t.handOver(ctx, id); err != nil {
		return t.election.failed("hand over", err)
	}
	return nil
}

func (t *Term) handOver(ctx context.Context, id string) error {
	select {
	case t.handing <- struct{}{}:
		defer func() { <-t.handing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if t.ctx.Err() != nil {
		return context.Cause(t.ctx)
	}
	next, err := t.successor(ctx, id)
	if err != nil {
		return err
	}
	version, err := t.noteVersion(ctx)
	if err != nil {
		return err
	}
	t.end(ErrResigned)
	err = t.name(ctx, next, version)
	if left := t.ticket.Return(ctx); err == nil {
		err = left
	}
	return err
}

// successor finds the first candidate with an id behind the leader.
func (t *Term) successor(ctx context.Context, id string) (Participant, error) {
	all, err := t.election.Participants(ctx)
	if err != nil {
		return Participant{}, err
	}
	i := slices.IndexFunc(all, func(p Participant) bool { return p.ID == id && p.Token > t.Token() })
	if i < 0 {
		return Participant{}, fmt.Errorf("%w: %q", ErrNoCandidate, id)
	}
	return all[i], nil
}

// noteVersion returns the version of the directory's data, if they are free for a note.
func (t *Term) noteVersion(ctx context.Context) (int32, error) {
	data, stat, err := t.election.client.In(t.Session()).Get(ctx, t.election.path)
	if err == nil && len(data) > 0 && !strings.HasPrefix(string(data), note) {
		err = fmt.Errorf("%w: the election's directory has data of its own", client.ErrBadArguments)
	}
	return stat.Version, err
}

// name writes down who is to be the next, and removes the leader's node with the same stroke, however often it takes to know that.
func (t *Term) name(ctx context.Context, next Participant, version int32) error {
	view := t.election.client.In(t.Session())
	written := note + next.Path[strings.LastIndex(next.Path, "/")+1:]
	for tried := false; ; tried = true {
		results, err := view.Multi(ctx,
			t.Guard(),
			client.CheckOp(next.Path, client.AnyVersion),
			client.SetOp(t.election.path, []byte(written), version),
			client.DeleteOp(t.Path(), client.AnyVersion))
		switch {
		case err == nil:
			return nil
		case tried && refused(results, 0):
			return t.wasNamed(ctx, written, version)
		case refused(results, 1):
			return fmt.Errorf("%w: it has just left", ErrNoCandidate)
		case ctx.Err() != nil, t.Session().Err() != nil, !errors.Is(err, client.ErrUnknown):
			return err
		}
	}
}

// refused tells whether a part of a multi found no node.
func refused(results []client.Result, part int) bool {
	return part < len(results) && errors.Is(results[part].Err, client.ErrNoNode)
}

// wasNamed tells whether a note was written in a transaction whose answer was lost, or the leader's node went without one.
func (t *Term) wasNamed(ctx context.Context, written string, version int32) error {
	data, stat, err := t.election.client.In(t.Session()).Get(ctx, t.election.path)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", client.ErrUnknown, err)
	case string(data) != written || stat.Version != version+1:
		return fmt.Errorf("%w: the leader's node is gone, and who is to be the next is not there any more", client.ErrUnknown)
	}
	return nil
}
