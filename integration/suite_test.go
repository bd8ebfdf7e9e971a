//go:build interop

package integration

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/integration/process"
)

// A verdict is how one test of somebody else's suite ended.
type verdict struct {
	action string // pass, fail or skip
	output string
}

// A comparison is somebody else's test-suite, which must pass against Bellwether wherever it passes against Apache 3.9.
type comparison struct {
	// record is the file that lists what passes against Apache 3.9. With INTEROP_FULL set, or without a Bellwether, the record itself
	// is checked.
	record string
	// atLeast is how many tests show something.
	atLeast int
	// not are the tests that do not pass against Bellwether, with the reason.
	not map[string]string
	// run runs the suite against servers of a kind.
	run func(t *testing.T, k process.Kind) map[string]verdict
}

func (c comparison) mustHold(t *testing.T) {
	t.Helper()
	ours := process.Bellwether.Known() && *subject != "apache"
	if *update || !ours || full() {
		verdicts := c.timed(t, process.Apache39)
		if *update {
			require.NoError(t, os.WriteFile(c.record, []byte(list(verdicts)), 0o644))
		}
		want, err := os.ReadFile(c.record)
		require.NoError(t, err)
		if list(verdicts) != string(want) { // on a busy machine some tests lose patience: one that passes once passes
			t.Logf("not %v; once more", others(verdicts))
			for name, v := range c.timed(t, process.Apache39) {
				if v.action == "pass" {
					verdicts[name] = v
				}
			}
		}
		t.Logf("not %v", others(verdicts))
		require.Equal(t, string(want), list(verdicts))
	}
	if !ours {
		return
	}
	recorded, err := os.ReadFile(c.record)
	require.NoError(t, err)
	passing := strings.Fields(string(recorded))
	require.GreaterOrEqual(t, len(passing), c.atLeast, "so few tests show nothing")
	got := c.timed(t, process.Bellwether)
	for _, name := range passing {
		v, reason := got[name], c.not[name]
		switch {
		case v.action == "pass" && reason != "":
			t.Errorf("%s passes after all, and is listed as one that does not: %s", name, reason)
		case v.action != "pass" && reason == "":
			t.Errorf("%s passes against %s and not against %s (%s):\n%s", name, process.Apache39.Name, process.Bellwether.Name, v.action, v.output)
		}
	}
}

func (c comparison) timed(t *testing.T, k process.Kind) map[string]verdict {
	t.Helper()
	began := time.Now()
	verdicts := c.run(t, k)
	t.Logf("%s passes %d of %d, in %v", k.Name, len(passed(verdicts)), len(verdicts), time.Since(began).Round(time.Second))
	return verdicts
}

// list is what passed, as it is recorded.
func list(verdicts map[string]verdict) string { return strings.Join(passed(verdicts), "\n") + "\n" }

func passed(verdicts map[string]verdict) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(verdicts)), func(name string) bool { return verdicts[name].action != "pass" })
}

// others are the tests that did not pass.
func others(verdicts map[string]verdict) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(verdicts)), func(name string) bool { return verdicts[name].action == "pass" })
}
