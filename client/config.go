package client

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/go-zookeeper/zk"
)

// configPath is where servers publish who they are. It is the same for all clients, whatever their chroot.
const configPath = "/zookeeper/config"

// Config is who the servers of an ensemble are, as they publish it in /zookeeper/config. A server that stands alone publishes nothing,
// which is the zero Config.
type Config struct {
	// Version is the zxid of the reconfiguration that made it, what a conditional [Client.Reconfig] expects. It is 0 where
	// reconfiguration is switched off.
	Version int64
	// Servers are the members, by ID.
	Servers []Server
}

// Server is one member of an ensemble.
type Server struct {
	ID int64
	// Addrs is where the other servers reach it, most often one address; servers of 3.6 and later may have several.
	Addrs []PeerAddr
	// Observer says that it follows without a vote; others are participants.
	Observer bool
	// ClientAddr is where it listens for clients, host:port, or empty when the configuration does not tell. The host is often a wildcard,
	// 0.0.0.0 or ::, which stands for any of the server's own addresses. The host may be left out, which is 0.0.0.0.
	ClientAddr string
	// SecureClientAddr is the same for TLS, which only servers later than 3.9 tell.
	SecureClientAddr string
}

// PeerAddr is where a server is reached by the others: its quorum port when it leads, its election port for votes.
type PeerAddr struct {
	Host                     string
	QuorumPort, ElectionPort int
}

// String returns the configuration in the form ParseConfig reads.
func (c Config) String() string {
	var b strings.Builder
	for _, s := range c.Servers {
		b.WriteString(s.String())
		b.WriteByte('\n')
	}
	return b.String() + "version=" + strconv.FormatUint(uint64(c.Version), 16)
}

// String returns the server's line in a configuration: server.1=host:2888:3888:participant;0.0.0.0:2181.
func (s Server) String() string {
	role := "participant"
	if s.Observer {
		role = "observer"
	}
	addrs := make([]string, len(s.Addrs))
	for i, a := range s.Addrs {
		addrs[i] = net.JoinHostPort(a.Host, strconv.Itoa(a.QuorumPort)) + ":" + strconv.Itoa(a.ElectionPort)
	}
	line := fmt.Sprintf("server.%d=%s:%s", s.ID, strings.Join(addrs, "|"), role)
	if s.ClientAddr != "" || s.SecureClientAddr != "" {
		line += ";" + s.ClientAddr
	}
	if s.SecureClientAddr != "" {
		line += ";" + s.SecureClientAddr
	}
	return line
}

// ParseConfig reads a configuration as it stands in /zookeeper/config, in a dynamic configuration file, or among the other settings of
// a zoo.cfg (QuorumPeerConfig and QuorumServer in Java):
//
//	server.1=zk1:2888:3888:participant;0.0.0.0:2181
//	server.2=zk2:2888:3888|[fe80::2]:2888:3888:observer;2181
//	version=100000000
//
// The role and what follows may be missing. A server or version that cannot be read, or is there twice, is an error. All other lines
// are left out, groups and weights among them.
func ParseConfig(text string) (Config, error) {
	var c Config
	versions := 0
	for line := range strings.SplitSeq(text, "\n") {
		key, value, _ := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if key == "version" {
			version, err := strconv.ParseUint(value, 16, 64)
			if versions++; err != nil || versions > 1 {
				return Config{}, fmt.Errorf("configuration has the version %q", value)
			}
			c.Version = int64(version)
		}
		id, ok := strings.CutPrefix(key, "server.")
		if !ok {
			continue
		}
		s, err := parseServer(id, value)
		if err != nil {
			return Config{}, fmt.Errorf("configuration has the line %q: %w", strings.TrimSpace(line), err)
		}
		c.Servers = append(c.Servers, s)
	}
	slices.SortFunc(c.Servers, func(a, b Server) int { return cmp.Compare(a.ID, b.ID) })
	for i := 1; i < len(c.Servers); i++ {
		if id := c.Servers[i].ID; id == c.Servers[i-1].ID {
			return Config{}, fmt.Errorf("configuration has server %d twice", id)
		}
	}
	return c, nil
}

