package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/front"
	"github.com/bellwether-zk/bellwether/ensemble/internal/memnet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/store"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a server on a disk and a network in memory, to be used inside a synctest bubble.
type rig struct {
	*testing.T
	net *memnet.Network
	fs  *disk.Mem
	cfg Config
	*Server
}

const tick = 100 * time.Millisecond

func newRig(t *testing.T, fs *disk.Mem, change ...func(*Config)) *rig {
	r := &rig{T: t, fs: fs}
	r.prepare(change...)
	r.start()
	t.Cleanup(func() { _ = r.Server.Close() }) // a test that cares has closed it before
	return r
}

func (r *rig) prepare(change ...func(*Config)) {
	r.net = new(memnet.Network)
	r.cfg = Config{
		ID: 1, FS: r.fs, Tick: tick, MinTimeout: 2 * tick, MaxTimeout: 20 * tick,
		Store:     store.Options{DataDir: "data", Log: txnlog.Options{Prealloc: 64 << 10}},
		Tree:      tree.Options{Extended: true},
		Sweep:     replica.Sweep{Interval: 60_000, PerMinute: 10_000},
		SnapCount: 100_000, PurgeRetain: 3, MaxBatch: 1000, Words: []string{"*"}, Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&r.cfg)
	}
}

// start starts the server on what is on the disk.
func (r *rig) start() {
	r.Helper()
	l, err := r.net.Listen("127.0.0.1:2181")
	require.NoError(r, err)
	r.cfg.Listeners = []Listener{{Listener: l, Local: true}}
	r.Server, err = Start(r.cfg)
	require.NoError(r, err)
}

// DialContext makes a rig a network for rawclient.
func (r *rig) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	return r.net.Dial(ctx, addr)
}

func (r *rig) options() rawclient.Options {
	return rawclient.Options{Network: r, Addr: "127.0.0.1:2181", Timeout: 10 * tick}
}

func (r *rig) mustDial() *user {
	r.Helper()
	return &user{r, mustDial(r, r.options())}
}

// mustDial opens a session.
func mustDial(t testing.TB, opts rawclient.Options) *rawclient.Conn {
	t.Helper()
	c, err := rawclient.Dial(t.Context(), opts)
	require.NoError(t, err)
	return c
}

// mustCall asks for something that is to be done.
func mustCall(t testing.TB, c *rawclient.Conn, op wire.Op, rec wire.Record) rawclient.Message {
	t.Helper()
	m, err := c.Call(t.Context(), op, rec)
	require.NoError(t, err)
	require.NoError(t, m.Err(), "%v", op)
	return m
}

// user is a client with a session.
type user struct {
	*rig
	*rawclient.Conn
}

func (u *user) mustCall(op wire.Op, rec wire.Record) rawclient.Message {
	u.Helper()
	return mustCall(u, u.Conn, op, rec)
}

func create(path string, mode znode.CreateMode) *wire.CreateRequest {
	return &wire.CreateRequest{Path: path, Data: []byte("d"), ACL: znode.OpenACL(), Mode: mode, TTL: -1}
}

func set(path, data string) *wire.SetDataRequest {
	return &wire.SetDataRequest{Path: path, Data: []byte(data), Version: -1}
}

func (u *user) data(path string) string {
	u.Helper()
	return string(u.mustCall(wire.OpGetData, &wire.WatchRequest{Path: path}).Record.(*wire.DataResponse).Data)
}

func (u *user) code(op wire.Op, rec wire.Record) znode.Code {
	u.Helper()
	m, err := u.Call(u.Context(), op, rec)
	require.NoError(u, err)
	return m.Header.Err
}

func TestFirstWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		u := r.mustDial()
		m := u.mustCall(wire.OpCreate, create("/a", znode.ModePersistent))
		require.Equal(t, znode.Zxid(2), m.Header.Zxid, "the session was 1")
		require.Equal(t, "d", u.data("/a"))
		require.NoError(t, u.CloseSession(t.Context()))
		require.NoError(t, r.Server.Close())
	})
}

func TestReadsStandBetweenTheirOwnWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		u := r.mustDial()
		u.mustCall(wire.OpCreate, create("/a", znode.ModePersistent))
		const n = 200
		for i := range n {
			u.Send(wire.OpSetData, set("/a", string(rune('A'+i%26))))
			u.Send(wire.OpGetData, &wire.WatchRequest{Path: "/a"})
		}
		require.NoError(t, u.Flush(t.Context()))
		last := znode.Zxid(0)
		for i := range n {
			m, err := u.Receive(t.Context())
			require.NoError(t, err)
			require.Equal(t, int32(i), m.Record.(*wire.StatResponse).Stat.Version-1)
			m, err = u.Receive(t.Context())
			require.NoError(t, err)
			require.Equal(t, string(rune('A'+i%26)), string(m.Record.(*wire.DataResponse).Data), "a read sees the write before it and not the one behind")
			require.GreaterOrEqual(t, m.Header.Zxid, last)
			last = m.Header.Zxid
		}
	})
}

func TestEventComesBeforeTheReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		u, other := r.mustDial(), r.mustDial()
		u.mustCall(wire.OpExists, &wire.WatchRequest{Path: "/"}) // any
		require.Equal(t, znode.CodeNoNode, u.code(wire.OpExists, &wire.WatchRequest{Path: "/a", Watch: true}))
		require.Equal(t, znode.CodeNoNode, other.code(wire.OpExists, &wire.WatchRequest{Path: "/a", Watch: true}))
		u.Send(wire.OpCreate, create("/a", znode.ModePersistent))
		m, err := u.Receive(t.Context())
		require.NoError(t, err)
		require.NotNil(t, m.Event(), "the event leaves before the reply of the same change")
		zxid := m.Header.Zxid
		m, err = u.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, zxid, m.Header.Zxid)
		require.Nil(t, m.Event())
		m, err = other.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, wire.WatcherEvent{Type: znode.EventCreated, State: 3, Path: "/a"}, *m.Event())
	})
}

func TestEventsAreFilteredByACL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		u, spy := r.mustDial(), r.mustDial()
		m, err := u.Auth(t.Context(), "digest", []byte("u:p"))
		require.NoError(t, err)
		require.NoError(t, m.Err())
		spy.mustCall(wire.OpAddWatch, &wire.AddWatchRequest{Path: "/", Mode: wire.WatchPersistentRecursive})
		secret := create("/secret", znode.ModePersistent)
		secret.ACL = []znode.ACL{{Perms: znode.PermAll, ID: znode.ID{Scheme: "auth"}}}
		u.mustCall(wire.OpCreate, secret)
		u.mustCall(wire.OpCreate, create("/open", znode.ModePersistent))
		m, err = spy.Receive(t.Context())
		require.NoError(t, err)
		require.Equal(t, "/open", m.Event().Path)
	})
}

func TestSessionExpiresInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		silent, lively := r.mustDial(), r.mustDial()
		silent.mustCall(wire.OpCreate, create("/e", znode.ModeEphemeral))
		lively.mustCall(wire.OpExists, &wire.WatchRequest{Path: "/e", Watch: true})
		begun := time.Now()
		for lively.code(wire.OpExists, &wire.WatchRequest{Path: "/e"}) == znode.CodeOK {
			time.Sleep(tick)
			require.Less(t, time.Since(begun), 15*tick)
		}
		require.GreaterOrEqual(t, time.Since(begun), 10*tick, "not before its timeout")
		_, err := silent.Receive(t.Context())
		require.ErrorIs(t, err, io.EOF, "closed without a word")
		o := r.options()
		o.Session, o.Password = silent.Session(), silent.Password()
		_, err = rawclient.Dial(t.Context(), o)
		require.ErrorIs(t, err, rawclient.ErrSessionExpired)
	})
}

