package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/go-zookeeper/zk"
)

// AnyVersion stands for "whatever the version is" in conditional operations.
const AnyVersion = -1

// Create makes a node and returns its path, which differs from the path asked for when the node is sequential or protected. data may be
// nil, which is stored as empty. Among its failures are ErrNodeExists, ErrNoNode (no parent), ErrNoChildrenEphemeral, ErrNoAuth,
// ErrInvalidACL, and ErrUnimplemented for the kinds a server has switched off.
//
// A create that ends with ErrUnknown may have made the node. A protected one finds out by itself as long as its session lives and ctx
// allows, and is undone after that.
func (c *Client) Create(ctx context.Context, path string, data []byte, opts *CreateOptions) (string, error) {
	made, err := c.make(ctx, path, data, opts, false)
	return made.Path, err
}

// make is Create, and CreateAndList for a view of one session.
func (c *Client) make(ctx context.Context, path string, data []byte, opts *CreateOptions, list bool) (Created, error) {
	if opts == nil {
		opts = &CreateOptions{}
	}
	o := creation{CreateOptions: *opts, list: list}
	if err := o.check(path); err != nil {
		return Created{}, &Error{Op: "create", Path: path, Err: err}
	}
	if err := c.permit(&Intent{Op: "create", Path: path, Mode: o.Mode, Data: data, ACL: c.aclOf(path, o.ACL)}); err != nil {
		return Created{}, err
	}
	if o.Protected {
		return c.createProtected(ctx, path, data, &o)
	}
	return c.createWithParents(ctx, path, data, &o)
}

// creation is how a node is created, and whether its directory is to be listed, too.
type creation struct {
	CreateOptions
	list bool // the client is a view of one session
}

func (o *CreateOptions) check(path string) error {
	switch {
	case o.Mode < Persistent || o.Mode > PersistentSequentialTTL:
		return fmt.Errorf("%w: mode %d", ErrBadArguments, o.Mode)
	case o.Mode.ttl() && o.TTL < time.Millisecond, !o.Mode.ttl() && o.TTL != 0:
		return fmt.Errorf("%w: time to live %v with mode %d", ErrBadArguments, o.TTL, o.Mode)
	case o.Mode.ephemeral() && path == "/":
		return fmt.Errorf("%w: the root exists", ErrNodeExists)
	case o.ProtectionID != "" && !isProtectionID(o.ProtectionID):
		return fmt.Errorf("%w: protection id %q", ErrBadArguments, o.ProtectionID)
	}
	return checkPath(path, o.Mode.sequential())
}

// createWithParents creates, and as long as the parent is what is missing, makes it and tries again.
func (c *Client) createWithParents(ctx context.Context, path string, data []byte, o *creation) (Created, error) {
	for {
		made, err := c.create(ctx, path, data, o)
		if o.Parents == NoParents || !errors.Is(err, ErrNoNode) {
			return made, err
		}
		if err := c.makeDir(ctx, parentOf(path), &o.CreateOptions); err != nil {
			return Created{}, err
		}
	}
}

// create sends one create.
func (c *Client) create(ctx context.Context, path string, data []byte, o *creation) (Created, error) {
	full, acl := c.absolute(path), c.aclOf(path, o.ACL)
	op := operation{name: "create", path: path, size: createSize(full, data, acl), write: true, unsafe: o.Mode == Container || o.Mode.ttl()}
	data = notNil(data)
	send := func(conn *zk.Conn) (string, error) {
		switch {
		case o.Mode == Container:
			return conn.CreateContainer(full, data, zk.FlagContainer, libraryACL(acl))
		case o.Mode.ttl():
			return conn.CreateTTL(full, data, int32(o.Mode), libraryACL(acl), o.TTL)
		}
		return conn.Create(full, data, int32(o.Mode), libraryACL(acl))
	}
	var made Created
	var err error
	if o.list {
		made, err = runListed(ctx, c, op, full, send)
	} else {
		made.Path, err = run(ctx, c, op, send)
	}
	if err != nil {
		return Created{}, err
	}
	made.Path = c.relative(made.Path)
	return made, nil
}

