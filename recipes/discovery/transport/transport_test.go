package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/choose"
	"github.com/bellwether-zk/bellwether/recipes/discovery/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type (
	registry = discovery.Registry[struct{}]
	instance = discovery.Instance[struct{}]
)

func registryOf(c *client.Client) *registry {
	return discovery.NewRegistry[struct{}](c, "/services", nil)
}

// register lists an instance of mail that is reached at an address.
func register(t *testing.T, r *registry, i instance, at net.Addr, opts *discovery.RegisterOptions) *discovery.Registration[struct{}] {
	t.Helper()
	i.Name, i.Address, i.Port = "mail", "127.0.0.1", at.(*net.TCPAddr).Port
	g, err := r.Register(t.Context(), i, opts)
	require.NoError(t, err)
	return g
}

// serve starts an instance of mail.
func serve(t *testing.T, r *registry, id string, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	register(t, r, instance{ID: id}, s.Listener.Addr(), nil)
	return s
}

// echo answers with its name and what it was sent.
func echo(id string) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		fmt.Fprintf(w, "%s %s", id, body)
	}
}

func answers(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// hangUp ends the connection instead of an answer, when the request was read.
func hangUp(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	panic(http.ErrAbortHandler)
}

// hangs returns a handler that does not answer, and what tells of each request that it has got, if somebody waits for that.
func hangs() (h http.HandlerFunc, asked <-chan struct{}) {
	told := make(chan struct{})
	return func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		select {
		case told <- struct{}{}:
			<-req.Context().Done()
		case <-req.Context().Done():
		}
	}, told
}

// late is a context whose deadline has passed when it is closed.
type late struct {
	context.Context
	passed chan struct{}
}

func (l late) Done() <-chan struct{} { return l.passed }

func (l late) Err() error {
	select {
	case <-l.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// lateWhen returns a context whose deadline passes when something happens.
func lateWhen(ctx context.Context, happens <-chan struct{}) context.Context {
	l := late{ctx, make(chan struct{})}
	go func() { // ends when it has happened
		<-happens
		close(l.passed)
	}()
	return l
}

// refuse lists an instance where nobody listens: at the end of a connection to somebody else, so that nobody is given the port meanwhile.
func refuse(t *testing.T, r *registry, id string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	there, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { there.Close() })
	register(t, r, instance{ID: id}, c.LocalAddr(), nil)
}

// inOrder chooses the candidate that comes first by id, and notes how many requests it has.
type inOrder struct{ outstanding *atomic.Int64 }

func (s inOrder) Choose(c *choose.Candidates) int {
	if s.outstanding != nil {
		s.outstanding.Store(c.Outstanding(0))
	}
	return 0 // they are sorted
}

func ordered() choose.Strategy { return inOrder{} }

// connect makes a client whose transport is closed with the test.
func connect(t *testing.T, r *registry, opts *transport.Options) *http.Client {
	t.Helper()
	instances := transport.New(r, opts)
	t.Cleanup(instances.Close)
	return &http.Client{Transport: instances}
}

// do makes a request, and reads the answer.
func do(c *http.Client, req *http.Request) (status int, text string, err error) {
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func request(ctx context.Context, method, url string, body io.Reader) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		panic(err)
	}
	return req
}

func mustGet(t *testing.T, c *http.Client) string {
	t.Helper()
	_, text, err := do(c, request(t.Context(), http.MethodGet, "http://mail/", nil))
	require.NoError(t, err)
	return text
}

// onlyBody is a body that cannot be had again, nor read when it is closed.
type onlyBody struct {
	text   io.Reader
	closed atomic.Int32
}

func (b *onlyBody) Read(p []byte) (int, error) {
	if b.closed.Load() > 0 {
		return 0, errors.New("the body is closed")
	}
	return b.text.Read(p)
}

func (b *onlyBody) Close() error {
	b.closed.Add(1)
	return nil
}

