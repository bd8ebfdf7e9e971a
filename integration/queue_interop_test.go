//go:build interop

package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

// Our queues and Curator's are the same, in each of their orders, with Curator's newest and Debian's.
func TestQueueWithCurator(t *testing.T) {
	commands := map[string][]string{} // by class path
	for name, run := range map[string]struct {
		classPath string
		kind      process.Kind
		slow      bool
	}{
		"newest on Apache's": {"CURATOR_CP", process.Apache39, false},
		"newest on ours":     {"CURATOR_CP", process.Bellwether, false},
		"Debian's on ours":   {"CURATOR38_CP", process.Bellwether, true},
	} {
		if run.slow && !full() {
			continue
		}
		if commands[run.classPath] == nil {
			commands[run.classPath] = javaProgram(t, run.classPath, "Worker", "queue/*")
		}
		t.Run(name, func(t *testing.T) {
			command := commands[run.classPath]
			server := startPeer(t, run.kind).Addr
			curator := startCuratorProgram(t, command, server)
			for _, k := range curatorKinds {
				t.Run(k.name, func(t *testing.T) { handOverToAndFro(t, curator, server, k) })
			}
			t.Run("claims", func(t *testing.T) { excludeByClaims(t, curator, server) })
			t.Run("lost priority", func(t *testing.T) { takeWhatCuratorPutsBack(t, curator, server) })
			t.Run("remove", func(t *testing.T) { removeByID(t, curator, server) })
			t.Run("without claims", func(t *testing.T) { loseToConsumersWithoutClaims(t, curator, server) })
			t.Run("simple", func(t *testing.T) { shareSimpleQueue(t, curator, server) })
			t.Run("journal", func(t *testing.T) { shareQueue(t, curator, startCuratorProgram(t, command, server), server) })
		})
	}
}

// A curatorKind is a queue of Curator's, what is said to put an item that is the n-th in its order, and our item that is that.
type curatorKind struct {
	name  string
	order queue.Order
	put   func(n int) string
	item  func(n int) queue.Item
}

var longAgo = time.UnixMilli(0x18BCFE56800)

var curatorKinds = []curatorKind{
	{"fifo", queue.FIFO, func(n int) string { return "-" }, func(n int) queue.Item { return queue.Item{} }},
	{"priority", queue.ByPriority, func(n int) string { return fmt.Sprint(n - 3) }, func(n int) queue.Item { return queue.Item{Priority: int32(n - 3)} }},
	{
		"delay", queue.ByTime, func(n int) string { return fmt.Sprint(longAgo.UnixMilli() + int64(n)) },
		func(n int) queue.Item { return queue.Item{At: longAgo.Add(time.Duration(n) * time.Millisecond)} },
	},
	{"id", queue.ByID, func(n int) string { return fmt.Sprint("a|", n%2) }, func(n int) queue.Item { return queue.Item{ID: fmt.Sprint("a|", n%2)} }},
}

