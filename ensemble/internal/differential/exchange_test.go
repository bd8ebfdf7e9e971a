//go:build interop

package differential

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/integration/process"
)

// TestDirectoryExchange kills a server in the middle of its work, with sessions and their ephemeral nodes alive, and has a
// server of another kind go on in its directory; then back. Whoever opens the directory must show the same tree, with all
// Stats, ACLs and owners, and must know every session by its password.
func TestDirectoryExchange(t *testing.T) {
	const gz = "snapshot.compression.method=gz"
	for _, c := range []struct {
		name          string
		first, second process.Kind
		lines         []string // of the first's zoo.cfg
	}{
		{"Apache39ToBellwether", process.Apache39, process.Bellwether, nil},
		{"Apache38ToBellwether", process.Apache38, process.Bellwether, []string{gz}},
		{"BellwetherToApache39", process.Bellwether, process.Apache39, []string{gz}},
		{"BellwetherToApache38", process.Bellwether, process.Apache38, nil},
		{"Apache39ToApache38", process.Apache39, process.Apache38, nil}, // shows what the test itself may ask for
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHeritage(t)
			h.make.PlainMultis = c.first.Is(process.Apache38) || c.second.Is(process.Apache38)
			h.open(t, c.first, c.lines...)
			h.work(t, 4000)
			if len(c.lines) > 0 {
				packed, err := filepath.Glob(filepath.Join(h.dir, "version-2", "snapshot.*.gz"))
				require.NoError(t, err)
				require.NotEmpty(t, packed, "snapshots are compressed")
			}
			h.passOn(t, c.second)
			h.work(t, 300)
			h.passOn(t, c.second) // reads what both have written
			h.work(t, 1200)
			h.passOn(t, c.first, c.lines...)
			h.work(t, 200)
			h.closeSessions(t)
		})
	}
}

// A heritage is a data directory, and the sessions in it, on its way from server to server.
type heritage struct {
	dir    string
	player *Player
	make   *Generator
	server *process.Server
}

func newHeritage(t *testing.T) *heritage {
	p := plan()
	t.Logf("seed %d", p.Seed)
	h := &heritage{dir: filepath.Join(t.TempDir(), "data"), make: NewGenerator(p.Seed, sessions), player: NewPlayer("", "", nil, sessions)}
	h.make.HardQuotas = true
	t.Cleanup(h.player.Close)
	return h
}

// open starts a server on the directory. Snapshots come often, so that there are some.
func (h *heritage) open(t *testing.T, k process.Kind, lines ...string) {
	t.Helper()
	h.server = mustStart(t, k, h.dir, append(lines, "snapCount=700")...)
	h.player.name, h.player.addr = k.Name, h.server.Addr
}

// work plays operations, and leaves every session connected.
func (h *heritage) work(t *testing.T, operations int) {
	t.Helper()
	connected := func() bool {
		for _, a := range h.make.slots {
			if !a.connected {
				return false
			}
		}
		return true
	}
	for goal := h.make.Operations() + operations; h.make.Operations() < goal || !connected(); {
		h.step(t, h.make.Next())
	}
}

func (h *heritage) step(t *testing.T, s *Step) Outcome {
	t.Helper()
	out, err := h.player.Play(t.Context(), s)
	require.NoError(t, err)
	h.make.Learn(s, &out)
	return out
}

// tree is what the user super sees, through a connection that adds nothing to what it looks at.
func (h *heritage) tree(t *testing.T) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn := h.player.slots[0].conn
	m, err := conn.Auth(ctx, "digest", []byte(superUser))
	require.NoError(t, err)
	require.NoError(t, m.Err())
	lines, err := walk(ctx, conn, h.player.render)
	require.NoError(t, err)
	for i, line := range lines {
		// How much of a quota is used is no part of the data: who opens a directory counts anew, and counts what an inner
		// quota was charged with to the outer one too.
		if path, _, _ := strings.Cut(line, " | "); strings.HasSuffix(path, "/"+znode.QuotaStats+`"`) {
			lines[i] = path
		}
	}
	return lines
}

// passOn kills the server, opens the directory with another, re-attaches all sessions and requires an unchanged tree.
func (h *heritage) passOn(t *testing.T, k process.Kind, lines ...string) {
	t.Helper()
	want, from := h.tree(t), h.server.Kind
	h.server.Kill()
	h.player.Close()
	for i := range h.make.slots {
		h.make.slots[i].connected = false
	}
	h.open(t, k, lines...)
	for range h.make.slots {
		s := h.make.Next()
		require.Equal(t, Reattach, s.Link)
		out := h.step(t, s)
		require.Contains(t, out.Lines[s.Slot][0], "same=true", "%s knows the sessions of %s", k.Name, from.Name)
	}
	have := h.tree(t)
	require.Empty(t, Compare(Outcome{Lines: [][]string{want}}, Outcome{Lines: [][]string{have}}), "the tree %s left, as %s shows it", from.Name, k.Name)
	t.Logf("%s opens what %s left: %d nodes, %d of sessions", k.Name, from.Name, len(have), ephemerals(have))
	require.Greater(t, ephemerals(have), 0, "there was something to hand over")
}

// closeSessions shows that the last server knows which nodes belong to whom.
func (h *heritage) closeSessions(t *testing.T) {
	t.Helper()
	for i := 1; i < sessions; i++ {
		h.step(t, &Step{Slot: i, Calls: []Call{{Op: wire.OpCloseSession}}})
	}
	for _, line := range h.tree(t) {
		if at := strings.Index(line, "owner=S"); at >= 0 {
			require.True(t, strings.HasPrefix(line[at:], "owner=S0."), line)
		}
	}
}

func ephemerals(tree []string) int {
	n := 0
	for _, line := range tree {
		if strings.Contains(line, "owner=S") {
			n++
		}
	}
	return n
}
