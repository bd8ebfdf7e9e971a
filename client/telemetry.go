package client

import (
	"context"
	"errors"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name under which spans and metrics appear.
const scope = "github.com/bellwether-zk/bellwether/client"

var systemName = attribute.String("db.system.name", "zookeeper")

// prepareTelemetry makes the instruments, where somebody asked for them.
func (c *core) prepareTelemetry() error {
	if c.opts.TracerProvider != nil {
		c.tracer = c.opts.TracerProvider.Tracer(scope)
	}
	if c.opts.MeterProvider == nil {
		return nil
	}
	var err error
	c.seconds, err = c.opts.MeterProvider.Meter(scope).Float64Histogram("db.client.operation.duration",
		metric.WithUnit("s"), metric.WithDescription("Duration of ZooKeeper operations, tries and waits included."))
	return err
}

// observe begins the watching of one operation; the function it returns ends it. Paths go into spans only, as there is no end of them.
func (c *core) observe(ctx context.Context, op, path string) (context.Context, func(error)) {
	if c.tracer == nil && c.seconds == nil {
		return ctx, func(error) {}
	}
	name := attribute.String("db.operation.name", op)
	start := time.Now()
	var span trace.Span
	if c.tracer != nil {
		ctx, span = c.tracer.Start(ctx, op, trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(systemName, name, attribute.String("db.zookeeper.path", path)))
	}
	return ctx, func(err error) {
		attrs := []attribute.KeyValue{systemName, name}
		if err != nil {
			attrs = append(attrs, attribute.String("error.type", errorType(err)))
		}
		if c.seconds != nil {
			c.seconds.Record(ctx, time.Since(start).Seconds(), metric.WithAttributes(attrs...))
		}
		if span == nil {
			return
		}
		if err != nil {
			span.SetAttributes(attrs[2:]...)
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// errorType names a failure with few different words: ZooKeeper's code, or what happened on this side.
func errorType(err error) string {
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
