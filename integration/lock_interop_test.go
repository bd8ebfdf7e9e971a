//go:build interop

package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/lock"
)

// curatorContender is a process of Java that contends with Curator, for a lock or a lead, as it is told line by line.
type curatorContender struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

// startCuratorContender starts one that contends for a lock: InterProcessMutex, unless the kind says otherwise.
func startCuratorContender(t *testing.T, command []string, server, path string, kind ...string) *curatorContender {
	t.Helper()
	return startCuratorProgram(t, command, slices.Concat([]string{server, path}, kind)...)
}

func startCuratorProgram(t testing.TB, command []string, args ...string) *curatorContender {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], slices.Concat(command[1:], args)...)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := &curatorContender{in: in, out: bufio.NewScanner(out)}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	require.True(t, c.out.Scan(), "the process ended: %v", c.out.Err())
	require.Equal(t, "ready", c.out.Text())
	return c
}

// ask sends one line and returns the answer.
func (c *curatorContender) ask(line string) (string, error) {
	if _, err := fmt.Fprintln(c.in, line); err != nil {
		return "", err
	}
	if !c.out.Scan() {
		return "", errors.Join(io.ErrUnexpectedEOF, c.out.Err())
	}
	return c.out.Text(), nil
}

func (c *curatorContender) mustAnswer(t *testing.T, line, want string) {
	t.Helper()
	got, err := c.ask(line)
	require.NoError(t, err)
	require.Equal(t, want, got, line)
}

// Our Mutex and Curator's InterProcessMutex exclude each other on one path, both ways, on every server.
func TestMutexExcludesCurators(t *testing.T) {
	command := javaProgram(t, "CURATOR_CP", "Contender", "lock/*")
	inTurn(t, func(t *testing.T, k process.Kind) {
		server := startPeer(t, k)
		const path = "/locks/shared"
		curator := startCuratorContender(t, command, server.Addr, path)
		c := mustConnect(t, server.Addr)
		m := lock.NewMutex(c, path, nil)

		ours, err := m.Lock(t.Context())
		require.NoError(t, err)
		curator.mustAnswer(t, "acquire 300", "busy")
		require.NoError(t, ours.Release(t.Context()))
		curator.mustAnswer(t, "acquire 10000", "held")
		_, err = m.TryLock(t.Context())
		require.ErrorIs(t, err, lock.ErrHeld)
		patience, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err = m.Lock(patience)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		line, err := m.Line(t.Context())
		require.NoError(t, err)
		require.Len(t, line, 1, "Curator's holder, and no trace of ours")

		later := make(chan *lock.Hold, 1)
		go func() { // ends with the lock
			h, err := m.Lock(t.Context())
			if err != nil {
				t.Error(err)
			}
			later <- h
		}()
		curator.mustAnswer(t, "release", "released")
		ours = <-later
		require.NotNil(t, ours)
		require.NoError(t, ours.Release(t.Context()))

		contendTogether(t, server.Addr, path, nil, command, command)
	}, process.Bellwether, process.Apache39, process.Apache38)
	server := startPeer(t, process.Bellwether).Addr
	t.Run("revoked", func(t *testing.T) { revokeBothWays(t, command, server) })
	t.Run("and kazoo's", func(t *testing.T) { shareThreeLanguages(t, command, server) })
}

// A holder of ours is asked by Curator's Revoker to let go, and Curator's holder by our Revoke.
func revokeBothWays(t *testing.T, command []string, server string) {
	const path = "/locks/revocable"
	curator := startCuratorContender(t, command, server, path, "revocable")
	c := mustConnect(t, server)
	m := lock.NewMutex(c, path, nil)

	ours, err := m.Lock(t.Context())
	require.NoError(t, err)
	curator.mustAnswer(t, "revoke "+ours.Path(), "sent")
	<-ours.Revoked()
	require.NoError(t, ours.Refuse(t.Context()))
	curator.mustAnswer(t, "revoke "+ours.Path(), "sent")
	<-ours.Revoked()
	require.NoError(t, ours.Release(t.Context()))

	curator.mustAnswer(t, "acquire 10000", "held")
	curator.mustAnswer(t, "asked 0", "not asked")
	state, err := m.Inspect(t.Context())
	require.NoError(t, err)
	require.Len(t, state.Holders, 1)
	require.Empty(t, state.Holders[0].Data, "Curator's revocable nodes are empty")
	told := make(chan error, 1)
	go func() { told <- lock.Revoke(t.Context(), c, state.Holders[0].Path) }() // ends with the answer
	curator.mustAnswer(t, "asked 10000", "asked")
	curator.mustAnswer(t, "release", "released")
	require.NoError(t, <-told)
}

// contendTogether lets other processes and clients of ours take turns, two of ours, and counts who is inside.
func contendTogether(t *testing.T, server, path string, opts *lock.Options, commands ...[]string) {
	const turns = 40
	var inside, total atomic.Int32
	enter := func() {
		if n := inside.Add(1); n != 1 {
			t.Errorf("%d hold the lock", n)
		}
		total.Add(1)
		inside.Add(-1)
	}
	var all sync.WaitGroup
	for _, command := range commands {
		other := startCuratorContender(t, command, server, path)
		all.Go(func() {
			for range turns {
				answer, err := other.ask("acquire 30000")
				if err != nil || answer != "held" {
					t.Error(answer, err)
					return
				}
				enter()
				if answer, err := other.ask("release"); err != nil || answer != "released" {
					t.Error(answer, err)
					return
				}
			}
		})
	}
	for range 2 {
		m := lock.NewMutex(mustConnect(t, server), path, opts)
		all.Go(func() {
			for range turns {
				h, err := m.Lock(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				enter()
				if err := h.Release(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	require.EqualValues(t, (2+len(commands))*turns, total.Load())
}

func mustConnect(t *testing.T, server string) *bwclient.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := bwclient.Connect(ctx, server, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}