// A request keeps all but the place it goes to, and stays as it is for who made it; also a redirect leads to the service.
func TestRequest(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	r := registryOf(e.Connect(t))
	serve(t, r, "one", func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/old" {
			http.Redirect(w, req, "http://"+req.Host+"/new?n=2", http.StatusFound)
			return
		}
		fmt.Fprint(w, req.Host, " ", req.URL)
	})
	c := connect(t, r, nil)
	for _, test := range []struct{ url, host, want string }{
		{"http://mail/inbox?n=1", "", "mail /inbox?n=1"},
		{"http://mail/inbox?n=1", "example.com", "example.com /inbox?n=1"},
		{"http://mail/old", "", "mail /new?n=2"},
	} {
		req := request(t.Context(), http.MethodGet, test.url, nil)
		req.Host = test.host
		_, text, err := do(c, req)
		require.NoError(t, err)
		require.Equal(t, test.want, text)
		require.Equal(t, test.url, req.URL.String())
		require.Equal(t, test.host, req.Host)
	}
	resp, err := c.Get("http://mail/")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "http://mail/", resp.Request.URL.String())
}

// With https the TLS port is meant, and who has none is nobody; and the other way round.
func TestTLS(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	r := registryOf(e.Connect(t))
	secure := httptest.NewTLSServer(echo("secure"))
	t.Cleanup(secure.Close)
	_, err := r.Register(t.Context(), instance{Name: "mail", ID: "secure", Address: "127.0.0.1", TLSPort: secure.Listener.Addr().(*net.TCPAddr).Port}, nil)
	require.NoError(t, err)
	serve(t, r, "plain", echo("plain"))
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	base := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer base.CloseIdleConnections()
	c := connect(t, r, &transport.Options{Base: base})
	for url, want := range map[string]string{"https://mail/": "secure ", "http://mail/": "plain "} {
		for range 4 {
			_, text, err := do(c, request(t.Context(), http.MethodGet, url, nil))
			require.NoError(t, err)
			require.Equal(t, want, text)
		}
	}
}

// What becomes of a request at an instance that fails it, when there is another one.
func TestAnother(t *testing.T) {
	const refused, lost, unavailable = "refused", "lost", "unavailable"
	e := ensembletest.Start(t, 1, nil)
	text := func() io.Reader { return strings.NewReader("text") } // http.NewRequest knows how to have it again
	once := func() io.Reader { return &onlyBody{text: strings.NewReader("text")} }
	none := func() io.Reader { return nil }
	for i, test := range []struct {
		bad, method string
		body        func() io.Reader
		key         bool
		status      int // 0: an error
	}{
		{refused, http.MethodGet, none, false, 200},
		{refused, http.MethodPost, none, false, 200},
		{refused, http.MethodPost, text, false, 200},
		{refused, http.MethodPost, once, false, 200},
		{lost, http.MethodGet, none, false, 200},
		{lost, http.MethodDelete, none, false, 200},
		{lost, http.MethodPut, text, false, 200},
		{lost, http.MethodPut, once, false, 0},
		{lost, http.MethodPost, none, false, 0},
		{lost, http.MethodPost, text, false, 0},
		{lost, http.MethodPost, text, true, 200},
		{lost, http.MethodPatch, once, true, 0},
		{unavailable, http.MethodGet, none, false, 200},
		{unavailable, http.MethodPut, text, false, 200},
		{unavailable, http.MethodPost, text, false, 503},
	} {
		t.Run(fmt.Sprint(i, test.bad, test.method), func(t *testing.T) {
			r := discovery.NewRegistry[struct{}](e.Connect(t), fmt.Sprint("/", i), nil)
			switch test.bad {
			case refused:
				refuse(t, r, "bad")
			case lost:
				serve(t, r, "bad", hangUp)
			case unavailable:
				serve(t, r, "bad", answers(http.StatusServiceUnavailable))
			}
			serve(t, r, "good", echo("good"))
			c := connect(t, r, &transport.Options{Strategy: ordered, Choose: &choose.Options{Failures: -1}})
			for range 3 {
				body := test.body()
				req := request(t.Context(), test.method, "http://mail/", body)
				if test.key {
					req.Header.Set("Idempotency-Key", "1")
				}
				status, answer, err := do(c, req)
				require.Equal(t, test.status, status, err)
				switch {
				case status == 0:
					require.ErrorContains(t, err, `service "mail", instance "bad" at 127.0.0.1:`)
				case status == http.StatusOK && body == nil:
					require.Equal(t, "good ", answer)
				case status == http.StatusOK:
					require.Equal(t, "good text", answer, "the whole body")
				}
			}
		})
	}
}

