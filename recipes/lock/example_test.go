package lock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

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

// Who waits for no longer than a while says so with its context, and learns by whom it was kept waiting.
func ExampleMutex_Lock_waitLimit() {
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

	hold, err := lock.NewMutex(c, "/report", &lock.Options{Data: []byte("the nightly run")}).Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer hold.Release(ctx)

	patience, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	m := lock.NewMutex(c, "/report", nil)
	_, err = m.Lock(patience)
	fmt.Println("out of patience:", errors.Is(err, context.DeadlineExceeded))
	state, err := m.Inspect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s holds it, and %d wait\n", state.Holders[0].Data, len(state.Waiters))
	// Output:
	// out of patience: true
	// the nightly run holds it, and 0 wait
}

// A job that can be done later lets go when something urgent asks.
func ExampleRevoke() {
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

	m := lock.NewMutex(c, "/cluster/maintenance", nil)
	hold, err := m.Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends when it is asked to let go
		defer close(done)
		select {
		case <-hold.Revoked():
			fmt.Println("asked to let go")
			hold.Release(ctx)
		case <-hold.Context().Done():
		}
	}()

	state, err := m.Inspect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	err = lock.Revoke(ctx, c, state.Holders[0].Path)
	<-done
	fmt.Println("answer:", err)
	urgent, err := m.TryLock(ctx)
	fmt.Println("urgent work:", err)
	urgent.Release(ctx)
	// Output:
	// asked to let go
	// answer: <nil>
	// urgent work: <nil>
}

// A function that locks is called by one that has locked already, and says so with its context.
func Example_reentrance() {
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

	m := lock.NewMutex(c, "/stock", &lock.Options{Reentrant: true})
	take := func(ctx context.Context, what string) {
		hold, err := m.Lock(ctx)
		if err != nil {
			log.Fatal(err)
		}
		defer hold.Release(context.WithoutCancel(ctx))
		fmt.Println("takes", what)
	}
	take(ctx, "a bolt")

	both, err := m.Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	take(both.Context(), "a bolt")
	take(both.Context(), "a nut")
	line, err := m.Line(ctx)
	fmt.Println("held still:", len(line) == 1, err)
	both.Release(ctx)
	// Output:
	// takes a bolt
	// takes a bolt
	// takes a nut
	// held still: true <nil>
}

// A holder that is stuck, and one that has died: neither is waited for longer than is said, and the second is kept clear of for a while.
func ExampleOptions() {
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

	const delay = 200 * time.Millisecond
	stuck, err := lock.NewMutex(c, "/crane", &lock.Options{MaxHold: delay / 10, Delay: delay}).Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	begun := time.Now()
	m := lock.NewMutex(c, "/crane", &lock.Options{Delay: delay})
	next, err := m.Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(context.Cause(stuck.Context()))
	fmt.Println("behind it, the delay:", time.Since(begun) >= delay)
	next.Release(ctx)
	next, err = m.TryLock(ctx)
	fmt.Println("behind who releases, none:", err)
	next.Release(ctx)
	// Output:
	// lock was held for as long as it may be
	// behind it, the delay: true
	// behind who releases, none: <nil>
}

// Many read a table of prices at the same time, one changes it.
func ExampleRWMutex() {
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

	prices := lock.NewRWMutex(c, "/prices", nil)
	one, err := prices.RLock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	other, err := prices.TryRLock(ctx)
	fmt.Println("a second reader:", err)
	_, err = prices.TryLock(ctx)
	fmt.Println("a writer beside them:", errors.Is(err, lock.ErrHeld))

	one.Release(ctx)
	other.Release(ctx)
	writer, err := prices.Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("a writer, whose token is greater than its readers':", writer.Token() > other.Token())
	writer.Release(ctx)
	// Output:
	// a second reader: <nil>
	// a writer beside them: true
	// a writer, whose token is greater than its readers': true
}

// Work under a lock ends when the lock does, and when its own caller wants it to.
func ExampleHold_Context() {
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

	locked := func(ctx context.Context, m *lock.Mutex, work func(ctx context.Context, token int64) error) error {
		hold, err := m.Lock(ctx)
		if err != nil {
			return err
		}
		defer hold.Release(context.WithoutCancel(ctx)) // also if ctx has ended by then
		ctx, cancel := context.WithCancelCause(ctx)    // with the caller's values, deadline and end
		defer cancel(nil)
		defer context.AfterFunc(hold.Context(), func() { cancel(context.Cause(hold.Context())) })()
		return work(ctx, hold.Token())
	}
	m := lock.NewMutex(c, "/printer", nil)
	err = locked(ctx, m, func(ctx context.Context, _ int64) error {
		line, err := m.Line(ctx)
		if err != nil {
			return err
		}
		if err := c.Delete(ctx, m.Path()+"/"+line[0].Name, client.AnyVersion); err != nil { // somebody takes the lock away
			return err
		}
		<-ctx.Done()
		return context.Cause(ctx)
	})
	fmt.Println(errors.Is(err, lock.ErrRemoved))
	// Output: true
}

// How many may use a service at a time is written in a node, and changes while they do.
func ExampleNewSharedSemaphore() {
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

	s := lock.NewSharedSemaphore(c, "/service", "/service/limit", 1, nil)
	first, err := s.Acquire(ctx, 1)
	if err != nil {
		log.Fatal(err)
	}
	_, err = s.TryAcquire(ctx, 1)
	fmt.Println("a second one:", errors.Is(err, lock.ErrHeld))
	if err := s.SetLimit(ctx, 2); err != nil {
		log.Fatal(err)
	}
	second, err := s.TryAcquire(ctx, 1)
	fmt.Println("when two may:", err)
	first.Release(ctx)
	second.Release(ctx)
	// Output:
	// a second one: true
	// when two may: <nil>
}
