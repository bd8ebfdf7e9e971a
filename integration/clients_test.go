//go:build interop

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/integration/process"
)

var clients = []client{
	{
		name:    "java",
		prepare: func(t *testing.T) ([]string, string) { return javaProgram(t, "APACHE39_CP", "Main", "java/*"), "" },
	},
	{name: "zkcli", prepare: prepareZkCli, tidy: tidyZkCli},
	{name: "c", prepare: prepareC},
	{
		name: "kazoo",
		prepare: func(t *testing.T) ([]string, string) {
			return []string{process.MustEnv(t, "KAZOO_PYTHON"), filepath.Join("testdata", "kazoo", "session.py")}, ""
		},
	},
	{
		name: "raw", // our own: the protocol byte by byte, bad input, and the four-letter words
		prepare: func(t *testing.T) ([]string, string) {
			return []string{process.MustEnv(t, "KAZOO_PYTHON"), filepath.Join("testdata", "raw", "session.py")}, ""
		},
	},
	{
		name: "curator",
		prepare: func(t *testing.T) ([]string, string) {
			return javaProgram(t, "CURATOR_CP", "Recipes", "java/Transcript", "curator/*"), ""
		},
	},
	{
		name: "curator-debian", // Curator 5.4.0 on ZooKeeper's client 3.8.0
		prepare: func(t *testing.T) ([]string, string) {
			return javaProgram(t, "CURATOR38_CP", "Recipes", "java/Transcript", "curator/*"), ""
		},
	},
}

// javaProgram compiles sources below testdata, with the class path that a variable holds, and returns the command that runs
// the class.
func javaProgram(t testing.TB, variable, class string, sources ...string) []string {
	t.Helper()
	classPath := process.MustEnv(t, variable)
	return java(javaClasses(t, classPath, sources...)+":"+classPath, class)
}

// javaClasses compiles sources, patterns below testdata, and returns the folder of the classes.
func javaClasses(t testing.TB, classPath string, sources ...string) string {
	t.Helper()
	out := t.TempDir()
	args := []string{"-proc:none", "-d", out, "-cp", classPath}
	for _, pattern := range sources {
		files, err := filepath.Glob(filepath.Join("testdata", pattern+".java"))
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		args = append(args, files...)
	}
	mustRun(t, "javac", args...)
	return out
}

func java(classPath, class string) []string {
	return []string{"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
		"-cp", classPath, class}
}

func mustRun(t testing.TB, name string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	require.NoError(t, err, "%s %v:\n%s", name, args, out)
}

func prepareC(t *testing.T) (command []string, input string) {
	program := filepath.Join(t.TempDir(), "session")
	mustRun(t, "gcc", "-Wall", "-Wextra", "-Werror", "-o", program, filepath.Join("testdata", "c", "session.c"), "-lzookeeper_mt", "-lpthread")
	return []string{program}, ""
}

func TestTidyZkCliFindsEventsThatWereInterrupted(t *testing.T) {
	whole := tidyZkCli("one\n\nWATCHER::\n\nWatchedEvent state:X\ntwo\nthree\n")
	require.Equal(t, whole, tidyZkCli("one\n\nWATCHER::\ntwo\n\nWatchedEvent state:X\nthree\n"))
	require.Equal(t, "## answers\none\ntwo\nthree\n\n## events\nWatchedEvent state:X\n", whole)
}

// prepareZkCli makes the command line of what zkCli.sh starts. Its answers are on standard output and its refusals on
// standard error; both belong to the transcript.
func prepareZkCli(t *testing.T) (command []string, input string) {
	commands, err := os.ReadFile(filepath.Join("testdata", "zkcli", "commands.txt"))
	require.NoError(t, err)
	both := []string{"sh", "-c", `exec "$@" 2>&1`, "sh"}
	return append(append(both, java(process.MustEnv(t, "APACHE39_CP"), "org.apache.zookeeper.ZooKeeperMain")...), "-server"), string(commands)
}

var (
	cliDate  = regexp.MustCompile(`\w{3} \w{3} \d\d \d\d:\d\d:\d\d \S+ (\d{4})`)
	cliOwner = regexp.MustCompile(`ephemeralOwner = 0x[0-9a-f]{2,}`)
	cliPaths = regexp.MustCompile(`(?m)^\[(/.*)\]$`)
	// An event is printed in two goes, and an answer may come between them.
	cliEvent = regexp.MustCompile(`\n?WATCHER::\n\n(WatchedEvent .*)\n|(?m:^\n?WATCHER::\n)|(?m:^\n(WatchedEvent .*)\n)`)
)

// tidyZkCli takes out times, session ids and addresses, and moves the events to the end: the thread that prints them races
// with the one that prints answers. Everything else, zxids too, is as the server said it.
func tidyZkCli(output string) string {
	output = cliDate.ReplaceAllStringFunc(output, func(date string) string {
		if strings.HasSuffix(date, " 1970") {
			return "the beginning of time"
		}
		return "now"
	})
	output = cliOwner.ReplaceAllString(output, "ephemeralOwner = a session")
	output = regexp.MustCompile(`Connecting to .*`).ReplaceAllString(output, "Connecting")
	output = cliPaths.ReplaceAllStringFunc(output, func(list string) string { // ephemerals come in no particular order
		paths := strings.Split(list[1:len(list)-1], ", ")
		slices.Sort(paths)
		return "[" + strings.Join(paths, ", ") + "]"
	})
	var events []string
	output = cliEvent.ReplaceAllStringFunc(output, func(block string) string {
		if said := cliEvent.FindStringSubmatch(block); said[1]+said[2] != "" {
			events = append(events, said[1]+said[2])
		}
		return ""
	})
	// The client tells of the watches that one command took back in no particular order.
	for from, to := 0, 0; from < len(events); from = to {
		for to = from + 1; to < len(events) && strings.Contains(events[from], "WatchRemoved") && strings.Contains(events[to], "WatchRemoved"); to++ {
		}
		slices.Sort(events[from:to])
	}
	return "## answers\n" + output + "\n## events\n" + strings.Join(events, "\n") + "\n"
}
