package client

import (
	"net"
	"net/netip"
	"slices"
	"sync"
)

// roster is the servers a client connects to: those of the connect string, for as long as the client lives, and those it has learned of from
// the ensemble's configuration. An address learned is a candidate at first, and one of the servers after it has been reached: configurations
// hold names and addresses that the servers know each other by, and clients elsewhere may not (CURATOR-638, CURATOR-664, CURATOR-710).
type roster struct {
	told []string

	mu         sync.Mutex
	learned    []string
	candidates []string
	changes    int // of told and learned together
}

func newRoster(told []string) *roster { return &roster{told: told} }

// servers returns all there are to connect to, and a number that is another one when they have changed.
func (r *roster) servers() (all []string, change int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Concat(r.told, r.learned), r.changes
}

// size is how many servers there are.
func (r *roster) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.told) + len(r.learned)
}

// configured takes a new configuration: what it does not have any more leaves, what it has newly becomes a candidate.
func (r *roster) configured(c Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	addrs := reachable(c, slices.ContainsFunc(r.told, local))
	kept := slices.DeleteFunc(slices.Clone(r.learned), func(a string) bool { return !slices.Contains(addrs, a) })
	if len(kept) < len(r.learned) {
		r.changes++
	}
	r.learned = kept
	r.candidates = slices.DeleteFunc(addrs, func(a string) bool { return slices.Contains(r.told, a) || slices.Contains(kept, a) })
}

// unreached returns the candidates.
func (r *roster) unreached() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.candidates)
}

// reached makes a candidate one of the servers, unless it has left meanwhile.
func (r *roster) reached(addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.candidates, addr)
	if i < 0 {
		return
	}
	r.candidates = slices.Delete(r.candidates, i, i+1)
	r.learned = append(r.learned, addr)
	r.changes++
}

// reachable returns where a configuration says its servers are for clients, each address once. A wildcard stands for the names by which the
// other servers know this one. What only means "this machine" is the servers' own affair, unless clients are told so themselves: another
// machine is what a client elsewhere would reach by it, with another ensemble on it perhaps.
func reachable(c Config, locals bool) []string {
	var addrs []string
	for _, s := range c.Servers {
		host, port, err := net.SplitHostPort(s.ClientAddr)
		if err != nil {
			continue // none is told
		}
		hosts := []string{host}
		if wildcard(host) {
			hosts = hosts[:0]
			for _, a := range s.Addrs {
				hosts = append(hosts, a.Host)
			}
		}
		for _, h := range hosts {
			addr := net.JoinHostPort(h, port)
			if !wildcard(h) && (locals || !local(addr)) && !slices.Contains(addrs, addr) {
				addrs = append(addrs, addr)
			}
		}
	}
	return addrs
}

func wildcard(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || (err == nil && ip.Unmap().IsUnspecified())
}

// local tells whether an address is one of the machine it is used on.
func local(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.Unmap().IsLoopback())
}
