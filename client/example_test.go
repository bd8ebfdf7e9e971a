package client_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
)

// exampleClient starts a server in this process and connects to it through memory. With servers elsewhere, the connect string is all
// Connect needs.
func exampleClient(ctx context.Context) (*client.Client, func()) {
	srv, err := ensemble.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.Connect(ctx, srv.ConnectString(), &client.Options{Dialer: srv.Dial})
	if err != nil {
		log.Fatal(err)
	}
	return c, func() {
		c.Close()
		srv.Close()
	}
}

func ExampleConnect() {
	ctx := context.Background()
	srv, err := ensemble.Start(ctx, &ensemble.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	c, err := client.Connect(ctx, srv.ConnectString(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Create(ctx, "/greeting", []byte("hello"), nil); err != nil {
		log.Fatal(err)
	}
	data, stat, err := c.Get(ctx, "/greeting")
	fmt.Println(string(data), stat.Version, err)
	// Output: hello 0 <nil>
}

func ExampleClient_Create() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	for range 2 {
		path, err := c.Create(ctx, "/jobs/new/job-", []byte("paint it"), &client.CreateOptions{
			Mode:    client.PersistentSequential,
			Parents: client.ContainerParents,
		})
		fmt.Println(path, err)
	}
	_, err := c.Create(ctx, "/jobs/new", nil, nil)
	fmt.Println(err)
	fmt.Println(errors.Is(err, client.ErrNodeExists))
	// Output:
	// /jobs/new/job-0000000000 <nil>
	// /jobs/new/job-0000000001 <nil>
	// create /jobs/new: node already exists
	// true
}

func ExampleClient_Multi() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	_, err := c.Multi(ctx, client.CreateOp("/from", []byte("100"), nil), client.CreateOp("/to", []byte("0"), nil))
	fmt.Println(err)
	_, err = c.Multi(ctx, client.SetOp("/from", []byte("70"), 0), client.SetOp("/to", []byte("30"), 5))
	fmt.Println(err)
	data, _, _ := c.Get(ctx, "/from")
	fmt.Println("from is still", string(data))
	// Output:
	// <nil>
	// multi /to: version does not match
	// from is still 100
}

func ExampleClient_WatchNode() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	for node, err := range c.WatchNode(ctx, "/config") {
		if err != nil {
			log.Fatal(err)
		}
		if !node.Exists {
			fmt.Println("no config yet")
			c.Create(ctx, "/config", []byte("v1"), nil)
			continue
		}
		fmt.Println("config is", string(node.Data))
		if string(node.Data) == "v2" {
			break
		}
		c.Set(ctx, "/config", []byte("v2"), node.Stat.Version)
	}
	// Output:
	// no config yet
	// config is v1
	// config is v2
}

func ExampleSession_Context() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	session := c.Session()
	c.Close()
	<-session.Context().Done()
	fmt.Println(context.Cause(session.Context()))
	// Output: client closed
}

// What is held in a session is held as long as the session is sure to live.
func ExampleSession_Keep() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	session := c.Session()
	release, err := session.Keep(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer release()
	// An ephemeral node says who is the only one to do this.
	if _, err := session.Client().Create(ctx, "/cleaner", nil, &client.CreateOptions{Mode: client.Ephemeral}); err != nil {
		log.Fatal(err)
	}
	for room := 1; room <= 3 && session.Err() == nil; room++ { // the clocks are read: nobody else can clean yet
		fmt.Println("room", room)
	}
	fmt.Println(session.Deadline().After(time.Now()))
	// Output:
	// room 1
	// room 2
	// room 3
	// true
}

func ExampleClient_DeleteTree() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	for _, path := range []string{"/app/config/db", "/app/config/cache", "/app/users"} {
		if _, err := c.Create(ctx, path, nil, &client.CreateOptions{Parents: client.PersistentParents}); err != nil {
			log.Fatal(err)
		}
	}
	_, err := c.DeleteTree(ctx, "/app", &client.DeleteTreeOptions{Max: 3})
	fmt.Println(err)
	deleted, err := c.DeleteTree(ctx, "/app", nil)
	fmt.Println(len(deleted), err)
	// Output:
	// deletetree /app: more nodes than allowed: at least 5, and 3 may be deleted
	// 5 <nil>
}

// A transfer between two accounts, which happens once whatever becomes of connections meanwhile.
func ExampleClient_MultiOnce() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	for account, amount := range map[string]string{"/anna": "70", "/ben": "30"} {
		if _, err := c.Create(ctx, account, []byte(amount), nil); err != nil {
			log.Fatal(err)
		}
	}
	_, err := c.MultiOnce(ctx, "/transfers",
		client.SetOp("/anna", []byte("60"), 0),
		client.SetOp("/ben", []byte("40"), 0),
	)
	if err != nil {
		log.Fatal(err)
	}
	_, err = c.MultiOnce(ctx, "/transfers", client.SetOp("/anna", []byte("0"), 0)) // of a version that is gone
	fmt.Println(err)
	data, _, err := c.Get(ctx, "/anna")
	fmt.Println(string(data), err)
	// Output:
	// multi /anna: version does not match
	// 60 <nil>
}

