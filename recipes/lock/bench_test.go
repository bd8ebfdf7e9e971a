package lock_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// What a lock takes, to be had and given back again, on three servers that write to the disk: where nobody else wants it, and where so many
// others do that it goes from hand to hand. LOCK_SERVERS is a connect string of other servers.
func BenchmarkMutex(b *testing.B) {
	servers := os.Getenv("LOCK_SERVERS")
	if servers == "" {
		servers = ensembletest.Start(b, 3, &ensembletest.Options{TCP: true, OnDisk: true}).ConnectString()
	}
	for _, bench := range []struct {
		name           string
		clients, paths int
	}{
		{"alone", 1, 1},
		{"16 on 16", 16, 16},
		{"16 on 1", 16, 1},
	} {
		b.Run(bench.name, func(b *testing.B) {
			var locks []*lock.Mutex
			for i := range bench.clients {
				c, err := client.Connect(b.Context(), servers, &client.Options{SessionTimeout: 30 * time.Second})
				require.NoError(b, err)
				defer c.Close()
				locks = append(locks, lock.NewMutex(c, fmt.Sprintf("/%s/%d", bench.name, i%bench.paths), nil))
			}
			turns := make(chan struct{})
			var ended sync.WaitGroup
			for _, m := range locks {
				ended.Go(func() {
					for range turns {
						h, err := m.Lock(b.Context())
						if err == nil {
							err = h.Release(b.Context())
						}
						if err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ResetTimer()
			for range b.N {
				turns <- struct{}{}
			}
			close(turns)
			ended.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "locks/s")
		})
	}
}
