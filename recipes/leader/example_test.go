package leader_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/leader"
)

// start starts a server in this process, for the examples, and connects clients to it.
func start(ctx context.Context) (connect func() *client.Client, stop func()) {
	srv, err := ensemble.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	connect = func() *client.Client {
		c, err := client.Connect(ctx, srv.ConnectString(), &client.Options{Dialer: srv.Dial})
		if err != nil {
			log.Fatal(err)
		}
		return c
	}
	return connect, func() { srv.Close() }
}

// Two services, of which one leads; when it stops, the other one does.
func Example() {
	ctx := context.Background()
	connect, stop := start(ctx)
	defer stop()

	var services sync.WaitGroup
	stood := make(chan bool)
	serve := func(name string) (cancel func()) {
		ctx, cancel := context.WithCancel(ctx)
		c := connect()
		services.Go(func() {
			defer c.Close()
			e := leader.NewElection(c, "/scheduler/leader", &leader.Options{ID: name})
			err := e.Run(ctx, func(ctx context.Context, term *leader.Term) error {
				fmt.Println(name, "leads")
				stood <- true
				<-ctx.Done() // here it works
				fmt.Println(name, "does not lead any more:", context.Cause(ctx))
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				log.Print(err)
			}
		})
		return cancel
	}
	stopAnna := serve("anna")
	<-stood
	stopBen := serve("ben")
	stopAnna()
	<-stood
	stopBen()
	services.Wait()
	// Output:
	// anna leads
	// anna does not lead any more: context canceled
	// ben leads
	// ben does not lead any more: context canceled
}

// Who does not stand can look on.
func ExampleElection_Watch() {
	ctx := context.Background()
	connect, stop := start(ctx)
	defer stop()
	c := connect()
	defer c.Close()

	lead := func(name string) *leader.Term {
		term, err := leader.NewElection(c, "/leader", &leader.Options{ID: name}).Lead(ctx)
		if err != nil {
			log.Fatal(err)
		}
		return term
	}
	term := lead("anna")
	for now, err := range leader.NewElection(c, "/leader", nil).Watch(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if now.Token == 0 {
			fmt.Println("nobody leads")
			term = lead("ben")
			continue
		}
		fmt.Println(now.ID, "leads")
		term.Resign(ctx)
		if now.ID == "ben" {
			break
		}
	}
	// Output:
	// anna leads
	// nobody leads
	// ben leads
}

// A leader that goes for a reason says who is to be the next.
func ExampleTerm_HandOver() {
	ctx := context.Background()
	connect, stop := start(ctx)
	defer stop()
	c := connect()
	defer c.Close()

	anna, err := leader.NewElection(c, "/leader", &leader.Options{ID: "anna"}).Lead(ctx)
	if err != nil {
		log.Fatal(err)
	}
	elected := make(chan *leader.Term)
	for _, name := range []string{"ben", "carl"} {
		e := leader.NewElection(c, "/leader", &leader.Options{ID: name})
		go func() { // ends when the client is closed
			for {
				term, err := e.Lead(ctx)
				if err != nil {
					return
				}
				elected <- term
			}
		}()
	}
	for { // until both stand
		all, err := leader.NewElection(c, "/leader", nil).Participants(ctx)
		if err != nil {
			log.Fatal(err)
		}
		if len(all) == 3 {
			break
		}
	}
	if err := anna.HandOver(ctx, "carl"); err != nil {
		log.Fatal(err)
	}
	term := <-elected
	now, _, err := leader.NewElection(c, "/leader", nil).Leader(ctx)
	fmt.Println(now.ID, "leads, with a greater token:", now.Token == term.Token() && term.Token() > anna.Token(), err)
	// Output:
	// carl leads, with a greater token: true <nil>
}

// A program that leads in one part of its life, and not in another, asks for a term and gives it back.
func ExampleElection_Lead() {
	ctx := context.Background()
	connect, stop := start(ctx)
	defer stop()
	c := connect()
	defer c.Close()

	term, err := leader.NewElection(c, "/migration/leader", &leader.Options{ID: "anna"}).Lead(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer term.Resign(context.WithoutCancel(ctx)) // whatever comes

	// What is written while the term lasts is written by its leader; what comes too late is not.
	_, err = c.Multi(ctx, term.Guard(), client.CreateOp("/migration/done", nil, nil))
	fmt.Println("while it lasts:", err)
	term.Resign(ctx)
	_, err = c.Multi(ctx, term.Guard(), client.CreateOp("/migration/done-again", nil, nil))
	fmt.Println("afterwards:", errors.Is(err, client.ErrNoNode), context.Cause(term.Context()))
	// Output:
	// while it lasts: <nil>
	// afterwards: true leader resigned
}
