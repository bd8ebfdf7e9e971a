//go:build interop

package integration

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(holdersEnv); addr != "" { // a process of startHolders
		fmt.Fprintln(os.Stderr, holdLocks(addr, os.Stdout))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
