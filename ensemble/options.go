package ensemble

import (
	"log/slog"
	"time"

	"github.com/bellwether-zk/bellwether/ensemble/internal/disk"
	"github.com/bellwether-zk/bellwether/ensemble/internal/server"
)

// Options says how a server runs. The zero value is a server in memory that is reached through [Server.Dial], with the settings
// of a zoo.cfg that says nothing else. Each field's comment names the key of zoo.cfg, or the system property, that it is.
type Options struct {
	// Dir is the data directory; its folder version-2 holds snapshots (dataDir). Empty: everything lives in memory and ends
	// with the server.
	Dir string
	// LogDir is where the transaction log goes, in a folder version-2 of its own (dataLogDir). Empty: Dir.
	LogDir string
	// NoAutocreate makes a missing version-2 folder an error (datadir.autocreate=false).
	NoAutocreate bool
	// NoInit lets a server without any data start only if the file initialize is in LogDir, which it then removes
	// (db.autocreate=false): a directory that was lost or mounted wrongly does not silently become an empty database.
	NoInit bool

	// Addr is the TCP address clients connect to, such as "127.0.0.1:2181" (clientPort, clientPortAddress). Port 0 picks a free
	// one. Empty: no TCP.
	Addr string

	// Logger receives what an operator should know. Nil: nothing is logged.
	Logger *slog.Logger
	// Hooks are told what happens to the server.
	Hooks Hooks

	// ServerID becomes the top byte of session ids, 1 to 255, or 254 with TTLNodes (myid). Default 1. Among several it says
	// which of the Members this server is.
	ServerID int

	// Members are the servers of the ensemble, this one among them (server.N): the same on every server. Empty: this server
	// stands alone. With one member the server alone is the ensemble (standaloneEnabled=false).
	Members []Member
	// Quorum says how a server among several keeps up with the others; without Members nothing in it counts.
	Quorum Quorum
	// Network carries what the Members say to each other, in memory, under their Hosts. Nil: they use TCP.
	Network *Network

	TickTime          time.Duration // unit of session deadlines, whole milliseconds (tickTime); default 3s
	MinSessionTimeout time.Duration // shortest session timeout granted, and how long clients are kept without a leader; default 2 ticks
	MaxSessionTimeout time.Duration // longest session timeout granted; default 20 ticks

	Limits     Limits
	Storage    Storage
	Auth       Auth
	Containers Containers

	// TTLNodes allows nodes with a time to live (extendedTypesEnabled).
	TTLNodes bool
	// OldTTLNodes says that the data may hold TTL nodes in the encoding of release 3.5.3, which reads as an ephemeral's
	// (emulate353TTLNodes). It is not written, and data that has it is refused rather than misread.
	OldTTLNodes bool
	// EnforceQuota makes hard limits refuse writes (enforceQuota).
	EnforceQuota bool
	// ReconfigEnabled decides how a reconfig request is refused: Members cannot be changed while servers run
	// (reconfigEnabled).
	ReconfigEnabled bool
	// FourLetterWords are the words answered besides srvr; "*" is all (4lw.commands.whitelist).
	FourLetterWords []string
	// ReadOnlyMode adds isro to the words (readonlymode.enabled); a server without a quorum serves nobody.
	ReadOnlyMode bool

	memory disk.FS              // what a server without a Dir writes to, where that outlives the server; nil: its own
	change func(*server.Config) // changes what the server is told, see package inside; nil: nothing
}

// A Member is one server of an ensemble, as all of them know it.
type Member struct {
	// ID is the member's number, its ServerID, 1 to 255.
	ID int
	// Host is the name or the address at which the other servers reach it; of its own the server listens on that address.
	Host string
	// QuorumPort is where the leader is reached, ElectionPort where votes go; both 1 to 65535 and not the same.
	QuorumPort, ElectionPort int
	// Observer says that the member follows without a vote.
	Observer bool
	// ClientAddr is where clients reach the member, for those who ask for the configuration; empty when nobody is told. The
	// server itself listens for clients on Addr.
	ClientAddr string
}

// Quorum says how a server that is one of several keeps up with the others.
type Quorum struct {
	InitLimit      int           // ticks a learner may take to reach its leader and get its state (initLimit); default 10
	SyncLimit      int           // ticks a learner may be out of touch with its leader (syncLimit); default 5
	ListenOnAllIPs bool          // listen for servers on every interface (quorumListenOnAllIPs)
	CommitLogCount int           // transactions kept in memory to bring learners up to date (commitLogCount); default 100000, or as many as fit in memory kept for them
	ConnectTimeout time.Duration // until dialing another server is given up (cnxTimeout); default 5s
	ConfigVersion  int64         // of Members, told to the other servers (the end of the dynamic configuration file's name)
}

