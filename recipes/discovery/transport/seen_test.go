package transport_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/choose"
	"github.com/bellwether-zk/bellwether/recipes/discovery/transport"
	"github.com/bellwether-zk/bellwether/recipes/internal/telemetry/telemetrytest"
)

// Each attempt at a request is counted once, with what was wrong with it.
func TestAttemptsAreSeen(t *testing.T) {
	hang, asked := hangs()
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
	}
	get := func(ctx context.Context) *http.Request { return request(ctx, http.MethodGet, "http://mail/", nil) }
	post := func(ctx context.Context) *http.Request {
		return request(ctx, http.MethodPost, "http://mail/", strings.NewReader("text"))
	}
	givenUp := func(ctx context.Context) *http.Request {
		ctx, cancel := context.WithCancel(ctx)
		go func() { // ends when the instance was asked
			<-asked
			cancel()
		}()
		return post(ctx)
	}
	tooLate := func(ctx context.Context) *http.Request { return post(lateWhen(ctx, asked)) }
	for name, test := range map[string]struct {
		handlers []http.HandlerFunc // of instances in this order; nil: nobody listens
		request  func(context.Context) *http.Request
		base     http.RoundTripper
		want     []string
	}{
		"well":              {[]http.HandlerFunc{echo("a")}, get, nil, []string{"0 "}},
		"well, and no body": {[]http.HandlerFunc{answers(204)}, get, nil, []string{"0 "}},
		"not found":         {[]http.HandlerFunc{answers(404)}, get, nil, []string{"0 "}},
		"not available":     {[]http.HandlerFunc{answers(503), echo("b")}, get, nil, []string{"0 503", "1 "}},
		"nor the other":     {[]http.HandlerFunc{answers(503), answers(502)}, get, nil, []string{"0 503", "1 502"}},
		"refused":           {[]http.HandlerFunc{nil, echo("b")}, post, nil, []string{"0 unreached", "1 "}},
		"hangs up":          {[]http.HandlerFunc{hangUp, echo("b")}, get, nil, []string{"0 broken", "1 "}},
		"half":              {[]http.HandlerFunc{cut}, post, nil, []string{"0 broken"}},
		"given up":          {[]http.HandlerFunc{hang}, givenUp, nil, []string{"0 canceled"}},
		"too late":          {[]http.HandlerFunc{hang}, tooLate, nil, []string{"0 deadline_exceeded"}},
		"slow":              {[]http.HandlerFunc{hang}, post, &http.Transport{ResponseHeaderTimeout: 20 * time.Millisecond}, []string{"0 timeout"}},
		"nobody":            {nil, get, nil, nil},
		"bad body": {[]http.HandlerFunc{echo("a")}, func(ctx context.Context) *http.Request {
			return request(ctx, http.MethodPost, "http://mail/", badReader{})
		}, nil, []string{"0 bad_request"}},
	} {
		t.Run(name, func(t *testing.T) {
			var seen telemetrytest.Recorder
			e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{MeterProvider: seen.MeterProvider()}})
			r := discovery.NewRegistry[struct{}](e.Connect(t), "/services", nil)
			for i, h := range test.handlers {
				if h == nil {
					refuse(t, r, fmt.Sprint(i))
				} else {
					serve(t, r, fmt.Sprint(i), h)
				}
			}
			instances := transport.New(r, &transport.Options{Strategy: ordered, Base: test.base, Choose: &choose.Options{Failures: -1}})
			c := &http.Client{Transport: instances}
			_, _, _ = do(c, test.request(t.Context()))
			c.CloseIdleConnections()
			var got []string
			for _, m := range seen.Measured("bellwether.discovery.attempts") {
				require.Equal(t, "mail", m.Attributes["bellwether.service"])
				got = append(got, m.Attributes["http.request.resend_count"]+" "+m.Attributes["error.type"])
			}
			require.Equal(t, test.want, got)
			picks := 0.0
			for _, m := range seen.Observed("bellwether.discovery.picks") {
				picks += m.Value
			}
			require.EqualValues(t, max(len(test.want), 1), picks, "each attempt was chosen for, or nobody was there")
			require.Zero(t, seen.Observed("bellwether.discovery.outstanding")[0].Value)
			instances.Close()
		})
	}
}
