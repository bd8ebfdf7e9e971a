// Service is a program that does nothing until it is interrupted; with the build tag lock it does so while it holds a lock. What it
// weighs in either form tells what importing the lock costs.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

// work is what the service does until ctx ends.
var work = func(ctx context.Context, servers string) error {
	fmt.Println("working beside", servers)
	<-ctx.Done()
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: service SERVERS")
		os.Exit(2)
	}
	if err := work(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
