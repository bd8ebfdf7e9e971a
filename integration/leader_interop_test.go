//go:build interop

package integration

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/leader"
)

// Our Election and Curator's LeaderLatch and LeaderSelector elect one leader on one path, in both orders, and know each other's names.
func TestElectionWithCurators(t *testing.T) {
	command := javaProgram(t, "CURATOR_CP", "Candidate", "leader/*")
	inTurn(t, func(t *testing.T, k process.Kind) {
		server := startPeer(t, k)
		for kind, layout := range map[string]leader.Layout{"latch": leader.LatchLayout, "selector": leader.SelectorLayout} {
			t.Run(kind, func(t *testing.T) {
				path := "/elections/" + kind
				curator := startCuratorProgram(t, command, server.Addr, path, kind, "java")
				c := mustConnect(t, server.Addr)
				ours := func(id string, priority int) *leader.Election {
					return leader.NewElection(c, path, &leader.Options{ID: id, Layout: layout, Priority: priority})
				}
				takeTurns(t, curator, ours)
				other := startCuratorProgram(t, command, server.Addr, path, kind, "java too")
				electTogether(t, []*curatorContender{curator, other}, ours)
			})
		}
	}, process.Bellwether, process.Apache39)
}

// takeTurns lets one of Curator's and ours lead one after the other.
func takeTurns(t *testing.T, curator *curatorContender, ours func(id string, priority int) *leader.Election) {
	mustSee := func(ids ...string) {
		t.Helper()
		var got []string
		require.Eventually(t, func() bool { // Curator stands in the background
			all, err := ours("", 0).Participants(t.Context())
			require.NoError(t, err)
			got = nil
			for _, p := range all {
				got = append(got, p.ID)
			}
			return len(got) == len(ids)
		}, 10*time.Second, 10*time.Millisecond)
		require.Equal(t, ids, got)
	}
	stand := func(id string, priority int) chan *leader.Term {
		terms := make(chan *leader.Term, 1)
		go func() { // ends with the election
			term, err := ours(id, priority).Lead(t.Context())
			if err != nil {
				t.Error(err)
			}
			terms <- term
		}()
		return terms
	}

	first := <-stand("go", 0)
	curator.mustAnswer(t, "stand", "stands")
	mustSee("go", "java")
	curator.mustAnswer(t, "participants", "go* java")
	curator.mustAnswer(t, "await 300", "waits")
	later := stand("preferred", 7)
	mustSee("go", "java", "preferred")
	curator.mustAnswer(t, "participants", "go* java preferred")
	require.NoError(t, first.Resign(t.Context()))

	curator.mustAnswer(t, "await 10000", "leads")
	patience, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := ours("impatient", 0).Lead(patience)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	now, ok, err := ours("", 0).Leader(t.Context())
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "java", now.ID)
	require.Empty(t, later)
	curator.mustAnswer(t, "leave", "left")

	last := <-later
	require.Greater(t, last.Token(), now.Token)
	require.Greater(t, now.Token, first.Token())
	mustSee("preferred")
	require.NoError(t, last.Resign(t.Context()))
}

// electTogether lets processes of Java and as many candidates of ours lead in turns, and counts who leads.
func electTogether(t *testing.T, curators []*curatorContender, ours func(id string, priority int) *leader.Election) {
	const turns = 15
	errEnough := errors.New("led often enough")
	var leaders, total atomic.Int32
	enter := func() {
		if n := leaders.Add(1); n != 1 {
			t.Errorf("%d lead", n)
		}
		total.Add(1)
		leaders.Add(-1)
	}
	var all sync.WaitGroup
	for i, curator := range curators {
		all.Go(func() {
			for range turns {
				for _, step := range [][2]string{{"stand", "stands"}, {"await 30000", "leads"}} {
					if answer, err := curator.ask(step[0]); err != nil || answer != step[1] {
						t.Error(step, answer, err)
						return
					}
				}
				enter()
				if answer, err := curator.ask("leave"); err != nil || answer != "left" {
					t.Error(answer, err)
					return
				}
			}
		})
		all.Go(func() {
			led := 0
			err := ours(fmt.Sprint("go ", i), i).Run(t.Context(), func(context.Context, *leader.Term) error {
				enter()
				if led++; led == turns {
					return errEnough
				}
				return nil
			})
			if !errors.Is(err, errEnough) {
				t.Error(led, err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 2*len(curators)*turns, total.Load())
	require.Eventually(t, func() bool { // Curator leaves in the background
		rest, err := ours("", 0).Participants(t.Context())
		require.NoError(t, err)
		return len(rest) == 0
	}, 10*time.Second, 10*time.Millisecond)
}
