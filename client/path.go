package client

import (
	"fmt"
	"strings"
)

// checkPath tells whether a path may be sent: absolute, without empty, "." or ".." elements, without a NUL. For a sequential node the
// last element may be empty, as the server appends the number before it looks. Which other characters are allowed, the server
// decides (PathUtils.validatePath in Java).
func checkPath(path string, sequential bool) error {
	bad := func(why string) error { return fmt.Errorf("%w %q: %s", ErrInvalidPath, path, why) }
	if !strings.HasPrefix(path, "/") {
		return bad("not absolute")
	}
	if strings.IndexByte(path, 0) >= 0 {
		return bad("contains a NUL")
	}
	if path == "/" {
		return nil
	}
	elements := strings.Split(path[1:], "/")
	for i, e := range elements {
		switch {
		case e == "" && sequential && i == len(elements)-1:
		case e == "":
			return bad("has an empty element")
		case e == "." || e == "..":
			return bad("has a relative element")
		}
	}
	return nil
}

// absolute puts the client's base before a path, relative takes it away again.
func (c *Client) absolute(path string) string {
	if path == "/" && c.base != "" {
		return c.base
	}
	return c.base + path
}

func (c *Client) relative(path string) string {
	if path == c.base {
		return "/"
	}
	return strings.TrimPrefix(path, c.base)
}

// Sub returns a view of the client whose paths are relative to dir: a namespace, which the other users of the client need not know of. Its
// "/" is dir itself, and nothing outside of dir can be named. dir need not exist; a Create in the view that makes missing parents makes it,
// too. Views can be made of views, and are bound to a session if c is. Closing a view closes the client. The servers do not know of it,
// where a chroot is a part of the connect string. dir must be a path, or Sub fails with ErrInvalidPath.
func (c *Client) Sub(dir string) (*Client, error) {
	if err := checkPath(dir, false); err != nil {
		return nil, &Error{Op: "sub", Path: dir, Err: err}
	}
	return &Client{core: c.core, base: strings.TrimSuffix(c.absolute(dir), "/"), pin: c.pin}, nil
}

// Join returns the path of a node by its directory's and its own name: also below "/", where no second slash belongs. It does not tidy up as
// path.Join does, so that a path which is none stays one, and is refused.
func Join(dir, name string) string {
	if dir == "/" {
		return dir + name
	}
	return dir + "/" + name
}

// parentOf returns the path of a node's parent; the root is its own.
func parentOf(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return "/"
	}
	return path[:i]
}