// A request is tried at as many instances as Attempts says, each once, and no oftener than there are instances.
func TestAttempts(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	r := registryOf(e.Connect(t))
	var asked atomic.Int32
	for i := range 4 {
		serve(t, r, fmt.Sprint(i), func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.WriteHeader(http.StatusBadGateway)
		})
	}
	for attempts, want := range map[int]int32{0: 3, 1: 1, 2: 2, 9: 4} {
		c := connect(t, r, &transport.Options{Strategy: choose.Sticky, Attempts: attempts, Choose: &choose.Options{Failures: -1}})
		asked.Store(0)
		status, _, err := do(c, request(t.Context(), http.MethodGet, "http://mail/", nil))
		require.NoError(t, err)
		require.Equal(t, http.StatusBadGateway, status, "the last answer")
		require.Equal(t, want, asked.Load(), attempts)
	}
}

// The body of a request is closed, whatever becomes of the request.
func TestRequestBodyIsClosed(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	c := e.Connect(t)
	for name, start := range map[string]func(*registry){
		"good":          func(r *registry) { serve(t, r, "a", echo("a")) },
		"another":       func(r *registry) { refuse(t, r, "a"); serve(t, r, "b", echo("b")) },
		"refused":       func(r *registry) { refuse(t, r, "a") },
		"two refused":   func(r *registry) { refuse(t, r, "a"); refuse(t, r, "b") },
		"lost":          func(r *registry) { serve(t, r, "a", hangUp) },
		"nobody":        func(*registry) {},
		"not available": func(r *registry) { serve(t, r, "a", answers(503)); serve(t, r, "b", answers(503)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := discovery.NewRegistry[struct{}](c, "/"+strings.ReplaceAll(name, " ", "-"), nil)
			start(r)
			body := &onlyBody{text: strings.NewReader("text")}
			instances := transport.New(r, &transport.Options{Strategy: ordered})
			defer instances.Close()
			resp, err := instances.RoundTrip(request(t.Context(), http.MethodPost, "http://mail/", body))
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				require.NoError(t, resp.Body.Close())
			}
			require.Eventually(t, func() bool { return body.closed.Load() > 0 }, 10*time.Second, time.Millisecond)
		})
	}
	for _, url := range []string{"ftp://mail/", "http://mail:80/", "http:///", "http://../"} {
		body := &onlyBody{text: strings.NewReader("text")}
		req := request(t.Context(), http.MethodPost, url, body)
		instances := transport.New(registryOf(c), nil)
		_, err := instances.RoundTrip(req)
		require.Error(t, err, url)
		require.EqualValues(t, 1, body.closed.Load(), url)
		instances.Close()
	}
}

// A request is outstanding until its answer is at its end, or nobody reads on.
func TestOutstanding(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	r := registryOf(e.Connect(t))
	release := make(chan struct{})
	serve(t, r, "one", func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/slow":
			w.(http.Flusher).Flush()
			select {
			case <-release:
			case <-req.Context().Done():
			}
		case "/long":
			_, _ = w.Write(make([]byte, 1<<20))
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		}
	})
	var outstanding atomic.Int64
	c := connect(t, r, &transport.Options{Strategy: func() choose.Strategy { return inOrder{&outstanding} }})
	now := func() int64 {
		mustGet(t, c)
		return outstanding.Load()
	}
	get := func(path string) *http.Response {
		resp, err := c.Get("http://mail" + path)
		require.NoError(t, err)
		return resp
	}
	require.Zero(t, now())
	slow, long := get("/slow"), get("/long")
	require.EqualValues(t, 2, now())
	_, err := io.CopyN(io.Discard, long.Body, 10)
	require.NoError(t, err)
	require.EqualValues(t, 2, now())
	require.NoError(t, long.Body.Close())
	require.EqualValues(t, 1, now())
	close(release)
	_, err = io.ReadAll(slow.Body)
	require.NoError(t, err)
	require.Zero(t, now(), "it is at its end, though not closed")
	require.NoError(t, slow.Body.Close())
	require.Zero(t, now(), "and is told once")
	_ = get("/none")
	require.Zero(t, now(), "there is nothing to read")
}

