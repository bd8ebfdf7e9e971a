//go:build interop

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/integration/process"
)

// go-zookeeper/zk's own test-suite passes against Bellwether wherever it passes against Apache 3.9. Tests that start an
// ensemble are left out: these are the standalone parts.
//
// The suite starts its servers by zkServer.sh. Its parser of the four-letter word srvr, which it waits with for a server,
// knows only the date of the build as releases before 3.6 wrote it (10/08/2019). Bellwether writes it so; against Apache's
// 3.9 no test of the suite would ever start, so the copy run here is changed in that one place to read today's form too.
//
// testdata/go-zookeeper/passing-apache-3.9.txt records what passes against Apache 3.9. With INTEROP_FULL set, or without a
// Bellwether, the record itself is checked.
func TestGoZookeeperSuite(t *testing.T) {
	suite := copySuite(t)
	ensembles := ensembleTests(t, suite)
	require.NotEmpty(t, ensembles)
	record := filepath.Join("testdata", "go-zookeeper", "passing-apache-3.9.txt")
	ours := process.Bellwether.Known()
	if *update || !ours || os.Getenv("INTEROP_FULL") != "" {
		verdicts := runSuite(t, suite, process.Apache39, ensembles)
		t.Logf("%s passes %d of %d, not %v", process.Apache39.Name, len(passed(verdicts)), len(verdicts), failed(verdicts))
		list := strings.Join(passed(verdicts), "\n") + "\n"
		if *update {
			require.NoError(t, os.WriteFile(record, []byte(list), 0o644))
		}
		want, err := os.ReadFile(record)
		require.NoError(t, err)
		require.Equal(t, string(want), list)
	}
	if !ours {
		return
	}
	recorded, err := os.ReadFile(record)
	require.NoError(t, err)
	passing := strings.Fields(string(recorded))
	require.Greater(t, len(passing), 30, "so few tests show nothing")
	got := runSuite(t, suite, process.Bellwether, ensembles)
	t.Logf("%s passes %d of %d", process.Bellwether.Name, len(passed(got)), len(got))
	for _, name := range passing {
		if v := got[name]; v.Action != "pass" {
			t.Errorf("%s passes against %s and not against %s (%s):\n%s", name, process.Apache39.Name, process.Bellwether.Name, v.Action, v.output)
		}
	}
}

// copySuite copies the module's sources, as go.mod requires them, to where they can be changed.
func copySuite(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/go-zookeeper/zk").Output()
	require.NoError(t, err)
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "*"))
	require.NoError(t, err)
	for _, file := range files {
		if ext := filepath.Ext(file); ext != ".go" && ext != ".mod" {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if filepath.Base(file) == "flw.go" {
			text = readBothDates(t, text)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o644))
	}
	return dir
}

// readBothDates makes the parser of srvr read the date in today's form as well.
func readBothDates(t *testing.T, source []byte) []byte {
	t.Helper()
	for _, change := range [][2]string{
		{`\d\d/\d\d/\d\d\d\d \d\d:\d\d`, `[\d/-]+ \d\d:\d\d`},
		{`time.Parse("01/02/2006 15:04 MST", match[1])`, `time.Parse(map[bool]string{true: "01/02/2006", false: "2006-01-02"}[strings.Contains(match[1], "/")]+" 15:04 MST", match[1])`},
	} {
		require.Equal(t, 1, bytes.Count(source, []byte(change[0])), change[0])
		source = bytes.Replace(source, []byte(change[0]), []byte(change[1]), 1)
	}
	return source
}

// ensembleTests are the names of the tests that start more than one server.
func ensembleTests(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(t, err)
	var names []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		for _, decl := range parsed.Decls {
			test, ok := decl.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(test.Name.Name, "Test") {
				continue
			}
			ast.Inspect(test, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) < 2 {
					return true
				}
				name, ok := call.Fun.(*ast.Ident)
				size, isNumber := call.Args[1].(*ast.BasicLit)
				if ok && name.Name == "StartTestCluster" && isNumber && size.Value != "1" {
					names = append(names, test.Name.Name)
				}
				return true
			})
		}
	}
	return names
}

// A verdict is how one test of the suite ended.
type verdict struct {
	Action string
	output string
}

// runSuite runs every test but those left out, with servers of the kind given, and returns how each ended.
func runSuite(t *testing.T, dir string, k process.Kind, leftOut []string) map[string]verdict {
	t.Helper()
	bin := t.TempDir()
	shim := "#!/bin/sh\n# zkServer.sh start-foreground CONFIG\nexec " + shellQuote(k.CommandLine(t, fast)) + " \"$2\"\n"
	if k.Is(process.Apache39) {
		// Where Apache's own script puts SERVER_JVMFLAGS.
		shim = strings.Replace(shim, "exec 'java'", "exec 'java' $SERVER_JVMFLAGS", 1)
	}
	require.NoError(t, os.WriteFile(filepath.Join(bin, "zkServer.sh"), []byte(shim), 0o755))
	began := time.Now()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-json", "-count=1", "-timeout=8m",
		"-skip", "^("+strings.Join(leftOut, "|")+")$", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ZOOKEEPER_BIN_PATH="+bin, "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.Output()
	verdicts := map[string]verdict{}
	for line := range bytes.Lines(out) {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(line, &e) != nil || e.Test == "" || strings.Contains(e.Test, "/") {
			continue
		}
		v := verdicts[e.Test]
		v.output += e.Output
		if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
			v.Action = e.Action
		}
		verdicts[e.Test] = v
	}
	require.NotEmpty(t, verdicts, "the suite did not run: %v\n%s", err, out)
	t.Logf("the suite against %s took %s", k.Name, time.Since(began).Round(time.Second))
	return verdicts
}

func shellQuote(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("'%s'", strings.ReplaceAll(w, "'", `'\''`))
	}
	return strings.Join(quoted, " ")
}

func passed(verdicts map[string]verdict) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(verdicts)), func(name string) bool { return verdicts[name].Action != "pass" })
}

func failed(verdicts map[string]verdict) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(verdicts)), func(name string) bool { return verdicts[name].Action == "pass" })
}
