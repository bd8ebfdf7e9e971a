package ensemble_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
)

// The list of servers is changed by starting one after the other again with the new one (ZOOKEEPER-2819, ZOOKEEPER-3829). For a while
// some have the old list and some the new, nobody takes a list from anybody else, and each counts majorities by its own. What is
// safe then is arithmetic: every majority of one list must share a server with every majority of the other, or one would not know
// what the other has committed. That holds
//
//   - always, while both lists have the same voters, only at other addresses;
//   - always, when they differ by one voter: of 3 and of 4 it takes 2 and 3, which is more than 4; of 4 and of 5, 3 and 3;
//   - not between 3 and 5: 1 and 2 are enough by the one list, 3, 4 and 5 by the other. At once it is safe only by way of all of 1, 2
//     and 3: the new servers are started last, after a write was done by the three with the new list, for which it took all of them;
//     and those that leave are stopped first, and a write done by the three that stay with the old list. Without looking whether
//     writes are done it is not.
//
// By its own list a server may take itself for elected when by theirs the others do not follow: then nobody serves until it gives
// up, after initLimit ticks. Sessions that are longer outlive that.
//
// A server that has moved is started at its new address before the others look for it there: led by one that they look for elsewhere
// they cannot do anything, whatever the majorities. For other orders nothing is promised, and nothing is tested.

// A roll is an ensemble whose servers have lists of their own.
type roll struct {
	*testing.T
	network ensemble.Network
	opts    map[int]*ensemble.Options
	servers map[int]*ensemble.Server

	mu    sync.Mutex
	reign []ensemble.RoleChange // of all who led and served
	done  []write               // what was acknowledged, in that order
}

// A write made a node.
type write struct {
	path  string
	after int // so many others had been acknowledged before it was asked for
}

// voters are the servers 1 to n, each on a host of its own.
func voters(n int) (list []ensemble.Member) {
	for id := 1; id <= n; id++ {
		host := fmt.Sprint("127.0.0.", id)
		list = append(list, ensemble.Member{ID: id, Host: host, QuorumPort: 2888, ElectionPort: 3888, ClientAddr: host + ":2181"})
	}
	return list
}

// moved are three servers, the third of which has moved to another host and other ports.
func moved() []ensemble.Member {
	list := voters(3)
	list[2] = ensemble.Member{ID: 3, Host: "127.0.0.33", QuorumPort: 2889, ElectionPort: 3889, ClientAddr: "127.0.0.33:2181"}
	return list
}

func newRoll(t *testing.T, list []ensemble.Member) *roll {
	r := &roll{T: t, opts: map[int]*ensemble.Options{}, servers: map[int]*ensemble.Server{}}
	for _, m := range list {
		r.start(m.ID, list)
	}
	for _, s := range r.servers {
		mustServe(t, s)
	}
	return r
}

// start starts a server, again if it runs, with a list.
func (r *roll) start(id int, list []ensemble.Member) {
	r.stop(id)
	o := r.opts[id]
	if o == nil {
		o = &ensemble.Options{
			ServerID: id, Network: &r.network, TickTime: time.Second, Quorum: ensemble.Quorum{InitLimit: 3},
			Logger: logger(), Hooks: ensemble.Hooks{RoleChanged: r.roleChanged},
		}
		o.Remember()
		r.opts[id] = o
	}
	o.Members = list
	s, err := ensemble.Start(r.Context(), o)
	require.NoError(r, err)
	r.servers[id] = s
}

func (r *roll) stop(id int) {
	s := r.servers[id]
	if s == nil {
		return
	}
	delete(r.servers, id)
	require.NoError(r, s.Close())
}

// roleChanged keeps who leads and serves.
func (r *roll) roleChanged(c ensemble.RoleChange) {
	if c.Role == "leader" && c.Phase == ensemble.PhaseBroadcast {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.reign = append(r.reign, c)
	}
}

// addrs is where clients find the servers of lists, each once.
func addrs(lists ...[]ensemble.Member) string {
	var all []string
	seen := map[string]bool{}
	for _, list := range lists {
		for _, m := range list {
			if !seen[m.ClientAddr] {
				all, seen[m.ClientAddr] = append(all, m.ClientAddr), true
			}
		}
	}
	return strings.Join(all, ",")
}

