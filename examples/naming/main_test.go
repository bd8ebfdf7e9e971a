package main

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/examples/internal/stage/stagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStory(t *testing.T) {
	require.Equal(t, `ids: three shops numbered 750 orders, with 750 different numbers
names: anna@example.com is kestrel
names: ben@example.com cannot be kestrel, and is kestrel-2
names: carla@example.com is heron
names: anna@example.com is kestrel
numbers: a shop has till 0
numbers: a shop has till 1
numbers: a shop has till 2
numbers: one has closed, another one opens, and has till 1
`, stagetest.Perform(t, run))
}

// Who loses the answer to a create has what it made, and nothing else.
func TestLostAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		require.NoError(t, Register(t.Context(), c, "/names/first", "anna")) // and the parents are there

		lost := e.Proxy(c).Lose(proxy.Reply(proxy.OpCreate, "/names/kestrel"))
		require.NoError(t, Register(t.Context(), c, "/names/kestrel", "anna"))
		require.Equal(t, 1, lost.Strikes())
		require.ErrorIs(t, Register(t.Context(), c, "/names/kestrel", "ben"), errTaken)

		_, err := Borrow(t.Context(), c.Session(), "/tills", 9)
		require.NoError(t, err)
		lost = e.Proxy(c).Lose(proxy.Reply(proxy.OpCreate, "/tills/001"))
		n, err := Borrow(t.Context(), c.Session(), "/tills", 9)
		require.NoError(t, err)
		require.Equal(t, 1, lost.Strikes())
		require.Equal(t, 1, n)
		tills, _, err := c.Children(t.Context(), "/tills")
		require.NoError(t, err)
		require.Len(t, tills, 2)
	})
}