// makeDir makes a node that is only there to have children, and those above it. Somebody else making it at the same time is as good, and
// so is an unknown outcome: the next try of the child tells.
func (c *Client) makeDir(ctx context.Context, path string, o *CreateOptions) error {
	if path == "/" && c.base != c.chroot { // a view's root is a node as any other to those outside
		outside := &Client{core: c.core, base: c.chroot, pin: c.pin}
		return outside.makeDir(ctx, outside.relative(c.base), o)
	}
	if path == "/" {
		return &Error{Op: "create", Path: path, Err: fmt.Errorf("%w: the chroot %q", ErrNoNode, c.chroot)}
	}
	dir := CreateOptions{Mode: Container, ACL: o.ACL}
	if o.Parents == PersistentParents {
		dir.Mode = Persistent
	}
	if err := c.permit(&Intent{Op: "create", Path: path, Mode: dir.Mode, ACL: c.aclOf(path, o.ACL)}); err != nil {
		return err
	}
	for {
		_, err := c.create(ctx, path, nil, &creation{CreateOptions: dir})
		switch {
		case err == nil, errors.Is(err, ErrNodeExists):
			return nil
		case errors.Is(err, ErrUnknown) && ctx.Err() == nil && !c.over():
			return nil
		case dir.Mode == Container && (errors.Is(err, ErrUnimplemented) || errors.Is(err, ErrBadArguments)):
			dir.Mode = Persistent // a server before containers
		case errors.Is(err, ErrNoNode):
			if err := c.makeDir(ctx, parentOf(path), o); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// over tells whether this is a view whose session has ended.
func (c *Client) over() bool { return c.pin != nil && c.pin.Err() != nil }

// Delete removes a node without children if its version is the given one. Among its failures are ErrNoNode, ErrBadVersion, ErrNotEmpty
// and ErrNoAuth (the permission is the parent's).
func (c *Client) Delete(ctx context.Context, path string, version int32) error {
	if err := checkPath(path, false); err != nil {
		return &Error{Op: "delete", Path: path, Err: err}
	}
	if err := c.permit(&Intent{Op: "delete", Path: path, Version: version}); err != nil {
		return err
	}
	return c.delete(ctx, path, version)
}

func (c *Client) delete(ctx context.Context, path string, version int32) error {
	full := c.absolute(path)
	_, err := run(ctx, c, operation{name: "delete", path: path, size: len(full), write: true},
		func(conn *zk.Conn) (struct{}, error) { return struct{}{}, conn.Delete(full, version) })
	return err
}

// Exists tells whether there is a node, and returns its Stat when there is. Servers from 3.8.4 and 3.9.2 on ask for PermRead on it,
// earlier ones for nothing.
func (c *Client) Exists(ctx context.Context, path string) (Stat, bool, error) {
	a, err := read(ctx, c, "exists", path, readExistence)
	if err != nil || !a.found {
		return Stat{}, false, err
	}
	return statOf(a.stat), true, nil
}

// Get returns a node's data, which belong to the caller, and its Stat.
func (c *Client) Get(ctx context.Context, path string) ([]byte, Stat, error) {
	a, err := read(ctx, c, "get", path, readData)
	if err != nil {
		return nil, Stat{}, err
	}
	return a.data, statOf(a.stat), nil
}

// Set replaces a node's data if its version is the given one, and returns its new Stat.
func (c *Client) Set(ctx context.Context, path string, data []byte, version int32) (Stat, error) {
	if err := checkPath(path, false); err != nil {
		return Stat{}, &Error{Op: "set", Path: path, Err: err}
	}
	if err := c.permit(&Intent{Op: "set", Path: path, Data: data, Version: version}); err != nil {
		return Stat{}, err
	}
	full := c.absolute(path)
	stat, err := run(ctx, c, operation{name: "set", path: path, size: len(full) + len(data), write: true},
		func(conn *zk.Conn) (*zk.Stat, error) { return conn.Set(full, notNil(data), version) })
	if err != nil {
		return Stat{}, err
	}
	return statOf(stat), nil
}

// Children returns the names of a node's children, in no order, and the node's own Stat.
func (c *Client) Children(ctx context.Context, path string) ([]string, Stat, error) {
	a, err := read(ctx, c, "children", path, readChildren)
	if err != nil {
		return nil, Stat{}, err
	}
	return a.names, statOf(a.stat), nil
}

// ACL returns a node's access control list and its Stat. Servers hide the passwords' hashes from those without PermAdmin.
func (c *Client) ACL(ctx context.Context, path string) ([]ACL, Stat, error) {
	a, err := read(ctx, c, "acl", path, func(conn *zk.Conn, full string) (answer, error) {
		acl, stat, err := conn.GetACL(full)
		return answer{acl: acl, stat: stat}, err
	})
	if err != nil {
		return nil, Stat{}, err
	}
	return aclFrom(a.acl), statOf(a.stat), nil
}

// SetACL replaces a node's access control list if the list's own version, Stat.Aversion, is the given one, and returns the new Stat.
func (c *Client) SetACL(ctx context.Context, path string, acl []ACL, aversion int32) (Stat, error) {
	if err := checkPath(path, false); err != nil {
		return Stat{}, &Error{Op: "setacl", Path: path, Err: err}
	}
	if err := c.permit(&Intent{Op: "setacl", Path: path, ACL: acl, Version: aversion}); err != nil {
		return Stat{}, err
	}
	full := c.absolute(path)
	stat, err := run(ctx, c, operation{name: "setacl", path: path, size: createSize(full, nil, acl), write: true},
		func(conn *zk.Conn) (*zk.Stat, error) { return conn.SetACL(full, libraryACL(acl), aversion) })
	if err != nil {
		return Stat{}, err
	}
	return statOf(stat), nil
}

// Sync lets the server catch up with the leader: what this client reads after Sync returned includes every change that was committed
// before Sync was called. Servers ignore whether the path exists.
func (c *Client) Sync(ctx context.Context, path string) error {
	_, err := read(ctx, c, "sync", path, func(conn *zk.Conn, full string) (answer, error) {
		_, err := conn.Sync(full)
		return answer{}, err
	})
	return err
}

// AddAuth gives the client one more identity, for this session and every later one. The scheme "digest" takes "user:password". A scheme
// the server does not know, or a credential it refuses, is ErrAuthFailed; servers end the connection after such an answer.
func (c *Client) AddAuth(ctx context.Context, scheme string, credential []byte) error {
	a := Auth{Scheme: scheme, Credential: append([]byte(nil), credential...)}
	kept := false
	for {
		used, err := run(ctx, c, operation{name: "addauth", size: len(scheme) + len(credential), write: true},
			func(conn *zk.Conn) (*zk.Conn, error) { return conn, conn.AddAuth(a.Scheme, a.Credential) })
		if err != nil {
			return err
		}
		c.mu.Lock()
		if !kept {
			c.identities, kept = append(slices.Clip(c.identities), a), true
		}
		current := c.current.conn == used
		c.mu.Unlock()
		if current || c.pin != nil {
			return nil
		} // else another session opened meanwhile, without it
	}
}

// answer is what a read brings; each operation uses its part.
type answer struct {
	data  []byte
	names []string
	acl   []zk.ACL
	stat  *zk.Stat
	found bool

	signal *signal // of a read that set a watch
}

func readExistence(conn *zk.Conn, full string) (a answer, err error) {
	a.found, a.stat, err = conn.Exists(full)
	return a, err
}

func readData(conn *zk.Conn, full string) (a answer, err error) {
	a.data, a.stat, err = conn.Get(full)
	return a, err
}

func readChildren(conn *zk.Conn, full string) (a answer, err error) {
	a.names, a.stat, err = conn.Children(full)
	return a, err
}

// read runs an operation that changes nothing on one path.
func read(ctx context.Context, c *Client, name, path string, fn func(conn *zk.Conn, full string) (answer, error)) (answer, error) {
	if err := checkPath(path, false); err != nil {
		return answer{}, &Error{Op: name, Path: path, Err: err}
	}
	full := c.absolute(path)
	return run(ctx, c, operation{name: name, path: path, size: len(full)}, func(conn *zk.Conn) (answer, error) { return fn(conn, full) })
}

// operation is what run needs to know about one.
type operation struct {
	name  string
	path  string
	size  int  // bytes of its strings and data; the fixed parts are below fixedSize
	write bool // it must not be repeated when its outcome is open
	// unsafe tells that the connection must not be closed under it, see unsafeCalls.
	unsafe bool
}

// fixedSize bounds what a request takes beside its strings, data and lists: headers, lengths, flags, versions.
const fixedSize = 48

func createSize(path string, data []byte, acl []ACL) int {
	n := len(path) + len(data)
	for _, a := range acl {
		n += 12 + len(a.Scheme) + len(a.ID)
	}
	return n
}

// run carries out an operation in the client's present session, or the view's own. It waits for a session where there is none,
// repeats what is safe to repeat when the connection broke, and gives every failure its operation, path, and certainty.
func run[T any](ctx context.Context, c *Client, op operation, fn func(*zk.Conn) (T, error)) (T, error) {
	ctx, seen := c.observe(ctx, op.name, op.path)
	v, tries, err := repeat(ctx, c, op, fn)
	if err != nil {
		err = &Error{Op: op.name, Path: op.path, Err: err}
	}
	seen.end(ctx, tries, err)
	return v, err
}

func repeat[T any](ctx context.Context, c *Client, op operation, fn func(*zk.Conn) (T, error)) (v T, tries int, err error) {
	if op.size+fixedSize > c.opts.MaxFrame {
		return v, 0, fmt.Errorf("request %w: %d bytes, the limit is %d", ErrTooLarge, op.size+fixedSize, c.opts.MaxFrame)
	}
	var policy backoff.BackOff
	for {
		if ctx.Err() != nil {
			return v, tries, context.Cause(ctx)
		}
		g, err := c.generation(ctx)
		if err != nil {
			return v, tries, err
		}
		tries++
		v, err = try(ctx, g, op, fn)
		if !repeatable(op, err) {
			return v, tries, err
		}
		if policy == nil {
			policy = c.opts.Retry()
			policy.Reset()
		}
		pause := policy.NextBackOff()
		if pause == backoff.Stop {
			return v, tries, err
		}
		if c.opts.Hooks.Retried != nil {
			c.opts.Hooks.Retried(op.name, op.path, pause, err)
		}
		if cause := sleep(ctx, pause); cause != nil {
			return v, tries, cause
		}
	}
}

// repeatable tells whether an operation that failed so may be sent again: nothing arrived, or nothing is changed by it.
func repeatable(op operation, err error) bool {
	if err == nil || errors.Is(err, ErrUnknown) {
		return false
	}
	return errors.Is(err, ErrConnectionLoss) || errors.Is(err, errNotBegun) || (!op.write && errors.Is(err, ErrSessionExpired))
}

// errNotBegun tells that the session ended before the operation was handed to it.
var errNotBegun = errors.New("not begun")

// try runs an operation once in one session.
func try[T any](ctx context.Context, g *generation, op operation, fn func(*zk.Conn) (T, error)) (T, error) {
	var none T
	if err := g.makeRoom(ctx, op.size); err != nil {
		if errors.Is(err, errAbandoned) {
			err = context.Cause(ctx)
		}
		return none, err
	}
	if op.unsafe {
		g.unsafe.enter() // before the call begins, so that whoever closes the connection behind its beginning knows
		inner := fn
		fn = func(conn *zk.Conn) (T, error) {
			defer g.unsafe.leave()
			return inner(conn)
		}
	}
	v, err := call(ctx, g, fn)
	if err == nil {
		return v, nil
	}
	if op.unsafe && errors.Is(err, errNotBegun) {
		g.unsafe.leave()
	}
	switch {
	case errors.Is(err, errNotBegun):
		return none, err
	case errors.Is(err, errAbandoned):
		if op.write {
			return none, unknown(context.Cause(ctx))
		}
		return none, context.Cause(ctx)
	case errors.Is(err, ErrConnectionLoss) && g.ctx.Err() != nil:
		err = fmt.Errorf("%w: %w", err, context.Cause(g.ctx))
	}
	if op.write {
		return none, outcome(err)
	}
	return none, err
}

// errAbandoned tells that the caller's context ended while the library was at work.
var errAbandoned = errors.New("abandoned")

// call hands one call to the library and waits for its end or that of ctx, whichever comes first. A call that is abandoned goes on
// until the library answers it, at the latest when the generation shuts down, which waits for it.
func call[T any](ctx context.Context, g *generation, fn func(*zk.Conn) (T, error)) (v T, err error) {
	if err := g.begin(); err != nil {
		return v, fmt.Errorf("%w: %w", errNotBegun, err)
	}
	fn = within(g, fn)
	if ctx.Done() == nil {
		defer g.calls.Done()
		v, err = fn(g.conn)
		return v, translate(err)
	}
	type result struct {
		v   T
		err error
	}
	results := make(chan result, 1)
	go func() { // ends when the library answers
		defer g.calls.Done()
		v, err := fn(g.conn)
		results <- result{v, err}
	}()
	select {
	case r := <-results:
		return r.v, translate(r.err)
	case <-ctx.Done():
	}
	select { // an answer that is there counts
	case r := <-results:
		return r.v, translate(r.err)
	default:
		return v, errAbandoned
	}
}
