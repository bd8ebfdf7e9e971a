package group

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/cache"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// Kind says what an event is.
type Kind int

// The kinds of events. The last two are about the whole group, and have no member.
const (
	Joined  Kind = iota + 1 // the member is registered
	Updated                 // it has another payload
	Left                    // it is not registered any more
	Current                 // everything is known, at first and after each outage
	Stale                   // changes may be missed from now on, until the next Current
)

// String returns the kind in a word.
func (k Kind) String() string {
	if k < Joined || k > Stale {
		return fmt.Sprintf("kind %d", int(k))
	}
	return [...]string{"joined", "updated", "left", "current", "stale"}[k-Joined]
}

// Event is the difference between what a loop was told of a member before, and what is.
type Event struct {
	Kind   Kind
	Member Member // as it is; of one that has left, as it was
	Old    Member // before, of Updated
}

// View is a local mirror of who is in a group, from Observe until Close. Its methods may be called by many goroutines.
type View struct {
	group  *Group
	mirror *cache.Cache
	unseen func() // ends that it is seen
}

// Observe begins to look on, and returns when all members were read once. ctx bounds that alone, and the error is its cause, or why there is
// nothing to be seen. The group need not exist. The view lasts until Close, and ends with the client, or, if that is a view of a
// session, with the session.
func (g *Group) Observe(ctx context.Context) (*View, error) {
	m, err := cache.Open(ctx, g.client, g.path, &cache.Options{Depth: 1, Logger: g.opts.Logger})
	if err != nil {
		return nil, g.failed("observe", err)
	}
	v := &View{group: g, mirror: m}
	v.unseen = telemetry.Of(g.client).Observe(v.tell)
	return v, nil
}

// Members returns who is registered, by id. It does not wait, and may be a little behind the servers; while there is no connection it is
// what was known last, and StaleSince tells.
func (v *View) Members() []Member {
	var all []Member
	for n := range v.mirror.Children(v.group.path) {
		if m, ok := v.member(n); ok {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Token, b.Token)) })
	return all
}

// Member returns the member with an id, and whether there is one; of several, which only kazoo's layouts allow, the longest-serving.
func (v *View) Member(id string) (Member, bool) {
	if v.group.opts.Layout == MemberLayout {
		n, ok := v.mirror.Get(client.Join(v.group.path, id))
		if !ok || id == "" {
			return Member{}, false
		}
		return v.member(n)
	}
	all := v.Members()
	if i := slices.IndexFunc(all, func(m Member) bool { return m.ID == id }); i >= 0 {
		return all[i], true
	}
	return Member{}, false
}

// Events yields who is there, as Joined, and then who comes, changes and goes. A loop that is slower than the changes is told the
// difference to what it knows: Left and Joined of a member that was registered anew, nothing of one that came and went. Where Current
// stands between the events, all that was before it was told. The loop ends with ctx, or when the view has ended.
func (v *View) Events(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for c := range v.mirror.Watch(ctx) {
			if e, ok := v.event(c); ok && !yield(e) {
				return
			}
		}
	}
}

// event tells what a change of the directory is to the group, if it is anything.
func (v *View) event(c cache.Change) (Event, bool) {
	switch c.Kind {
	case cache.Current:
		return Event{Kind: Current}, true
	case cache.Stale:
		return Event{Kind: Stale}, true
	}
	if c.Path == v.group.path {
		return Event{}, false
	}
	var old, now Member
	var was, is bool
	if c.Kind != cache.Added {
		old, was = v.member(c.Old)
	}
	if c.Kind != cache.Removed {
		now, is = v.member(c.New)
	}
	switch {
	case was && is:
		return Event{Kind: Updated, Member: now, Old: old}, true
	case is:
		return Event{Kind: Joined, Member: now}, true
	case was:
		return Event{Kind: Left, Member: old}, true
	}
	return Event{}, false
}

func (v *View) member(n cache.Node) (Member, bool) {
	return v.group.member(n.Path, n.Data, n.Stat, n.Err)
}

// StaleSince returns since when changes may have been missed that will be found when there is a connection again, and the zero time if none
// can have been, as far as this client knows.
func (v *View) StaleSince() time.Time { return v.mirror.StaleSince() }

// Done returns a channel that is closed when the view has ended, and Err tells why.
func (v *View) Done() <-chan struct{} { return v.mirror.Done() }

// Err returns nil while the view is kept up, and after that why it is not, as [cache.Cache.Err] does.
func (v *View) Err() error { return v.mirror.Err() }

// Close ends the view and its loops, and returns when nothing of it runs.
func (v *View) Close() {
	v.unseen()
	v.mirror.Close()
}

// tell tells how many members there are, for those who collect that.
func (v *View) tell(tell func(telemetry.Reading, telemetry.Labels, float64)) {
	if v.Err() == nil {
		tell(telemetry.GroupMembers, telemetry.Labels{}, float64(len(v.Members())))
	}
}
