package lock_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

func Example() {
	ctx := context.Background()
	srv, err := ensemble.Start(ctx, nil) // in this process, for the example
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	connect := func() *client.Client {
		c, err := client.Connect(ctx, srv.ConnectString(), &client.Options{Dialer: srv.Dial})
		if err != nil {
			log.Fatal(err)
		}
		return c
	}
	anna, ben := connect(), connect()
	defer anna.Close()
	defer ben.Close()

	hold, err := lock.NewMutex(anna, "/printer", nil).Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("anna holds the lock")
	_, err = lock.NewMutex(ben, "/printer", nil).TryLock(ctx)
	fmt.Println("ben:", err, errors.Is(err, lock.ErrHeld))

	if err := hold.Release(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("anna:", context.Cause(hold.Context()))
	next, err := lock.NewMutex(ben, "/printer", nil).Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ben holds the lock, with a greater token:", next.Token() > hold.Token())
	// Output:
	// anna holds the lock
	// ben: trylock /printer: lock is held by another true
	// anna: ticket returned
	// ben holds the lock, with a greater token: true
}

// The guard puts the lock into the same transaction as the change it protects.
func ExampleHold_Guard() {
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

	hold, err := lock.NewMutex(c, "/ledger/lock", nil).Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	_, err = c.Multi(ctx, hold.Guard(), client.CreateOp("/ledger/entry-1", nil, nil))
	fmt.Println("while held:", err)
	hold.Release(ctx)
	_, err = c.Multi(ctx, hold.Guard(), client.CreateOp("/ledger/entry-2", nil, nil))
	fmt.Println("after the release, nothing is written:", errors.Is(err, client.ErrNoNode))
	// Output:
	// while held: <nil>
	// after the release, nothing is written: true
}

// A writer prepares something, and goes on as one of its readers without anybody having changed it in between.
func ExampleHold_Downgrade() {
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

	m := lock.NewRWMutex(c, "/map", nil)
	hold, err := m.Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	_, err = m.TryRLock(ctx)
	fmt.Println("beside a writer:", errors.Is(err, lock.ErrHeld))
	if err := hold.Downgrade(ctx); err != nil {
		log.Fatal(err)
	}
	other, err := m.TryRLock(ctx)
	fmt.Println("beside a reader:", err)
	_, err = m.Lock(hold.Context())
	fmt.Println("back again:", err)

	other.Release(ctx)
	hold.Release(ctx)
	// Output:
	// beside a writer: true
	// beside a reader: <nil>
	// back again: lock /map: lock is held further up, and would wait for itself
}

// Three at a time may use a service, each for as many connections as it has permits.
func ExampleSemaphore() {
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

	s := lock.NewSemaphore(c, "/service", 3, nil)
	two, err := s.Acquire(ctx, 2)
	if err != nil {
		log.Fatal(err)
	}
	_, err = s.TryAcquire(ctx, 2)
	fmt.Println("two more:", errors.Is(err, lock.ErrHeld))
	one, err := s.TryAcquire(ctx, 1)
	fmt.Println("one more:", err)
	_, err = s.Acquire(ctx, 4)
	fmt.Println("more than there are:", err)

	two.Release(ctx)
	permits, err := s.Permits(ctx)
	fmt.Println("given out:", len(permits), err)
	one.Release(ctx)
	// Output:
	// two more: true
	// one more: <nil>
	// more than there are: acquire /service: more permits than the limit: 4 of 3
	// given out: 1 <nil>
}

// Money moves between two accounts, each of which has a lock. Nobody who moves it the other way is waited for for ever.
func ExampleMulti() {
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

	from, to := lock.NewMutex(c, "/accounts/zoe", nil), lock.NewMutex(c, "/accounts/adam", nil)
	both, err := lock.NewMulti(from, to)
	if err != nil {
		log.Fatal(err)
	}
	holds, err := both.Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	_, err = to.TryLock(ctx)
	fmt.Println("one of them is free:", !errors.Is(err, lock.ErrHeld))
	_, err = c.Multi(ctx, append(holds.Guard(), client.CreateOp("/moved", []byte("100"), nil))...)
	fmt.Println("moved under both:", err)
	fmt.Println("released:", holds.Release(ctx))

	_, err = lock.NewMulti(from, from)
	fmt.Println(err)
	// Output:
	// one of them is free: false
	// moved under both: <nil>
	// released: <nil>
	// multi /accounts/zoe,/accounts/zoe: bad arguments: /accounts/zoe twice
}
