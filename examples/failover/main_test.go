package main

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each server that is left goes through the phases in order, to an epoch that is higher than the one before; the writes go on where
// they had stopped.
func TestStory(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out))
	parts := regexp.MustCompile(`(?m)^A program writes|^The program was|^Server \d is started`).Split(out.String(), -1)
	require.Len(t, parts, 4, out.String())
	first, failover, seen, back := rows(t, parts[0]), rows(t, parts[1]), parts[2], rows(t, parts[3])

	require.Len(t, first, 3)
	epoch := ""
	for _, events := range first {
		require.Equal(t, []string{"looking", "election", "0", "0", "0:0"}, events[0])
		last := events[len(events)-1]
		require.Equal(t, "broadcast", last[1])
		require.Equal(t, last[2], last[3])
		epoch = last[3]
	}
	require.Regexp(t, `^[1-9]$`, epoch) // 1, unless the machine is so busy that it takes more than one election
	require.Len(t, failover, 2, "the one that ends tells nothing")
	leaders := 0
	for _, events := range failover {
		require.Equal(t, []string{"looking", "election", epoch, epoch}, events[0][:4])
		require.Regexp(t, "^"+epoch+`:\d+$`, events[0][4])
		var phases []string
		for _, e := range events {
			phases = append(phases, e[1])
		}
		require.Subset(t, []string{"election", "discovery", "synchronization", "broadcast"}, phases)
		last := events[len(events)-1]
		require.Equal(t, "broadcast", last[1])
		require.Regexp(t, `^\d+$`, last[3])
		require.Greater(t, last[3], epoch)
		if last[0] == "leader" {
			leaders++
		}
	}
	require.Equal(t, 1, leaders)
	require.Regexp(t, `last write of the old epoch +`+epoch+`:\d{4,} +acknowledged`, seen)
	require.Regexp(t, `first write of the new epoch +[2-9]:1 +acknowledged`, seen)
	require.Contains(t, seen, " 0 of them ended without an answer")
	for _, events := range back {
		require.Equal(t, "looking", events[0][0])
		require.Equal(t, []string{"follower", "broadcast"}, events[len(events)-1][:2])
	}
	require.Regexp(t, `(\d+) writes were acknowledged\. Server \d reads \d+, written at [2-9]:\d+: nothing is lost\.`, out.String())
}

// rows are the lines of a table by server, without time and server.
func rows(t *testing.T, text string) map[string][][]string {
	t.Helper()
	all := map[string][][]string{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 7 || !strings.Contains(fields[0], ".") {
			continue
		}
		_, err := strconv.ParseFloat(fields[0], 64)
		require.NoError(t, err)
		all[fields[1]] = append(all[fields[1]], fields[2:])
	}
	return all
}
