package telemetry

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errTaken = errors.New("somebody took it")
	errGiven = errors.New("given back")
	errBusy  = errors.New("not now")

	mutex = Recipe{Family: Lock, Name: "mutex", Words: []Word{{Err: errTaken, Word: "removed", Lost: true}, {Err: errGiven, Word: "released"}, {Err: errBusy, Word: "busy", Fine: true}}}
	sums  = Recipe{Family: Counter, Name: "counter"}
)

func connect(t *testing.T, r *telemetrytest.Recorder) *client.Client {
	t.Helper()
	o := client.Options{SessionTimeout: 10 * time.Second}
	if r != nil {
		o.TracerProvider, o.MeterProvider = r.TracerProvider(), r.MeterProvider()
	}
	return ensembletest.Start(t, 1, &ensembletest.Options{Client: o}).Connect(t)
}

func TestWaitAndHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		c := connect(t, &r)
		kit := Of(c)
		caller, parent := r.TracerProvider().Tracer("test").Start(t.Context(), "caller")

		ctx, wait := kit.Wait(caller, &mutex, "/a")
		require.NotEqual(t, parent, trace.SpanFromContext(ctx), "what is done while waiting is below the wait")
		require.EqualValues(t, 1, r.Sum("bellwether.lock.wait.count"))
		time.Sleep(3 * time.Second)
		life, end := context.WithCancelCause(c.Session().Context())
		hold := wait.Held(Held{Session: c.Session(), Life: life, Path: "/a/1", Token: 7})
		require.EqualValues(t, 0, r.Sum("bellwether.lock.wait.count"))
		require.EqualValues(t, 1, r.Sum("bellwether.lock.hold.count"))
		require.Equal(t, []telemetrytest.Measurement{{Value: 3, Attributes: map[string]string{"bellwether.recipe": "mutex"}}},
			r.Measured("bellwether.lock.wait.duration"))
		time.Sleep(2 * time.Second)
		end(errTaken)
		synctest.Wait()
		hold.End(nil) // too late to count

		lost := map[string]string{"bellwether.recipe": "mutex", "bellwether.end": "removed"}
		require.EqualValues(t, 0, r.Sum("bellwether.lock.hold.count"))
		require.Equal(t, []telemetrytest.Measurement{{Value: 2, Attributes: lost}}, r.Measured("bellwether.lock.hold.duration"))
		require.Equal(t, []telemetrytest.Measurement{{Value: 1, Attributes: lost}}, r.Measured("bellwether.lock.hold.lost"))

		waited, held := r.Spans("lock.wait")[0], r.Spans("lock.hold")[0]
		for _, s := range []*telemetrytest.Span{waited, held} {
			require.True(t, s.Ended)
			require.Equal(t, parent.SpanContext().SpanID(), s.Parent)
		}
		require.Equal(t, codes.Unset, waited.Status)
		require.Equal(t, map[string]string{"bellwether.recipe": "mutex", "bellwether.path": "/a"}, waited.Attributes)
		require.Equal(t, []trace.SpanID{waited.ID()}, held.Links)
		require.Equal(t, codes.Error, held.Status)
		require.Equal(t, errTaken.Error(), held.Said)
		require.Equal(t, map[string]string{
			"bellwether.recipe": "mutex", "bellwether.path": "/a/1", "bellwether.token": "7", "bellwether.session": c.Session().String(),
			"bellwether.end": "removed",
		}, held.Attributes)
		require.Equal(t, held, trace.SpanFromContext(hold.Context(t.Context())))
	})
}

// What was waited for together is one wait, and several holds.
func TestSeveralHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		c := connect(t, &r)
		_, wait := Of(c).Wait(t.Context(), &mutex, "/a")
		for range 3 {
			wait.Held(Held{Session: c.Session()})
		}
		require.Len(t, r.Measured("bellwether.lock.wait.duration"), 1)
		require.Zero(t, r.Sum("bellwether.lock.wait.count"))
		require.EqualValues(t, 3, r.Sum("bellwether.lock.hold.count"))
		for _, s := range r.Spans("lock.hold") {
			require.Equal(t, []trace.SpanID{r.Spans("lock.wait")[0].ID()}, s.Links)
		}
	})
}

// How a hold ends is told in one word, and only what nobody wished is a loss.
func TestEnds(t *testing.T) {
	for _, c := range []struct {
		cause error
		word  string
		lost  bool
	}{
		{nil, "released", false},
		{errGiven, "released", false},
		{errTaken, "removed", true},
		{&client.Error{Op: "x", Err: client.ErrSessionExpired}, "session_lost", true},
		{client.ErrClosed, "client_closed", false},
		{context.Canceled, "canceled", false},
		{errors.New("other"), "_OTHER", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var r telemetrytest.Recorder
			session := connect(t, &r).Session()
			_, wait := Of(session.Client()).Wait(t.Context(), &mutex, "/a")
			hold := wait.Held(Held{Session: session})
			hold.End(c.cause)
			require.Equal(t, c.word, r.Measured("bellwether.lock.hold.duration")[0].Attributes["bellwether.end"], c.cause)
			require.Equal(t, c.lost, len(r.Measured("bellwether.lock.hold.lost")) == 1, c.cause)
			require.Equal(t, c.lost, r.Spans("lock.hold")[0].Status == codes.Error, c.cause)
		})
	}
}

