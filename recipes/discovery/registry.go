package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bellwether-zk/bellwether/client"
)

// Options say how services are registered and looked up. The zero value works, and nil means the zero value.
type Options[T any] struct {
	// Codec is how instances stand in their nodes. Default: Curator[T]("").
	Codec Codec[T]
	// ACL is given to nodes of instances, and to parents that are made for them. Default: the client's.
	ACL []client.ACL
	// Logger is told, at Warn, of instances that cannot be read, and why a registered one is not listed. Default: silence.
	Logger *slog.Logger
}

// Registry is the description of a directory of services, whose instances have payloads of type T; it is also the owner of what is
// registered through it. Its methods may be called by many goroutines.
type Registry[T any] struct {
	client *client.Client
	base   string
	codec  Codec[T]
	acl    []client.ACL
	log    *slog.Logger

	mu         sync.Mutex
	registered map[string]*Registration[T] // by path without number, from Register until nothing of it is left
}

// NewRegistry describes the services below a path, such as "/services". Nothing is asked of the servers.
func NewRegistry[T any](c *client.Client, base string, opts *Options[T]) *Registry[T] {
	if opts == nil {
		opts = &Options[T]{}
	}
	r := &Registry[T]{
		client: c, base: base, codec: opts.Codec, acl: opts.ACL, log: opts.Logger, registered: make(map[string]*Registration[T]),
	}
	if r.codec == nil {
		r.codec = Curator[T]("")
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	return r
}

// Client returns the client the registry works through.
func (r *Registry[T]) Client() *client.Client { return r.client }

// Names returns the names of the services that have a directory, sorted. That of a service without instances vanishes some time later. There
// are none if nobody has ever registered anything.
func (r *Registry[T]) Names(ctx context.Context) ([]string, error) { return r.children(ctx, r.base) }

func (r *Registry[T]) children(ctx context.Context, path string) ([]string, error) {
	names, _, err := r.client.Children(ctx, path)
	if errors.Is(err, client.ErrNoNode) {
		return nil, nil
	}
	slices.Sort(names)
	return names, err
}

// Inspect returns what the servers have of a service now, sorted by path, what cannot be read among it. It asks for the names and for each
// node, sixteen at a time. Who asks often is better off with [Registry.Lookup].
func (r *Registry[T]) Inspect(ctx context.Context, service string) ([]*Entry[T], error) {
	dir, err := r.dir(service)
	if err != nil {
		return nil, err
	}
	names, err := r.children(ctx, dir)
	if err != nil {
		return nil, err
	}
	const atOnce = 16
	var all sync.WaitGroup
	found, failures := make([]*Entry[T], len(names)), make([]error, len(names))
	turn := make(chan struct{}, atOnce)
	for i, name := range names {
		turn <- struct{}{}
		all.Go(func() { // ends with the answer
			defer func() { <-turn }()
			path := dir + "/" + name
			data, stat, err := r.client.Get(ctx, path)
			switch {
			case errors.Is(err, client.ErrNoNode):
			case errors.Is(err, client.ErrNoAuth):
				found[i] = r.entry(path, nil, stat, err)
			case err != nil:
				failures[i] = err
			default:
				found[i] = r.entry(path, data, stat, nil)
			}
		})
	}
	all.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(found, func(e *Entry[T]) bool { return e == nil }), nil
}

// Remove deletes an instance, whoever has registered it, if there is one. node is the last element of [Entry.Path], which is the id of all
// but sequential instances. One of a process that lives is registered again by that. It fails with client.ErrNoNode if there is none.
func (r *Registry[T]) Remove(ctx context.Context, service, node string) error {
	path, err := r.path(service, node)
	if err != nil {
		return err
	}
	return r.client.Delete(ctx, path, client.AnyVersion)
}

// Close closes all that is registered, see [Registration.Close], all at the same time. The registry can be used again.
func (r *Registry[T]) Close(ctx context.Context) error {
	r.mu.Lock()
	var all []*Registration[T]
	for _, one := range r.registered {
		all = append(all, one)
	}
	r.mu.Unlock()
	errs := make([]error, len(all))
	var closing sync.WaitGroup
	for i, one := range all {
		closing.Go(func() { errs[i] = one.Close(ctx) }) // ends with ctx, or before
	}
	closing.Wait()
	return errors.Join(errs...)
}

// dir returns the path of a service.
func (r *Registry[T]) dir(service string) (string, error) {
	if !isName(service) {
		return "", fmt.Errorf("%w: name of a service %q", client.ErrBadArguments, service)
	}
	return client.Join(r.base, service), nil
}

// path returns the path of an instance, of a sequential one without number.
func (r *Registry[T]) path(service, id string) (string, error) {
	dir, err := r.dir(service)
	if err == nil && !isName(id) {
		err = fmt.Errorf("%w: id of an instance %q", client.ErrBadArguments, id)
	}
	return dir + "/" + id, err
}

// isName tells whether a text is one element of a path. The rest is for the client to judge.
func isName(s string) bool { return s != "" && s != "." && s != ".." && !strings.Contains(s, "/") }

// Entry is an instance as it stands in the registry.
type Entry[T any] struct {
	Instance[T]
	Path  string    // of its node
	Token int64     // the transaction that registered it (czxid): an instance of one id with another token is another one, or has come again
	Owner int64     // the session it goes with; 0 for static and permanent ones
	Since time.Time // when it was registered, by the servers' clock

	// Lost is since when it is not registered any more. It is kept for a while because too many went at once, see LookupOptions.
	Lost time.Time
	// Err is why it cannot be read. Then the Instance is what it was when it could, and of an entry that never could it has the names of
	// the directories alone and is Down.
	Err error
}

// entry reads a node.
func (r *Registry[T]) entry(path string, data []byte, stat client.Stat, err error) *Entry[T] {
	var i *Instance[T]
	if err == nil {
		i, err = r.codec.Decode(data)
	}
	if err != nil {
		i = &Instance[T]{Status: Down}
	}
	dir, node, _ := cutLast(path)
	_, service, _ := cutLast(dir)
	if i.Name == "" {
		i.Name = service
	}
	if i.ID == "" {
		i.ID = node
	}
	return &Entry[T]{Instance: *i, Path: path, Token: stat.Czxid, Owner: stat.EphemeralOwner, Since: stat.Ctime, Err: err}
}

// cutLast cuts a path before its last element.
func cutLast(path string) (dir, name string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}
