package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestConfigCheck compares what config check prints with testdata/check/*.golden.
func TestConfigCheck(t *testing.T) {
	cases := []struct {
		golden string
		args   []string
		env    string
		code   int
	}{
		{"sample", []string{"testdata/check/sample.cfg"}, "", exitOK},
		{"sample-all", []string{"-a", "testdata/check/sample.cfg"}, "", exitOK},
		{"ignored", []string{"-Djute.maxbuffer=4194304", "testdata/check/ignored.cfg", "-Dzookeeper.enforceQuota=yes"},
			"-Xmx2g -Dzookeeper.tickTime=1 -Dzookeeper.snapCount=3", exitOK},
		{"refused", []string{"testdata/check/refused.cfg"}, "", exitInvalid},
		{"several", []string{"testdata/check/several.cfg"}, "", exitOK},
		{"refused-json", []string{"-o", "json", "testdata/check/refused.cfg"}, "", exitInvalid},
	}
	for _, c := range cases {
		t.Run(c.golden, func(t *testing.T) {
			t.Setenv("SERVER_JVMFLAGS", c.env)
			out, errs, code := execute(t, append([]string{"config", "check"}, c.args...)...)
			require.Equal(t, c.code, code)
			require.Empty(t, errs)
			name := path.Join("testdata/check", c.golden+".golden")
			if *update {
				require.NoError(t, os.WriteFile(name, []byte(out), 0o644))
			}
			want, err := os.ReadFile(name)
			require.NoError(t, err)
			require.Equal(t, string(want), out)
		})
	}
}

func TestConfigCheckJSON(t *testing.T) {
	out, _, _ := execute(t, "config", "check", "-o", "json", "testdata/check/ignored.cfg")
	var check configCheck
	require.NoError(t, json.Unmarshal([]byte(out), &check))
	require.Equal(t, checkedSetting{Key: "clientPort", Value: "2181", Effect: "honoured", From: "testdata/check/ignored.cfg:2"}, check.Settings[1])
	require.Empty(t, check.Problems)
}

func TestConfigCheckOfAMissingFile(t *testing.T) {
	out, errs, code := execute(t, "config", "check", "testdata/nowhere.cfg")
	require.Equal(t, exitInvalid, code)
	require.Empty(t, out)
	require.Contains(t, errs, "testdata/nowhere.cfg")
}

// execute runs one command line in this process, with nothing on standard input.
func execute(t *testing.T, args ...string) (out, errs string, code int) {
	t.Helper()
	return executeWith(t, "", args...)
}

func executeWith(t *testing.T, in string, args ...string) (out, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(in), &o, &e)
	return o.String(), e.String(), code
}