// Whoever watches its own ephemeral node, and loses it with its session, is not left between the two: it would ask, be told that there is no such
// node, and blame somebody else for its removal. There are many, so that some would be told before the last is dealt with.
func TestWhoseSessionEndsReadsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		users := make([]*user, 4*applyMost)
		for i := range users {
			users[i] = r.mustDial()
			path := fmt.Sprintf("/e%d", i)
			users[i].mustCall(wire.OpCreate, create(path, znode.ModeEphemeral))
			users[i].mustCall(wire.OpExists, &wire.WatchRequest{Path: path, Watch: true})
		}
		for _, u := range users {
			require.True(t, r.Expire(u.Session()))
		}
		for _, u := range users {
			_, err := u.Receive(t.Context())
			require.ErrorIs(t, err, io.EOF, "closed without a word, not even of its own end")
		}
	})
}

func TestReattach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		u := r.mustDial()
		u.mustCall(wire.OpCreate, create("/e", znode.ModeEphemeral))
		o := r.options()
		o.Session, o.Password, o.Legacy = u.Session(), u.Password(), true
		again, err := rawclient.Dial(t.Context(), o)
		require.NoError(t, err)
		require.Equal(t, u.Session(), again.Session())
		_, err = u.Receive(t.Context())
		require.ErrorIs(t, err, io.EOF, "the older connection is closed")
		require.Equal(t, "d", (&user{r, again}).data("/e"))

		o.Password = make([]byte, wire.PasswordLen)
		_, err = rawclient.Dial(t.Context(), o)
		require.ErrorIs(t, err, rawclient.ErrSessionExpired, "a wrong password looks like an expired session")

		o = r.options()
		o.LastZxid = 1 << 40
		_, err = rawclient.Dial(t.Context(), o)
		require.ErrorIs(t, err, io.EOF, "a client from the future gets no answer")
	})
}

func TestDataSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		u := r.mustDial()
		u.mustCall(wire.OpCreate, create("/a", znode.ModePersistent))
		u.mustCall(wire.OpCreate, create("/e", znode.ModeEphemeral))
		u.mustCall(wire.OpSetData, set("/a", "kept"))
		id, password := u.Session(), u.Password()
		require.NoError(t, r.Server.Close())
		before := r.replica.Tree().Digest()

		r.start()
		require.Equal(t, before, r.replica.Tree().Digest())
		o := r.options()
		o.Session, o.Password = id, password
		c, err := rawclient.Dial(t.Context(), o)
		require.NoError(t, err, "the session lives on")
		u = &user{r, c}
		require.Equal(t, "kept", u.data("/a"))
		require.Equal(t, "d", u.data("/e"))
		require.Equal(t, znode.Zxid(5), u.mustCall(wire.OpCreate, create("/b", znode.ModePersistent)).Header.Zxid)
	})
}

func TestSnapshotsAreTakenAndPurged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil), func(c *Config) { c.SnapCount, c.PurgeInterval = 20, -1 })
		u := r.mustDial()
		u.mustCall(wire.OpCreate, create("/a", znode.ModePersistent))
		for i := range 500 {
			u.mustCall(wire.OpSetData, set("/a", string(rune('a'+i%26))))
			synctest.Wait()
		}
		require.Positive(t, r.snapshots.timing().Count)
		names, err := r.fs.ReadDir("data/version-2")
		require.NoError(t, err)
		require.Less(t, len(names), 20, "%v", names)
		require.NoError(t, r.Server.Close())
		r.start()
		require.Equal(t, string(rune('a'+499%26)), r.mustDial().data("/a"))
	})
}

func TestDiskDoesNotGrowWithTheHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil), func(c *Config) { c.SnapSize, c.PurgeInterval = 1<<20, -1 })
		u := r.mustDial()
		u.mustCall(wire.OpCreate, create("/a", znode.ModePersistent))
		data := set("/a", string(make([]byte, 100<<10)))
		for range 400 {
			u.mustCall(wire.OpSetData, data)
			synctest.Wait()
		}
		require.Less(t, r.fs.Used(), int64(8<<20), "of forty that were written")
	})
}

