package main

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/examples/internal/stage/stagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStory(t *testing.T) {
	told := regexp.MustCompile(`: json: .*`).ReplaceAllString(stagetest.Perform(t, run), "") // the words of encoding/json are its own
	require.Equal(t, `The first limits.
  mailer-1: at most 1000 bytes, as of version 0
  mailer-2: at most 1000 bytes, as of version 0
  a letter of 5000 bytes is refused
Longer letters are allowed, while the mailers run.
  mailer-1: at most 10000 bytes, as of version 1
  mailer-2: at most 10000 bytes, as of version 1
  a letter of 5000 bytes is sent
The operator's finger slips.
  not sent: set /mail/limits: schema violation: /mail/limits cannot have these data: limits make no sense: maxBytes is -10000 (rule limits)
Somebody else writes limits, with a client that knows no rules.
  mailer-1: still at most 10000 bytes: decode /mail/limits: data do not decode
  mailer-2: still at most 10000 bytes: decode /mail/limits: data do not decode
  a letter of 5000 bytes is sent
The operator replaces them, if they are still those.
  mailer-1: at most 2000 bytes, as of version 3
  mailer-2: at most 2000 bytes, as of version 3
  a letter of 5000 bytes is refused
`, told)
}
