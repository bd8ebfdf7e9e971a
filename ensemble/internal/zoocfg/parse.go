package zoocfg

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Input is everything Parse looks at.
type Input struct {
	// Name of the file, for messages.
	Name string
	// Text of the file.
	Text []byte
	// Properties in the order a JVM would see them; of two with one name the later counts.
	Properties []SystemProperty
	// ReadFile reads the files the configuration names: dataDir/myid and dynamicConfigFile. A missing file is
	// fs.ErrNotExist. Nil: there are none.
	ReadFile func(name string) ([]byte, error)
}

var (
	// ErrInvalid is the kind of a problem with what is written: missing, malformed or contradictory.
	ErrInvalid = errors.New("invalid configuration")
	// ErrRefused is the kind of a problem with what this server cannot do and must not ignore.
	ErrRefused = errors.New("refused configuration")
)

// Problem is one reason why a server must not start with a configuration.
type Problem struct {
	// Where is file:line, or the origin of a property; empty for what is missing.
	Where string
	// Key and Value as written, a secret masked; empty for a problem of the whole.
	Key, Value string
	Reason     string
	// Kind is ErrInvalid or ErrRefused, found by errors.Is.
	Kind error
}

func (p *Problem) Error() string {
	var b strings.Builder
	if p.Where != "" {
		b.WriteString(p.Where + ": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + "=" + p.Value + ": ")
	}
	b.WriteString(p.Reason)
	return b.String()
}

// Unwrap returns the kind.
func (p *Problem) Unwrap() error { return p.Kind }

// Error is all problems of a configuration.
type Error struct{ Problems []*Problem }

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems one by one.
func (e *Error) Unwrap() []error {
	list := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		list[i] = p
	}
	return list
}

// Parse reads a configuration. The error is an *Error holding every problem found. The Config is returned beside it
// for description ([Config.Describe]) and must not be used to start a server then.
func Parse(in Input) (*Config, error) {
	if in.ReadFile == nil {
		in.ReadFile = func(string) ([]byte, error) { return nil, fs.ErrNotExist }
	}
	r := reader{in: in, cfg: &Config{clientPort: -1}}
	r.defaults()
	if !r.collectFile() {
		return r.cfg, &Error{Problems: r.problems} // what else is wrong or missing nobody can know
	}
	r.collectProperties()
	r.resolve()
	r.apply()
	r.membership()
	r.refuse()
	r.finish()
	if len(r.problems) > 0 {
		return r.cfg, &Error{Problems: r.problems}
	}
	return r.cfg, nil
}

// reader is one Parse under way.
type reader struct {
	in       Input
	cfg      *Config
	problems []*Problem

	badMembers bool // a server, group or weight line could not be read
}

func (r *reader) problem(kind error, s *Setting, format string, args ...any) {
	p := &Problem{Kind: kind, Reason: fmt.Sprintf(format, args...)}
	if s != nil {
		p.Where, p.Key, p.Value = s.Origin, s.Name, s.Shown()
	}
	r.problems = append(r.problems, p)
}

// defaults gives every field the value of its row's default text.
func (r *reader) defaults() {
	for i := range table {
		k := &table[i]
		if k.Default == "" || k.family() != "" {
			continue
		}
		if err := k.parse(&value{text: k.Default, kind: k.Kind, cfg: r.cfg, key: k.Name}); err != nil {
			panic(fmt.Sprintf("zoocfg: default of %s: %v", k.Name, err)) // the table is wrong, not the input
		}
	}
}

// collectFile turns the file into settings. It reports whether the file could be read.
func (r *reader) collectFile() bool {
	entries, err := Entries(r.in.Text)
	if err != nil {
		r.syntax(r.in.Name, err)
		return false
	}
	for _, e := range entries {
		name := javaTrim(e.Key)
		s := Setting{Name: name, Value: javaTrim(e.Value), Origin: fmt.Sprintf("%s:%d", r.in.Name, e.Line), key: lookup(name)}
		s.rank = 1
		switch {
		case s.key == nil:
			s.Effect, s.Note = Unknown, "no server reads it"
			if meant := suggestion(name); meant != "" {
				s.Note += "; " + meant + " is meant?"
			}
		case s.key.Kind == Property:
			s.rank = 2
		}
		r.cfg.settings = append(r.cfg.settings, s)
	}
	return true
}

