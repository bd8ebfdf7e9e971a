// Package auth decides who may do what: which identities a connection gains, which ACLs may be stored, and whether a list of
// them lets somebody in.
//
// An identity is a scheme and a name. A connection begins with its address ([Registry.Initial]) and gains more by auth requests
// ([Registry.Authenticate]); they are only ever added, never removed, and a request carries those of the moment it was read. A
// node's ACL is a list of identities with permissions each. Between the two stand the schemes:
//
//	world    "anyone", which everybody is
//	ip       the address of the connection; in an ACL also a network, 10.0.0.0/8
//	digest   user:base64(SHA1("user:password")), gained by sending user:password
//	super    gained with the one password of the configuration; may do everything, stands in no ACL
//	auth     stands in requests only, for all that the requester has proved to be: see [Registry.Expand]
//
// x509 and sasl identities have no provider in this server: they cannot be gained, ACLs that name them are refused, and such as
// are found in a tree let nobody in; decisions/2026-11-21-sasl.md says why.
//
// A [Registry] is configuration: it never changes and may be used by many goroutines.
package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// Names of schemes.
const (
	schemeWorld  = "world"
	schemeAuth   = "auth"
	schemeIP     = "ip"
	schemeDigest = "digest"
	schemeSuper  = "super"
)

// Config is what zoo.cfg and system properties say about access. The zero value is Apache's default.
type Config struct {
	SkipACL        bool     // skipACL: everybody may do everything
	DigestDisabled bool     // DigestAuthenticationProvider.enabled=false
	DigestAlg      string   // DigestAuthenticationProvider.digestAlg; "" is SHA1
	SuperDigest    string   // DigestAuthenticationProvider.superDigest, super:base64; "" is nobody
	Enforce        bool     // enforce.auth.enabled: connections need an identity of one of EnforceSchemes
	EnforceSchemes []string // enforce.auth.schemes
}

// maxExpanded is how many entries scheme auth may make a list grow to: more than fit into a log record anyway.
const maxExpanded = 1 << 16

// A provider knows one scheme (class AuthenticationProvider).
type provider interface {
	// authenticate is what a connection from remote that sends data gains: identities in the order they are added.
	authenticate(data []byte, remote netip.Addr) ([]znode.ID, znode.Code)
	// valid reports whether name may stand in an ACL.
	valid(name string) bool
	// matches reports whether whoever is called name is meant by the name in an ACL.
	matches(name, acl string) bool
	// user is the part of name that may be shown.
	user(name string) string
	// proven reports whether an identity of the scheme says who somebody is, as opposed to where.
	proven() bool
}

// A Registry knows the schemes of a server. Make one with [New].
type Registry struct {
	skipACL   bool
	providers map[string]provider
	enforced  []string // nil: nothing is enforced
}

// New returns the Registry of a configuration. An unknown digest algorithm, or enforced schemes that no connection could ever
// satisfy, is an error: a server must not start with them.
func New(c Config) (*Registry, error) {
	r := &Registry{skipACL: c.SkipACL, providers: map[string]provider{schemeIP: ip{}}}
	if !c.DigestDisabled {
		d, err := newDigest(c.DigestAlg, c.SuperDigest)
		if err != nil {
			return nil, err
		}
		r.providers[schemeDigest] = d
	}
	if !c.Enforce {
		return r, nil
	}
	if len(c.EnforceSchemes) == 0 {
		return nil, errors.New("auth: authentication is enforced (enforce.auth.enabled) but enforce.auth.schemes names no scheme")
	}
	for _, s := range c.EnforceSchemes {
		if r.providers[s] == nil {
			return nil, fmt.Errorf("auth: authentication by scheme %q is enforced (enforce.auth.schemes) but this server has no such scheme", s)
		}
	}
	r.enforced = slices.Clone(c.EnforceSchemes)
	return r, nil
}

// Initial is the identities of a connection that has said nothing yet: its address. An invalid remote (a connection in memory
// that has no address) has none.
func (r *Registry) Initial(remote netip.Addr) []znode.ID {
	ids, _ := ip{}.authenticate(nil, remote)
	return ids
}

// Authenticate answers an auth request of a connection that has the identities have: those it has from then on, in a new slice
// if there are more of them, and CodeOK; or CodeAuthFailed, after which the connection is told and closed. A digest always
// succeeds: a wrong password is only another identity. data nil is null.
func (r *Registry) Authenticate(scheme string, data []byte, remote netip.Addr, have []znode.ID) ([]znode.ID, znode.Code) {
	p := r.providers[scheme]
	if p == nil {
		return have, znode.CodeAuthFailed
	}
	gained, code := p.authenticate(data, remote)
	if code != znode.CodeOK {
		return have, code
	}
	ids := have
	for _, id := range gained {
		if !slices.Contains(ids, id) {
			ids = append(slices.Clip(ids), id)
		}
	}
	return ids, znode.CodeOK
}