// parseServer reads what follows "server." and "=" on a line.
func parseServer(id, value string) (Server, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return Server{}, errors.New("the server's id is not a number")
	}
	s := Server{ID: n}
	peers, clients, _ := strings.Cut(value, ";")
	roles := make(map[bool]bool)
	for addr := range strings.SplitSeq(peers, "|") {
		a, role, err := parsePeerAddr(strings.TrimSpace(addr))
		if err != nil {
			return Server{}, err
		}
		s.Addrs = append(s.Addrs, a)
		switch strings.ToLower(strings.TrimSpace(role)) {
		case "observer":
			s.Observer = true
			roles[true] = true
		case "participant":
			roles[false] = true
		case "":
		default:
			return Server{}, fmt.Errorf("role %q", role)
		}
	}
	if len(roles) > 1 {
		return Server{}, errors.New("two roles")
	}
	plain, secure, _ := strings.Cut(clients, ";")
	if s.ClientAddr, err = parseClientAddr(plain); err != nil {
		return Server{}, err
	}
	if s.SecureClientAddr, err = parseClientAddr(secure); err != nil {
		return Server{}, err
	}
	return s, nil
}

// parsePeerAddr reads host:port:port and a role if there is one.
func parsePeerAddr(s string) (a PeerAddr, role string, err error) {
	host, rest, err := splitHost(s)
	if err != nil {
		return a, "", err
	}
	if len(rest) == 3 {
		role = rest[2]
	} else if len(rest) != 2 {
		return a, "", fmt.Errorf("address %q is not host:port:port", s)
	}
	quorum, err := strconv.ParseUint(rest[0], 10, 16)
	if err != nil {
		return a, "", fmt.Errorf("port %q", rest[0])
	}
	election, err := strconv.ParseUint(rest[1], 10, 16)
	if err != nil {
		return a, "", fmt.Errorf("port %q", rest[1])
	}
	if host == "" {
		return a, "", fmt.Errorf("address %q has no host", s)
	}
	return PeerAddr{Host: host, QuorumPort: int(quorum), ElectionPort: int(election)}, role, nil
}

// parseClientAddr reads a port, or host:port, or nothing. Without a host it is every host.
func parseClientAddr(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", nil
	}
	if !strings.Contains(s, ":") {
		s = ":" + s
	}
	host, rest, err := splitHost(s)
	if err != nil || len(rest) != 1 {
		return "", fmt.Errorf("client address %q is not host:port", s)
	}
	port, err := strconv.ParseUint(rest[0], 10, 16)
	if err != nil {
		return "", fmt.Errorf("port %q", rest[0])
	}
	if host == "" {
		host = "0.0.0.0"
	}
	return net.JoinHostPort(host, strconv.FormatUint(port, 10)), nil
}

// splitHost takes the host, in brackets if it has colons, off what follows it.
func splitHost(s string) (host string, rest []string, err error) {
	if bracketed, ok := strings.CutPrefix(s, "["); ok {
		host, s, ok = strings.Cut(bracketed, "]")
		if !ok || host == "" || (s != "" && s[0] != ':') {
			return "", nil, fmt.Errorf("address %q", "["+bracketed)
		}
		rest = strings.Split(strings.TrimPrefix(s, ":"), ":")
	} else {
		rest = strings.Split(s, ":")
		host, rest = rest[0], rest[1:]
	}
	// What separates servers and their parts would make another configuration of it when it is written.
	if strings.ContainsAny(host, "[],;|=") || strings.ContainsFunc(host, unicode.IsSpace) || strings.ContainsFunc(host, unicode.IsControl) {
		return "", nil, fmt.Errorf("host %q", host)
	}
	return host, rest, nil
}

// Config returns the ensemble's present configuration, as the server this client is connected to knows it. It does not depend on the
// chroot.
func (c *Client) Config(ctx context.Context) (Config, error) {
	const name = "config"
	a, err := run(ctx, c, operation{name: name, size: len(configPath)},
		func(conn *zk.Conn) (answer, error) { return readData(conn, configPath) })
	if err != nil {
		return Config{}, err
	}
	config, err := ParseConfig(string(a.data))
	if err != nil {
		return Config{}, &Error{Op: name, Err: err}
	}
	return config, nil
}

// ConfigChange is a change of an ensemble's membership: either of some members, or of all at once.
type ConfigChange struct {
	// Joining become members, or stay members with another role or address.
	Joining []Server
	// Leaving are the ids of those who are members no more.
	Leaving []int64
	// Members, if there are any, are all members after the change; then there are neither Joining nor Leaving. Groups and weights there
	// were are gone.
	Members []Server
}

