//go:build interop

package integration

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/counter"
)

// A journal of the numbers that those who share a counter were given.
type journal struct {
	mu    sync.Mutex
	given map[int64]string // by whom
}

func (j *journal) write(t *testing.T, who string, n int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if other, ok := j.given[n]; ok {
		t.Errorf("%d was given to %s and to %s", n, other, who)
	}
	j.given[n] = who
}

// A teller is one who counts: it adds 1 and says what that makes.
type teller struct {
	name string
	add  func() (int64, error)
}

func goTeller(t *testing.T, server, path string, bits int) teller {
	n := counter.New(mustConnect(t, server), path, &counter.Options{Bits: bits})
	return teller{"Go", func() (int64, error) { return n.Add(t.Context(), 1) }}
}

func foreignTeller(t *testing.T, name, ask string, command []string, args ...string) teller {
	p := startCuratorProgram(t, command, args...)
	return teller{name, func() (int64, error) {
		answer, err := p.ask(ask)
		if err != nil {
			return 0, err
		}
		return strconv.ParseInt(answer, 10, 64)
	}}
}

// countTogether lets all count at once: each number from 1 up is given to one of them, once.
func countTogether(t *testing.T, tellers ...teller) {
	t.Helper()
	const each = 40
	j := journal{given: map[int64]string{}}
	var all sync.WaitGroup
	for _, one := range tellers {
		all.Go(func() { // ends when it has counted so often
			for range each {
				n, err := one.add()
				if err != nil {
					t.Error(one.name, err)
					return
				}
				j.write(t, one.name, n)
			}
		})
	}
	all.Wait()
	require.Len(t, j.given, each*len(tellers))
	for n := range int64(len(j.given)) {
		require.Contains(t, j.given, n+1)
	}
}

// Our Counter, Curator's DistributedAtomicLong, DistributedAtomicInteger and SharedCount, and kazoo's Counter are one counter on one path, our
// IDs and Curator's CachedAtomicLong one source of ids, and our Value is Curator's SharedValue.
func TestCounterWithOthers(t *testing.T) {
	java := javaProgram(t, "CURATOR_CP", "Count", "counter/*")
	python := []string{process.MustEnv(t, "KAZOO_PYTHON"), "testdata/counter/counter.py"}
	inTurn(t, func(t *testing.T, k process.Kind) {
		addr := startPeer(t, k).Addr
		t.Run("Curator", func(t *testing.T) {
			const path = "/counters/long"
			countTogether(t, goTeller(t, addr, path, 64), goTeller(t, addr, path, 64), foreignTeller(t, "Java", "add 1", java, addr, path, "long"))
		})
		t.Run("kazoo", func(t *testing.T) {
			const path = "/counters/kazoo"
			// It comes first, and makes a node without data.
			countTogether(t, foreignTeller(t, "Python", "add 1", python, addr, path), goTeller(t, addr, path, 32), goTeller(t, addr, path, 32))
		})
		t.Run("all", func(t *testing.T) {
			const path = "/counters/int"
			ours := goTeller(t, addr, path, 32)
			n, err := ours.add() // Curator does not understand a node without data
			require.NoError(t, err)
			require.EqualValues(t, 1, n)
			java, python := foreignTeller(t, "Java", "add 1", java, addr, path, "int"), foreignTeller(t, "Python", "add 1", python, addr, path)
			less := func(one teller) teller {
				return teller{one.name, func() (int64, error) { n, err := one.add(); return n - 1, err }}
			}
			countTogether(t, less(ours), less(java), less(python))
		})
		t.Run("ids", func(t *testing.T) {
			const path = "/counters/ids"
			ours := counter.NewIDs(mustConnect(t, addr), path, &counter.IDsOptions{Block: 7})
			theirs := foreignTeller(t, "Java", "next", java, addr, path, "ids", "5")
			j := journal{given: map[int64]string{}}
			var all sync.WaitGroup
			for _, one := range []teller{theirs, {"Go", func() (int64, error) { return ours.Next(t.Context()) }}} {
				all.Go(func() { // ends when it has asked so often
					for range 70 {
						id, err := one.add()
						if err != nil {
							t.Error(one.name, err)
						}
						j.write(t, one.name, id)
					}
				})
			}
			all.Wait()
			require.Len(t, j.given, 140)
			for id := range int64(140) { // no block is left half used
				require.Contains(t, j.given, id+1)
			}
		})
		t.Run("shared", func(t *testing.T) { shareValues(t, java, addr) })
	}, process.Bellwether, process.Apache39)
}

// shareValues lets Curator's SharedCount and SharedValue, and ours, tell each other of changes.
func shareValues(t *testing.T, java []string, addr string) {
	c := mustConnect(t, addr)
	count := startCuratorProgram(t, java, addr, "/shared/count", "count")
	count.mustAnswer(t, "get", "7")
	n := counter.New(c, "/shared/count", &counter.Options{Bits: 32})
	seen := follow(t, n.Watch)
	require.EqualValues(t, 7, <-seen)
	v, err := n.Add(t.Context(), 3)
	require.NoError(t, err)
	require.EqualValues(t, 10, v)
	mustHear(t, count, "7", "10")
	require.EqualValues(t, 10, <-seen)
	count.mustAnswer(t, "try 11", "set")
	require.EqualValues(t, 11, <-seen)
	swapped, err := n.CompareAndSwap(t.Context(), 10, 99)
	require.NoError(t, err)
	require.False(t, swapped)

	value := startCuratorProgram(t, java, addr, "/shared/value", "value")
	value.mustAnswer(t, "get", "seed")
	text := counter.NewValue(c, "/shared/value", &counter.ValueOptions[string]{Codec: typed.Text()})
	texts := follow(t, text.Watch)
	require.Equal(t, "seed", <-texts)
	last := "seed"
	for i := range 3 {
		next, err := text.Update(t.Context(), func(s string) (string, error) { return fmt.Sprintf("%s-%d", s, i), nil })
		require.NoError(t, err)
		mustHear(t, value, last, next)
		require.Equal(t, next, <-texts)
		last = fmt.Sprintf("java%d", i)
		value.mustAnswer(t, "try "+last, "set")
		mustHear(t, value, next, last)
		require.Equal(t, last, <-texts)
	}
}

// mustHear requires that a listener is told of a value behind the last one. That it may be told of once more: when Curator's thread for such
// news comes round to saying that the client is connected, it reads again.
func mustHear(t *testing.T, p *curatorContender, last, want string) {
	t.Helper()
	heard, err := p.ask("heard")
	if heard == last {
		heard, err = p.ask("heard")
	}
	require.NoError(t, err)
	require.Equal(t, want, heard)
}

// follow hands on what a loop yields.
func follow[T any](t *testing.T, watch func(context.Context) iter.Seq2[T, error]) <-chan T {
	seen := make(chan T)
	go func() { // ends with the test
		for v, err := range watch(t.Context()) {
			if err != nil {
				return
			}
			select {
			case seen <- v:
			case <-t.Context().Done():
			case <-time.After(time.Minute):
				t.Error("nobody wants to know")
			}
		}
	}()
	return seen
}
