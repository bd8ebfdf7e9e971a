package client

import "strings"

// Intent is an operation that is about to be sent, as Options.Check is told of it.
type Intent struct {
	Op         string   // as in Error.Op; each part of a multi is asked about as "create", "set", "delete" or "check"
	Path       string   // relative to the connect string's chroot; of a sequential or protected node what the caller asked for; of a reconfig empty
	Mode       Mode     // of a create
	Data       []byte   // of a create or a set; not to be kept or changed
	ACL        []ACL    // of a create or a setacl; not to be kept or changed
	Version    int32    // of a set, delete, check or setacl: the version that is expected
	Watch      bool     // it is a read that sets a watch
	Identities []string // who asks: the identities of the client, "scheme:user" for digest, "scheme" for others
}

// Intent returns what Multi would ask Options.Check about op, with the ACL that a new node would get: for those who compare or record
// transactions. Nobody is asked. It fails as Multi does with an op that cannot be sent, with ErrInvalidPath or ErrBadArguments.
func (c *Client) Intent(op Op) (Intent, error) {
	op.options.ACL = c.aclOf(op.path, op.options.ACL)
	if _, err := c.request(&op); err != nil {
		return Intent{}, &Error{Op: "multi", Path: op.path, Err: err}
	}
	return c.known(op.intent()), nil
}

// permit asks Options.Check about what is to be done on a path of this client.
func (c *Client) permit(i *Intent) error {
	if c.opts.Check == nil {
		return nil
	}
	if err := c.opts.Check(c.known(i)); err != nil {
		return &Error{Op: i.Op, Path: i.Path, Err: err}
	}
	return nil
}

// known returns an intent of this client as others know it: with its path from the connect string's chroot, and who asks.
func (c *Client) known(i *Intent) Intent {
	k := *i
	if i.Path != "" {
		k.Path = c.outside(i.Path)
	}
	for _, a := range c.credentials(0) {
		k.Identities = append(k.Identities, a.name())
	}
	return k
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
