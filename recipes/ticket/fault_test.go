package ticket_test

import (
	"context"
	"errors"
	"flag"
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
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/trouble"
	"github.com/bellwether-zk/bellwether/recipes/ticket"
)

var (
	faultRuns = flag.Int("ticket.runs", 4, "how many runs with faults there are, of which a half have three servers")
	faultSeed = flag.Uint64("ticket.seed", 0, "the first run's; 0: a random one")
)

// guest is the marker of tickets that wait for those with marker only, in runs that have them, and of those exchanged in any run.
const guest = "guest-"

// Tickets among all that can break: never two that are first at once, by the proofs of Wait and the end of Context; each first in its
// order; who leaves wakes one at most; no place outlives its node, and no node its ticket; and in the end everybody has a turn.
func TestTicketsAmongFaults(t *testing.T) {
	seed := *faultSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	firsts, exchanged, cancelled, faults := 0, 0, 0, 0
	struck := map[string]int{}
	for i := range *faultRuns {
		w := &world{seed: seed + uint64(i), journal: map[string]*entry{}, inside: map[*ticket.Ticket]bool{}, forced: map[any]bool{}}
		synctest.Test(t, func(t *testing.T) {
			w.t = t
			w.run()
		})
		if t.Failed() {
			t.Fatalf("it was seed %d: -ticket.runs 1 -ticket.seed %d", w.seed, w.seed)
		}
		firsts, exchanged, cancelled = firsts+w.firsts, exchanged+w.exchanged, cancelled+w.cancelled
		for what, n := range w.struck {
			struck[what] += n
			faults += n
		}
	}
	t.Logf("first %d times, exchanged %d, cancelled %d, with %d faults that took effect: %v", firsts, exchanged, cancelled, faults, struck)
	require.Greater(t, firsts, 25**faultRuns)
	require.Greater(t, exchanged, *faultRuns)
	require.Greater(t, cancelled, *faultRuns)
	require.Greater(t, faults, firsts/10)
}

// A world is a line with people who take tickets, and a checker that sees all of them.
type world struct {
	t      *testing.T
	seed   uint64
	guests bool // there are tickets that wait for some of those ahead only
	e      *ensembletest.Ensemble
	record *ensembletest.Recorder

	mu        sync.Mutex
	journal   map[string]*entry       // by the nodes' paths, of which one that is exchanged has two
	failures  []failure               // to wait
	inside    map[*ticket.Ticket]bool // that are first, and whether alone
	alone     int64                   // the greatest token of one that was
	seen      int64                   // the greatest token of all that were first
	forced    map[any]bool            // nodes' ids that were removed by hand, and sessions ended so: nobody can know before
	calm      bool                    // nothing goes wrong any more, and whoever was to be ended by force, and was not, may go on
	firsts    int
	exchanged int
	cancelled int
	struck    map[string]int
}

// An entry is a ticket that was taken.
type entry struct {
	*ticket.Ticket
	taken time.Time
}

// A failure is a wait that came to nothing: what was watched for it may be told of later.
type failure struct {
	session, token int64
	taken          time.Time
}

// A person takes tickets, one after the other.
type person struct {
	*world
	*rand.Rand
	client *client.Client
	own    int // how often it was first
}