// rollTimeout is that of the writers' sessions, who look for a server every now and then while nobody serves.
const rollTimeout = 20 * time.Second

func nowAndThen() backoff.BackOff { return backoff.NewConstantBackOff(100 * time.Millisecond) }

// A writer makes one node after the other, each until it is told that it is there.
type writer struct {
	r       *roll
	c       *client.Client
	session *client.Session
	name    string
	done    int // nodes
	err     error
}

func (r *roll) writer(name, to string) *writer {
	c, err := client.Connect(short(r), to, &client.Options{
		Dialer: r.network.Dial, Logger: logger(), SessionTimeout: rollTimeout, Reconnect: nowAndThen, Retry: quickly,
	})
	require.NoError(r, err)
	mustCreate(r, c, "/of-"+name, client.Ephemeral)
	return &writer{r: r, c: c, session: c.Session(), name: name}
}

// make makes a node, as often as it takes to be told that it is there.
func (w *writer) make(ctx context.Context, path string) error {
	r := w.r
	r.mu.Lock()
	x := write{path, len(r.done)}
	r.mu.Unlock()
	for {
		_, err := w.c.Create(ctx, path, nil, nil)
		switch {
		case err == nil || errors.Is(err, client.ErrNodeExists):
			r.mu.Lock()
			defer r.mu.Unlock()
			r.done = append(r.done, x)
			return nil
		case !errors.Is(err, client.ErrUnknown) || ctx.Err() != nil:
			return err
		}
	}
}

// write goes on until ctx ends.
func (w *writer) write(ctx context.Context) {
	pace := time.NewTicker(500 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		switch err := w.make(ctx, fmt.Sprintf("/%s-%d", w.name, w.done)); {
		case ctx.Err() != nil:
			return
		case err != nil:
			w.err = err
			return
		}
		w.done++
		select {
		case <-pace.C:
		case <-ctx.Done():
		}
	}
}

// A step is what is done to one server: it is started with a list, or stopped without one.
type step struct {
	id   int
	list []ensemble.Member
}

func restart(list []ensemble.Member, ids ...int) (steps []step) {
	for _, id := range ids {
		steps = append(steps, step{id, list})
	}
	return steps
}

func concat(parts ...[]step) (all []step) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// Lists change and clients are at work: sessions go on, what was acknowledged stays, one leads after the other, and in the end all
// serve with the same list. Who changes it may look after each step whether writes are done, or not look at all.
func TestListsChangeByRollingRestart(t *testing.T) {
	three, four, five := voters(3), voters(4), voters(5)
	cases := []struct {
		name  string
		old   []ensemble.Member
		steps []step
		list  []ensemble.Member // in the end
		look  bool              // whether writes are done, or it is not safe
	}{
		{"the same again", three, restart(three, 1, 2, 3), three, false},
		{"3 to 5 at once", three, restart(five, 1, 2, 3, 4, 5), five, true},
		{"3 to 5 at once, the other way round", three, restart(five, 3, 2, 1, 5, 4), five, true},
		{"3 to 5 one by one, the new one first", three, concat(restart(four, 4, 1, 2, 3), restart(five, 5, 1, 2, 3, 4)), five, false},
		{"5 to 3 at once", five, concat(restart(nil, 5, 4), restart(three, 1, 2, 3)), three, true},
		{"5 to 3 one by one", five, concat(restart(nil, 5), restart(four, 1, 2, 3, 4), restart(nil, 4), restart(three, 3, 2, 1)), three, false},
		{"5 to 3 one by one, who leaves last", five, concat(restart(four, 1, 2, 3, 4), restart(nil, 5), restart(three, 1, 2, 3), restart(nil, 4)), three, false},
		{"one moves", three, restart(moved(), 3, 1, 2), moved(), false},
		{"one moves, the other way round", three, restart(moved(), 3, 2, 1), moved(), false},
	}
	for _, c := range cases {
		for _, patient := range []bool{true, false} {
			if c.look && !patient {
				continue
			}
			t.Run(fmt.Sprintf("%s, patient %v", c.name, patient), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					roll := newRoll(t, c.old)
					roll.through(c.steps, patient, addrs(c.old, c.list))
					roll.mustAgree(c.list)
				})
			})
		}
	}
}

