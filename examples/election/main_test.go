package main

import (
	"regexp"
	"strings"
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
	story := stagetest.Perform(t, run)
	// It is alpha, beta and gamma in this order, unless the machine is so busy that one of them loses its session on the way.
	told := regexp.MustCompile(`^Three processes stand for election: alpha, beta, gamma.
(\w+) leads, works, and is killed.
(\w+) leads, works, and ends when it is asked to.
(\w+) leads, works, and ends when it is asked to.
Every day is billed, and no day twice: by ([\w, ]+).
$`).FindStringSubmatch(story)
	require.NotNil(t, told, story)
	require.ElementsMatch(t, []string{"alpha", "beta", "gamma"}, told[1:4])
	by := strings.Split(told[4], ", then ")
	require.Subset(t, by, told[1:4])
	require.Equal(t, told[3], by[len(by)-1])
}
