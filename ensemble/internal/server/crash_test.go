package server

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/rawclient"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// state is all there is to know of a tree between two writes: the digest covers paths, data and all stats.
type state struct {
	zxid     znode.Zxid
	digest   uint64
	sessions int
	acls     string
}

func (r *rig) state() state {
	t := r.replica.Tree()
	s := state{zxid: t.Zxid(), digest: t.Digest(), sessions: t.SessionCount()}
	for _, path := range []string{"/acl", "/p"} {
		if n := t.Node(path); n != nil {
			s.acls += fmt.Sprint(n.ACL())
		}
	}
	return s
}

// script is a workload with every kind of write in it, often enough that logs are rolled and snapshots taken and purged.
func script() []func(u *user) error {
	do := func(op wire.Op, rec wire.Record) func(u *user) error {
		return func(u *user) error {
			_, err := u.Call(u.Context(), op, rec)
			return err
		}
	}
	acl := []znode.ACL{{Perms: znode.PermAll, ID: znode.ID{Scheme: "ip", Name: "127.0.0.1"}}}
	steps := []func(u *user) error{
		do(wire.OpCreate, create("/p", znode.ModePersistent)),
		do(wire.OpCreate2, create("/p/e", znode.ModeEphemeral)),
		do(wire.OpCreate, create("/p/s-", znode.ModePersistentSequential)),
		do(wire.OpCreate, create("/p/es-", znode.ModeEphemeralSequential)),
		do(wire.OpCreateContainer, create("/c", znode.ModeContainer)),
		do(wire.OpCreateTTL, &wire.CreateRequest{Path: "/t", ACL: znode.OpenACL(), Mode: znode.ModeTTL, TTL: 1000, HasTTL: true}),
		do(wire.OpCreate, &wire.CreateRequest{Path: "/acl", ACL: acl}),
		do(wire.OpSetACL, &wire.SetACLRequest{Path: "/p", ACL: acl, Version: -1}),
		do(wire.OpSetACL, &wire.SetACLRequest{Path: "/p", ACL: znode.OpenACL(), Version: 1}),
		do(wire.OpDelete, &wire.DeleteRequest{Path: "/none", Version: -1}), // refused, and in the log all the same
		do(wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{
			{Op: wire.OpCreate, Record: &wire.CreateRequest{Path: "/m", ACL: znode.OpenACL(), TTL: -1}},
			{Op: wire.OpSetData, Record: set("/m", "in the same breath")},
			{Op: wire.OpCheck, Record: &wire.CheckRequest{Path: "/m", Version: 1}},
		}}),
		do(wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{
			{Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: "/m", Version: -1}},
			{Op: wire.OpCheck, Record: &wire.CheckRequest{Path: "/m", Version: 7}}, // so that none of it is done
		}}),
		func(u *user) error { // a session that comes, leaves something and goes
			o := u.options()
			o.Timeout = 2 * tick
			c, err := rawclient.Dial(u.Context(), o)
			if err != nil {
				return err
			}
			defer c.Close()
			if _, err := c.Call(u.Context(), wire.OpCreate, create("/gone", znode.ModeEphemeral)); err != nil {
				return err
			}
			return c.CloseSession(u.Context())
		},
	}
	for i := range 12 {
		steps = append(steps, do(wire.OpSetData, set("/p", fmt.Sprint("value ", i))))
	}
	return append(steps,
		do(wire.OpSetData, &wire.SetDataRequest{Path: "/p", Data: make([]byte, 3000), Version: -1}), // more than a few sectors
		do(wire.OpDelete, &wire.DeleteRequest{Path: "/t", Version: -1}),
		do(wire.OpSetData, set("/p", "last")),
	)
}

