package zoocfg

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// membership reads the server, group and weight lines, from the dynamic file when there is one, and checks them as
// QuorumPeerConfig does.
func (r *reader) membership() {
	r.identity()
	lines := r.memberSettings()
	if name := r.cfg.Membership.dynamicFile; name != "" {
		for _, s := range lines {
			r.problem(ErrInvalid, s, "must be in the dynamic configuration file %s", name)
		}
		lines = r.dynamicSettings(name)
	}
	m := &r.cfg.Membership
	for _, s := range lines {
		kind, suffix, _ := strings.Cut(s.Name, ".")
		id, err := strconv.ParseInt(suffix, 10, 64)
		if err != nil {
			r.badMembers = true
			r.problem(ErrInvalid, s, "%q is not a number", suffix)
			continue
		}
		switch kind {
		case "server":
			err = m.addMember(id, s.Value)
		case "group":
			err = m.addGroup(id, s.Value)
		case "weight":
			err = m.addWeight(id, s.Value)
		}
		if err != nil {
			r.badMembers = true
			r.problem(ErrInvalid, s, "%v", err)
		}
	}
	slices.SortFunc(m.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	r.checkMembership()
}

// memberSettings are the server, group and weight lines of the main file that count.
func (r *reader) memberSettings() []*Setting {
	var lines []*Setting
	for i := range r.cfg.settings {
		if s := &r.cfg.settings[i]; s.Effect != Overridden && isMemberKey(s.Name) {
			lines = append(lines, s)
		}
	}
	return lines
}

func isMemberKey(name string) bool {
	kind, suffix, _ := strings.Cut(name, ".")
	return suffix != "" && (kind == "server" || kind == "group" || kind == "weight")
}

// dynamicSettings reads the dynamic configuration file. Its version is the hexadecimal end of its name.
func (r *reader) dynamicSettings(name string) []*Setting {
	text, err := r.in.ReadFile(name)
	if err != nil {
		r.problem(ErrInvalid, nil, "dynamicConfigFile: %v", err)
		return nil
	}
	entries, err := Entries(text)
	if err != nil {
		r.syntax(name, err)
		return nil
	}
	if v, err := strconv.ParseInt(strings.TrimPrefix(filepath.Ext(name), "."), 16, 64); err == nil {
		r.cfg.Membership.Version = v
	}
	last := make(map[string]*Setting)
	var lines []*Setting
	for _, e := range entries {
		s := &Setting{Name: javaTrim(e.Key), Value: javaTrim(e.Value), Origin: fmt.Sprintf("%s:%d", name, e.Line)}
		switch {
		case s.Name == "version":
			r.problem(ErrInvalid, s, "a dynamic configuration file must not say its version")
			continue
		case !isMemberKey(s.Name):
			r.problem(ErrInvalid, s, "does not belong into a dynamic configuration file")
			continue
		}
		s.key = lookup(s.Name)
		s.Effect, s.Note = s.key.Effect, s.key.Note
		if before := last[s.Name]; before != nil {
			before.overriddenBy(s)
		}
		last[s.Name] = s
		lines = append(lines, s)
	}
	for _, s := range lines {
		r.cfg.settings = append(r.cfg.settings, *s)
	}
	return slices.DeleteFunc(lines, func(s *Setting) bool { return s.Effect == Overridden })
}

// checkMembership applies the rules that concern all lines together.
func (r *reader) checkMembership() {
	m := &r.cfg.Membership
	voters := 0
	for i := range m.Members {
		member := &m.Members[i]
		if len(member.Addresses) > 1 && !m.MultiAddress {
			r.problem(ErrInvalid, nil, "server.%d has several addresses but multiAddress.enabled is not true", member.ID)
		}
		if member.Observer {
			continue
		}
		voters++
		if _, grouped := m.Groups[member.ID]; m.Groups != nil && !grouped {
			r.problem(ErrInvalid, nil, "server.%d is in no group", member.ID)
		}
	}
	observers := len(m.Members) - voters
	switch {
	case m.Distributed():
		r.checkDistributed()
	case voters == 0 && observers > 0:
		r.problem(ErrInvalid, nil, "there are observers but no participant")
	case voters == 0 && !m.Standalone:
		r.problem(ErrInvalid, nil, "standaloneEnabled is false and there is no participant")
	case observers > 0:
		r.problem(ErrInvalid, nil, "there are observers but one participant is no quorum")
	case voters == 1 && m.Members[0].SecureClientAddr != "":
		r.problem(ErrRefused, nil, "server.%d has a secure client address: not supported, and ignoring it would be unsafe: %s",
			m.Members[0].ID, tlsRefused)
	}
}

// checkDistributed reports what a server that is one of several lacks, and what of its membership cannot be obeyed.
func (r *reader) checkDistributed() {
	m := &r.cfg.Membership
	for _, limit := range []struct {
		name  string
		value int
	}{{"initLimit", m.InitLimit}, {"syncLimit", m.SyncLimit}} {
		switch s := r.setting(limit.name); {
		case s == nil:
			r.problem(ErrInvalid, nil, "%s is not set", limit.name)
		case limit.value < 1 && !s.malformed:
			r.problem(ErrInvalid, s, "must be at least 1")
		}
	}
	for i := range m.Members {
		if id := m.Members[i].ID; id < 1 || id > maxServerID {
			r.problem(ErrRefused, nil, "server.%d: the number is not between 1 and %d, the top byte of session ids", id, maxServerID)
		}
	}
	own := r.ownMember()
	switch {
	case !m.HasID:
		r.problem(ErrInvalid, nil, "there is no myid file in dataDir")
	case own == nil:
		r.problem(ErrInvalid, nil, "myid says %d and there is no server.%d", m.ID, m.ID)
	case own.SecureClientAddr != "":
		r.problem(ErrRefused, nil, "server.%d has a secure client address: not supported, and ignoring it would be unsafe: %s", own.ID, tlsRefused)
	case own.Observer != m.Observer && r.setting("peerType") != nil:
		r.cfg.notes = append(r.cfg.notes, fmt.Sprintf("peerType says otherwise than server.%d, which counts", own.ID))
	}
}

// maxServerID is the largest number a byte holds.
const maxServerID = 255

var errServerLine = errors.New("must have the form host:port:port[:role][;[clientHost:]clientPort[;[secureHost:]securePort]]," +
	" several addresses joined by |")

// addMember reads the value of server.N.
func (m *Membership) addMember(id int64, text string) error {
	parts := strings.Split(text, ";")
	if len(parts) > 3 {
		return errServerLine
	}
	member := Member{ID: id}
	for i, address := range strings.Split(parts[0], "|") {
		a, observer, err := peerAddress(address)
		if err != nil {
			return err
		}
		if i > 0 && observer != member.Observer {
			return errors.New("all addresses of a server must name the same role")
		}
		member.Addresses, member.Observer = append(member.Addresses, a), observer
	}
	for i, field := range []*string{&member.ClientAddr, &member.SecureClientAddr} {
		if len(parts) <= i+1 || javaTrim(parts[i+1]) == "" {
			continue
		}
		var err error
		if *field, err = clientPart(javaTrim(parts[i+1])); err != nil {
			return err
		}
	}
	m.Members = append(m.Members, member)
	return nil
}

// peerAddress reads host:port:port[:role].
func peerAddress(text string) (a PeerAddress, observer bool, err error) {
	host, rest, ok := cutHost(javaTrim(text))
	if !ok || host == "" {
		return a, false, errServerLine
	}
	parts := strings.Split(rest, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return a, false, errServerLine
	}
	a.Host = host
	if a.QuorumPort, err = parsePort(parts[0]); err != nil {
		return a, false, err
	}
	if a.ElectionPort, err = parsePort(parts[1]); err != nil {
		return a, false, err
	}
	if len(parts) == 3 {
		switch strings.ToLower(parts[2]) {
		case "observer":
			observer = true
		case "participant":
		default:
			return a, false, fmt.Errorf("role %q is neither participant nor observer", parts[2])
		}
	}
	return a, observer, nil
}

// clientPart reads [host:]port. Without a host clients may come in on every interface.
func clientPart(text string) (string, error) {
	host, rest, ok := cutHost(text)
	if !ok {
		host, rest = "0.0.0.0", text
	}
	p, err := parsePort(rest)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(p)), nil
}

