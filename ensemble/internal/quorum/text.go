package quorum

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
)

// ErrConfig is the kind of every failure of Parse; a *LineError says where.
var ErrConfig = errors.New("quorum: not a configuration")

// A LineError says what is wrong with a configuration.
type LineError struct {
	Line   int // from 1; 0 where it is about all of them
	Reason string
}

func (e *LineError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%v: %s", ErrConfig, e.Reason)
	}
	return fmt.Sprintf("%v: line %d: %s", ErrConfig, e.Line, e.Reason)
}

// Unwrap is ErrConfig.
func (e *LineError) Unwrap() error { return ErrConfig }

// Parse reads a configuration as servers tell it each other and keep it in /zookeeper/config and in dynamic configuration
// files (class QuorumPeerConfig, parseDynamicConfig):
//
//	server.1=host:2888:3888:participant;0.0.0.0:2181
//	server.2=one:2888:3888|two:2888:3888:observer
//	group.1=1:2:3
//	weight.1=2
//	version=100000000
//
// The role is participant unless told; the client part may lack its host, which is then 0.0.0.0. Blank lines and lines that
// begin with # or ! are skipped. Other keys are refused, as is a server that is told twice, a group of unknown servers, and a
// voter that is not in exactly one group where there are groups or weights. An error is a [*LineError].
func Parse(text string) (*Config, error) {
	p := parser{c: &Config{}}
	for line := range strings.Lines(text) {
		p.line++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, p.fail("%q has no value", line)
		}
		if err := p.setting(strings.TrimSpace(key), strings.TrimSpace(value)); err != nil {
			return nil, err
		}
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	p.c.Members = p.c.sorted()
	return p.c, nil
}

type parser struct {
	c       *Config
	line    int
	version bool
}

func (p *parser) fail(format string, args ...any) error {
	return &LineError{Line: p.line, Reason: fmt.Sprintf(format, args...)}
}

func (p *parser) setting(key, value string) error {
	kind, name, _ := strings.Cut(key, ".")
	if kind == "version" && name == "" {
		version, err := strconv.ParseUint(value, 16, 63)
		if err != nil || p.version {
			return p.fail("version %q", value)
		}
		p.c.Version, p.version = int64(version), true
		return nil
	}
	if kind != "server" && kind != "group" && kind != "weight" {
		return p.fail("unknown key %q", key)
	}
	number, ok := parseNumber(name)
	if !ok {
		return p.fail("%q names no %s", key, kind)
	}
	switch kind {
	case "server":
		return p.server(packet.ServerID(number), value)
	case "group":
		return p.group(number, value)
	}
	return p.weight(packet.ServerID(number), value)
}

func (p *parser) server(id packet.ServerID, value string) error {
	if _, twice := p.c.Member(id); twice {
		return p.fail("server %d is told twice", id)
	}
	parts := strings.Split(value, ";")
	if len(parts) > 3 {
		return p.fail("server %d: more than two client addresses", id)
	}
	m := Member{ID: id}
	for _, text := range strings.Split(parts[0], "|") {
		addr, observer, err := parseAddr(strings.TrimSpace(text))
		if err != nil {
			return p.fail("server %d: %v", id, err)
		}
		m.Addrs = append(m.Addrs, addr)
		m.Observer = m.Observer || observer
	}
	for i, into := range []*string{&m.Client, &m.SecureClient} {
		if i+1 >= len(parts) || len(parts) == 3 && strings.TrimSpace(parts[i+1]) == "" {
			continue
		}
		client, ok := parseClient(strings.TrimSpace(parts[i+1]))
		if !ok {
			return p.fail("server %d: client address %q", id, parts[i+1])
		}
		*into = client
	}
	p.c.Members = append(p.c.Members, m)
	return nil
}

func (p *parser) group(group int64, value string) error {
	if p.c.Groups == nil {
		p.c.Groups = make(map[packet.ServerID]int64)
	}
	for text := range strings.SplitSeq(value, ":") {
		id, ok := parseNumber(strings.TrimSpace(text))
		if !ok {
			return p.fail("group %d has a server %q", group, text)
		}
		if _, twice := p.c.Groups[packet.ServerID(id)]; twice {
			return p.fail("server %d is in two groups", id)
		}
		p.c.Groups[packet.ServerID(id)] = group
	}
	return nil
}

// maxWeight keeps the sum of the weights from overflowing.
const maxWeight = 1 << 40

func (p *parser) weight(id packet.ServerID, value string) error {
	weight, ok := parseNumber(value)
	if _, twice := p.c.Weights[id]; twice || !ok || weight > maxWeight {
		return p.fail("weight %q of server %d", value, id)
	}
	if p.c.Weights == nil {
		p.c.Weights = make(map[packet.ServerID]int64)
	}
	p.c.Weights[id] = weight
	return nil
}

