package group_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
	"github.com/bellwether-zk/bellwether/recipes/group"
)

var (
	runs = flag.Int("group.runs", 2, "how many runs with random trouble there are")
	seed = flag.Uint64("group.seed", 0, "the first run's seed; 0: a random one")
)

// tally is what came of all runs.
type tally struct {
	joined, events int
	struck         map[string]int // by what, and how often
}

// Members who come and go among faults of all kinds: those who look on are told nothing impossible, and in the end the same as the servers
// know, and as the members wish. Nobody's payload is ever under somebody else's name; nothing is left behind.
func TestMembersInTrouble(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64()
	}
	t.Logf("seed %d", first)
	sum := tally{struck: map[string]int{}}
	for i := range *runs {
		r := &trial{seed: first + uint64(i), owners: map[int64]int{}, payloads: map[int64]map[string]bool{}, Rand: rand.New(rand.NewPCG(first+uint64(i), 0))}
		synctest.Test(t, func(t *testing.T) {
			r.t = t
			r.run()
		})
		if t.Failed() {
			t.Fatalf("it was seed %d", r.seed)
		}
		sum.joined += r.joined
		sum.events += r.events
		for what, n := range r.struck {
			sum.struck[what] += n
		}
	}
	t.Logf("joined %d times, %d events told, faults that took effect: %v", sum.joined, sum.events, sum.struck)
	require.Greater(t, sum.joined, 20**runs)
	require.NotEmpty(t, sum.struck)
}

// A trial is one run.
type trial struct {
	*rand.Rand
	t    *testing.T
	seed uint64
	e    *ensembletest.Ensemble

	mu       sync.Mutex
	owners   map[int64]int             // whose a session is
	payloads map[int64]map[string]bool // who wrote the payloads that were seen in a session
	tally
}

const (
	clients   = 5
	observers = 2
)

func (r *trial) upTo(d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }

func (r *trial) run() {
	t := r.t
	r.e = ensembletest.Start(t, 3, &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second}})
	admin := r.e.Connect(t)
	all := make([]*client.Client, clients+observers)
	var owners, members, lookers sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for i := range all {
		all[i] = r.e.Connect(t)
		owners.Go(func() { // ends with ctx
			for s := range all[i].States(ctx) {
				r.mu.Lock()
				r.owners[s.Session.ID()] = i
				r.mu.Unlock()
			}
		})
	}
	var views []*view
	for i := range observers {
		v := &view{trial: r, View: mustObserve(t, all[clients+i], nil), known: map[string]group.Member{}}
		views = append(views, v)
		lookers.Go(func() { v.look(ctx) })
	}
	wishes := make(map[string]string)
	done := make(chan struct{})
	for i := range clients {
		m := &mover{trial: r, Rand: rand.New(rand.NewPCG(r.seed, uint64(1+i))), number: i, client: all[i]}
		members.Go(func() { m.live(done) })
	}
	maker := r.trouble(admin, all)
	for range 30 {
		maker.Strike(all[r.IntN(len(all))])
		time.Sleep(r.upTo(5 * time.Second))
	}
	require.NoError(t, maker.End(t.Context()))
	r.struck = maker.Struck()
	time.Sleep(30 * time.Second) // everybody is connected again
	close(done)
	members.Wait()

	// Everybody has left. Some join for good, and everybody agrees.
	last := make([]*group.Membership, 0, clients)
	for i := range clients - 1 {
		id := fmt.Sprint("member ", i)
		wishes[id] = fmt.Sprint(i, " for good")
		last = append(last, mustJoin(t, all[i], id, wishes[id]))
	}
	time.Sleep(time.Minute) // sessions that were lost are over
	got := map[string]string{}
	for _, m := range mustInspect(t, admin, nil) {
		got[m.ID] = string(m.Payload)
	}
	require.Equal(t, wishes, got)
	for _, v := range views {
		require.Zero(t, v.StaleSince())
		seen := map[string]string{}
		for _, m := range v.Members() {
			seen[m.ID] = string(m.Payload)
		}
		require.Equal(t, wishes, seen)
		require.Equal(t, wishes, v.told())
	}
	for _, m := range last {
		require.True(t, m.Status().Registered)
		require.NoError(t, m.Leave(t.Context()))
	}
	require.Empty(t, mustInspect(t, admin, nil))
	stop()
	lookers.Wait()
	owners.Wait()
	for session, authors := range r.payloads {
		require.Equal(t, map[string]bool{fmt.Sprint(r.owners[session]): true}, authors)
	}
	require.NoError(t, r.e.WaitCaughtUp(t.Context()))
	for p := range r.e.Server(1).Tree() {
		require.False(t, strings.HasPrefix(p, path+"/member"), p)
	}
}