// Reconfig changes who the servers of the ensemble are, while it runs, if version is that of its present configuration or
// AnyVersion, and returns the configuration it has made. The servers must allow it (reconfigEnabled), and the client must be allowed to
// write /zookeeper/config, as nobody is by default but the superuser.
//
// Among its failures are ErrReconfigDisabled, ErrNoAuth, ErrBadVersion, ErrBadArguments, ErrReconfigInProgress, ErrNewConfigNoQuorum
// (participants join when they run already and have caught up), and ErrUnimplemented of a server that stands alone. When the
// leader leaves, or the server this client is connected to, the connection may break before the answer: ErrUnknown, and Config tells.
func (c *Client) Reconfig(ctx context.Context, change ConfigChange, version int64) (Config, error) {
	const name = "reconfig"
	fn, size, err := change.request(version)
	if err != nil {
		return Config{}, &Error{Op: name, Err: err}
	}
	if err := c.permit(&Intent{Op: name}); err != nil {
		return Config{}, err
	}
	return run(ctx, c, operation{name: name, size: size, write: true}, func(conn *zk.Conn) (Config, error) {
		stat, err := fn(conn)
		if err != nil {
			return Config{}, err
		}
		data, ok := c.madeConfigs.take(stat.Mzxid)
		if !ok { // a wrapped connection, whose answers nobody overhears
			if data, _, err = conn.Get(configPath); err != nil {
				return Config{}, fmt.Errorf("%w: the configuration was changed and could not be read: %w", zk.ErrConnectionClosed, err)
			}
		}
		return ParseConfig(string(data)) // its failure leaves the outcome open, as that of any answer that cannot be read
	})
}

// request returns the library's call, and how many bytes its strings take.
func (ch *ConfigChange) request(version int64) (fn func(*zk.Conn) (*zk.Stat, error), size int, err error) {
	some := len(ch.Joining) + len(ch.Leaving)
	switch {
	case len(ch.Members) == 0 && some == 0:
		return nil, 0, fmt.Errorf("%w: nothing is to change", ErrBadArguments)
	case len(ch.Members) > 0 && some > 0:
		return nil, 0, fmt.Errorf("%w: all members are given, and some to join or leave", ErrBadArguments)
	}
	lists := make([][]string, 2)
	for i, servers := range [][]Server{ch.Joining, ch.Members} {
		for _, s := range servers {
			line, err := s.line()
			if err != nil {
				return nil, 0, err
			}
			size += len(line) + 1
			lists[i] = append(lists[i], line)
		}
	}
	if len(ch.Members) > 0 {
		return func(conn *zk.Conn) (*zk.Stat, error) { return conn.Reconfig(lists[1], version) }, size, nil
	}
	leaving := make([]string, len(ch.Leaving))
	for i, id := range ch.Leaving {
		leaving[i] = strconv.FormatInt(id, 10)
		size += len(leaving[i]) + 1
	}
	return func(conn *zk.Conn) (*zk.Stat, error) { return conn.IncrementalReconfig(lists[0], leaving, version) }, size, nil
}

// line returns the server's line for a request, if it means this server and nothing else.
func (s Server) line() (string, error) {
	_, value, _ := strings.Cut(s.String(), "=")
	read, err := parseServer(strconv.FormatInt(s.ID, 10), value)
	if err != nil {
		return "", fmt.Errorf("%w: server %d: %w", ErrBadArguments, s.ID, err)
	}
	if !slices.Equal(read.Addrs, s.Addrs) || (s.SecureClientAddr == "") != (read.SecureClientAddr == "") {
		return "", fmt.Errorf("%w: server %d: an address is not one", ErrBadArguments, s.ID)
	}
	return read.String(), nil
}

// madeConfigs are the configurations that reconfigurations of this client have made, from the servers' answers until whoever asked takes
// them: the library reads past them. Their versions, which the library does return, tell them apart.
type madeConfigs struct {
	mu   sync.Mutex
	data map[int64][]byte
}

// hears notes the body of an answer to a reconfiguration: data, then a Stat, whose second number is the zxid of the change.
func (m *madeConfigs) hears(body []byte) {
	if len(body) < 4 {
		return
	}
	size, rest := int(int32(binary.BigEndian.Uint32(body))), body[4:]
	if size < 0 || size > len(rest)-16 {
		return
	}
	zxid := int64(binary.BigEndian.Uint64(rest[size+8:]))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.data == nil {
		m.data = make(map[int64][]byte)
	}
	m.data[zxid] = slices.Clone(rest[:size])
}

// take returns the configuration of that version, if its answer was heard.
func (m *madeConfigs) take(version int64) (data []byte, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok = m.data[version]
	delete(m.data, version)
	return data, ok
}
