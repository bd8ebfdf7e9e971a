package typed_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"slices"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/typed"
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

func Example() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	type Limits struct {
		Users int
		Hosts []string `json:",omitempty"`
	}
	n := typed.NewNode[Limits](c, "/limits", nil)
	if err := n.Create(ctx, Limits{Users: 100}); err != nil {
		log.Fatal(err)
	}
	v, stat, err := n.Get(ctx)
	fmt.Println(v.Users, stat.Version, err)

	v.Hosts = append(v.Hosts, "a")
	version, err := n.Set(ctx, v, stat.Version)
	fmt.Println(version, err)
	_, err = n.Set(ctx, v, stat.Version) // the version that was read, and is no more
	fmt.Println(errors.Is(err, client.ErrBadVersion))

	data, _, _ := c.Get(ctx, "/limits")
	fmt.Println(string(data))
	// Output:
	// 100 0 <nil>
	// 1 <nil>
	// true
	// {"Users":100,"Hosts":["a"]}
}

func ExampleNode_Update() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	n := typed.NewNode(c, "/visitors", &typed.Options[int]{Marks: "/marks"})
	if err := n.Create(ctx, 41); err != nil {
		log.Fatal(err)
	}
	visitors, version, err := n.Update(ctx, func(visitors int) (int, error) { return visitors + 1, nil })
	fmt.Println(visitors, version, err)
	// Output: 42 1 <nil>
}

func ExampleNode_Watch() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	n := typed.NewNode(c, "/motto", &typed.Options[string]{Codec: typed.Gzip(typed.Text(), 0)})
	for motto, err := range n.Watch(ctx) {
		switch {
		case errors.Is(err, typed.ErrDecode):
			fmt.Println("no motto, but something else")
			n.Set(ctx, "slow and steady", motto.Stat.Version)
			continue
		case err != nil:
			log.Fatal(err)
		case !motto.Exists:
			fmt.Println("no motto yet")
			c.Create(ctx, "/motto", []byte("not gzip"), nil)
			continue
		}
		fmt.Println(motto.Value)
		break
	}
	// Output:
	// no motto yet
	// no motto, but something else
	// slow and steady
}

func ExampleDirectory() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	type Job struct{ What string }
	jobs := typed.NewDirectory(c, "/jobs", &typed.Options[Job]{
		Create: client.CreateOptions{Parents: client.PersistentParents},
	})
	for _, what := range []string{"paint it", "dry it"} {
		if _, err := jobs.Add(ctx, "job-", Job{what}); err != nil {
			log.Fatal(err)
		}
	}
	c.Create(ctx, "/jobs/odd", []byte("?"), nil)

	l, err := jobs.List(ctx)
	for _, name := range slices.Sorted(maps.Keys(l.Nodes)) {
		fmt.Println(name, l.Nodes[name].Value.What)
	}
	fmt.Println(len(l.Bad), errors.Is(l.Bad["odd"], typed.ErrDecode), err)
	// Output:
	// job-0000000000 paint it
	// job-0000000001 dry it
	// 1 true <nil>
}

func ExampleDirectory_Watch() {
	ctx := context.Background()
	c, done := exampleClient(ctx)
	defer done()

	ports := typed.NewDirectory(c, "/ports", &typed.Options[int]{Create: client.CreateOptions{Parents: client.PersistentParents}})
	for l, err := range ports.Watch(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		http, there := l.Nodes["http"]
		fmt.Println(len(l.Nodes), there, http.Value)
		switch {
		case !there:
			ports.Node("http").Create(ctx, 80)
		case http.Value == 80:
			ports.Node("http").Set(ctx, 8080, http.Stat.Version)
		default:
			return
		}
	}
	// Output:
	// 0 false 0
	// 1 true 80
	// 1 true 8080
}