// A mover is one client, that joins and leaves; the last two have the same id now and then.
type mover struct {
	*trial
	*rand.Rand
	number int
	client *client.Client
}

// live joins, changes and leaves, until done, and has left then.
func (m *mover) live(done <-chan struct{}) {
	more := func() bool {
		select {
		case <-done:
			return false
		default:
			return true
		}
	}
	upTo := func(d time.Duration) time.Duration { return time.Duration(m.Int64N(int64(d))) }
	for n := 0; more(); n++ {
		id := fmt.Sprint("member ", min(m.number, clients-1-m.IntN(2)))
		g := group.New(m.client, path, &group.Options{Patience: []time.Duration{-1, 0, time.Second}[m.IntN(3)]})
		ctx, cancel := context.WithTimeout(m.t.Context(), upTo(20*time.Second))
		me, err := g.Join(ctx, id, fmt.Append(nil, m.number, " ", n))
		cancel()
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, group.ErrTaken) {
				m.t.Errorf("seed %d: %v", m.seed, err)
			}
			time.Sleep(upTo(time.Second))
			continue
		}
		m.mu.Lock()
		m.joined++
		m.mu.Unlock()
		for range m.IntN(3) {
			time.Sleep(upTo(3 * time.Second))
			n++
			ctx, cancel := context.WithTimeout(m.t.Context(), upTo(5*time.Second))
			if err := me.Set(ctx, fmt.Append(nil, m.number, " ", n)); err != nil && !errors.Is(err, client.ErrUnknown) {
				m.t.Errorf("seed %d: %v", m.seed, err)
			}
			cancel()
		}
		if m.IntN(4) == 0 { // it is given up half-way
			ctx, cancel := context.WithTimeout(m.t.Context(), upTo(10*time.Millisecond))
			if err := me.Leave(ctx); err != nil && !errors.Is(err, client.ErrUnknown) {
				m.t.Errorf("seed %d: %v", m.seed, err)
			}
			cancel()
		}
		if err := me.Leave(m.t.Context()); err != nil {
			m.t.Errorf("seed %d: %v", m.seed, err)
		}
	}
}

// A view is one that looks on, and what it was told.
type view struct {
	*trial
	*group.View
	known map[string]group.Member
}

// look checks that what is told is possible.
func (v *view) look(ctx context.Context) {
	tokens := map[string]int64{}
	for e := range v.Events(ctx) {
		v.mu.Lock()
		v.events++
		old, there := v.known[e.Member.ID]
		complain := func() {
			v.t.Errorf("seed %d: %+v when %v %+v was known, and token %d", v.seed, e, there, old, tokens[e.Member.ID])
		}
		switch e.Kind {
		case group.Joined:
			if there || e.Member.Token <= tokens[e.Member.ID] {
				complain()
			}
			v.known[e.Member.ID], tokens[e.Member.ID] = e.Member, e.Member.Token
		case group.Updated:
			if !there || old.Token != e.Member.Token || string(old.Payload) != string(e.Old.Payload) {
				complain()
			}
			v.known[e.Member.ID] = e.Member
		case group.Left:
			if !there || old.Token != e.Member.Token {
				complain()
			}
			delete(v.known, e.Member.ID)
		}
		if m := e.Member; m.ID != "" {
			if v.payloads[m.Session] == nil {
				v.payloads[m.Session] = map[string]bool{}
			}
			v.payloads[m.Session][strings.Fields(string(m.Payload))[0]] = true
		}
		v.mu.Unlock()
	}
}

// told is what the loop knows.
func (v *view) told() map[string]string {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := map[string]string{}
	for id, m := range v.known {
		out[id] = string(m.Payload)
	}
	return out
}

// trouble is all that can break, and what others do to members.
func (r *trial) trouble(admin *client.Client, all []*client.Client) *trouble.Maker {
	m := trouble.New(r.e, r.Rand)
	m.Also("expired", func(ctx context.Context) bool {
		return r.e.ExpireSession(ctx, all[r.IntN(len(all))].Session().ID()) == nil
	})
	m.Also("removed", func(ctx context.Context) bool {
		return admin.Delete(ctx, fmt.Sprint(path, "/member ", r.IntN(clients)), client.AnyVersion) == nil
	})
	m.Also("foreign child", func(ctx context.Context) bool { // who is persistent is nobody
		_, err := admin.Create(ctx, path+"/foreign", []byte("9 nobody"), nil)
		if errors.Is(err, client.ErrNodeExists) {
			err = admin.Delete(ctx, path+"/foreign", client.AnyVersion)
		}
		return err == nil
	})
	return m
}
