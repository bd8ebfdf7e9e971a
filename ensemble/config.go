package ensemble

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/auth"
	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/front"
	"github.com/bellwether-zk/bellwether/ensemble/internal/propose"
	"github.com/bellwether-zk/bellwether/ensemble/internal/replica"
	"github.com/bellwether-zk/bellwether/ensemble/internal/server"
	"github.com/bellwether-zk/bellwether/ensemble/internal/snapshot"
	"github.com/bellwether-zk/bellwether/ensemble/internal/store"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txnlog"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// memoryDir is the data directory of a server whose disk is memory.
const memoryDir = "data"

// number is anything a setting may count in.
type number interface {
	~int | ~int64 | ~float64
}

// or is v, or d where v was not set.
func or[T number](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// unbounded is v, or d where v was not set, or 0, which further in means no bound, where v is negative.
func unbounded[T number](v, d T) T {
	if v < 0 {
		return 0
	}
	return or(v, d)
}

// config turns o into what the server takes, or says all that is wrong with it.
func (o *Options) config() (server.Config, error) {
	c := server.Config{
		ID:   uint8(or(o.ServerID, 1)),
		FS:   disk.OS(),
		Tick: or(o.TickTime, 3*time.Second),
		Tree: tree.Options{Extended: o.TTLNodes, NoDigest: o.Storage.NoDigests},
		Auth: auth.Config{
			SkipACL: o.Auth.SkipACL, DigestDisabled: o.Auth.NoDigest, DigestAlg: o.Auth.DigestAlgorithm, SuperDigest: o.Auth.SuperDigest,
			Enforce: len(o.Auth.EnforcedSchemes) > 0, EnforceSchemes: o.Auth.EnforcedSchemes,
		},
		Propose:    propose.Config{EnforceQuota: o.EnforceQuota, Reconfig: o.ReconfigEnabled, MaxRecord: or(o.Limits.FrameBytes, wire.DefaultMaxFrame)},
		Eager:      o.Auth.EagerACLCheck,
		MaxWatches: unbounded(o.Limits.Watches, 1_000_000),
		OldTTL:     o.OldTTLNodes,
		Words:      o.FourLetterWords,
		Log:        o.Logger, RoleChanged: o.roleChanged(),
	}
	c.MinTimeout = or(o.MinSessionTimeout, 2*c.Tick)
	c.MaxTimeout = or(o.MaxSessionTimeout, 20*c.Tick)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if o.ReadOnlyMode {
		c.Words = append([]string{"isro"}, c.Words...)
	}
	c.Front = o.Limits.front(c.Log)
	c.Sweep = o.Containers.sweep()
	o.storage(&c)
	return c, o.check(&c)
}

func (l *Limits) front(log *slog.Logger) front.Options {
	return front.Options{
		MaxFrame: l.FrameBytes, MaxConns: max(0, l.Connections), MaxPerHost: unbounded(l.ConnectionsPerHost, 60),
		MaxOutstanding: or(unbounded(l.Outstanding, 1000), math.MaxInt), LargeRequest: max(0, l.LargeRequestBytes),
		MaxLargeRequests: or(unbounded(int64(l.LargeRequestTotal), 100<<20), math.MaxInt64), SessionlessTimeout: l.SessionlessTimeout, KeepAlive: l.KeepAlive,
		Throttle: front.Throttle{
			Tokens: max(0, l.ConnectTokens), FillTime: l.ConnectFillTime, FillCount: l.ConnectFillCount,
			FreezeTime: or(l.ConnectFreezeTime, -1), DropIncrease: or(l.ConnectDropIncrease, 0.02),
			DropDecrease: or(l.ConnectDropDecrease, 0.002), DecreaseRatio: l.ConnectDecreaseFrom,
			Weighted: l.ConnectWeighted, NewWeight: or(l.ConnectNewWeight, 3), RenewWeight: or(l.ConnectRenewWeight, 2),
		},
		Log: log,
	}
}

func (s *Containers) sweep() replica.Sweep {
	return replica.Sweep{
		Interval: unbounded(s.CheckInterval, time.Minute).Milliseconds(), PerMinute: or(s.MaxPerMinute, 10000),
		MaxNeverUsed: s.MaxNeverUsed.Milliseconds(),
	}
}

func (o *Options) storage(c *server.Config) {
	s := &o.Storage
	c.Store = store.Options{
		DataDir: o.Dir, LogDir: o.LogDir, NoAutocreate: o.NoAutocreate, NoInit: o.NoInit, TrustEmpty: s.TrustEmptySnapshot, Compression: snapshot.Compression(s.Compression),
		Log: txnlog.Options{Prealloc: s.PreAlloc, SizeLimit: max(0, s.LogSizeLimit), MaxRecord: 2 * or(o.Limits.FrameBytes, wire.DefaultMaxFrame)},
	}
	c.SnapCount, c.SnapSize = or(s.SnapCount, 100000), unbounded(s.SnapSize, 4<<30)
	c.PurgeRetain, c.PurgeInterval = or(s.PurgeRetain, 3), s.PurgeInterval
	c.MaxBatch, c.FsyncWarning = or(s.MaxBatch, 1000), or(s.FsyncWarning, time.Second)
	if o.Dir == "" {
		c.FS, c.Store.DataDir, c.Store.LogDir = o.memory, memoryDir, ""
		if c.FS == nil {
			c.FS = newMemory()
		}
		c.Store.Log.Prealloc = or(s.PreAlloc, 64<<10)
		c.PurgeInterval, c.SnapSize = or(s.PurgeInterval, -1), unbounded(s.SnapSize, 64<<20)
	}
}

// check finds everything that is wrong at once.
func (o *Options) check(c *server.Config) error {
	var problems []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			problems = append(problems, fmt.Errorf("ensemble: "+format, args...))
		}
	}
	most := 255
	if o.TTLNodes {
		most = znode.MaxExtendedServerID
	}
	wrong(o.ServerID < 0 || o.ServerID > most, "ServerID %d is not between 1 and %d", o.ServerID, most)
	wrong(c.Tick < time.Millisecond || c.Tick > math.MaxInt32*time.Millisecond, "TickTime %v is not at least a millisecond", c.Tick)
	wrong(c.MinTimeout < 0, "MinSessionTimeout %v is negative", c.MinTimeout)
	wrong(c.MinTimeout > c.MaxTimeout, "MinSessionTimeout %v is above MaxSessionTimeout %v", c.MinTimeout, c.MaxTimeout)
	wrong(c.MaxTimeout > math.MaxInt32*time.Millisecond, "MaxSessionTimeout %v is above %v", c.MaxTimeout, math.MaxInt32*time.Millisecond)
	wrong(o.Limits.FrameBytes < 0, "Limits.FrameBytes %d is negative", o.Limits.FrameBytes)
	wrong(o.Dir == "" && o.LogDir != "", "LogDir %q is set but Dir is not", o.LogDir)
	wrong(c.SnapCount < 2, "Storage.SnapCount %d is below 2", c.SnapCount)
	wrong(c.PurgeRetain < 3, "Storage.PurgeRetain %d is below 3", c.PurgeRetain)
	wrong(c.MaxBatch < 1, "Storage.MaxBatch %d is below 1", c.MaxBatch)
	problems = append(problems, o.checkMembers()...)
	switch o.Storage.Compression {
	case "", "gz", "snappy":
	default:
		wrong(true, "Storage.Compression %q is neither gz nor snappy", o.Storage.Compression)
	}
	for _, w := range o.FourLetterWords {
		wrong(w != "*" && len(strings.TrimSpace(w)) != 4, "FourLetterWords: %q does not have four letters", w)
	}
	return errors.Join(problems...)
}
