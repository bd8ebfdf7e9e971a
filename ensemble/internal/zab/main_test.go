package zab

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite what the stories in testdata say happens")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
