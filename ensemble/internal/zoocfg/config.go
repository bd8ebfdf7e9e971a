package zoocfg

import "time"

// Config is what a configuration says, typed and with every default filled in. Times are durations and sizes bytes,
// whatever unit the key is written in.
type Config struct {
	// DataDir holds snapshots and the myid file; never empty after Parse.
	DataDir string
	// DataLogDir holds the transaction log; DataDir unless set.
	DataLogDir string
	// DataDirAutocreate false means that a missing DataDir/version-2 or DataLogDir/version-2 is an error
	// (FileTxnSnapLog).
	DataDirAutocreate bool
	// DatabaseAutocreate false means that a server without data starts only if DataLogDir holds a file named initialize.
	DatabaseAutocreate bool

	// ClientAddr is host:port of the plaintext client port; the host is empty for all interfaces.
	ClientAddr string
	// ClientTCPKeepAlive turns on SO_KEEPALIVE for accepted clients.
	ClientTCPKeepAlive bool

	TickTime time.Duration // > 0
	// MinSessionTimeout and MaxSessionTimeout bound what clients may negotiate; min <= max.
	MinSessionTimeout, MaxSessionTimeout time.Duration

	Limits    Limits
	Connects  ConnectionThrottle
	Storage   Storage
	Auth      Auth
	Container Containers

	// FourLetterWords are the commands an operator may send, "*" for all; srvr is always among those allowed.
	FourLetterWords []string
	// ReadOnlyMode makes isro an allowed four-letter word; a server without a quorum serves nobody.
	ReadOnlyMode bool
	// ReconfigEnabled decides which refusal a reconfig request gets.
	ReconfigEnabled bool
	// EnforceQuota makes hard limits refuse writes.
	EnforceQuota bool
	// ExtendedTypes allows nodes with a time to live. Emulate353TTL says that the data may hold some in release 3.5.3's encoding.
	ExtendedTypes, Emulate353TTL bool

	Membership Membership

	clientHost string
	clientPort int // -1: not set

	settings []Setting // everything that was said, in order
	notes    []string  // values that count otherwise than they are written
}

// Limits bounds what clients may ask of the server. A zero count means no bound unless said otherwise.
type Limits struct {
	ClientCnxnsPerHost int
	Cnxns              int
	// SessionlessTimeout closes connections that have not begun a session.
	SessionlessTimeout time.Duration
	// OutstandingRequests is how many requests may be in process before reading from busy connections stops.
	OutstandingRequests int
	// FrameBytes is jute.maxbuffer: the largest request.
	FrameBytes int64
	// LargeRequestBytes is the size from which a request counts as large, -1 for never; LargeRequestTotal bounds the
	// sum of the large ones in process.
	LargeRequestBytes, LargeRequestTotal int64
}

// ConnectionThrottle is the token bucket for new sessions, with BLUE dropping (BlueThrottle).
type ConnectionThrottle struct {
	Tokens    int // capacity; 0: off
	FillTime  time.Duration
	FillCount int
	// FreezeTime is the least time between changes of the drop probability; negative: no random dropping.
	FreezeTime                                time.Duration
	DropIncrease, DropDecrease, DecreaseRatio float64
	Weighted                                  bool
	GlobalWeight, RenewWeight                 int
}

// Storage is how the log and the snapshots are written and kept.
type Storage struct {
	// SnapCount transactions, or SnapSize bytes of log, start a snapshot; each at least half of it, at random.
	SnapCount int
	SnapSize  int64 // 0: no bound
	// PreAlloc is by how much a log file grows ahead of its records.
	PreAlloc int64
	// LogSizeLimit rolls the log at that size; negative: never.
	LogSizeLimit int64
	// FsyncWarning is how slow an fsync may be before it is logged.
	FsyncWarning time.Duration
	// MaxBatch is how many writes may share one fsync; 0: no bound.
	MaxBatch int
	// Compression of snapshots is "", "gz" or "snappy".
	Compression string
	// TrustEmptySnapshot replays logs without any snapshot.
	TrustEmptySnapshot bool
	// Digests keeps and checks the tree's digest.
	Digests bool
	// PurgeRetain snapshots are kept when purging (at least 3); PurgeInterval 0 purges never.
	PurgeRetain   int
	PurgeInterval time.Duration
}

// Auth is who may do what.
type Auth struct {
	// SkipACL grants everything to everybody.
	SkipACL       bool
	EagerACLCheck bool
	// DigestEnabled offers the digest scheme; DigestAlgorithm is a java.security.MessageDigest name.
	DigestEnabled   bool
	DigestAlgorithm string
	// SuperDigest is the digest identity that passes every check ("super:" and base64); empty: none.
	SuperDigest string
	// EnforcedSchemes, when not empty, are the schemes one of which a connection must have authenticated with.
	EnforcedSchemes []string

	enforce bool // EnforcedSchemes are in force
}

// Containers paces the removal of empty containers and expired TTL nodes (ContainerManager).
type Containers struct {
	CheckInterval time.Duration
	MaxPerMinute  int
	// MaxNeverUsed removes containers that never had a child after this time; 0: never.
	MaxNeverUsed time.Duration
}

// Membership is what zoo.cfg or the dynamic configuration file says about the servers of an ensemble.
type Membership struct {
	// ID is the number in myid; HasID is false when the file is missing.
	ID    int64
	HasID bool
	// Members are sorted by ID. Empty or one: a single server, unless Standalone is false.
	Members    []Member
	Groups     map[int64]int64 // server to group; nil without group lines, as with several servers always
	Weights    map[int64]int64 // server to weight; a server not in it weighs 1
	Standalone bool
	Observer   bool  // peerType
	Version    int64 // of the dynamic configuration, from its file's name; 0 without
	// InitLimit and SyncLimit are in ticks, at least 1 when there are several servers.
	InitLimit, SyncLimit int
	// ListenOnAllIPs opens the election and the quorum port on all interfaces instead of the own line's address.
	ListenOnAllIPs bool
	// CommitLogCount transactions are kept in memory to bring learners up to date; 0: not set.
	CommitLogCount int
	// ConnectTimeout bounds the dialing of another server.
	ConnectTimeout time.Duration
	// MultiAddress was asked for, which several servers refuse.
	MultiAddress bool

	dynamicFile string
}

// Distributed reports whether the configuration asks for a server that is one of several (or for the quorum protocol
// with a single one, standaloneEnabled=false), as QuorumPeerConfig.isDistributed does.
func (m *Membership) Distributed() bool {
	voters := 0
	for _, member := range m.Members {
		if !member.Observer {
			voters++
		}
	}
	return voters > 1 || (voters > 0 && !m.Standalone)
}

// Member is one server line.
type Member struct {
	ID        int64
	Addresses []PeerAddress // at least one
	Observer  bool
	// ClientAddr and SecureClientAddr are host:port, or empty when the line does not give them. A missing host is
	// 0.0.0.0, as in Apache's own rendering.
	ClientAddr, SecureClientAddr string
}

// PeerAddress is where the other servers reach a member.
type PeerAddress struct {
	Host                     string
	QuorumPort, ElectionPort int
}
