package main

import (
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble"
	"github.com/bellwether-zk/bellwether/ensemble/internal/zoocfg"
)

// honouredValues are values other than the default, one for each honoured key.
var honouredValues = map[string]string{
	"dataDir": "/elsewhere", "dataLogDir": "/log", "datadir.autocreate": "false", "db.autocreate": "false", "clientPort": "5", "clientPortAddress": "10.0.0.1",
	"clientTcpKeepAlive": "true", "tickTime": "100", "minSessionTimeout": "1", "maxSessionTimeout": "100000",
	"maxClientCnxns": "0", "maxCnxns": "7", "nio.sessionlessCnxnTimeout": "7", "globalOutstandingLimit": "7", "jute.maxbuffer": "7000",
	"largeRequestThreshold": "7", "largeRequestMaxBytes": "7", "connection_throttle_tokens": "7", "connection_throttle_fill_time": "7",
	"connection_throttle_fill_count": "7", "connection_throttle_freeze_time": "7", "connection_throttle_drop_increase": "0",
	"connection_throttle_drop_decrease": "0", "connection_throttle_decrease_ratio": "0.7",
	"connection_throttle_weight_enabled": "true", "connection_throttle_global_session_weight": "7",
	"connection_throttle_renew_session_weight": "7",
	"snapCount": "7", "snapSizeLimitInKb": "0", "preAllocSize": "0", "txnLogSizeLimitInKb": "7", "fsync.warningthresholdms": "0",
	"maxBatchSize": "0", "snapshot.compression.method": "gz", "snapshot.trust.empty": "true", "digest.enabled": "false",
	"autopurge.snapRetainCount": "7", "autopurge.purgeInterval": "7",
	"4lw.commands.whitelist": "*", "readonlymode.enabled": "true", "reconfigEnabled": "true", "enforceQuota": "true",
	"extendedTypesEnabled": "true", "emulate353TTLNodes": "true", "znode.container.checkIntervalMs": "7", "znode.container.maxPerMinute": "7",
	"znode.container.maxNeverUsedIntervalMs": "7",
	"skipACL":                                "yes", "enableEagerACLCheck": "true", "DigestAuthenticationProvider.superDigest": "super:x",
	"DigestAuthenticationProvider.enabled": "false", "DigestAuthenticationProvider.digestAlg": "MD5",
	"enforce.auth.enabled": "true", "enforce.auth.schemes": "ip",
	"server.N": "h:5:6", "dynamicConfigFile": "/dyn.1f\ninitLimit=1\nsyncLimit=1", "initLimit": "7", "syncLimit": "7", "quorumListenOnAllIPs": "true", "commitLogCount": "7",
	"cnxTimeout": "7",
}

// three makes a server one of several.
const three = "initLimit=10\nsyncLimit=5\nserver.1=h:1:2\nserver.2=h:3:4:observer;2181\nserver.3=g:1:2\n"

// settledByParsing are honoured keys that zoocfg obeys by itself.
var settledByParsing = map[string]bool{"standaloneEnabled": true, "electionAlg": true, "peerType": true}

// TestEveryHonouredKeyReachesTheServer changes one key at a time and looks whether the server would be told.
func TestEveryHonouredKeyReachesTheServer(t *testing.T) {
	plain, several := optionsFor(t, ""), optionsFor(t, three)
	for _, k := range zoocfg.Keys() {
		if k.Effect != zoocfg.Honoured || settledByParsing[k.Name] {
			continue
		}
		value, ok := honouredValues[k.Name]
		require.True(t, ok, "%s is said to be honoured: give it a value here", k.Name)
		text := k.Name + "=" + value + "\n"
		want := plain
		switch k.Name { // some mean something only together, or among several
		case "enforce.auth.enabled":
			text += "enforce.auth.schemes=ip\n"
		case "enforce.auth.schemes":
			text += "enforce.auth.enabled=true\n"
		case "server.N":
			want, text = several, three+"server.5=h:5:6\n"
		case "initLimit", "syncLimit", "quorumListenOnAllIPs", "commitLogCount", "cnxTimeout":
			want, text = several, three+text
		}
		require.NotEqual(t, want, optionsFor(t, text), k.Name)
	}
}

func TestMembersReachTheServer(t *testing.T) {
	o := optionsFor(t, three)
	require.Equal(t, 2, o.ServerID)
	require.Equal(t, []ensemble.Member{
		{ID: 1, Host: "h", QuorumPort: 1, ElectionPort: 2},
		{ID: 2, Host: "h", QuorumPort: 3, ElectionPort: 4, Observer: true, ClientAddr: "0.0.0.0:2181"},
		{ID: 3, Host: "g", QuorumPort: 1, ElectionPort: 2},
	}, o.Members)
	require.Equal(t, ensemble.Quorum{
		InitLimit: 10, SyncLimit: 5, ConnectTimeout: 5 * time.Second,
	}, o.Quorum)
	require.Equal(t, int64(0x1f), optionsFor(t, "dynamicConfigFile=/dyn.1f\ninitLimit=1\nsyncLimit=1").Quorum.ConfigVersion)

	alone := optionsFor(t, "server.2=h:1:2")
	require.Empty(t, alone.Members)
	require.Zero(t, alone.ServerID)
	require.Zero(t, alone.Quorum)
}

func optionsFor(t *testing.T, text string) *ensemble.Options {
	t.Helper()
	cfg, err := zoocfg.Parse(zoocfg.Input{Name: "zoo.cfg", Text: []byte("dataDir=/d\nclientPort=2181\n" + text), ReadFile: func(name string) ([]byte, error) {
		switch filepath.Base(name) {
		case "myid":
			return []byte("2\n"), nil
		case "dyn.1f":
			return []byte("server.2=h:1:2\nserver.4=h:3:4\n"), nil
		}
		return nil, fs.ErrNotExist
	}})
	require.NoError(t, err, text)
	return serverOptions(cfg, nil)
}

// TestDefaultsAreTheServersOwn checks that a zoo.cfg that says nothing asks for what zero Options mean, as far as Options
// documents its defaults.
func TestDefaultsAreTheServersOwn(t *testing.T) {
	o := optionsFor(t, "")
	require.Equal(t, -1, o.Limits.Connections)
	require.Equal(t, -1, o.Limits.ConnectTokens)
	require.Equal(t, -1, o.Limits.LargeRequestBytes)
	require.Zero(t, o.Limits.ConnectFreezeTime)
	require.Zero(t, o.Storage.LogSizeLimit)
	require.Zero(t, o.Storage.PurgeInterval)
	require.Zero(t, o.Containers.MaxNeverUsed)
	require.Equal(t, 60, o.Limits.ConnectionsPerHost)
	require.Equal(t, int64(64<<20), o.Storage.PreAlloc)
}