// SASL answers a step of a SASL exchange as Apache's server does that has none configured: with success and a null token. The
// connection gains nothing by it.
func (r *Registry) SASL(token []byte) (answer []byte, code znode.Code) { return nil, znode.CodeOK }

// Admits reports whether a connection with these identities may send anything but auth and sasl. Only where authentication is
// enforced can it be false; the request is then answered CodeSessionClosedRequireSASL and the connection closed.
func (r *Registry) Admits(ids []znode.ID) bool {
	return r.enforced == nil || slices.ContainsFunc(ids, func(id znode.ID) bool { return slices.Contains(r.enforced, id.Scheme) })
}

// Permit reports whether somebody with these identities may do at least one of want on a node with this ACL (method
// ZooKeeperServer.checkACL). An empty ACL lets everybody in.
func (r *Registry) Permit(acl []znode.ACL, ids []znode.ID, want znode.Perms) bool {
	if r.skipACL || len(acl) == 0 {
		return true
	}
	for i := range acl {
		if acl[i].Perms&want != 0 && acl[i].ID == znode.Anyone {
			return true
		}
	}
	if isSuper(ids) {
		return true
	}
	for i := range acl {
		if acl[i].Perms&want != 0 && r.matches(acl[i].ID, ids) {
			return true
		}
	}
	return false
}

func isSuper(ids []znode.ID) bool {
	for i := range ids {
		if ids[i].Scheme == schemeSuper {
			return true
		}
	}
	return false
}

func (r *Registry) matches(acl znode.ID, ids []znode.ID) bool {
	p := r.providers[acl.Scheme]
	if p == nil {
		return false
	}
	for i := range ids {
		if ids[i].Scheme == acl.Scheme && p.matches(ids[i].Name, acl.Name) {
			return true
		}
	}
	return false
}

// Expand turns the ACL of a request by somebody with these identities into the one that is stored: exact duplicates dropped, in
// order, and each entry of scheme auth, whatever its name, replaced by one for every identity the requester has proved.
// CodeInvalidACL refuses an empty list, a scheme without provider, a name the scheme does not know, and auth from somebody who
// proved nothing; also a list that auth multiplies to more than 65536 entries, since a request pays only for one factor. The result
// may be acl itself; neither is to be changed afterwards.
func (r *Registry) Expand(acl []znode.ACL, ids []znode.ID) ([]znode.ACL, znode.Code) {
	if len(acl) == 0 {
		return nil, znode.CodeInvalidACL
	}
	if len(acl) == 1 && acl[0].ID == znode.Anyone {
		return acl, znode.CodeOK
	}
	acl = unique(acl)
	out := make([]znode.ACL, 0, len(acl))
	for _, a := range acl {
		switch p := r.providers[a.ID.Scheme]; {
		case a.ID == znode.Anyone:
			out = append(out, a)
		case a.ID.Scheme == schemeAuth:
			n := len(out)
			for _, id := range ids {
				if p := r.providers[id.Scheme]; p != nil && p.proven() {
					out = append(out, znode.ACL{Perms: a.Perms, ID: id})
				}
			}
			if len(out) == n || len(out) > maxExpanded {
				return nil, znode.CodeInvalidACL
			}
		case p == nil || !p.valid(a.ID.Name):
			return nil, znode.CodeInvalidACL
		default:
			out = append(out, a)
		}
	}
	return out, znode.CodeOK
}

// unique drops what came before. Long lists go through a map: a client chooses the length.
func unique(acl []znode.ACL) []znode.ACL {
	if len(acl) == 1 {
		return acl
	}
	out := make([]znode.ACL, 0, len(acl))
	if len(acl) <= 8 {
		for _, a := range acl {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
		return out
	}
	seen := make(map[znode.ACL]bool, len(acl))
	for _, a := range acl {
		if !seen[a] {
			seen[a] = true
			out = append(out, a)
		}
	}
	return out
}

// Mask is the ACL as getACL shows it to who may not administer the node: of digests only the user is left, "bob:x". The result is
// acl itself when there is nothing to hide.
func (r *Registry) Mask(acl []znode.ACL) []znode.ACL {
	hidden := false
	for i := range acl {
		if acl[i].ID.Scheme != schemeDigest {
			continue
		}
		if !hidden {
			acl, hidden = slices.Clone(acl), true
		}
		acl[i].ID.Name = maskDigest(acl[i].ID.Name)
	}
	return acl
}

// Names is how whoAmI shows identities: of a digest the user, of a scheme without provider (super) nothing.
func (r *Registry) Names(ids []znode.ID) []znode.ID {
	out := make([]znode.ID, len(ids))
	for i, id := range ids {
		out[i].Scheme = id.Scheme
		if p := r.providers[id.Scheme]; p != nil {
			out[i].Name = p.user(id.Name)
		}
	}
	return out
}
