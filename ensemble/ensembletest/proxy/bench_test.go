package proxy_test

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// What a proxy costs: an answer takes two switches of goroutines more, and so does what is said to open and to close a session.
func BenchmarkProxy(b *testing.B) {
	e, err := ensembletest.New(b.Context(), 1, nil)
	require.NoError(b, err)
	defer e.Close()
	p := proxy.New(&proxy.Options{Dial: e.Dial})
	defer p.Close()
	for name, dial := range map[string]func(context.Context, string, string) (net.Conn, error){"direct": e.Dial, "proxied": p.Dial} {
		connect := func(b *testing.B) *client.Client {
			c, err := client.Connect(b.Context(), e.ConnectString(), &client.Options{Dialer: dial, MaxFrame: ensembletest.MaxFrame})
			require.NoError(b, err)
			return c
		}
		b.Run("sync/"+name, func(b *testing.B) {
			c := connect(b)
			defer c.Close()
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, c.Sync(b.Context(), "/"))
			}
		})
		b.Run("session/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, connect(b).Close())
			}
		})
	}
}