// A hold ends with its client at the latest: when Close has returned everything was told.
func TestHoldEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		c := connect(t, &r)
		kit, session := Of(c), c.Session()
		hold := func() {
			_, wait := kit.Wait(t.Context(), &mutex, "/a")
			wait.Held(Held{Session: session})
		}
		hold()
		require.NoError(t, c.Close())
		require.Len(t, r.Measured("bellwether.lock.hold.duration"), 1)
		hold() // late: it is over as soon as it began
		require.Len(t, r.Measured("bellwether.lock.hold.duration"), 2)
		require.Zero(t, r.Sum("bellwether.lock.hold.count"))
	})
}

func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		kit := Of(connect(t, &r))
		for _, err := range []error{errTaken, &client.Error{Op: "x", Err: client.ErrNoAuth}, context.DeadlineExceeded, errBusy} {
			_, wait := kit.Wait(t.Context(), &mutex, "/a")
			wait.Failed(err)
		}
		var words []string
		for _, m := range r.Measured("bellwether.lock.wait.duration") {
			words = append(words, m.Attributes["error.type"])
		}
		require.Equal(t, []string{"removed", "-102", "deadline_exceeded", "busy"}, words)
		require.Zero(t, r.Sum("bellwether.lock.wait.count"))
		for i, s := range r.Spans("lock.wait") {
			require.True(t, s.Ended)
			require.Equal(t, i < 3, s.Status == codes.Error, "an answer as good as any is none")
			require.Equal(t, words[i], s.Attributes["error.type"])
		}
	})
}

func TestOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		kit := Of(connect(t, &r))
		for _, err := range []error{nil, client.ErrClosed} {
			ctx, op := kit.Operation(t.Context(), &sums, "update", "/n")
			require.NotEqual(t, t.Context(), ctx)
			time.Sleep(time.Second)
			op.End(err)
		}
		require.Equal(t, []telemetrytest.Measurement{
			{Value: 1, Attributes: map[string]string{"bellwether.recipe": "counter", "bellwether.operation": "update"}},
			{Value: 1, Attributes: map[string]string{"bellwether.recipe": "counter", "bellwether.operation": "update", "error.type": "closed"}},
		}, r.Measured("bellwether.counter.operation.duration"))
		require.Len(t, r.Spans("counter.update"), 2)
	})
}

// What is asked is told when somebody collects: the same by several is added up, of times the longest counts, and what was counted stays counted.
func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		kit := Of(connect(t, &r))
		registered := r.Callbacks() // by the client
		mail := Labels{Service: "mail"}
		n := 1.0
		read := func(tell func(Reading, Labels, float64)) {
			tell(DiscoveryPicks, mail, 10*n)
			tell(DiscoveryCandidates, mail, n)
			tell(DiscoveryStaleness, mail, n)
			tell(DiscoveryInstances, Labels{Service: "mail", Status: "up"}, n)
		}
		stop := kit.Observe(read)
		again := kit.Observe(func(tell func(Reading, Labels, float64)) { read(tell) })
		n = 3
		last := kit.Observe(func(tell func(Reading, Labels, float64)) {
			tell(DiscoveryStaleness, mail, 5)
			tell(DiscoveryPicks, Labels{Service: "mail", Failure: "none"}, 2)
		})
		require.Equal(t, registered+1, r.Callbacks())
		told := func(name string) (all []telemetrytest.Measurement) { return r.Observed("bellwether.discovery." + name) }
		is := func(value float64, attrs ...string) telemetrytest.Measurement {
			m := telemetrytest.Measurement{Value: value, Attributes: map[string]string{"bellwether.service": "mail"}}
			for i := 0; i < len(attrs); i += 2 {
				m.Attributes[attrs[i]] = attrs[i+1]
			}
			return m
		}
		require.ElementsMatch(t, []telemetrytest.Measurement{is(60), is(2, "error.type", "none")}, told("picks"))
		require.Equal(t, []telemetrytest.Measurement{is(6)}, told("candidates"))
		require.Equal(t, []telemetrytest.Measurement{is(5)}, told("staleness"))
		require.Equal(t, []telemetrytest.Measurement{is(6, "bellwether.status", "up")}, told("instances"))
		again()
		again()
		last()
		n = 4
		require.ElementsMatch(t, []telemetrytest.Measurement{is(70), is(2, "error.type", "none")}, told("picks"))
		require.Equal(t, []telemetrytest.Measurement{is(4)}, told("candidates"))
		require.Equal(t, []telemetrytest.Measurement{is(4)}, told("staleness"))
		stop()
		require.Equal(t, registered, r.Callbacks(), "nobody has anything to tell")
		stop = kit.Observe(func(func(Reading, Labels, float64)) {})
		require.ElementsMatch(t, []telemetrytest.Measurement{is(70), is(2, "error.type", "none")}, told("picks"))
		require.Empty(t, told("candidates"))
		stop()
	})
}

