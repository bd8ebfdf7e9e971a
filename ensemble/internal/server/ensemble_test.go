package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/image"
	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/store"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// cluster is an ensemble of whole servers on one network in memory, each with a disk of its own, inside a synctest bubble. The
// servers are hosts server-1, server-2, … and clients come from elsewhere, so that faults between servers leave clients alone.
type cluster struct {
	*testing.T
	net     memnet.Network
	quorum  *quorum.Config
	change  func(*Config)
	members []*member
	ledger  ledger
}

// member is one server of a cluster, running or not. Whoever starts, stops or harms it holds its turn.
type member struct {
	*cluster
	id    packet.ServerID
	turn  chan struct{} // holds one while nobody is at it
	drive *drive

	mu     sync.Mutex
	server *Server // nil: it is down
}

// newCluster starts voters and observers.
func newCluster(t *testing.T, voters, observers int, change func(*Config)) *cluster {
	c := &cluster{T: t, quorum: new(quorum.Config), change: change}
	for i := range voters + observers {
		m := &member{cluster: c, id: packet.ServerID(i + 1), turn: make(chan struct{}, 1)}
		m.turn <- struct{}{}
		m.drive = newDrive(disk.NewMem(&disk.MemOptions{CrashModel: true}))
		c.members = append(c.members, m)
		c.quorum.Members = append(c.quorum.Members, quorum.Member{
			ID: m.id, Observer: i >= voters, Addrs: []quorum.Addr{{Host: m.host(), QuorumPort: 2888, ElectionPort: 3888}},
		})
	}
	t.Cleanup(c.closeAll)
	for _, m := range c.members {
		m.mustStart()
	}
	return c
}

func (m *member) host() string { return fmt.Sprint("server-", m.id) }

func (m *member) clientAddr() string { return m.host() + ":2181" }

// running is the server, nil while it is down.
func (m *member) running() *Server {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.server
}

// take takes the member for oneself; give gives it back.
func (m *member) take() { <-m.turn }
func (m *member) give() { m.turn <- struct{}{} }

func (m *member) mustStart() {
	m.Helper()
	require.NoError(m, m.start(), "server %d", m.id)
}

// start starts the server on what is on its disk.
func (m *member) start() error {
	cfg, err := m.config()
	if err != nil {
		return err
	}
	s, err := Start(cfg)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.server = s
	return nil
}

func (m *member) config() (Config, error) {
	dial := func(ctx context.Context, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*tick)
		defer cancel()
		return m.net.DialFrom(ctx, m.host(), addr)
	}
	e := &Ensemble{Self: m.id, Quorum: m.quorum, DialElection: dial, DialQuorum: dial, InitLimit: 10, SyncLimit: 5, Hold: 3 * tick}
	cfg := Config{
		ID: uint8(m.id), FS: m.drive.fs, Tick: tick, MinTimeout: 2 * tick, MaxTimeout: 20 * tick,
		Store:     store.Options{DataDir: "data", Log: txnlog.Options{Prealloc: 16 << 10}},
		Tree:      tree.Options{Extended: true},
		SnapCount: 100_000, PurgeRetain: 3, MaxBatch: 1000, Words: []string{"*"}, Ensemble: e,
		Log: slog.New(witness{m.cluster, m.id}),
	}
	if m.change != nil {
		m.change(&cfg)
	}
	l, err := m.net.Listen(m.clientAddr())
	if err == nil {
		cfg.Listeners = []Listener{{Listener: l, Local: true}}
		e.Election, err = m.net.Listen(m.host() + ":3888")
	}
	if err == nil {
		e.Listener, err = m.net.Listen(m.host() + ":2888")
	}
	return cfg, err
}

// closePatience is how long a server may take to close when its disk answers.
const closePatience = time.Minute

// stop closes the server, which has to end in bounded time, and says why it had ended by itself.
func (m *member) stop() error {
	m.Helper()
	s := m.running()
	if s == nil {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- s.Close() }() // ends with the server
	select {
	case err := <-done:
		m.mu.Lock()
		defer m.mu.Unlock()
		m.server = nil
		return err
	case <-time.After(closePatience):
		stacks := make([]byte, 1<<20)
		panic(fmt.Sprintf("server %d does not close:\n%s", m.id, stacks[:runtime.Stack(stacks, true)]))
	}
}

// crash is a power failure: nothing reaches the disk any more, and of what was not synced there remains what keep says.
func (m *member) crash(keep func(disk.Unsynced) bool) {
	m.Helper()
	m.drive.die()
	_ = m.stop() // it says that the disk has crashed, or nothing if it did not notice
	m.drive = newDrive(m.drive.fs.CrashClone(keep))
}

// closeAll ends what a failed test has left.
func (c *cluster) closeAll() {
	for _, m := range c.members {
		m.drive.release()
		_ = m.stop()
	}
}

// leader is the member that leads and serves, nil if there is none.
func (c *cluster) leader() *member {
	for _, m := range c.members {
		if s := m.running(); s != nil && s.role() == replica.Leading && s.mode.Load()&1 == 1 {
			return m
		}
	}
	return nil
}

// patience is how long a healthy ensemble may take until it serves.
const patience = 30 * time.Second

// mustServe waits until all members that run serve and one of them leads, and returns that.
func (c *cluster) mustServe() *member {
	c.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(tick / 4) {
		var missing []string
		for _, m := range c.members {
			if s := m.running(); s != nil && s.mode.Load()&1 == 0 {
				missing = append(missing, fmt.Sprintf("server %d is %s, left its last role because of: %v", m.id, s.Role(), s.left()))
			}
		}
		l := c.leader()
		if l != nil && len(missing) == 0 {
			return l
		}
		require.True(c, time.Now().Before(deadline), "leader %v, %v", l, missing)
	}
}