// syntax reports a file that is no properties file.
func (r *reader) syntax(name string, err error) {
	where := name
	if bad, ok := errors.AsType[*SyntaxError](err); ok {
		where = fmt.Sprintf("%s:%d", name, bad.Line)
		err = errors.New(bad.Reason)
	}
	r.problems = append(r.problems, &Problem{Where: where, Reason: err.Error(), Kind: ErrInvalid})
}

// collectProperties turns the -D properties into settings.
func (r *reader) collectProperties() {
	for _, p := range r.in.Properties {
		s := Setting{Name: p.Name, Value: p.Value, Origin: p.Origin, rank: 1}
		k, name := lookupProperty(p.Name)
		switch {
		case k == nil:
			s.Effect, s.Note = Unknown, unknownProperty(p.Name)
		default:
			s.key, s.Name = k, name
			if k.Kind == Direct {
				s.rank = 2
			} else if p.Name == name { // the second name of fsync.warningthresholdms
				s.rank = 0
			}
		}
		r.cfg.settings = append(r.cfg.settings, s)
	}
}

func unknownProperty(name string) string {
	bare := strings.TrimPrefix(name, "zookeeper.")
	switch k := lookup(bare); {
	case k != nil && k.Kind == File:
		return "counts only in the file"
	case k != nil:
		return "no server reads it; " + k.Kind.property(bare) + " is meant?"
	}
	return "no server reads it"
}

// resolve decides which of several settings of one key counts, and what its effect is.
func (r *reader) resolve() {
	winner := make(map[string]int)
	settings := r.cfg.settings
	for i := range settings {
		s := &settings[i]
		if s.key == nil {
			continue
		}
		s.Effect, s.Note = s.key.effectOf(s.Value), s.key.Note
		if s.Effect == Honoured && s.key.Effect != Honoured {
			s.Note = "it is so"
		}
		j, again := winner[s.Name]
		switch {
		case !again:
			winner[s.Name] = i
		case s.rank >= settings[j].rank:
			settings[j].overriddenBy(s)
			winner[s.Name] = i
		default:
			s.overriddenBy(&settings[j])
		}
	}
}

// apply stores the settings that count, and reports the malformed ones.
func (r *reader) apply() {
	for i := range r.cfg.settings {
		s := &r.cfg.settings[i]
		if s.key == nil || s.Effect == Overridden {
			continue
		}
		if err := s.key.parse(&value{text: s.Value, kind: s.key.Kind, cfg: r.cfg, key: s.Name}); err != nil {
			r.problem(ErrInvalid, s, "%v", err)
			s.malformed = true
		}
	}
}

// refuse reports what cannot be obeyed and must not be ignored, now that it is known whether the server is one of several.
func (r *reader) refuse() {
	alone := !r.cfg.Membership.Distributed()
	for i := range r.cfg.settings {
		s := &r.cfg.settings[i]
		switch {
		case s.key == nil || s.Effect == Overridden:
		case s.key.quorum && alone:
			s.idle()
		case s.Effect == Refused && !s.malformed:
			r.problem(ErrRefused, s, "not supported, and ignoring it would be unsafe: %s", s.key.Note)
		}
	}
}

// finish fills in what follows from other keys and checks what concerns several of them.
func (r *reader) finish() {
	c := r.cfg
	if c.DataDir == "" {
		r.problem(ErrInvalid, nil, "dataDir is not set")
	}
	if c.DataLogDir == "" {
		c.DataLogDir = c.DataDir
	}
	if c.MinSessionTimeout < 0 {
		c.MinSessionTimeout = 2 * c.TickTime
	}
	if c.MaxSessionTimeout < 0 {
		c.MaxSessionTimeout = 20 * c.TickTime
	}
	if c.MinSessionTimeout > c.MaxSessionTimeout {
		r.problem(ErrInvalid, nil, "minSessionTimeout (%d ms) is greater than maxSessionTimeout (%d ms)",
			c.MinSessionTimeout.Milliseconds(), c.MaxSessionTimeout.Milliseconds())
	}
	if limit := math.MaxInt32 * time.Millisecond; c.MaxSessionTimeout > limit {
		r.problem(ErrInvalid, nil, "maxSessionTimeout, or 20 times tickTime, is above %d ms", limit.Milliseconds())
	}
	r.clientAddress()
	r.enforcedSchemes()
}

