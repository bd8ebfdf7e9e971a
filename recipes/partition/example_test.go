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

	var servers sync.WaitGroup
	serve := func(id string) (stop context.CancelFunc) {
		ctx, stop := context.WithCancel(ctx)
		p := partition.New(c, "/search", shards, &partition.Options{ID: id, Settle: 50 * time.Millisecond, Notice: -1})
		servers.Go(func() {
			p.Run(ctx, func(ctx context.Context, part *partition.Part) error {
				<-ctx.Done() // here it works, until it is told to let go
				return nil
			})
		})
		return stop
	}
	stopAnna, stopBen := serve("anna"), serve("ben")
	fmt.Println(owners(ctx, c, 2))
	stopAnna()
	fmt.Println(owners(ctx, c, 1))
	stopBen()
	servers.Wait()
	// Output:
	// map[a-f:ben g-l:anna m-r:ben s-z:ben]
	// map[a-f:ben g-l:ben m-r:ben s-z:ben]
}

var shards = []string{"a-f", "g-l", "m-r", "s-z"}

// owners returns whose the shards are when all are somebody's, of so many in all.
func owners(ctx context.Context, c *client.Client, members int) map[string]string {
	for {
		all, err := partition.New(c, "/search", shards, nil).Inspect(ctx)
		if err != nil {
			log.Fatal(err)
		}
		whose, different := map[string]string{}, map[string]bool{}
		for _, s := range all {
			if s.Owner != "" && s.Owner == s.Target && len(s.Waiting) == 0 {
				whose[s.Part], different[s.Owner] = s.Owner, true
			}
		}
		if len(whose) == len(shards) && len(different) == members {
			return whose
		}
		time.Sleep(10 * time.Millisecond)
	}
}