// Items of both, put in turns, come to both in one order.
func handOverToAndFro(t *testing.T, curator *curatorContender, server string, k curatorKind) {
	ctx := t.Context()
	path := "/queues/" + k.name
	c := mustConnect(t, server)
	q := queue.New(c, path, &queue.Options{Order: k.order, Window: 1})
	curator.mustAnswer(t, fmt.Sprintf("open in %s %s - put", k.name, path), "open")
	numbers := []int{0, 1, 2, 3, 4, 5}
	if k.order == queue.ByPriority || k.order == queue.ByTime { // the order is not that of the puts
		numbers = []int{4, 1, 5, 0, 3, 2}
	}
	fill := func() {
		for i, n := range numbers {
			if i%2 == 0 {
				item := k.item(n)
				item.Data = fmt.Append(nil, n)
				require.NoError(t, q.Put(ctx, item))
			} else {
				curator.mustAnswer(t, fmt.Sprint("put in ", k.put(n), " ", n), "put")
			}
		}
	}
	fill()
	for n := range numbers {
		d, err := q.TryTake(ctx)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(n), string(d.Data()))
		want := k.item(n)
		require.True(t, want.At.Equal(d.Item().At), d.Item().At)
		require.Equal(t, want.Priority, d.Item().Priority)
		require.Equal(t, strings.ReplaceAll(want.ID, "|", "_"), d.Item().ID)
		require.NoError(t, d.Ack(ctx))
	}
	fill()
	curator.mustAnswer(t, fmt.Sprintf("open out %s %s %s-claims step", k.name, path, path), "open")
	var got []string
	for range numbers {
		text, err := curator.ask("next out 10000")
		require.NoError(t, err)
		curator.mustAnswer(t, "done out", "ok")
		got = append(got, text)
	}
	require.Equal(t, []string{"0", "1", "2", "3", "4", "5"}, got)
	mustEventually(t, 10*time.Second, emptied(q))
	curator.mustAnswer(t, "close out", "closed")
	curator.mustAnswer(t, "close in", "closed")
}

// emptied asks whether nothing is left in a queue.
func emptied(q *queue.Queue) func(context.Context) error {
	return func(ctx context.Context) error {
		n, err := q.Len(ctx)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d items are left", n)
		}
		return err
	}
}

// What one has claimed the other does not get, and gets when it is given back; and neither is confused by what the other notes.
func excludeByClaims(t *testing.T, curator *curatorContender, server string) {
	ctx := t.Context()
	const path, locks = "/queues/claims", "/queues/locks"
	q := queue.New(mustConnect(t, server), path, &queue.Options{Claims: locks})
	require.NoError(t, q.Put(ctx, queue.Item{Data: []byte("a"), Key: "a"}))
	a, err := q.Take(ctx)
	require.NoError(t, err)
	curator.mustAnswer(t, fmt.Sprintf("open step fifo %s %s step", path, locks), "open")
	curator.mustAnswer(t, "next step 300", "none")
	require.NoError(t, a.Nack(ctx, 0, fmt.Errorf("not me")))
	require.NoError(t, q.Put(ctx, queue.Item{Data: []byte("b")})) // which wakes it
	curator.mustAnswer(t, "next step 10000", "a")
	b, err := q.Take(ctx)
	require.NoError(t, err)
	require.Equal(t, "b", string(b.Data()))
	_, err = q.Take(soon(t))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	st, err := q.Inspect(ctx)
	require.NoError(t, err)
	require.Len(t, st.Items, 2)
	require.NoError(t, b.Release(ctx))
	require.NotEmpty(t, st.Items[0].Claim.ID)
	require.Equal(t, "not me", st.Items[0].Reason)
	curator.mustAnswer(t, "fail step", "ok") // it is put back at the end, as it was
	curator.mustAnswer(t, "next step 10000", "b")
	curator.mustAnswer(t, "done step", "ok")
	curator.mustAnswer(t, "next step 10000", "a")
	curator.mustAnswer(t, "fail step", "ok")
	curator.mustAnswer(t, "close step", "closed")
	a, err = q.Take(ctx)
	require.NoError(t, err)
	require.Equal(t, "a", string(a.Data()))
	require.Equal(t, "a", a.Item().Key)
	require.Equal(t, 2, a.Attempt(), "what Curator puts back has our note")
	require.NoError(t, a.Ack(ctx))

	curator.mustAnswer(t, fmt.Sprintf("open in fifo %s - put", path), "open")
	curator.mustAnswer(t, "put in - x y z", "put")
	multi, err := q.Take(ctx)
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte("x"), []byte("y"), []byte("z")}, multi.Records())
	require.NoError(t, multi.Ack(ctx))
}

