//go:build interop

package integration

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/catalog"
)

// Our catalog and Curator's discovery server answer alike about what Go and Java have registered.
func TestCatalogAnswersAsCuratorsServer(t *testing.T) {
	serve := javaProgram(t, "CURATOR_SERVER_CP", "Listing", "discoveryserver/*")
	register := javaProgram(t, "CURATOR_CP", "Registrant", "discovery/*")
	inTurn(t, func(t *testing.T, k process.Kind) {
		server := startPeer(t, k).Addr
		const base = "/services"
		java := startCuratorProgram(t, register, server, base, "old")
		for _, kind := range []string{"text", "int", "long", "double", "bool", "list", "map"} { // of classes that Curator's server has
			java.mustAnswer(t, "register theirs "+kind+" 25 STATIC "+kind, "registered")
		}
		c := mustConnect(t, server)
		mustRegister(t, c, base, "", discovery.Instance[string]{ID: "1", Port: 80, TLSPort: 443, Payload: "a <b>", Status: discovery.Up})
		mustRegister(t, c, base, "", discovery.Instance[map[string]any]{ID: "2", Payload: map[string]any{"zone": "eu"}})

		ours := httptest.NewServer(catalog.New(discovery.NewRegistry[any](c, base, nil), nil))
		defer ours.Close()
		port, err := startCuratorProgram(t, serve, server, base).ask("port")
		require.NoError(t, err)
		for _, path := range []string{
			"/v1/service", "/v1/service/ours", "/v1/service/theirs", "/v1/service/nobody", "/v1/service/ours/1", "/v1/service/ours/2",
			"/v1/service/theirs/map", "/v1/service/theirs/long", "/v1/service/ours/none", "/v1/service/nobody/1", "/v1/anyservice/nobody", "/v2",
		} {
			mustAnswerAlike(t, "http://127.0.0.1:"+port, ours.URL, path)
		}
	}, process.Apache39, process.Bellwether)
}

// mustAnswerAlike compares status, and type and body of what is found; uriSpec only we write.
func mustAnswerAlike(t *testing.T, theirs, ours, path string) {
	t.Helper()
	get := func(url string) (status int, kind string, body any) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		if resp.StatusCode != http.StatusOK {
			return resp.StatusCode, "", nil
		}
		require.NoError(t, json.Unmarshal(data, &body), "%s", data)
		return resp.StatusCode, resp.Header.Get("Content-Type"), body
	}
	status, kind, want := get(theirs)
	gotStatus, gotKind, got := get(ours)
	require.Equal(t, status, gotStatus, path)
	require.Equal(t, kind, gotKind, path)
	if all, ok := got.([]any); ok {
		for _, one := range all {
			delete(one.(map[string]any), "uriSpec")
		}
		require.ElementsMatch(t, want, all, path)
		return
	}
	if one, ok := got.(map[string]any); ok {
		delete(one, "uriSpec")
	}
	require.Equal(t, want, got, path)
}
