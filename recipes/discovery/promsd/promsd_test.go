package promsd_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/promsd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type instance = discovery.Instance[struct{}]

// group is one of what Prometheus reads.
type group struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// ask asks the handler as Prometheus does.
func ask(t *testing.T, h http.Handler, query string) (groups []group) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/sd"+query, nil))
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &groups))
	require.NotNil(t, groups, "no targets are a list, too")
	return groups
}

func TestTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		c := e.Connect(t)
		services := discovery.NewRegistry[struct{}](c, "/services", nil)
		h := promsd.New(services, nil)
		require.Empty(t, ask(t, h, ""))
		for _, i := range []instance{
			{Name: "mail", ID: "one", Address: "10.0.0.7", Port: 25, TLSPort: 465, Zone: "eu", Version: "2.1", Weight: 3, Tags: []string{"a", "b"}},
			{Name: "mail", ID: "two", Address: "fd00::8", Port: 25, Status: discovery.Draining},
			{Name: "mail", ID: "nowhere"},
			{Name: "web", ID: "one", Address: "10.0.0.9", TLSPort: 443},
		} {
			_, err := services.Register(t.Context(), i, nil)
			require.NoError(t, err)
		}
		_, err := c.Create(t.Context(), "/services/mail/bad", []byte("{"), nil)
		require.NoError(t, err)

		one := group{[]string{"10.0.0.7:25"}, map[string]string{
			"__meta_bellwether_service": "mail", "__meta_bellwether_id": "one", "__meta_bellwether_path": "/services/mail/one",
			"__meta_bellwether_status": "up", "__meta_bellwether_zone": "eu", "__meta_bellwether_version": "2.1",
			"__meta_bellwether_weight": "3", "__meta_bellwether_tags": ",a,b,", "__meta_bellwether_tls_port": "465",
		}}
		two := group{[]string{"[fd00::8]:25"}, map[string]string{
			"__meta_bellwether_service": "mail", "__meta_bellwether_id": "two", "__meta_bellwether_path": "/services/mail/two",
			"__meta_bellwether_status": "draining", "__meta_bellwether_weight": "1",
		}}
		web := group{[]string{"10.0.0.9:443"}, map[string]string{
			"__meta_bellwether_service": "web", "__meta_bellwether_id": "one", "__meta_bellwether_path": "/services/web/one",
			"__meta_bellwether_status": "up", "__meta_bellwether_weight": "1", "__meta_bellwether_tls_port": "443",
		}}
		require.Equal(t, []group{one, two, web}, ask(t, h, ""))
		require.Equal(t, []group{web}, ask(t, h, "?service=web"))
		require.Equal(t, []group{web, one, two}, ask(t, h, "?service=web&service=mail"))
		require.Empty(t, ask(t, h, "?service=none"))

		for _, name := range []string{"", "a/b", "/", ".", "..", "mail%00", "mail&service=a/b"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/sd?service="+name, nil))
			require.Equal(t, http.StatusBadRequest, w.Code, "no service is called %q", name)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/sd", nil))
		require.Equal(t, http.StatusMethodNotAllowed, w.Code)

		// Prometheus keeps what it knows when it is not answered with 200.
		h = promsd.New(services, &promsd.Options{Timeout: time.Second})
		e.Servers()[0].Kill()
		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/sd", nil))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
	})
}

// Each layout is what its readers read, and what stands in it is read again.
func TestLayouts(t *testing.T) {
	for name, layout := range map[string]struct {
		codec discovery.Codec[struct{}]
		of    instance
		data  string
		back  instance
	}{
		"serverset": {
			promsd.Serverset[struct{}](), instance{Name: "mail", ID: "one", Address: "10.0.0.7", Port: 25, TLSPort: 465, Zone: "eu"},
			`{"serviceEndpoint":{"host":"10.0.0.7","port":25},"additionalEndpoints":{"https":{"host":"10.0.0.7","port":465}},"status":"ALIVE"}`,
			instance{Address: "10.0.0.7", Port: 25, TLSPort: 465, Status: discovery.Up},
		},
		"serverset, leaving": {
			promsd.Serverset[struct{}](), instance{Address: "10.0.0.7", TLSPort: 465, Status: discovery.Draining},
			`{"serviceEndpoint":{"host":"10.0.0.7","port":465},"additionalEndpoints":{},"status":"STOPPING"}`,
			instance{Address: "10.0.0.7", Port: 465, Status: discovery.Draining},
		},
		"serverset, a status of later days": {
			promsd.Serverset[struct{}](), instance{Address: "10.0.0.7", Port: 25, Status: "resting"},
			`{"serviceEndpoint":{"host":"10.0.0.7","port":25},"additionalEndpoints":{},"status":"DEAD"}`,
			instance{Address: "10.0.0.7", Port: 25, Status: discovery.Down},
		},
		"nerve": {
			promsd.Nerve[struct{}](), instance{Name: "mail", ID: "one", Address: "10.0.0.7", Port: 25, Weight: 3},
			`{"host":"10.0.0.7","port":25,"name":"one","weight":3}`,
			instance{ID: "one", Address: "10.0.0.7", Port: 25, Weight: 3},
		},
	} {
		data, err := layout.codec.Encode(&layout.of)
		require.NoError(t, err, name)
		require.Equal(t, layout.data, string(data), name)
		back, err := layout.codec.Decode(data)
		require.NoError(t, err, name)
		require.Equal(t, layout.back, *back, name)
		_, err = layout.codec.Encode(&instance{Name: "mail"})
		require.Error(t, err, "without an address")
		for _, bad := range []string{``, `{`, `[]`, `{}`, `{"host":1}`} {
			_, err = layout.codec.Decode([]byte(bad))
			require.Error(t, err, bad)
		}
	}
}

// An instance in one of the layouts is kept registered, drained and removed like any other.
func TestRegisteredInALayout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := ensembletest.Start(t, 1, nil)
		services := discovery.NewRegistry(e.Connect(t), "/prometheus", &discovery.Options[struct{}]{Codec: promsd.Serverset[struct{}]()})
		g, err := services.Register(t.Context(), instance{Name: "mail", ID: "one", Address: "10.0.0.7", Port: 25}, nil)
		require.NoError(t, err)
		mail, err := services.Lookup(t.Context(), "mail", nil)
		require.NoError(t, err)
		defer mail.Close()
		require.NoError(t, g.Update(t.Context(), func(i *instance) { i.Status = discovery.Draining }))
		synctest.Wait()
		all := mail.Instances()
		require.Len(t, all, 1)
		require.Equal(t, "one", all[0].ID)
		require.Equal(t, discovery.Draining, all[0].Status)
		require.NoError(t, g.Close(t.Context()))
		synctest.Wait()
		require.Empty(t, mail.Instances())
	})
}