func ExampleClient_WatchTree() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	c.Create(ctx, "/config", []byte("v1"), nil)
	c.Create(ctx, "/config/db", []byte("db1:5432"), nil)
	for change, err := range c.WatchTree(ctx, "/config", nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%v %s %q\n", change.Kind, change.Path, change.Data)
		switch change.Kind {
		case client.TreeCurrent:
			c.Set(ctx, "/config/db", []byte("db2:5432"), client.AnyVersion)
		case client.TreeChanged:
			c.DeleteTree(ctx, "/config", nil)
		}
		if change.Kind == client.TreeRemoved && change.Path == "/config" {
			break
		}
	}
	// Output:
	// added /config "v1"
	// added /config/db "db1:5432"
	// current /config ""
	// changed /config/db "db2:5432"
	// removed /config/db ""
	// removed /config ""
}

func ExampleQueued() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	c.Create(ctx, "/price", []byte("100"), nil)
	var waiting atomic.Int64
	follow := func(ctx context.Context) iter.Seq2[client.Node, error] { return c.WatchNode(ctx, "/price") }
	for node, err := range client.Queued(ctx, follow, func(n int) { waiting.Store(int64(n)) }) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s, and %d wait\n", node.Data, waiting.Load())
		if string(node.Data) == "90" {
			break
		}
		c.Set(ctx, "/price", []byte("90"), node.Stat.Version)
	}
	// Output:
	// 100, and 0 wait
	// 90, and 0 wait
}

func ExampleClient_Sub() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	billing, err := c.Sub("/teams/billing")
	if err != nil {
		log.Fatal(err)
	}
	path, err := billing.Create(ctx, "/flags", nil, &client.CreateOptions{Parents: client.PersistentParents})
	fmt.Println(path, err)
	_, there, err := c.Exists(ctx, "/teams/billing/flags")
	fmt.Println(there, err)
	// Output:
	// /flags <nil>
	// true <nil>
}

func ExampleWrap() {
	ctx := context.Background()
	srv, err := ensemble.Start(ctx, &ensemble.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	conn, events, err := zk.Connect([]string{srv.ConnectString()}, 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		log.Fatal(err)
	}

	c, err := client.Wrap(ctx, conn, events, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close() // and conn with it
	_, err = c.Create(ctx, "/greeting", []byte("hello"), nil)
	fmt.Println(err)
	_, err = c.Session().Keep(ctx)
	fmt.Println(err)
	// Output:
	// <nil>
	// session of a wrapped connection cannot be kept
}

func ExampleHooks() {
	ctx := context.Background()
	srv, err := ensemble.Start(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	c, err := client.Connect(ctx, srv.ConnectString(), &client.Options{Dialer: srv.Dial, Hooks: client.Hooks{
		Done: func(o client.OperationDone) {
			fmt.Printf("%s %s took %d try: %v\n", o.Op, o.Path, o.Tries, o.Err == nil)
		},
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	c.Create(ctx, "/a", nil, nil)
	c.Get(ctx, "/b")
	// Output:
	// create /a took 1 try: true
	// get /b took 1 try: false
}

// The servers tell who they are, and where clients reach them.
func ExampleClient_Config() {
	ctx := context.Background()
	e, err := ensemble.StartSeveral(ctx, 3, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	c, err := client.Connect(ctx, e.ConnectString(), &client.Options{Dialer: e.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	config, err := c.Config(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range config.Servers {
		fmt.Println(s.ID, s.Addrs[0].Host, s.Observer, s.ClientAddr)
	}
	// Output:
	// 1 127.0.0.1 false 127.0.0.1:2181
	// 2 127.0.0.2 false 127.0.0.2:2181
	// 3 127.0.0.3 false 127.0.0.3:2181
}

// A program that shows, or reports, whether its servers can be reached.
func ExampleClient_States() {
	ctx := context.Background()
	servers, err := ensemble.StartSeveral(ctx, 1, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer servers.Close()
	c, err := client.Connect(ctx, servers.ConnectString(), &client.Options{Dialer: servers.Dial})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	first := c.Session()

	for change := range c.States(ctx) {
		fmt.Println(change.State)
		switch change.State {
		case client.StateConnected:
			servers.Servers()[0].Close()
		case client.StateSuspended: // nothing is lost yet
			if _, err := servers.Restart(ctx, 1); err != nil {
				log.Fatal(err)
			}
		case client.StateReconnected:
			fmt.Println("in the same session:", change.Session == first)
			return
		}
	}
	// Output:
	// connected
	// suspended
	// reconnected
	// in the same session: true
}

// What failed, on which path and why, and whether it may have happened all the same.
func ExampleError() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	_, err := c.Set(ctx, "/config", []byte("dark"), client.AnyVersion)
	failed, _ := errors.AsType[*client.Error](err)
	fmt.Println(failed.Op, failed.Path)
	switch {
	case errors.Is(err, client.ErrUnknown):
		fmt.Println("read it, and see")
	case errors.Is(err, client.ErrNoNode):
		fmt.Println("it has not happened, since there is no such node")
	}
	// Output:
	// set /config
	// it has not happened, since there is no such node
}
