package queue_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

var (
	faultRuns = flag.Int("queue.runs", 3, "how many runs with faults there are, of which a half have three servers")
	faultSeed = flag.Uint64("queue.seed", 0, "the first run's; 0: a random one")
)

// tally is what came of all runs.
type tally struct{ items, deliveries, acks, pops, unknown, dead, struck int }

// Items among faults of all kinds: each that was put is done once, or is a dead letter, or its producer was told that it does not know; nobody is given
// what another has; whoever is told that it has done an item has, and the others have not; and nothing is left in the end.
func TestQueueAmongFaults(t *testing.T) {
	first := *faultSeed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	var sum tally
	faults := map[string]int{}
	for i := range *faultRuns {
		seed := first + uint64(i)
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed, faults)
			defer func() {
				if t.Failed() {
					t.Logf("it was seed %d: %+v", seed, w.opts)
				}
			}()
			w.run()
			sum.add(w.tally)
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%+v, faults that took effect: %v", sum, faults)
	require.Greater(t, sum.acks+sum.pops, 20**faultRuns)
	require.Greater(t, sum.struck, *faultRuns)
}

func (a *tally) add(b tally) {
	a.items += b.items
	a.deliveries += b.deliveries
	a.acks += b.acks
	a.pops += b.pops
	a.unknown += b.unknown
	a.dead += b.dead
	a.struck += b.struck
}

// A world is a queue with producers and consumers, and a checker that sees all they do.
type world struct {
	t       *testing.T
	e       *ensembletest.Ensemble
	r       *rand.Rand
	opts    queue.Options
	faults  map[string]int
	shards  int  // of a Sharded; 0: it is a Queue
	ordered bool // one consumer, that is never in a hurry: it must see the order

	mu     sync.Mutex
	sent   map[string]*record
	forced map[int64]bool // tokens of claims that were removed by hand, and sessions that were ended so: nobody can know before
	last   string         // the name of the last item that was given out for the first time
	tally
	clients map[*client.Client]bool
	spare   []*client.Client
}

// A record is what is known of an item.
type record struct {
	put     error // nil: it is there
	holder  *queue.Delivery
	token   int64
	nacked  int    // for certain
	done    string // the delivery that has done it
	popped  error  // errNot, or nil: it was, or why nobody knows
	perhaps map[string]bool
}

func newWorld(t *testing.T, seed uint64, faults map[string]int) *world {
	r := rand.New(rand.NewPCG(seed, 1))
	w := &world{t: t, r: r, faults: faults, sent: map[string]*record{}, forced: map[int64]bool{}, clients: map[*client.Client]bool{}}
	w.ordered = seed%4 < 2 && r.IntN(2) == 0
	w.opts = queue.Options{Order: queue.Order(r.IntN(5)), MaxAttempts: 4, Window: 1 + r.IntN(8)}
	if w.ordered {
		w.opts.Order = queue.FIFO
	}
	if r.IntN(2) == 0 {
		w.opts.MaxItems = 3 + r.IntN(10)
	}
	if r.IntN(2) == 0 {
		w.opts.MaxWork = 4 * time.Second
	}
	if !w.ordered && w.opts.Order != queue.Simple && r.IntN(4) == 0 {
		w.shards = 3
	}
	servers := 1 + 2*int(seed%2)
	w.e = ensembletest.Start(t, servers, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second, TickTime: time.Second}})
	return w
}

func (w *world) upTo(r *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(d)))
}

// taker is what a Queue and a Sharded have in common.
type taker interface {
	Put(ctx context.Context, items ...queue.Item) error
	Take(ctx context.Context) (*queue.Delivery, error)
}

// open returns what is tried, and its parts.
func (w *world) open(c *client.Client) (taker, []*queue.Queue) {
	if w.shards > 0 {
		s := queue.NewSharded(c, path, w.shards, &w.opts)
		return s, s.Shards()
	}
	q := queue.New(c, path, &w.opts)
	return q, []*queue.Queue{q}
}

// places are the paths of the parts, and what the paths of their other directories begin with.
func (w *world) places() map[string]string {
	if w.shards == 0 {
		return map[string]string{path: path}
	}
	all := map[string]string{}
	for i := range w.shards {
		all[fmt.Sprintf("%s/queue-%03d", path, i)] = fmt.Sprintf("%s-shards/queue-%03d", path, i)
	}
	return all
}

