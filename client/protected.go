package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
)

// protectedPrefix opens the name of a protected node, here as in Curator and go-zookeeper.
const protectedPrefix = "_c_"

// NewProtectionID returns a fresh id for a protected create: a random UUID in the dashed, lower-case form of 36 characters, as Curator
// writes it.
func NewProtectionID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: the program ends instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// ParseProtected takes a protected name apart into the id of its create and the rest of the name. Both known forms of ids are read:
// the 36 characters of Curator, and the 32 of go-zookeeper. A name that is not protected, or only begins like it, is not ok.
func ParseProtected(name string) (id, rest string, ok bool) {
	after, ok := strings.CutPrefix(name, protectedPrefix)
	if !ok {
		return "", name, false
	}
	for _, n := range []int{36, 32} {
		if len(after) > n && after[n] == '-' && isProtectionID(after[:n]) {
			return after[:n], after[n+1:], true
		}
	}
	return "", name, false
}

// isProtectionID tells whether s is 32 hexadecimal digits, or a UUID with its four dashes.
func isProtectionID(s string) bool {
	if len(s) != 32 && len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		dash := len(s) == 36 && (i == 8 || i == 13 || i == 18 || i == 23)
		hex := '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
		if dash != (c == '-') || (!dash && !hex) {
			return false
		}
	}
	return true
}

// createProtected creates a node whose name tells which create made it, and sees to it that a lost answer leaves neither doubt nor a
// second node: it asks in the same session, behind a sync, whether a node of that name is there. All its tries run in one session.
func (c *Client) createProtected(ctx context.Context, path string, data []byte, o *CreateOptions) (string, error) {
	s, err := c.AwaitSession(ctx)
	if err != nil {
		return "", &Error{Op: "create", Path: path, Err: reason(err)}
	}
	id := o.ProtectionID
	if id == "" {
		id = NewProtectionID()
	}
	dir, base := parentOf(path), path[strings.LastIndexByte(path, '/')+1:]
	named := join(dir, protectedPrefix+id+"-"+base)
	view := s.Client()
	for {
		made, err := view.createWithParents(ctx, named, data, o)
		if !errors.Is(err, ErrUnknown) || ctx.Err() != nil || s.Err() != nil {
			return made, withPath(err, path)
		}
		found, ok, lookErr := view.FindProtected(ctx, dir, id)
		switch {
		case lookErr != nil:
			return "", &Error{Op: "create", Path: path, Err: fmt.Errorf("%w; looking for it: %w", reason(err), reason(lookErr))}
		case ok:
			return found, nil
		}
	}
}

// withPath puts the path the caller knows into an error about one made from it.
func withPath(err error, path string) error {
	if err == nil {
		return nil
	}
	return &Error{Op: "create", Path: path, Err: reason(err)}
}

// FindProtected looks below dir for the node a protected create with this id made, and returns its path. It sees every create of its
// own session that was sent before: a view bound to the session that created may take a negative answer as proof.
func (c *Client) FindProtected(ctx context.Context, dir, id string) (path string, ok bool, err error) {
	if err := c.Sync(ctx, dir); err != nil {
		return "", false, err
	}
	names, _, err := c.Children(ctx, dir)
	if err != nil {
		if isNoNode(err) {
			err = nil
		}
		return "", false, err
	}
	for _, name := range names {
		if found, _, ok := ParseProtected(name); ok && found == id {
			return join(dir, name), true, nil
		}
	}
	return "", false, nil
}

func join(dir, name string) string {
	if dir == "/" {
		return dir + name
	}
	return dir + "/" + name
}
