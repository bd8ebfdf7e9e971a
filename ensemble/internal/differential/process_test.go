//go:build interop

package differential

import (
	"testing"

	"github.com/bellwether-zk/bellwether/integration/process"
)

// Nothing may be removed by the clock: not at the same moment on both servers.
var properties = []string{"-Dzookeeper.extendedTypesEnabled=true", "-Dznode.container.checkIntervalMs=86400000"}

// mustStart starts a server on a data directory, which it makes if need be, and returns when it serves. lines are added to the
// zoo.cfg. The end of the test ends the process.
func mustStart(t *testing.T, k process.Kind, dataDir string, lines ...string) *process.Server {
	t.Helper()
	// Of two lines with one key the last counts: the tick of servers in production, so that no session ends while a server is busy.
	lines = append([]string{"tickTime=2000", "enforceQuota=true", "DigestAuthenticationProvider.superDigest=" + digestOf(superUser)}, lines...)
	return process.Start(t, k, properties, func(_ string, port int) string {
		return process.ServerConfig(dataDir, port, lines...)
	})
}
