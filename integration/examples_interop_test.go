//go:build interop

package integration

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
)

// Each example that can be told where its servers are says the same on Apache's as on its own, but for tokens and what else is counted,
// and leaves nothing behind. One stands for all where time is short.
func TestExamplesOnApache(t *testing.T) {
	programs := buildExamples(t)
	servers := startPeer(t, process.Apache39).Addr
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tellExample(t, program), tellExample(t, program, "-servers", servers))
		})
	}
	left, _, err := mustConnect(t, servers).Children(t.Context(), "/examples")
	if err != nil {
		require.ErrorIs(t, err, bwclient.ErrNoNode) // it is a container, and goes when it is empty
	}
	require.Empty(t, left)
}

// buildExamples builds the examples that stage starts, and returns where they are.
func buildExamples(t *testing.T) map[string]string {
	t.Helper()
	mains, err := filepath.Glob("../examples/*/main.go")
	require.NoError(t, err)
	dir, programs := t.TempDir(), map[string]string{}
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	for _, main := range mains {
		source, err := os.ReadFile(main)
		require.NoError(t, err)
		name := filepath.Base(filepath.Dir(main))
		if bytes.Contains(source, []byte("stage.Main(run")) && (full() || name == "election") {
			programs[name] = filepath.Join(dir, name)
			args = append(args, "./"+filepath.Dir(main))
		}
	}
	require.NotEmpty(t, programs)
	build := exec.CommandContext(t.Context(), "go", args...)
	build.Env = append(os.Environ(), "GOPROXY=off")
	said, err := build.CombinedOutput()
	require.NoError(t, err, "%v:\n%s", build, said)
	return programs
}

// counted is what differs from run to run.
var counted = regexp.MustCompile(`token \d+`)

// tellExample runs an example, and returns what it has printed.
func tellExample(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, &problems
	require.NoError(t, cmd.Run(), "%v:\n%s%s", cmd, out.String(), problems.String())
	require.Empty(t, problems.String())
	return counted.ReplaceAllString(out.String(), "token …")
}