func TestFailedFsyncStopsTheServer(t *testing.T) {
	for _, kind := range []disk.OpKind{disk.OpSync, disk.OpWrite} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, disk.NewMem(nil))
			u := r.mustDial()
			u.mustCall(wire.OpCreate, create("/a", znode.ModePersistent))
			failed := false
			r.fs.SetFault(func(op disk.Op) disk.Fault {
				if op.Kind != kind || failed {
					return disk.Fault{}
				}
				failed = true // only once: what follows would work, and must not be tried
				return disk.Fault{Err: syscall.EIO, Drop: true}
			})
			_, err := u.Call(t.Context(), wire.OpSetData, set("/a", "lost"))
			require.ErrorIs(t, err, io.EOF, "nothing is acknowledged after it")
			<-r.Done()
			require.ErrorIs(t, r.Err(), syscall.EIO, "%v", kind)
			require.ErrorIs(t, r.Server.Close(), syscall.EIO)
			_, err = rawclient.Dial(t.Context(), r.options())
			require.Error(t, err)
		})
	}
}

func TestFullDiskRefusesWritesAndReadsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil), func(c *Config) { c.Store.Log.Prealloc = -1 })
		u := r.mustDial()
		u.mustCall(wire.OpCreate, create("/a", znode.ModePersistent))
		r.fs.SetBudget(r.fs.Used())
		for err := error(nil); err == nil; { // until not even a session fits in, which is the smallest write there is
			var c *rawclient.Conn
			if c, err = rawclient.Dial(t.Context(), r.options()); err == nil {
				require.NoError(t, c.Close())
				continue
			}
			require.ErrorIs(t, err, io.EOF)
		}
		zxid := u.mustCall(wire.OpSync, &wire.SyncRequest{Path: []byte("/")}).Header.Zxid
		for range 20 {
			require.Equal(t, znode.CodeSystemError, u.code(wire.OpSetData, set("/a", "no")))
			require.Equal(t, "d", u.data("/a"))
		}
		time.Sleep(100 * tick) // its session's timeout many times over
		r.fs.SetBudget(0)
		o := r.options()
		o.Session, o.Password = u.Session(), u.Password()
		c, err := rawclient.Dial(t.Context(), o)
		require.NoError(t, err, "nobody expired while nothing could be written")
		u = &user{r, c}
		require.Equal(t, zxid+1, u.mustCall(wire.OpSetData, set("/a", "yes")).Header.Zxid, "what was refused had no zxid")
	})
}

func TestCloseWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		u := r.mustDial()
		u.mustCall(wire.OpCreate, create("/a", znode.ModePersistent))
		for range 500 {
			u.Send(wire.OpSetData, set("/a", "x"))
		}
		require.NoError(t, u.Flush(t.Context()))
		require.NoError(t, r.Server.Close())
		require.NoError(t, r.Server.Close(), "again is no error")
	})
}

func TestWordsAboutAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		u := r.mustDial()
		u.mustCall(wire.OpCreate, create("/e", znode.ModeEphemeral))
		u.mustCall(wire.OpGetData, &wire.WatchRequest{Path: "/e", Watch: true})
		for word, want := range map[string]string{
			"srvr": "Mode: standalone\nNode count: 6\n", "stat": "Clients:\n /127.0.0.1:", "cons": "lop=GETD", "conf": "tickTime=100\n",
			"dump": "Sessions with Ephemerals (1):\n" + u.Session().String() + ":\n\t/e\n", "mntr": "zk_ephemerals_count\t1\n",
			"wchs": "1 connections watching 1 paths\nTotal watches:1\n", "wchc": u.Session().String() + "\n\t/e\n", "wchp": "/e\n\t" + u.Session().String() + "\n",
			"ruok": "imok", "isro": "rw", "gtmk": "306", "envi": "zookeeper.version=3.9", "dirs": "datadir_size: ",
		} {
			require.Contains(t, r.word(word), want, word)
		}
		r.word("crst")
		synctest.Wait()
		r.word("srst")
		synctest.Wait()
		require.Contains(t, r.word("srvr"), "Received: 1\n", "this word")
	})
}

