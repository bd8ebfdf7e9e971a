package conformance_test

import (
	"context"
	"fmt"
	"log"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/conformance"
)

// Any address will do; here it is that of a server in memory.
func ExampleCheck() {
	ctx := context.Background()
	e, err := ensembletest.New(ctx, 1, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	report, err := conformance.Check(ctx, e.ConnectString(), &conformance.Options{
		Dial: e.Dial,
		Only: []string{"sequences", "nodes/ttl"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report)
	fmt.Println("failed:", report.Err())
	// Output:
	// nodes/ttl: not offered: createTTL: zookeeper: unimplemented (a node with a time to live is made as one, and a time that is none is refused)
	// sequences/count: passed
	// sequences/not-reused: passed
	// sequences/name-of-a-number: passed
	// sequences/owner: passed
	// failed: <nil>
}
