package sim_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A simulator that finds nothing may be blind. So bugs are planted, one at a time, in copies of the shipped sources that only the
// compiler sees (go build -overlay): what is shipped has no switch for any of them. Then the ordinary campaign is run, with the
// seeds from 1 on, until one fails. What each bug is stands in planted_bugs_test.go, what came of it in testdata/planted-bugs.txt:
//
//	go test ./ensemble/sim -run TestPlantedBugs -v -timeout 0 -sim.plant .
//
// Without -sim.plant only the table is looked after: every bug still fits its source, and has been found.
var (
	plant      = flag.String("sim.plant", "", "plant the bugs whose names match, and run the campaign until each is found")
	plantSeeds = flag.Int("sim.plantseeds", plantMost, "how many seeds to try for each planted bug")
)

// plantMost is how many seeds a planted bug may take to be found, plantLeast how many have to be found.
const (
	plantMost  = 500
	plantLeast = 25
)

const plantTable = "testdata/planted-bugs.txt"

// A bug is planted by edits.
type bug struct {
	name  string
	lie   string // what the server does wrong
	edits []edit
}

// An edit puts text in place of other text, which stands exactly once in a file below ensemble/internal.
type edit struct{ file, old, new string }

// A finding is what became of a planted bug.
type finding struct {
	seed  int    // the first that failed; 0: none
	tried int    // seeds
	check string // that failed
}

// TestPlantedBugs plants the bugs that -sim.plant asks for, and checks that all there are would fit and have been found.
func TestPlantedBugs(t *testing.T) {
	names := map[string]bool{}
	for _, b := range planted {
		require.False(t, names[b.name], b.name)
		names[b.name] = true
		for file, text := range b.sources(t) {
			_, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
			require.NoError(t, err, b.name)
		}
	}
	if *plant != "" {
		plantAll(t, regexp.MustCompile(*plant))
	}
	found := readFindings(t)
	var seeds []int
	for _, b := range planted {
		f, ok := found[b.name]
		require.True(t, ok, "%s is not in %s", b.name, plantTable)
		if f.seed > 0 {
			seeds = append(seeds, f.seed)
		}
	}
	require.Len(t, found, len(planted), "%s has bugs that are planted no more", plantTable)
	require.GreaterOrEqual(t, len(seeds), plantLeast)
	require.LessOrEqual(t, middle(seeds), plantMost)
}

// middle is the median, 0 of nothing.
func middle(seeds []int) int {
	if len(seeds) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(seeds))[len(seeds)/2]
}

// sources are the files that the bug changes, changed.
func (b *bug) sources(t *testing.T) map[string][]byte {
	texts := map[string]string{}
	for _, e := range b.edits {
		path, err := filepath.Abs(filepath.Join("../internal", e.file))
		require.NoError(t, err)
		if texts[path] == "" {
			raw, err := os.ReadFile(path)
			require.NoError(t, err, b.name)
			texts[path] = string(raw)
		}
		require.Equal(t, 1, strings.Count(texts[path], e.old), "%s: in %s:\n%s", b.name, e.file, e.old)
		require.NotEqual(t, e.old, e.new, b.name)
		texts[path] = strings.Replace(texts[path], e.old, e.new, 1)
	}
	out := map[string][]byte{}
	for path, text := range texts {
		out[path] = []byte(text)
	}
	return out
}

// plantAll plants one bug after the other, and writes the table anew after each.
func plantAll(t *testing.T, which *regexp.Regexp) {
	for i := range planted {
		b := &planted[i]
		if !which.MatchString(b.name) {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			f := b.hunt(t)
			t.Logf("%+v", f)
			found := readFindings(t)
			found[b.name] = f
			writeFindings(t, found)
		})
	}
}

// plantHours is for how long one bug may be looked for.
const plantHours = 2 * time.Hour

// hunt builds the simulator with the bug and runs seeds until one fails.
func (b *bug) hunt(t *testing.T) finding {
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for path, text := range b.sources(t) {
		copied := filepath.Join(dir, fmt.Sprintf("%d.go", len(overlay.Replace)))
		require.NoError(t, os.WriteFile(copied, text, 0o600))
		overlay.Replace[path] = copied
	}
	list, err := json.Marshal(overlay)
	require.NoError(t, err)
	listFile, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "sim.test")
	require.NoError(t, os.WriteFile(listFile, list, 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), plantHours)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "test", "-c", "-overlay", listFile, "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.CommandContext(ctx, binary, "-test.run", "^TestCampaign$", "-test.timeout", "0", "-sim.from", "1", "-sim.first",
		"-sim.seeds", strconv.Itoa(*plantSeeds), "-sim.workers", strconv.Itoa(*workers)).CombinedOutput()
	if err == nil {
		return finding{tried: *plantSeeds}
	}
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit), "%v", err)
	return firstFinding(t, string(out))
}

// failure is how a campaign names a seed that failed, and the check that did.
var failure = regexp.MustCompile(`-sim\.seed=(\d+) -sim\.trace\s+(?:[\d.]+s (\w+):|(panic):)`)

// firstFinding is the lowest seed that a campaign names.
func firstFinding(t *testing.T, out string) finding {
	var f finding
	for _, m := range failure.FindAllStringSubmatch(out, -1) {
		seed, err := strconv.Atoi(m[1])
		require.NoError(t, err)
		if f.seed == 0 || seed < f.seed {
			f = finding{seed: seed, tried: seed, check: m[2] + m[3]}
		}
	}
	require.NotZero(t, f.seed, out)
	return f
}

func readFindings(t *testing.T) map[string]finding {
	found := map[string]finding{}
	raw, err := os.ReadFile(plantTable)
	require.NoError(t, err)
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		require.GreaterOrEqual(t, len(fields), 4, line)
		f := finding{check: fields[3]}
		f.seed, _ = strconv.Atoi(fields[1]) // or none
		f.tried, err = strconv.Atoi(fields[2])
		require.NoError(t, err, line)
		found[fields[0]] = f
	}
	return found
}

func writeFindings(t *testing.T, found map[string]finding) {
	var b strings.Builder
	rows, seeds := 0, []int{}
	for i := range planted {
		f, ok := found[planted[i].name]
		if ok {
			rows++
		}
		if f.seed > 0 {
			seeds = append(seeds, f.seed)
		}
	}
	fmt.Fprintf(&b, "# Bugs planted in copies of the sources, the first seed of the ordinary campaign (seeds from 1) that failed with each, and the\n"+
		"# check that found it. Written by TestPlantedBugs -sim.plant; the edits are in planted_bugs_test.go.\n"+
		"# found: %d of %d, median seed %d\n# %-30s %5s %5s %-6s %s\n", len(seeds), rows, middle(seeds), "bug", "seed", "tried", "check", "what is wrong")
	for i := range planted {
		p := &planted[i]
		f, ok := found[p.name]
		if !ok {
			continue
		}
		seed, check := strconv.Itoa(f.seed), f.check
		if f.seed == 0 {
			seed, check = "none", "-"
		}
		fmt.Fprintf(&b, "%-32s %5s %5d %-6s %s\n", p.name, seed, f.tried, check, p.lie)
	}
	require.NoError(t, os.WriteFile(plantTable, []byte(b.String()), 0o600))
}
