package zoocfg

import "time"

const (
	ms  = time.Millisecond
	kib = int64(1024)
)

// The notes that many rows share.
const (
	several    = "concerns servers that are several"
	oneAddress = "every server is reached at one address"
	noLocal    = "there are no local sessions; all sessions are global"
	noWeights  = "every voter counts alike"
	noObserver = "observers are fed by the leader alone"
	noTracker  = "packets between servers are not remembered"
	noSyncCap  = "a leader brings up to date every learner that comes, each at its own pace"
	noSnapCap  = "a leader sends its tree to four learners at a time; others wait, and who takes less than 64 KiB of it a second gives way"
	ownVotes   = "votes are sent again after 200 ms, then ever more seldom, up to a minute"
	noPeerSASL = "there is no SASL between servers"
	noAdmin    = "there is no HTTP admin server"
	noTLS      = "there is no TLS; nothing would use it"
	noSASL     = "there is no SASL; identities of that scheme are never granted"
	noJVM      = "there is no JVM"
	noPools    = "tunes threads this server does not have"
	noCache    = "answers are not cached"
	noGate     = "requests in process are bounded by globalOutstandingLimit"
	noPromet   = "there is no metrics endpoint"
	tlsRefused = "clients or peers would be served in plain text"
	noPeerAuth = "peers would not be authenticated"
)

func honoured(name string, kind Kind, def, note string, p parser) Key {
	return Key{Name: name, Kind: kind, Default: def, Effect: Honoured, Note: note, parse: p}
}

// quorum marks a row that concerns servers that are several: on a single one it is Idle.
func quorum(k Key) Key {
	k.quorum = true
	return k
}

func ignored(name string, kind Kind, def, note string, p parser, same ...string) Key {
	return Key{Name: name, Kind: kind, Default: def, Effect: Ignored, Note: note, parse: p, same: same}
}

func refused(name string, kind Kind, def, note string, p parser, same ...string) Key {
	return Key{Name: name, Kind: kind, Default: def, Effect: Refused, Note: note, parse: p, same: same}
}

func secret(k Key) Key {
	k.secret = true
	return k
}