// Limits bounds what clients may ask of a server. For every count, 0 is the default and a negative number no bound.
type Limits struct {
	ConnectionsPerHost  int           // maxClientCnxns; default 60. Connections through memory do not count
	Connections         int           // maxCnxns; default none
	Watches             int           // paths one connection may watch; what is more is refused with -127 (THROTTLEDOP); default 1000000
	FrameBytes          int           // longest request (jute.maxbuffer); default 1048575
	Outstanding         int           // requests in process before reading from busy connections stops (globalOutstandingLimit); default 1000
	LargeRequestBytes   int           // from which size a request counts as large (largeRequestThreshold); default never
	LargeRequestTotal   int           // sum of the large ones in process (largeRequestMaxBytes); default 100 MiB
	SessionlessTimeout  time.Duration // until a connection without a session is closed (nio.sessionlessCnxnTimeout); default 10s
	KeepAlive           bool          // TCP keep-alive for clients (clientTcpKeepAlive)
	ConnectTokens       int           // new sessions that may come at once (connection_throttle_tokens); default no bound
	ConnectFillTime     time.Duration // how often ConnectFillCount tokens come back (connection_throttle_fill_time); default 1ms
	ConnectFillCount    int           // connection_throttle_fill_count; default 1
	ConnectFreezeTime   time.Duration // least time between changes of the drop probability (connection_throttle_freeze_time); default no random dropping
	ConnectDropIncrease float64       // connection_throttle_drop_increase; default 0.02
	ConnectDropDecrease float64       // connection_throttle_drop_decrease; default 0.002
	ConnectDecreaseFrom float64       // connection_throttle_decrease_ratio; default 0
	ConnectWeighted     bool          // a connection costs its weight in tokens instead of one (connection_throttle_weight_enabled)
	ConnectNewWeight    int           // of a new session (connection_throttle_global_session_weight); default 3
	ConnectRenewWeight  int           // of a client that comes back (connection_throttle_renew_session_weight); default 2
}

// Storage says how the log and the snapshots are kept.
type Storage struct {
	SnapCount          int           // transactions between snapshots, half to all of it at random (snapCount); default 100000
	SnapSize           int64         // bytes of log between snapshots, likewise (snapSizeLimitInKb); default 4 GiB (in memory 64 MiB), negative: no bound
	PreAlloc           int64         // bytes by which a log file grows ahead (preAllocSize); default 64 MiB (in memory 64 KiB), negative: none
	LogSizeLimit       int64         // bytes at which the log goes on in a new file (txnLogSizeLimitInKb); default none
	FsyncWarning       time.Duration // an fsync that takes longer is logged (fsync.warningthresholdms); default 1s
	MaxBatch           int           // transactions that share one fsync (maxBatchSize); default 1000
	Compression        string        // of snapshots: "", "gz" or "snappy" (snapshot.compression.method)
	TrustEmptySnapshot bool          // replay logs without any snapshot (snapshot.trust.empty)
	NoDigests          bool          // neither keep nor check the tree's digest (digest.enabled=false)
	PurgeRetain        int           // snapshots kept when purging, at least 3 (autopurge.snapRetainCount); default 3
	PurgeInterval      time.Duration // autopurge.purgeInterval; default never, in memory after every snapshot
}

// Auth says who may do what.
type Auth struct {
	SkipACL         bool     // everybody may do everything (skipACL)
	EagerACLCheck   bool     // refuse before taking a place in the order (enableEagerACLCheck)
	NoDigest        bool     // the digest scheme is not offered (DigestAuthenticationProvider.enabled=false)
	DigestAlgorithm string   // of the digest scheme, a name of Java's (DigestAuthenticationProvider.digestAlg); default SHA1
	SuperDigest     string   // the identity that passes every check, "super:" and base64 (DigestAuthenticationProvider.superDigest)
	EnforcedSchemes []string // connections must have authenticated with one of these (enforce.auth.schemes)
}

// Containers paces the removal of empty containers and of TTL nodes whose time is over.
type Containers struct {
	CheckInterval time.Duration // znode.container.checkIntervalMs; default 1m, negative: never
	MaxPerMinute  int           // znode.container.maxPerMinute; default 10000
	MaxNeverUsed  time.Duration // remove containers that never had a child after this (znode.container.maxNeverUsedIntervalMs); default never
}
