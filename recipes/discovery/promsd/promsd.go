// Package promsd lets Prometheus find services, in each of the ways in which it can be told of them.
//
// By HTTP (http_sd_configs): a handler lists all instances of a registry.
//
//	http.Handle("/sd", promsd.New(services, nil))
//
//	scrape_configs:
//	  - job_name: services
//	    http_sd_configs:
//	      - url: http://inventory:8080/sd?service=mail
//
// By ZooKeeper itself, which Prometheus reads in two layouts (serverset_sd_configs and nerve_sd_configs): a process registers itself once more,
// in a registry with the codec of one of them.
//
//	scraped := discovery.NewRegistry(c, "/prometheus", &discovery.Options[struct{}]{Codec: promsd.Serverset[struct{}]()})
//	_, err := scraped.Register(ctx, discovery.Instance[struct{}]{Name: "mail", Address: "10.0.0.7", Port: 9090}, nil)
//
//	scrape_configs:
//	  - job_name: services
//	    serverset_sd_configs:
//	      - servers: [zk1, zk2, zk3]
//	        paths: [/prometheus]
//
// # Labels
//
// Each instance that New lists is a target with labels to be used in relabel_configs, and gone when Prometheus asks next, see its refresh_interval:
//
//	__meta_bellwether_service             name of the service
//	__meta_bellwether_id                  id of the instance
//	__meta_bellwether_path                of its node
//	__meta_bellwether_status              starting, up, draining, down
//	__meta_bellwether_zone                where it stands; like the next, missing if the instance does not say
//	__meta_bellwether_version             of the software
//	__meta_bellwether_weight              its share of the work
//	__meta_bellwether_tags                its tags, with a comma before, between and behind them: ,a,b,
//	__meta_bellwether_tls_port            its TLS port; missing if there is none
package promsd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
)

// Options say which instances are listed. The zero value works, and nil means the zero value.
type Options struct {
	// Timeout bounds what a request asks of the servers. Default: 5 s, half of what Prometheus waits for.
	Timeout time.Duration
	// Logger is told, at Warn, of instances that are left out, and of what the servers did not say. Default: silence.
	Logger *slog.Logger
}

// New makes a handler that lists the instances of all services of a registry, or of those that a request names in its query, as service=mail. All
// are listed whatever their status is, as one that is not ready for requests is watched, too; an instance that cannot be read, or has no
// address, is not. A name that no service can have is answered with 400, and what the servers did not say with 503; Prometheus then keeps the
// targets it has. Each request asks the servers for the names and for each instance.
func New[T any](services *discovery.Registry[T], opts *Options) http.Handler {
	l := &lister[T]{services: services}
	if opts != nil {
		l.Options = *opts
	}
	l.Timeout = cmp.Or(l.Timeout, 5*time.Second)
	if l.Logger == nil {
		l.Logger = slog.New(slog.DiscardHandler)
	}
	return l
}

type lister[T any] struct {
	services *discovery.Registry[T]
	Options
}

