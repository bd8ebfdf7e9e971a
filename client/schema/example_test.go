package schema_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/schema"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

// A node that would outlive its maker by mistake is not created: the servers do not hear of it.
func Example() {
	ctx := context.Background()
	servers, err := ensembletest.New(ctx, 1, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer servers.Close()
	rules, err := schema.New([]schema.Rule{
		{Name: "services", Path: "/services", Undeletable: true},
		{Name: "instance", Pattern: "/services/.*", Ephemeral: schema.Must},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.Connect(ctx, servers.ConnectString(), &client.Options{Dialer: servers.Dial, Check: rules.Check})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Create(ctx, "/services", nil, nil); err != nil {
		log.Fatal(err)
	}

	sent := servers.Record()
	defer sent.Stop()
	_, err = c.Create(ctx, "/services/mail", nil, nil)
	fmt.Println(err)
	fmt.Println(errors.Is(err, schema.ErrViolation), len(sent.Operations(ensembletest.Match{})), "sent")
	_, err = c.Create(ctx, "/services/mail", nil, &client.CreateOptions{Mode: client.Ephemeral})
	fmt.Println(err, len(sent.Operations(ensembletest.Match{})), "sent")
	// Output:
	// create /services/mail: schema violation: /services/mail must be ephemeral (rule instance)
	// true 0 sent
	// <nil> 1 sent
}

func ExampleLoad() {
	rules, err := schema.Load(strings.NewReader(`[
		{"name": "limit", "path": "/limit", "ephemeral": "cannot", "schemaValidator": "number", "documentation": "orders a minute"},
		{"name": "worker", "path": "/workers/.*", "isRegex": true, "ephemeral": "must", "canBeDeleted": true}
	]`), map[string]schema.Validator{
		"number": func(_ string, data []byte) error {
			if strings.Trim(string(data), "0123456789") != "" || len(data) == 0 {
				return fmt.Errorf("%q is not a number", data)
			}
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	set, err := schema.New(rules, &schema.Options{RefuseOthers: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(set)
	fmt.Println(set.Check(client.Intent{Op: "set", Path: "/limit", Data: []byte("many")}))
	fmt.Println(set.Check(client.Intent{Op: "create", Path: "/limits"}))
	// Output:
	// limit: /limit
	//   orders a minute
	//   cannot be ephemeral, can be sequential, can be watched, cannot be deleted; data are checked
	// worker: all that is /workers/.*
	//   must be ephemeral, can be sequential, can be watched, can be deleted
	// schema violation: /limit cannot have these data: "many" is not a number (rule limit)
	// schema violation: /limits has no rule
}