// table is everything a ZooKeeper 3.9 server can be told. Defaults are parsed with the row's own parser, so that the
// text shown to an operator and the value in force cannot differ.
var table = []Key{
	// where and when
	honoured("dataDir", File, "", "", text(func(c *Config) *string { return &c.DataDir })),
	honoured("dataLogDir", File, "", "default: dataDir", text(func(c *Config) *string { return &c.DataLogDir })),
	honoured("datadir.autocreate", Property, "true", "", boolean(func(c *Config) *bool { return &c.DataDirAutocreate })),
	honoured("db.autocreate", Property, "true", "false: without data a server starts only beside a file initialize", boolean(func(c *Config) *bool { return &c.DatabaseAutocreate })),
	honoured("clientPort", File, "", "", clientPort),
	honoured("clientPortAddress", File, "", "default: all interfaces", clientHost),
	ignored("clientPortListenBacklog", File, "-1", "the Go runtime uses the system's maximum", anyNumber, "-1"),
	honoured("clientTcpKeepAlive", Property, "false", "", boolean(func(c *Config) *bool { return &c.ClientTCPKeepAlive })),
	honoured("tickTime", File, "3000", "ms", span(ms, 1, func(c *Config) *time.Duration { return &c.TickTime })),
	honoured("minSessionTimeout", File, "-1", "ms; -1: 2 tickTime", span(ms, -1, func(c *Config) *time.Duration { return &c.MinSessionTimeout })),
	honoured("maxSessionTimeout", File, "-1", "ms; -1: 20 tickTime", span(ms, -1, func(c *Config) *time.Duration { return &c.MaxSessionTimeout })),

	// limits
	honoured("maxClientCnxns", File, "60", "per address; 0: no limit", number(-1, func(c *Config) *int { return &c.Limits.ClientCnxnsPerHost })),
	honoured("maxCnxns", Property, "0", "0: no limit", number(-1, func(c *Config) *int { return &c.Limits.Cnxns })),
	honoured("nio.sessionlessCnxnTimeout", Property, "10000", "ms", span(ms, 1, func(c *Config) *time.Duration { return &c.Limits.SessionlessTimeout })),
	honoured("globalOutstandingLimit", Property, "1000", "", number(1, func(c *Config) *int { return &c.Limits.OutstandingRequests })),
	honoured("jute.maxbuffer", Direct, "1048575", "bytes", frameBytes),
	ignored("jute.maxbuffer.extrasize", Property, "", "stored records may be as long as the largest request and as much again", anyNumber),
	honoured("largeRequestThreshold", Property, "-1", "bytes; -1: off", size(1, -1, func(c *Config) *int64 { return &c.Limits.LargeRequestBytes })),
	honoured("largeRequestMaxBytes", Property, "104857600", "bytes", size(1, 1, func(c *Config) *int64 { return &c.Limits.LargeRequestTotal })),
	ignored("request_throttle_max_requests", Property, "0", noGate, anyNumber, "0"),
	ignored("request_throttle_stall_time", Property, "100", noGate, anyNumber),
	ignored("request_throttle_drop_stale", Property, "true", noGate, anyBoolean),
	ignored("request_stale_latency_check", Property, "false", noGate, anyBoolean),
	ignored("request_stale_connection_check", Property, "true", noGate, anyBoolean),
	ignored("request_throttler.shutdownTimeout", Property, "10000", "requests in process are finished before the server ends", anyNumber),
	ignored("throttled_op_wait_time", Property, "0", "no request waits long enough to be refused for it", anyNumber, "0"),
	honoured("connection_throttle_tokens", Property, "0", "0: off", number(0, func(c *Config) *int { return &c.Connects.Tokens })),
	honoured("connection_throttle_fill_time", Property, "1", "ms", span(ms, 1, func(c *Config) *time.Duration { return &c.Connects.FillTime })),
	honoured("connection_throttle_fill_count", Property, "1", "", number(1, func(c *Config) *int { return &c.Connects.FillCount })),
	honoured("connection_throttle_freeze_time", Property, "-1", "ms; -1: off", span(ms, -1, func(c *Config) *time.Duration { return &c.Connects.FreezeTime })),
	honoured("connection_throttle_drop_increase", Property, "0.02", "", fraction(func(c *Config) *float64 { return &c.Connects.DropIncrease })),
	honoured("connection_throttle_drop_decrease", Property, "0.002", "", fraction(func(c *Config) *float64 { return &c.Connects.DropDecrease })),
	honoured("connection_throttle_decrease_ratio", Property, "0", "", fraction(func(c *Config) *float64 { return &c.Connects.DecreaseRatio })),
	honoured("connection_throttle_weight_enabled", Property, "false", "", boolean(func(c *Config) *bool { return &c.Connects.Weighted })),
	honoured("connection_throttle_global_session_weight", Property, "3", "", number(1, func(c *Config) *int { return &c.Connects.GlobalWeight })),
	quorum(ignored("connection_throttle_local_session_weight", Property, "1", noLocal, anyNumber)),
	honoured("connection_throttle_renew_session_weight", Property, "2", "", number(1, func(c *Config) *int { return &c.Connects.RenewWeight })),
	ignored("maxResponseCacheSize", Property, "400", noCache, anyNumber, "0"),
	ignored("maxGetChildrenResponseCacheSize", Property, "400", noCache, anyNumber, "0"),

	// log and snapshots
	honoured("snapCount", Property, "100000", "transactions", snapCount),
	honoured("snapSizeLimitInKb", Property, "4194304", "KiB; 0: no limit", size(kib, -1, func(c *Config) *int64 { return &c.Storage.SnapSize })),
	honoured("preAllocSize", Property, "65536", "KiB", size(kib, 0, func(c *Config) *int64 { return &c.Storage.PreAlloc })),
	honoured("txnLogSizeLimitInKb", Property, "-1", "KiB; -1: no limit", size(kib, -1, func(c *Config) *int64 { return &c.Storage.LogSizeLimit })),
	ignored("forceSync", Property, "yes", "a write is always synced before it is acknowledged", yesno(func(*Config) *bool { return new(bool) }), "yes"),
	honoured("fsync.warningthresholdms", Property, "1000", "ms", span(ms, 0, func(c *Config) *time.Duration { return &c.Storage.FsyncWarning })),
	ignored("flushDelay", Property, "0", "writes that come while the disk is busy share the next sync", anyNumber, "0"),
	ignored("maxWriteQueuePollTime", Property, "", "writes that come while the disk is busy share the next sync", anyNumber),
	honoured("maxBatchSize", Property, "1000", "writes for one fsync; 0: no limit", number(0, func(c *Config) *int { return &c.Storage.MaxBatch })),
	honoured("snapshot.compression.method", Property, "", "gz, snappy or nothing", oneOf(func(c *Config) *string { return &c.Storage.Compression }, "", "gz", "snappy")),
	honoured("snapshot.trust.empty", Property, "false", "", boolean(func(c *Config) *bool { return &c.Storage.TrustEmptySnapshot })),
	honoured("digest.enabled", Property, "true", "", boolean(func(c *Config) *bool { return &c.Storage.Digests })),
	ignored("serializeLastProcessedZxid.enabled", Property, "true", "snapshots always say it; older servers read past it", anyBoolean, "true"),
	ignored("closeSessionTxn.enabled", Property, "true", "the log always lists what ends with a session", anyBoolean, "true"),
	honoured("autopurge.snapRetainCount", File, "3", "at least 3", purgeRetain),
	honoured("autopurge.purgeInterval", File, "0", "hours, or with ms, s, m, h, d; 0: off", purgeInterval),

	// behaviour
	honoured("4lw.commands.whitelist", Property, "srvr", "", fourLetterWords),
	honoured("readonlymode.enabled", Direct, "false", "allows the command isro, no more", boolean(func(c *Config) *bool { return &c.ReadOnlyMode })),
	honoured("reconfigEnabled", File, "false", "a reconfig is refused either way", boolean(func(c *Config) *bool { return &c.ReconfigEnabled })),
	honoured("enforceQuota", Property, "false", "", boolean(func(c *Config) *bool { return &c.EnforceQuota })),
	honoured("extendedTypesEnabled", Property, "false", "TTL nodes", boolean(func(c *Config) *bool { return &c.ExtendedTypes })),
	honoured("emulate353TTLNodes", Property, "false", "TTL nodes are written in today's encoding; data with the old one is refused at the start", boolean(func(c *Config) *bool { return &c.Emulate353TTL })),
	honoured("znode.container.checkIntervalMs", Direct, "60000", "ms", span(ms, 1, func(c *Config) *time.Duration { return &c.Container.CheckInterval })),
	honoured("znode.container.maxPerMinute", Direct, "10000", "", number(1, func(c *Config) *int { return &c.Container.MaxPerMinute })),
	honoured("znode.container.maxNeverUsedIntervalMs", Direct, "0", "ms; 0: off", span(ms, 0, func(c *Config) *time.Duration { return &c.Container.MaxNeverUsed })),
	ignored("watchManagerName", Property, "WatchManager", "there is one kind of watch table", anyText),
	ignored("watcherCleanThreadsNum", Property, "2", noPools, anyNumber),
	ignored("watcherCleanThreshold", Property, "1000", noPools, anyNumber),
	ignored("watcherCleanIntervalInSeconds", Property, "600", noPools, anyNumber),
	ignored("maxInProcessingDeadWatchers", Property, "-1", noPools, anyNumber),
	ignored("bitHashCacheSize", Property, "10", noPools, anyNumber),

	// who may do what
	honoured("skipACL", Property, "no", "yes: everybody may do everything", yesno(func(c *Config) *bool { return &c.Auth.SkipACL })),
	honoured("enableEagerACLCheck", Property, "false", "", boolean(func(c *Config) *bool { return &c.Auth.EagerACLCheck })),
	secret(honoured("DigestAuthenticationProvider.superDigest", Property, "", "", text(func(c *Config) *string { return &c.Auth.SuperDigest }))),
	honoured("DigestAuthenticationProvider.enabled", Property, "true", "", boolean(func(c *Config) *bool { return &c.Auth.DigestEnabled })),
	honoured("DigestAuthenticationProvider.digestAlg", Property, "SHA1", "", digestAlgorithm),
	honoured("enforce.auth.enabled", Property, "false", "needs enforce.auth.schemes", boolean(func(c *Config) *bool { return &c.Auth.enforce })),
	honoured("enforce.auth.schemes", Property, "", "digest and ip", words(func(c *Config) *[]string { return &c.Auth.EnforcedSchemes })),
	refused("sessionRequireClientSASLAuth", Property, "false", "clients would not be authenticated", anyBoolean, "false"),
	ignored("allowSaslFailedClients", Property, "false", noSASL, anyBoolean, "false"),
	ignored("X509AuthenticationProvider.superUser", Property, "", noTLS, anyText),
	ignored("superUser", Property, "", noSASL, anyText),
	ignored("superUser.*", Property, "", noSASL, anyText),
	ignored("authProvider.N", Property, "", "there are the schemes world, auth, digest and ip", anyText),
	ignored("ensembleAuthName", Property, "", "authentication with the scheme ensemble fails", anyText),
	ignored("kerberos.removeHostFromPrincipal", Property, "false", noSASL, anyBoolean, "false"),
	ignored("kerberos.removeRealmFromPrincipal", Property, "false", noSASL, anyBoolean, "false"),
	ignored("kerberos.canonicalizeHostNames", Property, "false", noSASL, anyBoolean, "false"),
	ignored("kerberos.minReLoginTimeMs", Property, "60000", noSASL, anyNumber),
	ignored("kinit", Property, "/usr/bin/kinit", noSASL, anyText),
	ignored("requireKerberosConfig", Property, "false", noSASL, anyBoolean, "false"),
	ignored("security.auth_to_local", Property, "", noSASL, anyText),
	ignored("java.security.auth.login.config", Direct, "", noSASL, anyText),
	ignored("sasl.serverconfig", Property, "Server", noSASL, anyText),
	secret(ignored("SASLAuthenticationProvider.superPassword", Property, "", noSASL, anyText)),
	ignored("letAnySaslUserDoX", Property, "", noSASL, anyText),
	ignored("IPAuthenticationProvider.usexforwardedfor", Property, "false", noAdmin, anyBoolean, "false"),
	ignored("audit.enable", Property, "false", "there is no audit log", anyBoolean, "false"),
	ignored("audit.impl.class", Property, "", "there is no audit log", anyText),

	// TLS
	refused("secureClientPort", File, "", tlsRefused, port),
	refused("secureClientPortAddress", File, "", tlsRefused, anyText),
	refused("client.portUnification", Property, "false", tlsRefused, anyBoolean, "false"),
	refused("sslQuorum", File, "false", tlsRefused, anyBoolean, "false"),
	refused("portUnification", File, "false", tlsRefused, anyBoolean, "false"),
	ignored("sslQuorumReloadCertFiles", File, "false", noTLS, anyBoolean, "false"),
	ignored("client.certReload", Property, "false", noTLS, anyBoolean, "false"),
	secret(ignored("ssl.keyStore.password", Property, "", noTLS, anyText)),
	secret(ignored("ssl.trustStore.password", Property, "", noTLS, anyText)),
	secret(ignored("ssl.quorum.keyStore.password", Property, "", noTLS, anyText)),
	secret(ignored("ssl.quorum.trustStore.password", Property, "", noTLS, anyText)),
	ignored("ssl.*", Property, "", noTLS, anyText),
	ignored("fips-mode", Property, "true", "there is neither TLS nor SASL for it to restrict", anyBoolean),

	// threads and transports
	ignored("serverCnxnFactory", Property, "", "there is one kind of listener", anyText),
	ignored("nio.numSelectorThreads", Property, "", noPools, anyNumber),
	ignored("nio.numWorkerThreads", Property, "", noPools, anyNumber),
	ignored("nio.directBufferBytes", Property, "65536", noPools, anyNumber),
	ignored("nio.shutdownTimeout", Property, "5000", noPools, anyNumber),
	ignored("intBufferStartingSizeBytes", Property, "1024", noPools, anyNumber),
	ignored("netty.*", Property, "", "there is one kind of listener", anyText),
	ignored("jmx.log4j.disable", Property, "false", noJVM, anyBoolean),
	ignored("jmx.log4j.mbean", Property, "", noJVM, anyText),
	ignored("jvm.pause.monitor", File, "false", noJVM, anyBoolean, "false"),
	ignored("jvm.pause.sleep.time.ms", File, "500", noJVM, anyNumber),
	ignored("jvm.pause.warn-threshold.ms", File, "10000", noJVM, anyNumber),
	ignored("jvm.pause.info-threshold.ms", File, "1000", noJVM, anyNumber),

	// looking inside
	ignored("admin.enableServer", Property, "true", noAdmin, anyBoolean, "false"),
	ignored("admin.serverPort", Property, "8080", noAdmin, anyNumber),
	ignored("admin.serverAddress", Property, "0.0.0.0", noAdmin, anyText),
	ignored("admin.commandURL", Property, "/commands", noAdmin, anyText),
	ignored("admin.idleTimeout", Property, "30000", noAdmin, anyNumber),
	ignored("admin.portUnification", Property, "false", noAdmin, anyBoolean, "false"),
	ignored("admin.forceHttps", Property, "false", noAdmin, anyBoolean, "false"),
	ignored("admin.needClientAuth", Property, "false", noAdmin, anyBoolean, "false"),
	ignored("admin.httpVersion", Property, "11", noAdmin, anyNumber),
	ignored("admin.rateLimiterIntervalInMS", Property, "300000", noAdmin, anyNumber),
	ignored("admin.snapshot.enabled", Property, "true", noAdmin, anyBoolean, "false"),
	ignored("admin.restore.enabled", Property, "true", noAdmin, anyBoolean, "false"),
	ignored("admin.*", Property, "", noAdmin, anyText),
	ignored("controllerPort", Property, "", "there is no controller service", anyNumber),
	ignored("metricsProvider.className", File, "", noPromet, anyText,
		"org.apache.zookeeper.metrics.impl.DefaultMetricsProvider", "org.apache.zookeeper.metrics.impl.NullMetricsProvider"),
	ignored("metricsProvider.*", File, "", noPromet, anyText),
	ignored("pathStats.*", Property, "", "paths are not counted", anyText),

	// servers that are several
	honoured("server.N", File, "", "its client address counts when myid is N", anyText),
	quorum(refused("group.N", File, "", noWeights, anyText)),
	quorum(refused("weight.N", File, "", noWeights, anyText)),
	honoured("standaloneEnabled", File, "true", "false: one server alone runs as an ensemble of one", boolean(func(c *Config) *bool { return &c.Membership.Standalone })),
	honoured("dynamicConfigFile", File, "", "read at the start, never written", text(func(c *Config) *string { return &c.Membership.dynamicFile })),
	quorum(honoured("initLimit", File, "", "ticks", number(-1, func(c *Config) *int { return &c.Membership.InitLimit }))),
	quorum(honoured("syncLimit", File, "", "ticks", number(-1, func(c *Config) *int { return &c.Membership.SyncLimit }))),
	quorum(ignored("connectToLearnerMasterLimit", File, "0", "initLimit bounds how long a learner tries to reach its leader", anyNumber, "0")),
	quorum(honoured("peerType", File, "participant", "the server line decides", peerType)),
	quorum(ignored("observerMasterPort", File, "0", noObserver, port, "0")),
	quorum(honoured("electionAlg", File, "3", "there is no other", electionAlgorithm)),
	quorum(honoured("quorumListenOnAllIPs", File, "false", "", boolean(func(c *Config) *bool { return &c.Membership.ListenOnAllIPs }))),
	quorum(ignored("syncEnabled", File, "true", "an observer always keeps its data on disk", anyBoolean, "true")),
	quorum(refused("localSessionsEnabled", File, "false", "every session would be a write of the whole ensemble", anyBoolean, "false")),
	quorum(ignored("localSessionsUpgradingEnabled", File, "false", noLocal, anyBoolean, "false")),
	refused("quorum.auth.enableSasl", File, "false", noPeerAuth, anyBoolean, "false"),
	refused("quorum.auth.learnerRequireSasl", File, "false", noPeerAuth, anyBoolean, "false"),
	refused("quorum.auth.serverRequireSasl", File, "false", noPeerAuth, anyBoolean, "false"),
	quorum(ignored("quorum.auth.learner.saslLoginContext", File, "QuorumLearner", noPeerSASL, anyText)),
	quorum(ignored("quorum.auth.server.saslLoginContext", File, "QuorumServer", noPeerSASL, anyText)),
	quorum(ignored("quorum.auth.kerberos.servicePrincipal", File, "zkquorum/localhost", noPeerSASL, anyText)),
	quorum(ignored("quorum.cnxn.threads.size", File, "20", noPools, anyNumber)),
	quorum(refused("multiAddress.enabled", File, "false", oneAddress, boolean(func(c *Config) *bool { return &c.Membership.MultiAddress }), "false")),
	quorum(ignored("multiAddress.reachabilityCheckTimeoutMs", File, "1000", oneAddress, anyNumber)),
	quorum(ignored("multiAddress.reachabilityCheckEnabled", File, "true", oneAddress, anyBoolean)),
	quorum(ignored("oraclePath", File, "", "quorums are majorities; no oracle is asked", anyText)),
	quorum(honoured("commitLogCount", Property, "", "transactions kept in memory to bring a learner up to date; default 100000, as far as they fit", number(1, func(c *Config) *int { return &c.Membership.CommitLogCount }))),
	quorum(ignored("snapshotSizeFactor", Property, "0.33", "a learner that lacks more than is in memory gets a snapshot, never files of the log", anyText)),
	quorum(ignored("leaderServes", Property, "yes", "a leader serves clients too", anyText, "yes")),
	quorum(ignored("commitProcessor.numWorkerThreads", Property, "", noPools, anyNumber)),
	quorum(ignored("commitProcessor.maxReadBatchSize", Property, "-1", noPools, anyNumber)),
	quorum(ignored("commitProcessor.maxCommitBatchSize", Property, "1", noPools, anyNumber)),
	quorum(ignored("commitProcessor.shutdownTimeout", Property, "5000", noPools, anyNumber)),
	quorum(ignored("tcpKeepAlive", Property, "false", "connections between servers always have it", anyBoolean, "true")),
	quorum(honoured("cnxTimeout", Property, "5000", "ms", span(ms, 1, func(c *Config) *time.Duration { return &c.Membership.ConnectTimeout }))),
	quorum(ignored("quorumCnxnTimeoutMs", Property, "-1", "syncLimit bounds how long a peer may take to say who it is", anyNumber, "-1")),
	quorum(ignored("electionPortBindRetry", Property, "3", "a port that cannot be listened on ends the start at once", anyNumber)),
	quorum(ignored("fastleader.minNotificationInterval", Property, "200", ownVotes, anyNumber, "200")),
	quorum(ignored("fastleader.maxNotificationInterval", Property, "60000", ownVotes, anyNumber, "60000")),
	quorum(ignored("leader.maxTimeToWaitForEpoch", Property, "-1", "initLimit bounds it", anyNumber, "-1")),
	quorum(ignored("leader.maxConcurrentSnapSyncs", Property, "10", noSnapCap, anyNumber)),
	quorum(ignored("leader.maxConcurrentDiffSyncs", Property, "100", noSyncCap, anyNumber)),
	quorum(ignored("leader.closeSocketAsync", Property, "false", "closing a connection never holds up a server", anyBoolean, "true")),
	quorum(ignored("leader.ackLoggingFrequency", Property, "1000", "acknowledgements are not logged", anyNumber)),
	quorum(ignored("leaderConnectDelayDuringRetryMs", Property, "100", "retries follow a schedule of their own", anyNumber)),
	quorum(ignored("follower.skipLearnerRequestToNextProcessor", Property, "false", "there is no chain of processors", anyBoolean)),
	quorum(ignored("forward_learner_requests_to_commit_processor_disabled", Property, "false", "there is no chain of processors", anyBoolean)),
	quorum(ignored("forceSnapshotSync", Property, "false", "a learner gets a snapshot only when it needs one", anyBoolean, "false")),
	quorum(ignored("leader.nodelay", Direct, "true", "packets between servers are never delayed", anyBoolean, "true")),
	quorum(ignored("follower.nodelay", Direct, "true", "packets between servers are never delayed", anyBoolean, "true")),
	quorum(ignored("learner.asyncSending", Property, "false", "a server never waits for a slow peer", anyBoolean, "true")),
	quorum(ignored("learner.closeSocketAsync", Property, "false", "closing a connection never holds up a server", anyBoolean, "true")),
	quorum(ignored("observer.reconnectDelayMs", Property, "0", "retries follow a schedule of their own", anyNumber)),
	quorum(ignored("observer.election.DelayMs", Property, "200", "retries follow a schedule of their own", anyNumber)),
	quorum(ignored("observer.syncEnabled", Property, "true", "an observer always keeps its data on disk", anyBoolean, "true")),
	quorum(ignored("observerMaster.sizeLimit", Property, "33554432", noObserver, anyNumber)),
	quorum(ignored("messageTracker.Enabled", Property, "false", noTracker, anyBoolean, "false")),
	quorum(ignored("messageTracker.BufferSize", Property, "10", noTracker, anyNumber)),
}
