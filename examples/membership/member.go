package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/group"
)

// A Card is what a member tells the others of itself.
type Card struct {
	Addr string // where it is reached
	Room int    // how many requests it takes at once
}

func (c Card) encode() []byte {
	data, _ := json.Marshal(c) // which cannot fail for this type
	return data
}

// members is the group, for those who join it and for those who look on.
func members(c *client.Client) *group.Group { return group.New(c, "/search/members", nil) }

// A Cluster is what one process knows of the others: a map that the events keep up to date. Who is in it may be gone already, and is not
// known to be; so whoever sends somebody a request does not rely on it, and tries the next one.
type Cluster map[string]Card

// Apply notes an event, and says in words what has become of the cluster, if anything has.
func (c Cluster) Apply(event group.Event) (string, error) {
	id := event.Member.ID
	switch event.Kind {
	case group.Joined, group.Updated:
		var card Card
		if err := json.Unmarshal(event.Member.Payload, &card); err != nil {
			return "", fmt.Errorf("card of %s: %w", id, err)
		}
		c[id] = card
	case group.Left:
		delete(c, id)
	default:
		// group.Stale: no connection; what is known stays, and is worth less with each second. group.Current: it is worth something again.
		return "", nil
	}
	room := 0
	for _, card := range c {
		room += card.Room
	}
	return fmt.Sprintf("%s has %v: room for %d requests, at %v", id, event.Kind, room, slices.Sorted(maps.Keys(c))), nil
}

// serve is a member until ctx ends. If the session is lost meanwhile, the next one is registered in its place.
func serve(ctx context.Context, c *client.Client, id string, card Card) error {
	member, err := members(c).Join(ctx, id, card.encode())
	if err != nil {
		return err
	}
	defer member.Leave(context.WithoutCancel(ctx)) // the others need not wait for the session's end
	<-ctx.Done()                                   // here it serves
	return context.Cause(ctx)
}
