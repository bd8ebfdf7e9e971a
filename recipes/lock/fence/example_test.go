package fence_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/lock"
	"github.com/bellwether-zk/bellwether/recipes/lock/fence"
)

// A crane obeys who has its lock, over HTTP. One who had it, and does not know better, is refused.
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
	crane := httptest.NewServer(fence.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "moving")
	}), nil, nil))
	defer crane.Close()

	m := lock.NewMutex(c, "/crane", nil)
	move := func(hold fence.Holder) {
		orders := &http.Client{Transport: &fence.Transport{Holder: hold, Base: crane.Client().Transport}}
		resp, err := orders.Post(crane.URL+"/hook", "text/plain", nil)
		if err != nil {
			fmt.Println(errors.Is(err, lock.ErrReleased))
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	first, err := m.Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	move(first)
	first.Release(ctx)
	second, err := m.Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer second.Release(ctx)
	move(second)

	move(first)                      // it looks, and does not send
	move(holder{first.Token(), ctx}) // it has looked before it was paused
	resp, err := http.Post(crane.URL+"/hook", "text/plain", nil)
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()
	fmt.Println(resp.Status)
	// Output:
	// 200 OK
	// 200 OK
	// true
	// 412 Precondition Failed
	// 428 Precondition Required
}

// An account's row is its own fence: a column has the token of who wrote it last.
func ExampleExec() {
	ctx := context.Background()
	db, tables := openExample()
	defer db.Close()
	tables["account"] = map[string]row{"zoe": {"balance": 100, "token": 0}}

	pay := func(token, balance int64) {
		err := fence.Exec(ctx, db, `UPDATE account SET balance = ?, token = ? WHERE id = ? AND token <= ?`, balance, token, "zoe", token)
		fmt.Println(tables["account"]["zoe"]["balance"], err)
	}
	pay(17, 90) // 17 and 23 are what Hold.Token returned, to one holder and to the next
	pay(23, 80)
	pay(17, 70)
	// Output:
	// 90 <nil>
	// 80 <nil>
	// 80 fencing token is older than one that was seen
}

// Work on many rows has a fence of its own, a row of a table that is raised and locked first.
func ExampleTable_Check() {
	ctx := context.Background()
	db, _ := openExample()
	defer db.Close()
	var table fence.Table
	if err := table.Create(ctx, db); err != nil {
		log.Fatal(err)
	}
	work := func(token int64) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := table.Check(ctx, tx, "the ledger", token); err != nil {
			return err
		}
		fmt.Println("works with token", token) // statements of tx
		return tx.Commit()
	}
	for _, token := range []int64{17, 23, 17} {
		if err := work(token); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// works with token 17
	// works with token 23
	// fencing token is older than one that was seen
}