// setting is the one of a key that counts, nil if it was not set.
func (r *reader) setting(name string) *Setting {
	for i := range r.cfg.settings {
		if s := &r.cfg.settings[i]; s.key != nil && s.Name == name && s.Effect != Overridden {
			return s
		}
	}
	return nil
}

// clientAddress joins clientPort, clientPortAddress and the client part of the own server line.
func (r *reader) clientAddress() {
	c := r.cfg
	own := r.ownMember()
	switch {
	case c.clientPort >= 0:
		c.ClientAddr = net.JoinHostPort(strings.Trim(c.clientHost, "[]"), strconv.Itoa(c.clientPort))
	case c.clientHost != "":
		r.problem(ErrInvalid, nil, "clientPortAddress is set but clientPort is not")
		return
	case r.setting("clientPort") != nil || r.badMembers:
		return // the reason is reported already
	case own == nil || own.ClientAddr == "":
		hint := ""
		if len(c.Membership.Members) > 0 && !c.Membership.HasID {
			hint = ": the client address of a server line counts only with a myid file in dataDir"
		}
		r.problem(ErrInvalid, nil, "clientPort is not set%s", hint)
		return
	}
	if own == nil || own.ClientAddr == "" {
		return
	}
	if c.ClientAddr != "" && !sameClientAddress(c.ClientAddr, own.ClientAddr) {
		r.problem(ErrInvalid, nil, "server.%d says that its client address is %s, clientPort and clientPortAddress say %s",
			own.ID, own.ClientAddr, c.ClientAddr)
	}
	c.ClientAddr = own.ClientAddr
}

// sameClientAddress compares as QuorumPeerConfig does: a static address for all interfaces agrees with any host.
func sameClientAddress(static, line string) bool {
	host, port, _ := net.SplitHostPort(static)
	_, linePort, _ := net.SplitHostPort(line)
	if host == "" || host == "0.0.0.0" || host == "::" {
		return port == linePort
	}
	return static == line
}

// enforcedSchemes keeps the list only when it is in force, and insists on schemes a client can have.
func (r *reader) enforcedSchemes() {
	a := &r.cfg.Auth
	if !a.enforce {
		a.EnforcedSchemes = nil
		return
	}
	if len(a.EnforcedSchemes) == 0 {
		r.problem(ErrInvalid, nil, "enforce.auth.enabled is true but enforce.auth.schemes is not set")
	}
	for _, scheme := range a.EnforcedSchemes {
		if scheme != "ip" && (scheme != "digest" || !a.DigestEnabled) {
			r.problem(ErrRefused, nil, "enforce.auth.schemes demands %q, with which no client could authenticate here", scheme)
		}
	}
}

// identity reads dataDir/myid. A single server needs none.
func (r *reader) identity() {
	m := &r.cfg.Membership
	if r.cfg.DataDir == "" {
		return
	}
	name := filepath.Join(r.cfg.DataDir, "myid")
	text, err := r.in.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		r.problem(ErrInvalid, nil, "myid: %v", err)
		return
	}
	line, _, _ := strings.Cut(string(text), "\n")
	id, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		r.problem(ErrInvalid, nil, "%s: %q is not a number", name, strings.TrimSpace(line))
		return
	}
	m.ID, m.HasID = id, true
}

func (r *reader) ownMember() *Member {
	m := &r.cfg.Membership
	for i := range m.Members {
		if m.HasID && m.Members[i].ID == m.ID {
			return &m.Members[i]
		}
	}
	return nil
}

// javaTrim drops what String.trim drops: everything up to and including the blank.
func javaTrim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
}

func clientPort(v *value) error {
	if err := port(v); err != nil {
		return err
	}
	n, err := v.integer(32)
	v.cfg.clientPort = int(n)
	return err
}

func clientHost(v *value) error {
	v.cfg.clientHost = v.text
	return nil
}
