package main

import (
	"log/slog"
	"math"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/internal/zoocfg"
)

// serverOptions says to the ensemble package what a zoo.cfg says. Where zoo.cfg writes 0 or -1 for "none", Options has a
// negative number, since its 0 is the default.
func serverOptions(c *zoocfg.Config, log *slog.Logger) *ensemble.Options {
	o := &ensemble.Options{
		Dir: c.DataDir, LogDir: c.DataLogDir, NoAutocreate: !c.DataDirAutocreate, NoInit: !c.DatabaseAutocreate,
		Addr: c.ClientAddr, Logger: log,
		TickTime: c.TickTime, MinSessionTimeout: or(c.MinSessionTimeout, time.Millisecond), MaxSessionTimeout: c.MaxSessionTimeout,
		Limits: limitOptions(c), Storage: storageOptions(&c.Storage),
		Auth: ensemble.Auth{
			SkipACL: c.Auth.SkipACL, EagerACLCheck: c.Auth.EagerACLCheck,
			NoDigest: !c.Auth.DigestEnabled, DigestAlgorithm: c.Auth.DigestAlgorithm, SuperDigest: c.Auth.SuperDigest,
			EnforcedSchemes: c.Auth.EnforcedSchemes,
		},
		Containers: ensemble.Containers{
			CheckInterval: c.Container.CheckInterval, MaxPerMinute: c.Container.MaxPerMinute, MaxNeverUsed: c.Container.MaxNeverUsed,
		},
		TTLNodes: c.ExtendedTypes, OldTTLNodes: c.Emulate353TTL, EnforceQuota: c.EnforceQuota, ReconfigEnabled: c.ReconfigEnabled,
		FourLetterWords: c.FourLetterWords, ReadOnlyMode: c.ReadOnlyMode,
	}
	if c.Membership.Distributed() {
		memberOptions(&c.Membership, o)
	}
	return o
}

// memberOptions adds what only a server among several is told. One that stands alone has no number: myid means nothing to it.
func memberOptions(m *zoocfg.Membership, o *ensemble.Options) {
	o.ServerID = int(m.ID)
	for _, member := range m.Members {
		at := member.Addresses[0]
		o.Members = append(o.Members, ensemble.Member{
			ID: int(member.ID), Host: at.Host, QuorumPort: at.QuorumPort, ElectionPort: at.ElectionPort,
			Observer: member.Observer, ClientAddr: member.ClientAddr,
		})
	}
	o.Quorum = ensemble.Quorum{
		InitLimit: m.InitLimit, SyncLimit: m.SyncLimit, ListenOnAllIPs: m.ListenOnAllIPs, CommitLogCount: m.CommitLogCount,
		ConnectTimeout: m.ConnectTimeout, ConfigVersion: m.Version,
	}
}

func limitOptions(c *zoocfg.Config) ensemble.Limits {
	l, t := &c.Limits, &c.Connects
	return ensemble.Limits{
		ConnectionsPerHost: orNone(l.ClientCnxnsPerHost), Connections: orNone(l.Cnxns),
		FrameBytes: int(l.FrameBytes), Outstanding: l.OutstandingRequests,
		LargeRequestBytes: int(l.LargeRequestBytes), LargeRequestTotal: int(l.LargeRequestTotal),
		SessionlessTimeout: l.SessionlessTimeout, KeepAlive: c.ClientTCPKeepAlive,
		ConnectTokens: orNone(t.Tokens), ConnectFillTime: t.FillTime, ConnectFillCount: t.FillCount,
		ConnectFreezeTime:   freezeTime(t.FreezeTime),
		ConnectDropIncrease: or(t.DropIncrease, math.SmallestNonzeroFloat64),
		ConnectDropDecrease: or(t.DropDecrease, math.SmallestNonzeroFloat64),
		ConnectDecreaseFrom: t.DecreaseRatio,
		ConnectWeighted:     t.Weighted, ConnectNewWeight: t.GlobalWeight, ConnectRenewWeight: t.RenewWeight,
	}
}

// freezeTime is 0 in Options where zoo.cfg has the default, -1: no random dropping.
func freezeTime(d time.Duration) time.Duration { return max(d, 0) }

func storageOptions(s *zoocfg.Storage) ensemble.Storage {
	return ensemble.Storage{
		SnapCount: s.SnapCount, SnapSize: orNone(s.SnapSize), PreAlloc: orNone(s.PreAlloc), LogSizeLimit: max(s.LogSizeLimit, 0),
		FsyncWarning: or(s.FsyncWarning, 1), MaxBatch: or(s.MaxBatch, math.MaxInt32), Compression: s.Compression,
		TrustEmptySnapshot: s.TrustEmptySnapshot, NoDigests: !s.Digests,
		PurgeRetain: s.PurgeRetain, PurgeInterval: s.PurgeInterval,
	}
}

// orNone turns zoo.cfg's 0 for "no bound" into the negative number Options has for it.
func orNone[N int | int64](n N) N {
	if n == 0 {
		return -1
	}
	return n
}

// or is n, or what stands for zoo.cfg's 0 where Options has its default for that.
func or[N int | time.Duration | float64](n, instead N) N {
	if n == 0 {
		return instead
	}
	return n
}