// through takes the steps while clients write.
func (r *roll) through(steps []step, patient bool, to string) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var writers []*writer
	var writing sync.WaitGroup
	for _, name := range []string{"a", "b", "c"} {
		w := r.writer(name, to)
		writers = append(writers, w)
		writing.Go(func() { w.write(ctx) }) // ends with ctx
	}
	c := writers[0].c
	mustCreate(r, c, "/n", client.Persistent)
	for i, s := range steps {
		if s.list == nil {
			r.stop(s.id)
		} else {
			r.start(s.id, s.list)
		}
		if patient {
			mustSet(r, c, "/n", fmt.Sprint(i))
			time.Sleep(5 * time.Second) // of virtual time
			mustSet(r, c, "/n", fmt.Sprint(i))
		}
	}
	for _, s := range r.servers {
		mustServe(r, s)
	}
	time.Sleep(rollTimeout + 5*time.Second) // a session that nobody kept would have ended
	cancel()
	writing.Wait()
	for _, w := range writers {
		require.NoError(r, w.err)
		require.Greater(r, w.done, 40)
		require.Equal(r, w.session.ID(), w.c.Session().ID(), "another session")
	}
	r.mustHave(writers)
	for _, w := range writers {
		require.NoError(r, w.c.Close())
	}
}

// mustHave demands that every server has all that writers were told of, and that their sessions live. What was asked for later is
// later in the order: who led before others did, and may have believed so for a moment longer, has done nothing in that moment.
func (r *roll) mustHave(writers []*writer) {
	for id, s := range r.servers {
		c, err := client.Connect(short(r), s.ConnectString(), &client.Options{Dialer: r.network.Dial})
		require.NoError(r, err)
		require.NoError(r, c.Sync(short(r), "/"))
		for _, w := range writers {
			_, there, err := c.Exists(short(r), "/of-"+w.name)
			require.NoError(r, err)
			require.True(r, there, "the session of %s has ended", w.name)
		}
		latest := make([]int64, 1, len(r.done)+1) // of so many writes
		for n, x := range r.done {
			stat, there, err := c.Exists(short(r), x.path)
			require.NoError(r, err)
			require.True(r, there, "server %d lacks %s", id, x.path)
			require.Greater(r, stat.Czxid, latest[x.after], x.path)
			latest = append(latest, max(latest[n], stat.Czxid))
		}
		require.NoError(r, c.Close())
	}
}

// mustAgree demands that the servers of a list are all that run, and have it, and ends them.
func (r *roll) mustAgree(list []ensemble.Member) {
	require.Len(r, r.servers, len(list))
	want, leaders := "", 0
	for _, m := range list {
		want += fmt.Sprintf("server.%d=%s:%d:%d:participant;%s\n", m.ID, m.Host, m.QuorumPort, m.ElectionPort, m.ClientAddr)
	}
	for _, m := range list {
		s := r.servers[m.ID]
		require.NotNil(r, s, "server %d", m.ID)
		if s.Role() == "leader" {
			leaders++
		}
		require.Equal(r, m.ClientAddr, s.ConnectString())
		c, err := client.Connect(short(r), m.ClientAddr, &client.Options{Dialer: r.network.Dial})
		require.NoError(r, err)
		data, _, err := c.Get(short(r), "/zookeeper/config")
		require.NoError(r, err)
		require.Equal(r, want+"version=0", string(data), "server %d", m.ID)
		require.NoError(r, c.Close())
	}
	require.Equal(r, 1, leaders)
	for _, m := range list {
		r.stop(m.ID)
	}
	for i := range r.reign[1:] {
		require.Less(r, r.reign[i].Epoch, r.reign[i+1].Epoch, "no two lead in one epoch, and nobody in an old one")
	}
}
