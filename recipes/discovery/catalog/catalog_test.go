package catalog_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/catalog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type details struct {
	Protocol string `json:"protocol"`
}

// get asks a handler, and returns what stands in the answer.
func get(t *testing.T, h http.Handler, path string) (status int, body map[string]any) {
	t.Helper()
	status, found := ask(t, h, path)
	return status, found.(map[string]any)
}

func ask(t *testing.T, h http.Handler, path string) (status int, body any) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
	return w.Code, body
}

func TestCatalog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		services := discovery.NewRegistry[details](c, "/services", nil)
		h := catalog.New(services, nil)

		status, all := ask(t, h, "/v1/service")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, []any{}, all)
		status, all = ask(t, h, "/v1/service/mail")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, []any{}, all)
		for _, path := range []string{"/v1/service/a%2Fb", "/v1/service/%01", "/v1/service/a%2Fb/c", "/v1/anyservice/%01"} {
			status, _ = get(t, h, path)
			require.Equal(t, http.StatusNotFound, status, path)
		}
		status, _ = get(t, h, "/v1/anyservice/mail")
		require.Equal(t, http.StatusNotFound, status)

		for _, i := range []discovery.Instance[details]{
			{Name: "mail", ID: "one", Address: "10.0.0.7", Port: 25, Payload: details{"smtp"}},
			{Name: "mail", ID: "two", Address: "10.0.0.8", Port: 25, Status: discovery.Draining},
			{Name: "web", ID: "one", Address: "10.0.0.9", Port: 80},
		} {
			_, err := services.Register(t.Context(), i, nil)
			require.NoError(t, err)
		}
		_, err := c.Create(t.Context(), "/services/mail/bad", []byte("{"), nil)
		require.NoError(t, err)

		_, all = ask(t, h, "/v1/service")
		require.Equal(t, []any{map[string]any{"name": "mail"}, map[string]any{"name": "web"}}, all)
		_, all = ask(t, h, "/v1/service/mail")
		require.Len(t, all, 2, "what nobody can read is left out")
		status, body := get(t, h, "/v1/service/mail/one")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "10.0.0.7", body["address"])
		require.NotContains(t, body, "sslPort")
		require.Equal(t, map[string]any{"protocol": "smtp"}, body["payload"])
		status, body = get(t, h, "/v1/service/mail/three")
		require.Equal(t, http.StatusNotFound, status)
		require.NotEmpty(t, body["error"])
		for range 20 {
			_, body = get(t, h, "/v1/anyservice/mail")
			require.Equal(t, "one", body["id"], "only one is up")
		}

		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/v1/service/mail/one", nil))
		require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	})
}

// A request is answered when the servers do not.
func TestServersAreSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, &ensembletest.Options{Client: client.Options{SessionTimeout: 30 * time.Second}})
		h := catalog.New(discovery.NewRegistry[details](e.Connect(t), "/services", nil), &catalog.Options[details]{Timeout: time.Second})
		e.Servers()[0].Kill()
		start := time.Now()
		status, body := get(t, h, "/v1/service/mail")
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Contains(t, body["error"], context.DeadlineExceeded.Error())
		require.Equal(t, time.Second, time.Since(start))
	})
}
