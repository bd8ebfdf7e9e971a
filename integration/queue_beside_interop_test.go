//go:build interop

package integration

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

// BenchmarkQueueBesideCurator hands items over by our queue on our servers, and by Curator's on Apache's, three each, which sync what they write:
//
//	go test -tags interop ./integration -run '^$' -bench QueueBesideCurator -benchtime 1000x
//
// Curator's DistributedQueue with a lockPath claims an item before its consumer has it, as ours do: these two compare. Its SimpleDistributedQueue
// removes it first, as our Pop does. The producers of the DistributedQueue do not wait until an item is there, and all others do.
func BenchmarkQueueBesideCurator(b *testing.B) {
	command := javaProgram(b, "CURATOR_CP", "Bench", "queuebench/*")
	ours := process.StartEnsemble(b, process.Options{Kinds: []process.Kind{process.Bellwether}, Size: 3}).Addrs()
	apaches := process.StartEnsemble(b, process.Options{Kinds: []process.Kind{process.Apache39}, Size: 3}).Addrs()
	s := &benchmarked{connectTo(ours)}
	for _, n := range []int{0, 1, 4, 16} {
		name := fmt.Sprintf("%d_producers_%[1]d_consumers", n)
		if n == 0 {
			name = "1_session"
		}
		b.Run(name+"/ours", func(b *testing.B) {
			if n == 0 {
				s.measure(b, 1, putTakeAck)
			} else {
				s.handOver(b, n, nil, item, takeAck)
			}
		})
		if n > 0 {
			b.Run(name+"/ours_popped", func(b *testing.B) { s.handOver(b, n, &queue.Options{Order: queue.Simple}, item, pop) })
		}
		for _, kind := range []string{"locked", "simple"} {
			curator := startCuratorProgram(b, command, apaches, kind, strconv.Itoa(n))
			handOverByCurator(b, curator, 200) // its compiler is warm, more or less
			b.Run(name+"/Curators_"+kind, func(b *testing.B) {
				took := handOverByCurator(b, curator, b.N)
				b.ReportMetric(float64(b.N)/took.Seconds(), "op/s")
			})
		}
	}
}

func handOverByCurator(b *testing.B, curator *curatorContender, n int) time.Duration {
	answer, err := curator.ask(strconv.Itoa(n))
	require.NoError(b, err)
	nanos, err := strconv.ParseInt(answer, 10, 64)
	require.NoError(b, err, answer)
	return time.Duration(nanos)
}
