package group_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/group"
)

// What the package comment says of requests and watches.
func TestCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		admin, c, observer := e.Connect(t), e.Connect(t), e.Connect(t)
		defer mustJoin(t, admin, "first", "").Leave(t.Context()) // so that there is a directory
		time.Sleep(time.Second)
		r := e.Record()
		defer r.Stop()
		asked := func(session int64) (ops []string) {
			time.Sleep(time.Second)
			for _, o := range r.Operations(ensembletest.Match{Session: session}) {
				ops = append(ops, o.Op)
			}
			r.Reset()
			return ops
		}
		watches := func(session int64) (n int) {
			for _, w := range e.Watches() {
				if w.Session == session {
					n++
				}
			}
			return n
		}
		mine, theirs := c.Session().ID(), observer.Session().ID()
		anna := mustJoin(t, c, "anna", "one")
		require.Contains(t, [][]string{
			{"create", "getData"},
			{"getData", "create", "getData"}, // the read has overtaken the create that it was sent behind, and is repeated
		}, asked(mine))
		require.Equal(t, 1, watches(mine))
		v, err := group.New(observer, path, nil).Observe(t.Context())
		require.NoError(t, err)
		defer v.Close()
		require.Len(t, asked(theirs), 2+2, "the directory, its children, and each of them")
		require.Equal(t, 2+2, watches(theirs))
		require.NoError(t, anna.Set(t.Context(), []byte("two")))
		require.Equal(t, []string{"getData", "setData", "getData"}, asked(mine))
		require.NoError(t, anna.Set(t.Context(), []byte("three")))
		require.Equal(t, []string{"getData"}, asked(theirs))
		require.NoError(t, anna.Leave(t.Context()))
		require.Equal(t, []string{"sync", "exists", "delete"}, asked(mine))
	})
}
