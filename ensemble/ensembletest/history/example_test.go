package history_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"sync"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/history"
)

// Five clients count in one node, each by reading it and writing the next number if nobody was faster, while the leader of three servers
// is killed. In a test this runs in a testing/synctest bubble as it is, with ensembletest.Start.
func Example() {
	ctx := context.Background()
	e, err := ensembletest.New(ctx, 3, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	connect := func() *client.Client {
		c, err := client.Connect(ctx, e.ConnectString(), &client.Options{Dialer: e.Dial, MaxFrame: ensembletest.MaxFrame})
		if err != nil {
			log.Fatal(err)
		}
		return c
	}

	var nodes history.Nodes
	var counting sync.WaitGroup
	for i := range 5 {
		c := connect()
		defer c.Close()
		recorded := nodes.Client(i, c, "/count")
		counting.Go(func() { // ends when it has counted ten times
			for range 10 {
				count(ctx, recorded)
			}
		})
	}
	e.Leader().Kill()
	counting.Wait()

	c := connect()
	defer c.Close()
	data, _, err := nodes.Client("last", c).Get(ctx, "/count")
	if err != nil {
		log.Fatal(err)
	}
	n, err := strconv.Atoi(string(data))
	fmt.Println("counted to 50, or a little further:", n >= 50 && n < 60, err)
	fmt.Println("explained:", nodes.Check(nil) == nil)
	// Output:
	// counted to 50, or a little further: true <nil>
	// explained: true
}

// count counts once, and perhaps once more if it does not hear of the first time.
func count(ctx context.Context, c *history.Client) {
	for {
		data, stat, err := c.Get(ctx, "/count")
		switch {
		case err == nil:
			n, _ := strconv.Atoi(string(data))
			_, err = c.Set(ctx, "/count", []byte(strconv.Itoa(n+1)), stat.Version)
		case errors.Is(err, client.ErrNoNode):
			_, err = c.Create(ctx, "/count", []byte("1"), nil)
		}
		if err == nil {
			return
		}
	}
}

// A service of one's own, here one that hands out tickets, is whatever its model says.
func ExampleCheck() {
	type ticket struct{ counter string }
	model := history.Function(0, func(given int, _ ticket) (int, int) { return given + 1, given + 1 })

	var rec history.Recorder[ticket, int]
	a := rec.Begin("ann", ticket{"north"})
	b := rec.Begin("bob", ticket{"north"})
	b.End(1)
	a.End(2)
	rec.Begin("cid", ticket{"north"}).Unknown() // he went away: perhaps with the number 3
	rec.Begin("dan", ticket{"north"}).End(4)
	fmt.Println(history.Check(model, rec.Operations(), nil))

	rec.Begin("eve", ticket{"north"}).End(4)
	fmt.Println(errors.Is(history.Check(model, rec.Operations(), nil), history.ErrIllegal))
	// Output:
	// <nil>
	// true
}
