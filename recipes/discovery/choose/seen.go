package choose

import (
	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// show has the chooser seen by what the client of its source was given, if it was.
func (c *Chooser[T]) show(source Source[T]) {
	if s, ok := source.(interface {
		Name() string
		Client() *client.Client
	}); ok {
		c.kit, c.name = telemetry.Of(s.Client()), s.Name()
	}
	c.unseen = c.kit.Observe(c.tell)
}

func (c *Chooser[T]) count(m telemetry.Metric, failure string) {
	c.kit.CountOf(m, telemetry.Labels{Service: c.name, Failure: failure})
}

// tell tells what was chosen and who can be, for those who collect that.
func (c *Chooser[T]) tell(tell func(telemetry.Reading, telemetry.Labels, float64)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	picked, outstanding, out := c.gone, int64(0), 0
	for _, s := range c.slots {
		picked += s.picked.Load()
		outstanding += s.outstanding()
		if m := s.mode.Load(); m == ejected || m == halfOpen {
			out++
		}
	}
	of := telemetry.Labels{Service: c.name}
	tell(telemetry.DiscoveryCandidates, of, float64(len(c.now.Load().slots)))
	tell(telemetry.DiscoveryEjected, of, float64(out))
	tell(telemetry.DiscoveryOutstanding, of, float64(outstanding))
	tell(telemetry.DiscoveryPicks, of, float64(picked))
	of.Failure = "none"
	tell(telemetry.DiscoveryPicks, of, float64(c.none.Load()))
}
