// Package catalog shows services over HTTP, as JSON, for people with a browser and for programs without a ZooKeeper client:
//
//	http.Handle("/discovery/", http.StripPrefix("/discovery", catalog.New(services, nil)))
//
// Paths and answers are those of Curator's discovery server (curator-x-discovery-server):
//
//	GET /v1/service              [{"name": "mail"}, …]
//	GET /v1/service/mail         […]: all instances that can be read, whatever their status is
//	GET /v1/service/mail/one     the instance mail/one, as it stands in the registry
//	GET /v1/anyservice/mail      one of the instances that are up, by chance
//
// An instance is written as discovery.Curator writes it, without the fields that are null, and its payload as package encoding/json does. What
// differs from Curator's server, and why:
//
//   - Nothing can be changed here: who registers by a request that is made once has nobody who sees to it that the instance lives, which is what a
//     Registration is for.
//   - uriSpec is written, and what else we know of an instance. Curator's reader ignores it.
//   - An instance without payload has none. Curator's server makes one up, or fails.
//   - An instance that cannot be read is left out, and by /v1/anyservice what is not up.
//   - What fails has a body, {"error": "…"}: 404 for what is not there, nor can be, and 503 for what the servers did not say, within
//     Options.Timeout.
//
// Each request asks the servers: for the names, and once for each instance.
package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
)

// Options say how services are shown. The zero value works, and nil means the zero value.
type Options[T any] struct {
	// Codec is how an instance is written. Default: discovery.Curator[T]("").
	Codec discovery.Codec[T]
	// Timeout bounds what a request asks of the servers. Default: 5 s.
	Timeout time.Duration
	// Logger is told, at Warn, of instances that are left out since they cannot be read, and of what the servers did not say. Default: silence.
	Logger *slog.Logger
}

// New makes a handler that shows the services of a registry. It serves GET and HEAD, by many goroutines.
func New[T any](services *discovery.Registry[T], opts *Options[T]) http.Handler {
	c := &catalog[T]{services: services}
	if opts != nil {
		c.Options = *opts
	}
	if c.Codec == nil {
		c.Codec = discovery.Curator[T]("")
	}
	c.Timeout = cmp.Or(c.Timeout, 5*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /v1/service", c.answer(c.names))
	mux.Handle("GET /v1/service/{service}", c.answer(c.instances))
	mux.Handle("GET /v1/service/{service}/{id}", c.answer(c.instance))
	mux.Handle("GET /v1/anyservice/{service}", c.answer(c.anyone))
	return mux
}

type catalog[T any] struct {
	services *discovery.Registry[T]
	Options[T]
}

var errNotFound = errors.New("there is no such instance")

// answer makes a handler of what finds the answer to a request.
func (c *catalog[T]) answer(find func(context.Context, *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithTimeout(req.Context(), c.Timeout)
		defer cancel()
		found, err := find(ctx, req)
		status := http.StatusOK
		switch {
		case errors.Is(err, errNotFound), errors.Is(err, client.ErrBadArguments), errors.Is(err, client.ErrInvalidPath): // no name of anything
			status = http.StatusNotFound
		case err != nil:
			status = http.StatusServiceUnavailable
			c.Logger.Warn("services could not be read", "path", req.URL.Path, "error", err)
		}
		if err != nil {
			found = map[string]string{"error": err.Error()}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(found) // who does not listen is not told
	})
}

func (c *catalog[T]) names(ctx context.Context, _ *http.Request) (any, error) {
	names, err := c.services.Names(ctx)
	type name struct {
		Name string `json:"name"`
	}
	all := make([]name, len(names))
	for i := range names {
		all[i].Name = names[i]
	}
	return all, err
}

func (c *catalog[T]) instances(ctx context.Context, req *http.Request) (any, error) {
	all, err := c.readable(ctx, req)
	if err != nil {
		return nil, err
	}
	written := make([]any, 0, len(all))
	for _, i := range all {
		one, err := c.written(i)
		if err != nil {
			return nil, err
		}
		written = append(written, one)
	}
	return written, nil
}

func (c *catalog[T]) instance(ctx context.Context, req *http.Request) (any, error) {
	all, err := c.readable(ctx, req)
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if i.ID == req.PathValue("id") {
			return c.written(i)
		}
	}
	return nil, errNotFound
}

func (c *catalog[T]) anyone(ctx context.Context, req *http.Request) (any, error) {
	all, err := c.readable(ctx, req)
	if err != nil {
		return nil, err
	}
	for _, i := range rand.Perm(len(all)) {
		if all[i].Available() {
			return c.written(all[i])
		}
	}
	return nil, errNotFound
}

// written is an instance without what is null: Curator's reader takes a port that is null for port 0.
func (c *catalog[T]) written(i *discovery.Entry[T]) (any, error) {
	data, err := c.Codec.Encode(&i.Instance)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	maps.DeleteFunc(fields, func(_ string, value json.RawMessage) bool { return string(value) == "null" })
	if fields["payload"] != nil { // without names of Java's classes, as Curator's server writes it
		if fields["payload"], err = json.Marshal(i.Payload); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

// readable are the instances of the service that a request names, without those that nobody can read.
func (c *catalog[T]) readable(ctx context.Context, req *http.Request) (found []*discovery.Entry[T], err error) {
	all, err := c.services.Inspect(ctx, req.PathValue("service"))
	for _, i := range all {
		if i.Err != nil {
			c.Logger.Warn("instance left out", "path", i.Path, "error", i.Err)
			continue
		}
		found = append(found, i)
	}
	return found, err
}
