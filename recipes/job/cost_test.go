package job_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/job"
)

// What it costs is what the package says.
func TestCost(t *testing.T) {
	for name, c := range map[string]struct {
		every time.Duration
		asks  []string
	}{
		"often":  {time.Minute, []string{"multi", "setData"}},
		"rarely": {time.Hour, []string{"multi", "multi", "setData"}}, // the first sets the clock
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				every := c.every
				e := ensembletest.Start(t, 1, nil)
				leads := start(t, e, nil, job.Every(every), quick)
				waits := start(t, e, nil, job.Every(every), quick)
				time.Sleep(every + time.Second)
				r := e.Record()
				time.Sleep(every)
				var ops []string
				for _, o := range r.Operations(ensembletest.Match{Session: leads.client.Session().ID()}) {
					if o.Op != "setData" || o.Path == path+"/last" { // else it keeps the session
						ops = append(ops, o.Op)
					}
				}
				require.Equal(t, c.asks, ops)
				require.Empty(t, r.Operations(ensembletest.Match{Session: waits.client.Session().ID()}))
				watches := map[int64]int{}
				for _, w := range e.Watches() {
					watches[w.Session]++
				}
				require.Equal(t, map[int64]int{leads.client.Session().ID(): 1, waits.client.Session().ID(): 2}, watches)
				leads.mustStop()
				waits.mustStop()
			})
		})
	}
}
