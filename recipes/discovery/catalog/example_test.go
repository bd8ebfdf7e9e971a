package catalog_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/catalog"
)

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
	services := discovery.NewRegistry[struct{}](c, "/services", nil)
	defer services.Close(ctx)
	_, err = services.Register(ctx, discovery.Instance[struct{}]{
		Name: "mail", ID: "one", Address: "10.0.0.7", Port: 25, Registered: time.UnixMilli(1),
	}, nil)
	if err != nil {
		log.Fatal(err)
	}

	http.Handle("/discovery/", http.StripPrefix("/discovery", catalog.New(services, nil)))
	web := httptest.NewServer(http.DefaultServeMux)
	defer web.Close()
	for _, path := range []string{"/v1/service", "/v1/service/mail/one"} {
		resp, err := http.Get(web.URL + "/discovery" + path)
		if err != nil {
			log.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(strings.TrimSpace(string(text)))
	}
	// Output:
	// [{"name":"mail"}]
	// {"address":"10.0.0.7","id":"one","name":"mail","port":25,"registrationTimeUTC":1,"serviceType":"DYNAMIC"}
}
