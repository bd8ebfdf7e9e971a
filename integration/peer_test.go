//go:build interop

package integration

import (
	"crypto/sha1"
	"encoding/base64"
	"path/filepath"
	"testing"

	"github.com/bellwether-zk/bellwether/integration/process"
)

// fast makes a JVM start quickly, which most tests here need more than speed later.
const fast = "-XX:TieredStopAtLevel=1"

// superPassword is the password of the user super, whom every peer knows.
const superPassword = "secret"

// startPeer starts a standalone server with an empty data directory and returns when it serves. The test's end ends it. All kinds
// get the same zoo.cfg, to which lines are added.
func startPeer(t *testing.T, k process.Kind, lines ...string) *process.Server {
	t.Helper()
	return startPeerWith(t, k, []string{fast}, lines...)
}

// startPeerWith is startPeer with other flags for the command line.
func startPeerWith(t *testing.T, k process.Kind, flags []string, lines ...string) *process.Server {
	t.Helper()
	digest := sha1.Sum([]byte("super:" + superPassword))
	lines = append([]string{
		"extendedTypesEnabled=true", "enforceQuota=true",
		"DigestAuthenticationProvider.superDigest=super:" + base64.StdEncoding.EncodeToString(digest[:]),
	}, lines...)
	return process.Start(t, k, flags, func(dir string, port int) string {
		return process.ServerConfig(filepath.Join(dir, "data"), port, lines...)
	})
}
