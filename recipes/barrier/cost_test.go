package barrier_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/barrier"
)

// asked is what a client has asked the servers for since the last time, but to keep its session.
func asked(r *ensembletest.Recorder, c *client.Client) (ops []string) {
	time.Sleep(time.Second)
	for _, o := range r.Operations(ensembletest.Match{Session: c.Session().ID()}) {
		if o.Op != "setData" {
			ops = append(ops, o.Op)
		}
	}
	return ops
}

// watches are what a client has a watch on.
func watches(e *ensembletest.Ensemble, c *client.Client) (paths []string) {
	for _, w := range e.Watches() {
		if w.Session == c.Session().ID() {
			paths = append(paths, w.Path)
		}
	}
	slices.Sort(paths)
	return paths
}

// What it costs is what the package says.
func TestCostOfABarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, other := e.Connect(t), e.Connect(t)
		r := e.Record()
		require.NoError(t, barrier.New(c, path).Wait(t.Context()))
		require.Equal(t, []string{"getData"}, asked(r, c))
		require.Empty(t, watches(e, c), "none is left behind")
		require.NoError(t, barrier.New(other, path).Raise(t.Context()))
		r.Reset()
		passed := make(chan error)
		go func() { passed <- barrier.New(c, path).Wait(t.Context()) }() // ends when it is lowered
		require.Equal(t, []string{"getData"}, asked(r, c))
		require.Equal(t, []string{path}, watches(e, c))
		require.NoError(t, barrier.New(other, path).Lower(t.Context()))
		require.NoError(t, <-passed)
		require.Equal(t, []string{"getData", "getData"}, asked(r, c))
		require.Empty(t, watches(e, c), "none is left behind")
	})
}

func TestCostOfADouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, 3, 3)
		left := make(chan error, 3)
		for range 2 { // the first round makes the directory
			r := p.e.Record()
			var ins []<-chan *barrier.Round
			for i, c := range p.clients {
				ins = append(ins, p.enter(t.Context(), i))
				time.Sleep(time.Second)
				if i == 2 {
					continue // all are there
				}
				ops := asked(r, c)
				require.Equal(t, []string{"create", "getChildren2"}, ops[len(ops)-2:])
				require.Equal(t, []string{path}, watches(p.e, c))
				r.Reset()
			}
			var rounds []*barrier.Round
			for _, in := range ins {
				rounds = append(rounds, <-in)
			}
			began := 0
			for i, c := range p.clients {
				ops := asked(r, c)
				if i == 2 {
					require.Equal(t, []string{"create", "getChildren2"}, ops[:2])
					ops = ops[1:]
				}
				if slices.Contains(ops, "multi") {
					require.Equal(t, []string{"getChildren2", "getData", "multi", "getChildren2", "getData", "getData"}, ops)
					began++
				} else {
					require.Equal(t, []string{"getChildren2", "getData", "getData"}, ops)
				}
				require.Len(t, watches(p.e, c), 2)
				require.Equal(t, path, watches(p.e, c)[0])
			}
			require.Positive(t, began)
			r.Reset()
			for _, round := range rounds {
				go func() { left <- round.Leave(t.Context()) }() // ends when all leave
			}
			for range rounds {
				require.NoError(t, <-left)
			}
			for _, c := range p.clients {
				require.LessOrEqual(t, len(asked(r, c)), 2+2*2+1)
			}
			r.Stop()
			require.Empty(t, p.e.Watches(), "none is left behind")
		}
	})
}