// left is why the last role ended.
func (s *Server) left() (err error) {
	s.inCore(func() { err = s.replica.Left() })
	return err
}

// facts is what all trees have to agree in.
type facts struct {
	zxid     znode.Zxid
	digest   uint64
	sessions int
}

func (s *Server) facts() (f facts) {
	s.inCore(func() {
		t := s.replica.Tree()
		f = facts{t.Zxid(), t.Digest(), t.SessionCount()}
	})
	return f
}

// mustAgree waits until all trees are the same, and returns what they are.
func (c *cluster) mustAgree() facts {
	c.Helper()
	var all []facts
	for deadline := time.Now().Add(patience); ; time.Sleep(tick) {
		all = all[:0]
		same := true
		for _, m := range c.members {
			if s := m.running(); s != nil {
				all = append(all, s.facts())
				same = same && all[0] == all[len(all)-1]
			}
		}
		if same {
			return all[0]
		}
		require.True(c, time.Now().Before(deadline), "the servers do not agree: %+v", all)
	}
}

// DialContext makes a cluster a network for rawclient.
func (c *cluster) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	return c.net.DialFrom(ctx, "client", addr)
}

func (m *member) options() rawclient.Options {
	return rawclient.Options{Network: m.cluster, Addr: m.clientAddr(), Timeout: 10 * tick}
}

// mustDial opens a session at a member.
func (m *member) mustDial() *visitor {
	m.Helper()
	return &visitor{m, mustDial(m, m.options())}
}

// visitor is a client with a session at a member.
type visitor struct {
	*member
	*rawclient.Conn
}

func (v *visitor) mustCall(op wire.Op, rec wire.Record) rawclient.Message {
	v.Helper()
	return mustCall(v, v.Conn, op, rec)
}

func (v *visitor) children(path string) []string {
	v.Helper()
	v.mustCall(wire.OpSync, &wire.SyncRequest{Path: []byte(path)})
	return v.mustCall(wire.OpGetChildren, &wire.WatchRequest{Path: path}).Record.(*wire.ChildrenResponse).Children
}

// drive is a disk that may be slow, hang or be lost. Waiting for it holds no lock.
type drive struct {
	fs *disk.Mem

	mu    sync.Mutex
	slow  func() time.Duration // per sync
	hangs chan struct{}        // closed when it goes on
	where func(disk.Op) bool   // what hangs
	err   error                // what every change ends with
	dead  bool
}

func newDrive(fs *disk.Mem) *drive {
	d := &drive{fs: fs}
	fs.SetFault(d.fault)
	return d
}

func (d *drive) fault(op disk.Op) disk.Fault {
	d.mu.Lock()
	hangs, where, slow := d.hangs, d.where, time.Duration(0)
	if d.slow != nil && (op.Kind == disk.OpSync || op.Kind == disk.OpSyncDir) {
		slow = d.slow()
	}
	d.mu.Unlock()
	if hangs != nil && where(op) {
		<-hangs
	}
	if slow > 0 {
		time.Sleep(slow)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return disk.Fault{Err: disk.ErrCrashed}
	}
	if d.err != nil && op.Kind.Changes() {
		return disk.Fault{Err: d.err}
	}
	return disk.Fault{}
}

// hang makes every change wait until release.
func (d *drive) hang() {
	d.hangWhere(func(op disk.Op) bool { return op.Kind.Changes() })
}

func (d *drive) hangWhere(where func(disk.Op) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hangs == nil {
		d.hangs = make(chan struct{})
	}
	d.where = where
}

// fail makes every change fail.
func (d *drive) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// release ends hang and slowness.
func (d *drive) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = nil
	if d.hangs != nil {
		close(d.hangs)
		d.hangs = nil
	}
}

// slowDown makes syncs take as long as f says; f is called by one goroutine at a time.
func (d *drive) slowDown(f func() time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = f
}

// die makes every call fail from now on, also those that wait.
func (d *drive) die() {
	d.mu.Lock()
	d.dead = true
	d.mu.Unlock()
	d.release()
}

// ledger is what the servers' logs say that a test wants to know in the end.
type ledger struct {
	mu     sync.Mutex
	counts map[string]int // by message, those of roles with the role
	never  []string       // what must never be said
	at     time.Time      // when the last was said, and how many were at that very moment
	burst  int
}

func (l *ledger) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[what]
}

// witness is the log of a member.
type witness struct {
	c  *cluster
	id packet.ServerID
}

func (w witness) Enabled(context.Context, slog.Level) bool { return true }
func (w witness) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w witness) WithGroup(string) slog.Handler            { return w }

func (w witness) Handle(_ context.Context, r slog.Record) error {
	what := r.Message
	line := fmt.Sprintf("%v server %d: %s", r.Time.Format("05.000"), w.id, r.Message)
	damage := false
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "role" && r.Message == "role" {
			what += " " + a.Value.String()
		}
		if err, ok := a.Value.Any().(error); ok {
			damage = damage || errors.Is(err, image.ErrDiverged) || errors.Is(err, disk.ErrDamaged) || errors.Is(err, store.ErrEpoch) || errors.Is(err, store.ErrMisuse)
		}
		line += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	})
	if os.Getenv("BELLWETHER_LOG") != "" {
		fmt.Fprintln(os.Stderr, line)
	}
	l := &w.c.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = map[string]int{}
	}
	l.counts[what]++
	if l.burst++; !r.Time.Equal(l.at) {
		l.at, l.burst = r.Time, 0
	}
	if l.burst > 2_000 {
		panic("somebody spins without any time passing: " + line)
	}
	if damage {
		l.never = append(l.never, line)
	}
	return nil
}
