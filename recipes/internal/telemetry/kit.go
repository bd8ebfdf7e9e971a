package telemetry

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"github.com/bellwether-zk/bellwether/client"
)

// Recipe is one of a family. It is a variable of its package, and is not changed.
type Recipe struct {
	Family Family
	Name   string // one of the values of bellwether.recipe
	Words  []Word // for the recipe's own failures and ends; the first that fits is taken
}

// Word is how a failure, or the end of something held, is called in metrics.
type Word struct {
	Err  error
	Word string
	Lost bool // it is an end that nobody wished
	Fine bool // it is an answer as good as any, and no error of a span
}

type asKey struct{}

// As has a recipe that is made with this context seen as another one, which is made of it. It keeps its own Words.
func As(ctx context.Context, f Family, name string) context.Context {
	return context.WithValue(ctx, asKey{}, Recipe{Family: f, Name: name})
}

// Seen returns as what a recipe is seen that is made with this context.
func (r *Recipe) Seen(ctx context.Context) *Recipe {
	as, ok := ctx.Value(asKey{}).(Recipe)
	if !ok {
		return r
	}
	as.Words = r.Words
	return &as
}

// word names a failure, and tells whether it is a real one.
func (r *Recipe) word(err error) (word string, real bool) {
	for _, w := range r.Words {
		if errors.Is(err, w.Err) {
			return w.Word, !w.Fine
		}
	}
	return client.ErrorType(err), true
}

// end names an end, and tells whether nobody wished it.
func (r *Recipe) end(cause error) (word string, lost bool) {
	for _, w := range r.Words {
		if errors.Is(cause, w.Err) {
			return w.Word, w.Lost
		}
	}
	switch {
	case errors.Is(cause, client.ErrClosed):
		return "client_closed", false
	case errors.Is(cause, client.ErrSessionExpired):
		return "session_lost", true
	}
	return client.ErrorType(cause), false
}

// Kit is all that the recipes of one client measure with. Its methods may be called on nil, where nobody asked, and by many goroutines.
type Kit struct {
	tracer     trace.Tracer // nil: no spans
	families   [families]gauges
	histograms [metrics]metric.Float64Histogram
	levels     [metrics]metric.Int64UpDownCounter
	counts     [metrics]metric.Int64Counter

	questions *observer // nil: nobody asks

	mu       sync.RWMutex
	prepared map[attributes]*options
}

// attributes are those of a measurement, of which there are few; "" is none.
type attributes struct {
	recipe, operation, failure, end string
	Labels
}

// Labels are what is said of a service, besides; "" is none.
type Labels struct {
	Service string // its name
	Status  string // of its instances
	Failure string // error.type
	Resend  string // how often the request was sent before: of one that was not, "0"
}

// options are attributes as instruments take them, made once: to make them takes longer than to measure.
type options struct {
	add     []metric.AddOption
	record  []metric.RecordOption
	observe []metric.ObserveOption
}

func (k *Kit) options(a attributes) *options {
	k.mu.RLock()
	o := k.prepared[a]
	k.mu.RUnlock()
	if o != nil {
		return o
	}
	var all []attribute.KeyValue
	for key, value := range map[attribute.Key]string{
		"bellwether.recipe": a.recipe, "bellwether.operation": a.operation, "error.type": a.failure + a.Failure, "bellwether.end": a.end,
		"bellwether.service": a.Service, "bellwether.status": a.Status, "http.request.resend_count": a.Resend,
	} {
		switch n, err := strconv.Atoi(value); {
		case value == "":
		case key == "http.request.resend_count" && err == nil:
			all = append(all, key.Int(n))
		default:
			all = append(all, key.String(value))
		}
	}
	set := metric.WithAttributeSet(attribute.NewSet(all...))
	o = &options{add: []metric.AddOption{set}, record: []metric.RecordOption{set}, observe: []metric.ObserveOption{set}}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.prepared[a] = o
	return o
}

type kitKey struct{}

// Of returns the kit of a client, nil if nobody asked for spans or metrics.
func Of(c *client.Client) *Kit {
	kit, _ := c.Instruments(kitKey{}, func(tp trace.TracerProvider, mp metric.MeterProvider) any { return newKit(tp, mp) }).(*Kit)
	return kit
}