// play runs the script on a disk that may crash, and returns what the tree may be afterwards: the states since the last step
// that was acknowledged as a whole. all has every state there was, in order of zxids.
func play(t *testing.T, fs *disk.Mem, all map[znode.Zxid]state) (acked znode.Zxid, tried int, start error) {
	cfg := func(c *Config) {
		c.SnapCount, c.PurgeInterval = 6, -1
		c.Store.Log.Prealloc = 4 << 10
		c.Sweep.Interval = 0
	}
	r := &rig{T: t, fs: fs}
	if start = r.tryStart(cfg); start != nil {
		return 0, 0, start
	}
	defer r.Server.Close()
	note := func() {
		synctest.Wait()
		s := r.state()
		acked = s.zxid
		if all != nil {
			all[s.zxid] = s
		}
	}
	c, err := rawclient.Dial(t.Context(), r.options())
	if err != nil {
		return 0, 0, nil
	}
	defer c.Close()
	u := &user{r, c}
	note()
	for i, step := range script() {
		if err := step(u); err != nil {
			return acked, i + 1, nil
		}
		note()
	}
	return acked, 0, nil
}

// mustRecover starts a server on what a crash left and checks that it is one of the states there may be: everything
// acknowledged, nothing torn. It then writes once more and restarts, since a recovery that cannot go on is none.
func mustRecover(t *testing.T, fs *disk.Mem, acked znode.Zxid, all map[znode.Zxid]state, what string) {
	r := newRig(t, fs, func(c *Config) { c.Sweep.Interval = 0 })
	got := r.state()
	require.GreaterOrEqual(t, got.zxid, acked, "%s: an acknowledged write is missing", what)
	want, known := all[got.zxid]
	if known { // else in the middle of a step of several transactions
		require.Equal(t, want, got, what)
	}
	u := r.mustDial()
	u.mustCall(wire.OpCreate, create("/after", znode.ModePersistent))
	digest := r.replica.Tree().Digest()
	require.NoError(t, r.Server.Close(), what)
	r.start()
	require.Equal(t, digest, r.replica.Tree().Digest(), what)
	require.NoError(t, r.Server.Close(), what)
}

// TestCrashEverywhere crashes a whole server at every change it makes on its disk while it plays the script: before the change,
// after it, and with what was not synced lost, kept or torn apart.
func TestCrashEverywhere(t *testing.T) {
	crashable := func() *disk.Mem { return disk.NewMem(&disk.MemOptions{CrashModel: true}) }
	all := map[znode.Zxid]state{}
	var changes int64
	synctest.Test(t, func(t *testing.T) {
		fs := crashable()
		_, failed, err := play(t, fs, all)
		require.NoError(t, err)
		require.Zero(t, failed)
		changes = fs.Steps()
	})
	seed := rand.Uint64()
	t.Logf("%d changes, %d states, seed %d", changes, len(all), seed)
	require.Greater(t, changes, int64(100))
	stride := int64(1)
	if testing.Short() { // as the race detector is run
		stride = 3
	}
	runs := 0
	for step := int64(1); step <= changes; step += stride {
		for _, after := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				fs := crashable()
				fs.CrashAt(step, after)
				acked, _, err := play(t, fs, nil)
				if err != nil {
					require.ErrorIs(t, err, disk.ErrCrashed)
				}
				for name, keep := range map[string]func(disk.Unsynced) bool{
					"nothing": disk.KeepNone, "all": disk.KeepAll, "some": disk.KeepSome(rand.New(rand.NewPCG(seed, uint64(step))), 0.5),
				} {
					mustRecover(t, fs.CrashClone(keep), acked, all, fmt.Sprintf("seed %d, change %d, after %v, keeping %s", seed, step, after, name))
					runs++
				}
			})
		}
	}
	t.Logf("%d points, before and after, three kinds of loss: %d recoveries", changes/stride, runs)
}

// tryStart is newRig for a disk on which a server may not come up.
func (r *rig) tryStart(change func(*Config)) error {
	r.prepare(change)
	l, err := r.net.Listen("127.0.0.1:2181")
	require.NoError(r, err)
	r.cfg.Listeners = []Listener{{Listener: l, Local: true}}
	r.Server, err = Start(r.cfg)
	return err
}
