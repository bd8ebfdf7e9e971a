package client

import "strings"

// Intent is an operation that is about to be sent, as Options.Check is told of it.
type Intent struct {
	Op         string   // as in Error.Op; each part of a multi is asked about as "create", "set", "delete" or "check"
	Path       string   // relative to the connect string's chroot; of a sequential or protected node what the caller asked for; of a reconfig empty
	Mode       Mode     // of a create
	Data       []byte   // of a create or a set; not to be kept or changed
	ACL        []ACL    // of a create or a setacl; not to be kept or changed
	Watch      bool     // it is a read that sets a watch
	Identities []string // who asks: the identities of the client, "scheme:user" for digest, "scheme" for others
}

// permit asks Options.Check about what is to be done on a path of this client.
func (c *Client) permit(i *Intent) error {
	if c.opts.Check == nil {
		return nil
	}
	asked := *i
	if i.Path != "" {
		asked.Path = c.outside(i.Path)
	}
	for _, a := range c.credentials(0) {
		asked.Identities = append(asked.Identities, a.name())
	}
	if err := c.opts.Check(asked); err != nil {
		return &Error{Op: i.Op, Path: i.Path, Err: err}
	}
	return nil
}

// name returns the identity without its secret.
func (a *Auth) name() string {
	if a.Scheme != "digest" {
		return a.Scheme
	}
	user, _, _ := strings.Cut(string(a.Credential), ":")
	return a.Scheme + ":" + user
}

// outside returns a path of this client as it is seen from the connect string's chroot.
func (c *Client) outside(path string) string {
	return (&Client{base: c.chroot}).relative(c.absolute(path))
}

// aclOf returns the ACL a node gets that is created with the given one, or without.
func (c *Client) aclOf(path string, given []ACL) []ACL {
	if len(given) > 0 {
		return given
	}
	if c.opts.ACLFor != nil {
		if acl := c.opts.ACLFor(c.outside(path)); len(acl) > 0 {
			return acl
		}
	}
	return c.opts.ACL
}