func newKit(tp trace.TracerProvider, mp metric.MeterProvider) *Kit {
	k := &Kit{prepared: make(map[attributes]*options)}
	if tp != nil {
		k.tracer = tp.Tracer(scope)
	}
	if mp == nil {
		mp = noop.NewMeterProvider()
	}
	m := maker{mp.Meter(scope)}
	for f := range vocabularies {
		k.families[f] = m.gauges(&vocabularies[f])
	}
	for i, d := range definitions {
		switch d.kind {
		case count:
			k.counts[i] = m.count(d.name, d.unit, d.description)
		case level:
			k.levels[i] = m.level(d.name, d.unit, d.description)
		case duration:
			k.histograms[i] = m.seconds(d.name, d.description)
		case amount:
			k.histograms[i] = m.histogram(d.name, d.unit, d.description, amounts)
		}
	}
	k.questions = newObserver(k, m)
	return k
}

// Count adds to a count, or to a level.
func (k *Kit) Count(m Metric, n int64) {
	switch {
	case k == nil, n == 0:
	case k.counts[m] != nil:
		k.counts[m].Add(context.Background(), n)
	default:
		k.levels[m].Add(context.Background(), n)
	}
}

// CountOf adds to a count of a service.
func (k *Kit) CountOf(m Metric, of Labels) {
	if k != nil {
		k.counts[m].Add(context.Background(), 1, k.options(attributes{Labels: of}).add...)
	}
}

// Repaired counts what was put right.
func (k *Kit) Repaired(r *Recipe) {
	if k != nil {
		k.families[r.Family].repaired.Add(context.Background(), 1, k.options(attributes{recipe: r.Name}).add...)
	}
}

// Took records a duration.
func (k *Kit) Took(m Metric, d time.Duration) {
	if k != nil {
		k.histograms[m].Record(context.Background(), d.Seconds())
	}
}

// Saw records an amount.
func (k *Kit) Saw(m Metric, n int) {
	if k != nil {
		k.histograms[m].Record(context.Background(), float64(n))
	}
}

// noSpan does nothing.
var noSpan = trace.SpanFromContext(context.Background())

// start begins a span.
func (k *Kit) start(ctx context.Context, name string, r *Recipe, path string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	if k.tracer == nil {
		return ctx, noSpan
	}
	return k.tracer.Start(ctx, name, append(opts,
		trace.WithAttributes(attribute.String("bellwether.recipe", r.Name), attribute.String("bellwether.path", path)))...)
}

// Operation is something done through a recipe that leaves nothing held. It may be nil, where nobody asked.
type Operation struct {
	kit    *Kit
	recipe *Recipe
	name   string
	began  time.Time
	span   trace.Span
}

// Operation begins one. The context is for what is done for it. Whoever begins it must end it.
func (k *Kit) Operation(ctx context.Context, r *Recipe, name, path string) (context.Context, *Operation) {
	if k == nil {
		return ctx, nil
	}
	return k.operation(ctx, r, name, path)
}

func (k *Kit) operation(ctx context.Context, r *Recipe, name, path string) (context.Context, *Operation) {
	o := &Operation{kit: k, recipe: r, name: name, began: time.Now()}
	ctx, o.span = k.start(ctx, k.families[r.Family].name+"."+name, r, path)
	return ctx, o
}

// End tells how it went.
func (o *Operation) End(err error) {
	if o != nil {
		o.end(err)
	}
}

func (o *Operation) end(err error) {
	with := o.kit.options(attributes{recipe: o.recipe.Name, operation: o.name, failure: o.recipe.failure(o.span, err)})
	o.kit.families[o.recipe.Family].operation.Record(in(o.span), time.Since(o.began).Seconds(), with.record...)
	o.span.End()
}

// in is a context for measurements: of it they take the span alone.
func in(span trace.Span) context.Context { return within(context.Background(), span) }

// failure names what went wrong, if anything, and tells a span of it.
func (r *Recipe) failure(span trace.Span, err error) string {
	if err == nil {
		return ""
	}
	word, real := r.word(err)
	span.SetAttributes(attribute.String("error.type", word))
	if real {
		span.SetStatus(codes.Error, err.Error())
	}
	return word
}
