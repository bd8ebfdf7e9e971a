package transport_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/transport"
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

	mail := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(w, "%s of %s: no new mail", req.URL.Path, req.Host)
	}))
	defer mail.Close()
	_, err = services.Register(ctx, discovery.Instance[struct{}]{
		Name: "mail", Address: "127.0.0.1", Port: mail.Listener.Addr().(*net.TCPAddr).Port,
	}, nil)
	if err != nil {
		log.Fatal(err)
	}

	instances := transport.New(services, nil)
	defer instances.Close()
	web := http.Client{Transport: instances}
	resp, err := web.Get("http://mail/inbox")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
	// Output: /inbox of mail: no new mail
}