func (w *world) run() {
	t, r := w.t, rand.New(rand.NewPCG(w.seed, 99))
	w.guests = w.seed%4 >= 2
	w.e = ensembletest.Start(t, 1+2*int(w.seed%2), &ensembletest.Options{Client: client.Options{SessionTimeout: 10 * time.Second}})
	w.record = w.e.Record()
	admin := w.e.Connect(t)
	if r.IntN(2) == 0 { // the numbers will be negative soon
		_, err := admin.Create(t.Context(), dir, nil, &client.CreateOptions{Mode: client.Container, Parents: client.ContainerParents})
		require.NoError(t, err)
		require.NoError(t, w.e.SetSequence(t.Context(), dir, 1<<31-20))
	}
	var (
		clients        []*client.Client
		sitting, alive sync.WaitGroup
		seated, calm   = make(chan struct{}), make(chan struct{})
	)
	for i := range 5 {
		p := &person{world: w, Rand: rand.New(rand.NewPCG(w.seed, uint64(i))), client: w.e.Connect(t)}
		clients = append(clients, p.client)
		sitting.Add(1)
		alive.Go(func() { p.live(&sitting, calm) })
	}
	go func() { // ends with the people's turns, or the test
		sitting.Wait()
		close(seated)
	}()
	w.slow(clients)
	maker := w.trouble(admin, clients, r)
	for left := 6; left > 0; { // some when all sit
		maker.Strike(clients[r.IntN(len(clients))])
		select {
		case <-seated:
			left--
			w.removeOne(t.Context(), admin, r)
		default:
		}
		time.Sleep(time.Duration(r.Int64N(int64(6 * time.Second))))
	}
	require.NoError(t, maker.End(t.Context()))
	w.struck = maker.Struck()
	time.Sleep(30 * time.Second) // everybody is connected again
	synctest.Wait()
	w.mustBeOfOneMind()
	w.slow(clients)
	w.mu.Lock()
	w.calm = true
	w.mu.Unlock()
	close(calm)
	alive.Wait()
	time.Sleep(30 * time.Second) // sessions that were lost are over
	require.NoError(t, w.e.WaitCaughtUp(t.Context()))
	require.NoError(t, admin.Sync(t.Context(), dir))
	line, err := ticket.Line(t.Context(), admin, dir, marker, guest)
	require.NoError(t, err)
	require.Empty(t, line)
	require.Empty(t, w.e.Watches())
	w.mustHaveEnded()
	w.mustWakeOne()
}

// slow lets every answer take a moment, in which something may happen.
func (w *world) slow(clients []*client.Client) {
	for _, c := range clients {
		w.e.Proxy(c).Delay(proxy.Reply(proxy.OpAll, "").Always(), time.Millisecond)
	}
}

// live takes turns in trouble, sits down with a ticket until it is calm, has its turn with that if it still has it, and then with more.
func (p *person) live(sitting *sync.WaitGroup, calm <-chan struct{}) {
	for range 25 {
		ctx, cancel := context.WithTimeout(p.t.Context(), p.upTo(40*time.Second))
		p.turn(ctx)
		cancel()
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), 4*time.Hour)
	defer cancel()
	seat := p.take(ctx)
	sitting.Done()
	<-calm
	if seat != nil {
		_ = p.wait(ctx, seat)
		p.giveBack(seat)
	}
	for turns, before := 0, p.own; (turns < 4 || p.own == before) && !p.t.Failed(); turns++ {
		p.turn(ctx)
		if ctx.Err() != nil {
			p.t.Error("somebody starves")
		}
	}
}

// turn is from taking a ticket until it is returned, or less.
func (p *person) turn(ctx context.Context) {
	taking := ctx
	if p.IntN(4) == 0 {
		var cancel context.CancelFunc
		taking, cancel = context.WithTimeout(ctx, p.upTo(6*time.Millisecond))
		defer cancel()
	}
	tk := p.take(taking)
	if tk == nil {
		return
	}
	defer p.giveBack(tk)
	if p.IntN(8) == 0 {
		return // it has seen enough
	}
	if p.IntN(4) == 0 { // not so long, and then again
		short, cancel := context.WithTimeout(ctx, p.upTo(2*time.Second))
		defer cancel()
		if p.wait(short, tk) {
			p.beFirst(tk)
			return
		}
	}
	if p.wait(ctx, tk) {
		p.beFirst(tk)
	}
}

// take takes a ticket, or nil.
func (p *person) take(ctx context.Context) *ticket.Ticket {
	opts := &ticket.Options{Others: []string{guest}}
	mark := marker
	if p.guests && p.IntN(2) == 0 {
		mark, opts.Others = guest, []string{marker}
		opts.Rule = lastAlone
	}
	tk, err := ticket.Take(ctx, p.client, dir, mark, opts)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.journal[tk.Path()] = &entry{tk, time.Now()}
		return tk
	case ctx.Err() != nil:
		p.cancelled++
	case !errors.Is(err, client.ErrSessionExpired) && !errors.Is(err, ticket.ErrGone) || p.t.Context().Err() != nil:
		p.t.Error("take: ", err)
	}
	return nil
}

// lastAlone is the rule of guests.
func lastAlone(ahead []ticket.Place) *ticket.Place {
	for _, p := range slices.Backward(ahead) {
		if p.Marker == marker {
			return &p
		}
	}
	return nil
}

