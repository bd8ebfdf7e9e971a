package peers

import (
	"slices"
	"strconv"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/quorum"
)

// addresses are a member's addresses for elections, host:port each.
func addresses(m quorum.Member) []string {
	addrs := make([]string, 0, len(m.Addrs))
	for _, a := range m.Addrs {
		host := a.Host
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		addrs = append(addrs, host+":"+strconv.Itoa(a.ElectionPort))
	}
	return addrs
}

// learn keeps what a peer has announced, as far as it is news and can be dialled: who listens on all its addresses and says so has
// told nothing.
func (q *peer) learn(announced []string) {
	q.announced = q.announced[:0]
	for _, a := range announced {
		if !wildcard(a) && !slices.Contains(q.configured, a) && !slices.Contains(q.announced, a) {
			q.announced = append(q.announced, a)
		}
	}
}

func wildcard(addr string) bool {
	host := strings.Trim(addr[:max(strings.LastIndexByte(addr, ':'), 0)], "[]")
	return host == "" || host == "0.0.0.0" || strings.Trim(host, ":0") == ""
}

// address is the one to be tried next: the configured ones in turn, then the announced ones. One that works is kept.
func (q *peer) address() string {
	n := len(q.configured)
	i := q.attempt % (n + len(q.announced))
	if i < n {
		return q.configured[i]
	}
	return q.announced[i-n]
}
