package propose_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/propose"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// What is planned behind a skip has the numbers behind it, before the skip is applied, and the tree comes to be what was foreseen.
func TestSkip(t *testing.T) {
	for _, opts := range []tree.Options{{}, {NoDigest: true}} {
		s := newServer(t, opts, propose.Config{})
		create := func(path string, mode znode.CreateMode) string {
			x := s.plan(request.Request{Session: 1, Op: wire.OpCreate, Record: &wire.CreateRequest{Path: path, ACL: znode.OpenACL(), Mode: mode}})
			return x.Body.(*txn.Create).Path
		}
		skip := func(path string, count int32) bool {
			x, ok := s.planner.Skip(path, count, s.zxid+1, 5)
			if ok {
				s.zxid++
				s.waiting = append(s.waiting, x)
			}
			return ok
		}
		create("/q", znode.ModePersistent)
		create("/e", znode.ModeEphemeral)
		require.Equal(t, "/q/0000000000", create("/q/", znode.ModePersistentSequential))
		require.True(t, skip("/q", math.MaxInt32))
		require.Equal(t, "/q/2147483647", create("/q/", znode.ModePersistentSequential))
		require.Equal(t, "/q/-2147483648", create("/q/", znode.ModePersistentSequential))
		require.True(t, skip("/", 7))
		s.applyAll()
		require.Equal(t, 3, s.tree.Node("/q").NumChildren())
		require.EqualValues(t, math.MinInt32+1, s.tree.Node("/q").Persisted().Cversion)

		require.True(t, skip("/q", -5), "as far as it can go but for the number that is none")
		for path, count := range map[string]int32{"/none": 5, "/e": 5, "/": 7, "/q": -1} {
			require.False(t, skip(path, count), path)
		}
		s.applyAll()
		create("/skipped", znode.ModePersistent)
		require.False(t, skip("/", 100), "it has a child of that name")
		s.applyAll()
	}
}

// What is planned behind a version that was set has the one behind it, and the tree comes to be what was foreseen.
func TestSetVersion(t *testing.T) {
	for _, opts := range []tree.Options{{}, {NoDigest: true}} {
		s := newServer(t, opts, propose.Config{})
		s.plan(request.Request{Session: 1, Op: wire.OpCreate, Record: &wire.CreateRequest{Path: "/n", ACL: znode.OpenACL()}})
		x, ok := s.planner.SetVersion("/n", []byte("data"), math.MaxInt32, s.zxid+1, 5)
		require.True(t, ok)
		s.zxid++
		s.waiting = append(s.waiting, x)
		next := s.plan(request.Request{Session: 1, Op: wire.OpSetData, Record: &wire.SetDataRequest{Path: "/n", Version: math.MaxInt32}})
		require.EqualValues(t, math.MinInt32, next.Body.(*txn.SetData).Version)
		_, ok = s.planner.SetVersion("/none", nil, 1, s.zxid+1, 5)
		require.False(t, ok)
		s.applyAll()
	}
}
