package sim

import (
	"errors"
	"fmt"
	"math"

	"github.com/bellwether-zk/bellwether/ensemble/internal/auth"
	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/image"
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/store"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/zab"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
	"github.com/bellwether-zk/bellwether/ensemble/sim/clock"
	"github.com/bellwether-zk/bellwether/ensemble/sim/judge"
	"github.com/bellwether-zk/bellwether/ensemble/sim/plan"
)

// A life is one run of a server's process: what package server is around a replica, without its goroutines.
type life struct {
	*server
	r       *replica.Replica
	st      *store.Store
	history *zab.History
	auth    *auth.Registry
	over    bool

	in      inbox
	turning bool  // a turn is coming
	alarm   int64 // when Tick is due, on the monotonic clock
	alarms  int   // the alarm that counts
	latest  int64 // what a wrong clock has shown
	dues    int
	spun    int // how often in a row it was due at once
	applied replica.Applied

	freshUntil int64 // till when, on the monotonic clock, clients may be told that their sessions live; -1: they may not

	lane
	dump dumping

	links     map[packet.LinkID]*link
	dirty     []*link // have something to send
	lastLink  packet.LinkID
	accepting bool
	taking    bool    // a leader's tree is being made durable
	holding   []*link // accepted before learners are

	votes *votes

	guests    map[request.ConnID]*guest
	inOrder   []*guest // the same, in order of their coming
	soiled    []*guest // have something to be told
	lastGuest request.ConnID

	told told
}

// told is what the invariants have been told of this life.
type told struct {
	role    replica.Role
	leads   bool
	epoch   int64 // in which it leads
	serving bool
}

// inbox is what is left for the next turn.
type inbox struct {
	done     []finished
	touches  []touch
	peers    []func(now replica.Time)
	requests []request.Request
	knocking []func(now replica.Time)
	gone     []request.ConnID
}

// A touch is a session that was heard of, at a moment of the monotonic clock.
type touch struct {
	session znode.SessionID
	mono    int64
}

func newLife(s *server) *life {
	return &life{
		server: s, alarm: math.MaxInt64, freshUntil: -1, links: map[packet.LinkID]*link{}, guests: map[request.ConnID]*guest{},
	}
}

// time is what the process's clocks show.
func (l *life) time() replica.Time {
	now := l.world.now
	return l.wrongTime(replica.Time{Mono: l.clock.Mono(now), Wall: l.clock.Wall(now)})
}

// treeOptions are those of every tree of an ensemble.
var treeOptions = tree.Options{Extended: true}

const (
	historyCount = 100_000
	historyBytes = 64 << 20
)

// load takes the data directory into use and makes the replica.
func (l *life) load() (err error) {
	if l.auth, err = auth.New(auth.Config{}); err != nil {
		return err
	}
	if err = l.open(); err != nil {
		return err
	}
	boot, first, err := l.recover()
	if err != nil {
		return err
	}
	l.epochFlipped = false
	l.r = replica.New(replica.Config{
		ServerID: uint8(l.id), Tick: l.opts.Tick, MinTimeout: int32(2 * l.opts.Tick), MaxTimeout: int32(20 * l.opts.Tick), Auth: l.auth,
		Sweep:  replica.Sweep{Interval: 5 * l.opts.Tick, PerMinute: 10_000, MaxNeverUsed: 20 * l.opts.Tick},
		Quorum: l.config, Self: l.id, InitLimit: 10, SyncLimit: 5, Hold: l.opts.Hold, CounterStart: l.opts.CounterStart,
	}, boot, l.time())
	now := l.world.now
	l.inv.Start(now, int(l.id), judge.Boot{
		Accepted: boot.AcceptedEpoch, Current: boot.CurrentEpoch, Last: boot.Tree.Zxid(), Untrusted: boot.Untrusted != nil,
	})
	l.inv.Load(now, int(l.id), boot.Tree.Zxid(), boot.Tree.Digest())
	if first {
		return l.firstSnapshot()
	}
	return nil
}

func (l *life) open() (err error) {
	l.st, err = store.Open(l.filesystem(), store.Options{DataDir: "/data", Log: txnlog.Options{
		Prealloc: 8 << 10, SizeLimit: l.opts.LogSize, CounterStart: l.opts.CounterStart,
	}})
	return err
}