// What counts against an instance: one that has failed once is left out here.
func TestWhatCounts(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	ctx := t.Context()
	plain := func(c *http.Client) {
		_, _, _ = do(c, request(ctx, http.MethodPost, "http://mail/", strings.NewReader("text")))
	}
	hang, asked := hangs()
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		request func(*http.Client)
		counts  bool
	}{
		"well":                 {echo("a"), plain, false},
		"not found":            {answers(404), plain, false},
		"error":                {answers(500), plain, false},
		"gateway":              {answers(502), plain, true},
		"hangs up":             {hangUp, plain, true},
		"half":                 {cut, plain, true},
		"gateway, tried again": {answers(502), func(c *http.Client) { mustGet(t, c) }, true},
		"given up, with a cause": {hang, func(c *http.Client) {
			short, end := context.WithCancelCause(ctx)
			go func() { // ends when the instance was asked
				<-asked
				end(errors.New("no more need"))
			}()
			_, _, _ = do(c, request(short, "GET", "http://mail/", nil))
		}, false},
		"given up": {hang, func(c *http.Client) {
			short, end := context.WithCancel(ctx)
			go func() { // ends when the instance was asked
				<-asked
				end()
			}()
			_, _, _ = do(c, request(short, "GET", "http://mail/", nil))
		}, false},
		"too late": {hang, func(c *http.Client) {
			_, _, _ = do(c, request(lateWhen(ctx, asked), "GET", "http://mail/", nil))
		}, true},
		"bad header": {echo("a"), func(c *http.Client) {
			plain(c)
			req := request(ctx, "GET", "http://mail/", nil)
			req.Header["a b"] = []string{""}
			_, _, _ = do(c, req)
		}, false},
		"bad body": {echo("a"), func(c *http.Client) {
			_, _, _ = do(c, request(ctx, "POST", "http://mail/", io.MultiReader(strings.NewReader("x"), badReader{})))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := discovery.NewRegistry[struct{}](e.Connect(t), "/"+strings.ReplaceAll(name, " ", "-"), nil)
			var bad atomic.Bool
			serve(t, r, "a", func(w http.ResponseWriter, req *http.Request) {
				if bad.Load() {
					test.handler(w, req)
				} else {
					echo("a")(w, req)
				}
			})
			serve(t, r, "b", echo("b"))
			c := connect(t, r, &transport.Options{Strategy: ordered, Choose: &choose.Options{Failures: 1}})
			require.Equal(t, "a ", mustGet(t, c))
			bad.Store(true)
			test.request(c)
			bad.Store(false)
			want := "a "
			if test.counts {
				want = "b "
			}
			require.Equal(t, want, mustGet(t, c))
		})
	}
	t.Run("Failed", func(t *testing.T) {
		r := discovery.NewRegistry[struct{}](e.Connect(t), "/failed", nil)
		serve(t, r, "a", answers(500))
		serve(t, r, "b", echo("b"))
		c := connect(t, r, &transport.Options{Strategy: ordered, Failed: func(r *http.Response) bool { return r.StatusCode == 500 }})
		for range 5 {
			require.Equal(t, "b ", mustGet(t, c))
		}
	})
}

type badReader struct{}

func (badReader) Read([]byte) (int, error) { return 0, errors.New("the disk is broken") }

