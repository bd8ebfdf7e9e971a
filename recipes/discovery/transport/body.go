package transport

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// bodies gives each attempt at a request its body.
type bodies struct {
	req  *http.Request
	lent *loan // what the last attempt has, if there is one body alone
}

// first is for the first attempt.
func (b *bodies) first() io.ReadCloser {
	if empty(b.req.Body) || b.req.GetBody != nil {
		return b.req.Body
	}
	b.lent = &loan{body: b.req.Body, held: true}
	return b.lent
}

// again is for another attempt, if there is a body for it. unseen says that the last attempt has no use for its body any more.
func (b *bodies) again(unseen bool) (io.ReadCloser, bool) {
	switch {
	case empty(b.req.Body):
		return b.req.Body, true
	case b.lent == nil:
		body, err := b.req.GetBody()
		return body, err == nil
	case unseen && !b.lent.read.Load():
		b.lent = &loan{body: b.req.Body, held: true}
		return b.lent, true
	}
	return nil, false
}

// settle says that there is no further attempt.
func (b *bodies) settle() {
	if b.lent != nil {
		b.lent.settle()
	}
}

// broken tells whether the body could not be read, which is nobody's fault but the caller's.
func (b *bodies) broken() bool { return b.lent != nil && b.lent.broken.Load() }

func empty(body io.ReadCloser) bool { return body == nil || body == http.NoBody }

func closeBody(body io.ReadCloser) {
	if body != nil {
		_ = body.Close()
	}
}

// loan is a body that is not closed before it is certain that there is no further attempt, for which it may serve if it was not read.
type loan struct {
	body         io.ReadCloser
	read, broken atomic.Bool

	mu     sync.Mutex
	held   bool // there may be a further attempt
	closed bool // by this one
}

func (l *loan) Read(p []byte) (int, error) {
	l.read.Store(true)
	n, err := l.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		l.broken.Store(true)
	}
	return n, err
}

func (l *loan) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.held {
		return nil
	}
	return l.body.Close()
}

func (l *loan) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = false
	if l.closed {
		_ = l.body.Close() // as it was said to be
	}
}

// answer is the body of a response, whose end is told once.
type answer struct {
	io.ReadCloser
	once sync.Once
	end  func(error) // given why there is no more to read: nil, if that is all, or nobody wants more
}

// answerOf wraps a body. That of a connection that has changed its protocol can be written to, and still can.
func answerOf(body io.ReadCloser, end func(error)) io.ReadCloser {
	a := &answer{ReadCloser: body, end: end}
	if w, ok := body.(io.Writer); ok {
		return struct {
			*answer
			io.Writer
		}{a, w}
	}
	return a
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		a.once.Do(func() { a.end(nil) })
	case err != nil:
		a.once.Do(func() { a.end(err) })
	}
	return n, err
}

func (a *answer) Close() error {
	err := a.ReadCloser.Close()
	a.once.Do(func() { a.end(nil) })
	return err
}
