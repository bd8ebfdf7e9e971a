package client

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name under which spans and metrics appear.
const scope = "github.com/bellwether-zk/bellwether/client"

// bounds are those that OpenTelemetry's conventions give to the durations of operations of databases, in seconds. (What is taken without them suits
// milliseconds: nearly everything here would be in the first bucket.)
var bounds = []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10}

var systemName = attribute.String("db.system.name", "zookeeper")

// meters are the instruments of a client, where somebody asked for them.
type meters struct {
	operation metric.Float64Histogram   // of each operation
	create    metric.Float64Histogram   // of each connection
	count     metric.Int64UpDownCounter // of connections: 1 or 0
	suspended metric.Float64Histogram   // of each outage
	lost      metric.Int64Counter       // of sessions
	pending   metric.Registration       // of the requests that wait for an answer
}

// prepareTelemetry makes the tracer and the instruments.
func (c *core) prepareTelemetry() error {
	if c.opts.TracerProvider != nil {
		c.tracer = c.opts.TracerProvider.Tracer(scope)
	}
	if c.opts.MeterProvider == nil {
		return nil
	}
	m := c.opts.MeterProvider.Meter(scope)
	seconds := func(name, description string) (metric.Float64Histogram, error) {
		return m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(bounds...))
	}
	var out meters
	var errs [6]error
	out.operation, errs[0] = seconds("db.client.operation.duration", "Duration of ZooKeeper operations, tries and waits included.")
	out.create, errs[1] = seconds("db.client.connection.create_time", "From dialling a ZooKeeper server to its word that the session is open.")
	out.count, errs[2] = m.Int64UpDownCounter("db.client.connection.count",
		metric.WithUnit("{connection}"), metric.WithDescription("Connections to a ZooKeeper server, of which a client has one at a time."))
	out.suspended, errs[3] = seconds("bellwether.client.suspended.duration", "Time without a connection, for each outage, till the next one or the end of the session.")
	out.lost, errs[4] = m.Int64Counter("bellwether.client.session.lost",
		metric.WithUnit("{session}"), metric.WithDescription("Sessions that ended without their user's wish."))
	waiting, err := m.Int64ObservableUpDownCounter("db.client.connection.pending_requests",
		metric.WithUnit("{request}"), metric.WithDescription("Requests sent and not answered yet."))
	if err == nil {
		out.pending, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
			o.ObserveInt64(waiting, int64(c.pending()), metric.WithAttributes(systemName))
			return nil
		}, waiting)
	}
	errs[5] = err
	c.meters = &out
	if err := errors.Join(errs[:]...); err != nil {
		c.closeTelemetry()
		return err
	}
	return nil
}

// closeTelemetry forgets what would be asked of a client that is closed.
func (c *core) closeTelemetry() {
	if c.meters != nil && c.meters.pending != nil {
		_ = c.meters.pending.Unregister()
	}
}

// Instruments returns what build has made of Options.TracerProvider and Options.MeterProvider, of which one may be nil: once for each key, for
// a client and all its views together, however often it is asked for. It is nil, and build is not called, if both are nil. For
// packages that do their work through a client, and want to be seen where the client is; a key is of a type of their own, as for
// context.WithValue. build must not use the client.
func (c *Client) Instruments(key any, build func(trace.TracerProvider, metric.MeterProvider) any) any {
	if c.opts.TracerProvider == nil && c.opts.MeterProvider == nil {
		return nil
	}
	c.built.mu.Lock()
	defer c.built.mu.Unlock()
	if made, ok := c.built.made[key]; ok {
		return made
	}
	if c.built.made == nil {
		c.built.made = make(map[any]any)
	}
	made := build(c.opts.TracerProvider, c.opts.MeterProvider)
	c.built.made[key] = made
	return made
}

// pending counts the requests that wait for an answer.
func (c *core) pending() int {
	c.mu.Lock()
	g := c.current
	c.mu.Unlock()
	if g == nil {
		return 0
	}
	g.ledger.mu.Lock()
	defer g.ledger.mu.Unlock()
	return len(g.ledger.pending)
}

// observation is an operation that somebody wants to be told of; its zero value is one that nobody asked about.
type observation struct {
	c        *core
	op, path string
	start    time.Time
	span     trace.Span
}