// Instances are drained and replaced while requests are made, and no request fails. In virtual time, since whoever is not told in the time
// that an instance waits comes too late.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		r := registryOf(e.Connect(t))
		type one struct {
			server *http.Server
			listed *discovery.Registration[struct{}]
		}
		var n wires
		start := func(id int) one {
			s, l := &http.Server{Handler: echo(fmt.Sprint(id))}, n.listen(id)
			go s.Serve(l) // ends when the server is closed
			t.Cleanup(func() { s.Close() })
			return one{s, register(t, r, instance{ID: fmt.Sprint(id)}, l.Addr(), &discovery.RegisterOptions{Drain: 100 * time.Millisecond})}
		}
		fleet := []one{start(0), start(1)}
		base := &http.Transport{DialContext: n.dial}
		defer base.CloseIdleConnections()
		c := connect(t, registryOf(e.Connect(t)), &transport.Options{Base: base})
		_, requests := load(t, c, func(err error) { t.Error(err) })
		for i := range 6 {
			old := fleet[0]
			fleet = append(fleet[1:], start(i+2))
			require.NoError(t, old.listed.Close(t.Context()))
			require.NoError(t, old.server.Shutdown(t.Context()))
		}
		require.Greater(t, requests(), int64(100))
	})
}

// wires are a network in memory, with an address for each number. The zero value has nobody on it.
type wires struct{ all sync.Map } // address: *wire

// wire is the listener at an address.
type wire struct {
	addr   *net.TCPAddr
	calls  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (n *wires) listen(number int) *wire {
	w := &wire{addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1 + number}, calls: make(chan net.Conn), closed: make(chan struct{})}
	n.all.Store(w.addr.String(), w)
	return w
}

func (n *wires) dial(_ context.Context, network, addr string) (net.Conn, error) {
	if w, ok := n.all.Load(addr); ok {
		ours, theirs := net.Pipe()
		select {
		case w.(*wire).calls <- theirs:
			return ours, nil
		case <-w.(*wire).closed:
		}
	}
	return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("refused")}
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.calls:
		return c, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

func (w *wire) Addr() net.Addr { return w.addr }

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

// An instance dies and stays listed: of the requests that may not be repeated no more fail than it had, and of the others none.
func TestCrash(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	r := registryOf(e.Connect(t))
	var fleet []*httptest.Server
	for i := range 3 {
		fleet = append(fleet, serve(t, r, fmt.Sprint(i), echo(fmt.Sprint(i))))
	}
	c := connect(t, registryOf(e.Connect(t)), nil)
	var failed atomic.Int64
	more, requests := load(t, c, func(err error) {
		failed.Add(1)
		if !strings.Contains(err.Error(), "Post") {
			t.Error(err)
		}
	})
	for _, dead := range fleet[:2] {
		more()
		require.NoError(t, dead.Listener.Close())
		dead.CloseClientConnections()
	}
	more()
	total := requests()
	t.Logf("%d of %d requests failed", failed.Load(), total)
	require.LessOrEqual(t, failed.Load(), int64(2*callers), "no more than there were at the two")
	for range 50 {
		require.Equal(t, "2 ", mustGet(t, c))
	}
}

const callers = 4

// load makes requests, half of which may not be repeated, until stop is called, which tells how many there were. more waits until there
// were some more.
func load(t *testing.T, c *http.Client, failed func(error)) (more func(), stop func() int64) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var made atomic.Int64
	each := make(chan struct{}) // taken by who waits for more
	for range callers {
		all.Go(func() { // ends with ctx
			for i := 0; ctx.Err() == nil; i++ {
				req := request(t.Context(), http.MethodGet, "http://mail/", nil)
				if i%2 == 0 {
					req = request(t.Context(), http.MethodPost, "http://mail/", bytes.NewReader([]byte("text")))
				}
				if status, _, err := do(c, req); err != nil {
					failed(err)
				} else if status != http.StatusOK {
					failed(fmt.Errorf("status %d", status))
				}
				made.Add(1)
				select {
				case each <- struct{}{}:
				case <-time.After(time.Millisecond): // it is to be a load, and not all that the machine can do
				}
			}
		})
	}
	more = func() {
		for range 10 * callers {
			<-each
		}
	}
	return more, func() int64 {
		cancel()
		all.Wait()
		return made.Load()
	}
}

