package auth

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// ip is the scheme of addresses (class IPAuthenticationProvider). A name in an ACL is an address or a network, address/bits;
// families never meet: an IPv4 address is in no IPv6 network, not even in ::/0, nor under its mapped form.
type ip struct{}

func (ip) authenticate(_ []byte, remote netip.Addr) ([]znode.ID, znode.Code) {
	if !remote.IsValid() {
		return nil, znode.CodeOK
	}
	return []znode.ID{{Scheme: schemeIP, Name: addrName(remote)}}, znode.CodeOK
}

func (ip) valid(name string) bool {
	_, _, ok := parseNetwork(name)
	return ok
}

func (ip) matches(name, acl string) bool {
	if name == acl {
		return true // a name was made by addrName, so it is a valid one or has a zone, which no ACL has
	}
	net, bits, ok := parseNetwork(acl)
	if !ok {
		return false
	}
	addr, ok := parseAddr(name)
	if !ok || addr.Is4() != net.Is4() {
		return false
	}
	p, err := net.Prefix(bits)
	return err == nil && p.Contains(addr)
}

func (ip) user(name string) string { return name }
func (ip) proven() bool            { return false }

// addrName writes an address as Java does (method InetAddress.getHostAddress): IPv6 in eight groups without "::".
func addrName(a netip.Addr) string {
	a = a.Unmap()
	if a.Is4() {
		return a.String()
	}
	var b []byte
	raw := a.As16()
	for i := 0; i < len(raw); i += 2 {
		if i > 0 {
			b = append(b, ':')
		}
		b = strconv.AppendUint(b, uint64(raw[i])<<8|uint64(raw[i+1]), 16)
	}
	if a.Zone() != "" {
		b = append(append(b, '%'), a.Zone()...)
	}
	return string(b)
}

func parseNetwork(s string) (addr netip.Addr, bits int, ok bool) {
	s, length, given := strings.Cut(s, "/")
	if addr, ok = parseAddr(s); !ok {
		return addr, 0, false
	}
	if !given {
		return addr, addr.BitLen(), true
	}
	n, err := strconv.ParseInt(length, 10, 32)
	if err != nil || n < 0 || int(n) > addr.BitLen() {
		return addr, 0, false
	}
	return addr, int(n), true
}

// parseAddr reads an address as Apache's server does: octets may have leading zeros and a sign (Java's Integer.parseInt), and
// IPv6 has neither a zone nor a dotted tail.
func parseAddr(s string) (netip.Addr, bool) {
	if strings.Contains(s, ":") {
		if strings.ContainsAny(s, "%.") {
			return netip.Addr{}, false
		}
		a, err := netip.ParseAddr(s)
		return a, err == nil
	}
	var raw [4]byte
	for i := range raw {
		octet, rest, more := strings.Cut(s, ".")
		n, err := strconv.ParseInt(octet, 10, 32)
		if err != nil || n < 0 || n > 255 || more != (i < len(raw)-1) {
			return netip.Addr{}, false
		}
		raw[i], s = byte(n), rest
	}
	return netip.AddrFrom4(raw), true
}