// recover reads the data directory. first says that it has no snapshot yet.
func (l *life) recover() (boot replica.Boot, first bool, err error) {
	l.history = zab.NewHistory(0, historyCount, historyBytes)
	loading := image.NewLoading(treeOptions, image.Hooks{
		Base: l.history.Reset,
		Record: func(r txnlog.Record) {
			if l.history.Add(zab.Record{Zxid: r.Zxid, Payload: r.Payload}) != nil {
				l.history.Reset(r.Zxid)
			}
		},
	})
	rec, err := l.st.Recover(loading.Snapshot, loading.Record)
	if err != nil && curable(err) && l.has(TrustDamage) {
		if err = l.wipe(); err != nil {
			return boot, false, err
		}
		loading.Reset()
		rec, err = l.st.Recover(loading.Snapshot, loading.Record)
	}
	if err == nil {
		err = loading.Diverged()
	}
	boot = replica.Boot{Tree: loading.Tree(), History: l.history, Served: l.st.Served()}
	if err == nil {
		boot.AcceptedEpoch, boot.CurrentEpoch, err = l.st.Epochs(boot.Tree.Zxid())
	}
	fuzzy := false
	if err == nil {
		fuzzy, err = l.st.Fuzzy()
	}
	switch {
	case err != nil && curable(err):
		boot.Untrusted = err
		boot.Tree, boot.CurrentEpoch = tree.New(treeOptions), 0
		l.history.Reset(0)
		rec = store.Recovery{}
		boot.AcceptedEpoch, err = l.st.Distrust()
	case err == nil && rec.Empty && l.st.Served() && !rec.Initialize:
		boot.Untrusted = errLost
	case err == nil && fuzzy:
		boot.Untrusted = replica.ErrFuzzy
	}
	l.since = rec.Records
	if boot.Untrusted != nil {
		l.counts.add("untrusted at the start")
		l.world.say("server %d: does not trust its disk: %v", l.id, boot.Untrusted)
	}
	return boot, rec.Snapshot == nil && boot.Untrusted == nil, err
}

var errLost = errors.New("no data, but this server has served before")

