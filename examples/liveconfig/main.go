// Liveconfig shows programs that are reconfigured while they run. Two mailers send letters within limits, which stand in one node as
// JSON; an operator changes the limits, and is told when both work with the new ones.
//
//	go run ./examples/liveconfig
//
// Limits that make no sense are kept out twice: the operator's client refuses to send them, by a rule about the node; and where
// somebody else has written them the mailers say what is wrong, and go on with the last good ones.
//
// The file mailer.go is what a program does that is configured so, this one what its operators do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/schema"
	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/examples/internal/stage"
)

const (
	limitsPath  = "/mail/limits"
	mailersPath = "/mail/mailers" // below it each mailer says what it works with
)

func main() { stage.Main(run) }

// run starts two mailers and their operator.
func run(ctx context.Context, out io.Writer, servers string) error {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	mailers := []*mailer{{name: "mailer-1"}, {name: "mailer-2"}}
	for _, m := range mailers {
		running.Go(func() { // ends with ctx
			if err := m.run(ctx, servers); err != nil {
				end(fmt.Errorf("%s: %w", m.name, err)) // nobody would see what the operator waits for
			}
		})
	}
	return operate(ctx, out, servers, mailers)
}

// operate changes the limits, well and badly, and tells what comes of it.
func operate(ctx context.Context, out io.Writer, servers string, mailers []*mailer) error {
	rules, err := schema.New([]schema.Rule{{Name: "limits", Path: limitsPath, Validate: validate}}, nil)
	if err != nil {
		return err
	}
	c, err := client.Connect(ctx, servers, &client.Options{Check: rules.Check})
	if err != nil {
		return err
	}
	defer c.Close()
	limits := typed.NewNode(c, limitsPath, &typed.Options[Limits]{Create: client.CreateOptions{Parents: client.PersistentParents}})
	show := func(version int32) error {
		if err := await(ctx, out, c, version, len(mailers)); err != nil {
			return err
		}
		fmt.Fprintln(out, "  a letter of 5000 bytes is", mailers[0].send(5000))
		return nil
	}

	fmt.Fprintln(out, "The first limits.")
	if err := limits.Create(ctx, Limits{MaxBytes: 1000}); err != nil {
		return err
	}
	if err := show(0); err != nil {
		return err
	}

	fmt.Fprintln(out, "Longer letters are allowed, while the mailers run.")
	// Update reads, changes and writes, and begins again if somebody else was faster: two operators do not undo each other's work.
	_, version, err := limits.Update(ctx, func(l Limits) (Limits, error) {
		l.MaxBytes = 10_000
		return l, nil
	})
	if err != nil {
		return err
	}
	if err := show(version); err != nil {
		return err
	}

	fmt.Fprintln(out, "The operator's finger slips.")
	_, _, err = limits.Update(ctx, func(l Limits) (Limits, error) {
		l.MaxBytes = -l.MaxBytes
		return l, nil
	})
	if !errors.Is(err, schema.ErrViolation) {
		return fmt.Errorf("bad limits were not refused: %w", err)
	}
	fmt.Fprintln(out, "  not sent:", err)

	fmt.Fprintln(out, "Somebody else writes limits, with a client that knows no rules.")
	other, err := client.Connect(ctx, servers, nil)
	if err != nil {
		return err
	}
	defer other.Close()
	stat, err := other.Set(ctx, limitsPath, []byte(`{"maxBytes": "many"}`), client.AnyVersion)
	if err != nil {
		return err
	}
	if err := show(stat.Version); err != nil {
		return err
	}

	fmt.Fprintln(out, "The operator replaces them, if they are still those.")
	version, err = limits.Set(ctx, Limits{MaxBytes: 2000}, stat.Version)
	if err != nil {
		return err
	}
	return show(version)
}

// await waits until so many mailers have looked at that version of the limits, and shows what they say of it. Who changes what others
// work with wants to know that they do, and need not ask each of them.
func await(ctx context.Context, out io.Writer, c *client.Client, version int32, all int) error {
	for mailers, err := range typed.NewDirectory[Status](c, mailersPath, nil).Watch(ctx) {
		if err != nil {
			return err
		}
		looked := mailers.Nodes
		maps.DeleteFunc(looked, func(_ string, s typed.State[Status]) bool { return s.Value.Version < version })
		if len(looked) < all {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(looked)) {
			fmt.Fprintf(out, "  %s: %v\n", name, looked[name].Value)
		}
		return nil
	}
	return context.Cause(ctx) // a loop of Watch ends with an error
}
