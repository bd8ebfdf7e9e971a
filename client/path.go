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

// absolute puts the chroot before a path, relative takes it away again. The chroot is "" or a path without a slash at its end.
func (c *core) absolute(path string) string {
	if path == "/" && c.chroot != "" {
		return c.chroot
	}
	return c.chroot + path
}

func (c *core) relative(path string) string {
	if path == c.chroot {
		return "/"
	}
	return strings.TrimPrefix(path, c.chroot)
}

// parentOf returns the path of a node's parent; the root is its own.
func parentOf(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return "/"
	}
	return path[:i]
}
