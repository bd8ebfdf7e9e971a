package main

import (
	"testing"

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
}

// settledByParsing are honoured keys that zoocfg obeys by itself.
var settledByParsing = map[string]bool{"server.N": true, "standaloneEnabled": true, "dynamicConfigFile": true}

// TestEveryHonouredKeyReachesTheServer changes one key at a time and looks whether the server would be told.
func TestEveryHonouredKeyReachesTheServer(t *testing.T) {
	plain := optionsFor(t, "")
	for _, k := range zoocfg.Keys() {
		if k.Effect != zoocfg.Honoured || settledByParsing[k.Name] {
			continue
		}
		value, ok := honouredValues[k.Name]
		require.True(t, ok, "%s is said to be honoured: give it a value here", k.Name)
		text := k.Name + "=" + value + "\n"
		switch k.Name { // two keys that mean something only together
		case "enforce.auth.enabled":
			text += "enforce.auth.schemes=ip\n"
		case "enforce.auth.schemes":
			text += "enforce.auth.enabled=true\n"
		}
		require.NotEqual(t, plain, optionsFor(t, text), k.Name)
	}
}

func optionsFor(t *testing.T, text string) *ensemble.Options {
	t.Helper()
	cfg, err := zoocfg.Parse(zoocfg.Input{Name: "zoo.cfg", Text: []byte("dataDir=/d\nclientPort=2181\n" + text)})
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