// cutHost splits at the first colon after the host; an IPv6 host stands in brackets, which are dropped.
func cutHost(text string) (host, rest string, ok bool) {
	if strings.HasPrefix(text, "[") {
		return strings.Cut(text[1:], "]:")
	}
	return strings.Cut(text, ":")
}

func parsePort(text string) (int, error) {
	n, err := strconv.ParseUint(javaTrim(text), 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a port", text)
	}
	return int(n), nil
}

// addGroup reads group.N: server numbers joined by colons.
func (m *Membership) addGroup(group int64, text string) error {
	for _, part := range strings.Split(text, ":") {
		id, err := strconv.ParseInt(javaTrim(part), 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a server number", part)
		}
		if other, twice := m.Groups[id]; twice {
			return fmt.Errorf("server %d is in group %d already", id, other)
		}
		if m.Groups == nil {
			m.Groups = make(map[int64]int64)
		}
		m.Groups[id] = group
	}
	return nil
}

// addWeight reads weight.N: how much server N counts in its group.
func (m *Membership) addWeight(id int64, text string) error {
	w, err := strconv.ParseInt(text, 10, 64)
	if err != nil || w < 0 {
		return errors.New("is not a weight")
	}
	if m.Weights == nil {
		m.Weights = make(map[int64]int64)
	}
	m.Weights[id] = w
	return nil
}