// check looks at what only all lines together can tell.
func (p *parser) check() error {
	p.line = 0
	if !p.c.hierarchical() {
		return nil
	}
	for _, id := range p.c.Voters() {
		if _, ok := p.c.Groups[id]; !ok {
			return p.fail("server %d votes but is in no group", id)
		}
	}
	for _, of := range []map[packet.ServerID]int64{p.c.Groups, p.c.Weights} {
		for _, id := range slices.Sorted(maps.Keys(of)) {
			if _, ok := p.c.Member(id); !ok {
				return p.fail("group or weight of server %d, which there is not", id)
			}
		}
	}
	return nil
}

// parseAddr reads host:quorumPort:electionPort[:role].
func parseAddr(text string) (a Addr, observer bool, err error) {
	host, rest, ok := cutHost(text)
	fields := strings.Split(rest, ":")
	if !ok || len(fields) < 2 || len(fields) > 3 {
		return a, false, fmt.Errorf("address %q is not host:port:port", text)
	}
	quorumPort, ok1 := parsePort(fields[0])
	electionPort, ok2 := parsePort(fields[1])
	if !ok1 || !ok2 {
		return a, false, fmt.Errorf("port in %q", text)
	}
	if len(fields) == 3 {
		role := strings.ToLower(fields[2])
		if observer = role == "observer"; !observer && role != "participant" {
			return a, false, fmt.Errorf("role %q", fields[2])
		}
	}
	return Addr{Host: host, QuorumPort: quorumPort, ElectionPort: electionPort}, observer, nil
}

// parseClient reads [host:]port and returns host:port.
func parseClient(text string) (string, bool) {
	host, port, ok := cutHost(text)
	if !ok {
		host, port = "0.0.0.0", text
	}
	number, valid := parsePort(port)
	return JoinHostPort(host, number), valid
}

// cutHost takes a host, in brackets if it has colons itself, off what follows its colon.
func cutHost(text string) (host, rest string, ok bool) {
	if inner, bracketed := strings.CutPrefix(text, "["); bracketed {
		host, rest, ok = strings.Cut(inner, "]:")
	} else {
		host, rest, ok = strings.Cut(text, ":")
	}
	return host, rest, ok && host != "" && !strings.ContainsAny(host, "[]= \t\r")
}

func parsePort(text string) (int, bool) {
	port, err := strconv.ParseUint(text, 10, 16)
	return int(port), err == nil
}

func parseNumber(text string) (int64, bool) {
	n, err := strconv.ParseUint(text, 10, 63)
	return int64(n), err == nil
}

// JoinHostPort is host:port, the host in brackets if it has colons.
func JoinHostPort(host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port)
}

// Quorum is host:port of the quorum port.
func (a Addr) Quorum() string { return JoinHostPort(a.Host, a.QuorumPort) }

// Election is host:port of the election port.
func (a Addr) Election() string { return JoinHostPort(a.Host, a.ElectionPort) }

func (a Addr) String() string { return a.Quorum() + ":" + strconv.Itoa(a.ElectionPort) }

func (a Addr) compare(b Addr) int {
	return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.QuorumPort, b.QuorumPort), cmp.Compare(a.ElectionPort, b.ElectionPort))
}

func compareIDs(a, b packet.ServerID) int { return cmp.Compare(a, b) }

// String is the member's line without its key, as Apache writes it: the role always, the client part where there is one.
func (m Member) String() string {
	role := "participant"
	if m.Observer {
		role = "observer"
	}
	var b strings.Builder
	for i, addr := range m.Addrs {
		if i > 0 {
			b.WriteByte('|')
		}
		b.WriteString(addr.String())
	}
	b.WriteString(":" + role)
	if m.Client != "" || m.SecureClient != "" {
		b.WriteString(";" + m.Client)
	}
	if m.SecureClient != "" {
		b.WriteString(";" + m.SecureClient)
	}
	return b.String()
}

// String is the configuration in the form Parse reads and Apache's servers exchange: servers, groups and weights in the
// order of their numbers, the version last, and no newline behind it.
func (c *Config) String() string {
	var b strings.Builder
	for _, m := range c.sorted() {
		fmt.Fprintf(&b, "server.%d=%v\n", m.ID, m)
	}
	members := make(map[int64][]string)
	for _, id := range slices.Sorted(maps.Keys(c.Groups)) {
		members[c.Groups[id]] = append(members[c.Groups[id]], strconv.FormatInt(int64(id), 10))
	}
	for _, group := range slices.Sorted(maps.Keys(members)) {
		fmt.Fprintf(&b, "group.%d=%s\n", group, strings.Join(members[group], ":"))
	}
	for _, id := range slices.Sorted(maps.Keys(c.Weights)) {
		fmt.Fprintf(&b, "weight.%d=%d\n", id, c.Weights[id])
	}
	fmt.Fprintf(&b, "version=%x", c.Version)
	return b.String()
}
