package health_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/recipes/discovery/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHTTP(t *testing.T) {
	var status atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodHead && r.Host == "inside" && r.Header.Get("Authorization") == "yes":
			return
		case status.Load() == 0: // silence
			<-r.Context().Done()
		case status.Load() == http.StatusFound:
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		default:
			w.WriteHeader(int(status.Load()))
			_, _ = io.WriteString(w, "tired")
		}
	}))
	defer srv.Close()
	check := health.HTTP(srv.URL, nil)
	for code, well := range map[int32]bool{200: true, 204: true, 302: false, 404: false, 503: false} {
		status.Store(code)
		require.Equal(t, well, check(t.Context()) == nil, code)
	}
	status.Store(200)
	require.ErrorContains(t, health.HTTP(srv.URL, &health.Options{Accept: func(r *http.Response) error {
		body, err := io.ReadAll(r.Body)
		return errors.Join(err, errors.New(string(body)))
	}})(t.Context()), "tired")
	require.NoError(t, health.HTTP(srv.URL, &health.Options{
		Method: http.MethodHead, Header: http.Header{"Host": {"inside"}, "Authorization": {"yes"}}, Client: srv.Client(),
	})(t.Context()))
	status.Store(0)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, check(ctx), context.DeadlineExceeded)
	require.Error(t, health.HTTP("http://%", nil)(t.Context()))
	srv.CloseClientConnections()
	srv.Close()
	require.Error(t, check(t.Context()))
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	check := health.TCP(l.Addr().String())
	require.NoError(t, check(t.Context()))
	require.NoError(t, l.Close())
	require.Error(t, check(t.Context()))
}

func TestAll(t *testing.T) {
	well := func(context.Context) error { return nil }
	ill := func(context.Context) error { return io.ErrUnexpectedEOF }
	require.NoError(t, health.All()(t.Context()))
	require.NoError(t, health.All(well, well)(t.Context()))
	require.ErrorIs(t, health.All(well, ill)(t.Context()), io.ErrUnexpectedEOF)
}
