//go:build interop

package integration

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/barrier"
	"github.com/bellwether-zk/bellwether/recipes/node"
)

// A guest is one who meets others: it comes to a path, and goes again, and waits each time until all have.
type guest struct {
	name        string
	enter       func(path string) error
	leave       func() error
	enters, out chan error
}

func (g *guest) comes(path string) {
	g.enters = make(chan error, 1)
	go func() { g.enters <- g.enter(path) }() // ends when all have come, or gives up
}

func (g *guest) goes() {
	g.out = make(chan error, 1)
	go func() { g.out <- g.leave() }() // ends when all have gone, or gives up
}

func goGuest(t *testing.T, server string, size int) *guest {
	c := mustConnect(t, server)
	var round *barrier.Round
	bounded := func() (context.Context, context.CancelFunc) { return context.WithTimeout(t.Context(), 20*time.Second) }
	return &guest{
		name: "Go",
		enter: func(path string) (err error) {
			ctx, cancel := bounded()
			defer cancel()
			round, err = barrier.NewDouble(c, path, size, nil).Enter(ctx)
			if err == nil && round.Members() != size {
				err = fmt.Errorf("a round of %d", round.Members())
			}
			return err
		},
		leave: func() error {
			ctx, cancel := bounded()
			defer cancel()
			return round.Leave(ctx)
		},
	}
}

func foreignGuest(t *testing.T, name string, command []string, server string, size int) *guest {
	p := startCuratorProgram(t, command, server, fmt.Sprint(size))
	expect := func(line, want string) error {
		answer, err := p.ask(line)
		if err == nil && answer != want {
			err = fmt.Errorf("%s: %s", line, answer)
		}
		return err
	}
	return &guest{
		name:  name,
		enter: func(path string) error { return expect("enter "+path, "in") },
		leave: func() error { return expect("leave", "left") },
	}
}

// meet lets all meet once, in the order in which they are given: nobody goes on before all have come, nor leaves before all go.
func meet(t *testing.T, path string, guests ...*guest) {
	t.Helper()
	early := func(of func(*guest) chan error, who []*guest) {
		t.Helper()
		if len(who) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond) // long enough for one who does not wait to be noticed, most often
		for _, g := range who {
			require.Empty(t, of(g), "%s does not wait", g.name)
		}
	}
	enters, out := func(g *guest) chan error { return g.enters }, func(g *guest) chan error { return g.out }
	for i, g := range guests {
		early(enters, guests[:i])
		g.comes(path)
	}
	for _, g := range guests {
		require.NoError(t, <-g.enters, g.name)
	}
	for i, g := range guests {
		early(out, guests[:i])
		g.goes()
	}
	for _, g := range guests {
		require.NoError(t, <-g.out, g.name)
	}
}

// Ours, Curator's and kazoo's double barriers are one on one path, whoever comes and goes first and last; and so are the barriers, and
// nodes with a time to live.
func TestBarrierWithOthers(t *testing.T) {
	java := javaProgram(t, "CURATOR_CP", "Meet", "barrier/*")
	python := []string{process.MustEnv(t, "KAZOO_PYTHON"), "testdata/barrier/meet.py"}
	inTurn(t, func(t *testing.T, k process.Kind) {
		addr := startPeer(t, k).Addr
		curator := foreignGuest(t, "Java", java, addr, 3)
		kazoo, ours, other := foreignGuest(t, "Python", python, addr, 3), goGuest(t, addr, 3), goGuest(t, addr, 3)
		for i, guests := range [][]*guest{{curator, ours, other}, {ours, curator, other}, {other, ours, curator}} {
			meet(t, "/meetings/curator", guests...) // again and again at one place
			slices.Reverse(guests)
			meet(t, "/meetings/curator", guests...)
			meet(t, fmt.Sprintf("/meetings/both-%d", i), append(guests[1:], kazoo)...)
			meet(t, fmt.Sprintf("/meetings/and-%d", i), kazoo, guests[0], guests[2])
		}
		c := mustConnect(t, addr)
		for _, path := range []string{"/meetings/curator", "/meetings/both-0", "/meetings/and-2"} {
			names, _, err := c.Children(t.Context(), path)
			require.NoError(t, err)
			require.Empty(t, names, path)
		}
		shareBarrier(t, startCuratorProgram(t, java, addr, "0"), c)
		shareTTLNode(t, startCuratorProgram(t, java, addr, "0"), c)
	}, process.Bellwether, process.Apache39)
}

func shareBarrier(t *testing.T, curator *curatorContender, c *bwclient.Client) {
	gate := barrier.New(c, "/gates/one")
	require.NoError(t, gate.Raise(t.Context()))
	curator.mustAnswer(t, "wait /gates/one 200", "raised")
	require.NoError(t, gate.Lower(t.Context()))
	curator.mustAnswer(t, "wait /gates/one 10000", "done")
	curator.mustAnswer(t, "raise /gates/one", "done")
	passed := make(chan error, 1)
	go func() { passed <- gate.Wait(t.Context()) }() // ends when it is lowered
	require.Eventually(t, func() bool { raised, err := gate.Raised(t.Context()); return err == nil && raised }, 10*time.Second, 10*time.Millisecond)
	require.Empty(t, passed)
	curator.mustAnswer(t, "lower /gates/one", "done")
	require.NoError(t, <-passed)
}

// shareTTLNode has one node kept by Curator's PersistentTtlNode and by ours, whoever comes first, and sees both touch it.
func shareTTLNode(t *testing.T, curator *curatorContender, c *bwclient.Client) {
	const ttl = 3 * time.Second
	ours := func(path, data string) *node.Node {
		n, err := node.Keep(t.Context(), c, path, []byte(data), &node.Options{TTL: ttl})
		require.NoError(t, err)
		return n
	}
	touched := func(path string, times int32) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var first int32
		for state, err := range c.WatchNode(ctx, path+"/touch") {
			require.NoError(t, err)
			if !state.Exists {
				continue
			}
			if first == 0 {
				first = state.Stat.Version + 1
			}
			if state.Stat.Version+1-first >= times {
				break
			}
		}
		names, _, err := c.Children(t.Context(), path)
		require.NoError(t, err)
		require.Equal(t, []string{"touch"}, names)
	}
	curator.mustAnswer(t, "keep /ttl/java 3000 data", "kept")
	touched("/ttl/java", 1)
	before, _, err := c.Exists(t.Context(), "/ttl/java")
	require.NoError(t, err)
	n := ours("/ttl/java", "data")
	touched("/ttl/java", 2)
	after, _, err := c.Exists(t.Context(), "/ttl/java")
	require.NoError(t, err)
	require.Equal(t, before.Czxid, after.Czxid, "it is shared")
	require.Equal(t, before.Mzxid, after.Mzxid, "nothing had to be written")
	require.True(t, n.Status().Present)

	first := ours("/ttl/go", "data").Status().Czxid
	curator.mustAnswer(t, "keep /ttl/go 3000 data", "kept")
	touched("/ttl/go", 3)
	after, _, err = c.Exists(t.Context(), "/ttl/go")
	require.NoError(t, err)
	require.Equal(t, first, after.Czxid)
}
