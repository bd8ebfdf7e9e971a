// Fencing shows what a lock alone cannot do. Anna and ben take boxes from a stock whose number is in a file, and a lock sees to it that
// one of them does so at a time. Anna's machine stands still between her look at the lock and her write; by the time it goes on the lock
// is ben's, and her number would undo what he has done.
//
//	go run ./examples/fencing
//
// Every hold of a lock has a token, greater than those before. Anna's write carries it to the file, which has seen ben's, and refuses.
// That is the file stock.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/examples/internal/stage"
	"github.com/bellwether-zk/bellwether/recipes/lock"
	"github.com/bellwether-zk/bellwether/recipes/lock/fence"
)

// sessionTimeout is how long the servers wait for anna when she falls silent: short, so that the story is.
const sessionTimeout = 500 * time.Millisecond

func main() { stage.Main(run) }

func run(ctx context.Context, out io.Writer, servers string) error {
	dir, err := os.MkdirTemp("", "fencing")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	stock := &Stock{path: filepath.Join(dir, "stock")}
	if err := stock.Store(0, 10); err != nil {
		return err
	}
	fmt.Fprintln(out, "There are 10 boxes.")

	var annas machine
	hers, err := client.Connect(ctx, servers, &client.Options{SessionTimeout: sessionTimeout, Dialer: annas.dial})
	if err != nil {
		return err
	}
	defer hers.Close()
	his, err := client.Connect(ctx, servers, nil)
	if err != nil {
		return err
	}
	defer his.Close()
	anna := &worker{name: "anna", out: out, lock: lock.NewMutex(hers, "/stock/lock", nil), stock: stock}
	ben := &worker{name: "ben", out: out, lock: lock.NewMutex(his, "/stock/lock", nil), stock: stock}

	err = anna.take(ctx, 3, func() error {
		fmt.Fprintln(out, "anna's machine stands still.")
		annas.stop()
		defer annas.resume()
		return ben.take(ctx, 4, nil) // waits until the servers have given anna up
	})
	if !errors.Is(err, fence.ErrStale) {
		return fmt.Errorf("anna's write came through: %w", err)
	}
	// Nothing has come of it, so she begins again, at the end of the line.
	return anna.take(ctx, 3, nil)
}

// A worker takes boxes from the stock.
type worker struct {
	name  string
	out   io.Writer
	lock  *lock.Mutex
	stock *Stock
}

// take takes so many boxes. What may come between the last look at the lock and the write is given here, for the story; in a program
// nobody can tell.
func (w *worker) take(ctx context.Context, n int, between func() error) error {
	hold, err := w.lock.Lock(ctx)
	if err != nil {
		return err
	}
	defer hold.Release(context.WithoutCancel(ctx)) // a cancelled context would leave the lock locked
	token := hold.Token()
	boxes, err := w.stock.Load(token)
	if err != nil {
		return err
	}
	if hold.Context().Err() != nil { // lost: nothing has been done yet, so begin again
		return w.take(ctx, n, between)
	}
	fmt.Fprintf(w.out, "%s holds the lock, with token %d, and finds %d boxes.\n", w.name, token, boxes)
	if between != nil {
		if err := between(); err != nil {
			return err
		}
	}
	if err := w.stock.Store(token, boxes-n); err != nil {
		fmt.Fprintf(w.out, "%s takes %d and writes %d: %v.\n", w.name, n, boxes-n, err)
		if hold.Context().Err() != nil {
			fmt.Fprintf(w.out, "%s's lock has ended meanwhile: %v.\n", w.name, context.Cause(hold.Context()))
		}
		return err
	}
	fmt.Fprintf(w.out, "%s takes %d and writes %d.\n", w.name, n, boxes-n)
	return nil
}
