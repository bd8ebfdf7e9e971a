// Election shows a service of which one instance works and the others stand by, and what happens to it when machines do what machines do.
// Three processes bill one day after the other. Whoever leads is killed, as by kill -9, and another one goes on when the servers have
// given the dead one up; the next is asked to end, and another one goes on at once. No day is left out, and none is billed twice.
//
//	go run ./examples/election
//
// The file biller.go is the service, and this one its operator, who watches the election from outside.
package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/examples/internal/stage"
	"github.com/bellwether-zk/bellwether/recipes/leader"
)

// sessionTimeout is how long the servers wait for a process that has fallen silent: short, so that the story is.
const sessionTimeout = time.Second

func main() { stage.Main(run, instance) }

// instance is one process of the service, given its name and the servers.
func instance(ctx context.Context, args []string) error {
	c, err := client.Connect(ctx, args[1], &client.Options{SessionTimeout: sessionTimeout})
	if err != nil {
		return err
	}
	defer c.Close()
	return (&biller{name: args[0], client: c}).run(ctx)
}

// run is the operator.
func run(ctx context.Context, out io.Writer, servers string) error {
	c, err := client.Connect(ctx, servers, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	instances := map[string]*stage.Process{}
	defer func() {
		for _, p := range instances {
			p.Kill()
		}
	}()
	for _, name := range []string{"alpha", "beta", "gamma"} {
		p, err := stage.Start(ctx, name, servers)
		if err != nil {
			return err
		}
		instances[name] = p
		if err := await(ctx, c, electionPath, len(instances)); err != nil { // so that they stand in this order
			return err
		}
	}
	fmt.Fprintln(out, "Three processes stand for election: alpha, beta, gamma.")

	for chief, err := range leader.NewElection(c, electionPath, nil).Watch(ctx) {
		if err != nil {
			return err
		}
		p := instances[chief.ID]
		if p == nil {
			continue // nobody leads, or somebody who is dead already
		}
		done, err := bills(c).Names(ctx)
		if err != nil {
			return err
		}
		if err := await(ctx, c, daysPath, len(done)+5); err != nil {
			return err
		}
		if len(instances) == 3 {
			p.Kill()
			fmt.Fprintf(out, "%s leads, works, and is killed.\n", chief.ID)
		} else if err := p.End(); err != nil {
			return err
		} else {
			fmt.Fprintf(out, "%s leads, works, and ends when it is asked to.\n", chief.ID)
		}
		if delete(instances, chief.ID); len(instances) == 0 {
			break
		}
	}
	return check(ctx, out, c)
}

// await waits until there are so many nodes in a directory.
func await(ctx context.Context, c *client.Client, path string, n int) error {
	for children, err := range c.WatchChildren(ctx, path) {
		if err != nil || len(children.Names) >= n {
			return err
		}
	}
	return context.Cause(ctx) // the loop ends with an error
}

// check looks at what has been done: each day, in order, by one leader after the other.
func check(ctx context.Context, out io.Writer, c *client.Client) error {
	if err := c.Sync(ctx, daysPath); err != nil {
		return err
	}
	done, err := bills(c).List(ctx)
	if err != nil {
		return err
	}
	var by []string
	term := int64(0)
	for i := range len(done.Nodes) {
		bill, ok := done.Nodes[dayName(i+1)]
		if !ok || bill.Value.Term < term {
			return fmt.Errorf("day %d is missing, or was billed by one who did not lead any more", i+1)
		}
		term = bill.Value.Term
		by = append(by, bill.Value.By)
	}
	fmt.Fprintf(out, "Every day is billed, and no day twice: by %s.\n", strings.Join(slices.Compact(by), ", then "))
	return nil
}