// take takes up to n, of a Queue.
func take(ctx context.Context, q taker, n int) ([]*queue.Delivery, error) {
	if q, ok := q.(*queue.Queue); ok {
		return q.TakeUpTo(ctx, n)
	}
	d, err := q.Take(ctx)
	if err != nil {
		return nil, err
	}
	return []*queue.Delivery{d}, nil
}

func (w *world) run() {
	t := w.t
	admin := w.e.Connect(t)
	_, err := admin.Create(t.Context(), "/effects", nil, nil)
	require.NoError(t, err)
	for range 10 {
		w.spare = append(w.spare, w.e.Connect(t))
	}
	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	var producers, consumers sync.WaitGroup
	for i := range 2 {
		r := rand.New(rand.NewPCG(w.r.Uint64(), 2))
		c := w.client()
		producers.Go(func() { w.produce(i, c, r) })
	}
	n := 3
	if w.ordered {
		n = 1
	}
	for range n {
		r := rand.New(rand.NewPCG(w.r.Uint64(), 3))
		c := w.client()
		consumers.Go(func() { w.consume(stop, c, r) })
	}
	maker := w.trouble(admin)
	for range 25 {
		maker.Strike(w.victim())
		time.Sleep(w.upTo(w.r, 5*time.Second))
	}
	require.NoError(t, maker.End(t.Context()))
	for what, n := range maker.Struck() {
		w.faults[what] += n
		w.struck += n
	}
	time.Sleep(30 * time.Second) // everybody is connected again
	producers.Wait()
	w.drain(admin)
	cancel()
	consumers.Wait()
	for c := range w.clients {
		require.NoError(t, c.Close())
	}
	for _, c := range w.spare {
		require.NoError(t, c.Close())
	}
	w.check(admin)
}

// client takes a client that faults may strike, nil if there is none left.
func (w *world) client() *client.Client {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.spare) == 0 {
		return nil
	}
	c := w.spare[0]
	w.spare = w.spare[1:]
	w.clients[c] = true
	return c
}

// replace closes a client, which is the end of all it had, and takes another.
func (w *world) replace(c *client.Client) *client.Client {
	w.mu.Lock()
	delete(w.clients, c)
	w.mu.Unlock()
	_ = c.Close() // the servers may not be there
	return w.client()
}

// mayReplace tells whether there is another client.
func (w *world) mayReplace() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.spare) > 0
}

// produce puts items, with patience or without.
func (w *world) produce(who int, c *client.Client, r *rand.Rand) {
	q, _ := w.open(c)
	for i := 0; i < 25; {
		var items []queue.Item
		for range 1 + r.IntN(3) {
			item := queue.Item{Data: fmt.Appendf(nil, "%d-%d", who, i)}
			switch w.opts.Order {
			case queue.ByPriority:
				item.Priority = int32(r.IntN(5) - 2)
			case queue.ByTime:
				item.At = time.Now().Add(w.upTo(r, 5*time.Second))
			case queue.ByID:
				item.ID = fmt.Sprint(r.IntN(3))
			}
			if w.opts.Order != queue.Simple && r.IntN(3) == 0 {
				item.Key = string(item.Data)
			}
			items = append(items, item)
			i++
		}
		w.mu.Lock()
		for _, item := range items {
			w.sent[string(item.Data)] = &record{put: client.ErrUnknown, popped: errNot, perhaps: map[string]bool{}} // it may be taken before Put returns
		}
		w.mu.Unlock()
		ctx, cancel := context.WithTimeout(w.t.Context(), w.upTo(r, time.Minute))
		err := q.Put(ctx, items...)
		cancel()
		w.mu.Lock()
		for _, item := range items {
			w.sent[string(item.Data)].put = err
			w.items++
		}
		w.mu.Unlock()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, client.ErrUnknown) {
			w.t.Error("put", err)
		}
		time.Sleep(w.upTo(r, 3*time.Second))
	}
}

