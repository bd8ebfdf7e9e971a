package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Defaults of Options.
const (
	DefaultSessionTimeout = 15 * time.Second
	DefaultMaxFrame       = 1 << 20
)

// Auth is one identity of a client: a scheme and its credential, for the digest scheme "user:password".
type Auth struct {
	Scheme     string
	Credential []byte
}

// Options say how a client connects and behaves. The zero value works, and nil means the zero value.
type Options struct {
	// SessionTimeout is the session timeout asked for; the server may grant another one, see Session.Timeout. At least a
	// millisecond. Default: 15 s.
	SessionTimeout time.Duration
	// TickTime is the servers' tickTime, if it is known. Nothing goes wrong without it, or if it is too long; with it a session that is
	// kept survives longer outages, see Session.Keep. One that is too short makes Keep promise what it cannot hold. Default: half of
	// the session timeout that was granted, the longest it can be unless minSessionTimeout is set.
	TickTime time.Duration
	// ConnectTimeout bounds dialling one server and its answer to the handshake together. Default: a third of SessionTimeout.
	ConnectTimeout time.Duration
	// Dialer opens a connection; network is always "tcp" and addr one host:port of the connect string, name unresolved. This is where
	// TLS, a proxy or a network in memory is plugged in. It is called from one goroutine at a time, with FollowConfig from two, and
	// must return when ctx ends. Default: a plain net.Dialer, which resolves the name anew each time.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)
	// FollowConfig lets the client learn of servers that are not in the connect string from the configuration that the servers publish:
	// it reads and watches /zookeeper/config on every connection, as Curator's EnsembleTracker does. What the connect string names stays.
	// An address from the configuration is used, now and in later sessions, after the Dialer has reached it once, within ConnectTimeout,
	// and until it leaves the configuration; one that is not reached is tried again every minute, and whenever the configuration is
	// read. A wildcard stands for the names by which the servers know this one. Loopback addresses are used only if the connect string
	// has one. A configuration that is empty or cannot be read changes nothing, and no operation fails for any of this. Default: off.
	FollowConfig bool
	// Auth are identities the session is authenticated with before its first operation, in this order, and again after each
	// reconnect. Default: none.
	Auth []Auth
	// ACL is given to nodes created without an ACL of their own. Default: everything for everybody.
	ACL []ACL
	// ACLFor tells which ACL a node gets that is created without one of its own, parents that are made on the way among them; where it
	// returns none, ACL is taken. path is relative to the connect string's chroot, and as the caller wrote it: the number of a
	// sequential node is not known yet. It is called by many goroutines. Default: ACL for all (ACLProvider in Curator).
	ACLFor func(path string) []ACL
	// Check is asked about each write before it is sent, and about each read that sets a watch; what it returns an error for is not sent,
	// and fails with that error. It is called by many goroutines and must not use the client. What the client does by itself is not
	// asked about: undoing what was cancelled, and proving that a session lives. Default: everything is sent.
	Check func(Intent) error
	// ReadOnly takes a server that has no majority behind it, where servers offer that (readonlymode.enabled on Apache's): better to read
	// what may be old than nothing. The package comment says what becomes of sessions. While attached to such a server the client asks
	// all others, and that one, for one with a majority, by the command isro through Dialer, and moves there; Apache's servers
	// answer it where it is in 4lw.commands.whitelist or their own read-only mode is on. Default: such servers turn the client away.
	ReadOnly bool
	// MaxFrame is the largest request sent and the largest answer accepted, in bytes. Memory of that order is held by a client that has
	// sent or received something of that size, and by no other. A larger request is refused with ErrTooLarge, and so is who gets a
	// larger answer. Keep it equal to the servers' jute.maxbuffer. Default: 1 MiB.
	MaxFrame int
	// Reconnect makes the policy of pauses between rounds over all servers while none can be reached, or none with a majority; a policy
	// is used by one goroutine and reset after each success. When it says Stop, the last pause before is repeated: a client gives up only when
	// it is closed. Default: exponential with jitter, 50 ms to 2 s.
	Reconnect func() backoff.BackOff
	// Retry makes the policy of pauses between tries of an operation that lost its connection and may be repeated without harm: the
	// reads and sync. When it says Stop, the operation ends with the error of its last try. One policy is made for each operation
	// that fails. Default: exponential with jitter, 10 ms to 1 s, without end: the operation's context is the bound.
	Retry func() backoff.BackOff
	// Logger hears of sessions opened and lost (Info, Warn), and of each connection (Debug). Default: silence.
	Logger *slog.Logger
	// Hooks are told of what the client does. Default: nobody is.
	Hooks Hooks
	// TracerProvider makes a span for each operation, after OpenTelemetry's conventions for databases, and those of the recipes. Default:
	// no spans.
	TracerProvider trace.TracerProvider
	// MeterProvider measures operations (db.client.operation.duration), connections (db.client.connection.create_time, .count and
	// .pending_requests), outages (bellwether.client.suspended.duration) and sessions lost (bellwether.client.session.lost), by
	// OpenTelemetry's conventions where there are any, and what the recipes do. Default: no metrics.
	MeterProvider metric.MeterProvider
}

// withDefaults returns a complete copy, or all that is wrong with it.
func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if err := out.validate(); err != nil {
		return out, err
	}
	if out.SessionTimeout == 0 {
		out.SessionTimeout = DefaultSessionTimeout
	}
	if out.ConnectTimeout == 0 {
		out.ConnectTimeout = max(out.SessionTimeout/3, time.Millisecond)
	}
	if out.Dialer == nil {
		out.Dialer = new(net.Dialer).DialContext
	}
	if len(out.ACL) == 0 {
		out.ACL = WorldACL(PermAll)
	}
	if out.MaxFrame == 0 {
		out.MaxFrame = DefaultMaxFrame
	}
	if out.Reconnect == nil {
		out.Reconnect = func() backoff.BackOff { return exponential(50*time.Millisecond, 2*time.Second) }
	}
	if out.Retry == nil {
		out.Retry = func() backoff.BackOff { return exponential(10*time.Millisecond, time.Second) }
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out, nil
}

func (o *Options) validate() error {
	var problems []error
	if o.SessionTimeout < 0 || o.SessionTimeout > math.MaxInt32*time.Millisecond ||
		(o.SessionTimeout > 0 && o.SessionTimeout < time.Millisecond) {
		problems = append(problems, fmt.Errorf("option SessionTimeout %v is not between 1 ms and %v", o.SessionTimeout, math.MaxInt32*time.Millisecond))
	}
	if o.TickTime < 0 {
		problems = append(problems, fmt.Errorf("option TickTime %v is negative", o.TickTime))
	}
	if o.ConnectTimeout < 0 {
		problems = append(problems, fmt.Errorf("option ConnectTimeout %v is negative", o.ConnectTimeout))
	}
	if o.MaxFrame != 0 && o.MaxFrame < 1<<10 {
		problems = append(problems, fmt.Errorf("option MaxFrame %d is below 1024", o.MaxFrame))
	}
	for i, a := range o.Auth {
		if a.Scheme == "" {
			problems = append(problems, fmt.Errorf("option Auth[%d] has no scheme", i))
		}
	}
	return errors.Join(problems...)
}

// exponential doubles from first to most, each pause anywhere within half of it to one and a half, and never stops: the library's own
// default ends after fifteen minutes.
func exponential(first, most time.Duration) backoff.BackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(first), backoff.WithMaxInterval(most),
		backoff.WithMultiplier(2), backoff.WithMaxElapsedTime(0))
}
