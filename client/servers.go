package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"unicode"
)

// DefaultPort is the port of a server that is named without one.
const DefaultPort = "2181"

// parseServers reads a connect string: host:port pairs separated by commas, then an optional path all operations are relative to.
// A name without a port gets 2181; an IPv6 address stands in brackets.
func parseServers(s string) (servers []string, chroot string, err error) {
	hosts := s
	if i := strings.IndexByte(s, '/'); i >= 0 {
		hosts, chroot = s[:i], s[i:]
		if chroot == "/" {
			chroot = ""
		} else if err := checkPath(chroot, false); err != nil {
			return nil, "", fmt.Errorf("chroot: %w", err)
		}
	}
	for host := range strings.SplitSeq(hosts, ",") {
		host = strings.TrimSpace(host)
		if host == "" {
			continue
		}
		address, err := withPort(host)
		if err != nil {
			return nil, "", err
		}
		servers = append(servers, address)
	}
	if len(servers) == 0 {
		return nil, "", errors.New("connect string names no server")
	}
	return servers, chroot, nil
}

func withPort(host string) (string, error) {
	if !strings.Contains(host, ":") || strings.HasSuffix(host, "]") {
		host += ":" + DefaultPort
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return "", fmt.Errorf("server %q: %w", host, err)
	}
	if name == "" || port == "" || strings.ContainsFunc(name+port, unicode.IsSpace) {
		return "", fmt.Errorf("server %q: host and port are both needed, without spaces", host)
	}
	return net.JoinHostPort(name, port), nil
}

// rounds hands out the servers in an order of its own, round after round, and is the library's HostProvider for one session. Names are
// left to the dialer, which resolves them at each try. When the roster changes, a new round begins.
//
// The library pauses a second whenever it is told that a round is over, and looks for its end only then. So the end of a round stays
// hidden from it, the dialer does the waiting, and once the session is done each server is called the last of its round.
type rounds struct {
	roster *roster
	over   func() bool
	first  func() string // a server to go to before the next in turn; "" when there is none

	mu      sync.Mutex
	servers []string
	change  int // of the roster, that servers are of
	next    int
}

func newRounds(roster *roster, over func() bool, first func() string) *rounds {
	r := &rounds{roster: roster, over: over, first: first}
	r.refresh()
	return r
}

func (r *rounds) refresh() {
	r.servers, r.change = r.roster.servers()
	r.next = 0
	rand.Shuffle(len(r.servers), func(i, j int) { r.servers[i], r.servers[j] = r.servers[j], r.servers[i] })
}

func (r *rounds) Init([]string) error { return nil }
func (r *rounds) Len() int            { return r.roster.size() }
func (r *rounds) Connected()          {}

func (r *rounds) Next() (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	over := r.over()
	if !over {
		if server := r.first(); server != "" {
			return server, false
		}
	}
	if _, change := r.roster.servers(); change != r.change {
		r.refresh()
	}
	server := r.servers[r.next%len(r.servers)]
	r.next++
	return server, over
}
