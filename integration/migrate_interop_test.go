//go:build interop

package integration

import (
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/migrate"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/integration/process"
)

var migrateRounds = flag.Int("migrate.rounds", 8, "how often Curator's runners of migrations and ours race")

// Where Curator's MigrationManager in testdata/migrate locks and records.
const (
	migrationLocks = "/locks"
	migrationMeta  = "/meta"
)

// A migrated is a migration as Curator is told of it, and as ours is.
type migrated struct {
	told string
	ops  []bwclient.Op
}

func (m *migrated) add(told string, op bwclient.Op) {
	if m.told != "" {
		m.told += ";"
	}
	m.told, m.ops = m.told+told, append(m.ops, op)
}

func (m *migrated) create(path string, data []byte, mode bwclient.Mode, acl ...bwclient.ACL) {
	entries := make([]string, len(acl))
	for i, a := range acl {
		entries[i] = fmt.Sprintf("%d:%x:%x", a.Perms, a.Scheme, a.ID)
	}
	m.add(fmt.Sprintf("create,%x,%d,%x,%s", path, mode, data, strings.Join(entries, "+")),
		bwclient.CreateOp(path, data, &bwclient.CreateOptions{Mode: mode, ACL: acl}))
}

func (m *migrated) set(path string, data []byte, version int32) {
	m.add(fmt.Sprintf("set,%x,%d,%x", path, version, data), bwclient.SetOp(path, data, version))
}

func (m *migrated) delete(path string, version int32) {
	m.add(fmt.Sprintf("delete,%x,%d", path, version), bwclient.DeleteOp(path, version))
}

func (m *migrated) check(path string, version int32) {
	m.add(fmt.Sprintf("check,%x,%d", path, version), bwclient.CheckOp(path, version))
}

// toldOf is a list of migrations as Curator is told of it.
func toldOf(all []migrated) string {
	told := make([]string, len(all))
	for i, m := range all {
		told[i] = m.told
	}
	return strings.Join(told, "|")
}

func setOf(id string, all []migrated) migrate.Set {
	set := migrate.Set{ID: id}
	for i, m := range all {
		set.Migrations = append(set.Migrations, migrate.Migration{Name: fmt.Sprint("m", i), Func: func() []bwclient.Op { return m.ops }})
	}
	return set
}

// numbered are n migrations that show it when they are done twice, by a node more below /<id>.
func numbered(id string, n int) []migrated {
	all := make([]migrated, n)
	for i := range all {
		if i == 0 {
			all[i].create("/"+id, []byte{}, bwclient.Persistent)
		}
		all[i].create("/"+id+"/done-", []byte{byte(i)}, bwclient.PersistentSequential)
		all[i].set("/"+id, []byte{byte(i)}, int32(i))
	}
	return all
}

