// Workqueue shows work that gets done although workers die. Photos wait in a queue to be printed. Anna's process hangs at the third, and is
// killed, as by kill -9; ben's does the rest, and the third as well, when the servers have given anna up. One photo nobody can print: it
// is laid aside, with the reason, instead of holding up the others.
//
//	go run ./examples/workqueue
//
// The file printer.go is the worker, this one who puts the work into the queue and looks after it.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/examples/internal/stage"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

// sessionTimeout is how long the servers wait for a process that has fallen silent: short, so that the story is.
const sessionTimeout = time.Second

func main() { stage.Main(run, instance) }

// instance is the process of one printer, given its name, the servers, and where it will hang.
func instance(ctx context.Context, args []string) error {
	c, err := client.Connect(ctx, args[1], &client.Options{SessionTimeout: sessionTimeout})
	if err != nil {
		return err
	}
	defer c.Close()
	return (&printer{name: args[0], client: c, jams: args[2]}).run(ctx)
}

func run(ctx context.Context, out io.Writer, servers string) error {
	c, err := client.Connect(ctx, servers, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Create(ctx, printedPath, nil, &client.CreateOptions{Parents: client.PersistentParents}); err != nil {
		return err
	}
	jobs := photos(c, "")
	var items []queue.Item
	for _, name := range []string{"photo-1", "photo-2", "photo-3", "photo-4", "poster", "photo-6"} {
		items = append(items, queue.Item{Data: []byte(name)})
	}
	if err := jobs.Put(ctx, items...); err != nil { // all, or none
		return err
	}

	anna, err := stage.Start(ctx, "anna", servers, "photo-3")
	if err != nil {
		return err
	}
	defer anna.Kill()
	if !bufio.NewScanner(anna.Output).Scan() {
		return errors.New("anna has ended")
	}
	fmt.Fprintln(out, "Anna hangs. In the queue are")
	if err := show(ctx, out, jobs); err != nil {
		return err
	}
	fmt.Fprintln(out, "Anna is killed, and ben is started.")
	anna.Kill()

	ben, err := stage.Start(ctx, "ben", servers, "")
	if err != nil {
		return err
	}
	defer ben.Kill()
	if err := awaitEmpty(ctx, c); err != nil {
		return err
	}
	if err := ben.End(); err != nil {
		return err
	}
	return report(ctx, out, c, jobs)
}

// show shows what is in the queue, and who has it.
func show(ctx context.Context, out io.Writer, jobs *queue.Queue) error {
	state, err := jobs.Inspect(ctx)
	if err != nil {
		return err
	}
	for _, entry := range state.Items {
		who := "nobody"
		if entry.Claim != nil {
			who = entry.Claim.ID
		}
		fmt.Fprintf(out, "  %s, which %s has\n", entry.Item.Data, who)
	}
	return nil
}

// awaitEmpty waits until there is nothing in the queue any more, taken or not.
func awaitEmpty(ctx context.Context, c *client.Client) error {
	for children, err := range c.WatchChildren(ctx, photosPath) {
		if err != nil || len(children.Names) == 0 {
			return err
		}
	}
	return context.Cause(ctx) // the loop ends with an error
}

// report shows what has been done, and what has not.
func report(ctx context.Context, out io.Writer, c *client.Client, jobs *queue.Queue) error {
	if err := c.Sync(ctx, printedPath); err != nil {
		return err
	}
	all := prints(c)
	names, err := all.Names(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "The queue is empty. Printed are")
	for _, name := range names {
		print, _, err := all.Node(name).Get(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  %s, by %s, at attempt %d\n", name, print.By, print.Attempt)
	}
	dead, err := jobs.DeadLetters(ctx)
	if err != nil {
		return err
	}
	for _, letter := range dead {
		fmt.Fprintf(out, "Laid aside: %s, after %d attempts: %s\n", letter.Item.Data, letter.Attempts, letter.Reason)
	}
	return nil
}
