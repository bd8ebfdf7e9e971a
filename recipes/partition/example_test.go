package partition_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/partition"
)

// Two servers divide four shards; when one goes the other has all.
func Example() {
	ctx := context.Background()
	srv, err := ensemble.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	c, err := client.Connect(ctx, srv.ConnectString(), &client.Options{Dialer: srv.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	took := make(chan taking)
	var servers sync.WaitGroup
	serve := func(id string) (stop context.CancelFunc) {
		ctx, stop := context.WithCancel(ctx)
		p := partition.New(c, "/search", shards, &partition.Options{ID: id, Settle: 50 * time.Millisecond, Notice: -1})
		servers.Go(func() {
			p.Run(ctx, func(ctx context.Context, part *partition.Part) error {
				select {
				case took <- taking{part.Name(), id}:
				case <-ctx.Done():
				}
				<-ctx.Done() // here it works, until it is told to let go
				return nil
			})
		})
		return stop
	}
	owners := make(map[string]string)
	stopAnna, stopBen := serve("anna"), serve("ben")
	await(took, owners, map[string]int{"anna": 1, "ben": 1})
	fmt.Println(owners)
	stopAnna()
	await(took, owners, map[string]int{"ben": 1})
	fmt.Println(owners)
	stopBen()
	servers.Wait()
	// Output:
	// map[a-f:ben g-l:anna m-r:ben s-z:ben]
	// map[a-f:ben g-l:ben m-r:ben s-z:ben]
}

// Parts in the hand: whoever wants to do something else with them than to call a function for each.
func ExamplePartition_Join() {
	ctx := context.Background()
	srv, err := ensemble.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	c, err := client.Connect(ctx, srv.ConnectString(), &client.Options{Dialer: srv.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	share, err := partition.New(c, "/search", shards[:1], &partition.Options{ID: "anna", Settle: 50 * time.Millisecond}).Join(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer share.Leave(ctx)
	for part := range share.Parts(ctx) {
		// What is written with the guard is written by the owner, or not at all.
		_, err := c.Multi(ctx, part.Guard(), client.CreateOp("/index", []byte(part.Name()), nil))
		fmt.Println(part.Name(), "is indexed:", err == nil)
		if err := part.Release(ctx); err != nil {
			log.Fatal(err)
		}
		_, err = c.Multi(ctx, part.Guard(), client.DeleteOp("/index", client.AnyVersion))
		fmt.Println("and nobody else has touched it:", errors.Is(err, client.ErrNoNode))
		break
	}
	// Output:
	// a-f is indexed: true
	// and nobody else has touched it: true
}

var shards = []string{"a-f", "g-l", "m-r", "s-z"}

// A taking is that somebody owns a shard from now on.
type taking struct{ shard, by string }

// await notes who takes which shard, until all are theirs whom they belong to among these members.
func await(took <-chan taking, owners map[string]string, weights map[string]int) {
	for t := range took {
		owners[t.shard] = t.by
		divided := true
		for _, shard := range shards {
			divided = divided && owners[shard] == partition.Choose(shard, weights)
		}
		if divided {
			return
		}
	}
}
