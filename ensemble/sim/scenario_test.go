package sim_test

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/sim"
)

var update = flag.Bool("update", false, "write what happened into the scenarios in testdata")

// TestScenarios plays the accidents of testdata/scenarios: those that others had, and some that have names. With -sim.trace, and
// -run TestScenarios/NAME, everything that happens is printed.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for i, file := range files {
		t.Run(filepath.Base(file[:len(file)-len(".txt")]), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var trace io.Writer
			if *traced {
				trace = os.Stdout
			}
			p := sim.Perform(string(text), trace)
			require.NoError(t, p.Verdict(), "%v", p.Violations)
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(p.Text), 0o600))
				return
			}
			require.Equal(t, string(text), p.Text, "something else happened than the scenario says")
			if i%5 == 0 { // the others are not unlike it
				again := sim.Perform(string(text), nil)
				require.Equal(t, p.Hash, again.Hash, "the same scenario is the same each time")
			}
		})
	}
}

// A scenario that cannot be understood, or does not come true, says where.
func TestScenarioFails(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "nothing happened",
		"servers 3\njump":               "line 2, \"jump\": nobody knows what that means",
		"servers 1\nstart 1\nservers 3": "before the curtain rises",
		"servers 3\nstart 1\nwait until 1 serves":                                               "not within",
		"servers 3\nstart all\nwait until all serve\nexpect leader 1":                           "it is not so of 1",
		"servers 3\nstart all\nwait until all serve\nclient a at 1\na deletes /x":               "no node",
		"servers 3\nstart all\nclient a at 1\na creates /x\na reads /x = 2":                     "it reads",
		"servers 3\nstart all\nwait until all serve\nexpect 1 untrusted":                        "it is not so of 1",
		"servers 3\nstart all\nwait until all serve\nso far:\n  nothing\nexpect 1 2 3 down":     "it is not so of 1",
		"servers 3\nstart all\nwait until all serve\nclient a at 2\npower off all\nwait 1s\nno": "line 7",
	} {
		p := sim.Perform(text, nil)
		require.ErrorContains(t, p.Verdict(), want, text)
	}
}