func (r *rig) word(word string) string {
	r.Helper()
	c, err := r.net.Dial(r.Context(), "127.0.0.1:2181")
	require.NoError(r, err)
	defer c.Close()
	_, err = io.WriteString(c, word)
	require.NoError(r, err)
	b, err := io.ReadAll(c)
	require.NoError(r, err)
	return string(b)
}

func TestStartRefusesBadAuth(t *testing.T) {
	l, err := new(memnet.Network).Listen("127.0.0.1:0")
	require.NoError(t, err)
	cfg := Config{FS: disk.NewMem(nil), Listeners: []Listener{{Listener: l}}, Log: slog.New(slog.DiscardHandler), Front: front.Options{}}
	cfg.Auth.DigestAlg = "ROT13"
	_, err = Start(cfg)
	require.Error(t, err)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed, "its listeners were the server's to close")
}

func TestOldTTLNodesAreRefusedWhereTheyMayBe(t *testing.T) {
	load := tree.NewLoader(tree.Options{Extended: true})
	for _, img := range []tree.Image{{}, {Path: "/old", Stat: znode.StatPersisted{Owner: -1<<63 | 1000}}} {
		img.ACL = tree.OpenACLID
		require.NoError(t, load.Node(img))
	}
	old, err := load.Tree(1)
	require.NoError(t, err)
	require.ErrorIs(t, checkOldTTL(old), ErrOldTTL)
	require.NoError(t, checkOldTTL(tree.New(tree.Options{Extended: true})))
}

// Apache's server stops when what a quota's statistics hold is no statistics.
func TestGarbageInQuotaStatisticsIsBorne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, disk.NewMem(nil))
		u := r.mustDial()
		u.mustCall(wire.OpCreate, create("/a", znode.ModePersistent))
		stats := znode.Quota + "/a/" + znode.QuotaStats
		u.mustCall(wire.OpCreate, create(znode.Quota+"/a", znode.ModePersistent))
		u.mustCall(wire.OpCreate, create(znode.Quota+"/a/"+znode.QuotaLimits, znode.ModePersistent))
		u.mustCall(wire.OpCreate, create(stats, znode.ModePersistent))
		for _, garbage := range []string{"", "=", ",;=,", "count=,bytes=99999999999999999999", "\x00\xff", "count=x"} {
			u.mustCall(wire.OpSetData, set(stats, garbage))
			u.mustCall(wire.OpSetData, set("/a", garbage+"longer"))
			u.mustCall(wire.OpCreate, create("/a/n-", znode.ModePersistentSequential))
		}
		require.NoError(t, r.Server.Close())
		r.start()
		require.Equal(t, "count=xlonger", r.mustDial().data("/a"))
	})
}

func TestSoftQuotasAreComplainedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		r := newRig(t, disk.NewMem(nil), func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&logged, nil)) })
		u := r.mustDial()
		u.mustCall(wire.OpCreate, create("/a", znode.ModePersistent))
		for _, n := range []struct{ path, data string }{
			{znode.Quota + "/a", ""}, {znode.Quota + "/a/" + znode.QuotaLimits, "count=-1,bytes=10"}, {znode.Quota + "/a/" + znode.QuotaStats, "count=0,bytes=0"},
		} {
			u.mustCall(wire.OpCreate, &wire.CreateRequest{Path: n.path, Data: []byte(n.data), ACL: znode.OpenACL()})
		}
		u.mustCall(wire.OpSetData, set("/a", "0123456789"))
		require.NotContains(t, logged.String(), "quota exceeded", "as much as the limit is not more")
		for range 5 {
			u.mustCall(wire.OpSetData, set("/a", "0123456789x"))
		}
		require.NoError(t, r.Server.Close())
		require.Equal(t, 1, strings.Count(logged.String(), `msg="quota exceeded" server=1 path=/a`), "once a minute: %s", logged.String())
	})
}
