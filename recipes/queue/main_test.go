package queue_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		*faultRuns = min(*faultRuns, 2)
	}
	goleak.VerifyTestMain(m)
}
