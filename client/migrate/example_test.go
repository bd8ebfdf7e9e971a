package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/migrate"
	"github.com/bellwether-zk/bellwether/ensemble"
)

// The instances of a program make what they need, once; the next release adds to it.
func ExampleApply() {
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

	set := migrate.Set{ID: "orders", Migrations: []migrate.Migration{
		{Name: "directories", Ops: []client.Op{
			client.CreateOp("/orders", nil, nil),
			client.CreateOp("/orders/open", nil, nil),
		}},
	}}
	for _, instance := range []string{"first", "second"} {
		applied, err := migrate.Apply(ctx, c, "/migrations", set, nil)
		fmt.Println(instance, applied, err)
	}

	set.Migrations = append(set.Migrations, migrate.Migration{Name: "limit", Ops: []client.Op{client.CreateOp("/orders/limit", []byte("100"), nil)}})
	missing, err := migrate.Apply(ctx, c, "/migrations", set, &migrate.Options{DryRun: true})
	fmt.Println("missing", missing, err)
	applied, err := migrate.Apply(ctx, c, "/migrations", set, nil)
	fmt.Println("applied", applied, err)

	set.Migrations[0].Ops = append(set.Migrations[0].Ops, client.CreateOp("/orders/closed", nil, nil))
	_, err = migrate.Apply(ctx, c, "/migrations", set, nil)
	fmt.Println(errors.Is(err, migrate.ErrMismatch))
	// Output:
	// first [directories] <nil>
	// second [] <nil>
	// missing [limit] <nil>
	// applied [limit] <nil>
	// true
}
