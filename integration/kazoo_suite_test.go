//go:build interop

package integration

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net"
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

// kazoo's own test-suite passes against Bellwether wherever it passes against Apache 3.9, on ensembles of three that it starts, stops and
// starts again itself.
//
// The tests of SASL (test_sasl.py) are left out. Against Apache's they pass with servers that are told the clients' passwords by a JAAS
// file; with one that has no SASL kazoo waits for ever, for an answer that makes sense to it:
//
//	TestLegacySASLDigestAuthentication   test_connect_sasl_auth, test_invalid_sasl_auth
//	TestSASLDigestAuthentication         test_connect_sasl_auth, test_invalid_sasl_auth
//	TestSASLGSSAPIAuthentication         skipped everywhere: they need a Kerberos server
func TestKazooSuite(t *testing.T) {
	const later = "reconfiguration is not implemented"
	comparison{
		record: filepath.Join("testdata", "kazoo", "passing-apache-3.9.txt"), atLeast: 450, run: runKazoo,
		not: map[string]string{
			"test_client.TestReconfig.test_add_remove_observer": later,
			"test_client.TestReconfig.test_bad_input":           later,
			"test_client.TestReconfig.test_no_super_auth":       later,
		},
	}.mustHold(t)
}

// kazooParts are the files of the suite, in parts of about the same length; each part gets an ensemble of its own.
var kazooParts = [][]string{
	{"test_client", "test_barrier", "test_party", "test_counter", "test_queue"},
	{"test_eventlet_handler", "test_lock", "test_lease", "test_election"},
	{"test_watchers", "test_partitioner", "test_cache"},
	nil, // the rest
}

// runKazoo runs the parts of the suite side by side.
func runKazoo(t *testing.T, k process.Kind) map[string]verdict {
	t.Helper()
	python := process.MustEnv(t, "KAZOO_PYTHON")
	out, err := exec.CommandContext(t.Context(), python, "-c", "import kazoo.tests; print(kazoo.tests.__path__[0])").Output()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "test_*.py"))
	require.NoError(t, err)
	bin := kazooJava(t, k)
	rest := map[string]bool{}
	for _, f := range files {
		rest[f] = filepath.Base(f) != "test_sasl.py"
	}
	verdicts := map[string]verdict{}
	var mu sync.Mutex
	var running sync.WaitGroup
	for _, part := range kazooParts {
		var names []string
		for _, f := range files {
			if name := strings.TrimSuffix(filepath.Base(f), ".py"); slices.Contains(part, name) || part == nil && rest[f] {
				names = append(names, f)
				delete(rest, f)
			}
		}
		report := filepath.Join(t.TempDir(), "report.xml")
		cmd := exec.CommandContext(t.Context(), python, append([]string{"-B", "-m", "pytest", "-p", "no:cacheprovider", "-q", "-o", "junit_logging=system-err", "--junitxml=" + report}, names...)...)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "ZOOKEEPER_VERSION=3.9.5",
			"ZOOKEEPER_CLASSPATH="+os.Getenv(process.Apache39.Variable), fmt.Sprintf("ZOOKEEPER_PORT_OFFSET=%d", kazooPorts(t)))
		running.Go(func() { // ends with the command
			output, err := cmd.CombinedOutput()
			if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			readJUnit(t, report, output, verdicts)
		})
	}
	running.Wait()
	return verdicts
}

// readJUnit adds what a report says.
func readJUnit(t *testing.T, report string, output []byte, verdicts map[string]verdict) {
	text, err := os.ReadFile(report)
	if err != nil {
		t.Errorf("%v\n%s", err, output)
		return
	}
	var suites struct {
		Cases []struct {
			Class   string    `xml:"classname,attr"`
			Name    string    `xml:"name,attr"`
			Failure *string   `xml:"failure"`
			Error   *string   `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
			Said    string    `xml:"system-err"` // by client and servers
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(text, &suites); err != nil {
		t.Error(err)
		return
	}
	for _, c := range suites.Cases {
		class := c.Class[strings.LastIndex(c.Class, "test_"):]
		v := verdict{action: "pass"}
		switch {
		case c.Failure != nil:
			v = verdict{"fail", *c.Failure + "\n" + c.Said}
		case c.Error != nil:
			v = verdict{"fail", *c.Error + "\n" + c.Said}
		case c.Skipped != nil:
			v.action = "skip"
		}
		verdicts[class+"."+c.Name] = v
	}
}

// kazooJava makes a folder with a program java in it, which is what kazoo starts its servers by.
func kazooJava(t *testing.T, k process.Kind) string {
	t.Helper()
	java, err := exec.LookPath("java")
	require.NoError(t, err)
	script := "#!/bin/sh\nexec " + shellQuote([]string{java, "-Xmx256m", "-XX:+UseSerialGC", fast, "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"}) + ` "$@"` + "\n"
	if k.Is(process.Bellwether) {
		// Only the properties, and in the end the zoo.cfg, mean something to it.
		script = "#!/bin/sh\nfor word; do\n\tshift\n\tcase $word in -D*) set -- \"$@\" \"$word\";; esac\n\tconfig=$word\ndone\nexec " +
			shellQuote(k.CommandLine(t)) + ` "$@" "$config"` + "\n"
	}
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "java"), []byte(script), 0o755))
	return bin
}

// kazooPorts is where a row of ports begins that an ensemble of kazoo's can have: four for each server, the servers ten apart.
func kazooPorts(t *testing.T) int {
	t.Helper()
	for range 100 {
		base, free := process.FreePort(t), true
		for i := range 12 {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+i/4*10+i%4))
			if err != nil {
				free = false
				break
			}
			require.NoError(t, l.Close())
		}
		if free {
			return base
		}
	}
	t.Fatal("no row of ports is free")
	return 0
}