// wait tells whether a ticket is the first, of which First must know as well.
func (p *person) wait(ctx context.Context, tk *ticket.Ticket) bool {
	err := tk.Wait(ctx)
	if err == nil && p.IntN(4) == 0 {
		if first, err := tk.First(ctx); err == nil && !first {
			p.t.Error("it is first, and is not")
		}
	}
	if err == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = append(p.failures, failure{tk.Session().ID(), tk.Token(), p.journal[tk.Path()].taken})
	if ctx.Err() != nil {
		p.cancelled++
	} else if cause := context.Cause(tk.Context()); !errors.Is(err, client.ErrSessionExpired) && !errors.Is(err, ticket.ErrGone) {
		p.t.Errorf("wait: %v; %v", err, cause)
	}
	return false
}

// beFirst enters, does something for a while, and leaves.
func (p *person) beFirst(tk *ticket.Ticket) {
	if !p.enter(tk) {
		return
	}
	p.idle(tk)
	if p.IntN(3) == 0 && tk.Place().Marker == marker && p.exchange(tk) {
		p.idle(tk)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.inside, tk)
}

// enter lets a ticket be first. Those that are first already and do not stand it must have been told that they are not any more: by the end
// of their contexts, and not because somebody asks. It is false if the newcomer has been told so itself.
func (p *person) enter(tk *ticket.Ticket) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if tk.Context().Err() != nil || p.isForced(tk) {
		return false
	}
	alone := tk.Place().Marker == marker || !p.guests
	for other, alsoAlone := range p.inside {
		select {
		case <-other.Context().Done():
		default:
			if (alone || alsoAlone) && !p.isForced(other) {
				p.t.Errorf("%s is first, and so is %s", tk.Path(), other.Path())
			}
		}
	}
	if tk.Token() <= p.alone || alone && tk.Token() <= p.seen {
		p.t.Errorf("token %d is first after %d, and after %d that was so alone", tk.Token(), p.seen, p.alone)
	}
	p.inside[tk] = alone
	p.seen = max(p.seen, tk.Token())
	if alone {
		p.alone = tk.Token()
	}
	p.firsts++
	p.own++
	return true
}

// exchange makes a guest of a ticket that is first, and tells whether it has.
func (p *person) exchange(tk *ticket.Ticket) bool {
	p.mu.Lock()
	p.inside[tk] = !p.guests // from now on
	old := tk.Place()
	next := strings.Replace(tk.Path(), marker, guest, 1)
	if old.Number == 1<<31-1 {
		next = strings.Replace(next, "2147483647", "2147483646", 1)
	}
	p.journal[next] = p.journal[tk.Path()]
	p.mu.Unlock()
	patience := 3 * time.Second
	if p.IntN(2) == 0 {
		patience = 3 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), p.upTo(patience))
	defer cancel()
	err := tk.Exchange(ctx, guest)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.exchanged++
		if tk.Path() != next {
			p.t.Errorf("%s was exchanged for %s", old.Name, tk.Path())
		}
	case ctx.Err() == nil && tk.Context().Err() == nil && !p.isForced(tk) && !errors.Is(err, ticket.ErrGone):
		p.t.Error("exchange: ", err)
	}
	return err == nil
}

// idle is mostly for a moment, sometimes so long that the session may end meanwhile.
func (p *person) idle(tk *ticket.Ticket) {
	enough := 500 * time.Millisecond
	if p.IntN(10) == 0 {
		enough = 15 * time.Second
	}
	timer := time.NewTimer(p.upTo(enough))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-tk.Context().Done():
	}
}

