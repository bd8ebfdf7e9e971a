package fence

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
)

// Header is the request header that carries the token, as a decimal number.
const Header = "Fencing-Token"

// Holder is who holds a lock: a *lock.Hold, or a *leader.Term.
type Holder interface {
	Token() int64
	Context() context.Context
}

// Transport sends requests in the name of a holder: with its token, and not at all when it holds no more. Whoever wants a request that is
// under way to end with the hold makes it with the holder's context.
type Transport struct {
	Holder Holder
	// Base sends what is to be sent. Default: http.DefaultTransport.
	Base http.RoundTripper
}

// RoundTrip is http.RoundTripper's. It fails with the cause of the hold's end when that has ended.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if ctx := t.Holder.Context(); ctx.Err() != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fmt.Errorf("not sent: %w", context.Cause(ctx))
	}
	r = r.Clone(r.Context())
	r.Header.Set(Header, strconv.FormatInt(t.Holder.Token(), 10))
	if t.Base == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	return t.Base.RoundTrip(r)
}

// Store remembers the greatest token of each resource.
type Store interface {
	// Raise remembers a token, durably if anything shall be known after a restart, and fails with ErrStale if there was a greater one.
	// It is called by one goroutine at a time for one resource.
	Raise(ctx context.Context, resource string, token int64) error
}

// Handler lets requests through to a resource whose token is not older than one that it has seen, and answers the others itself:
//
//	412 Precondition Failed     the token is older; the header of the answer has the greatest one
//	428 Precondition Required   there is no token
//	400 Bad Request             there is one that is no number
//	503 Service Unavailable     the Store does not work
//
// GET, HEAD and OPTIONS are let through as they are. A request with a token greater than all before waits until those that are in have been
// served, while none that is older comes in any more; so nothing of a former holder happens behind a newer one's back. Requests of
// the same token go side by side.
//
// The fence is exact for what one Handler serves. It takes a few words of memory for each resource it has seen.
type Handler struct {
	next     http.Handler
	resource func(*http.Request) string
	store    Store

	mu  sync.Mutex
	all map[string]*line
}

// NewHandler puts a fence in front of next. resource says which resource a request is about, that is, which lock it has to be made under;
// nil: that of its URL's path. store remembers the tokens; nil: they are remembered in memory, and after a restart the first one that
// comes counts for the greatest.
func NewHandler(next http.Handler, resource func(*http.Request) string, store Store) *Handler {
	if resource == nil {
		resource = func(r *http.Request) string { return r.URL.Path }
	}
	return &Handler{next: next, resource: resource, store: store, all: make(map[string]*line)}
}

// ServeHTTP is http.Handler's.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		h.next.ServeHTTP(w, r)
		return
	}
	text := r.Header.Get(Header)
	if text == "" {
		http.Error(w, "no "+Header, http.StatusPreconditionRequired)
		return
	}
	token, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		http.Error(w, Header+" is no number", http.StatusBadRequest)
		return
	}
	resource := h.resource(r)
	l := h.line(resource)
	in, err := l.enter(r.Context(), token, func() error {
		if h.store == nil {
			return nil
		}
		return h.store.Raise(r.Context(), resource, token)
	})
	switch {
	case errors.Is(err, ErrStale):
		w.Header().Set(Header, strconv.FormatInt(l.greatest(), 10))
		http.Error(w, err.Error(), http.StatusPreconditionFailed)
		return
	case err != nil:
		http.Error(w, "the token could not be checked", http.StatusServiceUnavailable)
		return
	}
	defer l.leave(in)
	h.next.ServeHTTP(w, r)
}

// line is that of a resource.
func (h *Handler) line(resource string) *line {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.all[resource]
	if l == nil {
		l = &line{newest: newGeneration(math.MinInt64, nil)}
		h.all[resource] = l
	}
	return l
}

// line is what a Handler knows of one resource.
type line struct {
	mu     sync.Mutex
	newest *generation
}

// generation is the requests of one token. Its fields are guarded by the line's mu.
type generation struct {
	token  int64
	in     int           // requests that are served, or wait to be
	before *generation   // the one that has to be over first; nil: it is
	old    bool          // there is a newer one
	over   chan struct{} // closed when it is old and nobody is in
}

func newGeneration(token int64, before *generation) *generation {
	return &generation{token: token, before: before, over: make(chan struct{})}
}

// enter lets a request in, when all older ones have been served. check is asked before it counts.
func (l *line) enter(ctx context.Context, token int64, check func() error) (*generation, error) {
	g, before, err := l.join(token, check)
	if err != nil {
		return nil, err
	}
	for before != nil {
		select {
		case <-before.over:
		case <-ctx.Done():
			l.leave(g)
			return nil, ctx.Err()
		}
		l.mu.Lock()
		before = before.before
		l.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	g.before = nil
	return g, nil
}

// join counts a request among those of its token, which is the greatest from now on.
func (l *line) join(token int64, check func() error) (g, before *generation, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if token < l.newest.token {
		return nil, nil, ErrStale
	}
	if err := check(); err != nil {
		return nil, nil, err
	}
	if last := l.newest; token > last.token {
		l.newest = newGeneration(token, last)
		last.old = true
		last.end()
	}
	l.newest.in++
	return l.newest, l.newest.before, nil
}

// leave takes a request out.
func (l *line) leave(g *generation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g.in--
	g.end()
}

// end closes over if it is.
func (g *generation) end() {
	if g.old && g.in == 0 {
		close(g.over)
	}
}

func (l *line) greatest() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest.token
}