// observe begins the watching of one operation; the observation's end ends it. Paths go into spans and hooks only, as there is no end of them.
func (c *core) observe(ctx context.Context, op, path string) (context.Context, observation) {
	if c.tracer == nil && c.meters == nil && c.opts.Hooks.Done == nil {
		return ctx, observation{}
	}
	o := observation{c: c, op: op, path: path, start: time.Now()}
	if c.tracer != nil {
		ctx, o.span = c.tracer.Start(ctx, op, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			systemName, attribute.String("db.operation.name", op), attribute.String("db.zookeeper.path", path)))
	}
	return ctx, o
}

// end tells how an operation ended, after so many tries.
func (o *observation) end(ctx context.Context, tries int, err error) {
	if o.c == nil {
		return
	}
	took := time.Since(o.start)
	if done := o.c.opts.Hooks.Done; done != nil {
		done(OperationDone{Op: o.op, Path: o.path, Took: took, Tries: tries, Err: err})
	}
	attrs := []attribute.KeyValue{systemName, attribute.String("db.operation.name", o.op)}
	if err != nil {
		attrs = append(attrs, attribute.String("error.type", ErrorType(err)))
	}
	if o.c.meters != nil {
		o.c.meters.operation.Record(ctx, took.Seconds(), metric.WithAttributes(attrs...))
	}
	if o.span == nil {
		return
	}
	if err != nil {
		o.span.SetAttributes(attrs[2:]...)
		o.span.SetStatus(codes.Error, err.Error())
	}
	o.span.End()
}

// stateMeter makes measurements of the states of a connection, one after the other.
type stateMeter struct {
	*meters     // nil: none
	connected   bool
	suspendedAt time.Time // zero when connected
}

func (m *stateMeter) note(change StateChange) {
	if m.meters == nil {
		return
	}
	ctx := context.Background()
	connected := change.State == StateConnected || change.State == StateReconnected || change.State == StateReadOnly
	if connected != m.connected {
		step := int64(1)
		if m.connected {
			step = -1
		}
		m.count.Add(ctx, step, metric.WithAttributes(systemName, attribute.String("db.client.connection.state", "used")))
		m.connected = connected
	}
	if !m.suspendedAt.IsZero() {
		m.suspended.Record(ctx, change.At.Sub(m.suspendedAt).Seconds(), metric.WithAttributes(systemName))
		m.suspendedAt = time.Time{}
	}
	switch change.State {
	case StateSuspended:
		m.suspendedAt = change.At
	case StateLost:
		m.lost.Add(ctx, 1, metric.WithAttributes(systemName, attribute.String("error.type", lossType(change.Err))))
	}
}

// measureConnection notes how long it took to connect, from the first byte dialled to the open session.
func (c *core) measureConnection(server string, took time.Duration) {
	if c.meters == nil {
		return
	}
	host, port, _ := net.SplitHostPort(server)
	attrs := []attribute.KeyValue{systemName, attribute.String("server.address", host)}
	if n, err := strconv.Atoi(port); err == nil {
		attrs = append(attrs, attribute.Int("server.port", n))
	}
	c.meters.create.Record(context.Background(), took.Seconds(), metric.WithAttributes(attrs...))
}

// lossType names why a session was lost.
func lossType(cause error) string {
	switch {
	case errors.Is(cause, errSilence):
		return "silence"
	case errors.Is(cause, errUnproved):
		return "unproved"
	case errors.Is(cause, ErrAuthFailed):
		return "auth_failed"
	}
	return "expired"
}

// ErrorType names a failure with one of few different words, as OpenTelemetry's attribute error.type wants it, and as this package's own spans
// and metrics have it: outcome_unknown, ZooKeeper's code as a number, canceled, deadline_exceeded, closed, or _OTHER.
func ErrorType(err error) string {
	if errors.Is(err, ErrUnknown) {
		return "outcome_unknown"
	}
	if code, ok := errors.AsType[Code](err); ok {
		return strconv.Itoa(int(code))
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline_exceeded"
	case errors.Is(err, ErrClosed):
		return "closed"
	}
	return "_OTHER"
}
