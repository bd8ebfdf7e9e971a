// Package stage is what the examples have in common and none of them is about: servers, a place on them, and an end in time.
package stage

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
)

// An Example is given a connect string, as every program that uses client has it from its settings. It names an empty place.
type Example func(ctx context.Context, out io.Writer, servers string) error

// limit bounds an example. Each ends by itself within a second or two.
const limit = time.Minute

// Main is main of an example: it runs it on a server in this process, or on those that -servers names, prints what goes wrong, and
// exits with 1 then. Of an example that starts processes of its own it is their main, too: they run instance.
func Main(example Example, instance ...Instance) {
	name := filepath.Base(os.Args[0])
	if IsInstance() {
		if err := runInstance(instance[0]); err != nil {
			fmt.Fprintf(os.Stderr, "%s %v: %v\n", name, os.Args[2:], err)
			os.Exit(1)
		}
		return
	}
	servers := flag.String("servers", "", "connect string of other servers, Bellwether's or Apache ZooKeeper's; default: one in this process")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := perform(ctx, os.Stdout, *servers, example); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// perform runs an example on those servers, or on one of its own.
func perform(ctx context.Context, out io.Writer, servers string, example Example) (err error) {
	if servers == "" {
		// Short ticks allow for sessions of less than a second, which examples with crashes ask for; others get what is usual.
		server, err := ensemble.Start(ctx, &ensemble.Options{Addr: "127.0.0.1:0", TickTime: 200 * time.Millisecond, MaxSessionTimeout: 40 * time.Second})
		if err != nil {
			return err
		}
		defer server.Close()
		servers = server.ConnectString()
	}
	c, err := client.Connect(ctx, servers, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	place, err := c.Create(ctx, "/examples/run-", nil, &client.CreateOptions{Mode: client.PersistentSequential, Parents: client.ContainerParents})
	if err != nil {
		return err
	}
	defer func() { // also if it was interrupted, but not for long
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_, gone := c.DeleteTree(ctx, place, nil)
		err = errors.Join(err, gone)
	}()
	return example(ctx, out, servers+place)
}
