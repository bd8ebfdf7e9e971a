package ensembletest

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble"
)

// MaxFrame is the largest request or answer of the clients that an ensemble connects, in bytes, unless Options.Client says otherwise.
// It is smaller than in production so that a thousand clients fit in a test.
const MaxFrame = 64 << 10

// logVariable is the environment variable that shows servers' logs.
const logVariable = "BELLWETHER_LOG"

// Options says how servers of a test run. The zero value, like a nil pointer, is servers in memory with the settings of production.
type Options struct {
	// Observers is how many of the servers, the last ones, follow without a vote. At least one has to vote.
	Observers int
	// OnDisk keeps the data in a temporary directory, which is removed in the end, instead of in memory. Server.Dir does too, and
	// is left. Files cannot be torn: see [Server.Crash].
	OnDisk bool
	// TCP lets clients connect through 127.0.0.1 too, each server on a free port that it keeps. Not in a bubble, whose clock a
	// socket stops.
	TCP bool
	// Log shows what the servers log: through testing.TB.Log, or on standard error without a TB. Setting the environment variable
	// BELLWETHER_LOG does the same for all.
	Log bool
	// EpochLength is how many transactions an epoch has room for, instead of 2³²-2: then the counter in the zxid is at its end, and the
	// leader gives up so that another epoch begins. Only with more than one server; one alone does not count in epochs.
	EpochLength uint32
	// Server is what each server is told; ServerID, Members and Network are set here. Its Logger hears what all servers log.
	Server ensemble.Options
	// Client is what clients are told that the ensemble connects; Dialer is set here. Defaults differ from the client's: MaxFrame
	// is the constant, and pauses between tries grow from 5 ms to 1 s.
	Client client.Options
}

// withDefaults returns a complete copy for n servers, or all that is wrong.
func (o *Options) withDefaults(n int) (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	var problems []error
	if n < 1 || n > 255 {
		problems = append(problems, fmt.Errorf("%d servers: not between 1 and 255", n))
	}
	if out.Observers < 0 || out.Observers > 0 && out.Observers >= n {
		problems = append(problems, fmt.Errorf("%d of %d servers as observers: at least one has to vote", out.Observers, n))
	}
	if out.EpochLength > 0 && n == 1 {
		problems = append(problems, errors.New("EpochLength with one server, which has no epochs"))
	}
	if out.TCP && bubbled() {
		problems = append(problems, errors.New("TCP in a synctest bubble: a socket stops its clock"))
	}
	if out.TCP && out.Server.Addr == "" {
		out.Server.Addr = "127.0.0.1:0"
	}
	out.Log = out.Log || os.Getenv(logVariable) != ""
	c := &out.Client
	if c.MaxFrame == 0 {
		c.MaxFrame = MaxFrame
	}
	if c.Reconnect == nil {
		c.Reconnect = patient
	}
	if c.Retry == nil {
		c.Retry = patient
	}
	return out, errors.Join(problems...)
}

// patient pauses for 5 ms first and a second in the end, and never gives up.
func patient() backoff.BackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(5*time.Millisecond), backoff.WithMaxInterval(time.Second),
		backoff.WithMultiplier(2), backoff.WithMaxElapsedTime(0))
}
