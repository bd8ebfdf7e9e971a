// Membership shows processes that know who else is there, and what each of them can do. This one is alpha; it starts beta and gamma. Beta
// is killed, as by kill -9, and is gone when the servers have given it up; alpha makes more room then, and all know. Gamma ends as it
// should, and is gone at once.
//
//	go run ./examples/membership
//
// The file member.go is what each member does.
package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/examples/internal/stage"
)

// sessionTimeout is how long the servers wait for a process that has fallen silent: short, so that the story is.
const sessionTimeout = time.Second

func main() { stage.Main(run, instance) }

// instance is another process, given its name and the servers.
func instance(ctx context.Context, args []string) error {
	c, err := client.Connect(ctx, args[1], &client.Options{SessionTimeout: sessionTimeout})
	if err != nil {
		return err
	}
	defer c.Close()
	return serve(ctx, c, args[0], Card{Addr: args[0] + ":8080", Room: 10})
}

func run(ctx context.Context, out io.Writer, servers string) error {
	c, err := client.Connect(ctx, servers, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	alpha, err := members(c).Join(ctx, "alpha", Card{Addr: "alpha:8080", Room: 10}.encode())
	if err != nil {
		return err
	}
	defer alpha.Leave(context.WithoutCancel(ctx))
	all, err := members(c).Observe(ctx)
	if err != nil {
		return err
	}
	defer all.Close()

	others := map[string]*stage.Process{}
	defer func() {
		for _, p := range others {
			p.Kill()
		}
	}()
	start := func(name string) error {
		p, err := stage.Start(ctx, name, servers)
		if err == nil {
			others[name] = p
		}
		return err
	}
	cluster := Cluster{}
	for event := range all.Events(ctx) {
		if told, err := cluster.Apply(event); err != nil {
			return err
		} else if told != "" {
			fmt.Fprintln(out, told)
		}
		var err error
		switch event.Member.ID + " " + event.Kind.String() { // each is the cause of the next
		case "alpha joined":
			err = start("beta")
		case "beta joined":
			err = start("gamma")
		case "gamma joined":
			fmt.Fprintln(out, "beta is killed")
			others["beta"].Kill()
		case "beta left":
			err = alpha.Set(ctx, Card{Addr: "alpha:8080", Room: 20}.encode())
		case "alpha updated":
			fmt.Fprintln(out, "gamma is asked to end")
			err = others["gamma"].End()
		case "gamma left":
			return nil
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}