// What one recipe keeps by another is seen as its own, with the words of that one.
func TestAs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		kit := Of(connect(t, &r))
		kept := Recipe{Family: Node, Name: "ephemeral_node", Words: mutex.Words}
		require.Same(t, &kept, kept.Seen(t.Context()))
		_, wait := kit.Wait(t.Context(), kept.Seen(As(t.Context(), Group, "membership")), "/a")
		kit.Repaired(kept.Seen(As(t.Context(), Discovery, "registration")))
		wait.Failed(errTaken)
		require.Equal(t, map[string]string{"bellwether.recipe": "membership", "error.type": "removed"}, r.Measured("bellwether.group.wait.duration")[0].Attributes)
		require.Empty(t, r.Measured("bellwether.node.wait.duration"))
		require.Equal(t, []telemetrytest.Measurement{{Value: 1, Attributes: map[string]string{"bellwether.recipe": "registration"}}},
			r.Measured("bellwether.discovery.repairs"))
	})
}

// Each instrument is made once for a client, and stands in the package comment with its unit, as do the words for attributes.
func TestInstrumentsAreOnceAndDescribed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r telemetrytest.Recorder
		c := connect(t, &r)
		for range 3 {
			require.Same(t, Of(c), Of(c.Session().Client()))
		}
		text, err := os.ReadFile("doc.go")
		require.NoError(t, err)
		rows := make(map[string]string) // name → unit
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 3 && strings.HasPrefix(f[1], "bellwether.") && strings.Count(f[1], ".") > 1 {
				rows[f[1]] = f[2]
			}
		}
		made, times := r.Instruments()
		for name, what := range made {
			if !strings.HasPrefix(name, "bellwether.") || strings.HasPrefix(name, "bellwether.client.") {
				continue
			}
			require.Equal(t, what.Unit, rows[name], "the package comment on %s", name)
			require.NotEmpty(t, what.Description, name)
			require.Equal(t, 1, times[name], name)
			delete(rows, name)
		}
		require.Empty(t, rows, "described, and there is no such instrument")
	})
}

// Either without the other, too.
func TestSpansOrMetricsAlone(t *testing.T) {
	for _, with := range []string{"spans", "metrics"} {
		synctest.Test(t, func(t *testing.T) {
			var r telemetrytest.Recorder
			o := client.Options{TracerProvider: r.TracerProvider()}
			if with == "metrics" {
				o = client.Options{MeterProvider: r.MeterProvider()}
			}
			c := ensembletest.Start(t, 1, &ensembletest.Options{Client: o}).Connect(t)
			caller, _ := r.TracerProvider().Tracer("test").Start(t.Context(), "caller")
			ctx, wait := Of(c).Wait(caller, &mutex, "/a")
			hold := wait.Held(Held{Session: c.Session(), Path: "/a/1", Token: 7})
			require.Equal(t, trace.SpanFromContext(ctx), trace.SpanFromContext(Below(ctx, t.Context())))
			require.Equal(t, with == "metrics", trace.SpanFromContext(wait.Context(t.Context())) == noSpan)
			require.Equal(t, with == "metrics", ctx == caller, "what is done is below the caller's span")
			require.Equal(t, with == "metrics", hold.Context(caller) == caller)
			hold.End(nil)
			Of(c).Count(LeaderChanges, 1)
			require.Equal(t, with == "spans", len(r.Spans("lock.hold")) == 1)
			require.Equal(t, with == "metrics", len(r.Measured("bellwether.lock.hold.duration")) == 1)
		})
	}
}

// Where nobody asked nothing is made, and all of it costs next to nothing.
func TestUnusedItCostsNothing(t *testing.T) {
	c := connect(t, nil)
	kit, session, ctx := Of(c), c.Session(), t.Context()
	require.Nil(t, kit)
	round := func() {
		ctx, wait := kit.Wait(ctx, &mutex, "/a")
		hold := wait.Held(Held{Session: session, Life: ctx, Path: "/a/1", Token: 7})
		hold.End(nil)
		wait.Failed(errTaken)
		_, op := kit.Operation(ctx, &sums, "update", "/n")
		op.End(nil)
		kit.Count(LeaderChanges, 1)
		kit.Took(CacheStaleDuration, time.Second)
		kit.Repaired(&mutex)
		kit.CountOf(DiscoveryBrakes, Labels{Service: "mail"})
		_, _, _ = hold.Context(ctx), wait.Context(ctx), Below(ctx, ctx)
	}
	require.Zero(t, testing.AllocsPerRun(1000, round))
	var took []time.Duration // of the quickest: what else runs on the machine is not meant
	for range 100 {
		began := time.Now()
		for range 1000 {
			round()
		}
		took = append(took, time.Since(began)/1000)
	}
	require.Less(t, slices.Min(took), 500*time.Nanosecond, "ten calls, fifty nanoseconds each")
}

func BenchmarkUnused(b *testing.B) {
	var kit *Kit
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		_, wait := kit.Wait(ctx, &mutex, "/a")
		wait.Held(Held{Path: "/a/1", Token: 7}).End(nil)
	}
}
