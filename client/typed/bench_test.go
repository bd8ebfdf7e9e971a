package typed_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/ensemble"
)

// What a type costs beside the client's own operation, on a server reached over TCP.
func BenchmarkGet(b *testing.B) {
	srv, err := ensemble.Start(b.Context(), &ensemble.Options{Addr: "127.0.0.1:0"})
	require.NoError(b, err)
	defer srv.Close()
	c, err := client.Connect(b.Context(), srv.ConnectString(), nil)
	require.NoError(b, err)
	defer c.Close()
	text := strings.Repeat("abcdefghij", 10)
	plain := typed.NewNode(c, "/plain", &typed.Options[string]{Codec: typed.Text()})
	asJSON := typed.NewNode[limits](c, "/json", nil)
	zipped := typed.NewNode(c, "/gzip", &typed.Options[limits]{Codec: typed.Gzip[limits](nil, 0)})
	v := limits{Users: 100, Hosts: []string{text[:40], text[:40]}}
	require.NoError(b, plain.Create(b.Context(), text))
	require.NoError(b, asJSON.Create(b.Context(), v))
	require.NoError(b, zipped.Create(b.Context(), v))
	ctx := b.Context()
	for _, way := range []struct {
		name string
		get  func() error
	}{
		{"client", func() error { _, _, err := c.Get(ctx, "/plain"); return err }},
		{"text", func() error { _, _, err := plain.Get(ctx); return err }},
		{"json", func() error { _, _, err := asJSON.Get(ctx); return err }},
		{"gzip", func() error { _, _, err := zipped.Get(ctx); return err }},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := way.get(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What it costs without a server.
func BenchmarkGzip(b *testing.B) {
	codec := typed.Gzip(typed.Bytes(), 0)
	plain := []byte(strings.Repeat(`{"name":"value","other":12345}`, 30))
	data, err := codec.Encode(plain)
	require.NoError(b, err)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := codec.Encode(plain); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := codec.Decode(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
