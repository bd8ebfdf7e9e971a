package zoocfg

// Setting is one thing that was said, and what becomes of it.
type Setting struct {
	// Name as zoo.cfg spells it; for a property no row knows, the property's own name.
	Name string
	// Value as given. Use [Setting.Shown] to show it to anybody.
	Value string
	// Origin is file:line, "command line" or "SERVER_JVMFLAGS"; "default" in a full description.
	Origin string
	Effect Effect
	// Note says in one clause why, or what the value means.
	Note string

	key       *Key
	malformed bool // its value could not be read
	rank      int  // of several settings of one key the highest counts, of equal ones the last
}

// Shown is the value with secrets masked.
func (s *Setting) Shown() string {
	if s.key != nil && s.key.secret && s.Value != "" {
		return "***"
	}
	return s.Value
}

func (s *Setting) overriddenBy(by *Setting) {
	s.Effect, s.Note = Overridden, "set again in "+by.Origin
}

// idle says that a setting concerns servers that are several, on one that is not.
func (s *Setting) idle() { s.Effect, s.Note = Idle, several }

// Ignored returns the settings the server does not act on, for the one warning that names them: not supported,
// unknown, or set again elsewhere.
func (c *Config) Ignored() []Setting {
	var list []Setting
	for _, s := range c.settings {
		if s.Effect == Ignored || s.Effect == Unknown || s.Effect == Overridden {
			list = append(list, s)
		}
	}
	return list
}

// Notes returns the values that count otherwise than they are written, one sentence each.
func (c *Config) Notes() []string { return append([]string(nil), c.notes...) }

// Describe returns every setting in the order given, the file's before the properties. With all, every key of the
// table that was not set follows, with its default.
func (c *Config) Describe(all bool) []Setting {
	list := append([]Setting(nil), c.settings...)
	if !all {
		return list
	}
	set := make(map[string]bool)
	for _, s := range c.settings {
		if s.key != nil {
			set[s.key.Name] = true
		}
	}
	for i := range table {
		k := &table[i]
		if set[k.Name] {
			continue
		}
		s := Setting{Name: k.Name, Value: k.Default, Origin: "default", Effect: k.Effect, Note: k.Note, key: k}
		if k.quorum && !c.Membership.Distributed() {
			s.idle()
		}
		list = append(list, s)
	}
	return list
}
