// Naming shows how processes that do not know each other give out names that do not clash, of three kinds:
//
//	ids       numbers for orders, very many of them: each process reserves a block at a time, with counter.IDs
//	names     chosen by people, and theirs for good: a node for each, with its owner in it
//	numbers   small ones for machines, used again when their holder is gone: ephemeral nodes
//
//	go run ./examples/naming
//
// The file names.go has functions for the other two, to be copied.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"sync"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/examples/internal/stage"
	"github.com/bellwether-zk/bellwether/recipes/counter"
)

func main() { stage.Main(run) }

func run(ctx context.Context, out io.Writer, servers string) error {
	var shops []*client.Client // each a program of its own, it might be
	for range 3 {
		c, err := client.Connect(ctx, servers, nil)
		if err != nil {
			return err
		}
		defer c.Close()
		shops = append(shops, c)
	}
	if err := orders(ctx, out, shops); err != nil {
		return err
	}
	if err := names(ctx, out, shops); err != nil {
		return err
	}
	return numbers(ctx, out, servers, shops)
}

// orders has all shops number their orders, at the same time.
func orders(ctx context.Context, out io.Writer, shops []*client.Client) error {
	const each = 250
	given, errs := make([][]int64, len(shops)), make([]error, len(shops))
	var selling sync.WaitGroup
	for i, c := range shops {
		selling.Go(func() { // ends when it has its ids
			ids := counter.NewIDs(c, "/orders/last", nil) // one for the whole program
			for range each {
				id, err := ids.Next(ctx)
				if err != nil {
					errs[i] = err
					return
				}
				given[i] = append(given[i], id)
			}
		})
	}
	selling.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	all := slices.Sorted(slices.Values(slices.Concat(given...)))
	// There are gaps, where a shop has not used up its block, and no number twice.
	fmt.Fprintf(out, "ids: three shops numbered %d orders, with %d different numbers\n", len(all), len(slices.Compact(all)))
	return nil
}

// names has people choose names, two of them the same.
func names(ctx context.Context, out io.Writer, shops []*client.Client) error {
	for i, want := range []struct{ owner, name string }{
		{"anna@example.com", "kestrel"},
		{"ben@example.com", "kestrel"},
		{"carla@example.com", "heron"},
		{"anna@example.com", "kestrel"}, // she has asked twice: her answer was lost, say
	} {
		shop := shops[i%len(shops)]
		switch err := Register(ctx, shop, "/names/"+want.name, want.owner); {
		case err == nil:
			fmt.Fprintf(out, "names: %s is %s\n", want.owner, want.name)
		case errors.Is(err, errTaken):
			got, err := RegisterLike(ctx, shop, "/names/"+want.name, want.owner)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "names: %s cannot be %s, and is %s\n", want.owner, want.name, path.Base(got))
		default:
			return err
		}
	}
	return nil
}

// numbers has each shop borrow a number for its till. One shop closes, and its number is free for another.
func numbers(ctx context.Context, out io.Writer, servers string, shops []*client.Client) error {
	borrow := func(c *client.Client) (int, error) {
		session, err := c.AwaitSession(ctx)
		if err != nil {
			return 0, err
		}
		return Borrow(ctx, session, "/tills", 1000)
	}
	for _, c := range shops {
		n, err := borrow(c)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "numbers: a shop has till %d\n", n)
	}
	if err := shops[1].Close(); err != nil {
		return err
	}
	late, err := client.Connect(ctx, servers, nil)
	if err != nil {
		return err
	}
	defer late.Close()
	n, err := borrow(late)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "numbers: one has closed, another one opens, and has till %d\n", n)
	return nil
}