// consume takes items until stop.
func (w *world) consume(stop context.Context, c *client.Client, r *rand.Rand) {
	q, _ := w.open(c)
	for stop.Err() == nil {
		ctx, cancel := stop, context.CancelFunc(func() {})
		if !w.ordered {
			ctx, cancel = context.WithTimeout(stop, w.upTo(r, 20*time.Second))
		}
		if p, ok := q.(*queue.Queue); ok && !w.ordered && (w.opts.Order == queue.Simple || r.IntN(4) == 0) {
			w.pop(ctx, p)
			cancel()
			time.Sleep(w.upTo(r, 3*time.Second))
			continue
		}
		n := 1
		if r.IntN(4) == 0 && !w.ordered {
			n = 3
		}
		all, err := take(ctx, q, n)
		cancel()
		if err != nil && (ctx.Err() == nil || errors.Is(err, client.ErrUnknown)) {
			w.t.Error("take", err)
		}
		var working sync.WaitGroup
		r := rand.New(rand.NewPCG(r.Uint64(), 4))
		for _, d := range all {
			w.began(d)
		}
		crash := len(all) > 0 && r.IntN(15) == 0 && w.mayReplace()
		if len(all) > 1 && !crash && r.IntN(2) == 0 {
			w.workTogether(all, r)
			continue
		}
		for _, d := range all {
			r := rand.New(rand.NewPCG(r.Uint64(), 5))
			working.Go(func() { w.work(d, r, crash) })
		}
		working.Wait()
		if crash {
			if c = w.replace(c); c == nil {
				return // another was quicker; the other consumers go on
			}
			q, _ = w.open(c)
		}
	}
}

// errNot is of what was not popped.
var errNot = errors.New("not popped")

// pop removes an item, which nobody else may have.
func (w *world) pop(ctx context.Context, q *queue.Queue) {
	d, err := q.Pop(ctx)
	if d == nil {
		if ctx.Err() == nil || errors.Is(err, client.ErrUnknown) {
			w.t.Error("pop", err)
		}
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	rec := w.sent[string(d.Data())]
	switch {
	case rec == nil || rec.put != nil && !errors.Is(rec.put, client.ErrUnknown):
		w.t.Errorf("%q was not put, and popped", d.Data())
		return
	case err != nil && !errors.Is(err, client.ErrUnknown):
		w.t.Errorf("pop %q: %v", d.Data(), err)
	case err == nil && rec.popped == nil:
		w.t.Errorf("%q is popped twice", d.Data())
	case err == nil && d.Token() <= rec.token:
		w.t.Errorf("%q: token %d after %d", d.Data(), d.Token(), rec.token)
	case err == nil && rec.holder != nil && !w.forced[rec.token] && !w.forced[rec.holder.Session().ID()]:
		select {
		case <-rec.holder.Context().Done():
		default:
			w.t.Errorf("%q is popped while %v has it", d.Data(), rec.holder.Session())
		}
	}
	if err == nil {
		w.pops++
	} else {
		w.unknown++
	}
	if err == nil || rec.popped != nil {
		rec.popped = err
	}
}

// began checks that an item may be given out.
func (w *world) began(d *queue.Delivery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deliveries++
	rec := w.sent[string(d.Data())]
	if d.Context().Err() != nil || w.forced[d.Token()] || w.forced[d.Session().ID()] {
		return // it was over before it was given out
	}
	switch {
	case rec == nil:
		w.t.Errorf("%q was never put", d.Data())
		return
	case rec.put != nil && !errors.Is(rec.put, client.ErrUnknown):
		w.t.Errorf("%q was not put: %v", d.Data(), rec.put)
	case rec.done != "" || rec.popped == nil:
		w.t.Errorf("%q is given out when it is done", d.Data())
	case d.Token() <= rec.token:
		w.t.Errorf("%q: token %d after %d", d.Data(), d.Token(), rec.token)
	case d.Attempt() <= rec.nacked:
		w.t.Errorf("%q: attempt %d after %d were given back", d.Data(), d.Attempt(), rec.nacked)
	case d.Attempt() > w.opts.MaxAttempts:
		w.t.Errorf("%q: attempt %d", d.Data(), d.Attempt())
	}
	if rec.holder != nil && !w.forced[rec.token] && !w.forced[rec.holder.Session().ID()] {
		select {
		case <-rec.holder.Context().Done():
		default:
			w.t.Errorf("%q is given out to %v while %v has it", d.Data(), d.Session(), rec.holder.Session())
		}
	}
	if w.ordered && d.Attempt() == 1 && rec.token == 0 { // what was given back by one whose session has ended may come late
		if d.Name() < w.last {
			w.t.Errorf("%s after %s", d.Name(), w.last)
		}
		w.last = d.Name()
	}
	rec.holder, rec.token = d, d.Token()
}

// work does an item, or does not.
func (w *world) work(d *queue.Delivery, r *rand.Rand, crash bool) {
	timer := time.NewTimer(w.upTo(r, 3*time.Second))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.Context().Done():
	}
	if crash {
		return
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), w.upTo(r, 20*time.Second))
	if r.IntN(8) == 0 {
		ctx, cancel = context.WithTimeout(w.t.Context(), w.upTo(r, 50*time.Millisecond))
	}
	defer cancel()
	switch kind := r.IntN(20); {
	case kind < 13:
		w.ack(ctx, d)
	case kind < 16:
		err := d.Nack(ctx, time.Duration(r.IntN(2))*w.upTo(r, 8*time.Second), errors.New("no"))
		w.gaveBack(d, "nack", err, 1)
	case kind < 18:
		w.gaveBack(d, "release", d.Release(ctx), 0)
	case w.opts.MaxWork > 0:
		<-d.Context().Done() // it takes too long
	default:
		w.ack(w.t.Context(), d)
	}
	<-w.finally(d)
}

