package main

import (
	"bytes"
	"regexp"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The story has its turns in this order, its tokens grow, and it is over in a few seconds: of virtual time, since in real time a
// session as short as these ends by itself where the machine is busy.
func TestStory(t *testing.T) {
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		require.NoError(t, run(t.Context(), &out))
		require.Less(t, time.Since(start), 10*time.Second)
	})

	rest := out.String()
	for _, turn := range []string{
		`server 1 +is ready`, `server 2 +is ready`, `server 3 +is ready`,
		`anna +has session 0x`, `ben +has session 0x`, `carla +has session 0x`,
		`anna +is first in the line`, `ben +waits.*anna's`, `carla +waits.*ben's`,
		`-lock-0000000000  anna `, `-lock-0000000001  ben `, `-lock-0000000002  carla `,
		`ben +holds the lock`, `printer +prints page 2 for ben`,
		`server \d +is gone`, `anna +wrote a note`, `ben +has still got his session 0x.* the lock`, `server \d +is on again.*follower`,
		`printer +prints page 3 for ben`, `cable is pulled`, `carla +holds the lock`, `ben +is told by his own client: session expired`,
		`printer +refuses page 5 from ben`, `ben +has session 0x.* waits for carla`, `ben +holds the lock again`, `printer +prints page 5 for ben`,
	} {
		found := regexp.MustCompile(turn).FindStringIndex(rest)
		require.NotNil(t, found, "%q should come in\n%s", turn, rest)
		rest = rest[found[1]:]
	}
	last := 0
	for _, match := range regexp.MustCompile(`Token (\d+)`).FindAllStringSubmatch(out.String(), -1) {
		token, err := strconv.Atoi(match[1])
		require.NoError(t, err)
		require.Greater(t, token, last)
		last = token
	}
	require.NotZero(t, last)
}
