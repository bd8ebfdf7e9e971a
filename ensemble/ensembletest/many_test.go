package ensembletest_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

// A test binary may start as many ensembles as it likes: of 500 (100 with -short) nothing is left, neither goroutines nor memory nor open
// files.
func TestFiveHundred(t *testing.T) {
	once := func(i int) {
		t.Run("", func(t *testing.T) {
			n, opts := 1, &ensembletest.Options{OnDisk: i%50 == 0, TCP: i%25 == 0}
			if i%5 == 0 {
				n = 3
			}
			e := ensembletest.Start(t, n, opts)
			a, b := e.Connect(t), e.Connect(t)
			mustCreate(t, a, "/n", client.Ephemeral)
			require.Equal(t, "/n", mustRead(t, b, "/n"))
			if i%3 == 0 {
				e.Server(1).Kill()
			}
		})
	}
	once(0) // what is made once for all
	goroutines, heap, files := left(t)
	n := 500
	if testing.Short() {
		n = 100
	}
	for i := range n {
		once(i)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		g, h, f := left(t)
		if g <= goroutines && h < heap+4<<20 && f <= files {
			t.Logf("goroutines %d, was %d; heap %d KiB, was %d KiB; open files %d, was %d", g, goroutines, h>>10, heap>>10, f, files)
			return
		}
		require.True(t, time.Now().Before(deadline), "goroutines %d, was %d; heap %d KiB, was %d KiB; open files %d, was %d", g, goroutines, h>>10, heap>>10, f, files)
		runtime.Gosched() // a goroutine that has told of its end need not have ended
	}
}

// left is what there is in this process.
func left(t *testing.T) (goroutines int, heap uint64, files int) {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil { // elsewhere nobody tells
		files = len(fds)
	}
	return runtime.NumGoroutine(), m.HeapAlloc, files
}

// How long it takes from nothing to the first write that is acknowledged, and to the end of it all.
func BenchmarkFirstWrite(b *testing.B) {
	for _, n := range []int{1, 3, 5} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var first, end []time.Duration
			for b.Loop() {
				begun := time.Now()
				e, err := ensembletest.New(b.Context(), n, nil)
				require.NoError(b, err)
				c, err := client.Connect(b.Context(), e.ConnectString(), &client.Options{Dialer: e.Dial, MaxFrame: ensembletest.MaxFrame})
				require.NoError(b, err)
				_, err = c.Create(context.Background(), "/n", nil, nil)
				require.NoError(b, err)
				first = append(first, time.Since(begun))
				begun = time.Now()
				require.NoError(b, c.Close())
				require.NoError(b, e.Close())
				end = append(end, time.Since(begun))
			}
			b.ReportMetric(median(first), "median-ms/first-write")
			b.ReportMetric(median(end), "median-ms/close")
		})
	}
}

func median(d []time.Duration) float64 {
	slices.Sort(d)
	return d[len(d)/2].Seconds() * 1000
}