// workTogether does several items, and acknowledges them at once.
func (w *world) workTogether(all []*queue.Delivery, r *rand.Rand) {
	time.Sleep(w.upTo(r, 2*time.Second))
	ctx, cancel := context.WithTimeout(w.t.Context(), w.upTo(r, 10*time.Second))
	if r.IntN(4) == 0 {
		ctx, cancel = context.WithTimeout(w.t.Context(), w.upTo(r, 50*time.Millisecond))
	}
	defer cancel()
	w.ack(ctx, all...)
	for _, d := range all {
		<-w.finally(d)
	}
}

// finally lets a delivery that is still held be given back, for nobody would have it else.
func (w *world) finally(d *queue.Delivery) <-chan struct{} {
	if d.Context().Err() == nil {
		if err := d.Release(w.t.Context()); err != nil {
			w.known(d, "release", err)
		}
	}
	return d.Context().Done()
}

// ack acknowledges deliveries, all or none.
func (w *world) ack(ctx context.Context, all ...*queue.Delivery) {
	var effects []client.Op
	w.mu.Lock()
	for _, d := range all {
		id := fmt.Sprint(d.Token())
		effects = append(effects, client.CreateOp("/effects/"+string(d.Data()), []byte(id), nil))
		w.sent[string(d.Data())].perhaps[id] = true
	}
	w.mu.Unlock()
	err := queue.AckAll(ctx, all, effects...)
	if errors.Is(err, client.ErrUnknown) && errors.Is(err, context.DeadlineExceeded) {
		err = queue.AckAll(w.t.Context(), all, effects...) // finds out
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range all {
		w.acked(d, err)
	}
}

// acked notes what is known of an acknowledged item.
func (w *world) acked(d *queue.Delivery, err error) {
	rec, id := w.sent[string(d.Data())], fmt.Sprint(d.Token())
	switch {
	case err == nil && rec.done != "":
		w.t.Errorf("%q is done twice", d.Data())
	case err == nil:
		rec.done = id
		w.acks++
	case errors.Is(err, client.ErrUnknown):
		w.unknown++
	default:
		delete(rec.perhaps, id)
		if errors.Is(err, client.ErrNodeExists) {
			w.t.Errorf("%q was done before: %v", d.Data(), err)
		}
		w.known(d, "ack", err)
	}
}

func (w *world) gaveBack(d *queue.Delivery, how string, err error, counts int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.sent[string(d.Data())].nacked += counts
		return
	}
	w.known(d, how, err)
}

// known complains of an error that nobody could expect.
func (w *world) known(d *queue.Delivery, how string, err error) {
	for _, why := range []error{client.ErrUnknown, client.ErrSessionExpired, client.ErrClosed, queue.ErrLost, queue.ErrTooLong, queue.ErrFinished} {
		if errors.Is(err, why) {
			return
		}
	}
	w.t.Errorf("%s %q: %v", how, d.Data(), err)
}

// victim is a client that something happens to.
func (w *world) victim() *client.Client {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.Collect(maps.Keys(w.clients))
	return all[w.r.IntN(len(all))]
}

// trouble is all that can break, and what others do to items and claims.
func (w *world) trouble(admin *client.Client) *trouble.Maker {
	m := trouble.New(w.e, w.r)
	m.Also("expired", func(ctx context.Context) bool {
		c := w.victim()
		w.mu.Lock()
		w.forced[c.Session().ID()] = true
		w.mu.Unlock()
		return w.e.Expire(ctx, c) == nil
	})
	m.Also("foreign child", func(ctx context.Context) bool {
		_, err := admin.Create(ctx, path+"/x-", nil, &client.CreateOptions{Mode: client.EphemeralSequential})
		return err == nil
	})
	m.Also("claim removed", func(ctx context.Context) bool { return w.removeClaim(ctx, admin) })
	return m
}

