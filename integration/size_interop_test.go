//go:build interop

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a lock costs the service that imports it, in its binary: with the client, the library below and all they need of the standard library.
// The bound is where to stop and think, not a goal; a server would be beyond it.
func TestServiceWithALockIsSmall(t *testing.T) {
	const most = 4 << 20
	without, with := serviceSize(t), serviceSize(t, "-tags", "lock")
	t.Logf("%s/%s, stripped: %d bytes with a lock, %d without, %.1f MiB for the lock",
		runtime.GOOS, runtime.GOARCH, with, without, float64(with-without)/(1<<20))
	require.Greater(t, with, without)
	require.Less(t, with-without, int64(most))
}

// serviceSize is how many bytes the program in testdata/service takes, as people ship it.
func serviceSize(t *testing.T, flags ...string) int64 {
	t.Helper()
	out := filepath.Join(t.TempDir(), "service")
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", out}, flags...)
	cmd := exec.CommandContext(t.Context(), "go", append(args, "./testdata/service")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOPROXY=off") // what the tests were built from is there
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%v:\n%s", cmd, said)
	info, err := os.Stat(out)
	require.NoError(t, err)
	return info.Size()
}
