//go:build interop

package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
	"github.com/bellwether-zk/bellwether/recipes/discovery/promsd"
)

// Prometheus finds our services in each of its three ways, and notices when they go. It takes its time with news, five seconds each.
func TestPrometheusFindsServices(t *testing.T) {
	onEnsembles(t, func(t *testing.T, k process.Kind) {
		server := startPeer(t, k).Addr
		c := mustConnect(t, server)
		services := discovery.NewRegistry[struct{}](c, "/services", nil)
		serversets := discovery.NewRegistry(c, "/serversets", &discovery.Options[struct{}]{Codec: promsd.Serverset[struct{}]()})
		nerves := discovery.NewRegistry(c, "/nerves", &discovery.Options[struct{}]{Codec: promsd.Nerve[struct{}]()})
		door := httptest.NewServer(promsd.New(services, nil))
		defer door.Close()
		var leaving []*discovery.Registration[struct{}]
		for i, registry := range []*discovery.Registry[struct{}]{services, serversets, nerves} {
			for j := range 2 {
				g, err := registry.Register(t.Context(), discovery.Instance[struct{}]{
					Name: "mail", ID: fmt.Sprint("number", j), Address: "127.0.0.1", Port: 1 + 2*i + j, Zone: "eu",
				}, nil)
				require.NoError(t, err)
				if j == 1 {
					leaving = append(leaving, g)
				}
			}
		}
		p := startPrometheus(t, fmt.Sprintf(`
global: {scrape_interval: 1h}
scrape_configs:
- job_name: http
  http_sd_configs: [{url: "%s/sd?service=mail", refresh_interval: 200ms}]
  relabel_configs: [{source_labels: [__meta_bellwether_zone], target_label: zone}]
- job_name: serverset
  serverset_sd_configs: [{servers: ["%s"], paths: [/serversets]}]
- job_name: nerve
  nerve_sd_configs: [{servers: ["%s"], paths: [/nerves]}]
`, door.URL, server, server))
		p.mustFind(t, "http 127.0.0.1:1 eu", "http 127.0.0.1:2 eu", "nerve 127.0.0.1:5", "nerve 127.0.0.1:6", "serverset 127.0.0.1:3", "serverset 127.0.0.1:4")
		for _, g := range leaving {
			require.NoError(t, g.Close(t.Context()))
		}
		p.mustFind(t, "http 127.0.0.1:1 eu", "nerve 127.0.0.1:5", "serverset 127.0.0.1:3")
	})
}

// prometheus is a process of that name.
type prometheus struct{ addr string }

// startPrometheus starts Prometheus with what stands in its file, and returns when it listens. The test's end ends it.
func startPrometheus(t *testing.T, config string) prometheus {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, process.MustEnv(t, "PROMETHEUS"),
		"--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(log)
	listens := regexp.MustCompile(`msg="Listening on" address=(127\.0\.0\.1:[1-9]\d*)`)
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
		if m := listens.FindStringSubmatch(lines.Text()); m != nil {
			rest := make(chan struct{})
			go func() { // ends with the process
				defer close(rest)
				_, _ = io.Copy(io.Discard, log)
			}()
			t.Cleanup(func() {
				cancel()
				<-rest
				_ = cmd.Wait() // it was killed
			})
			return prometheus{m[1]}
		}
	}
	cancel()
	_ = cmd.Wait()
	t.Fatalf("Prometheus does not listen:\n%s", strings.Join(said, "\n"))
	return prometheus{}
}

// mustFind waits until Prometheus has exactly these targets: job, address and zone.
func (p prometheus) mustFind(t *testing.T, want ...string) {
	t.Helper()
	mustEventually(t, 30*time.Second, func(ctx context.Context) error {
		got, err := p.targets(ctx)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("it has %q", got)
		}
		return err
	})
}

func (p prometheus) targets(ctx context.Context) (found []string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/api/v1/targets?state=active", nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			ActiveTargets []struct{ Labels map[string]string }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	for _, target := range answer.Data.ActiveTargets {
		l := target.Labels
		found = append(found, strings.TrimSpace(l["job"]+" "+l["instance"]+" "+l["zone"]))
	}
	slices.Sort(found)
	return found, nil
}