// While the servers are away requests go where they have gone before; whoever asks for a service that nobody has asked for waits, as long
// as its context lets it, and holds up nobody.
func TestOutage(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	serve(t, registryOf(e.Connect(t)), "one", echo("one"))
	instances := transport.New(registryOf(e.Connect(t)), nil)
	c := &http.Client{Transport: instances}
	require.Equal(t, "one ", mustGet(t, c))
	require.NoError(t, e.Servers()[0].Stop())
	require.Equal(t, "one ", mustGet(t, c))

	short, end := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer end()
	_, _, err := do(c, request(short, http.MethodGet, "http://other/", nil))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	instances.Close()
	_, _, err = do(c, request(t.Context(), http.MethodGet, "http://mail/", nil))
	require.ErrorIs(t, err, transport.ErrClosed)
}

// Who waits for a service to be looked up, while the servers are away, is told when the transport is closed.
func TestCloseEndsLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		instances := transport.New(registryOf(e.Connect(t)), nil)
		c := &http.Client{Transport: instances}
		require.NoError(t, e.Servers()[0].Stop())
		waiting := make(chan error, 2)
		for range 2 {
			go func() { // ends with the answer
				_, _, err := do(c, request(t.Context(), http.MethodGet, "http://other/", nil))
				waiting <- err
			}()
		}
		time.Sleep(10 * time.Second)
		require.Empty(t, waiting)
		instances.Close()
		instances.Close()
		for range 2 {
			require.ErrorIs(t, <-waiting, transport.ErrClosed)
		}
	})
}

// Nobody is there until somebody is, and when the client is closed that is said.
func TestNobody(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	theirs := e.Connect(t)
	c := connect(t, registryOf(theirs), nil)
	_, _, err := do(c, request(t.Context(), http.MethodGet, "http://mail/", nil))
	require.ErrorIs(t, err, choose.ErrNone)
	require.ErrorContains(t, err, `service "mail"`)
	serve(t, registryOf(e.Connect(t)), "one", echo("one"))
	for {
		_, text, err := do(c, request(t.Context(), http.MethodGet, "http://mail/", nil))
		if err == nil {
			require.Equal(t, "one ", text)
			break
		}
		require.ErrorIs(t, err, choose.ErrNone)
	}
	require.NoError(t, theirs.Close())
	for {
		_, _, err = do(c, request(t.Context(), http.MethodGet, "http://mail/", nil))
		if err != nil { // the view has ended
			break
		}
	}
	require.ErrorIs(t, err, client.ErrClosed)
}

// Many first requests make one view.
func TestOneLookup(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	serve(t, registryOf(e.Connect(t)), "one", echo("one"))
	var made atomic.Int32
	c := connect(t, registryOf(e.Connect(t)), &transport.Options{Strategy: func() choose.Strategy { made.Add(1); return choose.RoundRobin() }})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { // ends with the answer
			if _, _, err := do(c, request(t.Context(), http.MethodGet, "http://mail/", nil)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, made.Load())
}

// A connection that becomes something else can be written to.
func TestUpgrade(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	r := registryOf(e.Connect(t))
	serve(t, r, "one", func(w http.ResponseWriter, _ *http.Request) {
		conn, both, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(both, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = both.Flush()
		line, _ := both.ReadString('\n')
		fmt.Fprint(conn, "you said ", line)
	})
	c := connect(t, r, nil)
	req := request(t.Context(), http.MethodGet, "http://mail/", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := c.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	fmt.Fprintln(resp.Body.(io.Writer), "hello")
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "you said hello\n", line)
}

// An error that is a timeout can be seen to be one.
func TestTimeout(t *testing.T) {
	e := ensembletest.Start(t, 1, nil)
	r := registryOf(e.Connect(t))
	serve(t, r, "one", func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	base := &http.Transport{ResponseHeaderTimeout: 20 * time.Millisecond}
	defer base.CloseIdleConnections()
	c := connect(t, r, &transport.Options{Base: base})
	_, _, err := do(c, request(t.Context(), http.MethodPost, "http://mail/", nil))
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
	c.CloseIdleConnections()
}