// Curator puts back what has failed without its priority: it is 0 then.
func takeWhatCuratorPutsBack(t *testing.T, curator *curatorContender, server string) {
	ctx := t.Context()
	const path = "/queues/lost"
	q := queue.New(mustConnect(t, server), path, &queue.Options{Order: queue.ByPriority})
	require.NoError(t, q.Put(ctx, queue.Item{Data: []byte("late"), Priority: 7}))
	curator.mustAnswer(t, fmt.Sprintf("open lost priority %s %s-claims step", path, path), "open")
	curator.mustAnswer(t, "next lost 10000", "late")
	curator.mustAnswer(t, "fail lost", "ok")
	curator.mustAnswer(t, "close lost", "closed")
	d, err := q.Take(ctx)
	require.NoError(t, err)
	require.Equal(t, queue.Item{Data: []byte("late")}, d.Item())
	require.NoError(t, q.Put(ctx, queue.Item{Data: []byte("early"), Priority: -1}))
	require.NoError(t, d.Nack(ctx, 0, nil))
	d, err = q.Take(ctx)
	require.NoError(t, err)
	require.Equal(t, "early", string(d.Data()))
}

// Each removes the other's items by their id, but not those that are claimed.
func removeByID(t *testing.T, curator *curatorContender, server string) {
	ctx := t.Context()
	const path = "/queues/remove"
	q := queue.New(mustConnect(t, server), path, &queue.Options{Order: queue.ByID})
	curator.mustAnswer(t, fmt.Sprintf("open remove id %s %s-claims put", path, path), "open")
	for range 3 {
		require.NoError(t, q.Put(ctx, queue.Item{ID: "ours/1"}))
		curator.mustAnswer(t, "put remove theirs/1 x", "put")
	}
	d, err := q.Take(ctx)
	require.NoError(t, err)
	require.Equal(t, "ours_1", d.Item().ID)
	curator.mustAnswer(t, "remove remove ours/1", "0") // it does not find what it has to spell in another way
	curator.mustAnswer(t, "remove remove ours_1", "2")
	n, err := q.Remove(ctx, "theirs/1")
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.NoError(t, d.Ack(ctx))
}

// A consumer of Curator's without a lockPath takes what is claimed; whoever had claimed it is told.
func loseToConsumersWithoutClaims(t *testing.T, curator *curatorContender, server string) {
	ctx := t.Context()
	const path = "/queues/without"
	q := queue.New(mustConnect(t, server), path, nil)
	require.NoError(t, q.Put(ctx, queue.Item{Data: []byte("a")}))
	d, err := q.Take(ctx)
	require.NoError(t, err)
	curator.mustAnswer(t, fmt.Sprintf("open without fifo %s - step", path), "open")
	curator.mustAnswer(t, "next without 10000", "a")
	curator.mustAnswer(t, "done without", "ok")
	require.ErrorIs(t, d.Ack(ctx, bwclient.CreateOp("/never", nil, nil)), queue.ErrLost)
	curator.mustAnswer(t, "close without", "closed")
}

