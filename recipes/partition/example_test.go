package partition_test

import (
	"context"
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
