//go:build interop

package integration

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/group"
)

// Our members and Curator's GroupMembers are one group: both see both, their payloads and their changes.
func TestGroupWithCurators(t *testing.T) {
	command := javaProgram(t, "CURATOR_CP", "Member", "group/*")
	for _, k := range []process.Kind{process.Apache39, process.Bellwether} {
		t.Run(k.Name, func(t *testing.T) {
			server := startPeer(t, k)
			const path = "/search/members"
			curator := startCuratorProgram(t, command, server.Addr, path, "java", "10.0.0.8:80")
			g := group.New(mustConnect(t, server.Addr), path, nil)
			all, err := g.Observe(t.Context())
			require.NoError(t, err)
			defer all.Close()
			mustSee := groupWatcher(t, curator, all)

			ours, err := g.Join(t.Context(), "go", []byte("10.0.0.7:80"))
			require.NoError(t, err)
			curator.mustAnswer(t, "join", "joined")
			mustSee("go=10.0.0.7:80 java=10.0.0.8:80")
			require.NoError(t, ours.Set(t.Context(), []byte("10.0.0.7:81")))
			curator.mustAnswer(t, "set 10.0.0.8:81", "set")
			mustSee("go=10.0.0.7:81 java=10.0.0.8:81")

			// Curator's member keeps its id, and its payload.
			patience, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err = g.Join(patience, "java", []byte("not Curator's"))
			require.ErrorIs(t, err, group.ErrTaken)
			require.NoError(t, ours.Leave(t.Context()))
			mustSee("java=10.0.0.8:81")

			curator.mustAnswer(t, "leave", "left")
			require.Eventually(t, func() bool { return len(all.Members()) == 0 }, 10*time.Second, 10*time.Millisecond)
			taken, err := g.Join(t.Context(), "java", []byte("its heir"))
			require.NoError(t, err)
			require.NoError(t, taken.Leave(t.Context()))
		})
	}
}

// groupWatcher returns what waits until Curator and we see the same members.
func groupWatcher(t *testing.T, curator *curatorContender, all *group.View) func(want string) {
	return func(want string) {
		t.Helper()
		mustEventually(t, 10*time.Second, func(context.Context) error {
			var ours []string
			for _, m := range all.Members() {
				ours = append(ours, fmt.Sprintf("%s=%s", m.ID, m.Payload))
			}
			theirs, err := curator.ask("members")
			if err != nil {
				return err
			}
			if got := strings.Join(ours, " "); got != want || theirs != want {
				return fmt.Errorf("we see %q, Curator %q, and not %q", got, theirs, want)
			}
			return nil
		})
	}
}

// Our members and kazoo's are one party, in either of its layouts.
func TestPartyWithKazoo(t *testing.T) {
	command := []string{process.MustEnv(t, "KAZOO_PYTHON"), filepath.Join("testdata", "group", "party.py")}
	server := startPeer(t, process.Bellwether)
	for kind, layout := range map[string]group.Layout{"Party": group.PartyLayout, "ShallowParty": group.ShallowPartyLayout} {
		t.Run(kind, func(t *testing.T) {
			path := "/parties/" + kind
			kazoo := startCuratorProgram(t, command, server.Addr, path, kind, "python-1")
			g := group.New(mustConnect(t, server.Addr), path, &group.Options{Layout: layout})
			mustSee := func(ids ...string) {
				t.Helper()
				kazoo.mustAnswer(t, "members", strings.Join(ids, " "))
				all, err := g.Inspect(t.Context())
				require.NoError(t, err)
				got := []string{}
				for _, m := range all {
					got = append(got, m.ID)
				}
				slices.Sort(got)
				require.ElementsMatch(t, ids, got)
			}
			mustSee()
			ours, err := g.Join(t.Context(), "go-1", nil)
			require.NoError(t, err)
			kazoo.mustAnswer(t, "join", "joined")
			mustSee("go-1", "python-1")
			require.NoError(t, ours.Leave(t.Context()))
			mustSee("python-1")
			kazoo.mustAnswer(t, "leave", "left")
			mustSee()
		})
	}
}
