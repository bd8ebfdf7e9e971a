// Batch shows a job of several steps on several machines: three workers add up the takings of a shop each, when the tills are closed,
// and then the takings of all, when all parts are there. One of them dies in the middle; the others do not wait for it for ever, notice
// that its part is missing, and the next try has it.
//
//	go run ./examples/batch
//
// The file worker.go is what runs on the machines, this one whoever starts it there.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/examples/internal/stage"
	"github.com/bellwether-zk/bellwether/recipes/barrier"
)

const (
	gatePath    = "/takings/tills-are-open"
	meetingPath = "/takings/meeting"
	partsPath   = "/takings/parts"

	shops = 3
	// patience is how long a try may take. A worker that never comes to the meeting must not hold up the others for ever.
	patience = 20 * time.Second
)

func main() { stage.Main(run) }

func run(ctx context.Context, out io.Writer, servers string) error {
	c, err := client.Connect(ctx, servers, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	gate := barrier.New(c, gatePath)
	if err := gate.Raise(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "The tills are open. The workers are started, and wait.")
	workers := []*worker{
		{shop: 1, takings: []int{10, 20}},
		{shop: 2, takings: []int{300}},
		{shop: 3, takings: []int{1000, 3000}, dies: true},
	}
	ctx, cancel := context.WithCancel(ctx)
	first := begin(ctx, servers, workers)
	defer func() { cancel(); first.running.Wait() }()
	fmt.Fprintln(out, "The tills are closed.")
	if err := gate.Lower(ctx); err != nil {
		return err
	}
	if first.report(out) {
		return errors.New("nobody has noticed that a worker died")
	}
	fmt.Fprintln(out, "They are started once more.")
	workers[2].dies = false
	second := begin(ctx, servers, workers)
	if !second.report(out) {
		return errors.New("the takings are not complete")
	}
	return nil
}

// A try is one run of all workers.
type try struct {
	totals  []int
	errs    []error
	running sync.WaitGroup
}

// begin starts all workers.
func begin(ctx context.Context, servers string, workers []*worker) *try {
	t := &try{totals: make([]int, len(workers)), errs: make([]error, len(workers))}
	for i, w := range workers {
		t.running.Go(func() { // ends with the work, or with patience
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			t.totals[i], t.errs[i] = w.work(ctx, servers)
		})
	}
	return t
}

// report waits for the workers and tells what they say, and whether all have the takings.
func (t *try) report(out io.Writer) (complete bool) {
	t.running.Wait()
	for i, err := range t.errs {
		if err != nil {
			fmt.Fprintf(out, "  worker %d: %v\n", i+1, err)
			continue
		}
		fmt.Fprintf(out, "  worker %d: the takings are %d\n", i+1, t.totals[i])
	}
	return errors.Join(t.errs...) == nil
}
