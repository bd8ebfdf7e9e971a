package main

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/examples/internal/stage"
	"github.com/bellwether-zk/bellwether/examples/internal/stage/stagetest"
)

// The program starts itself, and here that is the test.
func TestMain(m *testing.M) {
	if stage.IsInstance() {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestStory(t *testing.T) {
	require.Regexp(t, regexp.MustCompile(`^Anna hangs. In the queue are
  photo-3, which anna has
  photo-4, which nobody has
  poster, which nobody has
  photo-6, which nobody has
Anna is killed, and ben is started.
The queue is empty. Printed are
  photo-1, by anna, at attempt \d
  photo-2, by anna, at attempt \d
  photo-3, by ben, at attempt [23]
  photo-4, by ben, at attempt \d
  photo-6, by ben, at attempt \d
Laid aside: poster, after 3 attempts: no paper of that size
$`), stagetest.Perform(t, run))
}
