package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/bellwether-zk/bellwether/client"
)

// Wait is the time from asking for something until it is held, or not. It may be nil, where nobody asked.
type Wait struct {
	kit    *Kit
	recipe *Recipe
	caller context.Context // of the one who waits: its span is the parent of the wait's and the hold's
	began  time.Time
	span   trace.Span
	ended  bool
}

// Wait begins to wait. The context is for what is done meanwhile. Whoever begins it must end it, with Failed, Passed or Held.
func (k *Kit) Wait(ctx context.Context, r *Recipe, path string) (context.Context, *Wait) {
	if k == nil {
		return ctx, nil
	}
	return k.wait(ctx, r, path)
}

func (k *Kit) wait(ctx context.Context, r *Recipe, path string) (context.Context, *Wait) {
	f := &k.families[r.Family]
	w := &Wait{kit: k, recipe: r, caller: ctx, began: time.Now()}
	ctx, w.span = k.start(ctx, f.waitSpan, r, path)
	f.waiting.Add(ctx, 1, k.options(attributes{recipe: r.Name}).add...)
	return ctx, w
}

// Failed ends a wait for nothing.
func (w *Wait) Failed(err error) {
	if w != nil {
		w.end(err)
	}
}

// Passed ends a wait behind which nothing is held.
func (w *Wait) Passed() {
	if w != nil {
		w.end(nil)
	}
}

func (w *Wait) end(err error) {
	if w.ended {
		return
	}
	w.ended = true
	f := &w.kit.families[w.recipe.Family]
	ctx := in(w.span)
	f.waiting.Add(ctx, -1, w.kit.options(attributes{recipe: w.recipe.Name}).add...)
	failed := w.kit.options(attributes{recipe: w.recipe.Name, failure: w.recipe.failure(w.span, err)})
	f.wait.Record(ctx, time.Since(w.began).Seconds(), failed.record...)
	w.span.End()
}

// Context returns a context with the wait's span and the values of another, for what is done on another goroutine.
func (w *Wait) Context(ctx context.Context) context.Context {
	if w == nil {
		return ctx
	}
	return within(ctx, w.span)
}

// Below returns the context of a life with the span of a caller, for what is done in that life because of the caller.
func Below(caller, life context.Context) context.Context {
	return within(life, trace.SpanFromContext(caller))
}

func within(ctx context.Context, span trace.Span) context.Context {
	if span == noSpan {
		return ctx
	}
	return trace.ContextWithSpan(ctx, span)
}

// Held is what is held.
type Held struct {
	Session *client.Session // nil: it is nobody's
	Life    context.Context // ends with what is held, with a cause, at the latest with the session; nil: with the session
	Path    string          // of its node
	Token   int64           // 0: it has none
}

// Hold is the time in which something is held. It may be nil, where nobody asked.
type Hold struct {
	kit    *Kit
	recipe *Recipe
	began  time.Time
	span   trace.Span
	once   sync.Once
	over   chan struct{}
}

// Held ends a wait with success, and begins the hold; if several things were waited for at once, it is called for each. The hold ends when its
// life does, or when End is called.
func (w *Wait) Held(held Held) *Hold {
	if w == nil {
		return nil
	}
	return w.held(held)
}

func (w *Wait) held(held Held) *Hold {
	w.end(nil)
	if held.Life == nil {
		held.Life = held.Session.Context()
	}
	f := &w.kit.families[w.recipe.Family]
	h := &Hold{kit: w.kit, recipe: w.recipe, began: time.Now(), over: make(chan struct{})}
	_, h.span = w.kit.start(w.caller, f.heldSpan, w.recipe, held.Path, trace.WithLinks(trace.Link{SpanContext: w.span.SpanContext()}))
	if h.span.IsRecording() && held.Session != nil {
		h.span.SetAttributes(attribute.String("bellwether.session", held.Session.String()))
	}
	if held.Token != 0 {
		h.span.SetAttributes(attribute.Int64("bellwether.token", held.Token))
	}
	f.holding.Add(in(h.span), 1, w.kit.options(attributes{recipe: w.recipe.Name}).add...)
	if held.Session == nil {
		context.AfterFunc(held.Life, func() { h.End(context.Cause(held.Life)) })
		return h
	}
	err := held.Session.Go(func(context.Context) { // ends with the hold
		select {
		case <-held.Life.Done():
			h.End(context.Cause(held.Life))
		case <-h.over:
		}
	})
	if err != nil {
		h.End(err)
	}
	return h
}

// Context returns a context with the hold's span and the values of another, which it is if there is no span.
func (h *Hold) Context(ctx context.Context) context.Context {
	if h == nil {
		return ctx
	}
	return within(ctx, h.span)
}

// End tells why something is not held any more, nil if that was wished and needs no word. Only the first one counts.
func (h *Hold) End(cause error) {
	if h != nil {
		h.once.Do(func() {
			close(h.over)
			h.end(cause)
		})
	}
}

func (h *Hold) end(cause error) {
	f := &h.kit.families[h.recipe.Family]
	word, lost := "released", false
	if cause != nil {
		word, lost = h.recipe.end(cause)
	}
	ctx, with := in(h.span), h.kit.options(attributes{recipe: h.recipe.Name, end: word})
	f.holding.Add(ctx, -1, h.kit.options(attributes{recipe: h.recipe.Name}).add...)
	f.held.Record(ctx, time.Since(h.began).Seconds(), with.record...)
	h.span.SetAttributes(attribute.String("bellwether.end", word))
	if lost {
		f.lost.Add(ctx, 1, with.add...)
		h.span.SetStatus(codes.Error, cause.Error())
	}
	h.span.End()
}
