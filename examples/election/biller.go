package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/recipes/leader"
)

const (
	electionPath = "/billing/leader"
	daysPath     = "/billing/days"
	marksPath    = "/billing/marks"

	pause = 10 * time.Millisecond // between two days
)

// A Bill is what has been done for one day.
type Bill struct {
	By   string
	Term int64
}

// bills are all days that are done, each in a node of its own.
func bills(c *client.Client) *typed.Directory[Bill] {
	return typed.NewDirectory[Bill](c, daysPath, nil)
}

func dayName(day int) string { return fmt.Sprintf("%06d", day) }

// A biller is one instance of the service. All of them run, and one at a time works.
type biller struct {
	name   string
	client *client.Client
}

// run takes part until ctx ends. When the lead is lost, or the session, there is nothing to do: Run waits until lead has returned, and
// stands in line again.
func (b *biller) run(ctx context.Context) error {
	return leader.NewElection(b.client, electionPath, &leader.Options{ID: b.name}).Run(ctx, b.lead)
}

// lead bills one day after the other for as long as its term lasts, which ctx does.
func (b *biller) lead(ctx context.Context, term *leader.Term) error {
	day, err := b.lastDay(ctx)
	if err != nil {
		return err
	}
	for {
		day++
		bill, err := json.Marshal(Bill{By: b.name, Term: term.Token()})
		if err != nil {
			return err
		}
		// The guard is a part of the transaction, which fails if another leads by now, though nobody has told us yet. What becomes of
		// it when a connection breaks is not left open: MultiOnce finds out.
		_, err = b.client.MultiOnce(ctx, marksPath, term.Guard(), client.CreateOp(daysPath+"/"+dayName(day), bill, nil))
		if errors.Is(err, client.ErrNoNode) {
			return nil // the guard's; there is nothing to be done but to stand in line again
		}
		if err != nil {
			return err // where the term is over Run takes that for the reason, and goes on
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lastDay is where whoever led before has stopped.
func (b *biller) lastDay(ctx context.Context) (day int, err error) {
	_, err = b.client.Create(ctx, daysPath, nil, &client.CreateOptions{Parents: client.PersistentParents})
	if err != nil && !errors.Is(err, client.ErrNodeExists) {
		return 0, err
	}
	if err := b.client.Sync(ctx, daysPath); err != nil { // the server that answers may be behind the one that the last leader wrote to
		return 0, err
	}
	days, err := bills(b.client).Names(ctx)
	if err != nil || len(days) == 0 {
		return 0, err
	}
	return strconv.Atoi(days[len(days)-1])
}