// curable reports whether an error is about what was read, for which there are others who have it, as package server does.
func curable(err error) bool {
	if errors.Is(err, disk.ErrBroken) {
		return false
	}
	for _, kind := range []error{disk.ErrDamaged, store.ErrNoSnapshot, store.ErrEpoch, image.ErrDiverged, tree.ErrBadImage, jute.ErrMalformed} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// firstSnapshot writes the snapshot an empty directory begins with.
func (l *life) firstSnapshot() error {
	d := l.r.Tree().Dump()
	defer d.Close()
	w, err := l.st.BeginSnapshot(d.Zxid)
	if err != nil {
		return err
	}
	if err := image.Write(w, image.Source{Dump: d}); err != nil {
		return errors.Join(err, l.st.AbandonSnapshot(w))
	}
	return l.st.CommitSnapshot(w)
}

// begin lets the process run.
func (l *life) begin() {
	l.votes = newVotes(l)
	l.draw()
	now := l.time()
	l.settle(now)
	l.wind(now)
}

// abandon lets go of a directory that cannot be used.
func (l *life) abandon() {
	l.over = true
	l.renew(nil)
}

// end is the last of it: nothing that was to happen will.
func (l *life) end() {
	l.over = true
	if l.dump.d != nil {
		l.dump.d.Close()
	}
	for _, g := range l.inOrder {
		l.inv.Hangup(g.number())
	}
}

// kick makes the core take a turn soon.
func (l *life) kick() {
	if l.turning || l.over {
		return
	}
	l.turning = true
	l.world.after(5+clock.Time(l.rand.Int64N(40))+l.slowCore, func() {
		if l.over {
			return
		}
		l.later(func() {
			l.turning = false
			l.turn(false)
		})
	})
}

// spinMost is how often in a row a replica may want to know the time at once.
const spinMost = 1000

// wind sets the alarm for when the replica next wants to know the time.
func (l *life) wind(now replica.Time) {
	if l.over {
		return
	}
	next := l.r.Next(now)
	if next > now.Mono {
		l.spun = 0
	} else if l.spun++; l.spun == spinMost {
		l.bad = append(l.bad, judge.Violation{Check: "A9", At: l.world.now, Text: fmt.Sprintf(
			"server %d, %v, wants to know the time at once, %d times in a row", l.id, l.told.role, l.spun)})
		l.world.over = true
	}
	if next >= l.alarm {
		return
	}
	l.alarm = next
	l.alarms++
	mine := l.alarms
	at := l.clock.When(l.world.now, next)
	if l.has(WallClock) {
		at = l.world.now + clock.Time(next-now.Mono)*clock.Millisecond
	}
	l.world.at(max(at, l.world.now+1), func() {
		if l.over || l.alarms != mine {
			return
		}
		l.later(func() {
			if l.alarms == mine {
				l.alarm = math.MaxInt64
				l.turn(true)
			}
		})
	})
}

// turn applies what the disk makes possible, then tells the replica what has come in, and with due what time it is: as the core
// of package server does.
func (l *life) turn(due bool) {
	if l.over {
		return
	}
	if l.dues++; due && (!l.has(LateTouches) || l.dues%100 == 0) {
		l.collect()
	}
	now := l.time()
	l.completed(now)
	if l.settle(now); l.over {
		return
	}
	in := l.in
	l.in = inbox{}
	for _, t := range in.touches {
		l.r.Touch(t.session, t.mono)
	}
	for _, f := range in.peers {
		f(now)
		l.rise() // it may be over within the same turn
	}
	if len(in.requests) > 0 {
		l.r.Submit(in.requests, now)
	}
	for _, f := range in.knocking {
		f(now)
	}
	for _, id := range in.gone {
		l.r.Gone(id, now)
	}
	if due {
		l.expireHere(now)
		l.r.Tick(now)
	}
	if l.settle(now); l.over {
		return
	}
	l.refresh(now)
	l.maybeSnapshot()
	if l.nextDump() {
		l.settle(now)
	}
	l.world.mix(uint64(l.id), uint64(l.r.Zxid()), uint64(l.r.Tree().Zxid()), uint64(l.told.role))
	l.wind(now)
}

// settle applies what may be applied and carries out what the replica wants, until there is nothing left.
func (l *life) settle(now replica.Time) {
	for !l.over {
		l.rise()
		l.apply(now)
		if l.over {
			return
		}
		l.r.Proceed(now)
		l.rise()
		rd := l.r.Ready()
		if rd.Empty() {
			l.fall()
			return
		}
		l.enqueue(rd.Disk)
		l.swapRequests(rd)
		for i := range rd.Votes {
			l.misvote(&rd.Votes[i].Notification)
			l.votes.send(rd.Votes[i].To, &rd.Votes[i].Notification)
		}
		l.perform(rd, now)
		for i := range rd.Clients {
			l.attend(&rd.Clients[i])
		}
		rd.Reset()
		l.fall()
	}
}

// rise tells the invariants that this server serves or leads, before it acts as such.
func (l *life) rise() {
	role, serving := l.r.Role()
	if role == replica.Leading && l.r.Established() {
		l.lead()
	}
	if serving && !l.told.serving {
		l.inv.Serve(l.world.now, int(l.id))
		l.told.serving = true
		l.world.say("server %d: serves as %v at %v", l.id, role, l.r.Tree().Zxid())
	}
}

// fall tells them that it no longer does, after it has acted as such for the last time.
func (l *life) fall() {
	role, serving := l.r.Role()
	if l.told.leads && role != replica.Leading {
		l.told.leads = false
		l.inv.Depose(l.world.now, int(l.id))
	}
	if l.told.role != role || l.told.serving != serving {
		l.world.say("server %d: %v, serving %v, because of %v", l.id, role, serving, l.r.Left())
		if role == replica.Looking && l.told.role != replica.Looking {
			l.counts.add("role left: " + reason(l.r.Left()))
		}
		if l.told.role != role && role == replica.Looking {
			l.phase(plan.OnLooking)
		}
	}
	l.told.role, l.told.serving = role, serving
}

// lead tells the invariants that this server is established as leader.
func (l *life) lead() {
	_, current := l.r.Epochs()
	if l.told.leads && l.told.epoch == current {
		return
	}
	if l.told.leads { // it gave up, and was elected again, within one turn
		l.inv.Depose(l.world.now, int(l.id))
	}
	l.told.leads, l.told.epoch = true, current
	l.inv.Establish(l.world.now, int(l.id), current)
	for _, s := range l.servers {
		if s != l.server && s.life != nil && s.life.told.leads {
			l.counts.add("established beside an older leader")
		}
	}
	l.phase(plan.OnEstablished)
}

// reason is an error in few words, so that they can be counted.
func reason(err error) string {
	var z *zab.Error
	if errors.As(err, &z) {
		return z.Kind.Error()
	}
	for _, kind := range []error{errReset, errHangup, replica.ErrExhausted, replica.ErrTruncate, replica.ErrNewcomer, replica.ErrDiverged} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	if err == nil {
		return "none"
	}
	return "other"
}

// apply applies every transaction that may be, tells its watchers and answers who asked.
func (l *life) apply(now replica.Time) {
	for l.r.Applicable() {
		before := l.r.Tree().Zxid()
		more, err := l.r.Apply(&l.applied, now)
		if err != nil {
			l.fail(err)
			return
		}
		if !more {
			return
		}
		if t := l.r.Tree(); t.Zxid() != before {
			if l.told.leads {
				l.inv.Commit(l.world.now, int(l.id), t.Zxid())
			}
			l.inv.Apply(l.world.now, int(l.id), t.Zxid(), t.Digest())
		}
		l.deliver(&l.applied)
	}
}
