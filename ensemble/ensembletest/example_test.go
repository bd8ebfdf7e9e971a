package ensembletest_test

import (
	"context"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/lock"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

// In a test Start does what New does here, and t.Fatal what log.Fatal does.
func Example() {
	ctx := context.Background()
	e, err := ensembletest.New(ctx, 3, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	c, err := client.Connect(ctx, e.ConnectString(), &client.Options{Dialer: e.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Create(ctx, "/kept", []byte("by two of three"), nil); err != nil {
		log.Fatal(err)
	}

	e.Leader().Kill()
	if _, err := e.WaitLeader(ctx); err != nil {
		log.Fatal(err)
	}
	data, _, err := c.Get(ctx, "/kept")
	fmt.Println(string(data), err)
	// Output: by two of three <nil>
}

// A leader that is cut off from the others believes for a while that it leads, but gets nothing done.
func ExampleEnsemble_Partition() {
	ctx := context.Background()
	e, err := ensembletest.New(ctx, 3, &ensembletest.Options{Server: ensemble.Options{TickTime: 50 * time.Millisecond}})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	old := e.Leader()
	e.Partition([]int{old.ID()}) // the others are another group
	fmt.Println("it believes to be the", old.Role(), "and is:", e.Leader() == old)

	next, err := e.WaitLeader(ctx)
	if err != nil {
		log.Fatal(err)
	}
	e.Heal()
	err = e.WaitCaughtUp(ctx)
	fmt.Println("later:", old.Role(), next.Role(), err)
	// Output:
	// it believes to be the leader and is: false
	// later: follower leader <nil>
}

// A test begins with a tree, and ends with a look at what has become of it.
func ExampleServer_Dump() {
	ctx := context.Background()
	e, err := ensembletest.New(ctx, 1, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	if err := e.Load(ctx, map[string]string{"/app/config": "v1", "/app/workers": ""}); err != nil {
		log.Fatal(err)
	}
	c, err := client.Connect(ctx, e.ConnectString(), &client.Options{Dialer: e.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Create(ctx, "/app/workers/one", nil, &client.CreateOptions{Mode: client.Ephemeral}); err != nil {
		log.Fatal(err)
	}

	fmt.Print(e.Server(1).Dump(&ensembletest.DumpOptions{Root: "/app"}))
	// Output:
	// /app "" cversion=2
	// /app/config "v1"
	// /app/workers "" cversion=1
	// /app/workers/one "" ephemeral=session-1
}

// Three wait for a lock. Who lets go of it wakes one of them, not all.
func ExampleEnsemble_Record() {
	ctx := context.Background()
	e, err := ensembletest.New(ctx, 1, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	waits := make(chan ticket.Place, 3)
	acquire := func(held chan<- *lock.Hold) *client.Client {
		c, err := client.Connect(ctx, e.ConnectString(), &client.Options{Dialer: e.Dial})
		if err != nil {
			log.Fatal(err)
		}
		go func() { // ends when the client is closed, or it has the lock
			opts := &lock.Options{Waiting: func(ahead ticket.Place) { waits <- ahead }}
			if hold, err := lock.NewMutex(c, "/lock", opts).Lock(ctx); err == nil {
				held <- hold
			}
		}()
		return c
	}
	first, rest := make(chan *lock.Hold, 1), make(chan *lock.Hold, 3)
	holder := acquire(first)
	defer holder.Close()
	hold := <-first
	rec := e.Record()
	for range 3 {
		defer acquire(rest).Close()
		<-waits // it stands in line, and watches the one before it
	}

	if err := hold.Release(ctx); err != nil {
		log.Fatal(err)
	}
	<-rest
	woken := slices.DeleteFunc(rec.Woken(ensembletest.Match{Below: "/lock"}), func(id int64) bool { return id == holder.Session().ID() })
	fmt.Println("woken:", len(woken))
	// Output: woken: 1
}