// removeClaim removes a claim of somebody's, who cannot know before another has the item.
func (w *world) removeClaim(ctx context.Context, admin *client.Client) (done bool) {
	for items, beside := range w.places() {
		names, _, err := admin.Children(ctx, beside+"-claims")
		if err != nil || len(names) == 0 {
			continue
		}
		claim, there, err := admin.Exists(ctx, beside+"-claims/"+names[0])
		if err != nil || !there {
			continue
		}
		item, there, err := admin.Exists(ctx, items+"/"+names[0])
		if err != nil || !there || item.Mzxid != claim.Czxid {
			continue // another claim's
		}
		w.mu.Lock()
		w.forced[claim.Czxid] = true
		w.mu.Unlock()
		_, err = admin.Multi(ctx, client.CheckOp(items+"/"+names[0], item.Version), client.DeleteOp(beside+"-claims/"+names[0], client.AnyVersion))
		return err == nil
	}
	return false
}

// drain waits until there is nothing to do any more.
func (w *world) drain(admin *client.Client) {
	_, parts := w.open(admin)
	left := 0
	for range 600 {
		left = 0
		for _, q := range parts {
			st, err := q.Inspect(w.t.Context())
			require.NoError(w.t, err)
			left += len(st.Items)
		}
		if left == 0 {
			return
		}
		time.Sleep(time.Second)
	}
	require.Zero(w.t, left, "in ten minutes")
}

// check compares what has come of each item with what everybody was told.
func (w *world) check(admin *client.Client) {
	ctx := w.t.Context()
	dead := map[string]queue.Dead{}
	_, parts := w.open(admin)
	for _, q := range parts {
		letters, err := q.DeadLetters(ctx)
		require.NoError(w.t, err)
		for _, d := range letters {
			require.NotContains(w.t, dead, string(d.Item.Data), "there twice")
			dead[string(d.Item.Data)] = d
			require.Equal(w.t, w.opts.MaxAttempts, d.Attempts)
			require.NotEmpty(w.t, d.Reason)
			require.NoError(w.t, q.Discard(ctx, d.Name))
		}
	}
	w.dead += len(dead)
	effects, _, err := admin.Children(ctx, "/effects")
	require.NoError(w.t, err)
	found := map[string]string{}
	for _, name := range effects {
		data, _, err := admin.Get(ctx, "/effects/"+name)
		require.NoError(w.t, err)
		found[name] = string(data)
	}
	for name, rec := range w.sent {
		by, done := found[name]
		_, buried := dead[name]
		switch {
		case done && buried:
			w.t.Errorf("%s is done, and a dead letter", name)
		case rec.popped == nil && (done || buried):
			w.t.Errorf("%s is popped, and done or a dead letter", name)
		case rec.put == nil && !done && !buried && rec.popped == errNot:
			w.t.Errorf("%s is lost", name)
		case rec.put != nil && !errors.Is(rec.put, client.ErrUnknown) && (done || buried):
			w.t.Errorf("%s is there, and was not put: %v", name, rec.put)
		case rec.done != "" && by != rec.done:
			w.t.Errorf("%s was done by %s and not by %s, who was told so", name, by, rec.done)
		case rec.done == "" && done && !rec.perhaps[by]:
			w.t.Errorf("%s was done by %s, who was told that it has not", name, by)
		}
	}
	time.Sleep(30 * time.Second) // sessions that were lost are over
	w.mustLeaveNothing(admin)
}

func (w *world) mustLeaveNothing(admin *client.Client) {
	require.NoError(w.t, w.e.WaitCaughtUp(w.t.Context()))
	require.NoError(w.t, admin.Sync(w.t.Context(), path))
	dirs := []string{path + "-keys"}
	for items, beside := range w.places() {
		dirs = append(dirs, items)
		for _, suffix := range []string{"-claims", "-later", "-dead", "-marks", "-takers", "-putters"} {
			dirs = append(dirs, beside+suffix)
		}
	}
	for _, dir := range dirs {
		names, _, err := admin.Children(w.t.Context(), dir)
		if err != nil {
			require.ErrorIs(w.t, err, client.ErrNoNode)
		}
		for _, name := range names {
			stat, there, err := admin.Exists(w.t.Context(), dir+"/"+name)
			require.NoError(w.t, err)
			if there && stat.EphemeralOwner != admin.Session().ID() && !strings.HasPrefix(name, "x-") {
				w.t.Errorf("left: %s/%s", dir, name)
			}
		}
	}
}