// giveBack returns a ticket, if need be after that was given up.
func (p *person) giveBack(tk *ticket.Ticket) {
	if p.IntN(4) == 0 {
		ctx, cancel := context.WithTimeout(p.t.Context(), p.upTo(3*time.Millisecond))
		defer cancel()
		if err := tk.Return(ctx); err != nil && !errors.Is(err, client.ErrUnknown) {
			p.t.Error("return: ", err)
		}
	}
	if err := tk.Return(p.t.Context()); err != nil {
		p.t.Error("return: ", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.calm || tk.Session().Err() != nil { // servers that are cut off may know nothing of it, and the others not of the session's end
		return
	}
	has := func(s *ensembletest.Server) bool { _, there := s.Node(tk.Path()); return there }
	if !slices.ContainsFunc(p.e.Servers(), func(s *ensembletest.Server) bool { return !has(s) }) {
		p.t.Errorf("%s is returned, and there", tk.Path())
	}
}

func (p *person) upTo(d time.Duration) time.Duration { return time.Duration(p.Int64N(int64(d))) }

// trouble is all that can break, and what others do to a line.
func (w *world) trouble(admin *client.Client, clients []*client.Client, r *rand.Rand) *trouble.Maker {
	m := trouble.New(w.e, r)
	m.Also("foreign child", func(ctx context.Context) bool {
		const foreign = dir + "/_c_foreign"
		_, err := admin.Create(ctx, foreign, nil, &client.CreateOptions{Mode: client.Ephemeral})
		if errors.Is(err, client.ErrNodeExists) { // else no directory would ever be swept
			err = admin.Delete(ctx, foreign, client.AnyVersion)
		}
		return err == nil
	})
	m.Also("removed", func(ctx context.Context) bool { return w.removeOne(ctx, admin, r) })
	m.Also("expired", func(ctx context.Context) bool {
		id := clients[r.IntN(len(clients))].Session().ID()
		w.force(id)
		return w.e.ExpireSession(ctx, id) == nil
	})
	return m
}

// removeOne removes a ticket's node by hand.
func (w *world) removeOne(ctx context.Context, admin *client.Client, r *rand.Rand) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	line, err := ticket.Line(ctx, admin, dir, marker, guest)
	if err != nil || len(line) == 0 {
		return false
	}
	p := line[r.IntN(len(line))]
	w.force(p.ID)
	return admin.Delete(ctx, dir+"/"+p.Name, client.AnyVersion) == nil
}

// force notes what is about to be ended without its owner's knowledge: a node's id, or a session.
func (w *world) force(what any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forced[what] = true
}

// isForced tells whether somebody may have ended a place without its owner's knowledge. w.mu is held.
func (w *world) isForced(tk *ticket.Ticket) bool {
	return !w.calm && (w.forced[tk.Session().ID()] || w.forced[tk.Place().ID])
}

// mustBeOfOneMind complains of places that go on without a node when all is well, and of nodes whose places do not.
func (w *world) mustBeOfOneMind() {
	w.mu.Lock()
	defer w.mu.Unlock()
	tree := w.e.Leader().Tree()
	going := map[string]bool{}
	for _, one := range w.journal {
		if one.Context().Err() != nil {
			continue
		}
		going[one.Path()] = true
		if _, there := tree[one.Path()]; !there {
			w.t.Errorf("%s goes on, and is not there", one.Path())
		}
	}
	for path := range tree {
		if name, below := strings.CutPrefix(path, dir+"/"); below && !going[path] {
			if _, mine := ticket.Parse(name, marker, guest); mine {
				w.t.Errorf("%s is there, and does not go on", path)
			}
		}
	}
}

// mustHaveEnded complains of places that go on in the end, and of those that ended for nothing.
func (w *world) mustHaveEnded() {
	for _, one := range w.journal {
		switch cause := context.Cause(one.Context()); {
		case one.Context().Err() == nil:
			w.t.Errorf("%s goes on", one.Path())
		case errors.Is(cause, ticket.ErrReturned):
		case errors.Is(cause, client.ErrSessionExpired) && one.Session().Err() != nil:
		case errors.Is(cause, ticket.ErrGone) && (w.forced[one.Place().ID] || one.Session().Err() != nil):
		default:
			w.t.Errorf("%s ended: %v", one.Path(), cause)
		}
	}
}

// mustWakeOne complains where the end of one node was told to more than one session that was still in the line. Its own does not count, nor
// those whose wait came to nothing.
func (w *world) mustWakeOne() {
	if w.guests {
		return // whom one who is alone lets go may be many
	}
	woken := 0
	for path, gone := range w.journal {
		var told []int64
		for _, e := range w.record.Events(ensembletest.Match{Type: client.EventDeleted, Path: path}) {
			gaveUp := func(f failure) bool { return f.session == e.Session && f.token > gone.Token() && !f.taken.After(e.At) }
			if e.Session != gone.Session().ID() && !slices.Contains(told, e.Session) && !slices.ContainsFunc(w.failures, gaveUp) {
				told = append(told, e.Session)
			}
		}
		if len(told) > 1 {
			w.t.Errorf("the end of %s was told to %x", path, told)
		}
		woken += len(told)
	}
	if woken < w.firsts/4 {
		w.t.Errorf("%d were woken, and %d were first", woken, w.firsts)
	}
}