// random are n migrations of everything that can be said, to be hashed and not to be done.
func random(r *rand.Rand, n int) []migrated {
	text := func(letters string, most int) string {
		var b strings.Builder
		for range 1 + r.IntN(most) {
			b.WriteRune([]rune(letters)[r.IntN(len([]rune(letters)))])
		}
		return b.String()
	}
	data := func() []byte {
		b := make([]byte, r.IntN(2)*r.IntN(40))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	all := make([]migrated, n)
	for i := range all {
		for range r.IntN(4) {
			path := "/" + text("ab,}%{'#é漢 -", 9) + "/" + text("ab,}%{'#é漢 -", 9)
			switch version := int32(r.Uint32()) >> r.IntN(32); r.IntN(5) {
			case 0:
				all[i].set(path, data(), version)
			case 1:
				all[i].delete(path, version)
			case 2:
				all[i].check(path, version)
			default:
				var acl []bwclient.ACL
				for range r.IntN(3) {
					acl = append(acl, bwclient.ACL{Perms: bwclient.Perm(r.IntN(32)), Scheme: text("ab,}%", 4), ID: text("ab:,}%\r\n\x00é漢😀", 9)})
				}
				all[i].create(path, data(), bwclient.Mode(r.IntN(4)), acl...)
			}
		}
	}
	return all
}

// migrations are Curator's runner and ours on one server.
type migrations struct {
	command []string
	addr    string
	curator *curatorContender
	c       *bwclient.Client
}

// Curator's migrations and ours are the same, and do not get into each other's way.
func TestMigrationsAreCurators(t *testing.T) {
	command := slices.Insert(javaProgram(t, "CURATOR_CP", "Migrator", "migrate/*"), 1, "-Dfile.encoding=UTF-8")
	onEnsembles(t, func(t *testing.T, k process.Kind) {
		server := startPeer(t, k)
		m := &migrations{command, server.Addr, startCuratorContender(t, command, server.Addr, ""), mustConnect(t, server.Addr)}
		t.Run("hash", m.hash)
		t.Run("recognise", m.recognise)
		t.Run("mismatch", m.mismatch)
		t.Run("namespace", m.namespace)
		t.Run("wait", m.wait)
		t.Run("lose", m.lose)
		t.Run("race", m.race)
	})
}

func (m *migrations) mustApply(t *testing.T, id string, all []migrated, opts *migrate.Options) int {
	t.Helper()
	applied, err := migrate.Apply(t.Context(), m.c, migrationMeta, setOf(id, all), opts)
	require.NoError(t, err)
	return len(applied)
}

func (m *migrations) mustHaveDone(t *testing.T, id string, n int) {
	t.Helper()
	for dir, prefix := range map[string]string{"/" + id: "done-", migrationMeta + "/" + id: "meta-"} {
		require.NoError(t, m.c.Sync(t.Context(), dir))
		names, _, err := m.c.Children(t.Context(), dir)
		require.NoError(t, err)
		slices.Sort(names)
		require.Len(t, names, n, dir)
		for i, name := range names {
			require.Equal(t, fmt.Sprintf("%s%010d", prefix, i), name)
		}
	}
	_, there, err := m.c.Exists(t.Context(), migrationLocks+"/"+id+"/leases")
	require.NoError(t, err)
	if there {
		names, _, err := m.c.Children(t.Context(), migrationLocks+"/"+id+"/leases")
		require.NoError(t, err)
		require.Empty(t, names, "somebody still has the lock")
	}
}

// hash compares what both have for migrations of all kinds: Curator's, put where ours finds what was applied.
func (m *migrations) hash(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	all := random(rand.New(rand.NewPCG(seed, 0)), 300)
	answer, err := m.curator.ask("digest " + toldOf(all))
	require.NoError(t, err)
	digests := strings.Fields(answer)
	require.Len(t, digests, len(all))
	var ops []bwclient.Op
	for i, digest := range digests {
		b, err := hex.DecodeString(digest)
		require.NoError(t, err)
		ops = append(ops, bwclient.CreateOp(fmt.Sprintf("%s/hash/meta-%010d", migrationMeta, i), b, nil))
	}
	_, err = m.c.Create(t.Context(), migrationMeta+"/hash", nil, &bwclient.CreateOptions{Parents: bwclient.PersistentParents})
	require.NoError(t, err)
	_, err = m.c.Multi(t.Context(), ops...)
	require.NoError(t, err)
	require.Zero(t, m.mustApply(t, "hash", all, &migrate.Options{DryRun: true}))
}

// recognise lets each go on where the other stopped.
func (m *migrations) recognise(t *testing.T) {
	all, opts := numbered("known", 8), &migrate.Options{LockPath: migrationLocks}
	m.curator.mustAnswer(t, "migrate known "+toldOf(all[:2]), "done")
	require.Zero(t, m.mustApply(t, "known", all[:2], opts))
	require.Equal(t, 2, m.mustApply(t, "known", all[:4], opts))
	m.curator.mustAnswer(t, "migrate known "+toldOf(all[:4]), "done")
	m.curator.mustAnswer(t, "migrate known "+toldOf(all[:6]), "done")
	require.Zero(t, m.mustApply(t, "known", all[:6], opts))
	require.Equal(t, 2, m.mustApply(t, "known", all, nil))
	m.curator.mustAnswer(t, "migrate known "+toldOf(all), "done")
	m.mustHaveDone(t, "known", len(all))

	ours := numbered("ours", 3)
	require.Equal(t, 3, m.mustApply(t, "ours", ours, opts))
	m.curator.mustAnswer(t, "migrate ours "+toldOf(ours), "done")
	m.mustHaveDone(t, "ours", 3)
}

func (m *migrations) mismatch(t *testing.T) {
	for id, apply := range map[string]func(all []migrated){
		"by-curator": func(all []migrated) { m.curator.mustAnswer(t, "migrate by-curator "+toldOf(all), "done") },
		"by-us":      func(all []migrated) { require.Equal(t, 2, m.mustApply(t, "by-us", all, nil)) },
	} {
		all := numbered(id, 3)
		apply(all[:2])
		changed := slices.Clone(all)
		changed[1].delete("/"+id, 7)
		for _, wrong := range [][]migrated{changed, {all[1], all[0], all[2]}, all[:1]} {
			m.curator.mustAnswer(t, "migrate "+id+" "+toldOf(wrong), "mismatch")
			applied, err := migrate.Apply(t.Context(), m.c, migrationMeta, setOf(id, wrong), nil)
			require.ErrorIs(t, err, migrate.ErrMismatch)
			require.Empty(t, applied)
		}
		m.mustHaveDone(t, id, 2)
	}
}

// namespace shows that a namespace of Curator and a view of a directory are the same.
func (m *migrations) namespace(t *testing.T) {
	all := numbered("spaced", 4)
	curator := startCuratorContender(t, m.command, m.addr, "space")
	curator.mustAnswer(t, "migrate spaced "+toldOf(all[:2]), "done")
	sub, err := m.c.Sub("/space")
	require.NoError(t, err)
	below := *m
	below.c = sub
	require.Equal(t, 2, below.mustApply(t, "spaced", all, &migrate.Options{LockPath: migrationLocks}))
	curator.mustAnswer(t, "migrate spaced "+toldOf(all), "done")
	below.mustHaveDone(t, "spaced", 4)
}

// wait stops Curator between its reading and its writing.
func (m *migrations) wait(t *testing.T) {
	all := numbered("waited", 2)
	m.curator.mustAnswer(t, "slowly waited "+toldOf(all), "read")
	applied := make(chan int, 1)
	go func() { // ends when Curator goes on
		names, err := migrate.Apply(t.Context(), m.c, migrationMeta, setOf("waited", all), &migrate.Options{LockPath: migrationLocks})
		if err != nil {
			t.Error(err)
		}
		applied <- len(names)
	}()
	select {
	case <-applied:
		t.Error("did not wait")
	case <-time.After(300 * time.Millisecond):
	}
	m.curator.mustAnswer(t, "go", "done")
	require.Zero(t, <-applied)
	m.mustHaveDone(t, "waited", 2)

	// Who does not know of the lock is in the way, as the package comment says.
	all = numbered("careless", 3)[1:]
	_, err := m.c.Create(t.Context(), "/careless", nil, nil)
	require.NoError(t, err)
	for i := range all {
		all[i] = migrated{}
		all[i].create("/careless/done-", []byte{byte(i)}, bwclient.PersistentSequential)
	}
	m.curator.mustAnswer(t, "slowly careless "+toldOf(all), "read")
	require.Equal(t, 2, m.mustApply(t, "careless", all, nil))
	m.curator.mustAnswer(t, "go", "done")
	m.mustHaveDone(t, "careless", 4)
}

// lose lets Curator come and go between our reading and our writing.
func (m *migrations) lose(t *testing.T) {
	p := proxy.New(nil)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	addr, err := p.Listen(m.addr)
	require.NoError(t, err)
	slow := *m
	slow.c = reconnectingWithin(t, addr, 10*time.Second)
	t.Cleanup(p.Heal)
	all := numbered("lost", 4)
	f := p.Freeze(proxy.Request(proxy.OpMulti, ""))
	applied := make(chan int, 1)
	go func() { // ends when the fault does
		names, err := migrate.Apply(t.Context(), slow.c, migrationMeta, setOf("lost", all), &migrate.Options{LockPath: migrationLocks})
		if err != nil {
			t.Error(err)
		}
		applied <- len(names)
	}()
	<-f.Struck()
	m.curator.mustAnswer(t, "migrate lost "+toldOf(all[:3]), "done")
	f.End()
	require.Equal(t, 1, <-applied)
	m.mustHaveDone(t, "lost", 4)
}

// race lets two of Curator's and two of ours apply the same at once.
func (m *migrations) race(t *testing.T) {
	curators := []*curatorContender{m.curator, startCuratorContender(t, m.command, m.addr, "")}
	clients := []*bwclient.Client{m.c, mustConnect(t, m.addr)}
	for round := range *migrateRounds {
		id := fmt.Sprint("race", round)
		all := numbered(id, 6)
		var runners sync.WaitGroup
		for _, curator := range curators {
			runners.Go(func() {
				if answer, err := curator.ask("migrate " + id + " " + toldOf(all)); err != nil || answer != "done" {
					t.Error(answer, err)
				}
			})
		}
		for i, c := range clients {
			runners.Go(func() {
				time.Sleep(time.Duration(round%20*(i+1)) * time.Millisecond / 2)
				if _, err := migrate.Apply(t.Context(), c, migrationMeta, setOf(id, all), &migrate.Options{LockPath: migrationLocks}); err != nil {
					t.Error(err)
				}
			})
		}
		runners.Wait()
		m.mustHaveDone(t, id, 6)
	}
}
