package partition_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/partition"
)

// What it costs is what the package says.
func TestCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c, d := e.Connect(t), e.Connect(t)
		locks := path + "/locks/p"
		join := func(c *client.Client, id string) *partition.Share {
			s, err := partition.New(c, path, []string{"p"}, &partition.Options{ID: id, Settle: -1}).Join(t.Context())
			require.NoError(t, err)
			return s
		}
		first := join(c, "first")
		time.Sleep(time.Second)
		require.NoError(t, first.Leave(t.Context())) // and there are directories
		r := e.Record()
		defer r.Stop()
		asked := func(c *client.Client) (ops []string) {
			time.Sleep(time.Second)
			for _, o := range r.Operations(ensembletest.Match{Session: c.Session().ID()}) {
				if strings.HasPrefix(o.Path, locks) {
					ops = append(ops, o.Op)
				}
			}
			r.Reset()
			return ops
		}
		watched := func(c *client.Client) (paths []string) {
			for _, w := range e.Watches() {
				if w.Session == c.Session().ID() && strings.HasPrefix(w.Path, locks) {
					paths = append(paths, w.Path)
				}
			}
			return paths
		}
		one := join(c, "anna")
		require.Equal(t, []string{"create2", "getChildren2", "getData"}, asked(c))
		part := one.Owned()[0]
		for p := range one.Parts(t.Context()) { // it is in somebody's hand, who is told before it moves
			require.Same(t, part, p)
			break
		}
		require.Equal(t, []string{part.Path()}, watched(c))

		id := ""
		for i := 0; partition.Choose("p", map[string]int{"anna": 1, id: 1}) != id; i++ { // whose the part is to be
			id = fmt.Sprint(i)
		}
		next := join(d, id)
		require.Equal(t, []string{"create2", "getChildren2", "getData", "getData"}, asked(d), "its own node, and the one ahead")
		require.ElementsMatch(t, []string{part.Path(), locks}, watched(c))
		<-part.Moving()
		require.NoError(t, part.Release(t.Context()))
		synctest.Wait()
		require.Len(t, next.Owned(), 1)
		require.Equal(t, []string{"getChildren2"}, asked(d))
		require.NoError(t, one.Leave(t.Context()))
		require.NoError(t, next.Leave(t.Context()))
	})
}
