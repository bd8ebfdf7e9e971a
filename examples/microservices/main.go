// Microservices shows services that find each other, and what their callers notice when they change, die, and lose the servers by which
// they do. Customers send orders to a gateway without a pause. It passes them on to the service orders, whose instances ask the service
// stock. All are processes of their own; nobody is told an address but the servers', three of which run in this process.
//
// One instance after the other is replaced by another version, and no order fails. One is killed, as by kill -9; what it was doing may
// fail, and nothing else. The server that leads the others is closed; orders go on, and soon an instance can join again.
//
//	go run ./examples/microservices
//
// The file service.go is a service, gateway.go the gateway, which prints what it sees, customers.go who orders, and this one their operator.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/examples/internal/stage"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
)

// sessionTimeout is how long the servers wait for a process that has fallen silent: short, so that the story is.
const sessionTimeout = time.Second

func main() {
	if stage.IsInstance() {
		stage.Main(nil, instance)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "microservices:", err)
		os.Exit(1)
	}
}

// instance is one process: of the gateway, or of a service, given the servers, its name, and of a service its id and version.
func instance(ctx context.Context, args []string) error {
	c, err := client.Connect(ctx, args[0], &client.Options{SessionTimeout: sessionTimeout})
	if err != nil {
		return err
	}
	defer c.Close()
	services := discovery.NewRegistry[struct{}](c, "/services", nil)
	if args[1] == "gateway" {
		return (&gateway{services}).run(ctx)
	}
	return (&service{services: services, name: args[1], id: args[2], version: args[3]}).run(ctx)
}

// run tells the story.
func run(ctx context.Context, out io.Writer) (err error) {
	servers, err := ensemble.StartSeveral(ctx, 3, &ensemble.Options{Addr: "127.0.0.1:0", TickTime: 200 * time.Millisecond})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Close()) }()
	o := &operator{out: out, servers: servers.ConnectString(), fleet: make(map[string]*stage.Process)}
	defer o.killAll()
	if err := o.open(ctx); err != nil {
		return err
	}
	customers := order(ctx, o.address)
	defer customers.leave()
	for _, act := range []struct {
		says    string
		may     int // orders fail
		happens func(context.Context) error
	}{
		{"Every instance is replaced by version 2, one after the other.", 0, o.replaceAll},
		{"The process orders-2 is killed.", 2 * customers.number, func(ctx context.Context) error {
			o.fleet["orders-2"].Kill()
			return o.sees("orders-2 has gone")
		}},
		{"The server that leads is closed, and orders-3 joins.", 0, func(ctx context.Context) error {
			if err := servers.Leader().Close(); err != nil {
				return err
			}
			return o.start(ctx, "orders-3", "2")
		}},
		{"Orders-1 leaves.", 0, func(context.Context) error { return o.end("orders-1") }},
	} {
		fmt.Fprintln(out, act.says)
		if err := act.happens(ctx); err != nil {
			return err
		}
		if err := customers.more(ctx, 100); err != nil {
			return err
		}
		done, failed, why := customers.count()
		if failed > act.may {
			return fmt.Errorf("of %d orders %d failed: %w", done, failed, why)
		}
		fmt.Fprintf(out, "Of %d orders meanwhile %d failed.\n", done, failed)
	}
	return nil
}

// operator starts and ends processes, and reads what the gateway prints.
type operator struct {
	out     io.Writer
	servers string
	fleet   map[string]*stage.Process
	gateway *bufio.Scanner
	address string // of the gateway
}

// open starts the gateway, and two instances of each service.
func (o *operator) open(ctx context.Context) error {
	p, err := stage.Start(ctx, o.servers, "gateway")
	if err != nil {
		return err
	}
	o.fleet["gateway"] = p
	o.gateway = bufio.NewScanner(p.Output)
	if !o.gateway.Scan() {
		return errors.New("the gateway has ended")
	}
	o.address = o.gateway.Text()
	for _, id := range []string{"stock-1", "stock-2", "orders-1", "orders-2"} {
		if err := o.start(ctx, id, "1"); err != nil {
			return err
		}
	}
	return nil
}

func (o *operator) start(ctx context.Context, id, version string) (err error) {
	name, _, _ := strings.Cut(id, "-")
	if o.fleet[id], err = stage.Start(ctx, o.servers, name, id, version); err != nil {
		delete(o.fleet, id)
		return err
	}
	return o.sees(id + " is up, version " + version)
}

func (o *operator) end(id string) error {
	if err := o.fleet[id].End(); err != nil {
		return err
	}
	return o.sees(id + " has gone")
}

func (o *operator) replaceAll(ctx context.Context) error {
	for _, id := range []string{"stock-1", "stock-2", "orders-1", "orders-2"} {
		if err := o.end(id); err != nil {
			return err
		}
		if err := o.start(ctx, id, "2"); err != nil {
			return err
		}
	}
	return nil
}

// sees shows what the gateway prints until it is what was to be seen.
func (o *operator) sees(line string) error {
	for o.gateway.Scan() {
		fmt.Fprintln(o.out, "  gateway:", o.gateway.Text())
		if o.gateway.Text() == line {
			return nil
		}
	}
	return errors.New("the gateway has ended, and not seen: " + line)
}

func (o *operator) killAll() {
	for _, p := range o.fleet {
		p.Kill()
	}
}
