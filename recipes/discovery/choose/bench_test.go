package choose_test

import (
	"fmt"
	"testing"

	"github.com/bellwether-zk/bellwether/recipes/discovery/choose"
)

// What it costs to pick, and to pick and be done, among so many.
func BenchmarkPick(b *testing.B) {
	for _, n := range []int{10, 1000} {
		for _, s := range []struct {
			name string
			make func() choose.Strategy
		}{
			{"RoundRobin", choose.RoundRobin}, {"Random", choose.Random}, {"Weighted", choose.Weighted}, {"TwoChoices", choose.TwoChoices},
			{"Sticky", choose.Sticky}, {"LeastOutstanding", choose.LeastOutstanding},
		} {
			all := some(n)
			for i, e := range all {
				e.Weight = i % 5
			}
			c := choose.New(listOf(all...), s.make(), nil)
			defer c.Close()
			b.Run(fmt.Sprintf("%s-%d", s.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					p, _ := c.Pick()
					_ = p
				}
				b.ReportMetric(1e3/(float64(b.Elapsed().Nanoseconds())/float64(b.N)), "M/s")
			})
			b.Run(fmt.Sprintf("%s-%d-done", s.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					p, _ := c.Pick()
					p.Done(nil)
				}
				b.ReportMetric(1e3/(float64(b.Elapsed().Nanoseconds())/float64(b.N)), "M/s")
			})
		}
		c := choose.New(listOf(some(n)...), choose.Random(), nil)
		defer c.Close()
		b.Run(fmt.Sprintf("For-%d", n), func(b *testing.B) {
			for b.Loop() {
				p, _ := c.PickFor("user-42")
				p.Done(nil)
			}
		})
	}
}
