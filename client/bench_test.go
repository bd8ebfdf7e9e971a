package client_test

import (
	"context"
	"io"
	"log"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
)

// What an operation costs beside the bare library, one by one and many at once, on a server reached over TCP.
func BenchmarkGet(b *testing.B) {
	srv, err := ensemble.Start(b.Context(), &ensemble.Options{Addr: "127.0.0.1:0"})
	require.NoError(b, err)
	defer srv.Close()
	bare, events, err := zk.Connect([]string{srv.ConnectString()}, 10*time.Second, zk.WithLogger(log.New(io.Discard, "", 0)))
	require.NoError(b, err)
	go func() { // ends with the connection
		for range events {
		}
	}()
	defer bare.Close()
	c, err := client.Connect(b.Context(), srv.ConnectString(), nil)
	require.NoError(b, err)
	defer c.Close()
	_, err = c.Create(b.Context(), "/a", make([]byte, 100), nil)
	require.NoError(b, err)

	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for _, way := range []struct {
		name string
		get  func() error
	}{
		{"bare", func() error { _, _, err := bare.Get("/a"); return err }},
		{"client", func() error { _, _, err := c.Get(context.Background(), "/a"); return err }},
		{"client with cancel", func() error { _, _, err := c.Get(ctx, "/a"); return err }},
	} {
		b.Run("one by one/"+way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := way.get(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("many at once/"+way.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(64)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := way.get(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
