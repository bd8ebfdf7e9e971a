//go:build interop

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/integration/process"
)

// go-zookeeper/zk's own test-suite passes against Bellwether wherever it passes against Apache 3.9, the tests that start an
// ensemble of three included.
//
// The suite starts its servers by zkServer.sh. Its parser of the four-letter word srvr, which it waits with for a server,
// knows only the date of the build as releases before 3.6 wrote it (10/08/2019). Bellwether writes it so; against Apache's
// 3.9 no test of the suite would ever start, so the copy run here is changed in that one place to read today's form too.
func TestGoZookeeperSuite(t *testing.T) {
	suite := copySuite(t)
	comparison{
		record: filepath.Join("testdata", "go-zookeeper", "passing-apache-3.9.txt"), atLeast: 40,
		run: func(t *testing.T, k process.Kind) map[string]verdict { return runGoZookeeper(t, suite, k) },
	}.mustHold(t)
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

// runGoZookeeper runs every test with servers of the kind given, and returns how each ended. Those that start ensembles, which wait
// more than they work, run beside the others.
func runGoZookeeper(t *testing.T, dir string, k process.Kind) map[string]verdict {
	t.Helper()
	bin := t.TempDir()
	shim := "#!/bin/sh\n# zkServer.sh start-foreground CONFIG\nexec " + shellQuote(k.CommandLine(t, fast)) + " \"$2\"\n"
	if k.Is(process.Apache39) {
		// Where Apache's own script puts SERVER_JVMFLAGS.
		shim = strings.Replace(shim, "exec 'java'", "exec 'java' $SERVER_JVMFLAGS", 1)
	}
	require.NoError(t, os.WriteFile(filepath.Join(bin, "zkServer.sh"), []byte(shim), 0o755))
	ensembles := ensembleTests(t, dir)
	require.NotEmpty(t, ensembles)
	pattern := "^(" + strings.Join(ensembles, "|") + ")$"
	var outputs [2][]byte
	var errs [2]error
	var running sync.WaitGroup
	for i, choice := range []string{"-skip=" + pattern, "-run=" + pattern} {
		cmd := exec.CommandContext(t.Context(), "go", "test", "-json", "-count=1", "-timeout=8m", choice, ".")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "ZOOKEEPER_BIN_PATH="+bin, "GOFLAGS=-mod=mod", "GOWORK=off")
		running.Go(func() { outputs[i], errs[i] = cmd.Output() }) // ends with the command
	}
	running.Wait()
	verdicts := map[string]verdict{}
	for line := range bytes.Lines(slices.Concat(outputs[0], outputs[1])) {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(line, &e) != nil || e.Test == "" || strings.Contains(e.Test, "/") {
			continue
		}
		v := verdicts[e.Test]
		v.output += e.Output
		if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
			v.action = e.Action
		}
		verdicts[e.Test] = v
	}
	require.NotEmpty(t, verdicts, "the suite did not run: %v\n%s", errs, outputs)
	return verdicts
}

func shellQuote(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("'%s'", strings.ReplaceAll(w, "'", `'\''`))
	}
	return strings.Join(quoted, " ")
}