// A SimpleDistributedQueue is ours, too: in order, and each item is had by one, also when both take at the same time.
func shareSimpleQueue(t *testing.T, curator *curatorContender, server string) {
	ctx := t.Context()
	const path, each = "/queues/simple", 60
	q := queue.New(mustConnect(t, server), path, &queue.Options{Order: queue.Simple, Window: 1})
	curator.mustAnswer(t, "open simple simple "+path+" - put", "open")
	for n := range 6 {
		curator.mustAnswer(t, fmt.Sprint("put simple - ", 2*n), "put")
		require.NoError(t, q.Put(ctx, queue.Item{Data: fmt.Append(nil, 2*n+1)}))
	}
	for n := range 6 {
		d, err := q.TryPop(ctx)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(2*n), string(d.Data()))
		curator.mustAnswer(t, "next simple 10000", fmt.Sprint(2*n+1))
	}
	_, err := q.TryPop(ctx)
	require.ErrorIs(t, err, queue.ErrEmpty)
	curator.mustAnswer(t, "next simple 100", "none")

	got := make(chan string, 2*each)
	var working sync.WaitGroup
	working.Go(func() {
		for n := range each {
			assert.NoError(t, q.Put(ctx, queue.Item{Data: fmt.Appendf(nil, "go%d", n)}))
		}
	})
	working.Go(func() {
		out := queue.New(mustConnect(t, server), path, &queue.Options{Order: queue.Simple})
		for range each {
			d, err := out.Pop(ctx)
			if !assert.NoError(t, err) {
				return
			}
			got <- string(d.Data())
		}
	})
	working.Go(func() {
		for n := range each {
			answer, err := curator.ask(fmt.Sprintf("put simple - java%d", n))
			if !assert.NoError(t, err) || !assert.Equal(t, "put", answer) {
				return
			}
			text, err := curator.ask("next simple 10000")
			if !assert.NoError(t, err) {
				return
			}
			got <- text
		}
	})
	working.Wait()
	close(got)
	journal := map[string]bool{}
	for text := range got {
		require.False(t, journal[text], "%s is had twice", text)
		journal[text] = true
	}
	require.Len(t, journal, 2*each)
	require.False(t, journal["none"])
	require.NoError(t, emptied(q)(ctx))
}

// Two processes of Java and two clients of ours put and take beside each other: each item is done once.
func shareQueue(t *testing.T, one, two *curatorContender, server string) {
	ctx := t.Context()
	const path, each = "/queues/shared", 40
	curators := []*curatorContender{one, two}
	for _, c := range curators {
		c.mustAnswer(t, fmt.Sprintf("open shared fifo %s %s-claims all", path, path), "open")
	}
	var putting, taking sync.WaitGroup
	for i, c := range curators {
		putting.Go(func() {
			for n := range each {
				if answer, err := c.ask(fmt.Sprintf("put shared - java%d.%d", i, n)); err != nil || answer != "put" {
					t.Error(answer, err)
				}
			}
		})
	}
	var mu sync.Mutex
	journal := map[string]string{}
	done := func(who, item string) {
		mu.Lock()
		defer mu.Unlock()
		if journal[item] != "" {
			t.Errorf("%s is done by %s, and by %s", item, journal[item], who)
		}
		journal[item] = who
	}
	for i := range 2 {
		q := queue.New(mustConnect(t, server), path, &queue.Options{MaxItems: 40})
		putting.Go(func() {
			for n := range each {
				if err := q.Put(ctx, queue.Item{Data: fmt.Appendf(nil, "go%d.%d", i, n)}); err != nil {
					t.Error(err)
				}
			}
		})
		taking.Go(func() {
			for {
				d, err := q.Take(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				if string(d.Data()) == "end" {
					if err := d.Ack(ctx); err != nil {
						t.Error(err)
					}
					return
				}
				if d.Attempt() == 1 && len(d.Data())%2 == 0 { // some a second time
					if err := d.Nack(ctx, 0, nil); err != nil {
						t.Error(err)
					}
					continue
				}
				if err := d.Ack(ctx); err != nil {
					t.Error(err)
				}
				done("Go", string(d.Data()))
			}
		})
	}
	putting.Wait()
	q := queue.New(mustConnect(t, server), path, nil)
	mustEventually(t, 20*time.Second, emptied(q))
	for _, c := range curators {
		c.mustAnswer(t, "close shared", "closed")
		texts, err := c.ask("journal shared")
		require.NoError(t, err)
		for _, text := range strings.Fields(texts) {
			done("Java", text)
		}
	}
	require.NoError(t, q.Put(ctx, queue.Item{Data: []byte("end")}, queue.Item{Data: []byte("end")}))
	taking.Wait()
	require.Len(t, journal, 4*each)
	by := map[string]int{}
	for _, who := range journal {
		by[who]++
	}
	t.Logf("done by %v", by)
	require.NotZero(t, by["Go"])
	require.NotZero(t, by["Java"])
}
