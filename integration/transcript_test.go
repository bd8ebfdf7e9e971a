//go:build interop

package integration

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/integration/process"
)

var update = flag.Bool("update", false, "rewrite the lists of differences; new ones are marked as not explained, and fail until they are")

// A client is a scripted session of everything some client offers: a program that takes a server's address and prints what
// it saw, the same whenever servers behave the same. A transcript has sections, begun by lines "## title".
type client struct {
	name string
	// prepare compiles what must be, and returns the command line, to which the address is added, and lines for the
	// program's standard input.
	prepare func(t *testing.T) (command []string, input string)
	// tidy makes what the program itself cannot make comparable so; nil leaves the output as it is.
	tidy func(output string) string
}

// Every client against every server under test. Apache 3.9 against itself shows, with INTEROP_FULL, that transcripts do not vary by chance.
func TestClientsSeeTheSame(t *testing.T) {
	servers := []process.Kind{process.Apache38}
	if full() {
		servers = append(servers, process.Apache39)
	}
	if process.Bellwether.Known() {
		servers = append(servers, process.Bellwether)
	}
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			command, input := c.prepare(t)
			want := c.session(t, process.Apache39, command, input)
			require.Greater(t, strings.Count(want, "\n"), 20, "a transcript this short shows nothing:\n%s", want)
			for _, k := range servers {
				t.Run(k.Name, func(t *testing.T) {
					want, got := want, c.session(t, k, command, input)
					if k.Is(process.Apache38) {
						want, got = withoutEventZxids(want), withoutEventZxids(got)
					}
					mustExplain(t, filepath.Join("testdata", c.name, "differences-"+fileName(k)+".txt"), differences(want, got))
				})
			}
		})
	}
}

func fileName(k process.Kind) string {
	name, _, _ := strings.Cut(strings.ToLower(k.Name), " (")
	return strings.ReplaceAll(name, " ", "-")
}

// session runs the client against a fresh server and returns its transcript.
func (c client) session(t *testing.T, k process.Kind, command []string, input string) string {
	t.Helper()
	began := time.Now()
	p := startPeer(t, k)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], append(slices.Clone(command[1:]), p.Addr)...)
	cmd.Stdin = strings.NewReader(input)
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	p.Stop()
	require.NoError(t, err, "the client's output:\n%s\nits errors:\n%s\nthe server's log:\n%s", out, &errors, p.LogTail())
	transcript := string(out)
	if c.tidy != nil {
		transcript = c.tidy(transcript)
	}
	if dir := os.Getenv("TRANSCRIPTS"); dir != "" { // for a person to look at
		require.NoError(t, os.MkdirAll(dir, 0o755))
		name := fmt.Sprintf("%s-%s.txt", c.name, fileName(k))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(transcript), 0o644))
	}
	t.Logf("%s against %s: %d lines in %s", c.name, k.Name, strings.Count(transcript, "\n"), time.Since(began).Round(time.Millisecond))
	return transcript
}

// A difference is a run of lines that are not equal, with the section it stands in.
type difference struct {
	section string
	lines   []string // "- wanted" and "+ got"
}

func (d difference) String() string {
	return "## " + d.section + "\n" + strings.Join(d.lines, "\n") + "\n"
}

// differences compares two transcripts section by section and line by line.
func differences(want, got string) []difference {
	var all []difference
	a, b := sections(want), sections(got)
	for _, name := range slices.Concat(a.names, b.names) {
		if slices.ContainsFunc(all, func(d difference) bool { return d.section == name }) {
			continue
		}
		all = append(all, lineDifferences(name, a.lines[name], b.lines[name])...)
	}
	return all
}

type sectioned struct {
	names []string
	lines map[string][]string
}

func sections(transcript string) sectioned {
	s := sectioned{lines: map[string][]string{}}
	name := "beginning"
	for line := range strings.Lines(transcript) {
		line = strings.TrimRight(line, "\n")
		if title, ok := strings.CutPrefix(line, "## "); ok {
			name = title
			for n := 2; s.lines[name] != nil; n++ {
				name = fmt.Sprintf("%s (%d)", title, n)
			}
			s.names = append(s.names, name)
			continue
		}
		if len(s.names) == 0 {
			s.names = append(s.names, name)
		}
		s.lines[name] = append(s.lines[name], line)
	}
	return s
}

// lineDifferences is the shortest edit from a to b, by the longest common subsequence, as runs of removed and added lines.
func lineDifferences(section string, a, b []string) []difference {
	common := make([][]int, len(a)+1) // common[i][j]: the length for a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var all []difference
	var run []string
	flush := func() {
		if run != nil {
			all = append(all, difference{section, run})
			run = nil
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			flush()
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			run = append(run, "- "+a[i])
			i++
		default:
			run = append(run, "+ "+b[j])
			j++
		}
	}
	flush()
	return all
}

const unexplained = "not explained"

// mustExplain requires that the differences are those listed in a file, each with the reason: blocks of "# reason" lines, a
// section's "## title", and the lines that differ. A file that does not exist lists none.
func mustExplain(t *testing.T, file string, got []difference) {
	t.Helper()
	listed := mustReadReasons(t, file)
	if *update {
		writeReasons(t, file, got, listed)
		listed = mustReadReasons(t, file)
	}
	there := map[string]bool{}
	for _, d := range got {
		there[d.String()] = true
		reason, ok := listed[d.String()]
		if !ok || strings.Contains(reason, unexplained) {
			t.Errorf("a difference that %s does not explain:\n%s", file, d)
		}
	}
	for d, reason := range listed {
		if !there[d] {
			t.Errorf("a difference that %s explains (%s) and that is not there:\n%s", file, strings.TrimSpace(reason), d)
		}
	}
}

// mustReadReasons maps each difference's text to its reason.
func mustReadReasons(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return map[string]string{}
	}
	require.NoError(t, err)
	reasons := map[string]string{}
	for block := range strings.SplitSeq(string(text), "\n\n") {
		if strings.TrimSpace(block) == "" {
			continue
		}
		var reason, rest strings.Builder
		for line := range strings.Lines(strings.TrimRight(block, "\n") + "\n") {
			if strings.HasPrefix(line, "# ") {
				reason.WriteString(line)
			} else {
				rest.WriteString(line)
			}
		}
		require.NotEmpty(t, reason.String(), "%s lists a difference without a reason:\n%s", file, block)
		reasons[rest.String()] = reason.String()
	}
	return reasons
}

func writeReasons(t *testing.T, file string, got []difference, known map[string]string) {
	t.Helper()
	if len(got) == 0 {
		if err := os.Remove(file); !os.IsNotExist(err) {
			require.NoError(t, err)
		}
		return
	}
	var text strings.Builder
	for i, d := range got {
		if i > 0 {
			text.WriteString("\n")
		}
		reason, ok := known[d.String()]
		if !ok {
			reason = "# " + unexplained + "\n"
		}
		text.WriteString(reason + d.String())
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o644))
}

// An event's line in the transcripts of the Java client and zkCli, with the zxid of the change it came from.
var eventZxid = regexp.MustCompile(`(?m)^(  \w+: .*|WatchedEvent .*)( at| zxid:) (-1|0|z[-+]?\d+|\d+)$`)

// withoutEventZxids drops what servers before 3.9 do not say: which change an event came from. Their notifications carry
// zxid -1 (ZOOKEEPER-4655), in every event, which would bury all other differences.
func withoutEventZxids(transcript string) string { return eventZxid.ReplaceAllString(transcript, "$1") }
