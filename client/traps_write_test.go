package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

func lostCreate(t *testing.T, s *stage, c contender) string {
	s.make(t, "/d", "")
	s.lose(proxy.OpCreate, "")
	return create(t, s, c, "/d", client.PersistentSequential)
}

func lostSearch(t *testing.T, s *stage, c contender) string {
	s.make(t, "/d", "")
	s.lose(proxy.OpCreate, "")
	s.lose(proxy.OpGetChildren, "")
	return create(t, s, c, "/d", client.EphemeralSequential)
}

func lostInRoot(t *testing.T, s *stage, c contender) string {
	s.lose(proxy.OpCreate, "")
	return create(t, s, c, "/", client.EphemeralSequential)
}

func shortSibling(t *testing.T, s *stage, c contender) (outcome string) {
	s.make(t, "/d", "")
	s.make(t, "/d/_c_x", "")
	defer func() {
		if recover() != nil {
			outcome = "panic"
		}
	}()
	s.lose(proxy.OpCreate, "")
	return create(t, s, c, "/d", client.EphemeralSequential)
}

// create makes one node, in the way that is meant to make one, and tells how many have come about.
func create(t *testing.T, s *stage, c contender, dir string, mode client.Mode) string {
	before := s.nodes(dir)
	made, err := c.createOnce(t.Context(), strings.TrimSuffix(dir, "/")+"/n-", mode)
	nodes := slices.DeleteFunc(s.nodes(dir), func(path string) bool { return slices.Contains(before, path) })
	switch {
	case err != nil:
		return fmt.Sprintf("%d node, and an error", len(nodes))
	case len(nodes) == 1 && nodes[0] == made:
		return "1 node, the one returned"
	}
	return fmt.Sprintf("%d nodes", len(nodes))
}

// The caller gives up while the request is still on its way, and does not ask again.
func givenUp(t *testing.T, s *stage, c contender) string {
	s.make(t, "/d", "")
	f := s.way.Freeze(proxy.Request(proxy.OpCreate, ""))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	result := make(chan error, 1)
	go func() { // ends with the create
		_, err := c.createOnce(ctx, "/d/n-", client.EphemeralSequential)
		result <- err
	}()
	<-ctx.Done()
	synctest.Wait()
	f.End()
	time.Sleep(time.Minute)
	require.False(t, c.told())
	if nodes := s.nodes("/d"); len(nodes) > 0 {
		return fmt.Sprintf("%d node of which nobody knows", len(nodes))
	}
	require.ErrorIs(t, <-result, context.DeadlineExceeded)
	return "no node"
}

// One write is done and its reply lost, another is never sent.
func doneOrNot(t *testing.T, s *stage, c contender) string {
	s.make(t, "/n", "")
	s.lose(proxy.OpSetData, "")
	done := c.set(t.Context(), "/n", []byte("done"))
	require.Error(t, done)
	node, _ := s.Leader().Node("/n")
	require.Equal(t, "done", string(node.Data))
	c.end()
	notSent := c.set(t.Context(), "/n", []byte("not sent"))
	node, _ = s.Leader().Node("/n")
	require.Equal(t, "done", string(node.Data))
	switch {
	case errors.Is(done, client.ErrUnknown) && errors.Is(notSent, client.ErrClosed) && !errors.Is(notSent, client.ErrUnknown):
		return "the error tells that it was not sent, or may be done"
	case done == notSent && errors.Is(done, zk.ErrConnectionClosed):
		return "the error is the same whether it was done or not sent"
	}
	return fmt.Sprint(done, notSent)
}

func lostMulti(t *testing.T, s *stage, c contender) string {
	s.make(t, "/marks", "")
	s.lose(proxy.OpMulti, "")
	err := c.createAll(t.Context(), "/a", "/b")
	require.Subset(t, s.nodes("/"), []string{"/a", "/b"})
	return doneAnd(err)
}

func lostIncrement(t *testing.T, s *stage, c contender) string {
	s.make(t, "/marks", "")
	s.make(t, "/n", "6")
	s.lose(proxy.OpSetData, "/n")
	require.NoError(t, c.increment(t.Context(), "/n"))
	synctest.Wait()
	node, _ := s.Leader().Node("/n")
	switch string(node.Data) {
	case "7":
		return "counted once"
	case "8":
		return "counted twice"
	}
	return string(node.Data)
}

func lostDelete(t *testing.T, s *stage, c contender) string {
	s.make(t, "/marks", "")
	s.make(t, "/n", "")
	s.lose(proxy.OpDelete, "/n")
	err := c.remove(t.Context(), "/n")
	require.NotContains(t, s.nodes("/"), "/n")
	return doneAnd(err)
}

func doneAnd(err error) string {
	if err != nil {
		return "done, and reported as failed: " + err.Error()
	}
	return "done, and reported as done"
}

// A container has lost its last child, and is removed between the look at it and the create in it.
func sweptParent(t *testing.T, s *stage, c contender) string {
	mustCreate(t, s.witness, "/d/first", &client.CreateOptions{Parents: client.ContainerParents})
	require.NoError(t, s.witness.Delete(t.Context(), "/d/first", client.AnyVersion))
	f := s.way.Freeze(proxy.Request(proxy.OpCreate, "/d/*"))
	failed := make(chan error)
	go func() { failed <- c.createBelow(t.Context(), "/d", "next") }() // ends with the create
	<-f.Struck()
	n, err := s.Sweep(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	f.End()
	if err := <-failed; err != nil {
		return "fails: " + err.Error()
	}
	require.Equal(t, []string{"/d/next"}, s.nodes("/d"))
	return "made"
}

func switchedOff(t *testing.T, _ *stage, c contender) string {
	_, err := c.create(t.Context(), "/n", client.PersistentTTL)
	require.Error(t, err)
	return c.kind(err)
}

func tooLarge(t *testing.T, s *stage, c contender) string {
	s.make(t, "/n", "")
	err := c.set(t.Context(), "/n", make([]byte, 1200<<10))
	require.Error(t, err)
	time.Sleep(5 * time.Second)
	if dialled, _ := s.connections(); len(dialled) > 1 {
		return "the connection breaks, for all"
	}
	require.ErrorIs(t, err, client.ErrTooLarge)
	return "refused before it is sent"
}

// The server has more than the client takes.
func largeAnswer(t *testing.T, s *stage, c contender) string {
	for i := range 50 {
		s.make(t, fmt.Sprintf("/%030000d", i), "") // 1.5 MB of names
	}
	s.make(t, "/d", "")
	before, _ := s.connections()
	err := c.list(t.Context(), "/")
	require.Error(t, err)
	time.Sleep(5 * time.Second)
	if after, _ := s.connections(); len(after) > len(before) {
		return "the connection breaks, for all"
	}
	require.ErrorIs(t, err, client.ErrTooLarge)
	require.NotErrorIs(t, err, client.ErrUnknown)
	require.NoError(t, c.list(t.Context(), "/d"))
	return "refused, and the others get their answers"
}
