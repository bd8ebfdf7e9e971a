package zoocfg

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// minimal is the least a server starts with.
const minimal = "dataDir=/d\nclientPort=2181\n"

// files is a ReadFile over a map; a nil entry is a file that cannot be read.
type files map[string][]byte

func (f files) read(name string) ([]byte, error) {
	text, ok := f[name]
	switch {
	case !ok:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case text == nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return text, nil
}

func parseText(t *testing.T, text string, props ...string) (*Config, error) {
	t.Helper()
	in := Input{Name: "zoo.cfg", Text: []byte(text)}
	for _, p := range props {
		prop, ok := SystemPropertyFlag(p, "command line")
		require.True(t, ok, p)
		in.Properties = append(in.Properties, prop)
	}
	return Parse(in)
}

func mustParse(t *testing.T, text string, props ...string) *Config {
	t.Helper()
	cfg, err := parseText(t, text, props...)
	require.NoError(t, err)
	return cfg
}

func TestDefaults(t *testing.T) {
	got := mustParse(t, minimal)
	want := &Config{
		DataDir: "/d", DataLogDir: "/d", DataDirAutocreate: true, DatabaseAutocreate: true, ClientAddr: ":2181",
		TickTime: 3 * time.Second, MinSessionTimeout: 6 * time.Second, MaxSessionTimeout: time.Minute,
		Limits: Limits{ClientCnxnsPerHost: 60, SessionlessTimeout: 10 * time.Second, OutstandingRequests: 1000,
			FrameBytes: 1048575, LargeRequestBytes: -1, LargeRequestTotal: 104857600},
		Connects: ConnectionThrottle{FillTime: time.Millisecond, FillCount: 1, FreezeTime: -time.Millisecond,
			DropIncrease: 0.02, DropDecrease: 0.002, GlobalWeight: 3, RenewWeight: 2},
		Storage: Storage{SnapCount: 100000, SnapSize: 4 << 30, PreAlloc: 64 << 20, LogSizeLimit: -1,
			FsyncWarning: time.Second, MaxBatch: 1000, Digests: true, PurgeRetain: 3},
		Auth:            Auth{DigestEnabled: true, DigestAlgorithm: "SHA1"},
		Container:       Containers{CheckInterval: time.Minute, MaxPerMinute: 10000},
		FourLetterWords: []string{"srvr"},
		Membership:      Membership{Standalone: true, ConnectTimeout: 5 * time.Second},
		clientPort:      2181,
		settings:        got.settings,
	}
	require.Equal(t, want, got)
	require.Empty(t, got.Ignored())
	require.Empty(t, got.Notes())
}

func TestSampleFileOfApacheMakesNoNoise(t *testing.T) {
	cfg := mustParse(t, "# The number of milliseconds of each tick\ntickTime=2000\ninitLimit=10\nsyncLimit=5\n"+
		"dataDir=/tmp/zookeeper\nclientPort=2181\n#maxClientCnxns=60\n")
	require.Empty(t, cfg.Ignored())
	require.Equal(t, 2*time.Second, cfg.TickTime)
	require.Equal(t, 40*time.Second, cfg.MaxSessionTimeout)
}

// TestValues checks what a line does to a Config.
func TestValues(t *testing.T) {
	cases := []struct {
		line string
		got  func(*Config) any
		want any
	}{
		{"dataLogDir : /log dir ", func(c *Config) any { return c.DataLogDir }, "/log dir"},
		{"clientPortAddress=10.0.0.1", func(c *Config) any { return c.ClientAddr }, "10.0.0.1:2181"},
		{"clientPortAddress=::1", func(c *Config) any { return c.ClientAddr }, "[::1]:2181"},
		{"clientPort=0", func(c *Config) any { return c.ClientAddr }, ":0"},
		{"tickTime=+500", func(c *Config) any { return c.MaxSessionTimeout }, 10 * time.Second},
		{"minSessionTimeout=1", func(c *Config) any { return c.MinSessionTimeout }, time.Millisecond},
		{"maxSessionTimeout=60001", func(c *Config) any { return c.MaxSessionTimeout }, 60001 * time.Millisecond},
		{"autopurge.snapRetainCount=1", func(c *Config) any { return c.Storage.PurgeRetain }, 3},
		{"autopurge.snapRetainCount=9", func(c *Config) any { return c.Storage.PurgeRetain }, 9},
		{"autopurge.purgeInterval=24", func(c *Config) any { return c.Storage.PurgeInterval }, 24 * time.Hour},
		{"autopurge.purgeInterval=90s", func(c *Config) any { return c.Storage.PurgeInterval }, 90 * time.Second},
		{"autopurge.purgeInterval=-1", func(c *Config) any { return c.Storage.PurgeInterval }, time.Duration(0)},
		{"snapCount=0x10", func(c *Config) any { return c.Storage.SnapCount }, 16},
		{"snapCount=010", func(c *Config) any { return c.Storage.SnapCount }, 8},
		{"snapCount=1", func(c *Config) any { return c.Storage.SnapCount }, 2},
		{"preAllocSize=64", func(c *Config) any { return c.Storage.PreAlloc }, int64(65536)},
		{"txnLogSizeLimitInKb=-7", func(c *Config) any { return c.Storage.LogSizeLimit }, int64(-1)},
		{"txnLogSizeLimitInKb=64", func(c *Config) any { return c.Storage.LogSizeLimit }, int64(65536)},
		{"snapshot.compression.method=snappy", func(c *Config) any { return c.Storage.Compression }, "snappy"},
		{"4lw.commands.whitelist=stat, ruok ,conf,mntrs,", func(c *Config) any { return c.FourLetterWords }, []string{"stat", "ruok", "conf"}},
		{"4lw.commands.whitelist=*", func(c *Config) any { return c.FourLetterWords }, []string{"*"}},
		{"skipACL=yes", func(c *Config) any { return c.Auth.SkipACL }, true},
		{"skipACL=true", func(c *Config) any { return c.Auth.SkipACL }, false},
		{"extendedTypesEnabled=TRUE", func(c *Config) any { return c.ExtendedTypes }, true},
		{"extendedTypesEnabled=yes", func(c *Config) any { return c.ExtendedTypes }, false},
		{"DigestAuthenticationProvider.digestAlg=sha-256", func(c *Config) any { return c.Auth.DigestAlgorithm }, "sha-256"},
		{"connection_throttle_drop_increase=.5", func(c *Config) any { return c.Connects.DropIncrease }, 0.5},
		{"enforce.auth.schemes=digest", func(c *Config) any { return c.Auth.EnforcedSchemes }, []string(nil)},
		{"enforce.auth.schemes=ip,digest\nenforce.auth.enabled=true", func(c *Config) any { return c.Auth.EnforcedSchemes }, []string{"ip", "digest"}},
		{"DigestAuthenticationProvider.superDigest=super:x\\=", func(c *Config) any { return c.Auth.SuperDigest }, "super:x="},
		{"maxClientCnxns=1\nmaxClientCnxns=2", func(c *Config) any { return c.Limits.ClientCnxnsPerHost }, 2},
	}
	for _, c := range cases {
		require.Equal(t, c.want, c.got(mustParse(t, minimal+c.line)), c.line)
	}
}

func TestWhichSettingCounts(t *testing.T) {
	snapCount := func(c *Config) any { return c.Storage.SnapCount }
	frame := func(c *Config) any { return int(c.Limits.FrameBytes) }
	fsync := func(c *Config) any { return int(c.Storage.FsyncWarning / ms) }
	cases := []struct {
		line  string
		props []string
		got   func(*Config) any
		want  any
	}{
		{"", []string{"-Dzookeeper.snapCount=5"}, snapCount, 5},
		{"", []string{"-Dzookeeper.snapCount=5", "-Dzookeeper.snapCount=6"}, snapCount, 6},
		{"snapCount=7", []string{"-Dzookeeper.snapCount=5"}, snapCount, 7},
		{"", []string{"-DsnapCount=5"}, snapCount, 100000},
		{"", []string{"-Djute.maxbuffer=5"}, frame, 5},
		{"", []string{"-Dzookeeper.jute.maxbuffer=5"}, frame, 1048575},
		{"jute.maxbuffer=7", nil, frame, 7},
		{"jute.maxbuffer=7", []string{"-Djute.maxbuffer=5"}, frame, 5},
		{"", []string{"-Dfsync.warningthresholdms=5"}, fsync, 5},
		{"", []string{"-Dzookeeper.fsync.warningthresholdms=6", "-Dfsync.warningthresholdms=5"}, fsync, 6},
		{"fsync.warningthresholdms=7", []string{"-Dfsync.warningthresholdms=5"}, fsync, 7},
		{"", []string{"-Dzookeeper.tickTime=5"}, func(c *Config) any { return c.TickTime }, 3 * time.Second},
	}
	for _, c := range cases {
		cfg := mustParse(t, minimal+c.line, c.props...)
		require.Equal(t, c.want, c.got(cfg), "%s %v", c.line, c.props)
	}
}

func TestProblems(t *testing.T) {
	cases := []struct {
		text string
		want string
		kind error
	}{
		{"clientPort=2181", "dataDir is not set", ErrInvalid},
		{"dataDir=\nclientPort=2181", "dataDir is not set", ErrInvalid},
		{"dataDir=/d", "clientPort is not set", ErrInvalid},
		{"dataDir=/d\nclientPortAddress=::1", "clientPortAddress is set but clientPort is not", ErrInvalid},
		{minimal + "reconfigEnabled=yes", "zoo.cfg:3: reconfigEnabled=yes: must be true or false", ErrInvalid},
		{minimal + "syncEnabled=yes", "zoo.cfg:3: syncEnabled=yes: must be true or false", ErrInvalid},
		{minimal + "tickTime=0x10", "zoo.cfg:3: tickTime=0x10: is not a whole number", ErrInvalid},
		{minimal + "tickTime=0", "zoo.cfg:3: tickTime=0: must be at least 1", ErrInvalid},
		{minimal + "tickTime=99999999999", "zoo.cfg:3: tickTime=99999999999: does not fit 32 bits", ErrInvalid},
		{minimal + "tickTime=2000000000", "maxSessionTimeout, or 20 times tickTime, is above 2147483647 ms", ErrInvalid},
		{minimal + "jute.maxbuffer=4294967296", "zoo.cfg:3: jute.maxbuffer=4294967296: does not fit 32 bits", ErrInvalid},
		{minimal + "tickTime=", "zoo.cfg:3: tickTime=: is not a whole number", ErrInvalid},
		{minimal + "snapCount=1OO", "zoo.cfg:3: snapCount=1OO: is not a whole number", ErrInvalid},
		{minimal + "snapCount=--1", "zoo.cfg:3: snapCount=--1: is not a whole number", ErrInvalid},
		{minimal + "snapCount=0x-1", "zoo.cfg:3: snapCount=0x-1: is not a whole number", ErrInvalid},
		{minimal + "preAllocSize=9223372036854775807", "zoo.cfg:3: preAllocSize=9223372036854775807: is too large", ErrInvalid},
		{minimal + "autopurge.purgeInterval=2w", "zoo.cfg:3: autopurge.purgeInterval=2w: is not a whole number", ErrInvalid},
		{minimal + "autopurge.purgeInterval=2hh",
			"zoo.cfg:3: autopurge.purgeInterval=2hh: must be a number of hours, or a number followed by ms, s, m, h or d", ErrInvalid},
		{minimal + "autopurge.purgeInterval=2147483647d", "zoo.cfg:3: autopurge.purgeInterval=2147483647d: is too long", ErrInvalid},
		{minimal + "connection_throttle_drop_increase=NaN",
			"zoo.cfg:3: connection_throttle_drop_increase=NaN: must be a number between 0 and 1", ErrInvalid},
		{minimal + "snapshot.compression.method=zip",
			`zoo.cfg:3: snapshot.compression.method=zip: must be one of ["" "gz" "snappy"]`, ErrInvalid},
		{minimal + "DigestAuthenticationProvider.digestAlg=ROT13",
			"zoo.cfg:3: DigestAuthenticationProvider.digestAlg=ROT13: is not a known message digest", ErrInvalid},
		{minimal + "electionAlg=2", "zoo.cfg:3: electionAlg=2: only 3 is supported", ErrInvalid},
		{minimal + "peerType=leader", "zoo.cfg:3: peerType=leader: must be participant or observer", ErrInvalid},
		{minimal + "observerMasterPort=70000", "zoo.cfg:3: observerMasterPort=70000: is not a port", ErrInvalid},
		{minimal + "minSessionTimeout=70000", "minSessionTimeout (70000 ms) is greater than maxSessionTimeout (60000 ms)", ErrInvalid},
		{minimal + "enforce.auth.enabled=true", "enforce.auth.enabled is true but enforce.auth.schemes is not set", ErrInvalid},
		{minimal + "enforce.auth.enabled=true\nenforce.auth.schemes=sasl",
			`enforce.auth.schemes demands "sasl", with which no client could authenticate here`, ErrRefused},
		{minimal + "enforce.auth.enabled=true\nenforce.auth.schemes=digest\nDigestAuthenticationProvider.enabled=false",
			`enforce.auth.schemes demands "digest", with which no client could authenticate here`, ErrRefused},
		{minimal + "secureClientPort=2281",
			"zoo.cfg:3: secureClientPort=2281: not supported, and ignoring it would be unsafe: " + tlsRefused, ErrRefused},
		{minimal + "sessionRequireClientSASLAuth=true",
			"zoo.cfg:3: sessionRequireClientSASLAuth=true: not supported, and ignoring it would be unsafe: clients would not be authenticated", ErrRefused},
		{minimal + "x=\\u12", `zoo.cfg:3: \u must be followed by four hexadecimal digits`, ErrInvalid},
		{minimal + "clientPort=70000", "zoo.cfg:3: clientPort=70000: is not a port", ErrInvalid},
		{"dataDir=/d\nserver.1=h", "zoo.cfg:2: server.1=h: " + errServerLine.Error(), ErrInvalid},
	}
	for _, c := range cases {
		_, err := parseText(t, c.text)
		require.EqualError(t, err, c.want, "%q", c.text)
		require.ErrorIs(t, err, c.kind, "%q", c.text)
	}
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	_, err := parseText(t, "tickTime=x\nsslQuorum=true\nclientPort=2181\n", "-Dzookeeper.snapCount=y")
	bad, ok := errors.AsType[*Error](err)
	require.True(t, ok)
	require.Len(t, bad.Problems, 4)
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorIs(t, err, ErrRefused)
	require.EqualError(t, err, "zoo.cfg:1: tickTime=x: is not a whole number\n"+
		"command line: snapCount=y: is not a whole number\n"+
		"zoo.cfg:2: sslQuorum=true: not supported, and ignoring it would be unsafe: "+tlsRefused+"\ndataDir is not set")
}

func TestEffects(t *testing.T) {
	cases := []struct {
		line string
		want Effect
		note string
	}{
		{"maxCnxns=5", Honoured, "0: no limit"},
		{"admin.enableServer=true", Ignored, noAdmin},
		{"admin.enableServer=false", Honoured, "it is so"},
		{"admin.somethingNew=1", Ignored, noAdmin},
		{"forceSync=no", Ignored, "a write is always synced before it is acknowledged"},
		{"forceSync=yes", Honoured, "it is so"},
		{"sslQuorum=FALSE", Honoured, "it is so"},
		{"closeSessionTxn.enabled=true", Honoured, "it is so"},
		{"flushDelay=10", Ignored, "writes that come while the disk is busy share the next sync"},
		{"client.portUnification=false", Honoured, "it is so"},
		{"initLimit=10", Idle, several},
		{"group.1=1", Idle, several},
		{"authProvider.sasl=x", Ignored, "there are the schemes world, auth, digest and ip"},
		{"metricsProvider.httpPort=7000", Ignored, noPromet},
		{"metricsProvider.className=org.apache.zookeeper.metrics.impl.NullMetricsProvider", Honoured, "it is so"},
		{"ssl.quorum.keyStore.location=/k", Ignored, noTLS},
		{"snapcount=5", Unknown, "no server reads it; snapCount is meant?"},
		{"zookeeper.snapCount=5", Unknown, "no server reads it; snapCount is meant?"},
		{"whatever=5", Unknown, "no server reads it"},
		{"authProvider.=x", Unknown, "no server reads it"},
	}
	for _, c := range cases {
		cfg := mustParse(t, minimal+c.line)
		got := cfg.Describe(false)[2]
		require.Equal(t, c.want.String(), got.Effect.String(), c.line)
		require.Equal(t, c.note, got.Note, c.line)
		require.Equal(t, c.want == Ignored || c.want == Unknown, len(cfg.Ignored()) == 1, c.line)
	}
}

func TestEffectsOfProperties(t *testing.T) {
	cases := []struct {
		prop string
		want Effect
		note string
	}{
		{"-Dzookeeper.enforceQuota=true", Honoured, ""},
		{"-Dzookeeper.clientPort=1", Unknown, "counts only in the file"},
		{"-DclientPort=1", Unknown, "counts only in the file"},
		{"-DenforceQuota=true", Unknown, "no server reads it; zookeeper.enforceQuota is meant?"},
		{"-Dzookeeper.jute.maxbuffer=1", Unknown, "no server reads it; jute.maxbuffer is meant?"},
		{"-Djava.rmi.server.hostname=x", Unknown, "no server reads it"},
		{"-Dzookeeper.admin.enableServer=true", Ignored, noAdmin},
	}
	for _, c := range cases {
		got := mustParse(t, minimal, c.prop).Describe(false)[2]
		require.Equal(t, c.want.String(), got.Effect.String(), c.prop)
		require.Equal(t, c.note, got.Note, c.prop)
	}
}

func TestOverriddenSettingsAreNamed(t *testing.T) {
	cfg := mustParse(t, minimal+"snapCount=1000\nsnapCount=2000\n", "-Dzookeeper.snapCount=3000")
	var got []string
	for _, s := range cfg.Ignored() {
		got = append(got, s.Origin+" "+s.Note)
	}
	require.Equal(t, []string{"zoo.cfg:3 set again in zoo.cfg:4", "command line set again in zoo.cfg:4"}, got)
}

func TestNotes(t *testing.T) {
	cfg := mustParse(t, minimal+"snapCount=1\nenforceQuota=yes\nskipACL=true\nautopurge.snapRetainCount=2")
	require.Equal(t, []string{
		"snapCount=1: a snapshot is taken every 2 transactions at most",
		"enforceQuota=yes: neither true nor false; it counts as false, as in Apache",
		"skipACL=true: neither yes nor no; it counts as no, as in Apache",
		"autopurge.snapRetainCount=2: at least 3 snapshots are kept",
	}, cfg.Notes())
}

func TestSecretsAreNotShown(t *testing.T) {
	cfg, err := parseText(t, minimal+"DigestAuthenticationProvider.superDigest=super:hush\nssl.keyStore.password=hush\n")
	require.NoError(t, err)
	for _, s := range cfg.Describe(true) {
		require.NotContains(t, s.Shown(), "hush", s.Name)
	}
}

// TestTable checks that every row can be found, read and explained.
func TestTable(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range Keys() {
		require.False(t, seen[k.Name], "%s is there twice", k.Name)
		seen[k.Name] = true
		require.NotNil(t, k.parse, k.Name)
		require.Contains(t, []Kind{File, Property, Direct}, k.Kind, k.Name)
		if k.Effect == Ignored || k.Effect == Refused {
			require.NotEmpty(t, k.Note, "%s: say why", k.Name)
		}
		name := strings.TrimSuffix(strings.TrimSuffix(k.Name, ".N"), ".*")
		if name != k.Name {
			name += ".1"
		}
		require.Equal(t, k.Name, lookup(name).Name)
	}
	require.Len(t, mustParse(t, minimal).Describe(true), len(table))
}

// TestTableIsComplete checks that every name Apache's server looks up stands in the table, as what it is there.
func TestTableIsComplete(t *testing.T) {
	text, err := os.ReadFile("testdata/apache-3.9.5-names.txt")
	require.NoError(t, err)
	names := 0
	for line := range strings.Lines(string(text)) {
		kind, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || kind == "#" {
			continue
		}
		names++
		k := lookup(name)
		require.NotNil(t, k, name)
		if name == "fsync.warningthresholdms" { // read under both names
			require.Equal(t, Property, k.Kind)
			continue
		}
		require.Equal(t, kind, string(rune(k.Kind)), name)
	}
	require.Greater(t, names, 150)
}
