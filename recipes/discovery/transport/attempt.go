package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"

	"github.com/bellwether-zk/bellwether/recipes/discovery/choose"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry"
)

// attempt is what has come of a request at one instance.
type attempt[T any] struct {
	t      *Transport[T]
	to     target
	number int // of those that were before
	pick   choose.Pick[T]
	where  string
	resp   *http.Response
	err    error // no answer
	failed error // an answer that counts against the instance
	unseen bool  // certainly nobody has seen the request
	ours   bool  // it did not fail for the instance's sake
}

// send sends a request to the instance that was picked. What comes of it is told to the chooser, at once if there is no answer.
func (t *Transport[T]) send(req *http.Request, b *bodies, body io.ReadCloser, to target, pick choose.Pick[T], number int) *attempt[T] {
	a := &attempt[T]{t: t, to: to, number: number, pick: pick, where: addressOf(to, &pick.Entry.Instance)}
	var asked, got atomic.Bool
	out := req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { got.Store(true) },
	}))
	url := *req.URL
	url.Host = a.where
	out.URL, out.Body = &url, body
	if out.Host == "" {
		out.Host = req.URL.Host
	}
	a.resp, a.err = t.opts.Base.RoundTrip(out)
	if asked.Load() {
		t.traces.Store(true)
	}
	if a.err == nil {
		if a.resp.Request = req; t.opts.Failed(a.resp) {
			a.failed = errors.New(a.resp.Status)
		}
		return a
	}
	dial, isNet := errors.AsType[*net.OpError](a.err)
	// A connection that breaks before anything was written is replaced by Base; if that fails in the end it is still true that nobody has seen
	// the request, or that Base knows that it can be repeated.
	a.unseen = asked.Load() && !got.Load() || isNet && dial.Op == "dial"
	// Who tells when it asks for connections, and has not, has found something wrong with the request.
	a.ours = b.broken() || t.traces.Load() && !asked.Load() && !isNet
	a.done(req.Context(), a.err)
	return a
}

// done tells the chooser what has come of the request.
func (a *attempt[T]) done(ctx context.Context, err error) {
	a.count(ctx, err)
	if a.ours || err != nil && a.failed == nil && errors.Is(ctx.Err(), context.Canceled) {
		err = context.Canceled
	}
	a.pick.Done(err)
}

// count tells those who look.
func (a *attempt[T]) count(ctx context.Context, err error) {
	if a.t.kit != nil {
		a.t.kit.CountOf(telemetry.DiscoveryAttempts, telemetry.Labels{
			Service: a.to.service, Resend: strconv.Itoa(a.number), Failure: a.failure(ctx, err),
		})
	}
}

// failure is what was wrong with the attempt, in one of few words, as OpenTelemetry's error.type wants it.
func (a *attempt[T]) failure(ctx context.Context, err error) string {
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case err == nil:
		return ""
	case a.failed != nil:
		return strconv.Itoa(a.resp.StatusCode)
	case errors.Is(ctx.Err(), context.Canceled):
		return "canceled"
	case ctx.Err() != nil:
		return "deadline_exceeded"
	case a.ours:
		return "bad_request"
	case a.unseen:
		return "unreached"
	case isNet && timeout.Timeout():
		return "timeout"
	}
	return "broken"
}

// mayBeRepeated tells whether the request may be sent to another instance, too.
func (a *attempt[T]) mayBeRepeated(req *http.Request) bool {
	if a.ours || a.err == nil && a.failed == nil || req.Context().Err() != nil {
		return false
	}
	return a.unseen || idempotent(req)
}

// idempotent tells whether to do a request twice is to do it once (RFC 9110, 9.2.2).
func idempotent(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	_, ok := req.Header["Idempotency-Key"] // also without a value, as for http.Transport
	return ok
}

// discard ends an attempt whose answer, if there is one, nobody is given.
func (a *attempt[T]) discard(ctx context.Context) {
	if a.resp == nil {
		return
	}
	_ = a.resp.Body.Close() // its rest is not worth waiting for
	a.done(ctx, a.failed)
}

// result is what the caller is given.
func (a *attempt[T]) result(req *http.Request, to target) (*http.Response, error) {
	if a.err != nil {
		return nil, &failure{service: to.service, instance: a.pick.Entry.ID, where: a.where, err: a.err}
	}
	if a.resp.Body == http.NoBody {
		a.done(req.Context(), a.failed)
		return a.resp, nil
	}
	a.resp.Body = answerOf(a.resp.Body, func(err error) {
		if a.failed != nil {
			err = a.failed
		}
		a.done(req.Context(), err)
	})
	return a.resp, nil
}

// failure is why there is no answer.
type failure struct {
	service, instance, where string // the last two are empty if no instance was chosen
	err                      error
}

func (f *failure) Error() string {
	if f.instance == "" && f.where == "" {
		return fmt.Sprintf("service %q: %v", f.service, f.err)
	}
	return fmt.Sprintf("service %q, instance %q at %s: %v", f.service, f.instance, f.where, f.err)
}

func (f *failure) Unwrap() error { return f.err }

// Timeout is what url.Error asks, which does not unwrap.
func (f *failure) Timeout() bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](f.err)
	return ok && t.Timeout()
}
