package examples

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The package comment is the list of the examples.
func TestAllAreListed(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	programs, err := filepath.Glob("*/main.go")
	require.NoError(t, err)
	require.Greater(t, len(programs), 3)
	for _, program := range programs {
		require.Contains(t, string(doc), "//	go run ./examples/"+filepath.ToSlash(filepath.Dir(program))+" ")
	}
}