// A target is one of Prometheus' groups, of one target each, since each has labels of its own.
type target struct {
	Targets [1]string         `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// ServeHTTP is http.Handler's.
func (l *lister[T]) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), l.Timeout)
	defer cancel()
	targets, err := l.targets(ctx, req.URL.Query()["service"])
	switch {
	case errors.Is(err, client.ErrBadArguments), errors.Is(err, client.ErrInvalidPath): // no name of anything
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	case err != nil:
		l.Logger.Warn("services could not be read", "error", err)
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(targets) // who does not listen is not told
}

func (l *lister[T]) targets(ctx context.Context, names []string) ([]target, error) {
	if len(names) == 0 {
		var err error
		if names, err = l.services.Names(ctx); err != nil {
			return nil, err
		}
	}
	targets := []target{}
	for _, name := range names {
		all, err := l.services.Inspect(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, i := range all {
			if i.Err != nil || i.Address == "" {
				l.Logger.Warn("instance left out", "path", i.Path, "error", i.Err)
				continue
			}
			targets = append(targets, target{[1]string{i.HostPort()}, labels(i)})
		}
	}
	return targets, nil
}

func labels[T any](i *discovery.Entry[T]) map[string]string {
	tags := ""
	if len(i.Tags) > 0 {
		tags = "," + strings.Join(i.Tags, ",") + ","
	}
	tls := ""
	if i.TLSPort != 0 {
		tls = strconv.Itoa(i.TLSPort)
	}
	found := make(map[string]string)
	for name, value := range map[string]string{
		"service": i.Name, "id": i.ID, "path": i.Path, "status": string(cmp.Or(i.Status, discovery.Up)),
		"zone": i.Zone, "version": i.Version, "weight": strconv.Itoa(i.Share()), "tags": tags, "tls_port": tls,
	} {
		if value != "" {
			found["__meta_bellwether_"+name] = value
		}
	}
	return found
}

var errNoAddress = errors.New("no address")

// Serverset is the JSON of serversets, of Finagle and Twitter's commons, which Prometheus reads with serverset_sd_configs: address, port, and a
// status. What else an instance says of itself is not in it. Prometheus makes __meta_serverset_path and more of it.
func Serverset[T any]() discovery.Codec[T] { return serverset[T]{} }

type serverset[T any] struct{}

// endpoint is where something is reached.
type endpoint struct {
	Host string `json:"host"`
	Port int    `json:"port"`
}

// member is an instance in a serverset.
type member struct {
	ServiceEndpoint     endpoint            `json:"serviceEndpoint"`
	AdditionalEndpoints map[string]endpoint `json:"additionalEndpoints"`
	Status              string              `json:"status"`
}

// words are a serverset's for statuses.
var words = map[discovery.Status]string{
	discovery.Starting: "STARTING", discovery.Up: "ALIVE", discovery.Draining: "STOPPING", discovery.Down: "DEAD",
}

// Encode is discovery.Codec's.
func (serverset[T]) Encode(i *discovery.Instance[T]) ([]byte, error) {
	if i.Address == "" {
		return nil, errNoAddress
	}
	m := member{AdditionalEndpoints: map[string]endpoint{}, Status: cmp.Or(words[cmp.Or(i.Status, discovery.Up)], "DEAD")}
	m.ServiceEndpoint = endpoint{i.Address, cmp.Or(i.Port, i.TLSPort)}
	if i.Port != 0 && i.TLSPort != 0 {
		m.AdditionalEndpoints["https"] = endpoint{i.Address, i.TLSPort}
	}
	return json.Marshal(m)
}

// Decode is discovery.Codec's.
func (serverset[T]) Decode(data []byte) (*discovery.Instance[T], error) {
	var m member
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, err
	}
	if m.ServiceEndpoint.Host == "" {
		return nil, errNoAddress
	}
	i := &discovery.Instance[T]{Address: m.ServiceEndpoint.Host, Port: m.ServiceEndpoint.Port, Status: discovery.Down}
	i.TLSPort = m.AdditionalEndpoints["https"].Port
	for status, word := range words {
		if m.Status == word {
			i.Status = status
		}
	}
	return i, nil
}

// Nerve is the JSON of AirBnB's SmartStack, which Prometheus reads with nerve_sd_configs: address, port, id, and the weight. It has no status: who
// is not ready should not be registered, see discovery.RegisterOptions.Check.
func Nerve[T any]() discovery.Codec[T] { return nerve[T]{} }

type nerve[T any] struct{}

// report is an instance as Nerve tells of it.
type report struct {
	Host   string `json:"host"`
	Port   int    `json:"port"`
	Name   string `json:"name"`
	Weight int    `json:"weight,omitempty"`
}

// Encode is discovery.Codec's.
func (nerve[T]) Encode(i *discovery.Instance[T]) ([]byte, error) {
	if i.Address == "" {
		return nil, errNoAddress
	}
	return json.Marshal(report{Host: i.Address, Port: cmp.Or(i.Port, i.TLSPort), Name: i.ID, Weight: i.Weight})
}

// Decode is discovery.Codec's.
func (nerve[T]) Decode(data []byte) (*discovery.Instance[T], error) {
	var r report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	if r.Host == "" {
		return nil, errNoAddress
	}
	return &discovery.Instance[T]{ID: r.Name, Address: r.Host, Port: r.Port, Weight: r.Weight}, nil
}
