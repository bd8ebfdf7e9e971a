package zoocfg

import "strings"

// Kind says where a key may be set.
type Kind byte

const (
	// File keys are read from zoo.cfg alone.
	File Kind = 'F'
	// Property keys are the system property zookeeper.K, which the file sets as K.
	Property Kind = 'P'
	// Direct keys are the system property K; the file may set K too.
	Direct Kind = 'D'
)

// Effect says what becomes of a key.
type Effect byte

const (
	// Honoured: the server behaves as the value says.
	Honoured Effect = iota
	// Idle: the key concerns a server that is one of several; on a single one it changes nothing, in Apache and here. No
	// row of the table has this effect: settings have it, when the configuration is a single server's.
	Idle
	// Ignored: this server has nothing to obey with, and not obeying is safe.
	Ignored
	// Refused: this server cannot obey, and not obeying would be unsafe; it does not start.
	Refused
	// Unknown: no server of Apache's reads such a key. It is ignored.
	Unknown
	// Overridden: another setting of the same key counts.
	Overridden
)

func (e Effect) String() string {
	return [...]string{"honoured", "idle", "not supported", "refused", "unknown", "overridden"}[e]
}

// Key is one row of the table of everything a server can be told.
type Key struct {
	// Name as zoo.cfg spells it. A name that ends in ".N" or ".*" stands for all keys with that beginning.
	Name string
	Kind Kind
	// Default as text; empty when there is none or when it is derived from other keys, as Note says.
	Default string
	Effect  Effect
	// Note tells in one clause what there is to know about the effect.
	Note string

	parse  parser
	quorum bool // concerns servers that are several
	// same are the values of an ignored or refused key that ask for what this server does anyway.
	same   []string
	secret bool
}

// Keys returns the table, in the order of the manual. The caller may keep the slice.
func Keys() []Key { return append([]Key(nil), table...) }

// effectOf is the effect a particular value of the key has.
func (k *Key) effectOf(text string) Effect {
	for _, s := range k.same {
		if strings.EqualFold(s, text) {
			return Honoured
		}
	}
	return k.Effect
}

// family is the beginning shared by the keys a row stands for, or empty for a row that is one key.
func (k *Key) family() string {
	if prefix, ok := strings.CutSuffix(k.Name, ".N"); ok {
		return prefix + "."
	}
	if prefix, ok := strings.CutSuffix(k.Name, ".*"); ok {
		return prefix + "."
	}
	return ""
}

// property is the system property a key name is known by, or empty for a File key.
func (k Kind) property(name string) string {
	switch k {
	case Property:
		return "zookeeper." + name
	case Direct:
		return name
	}
	return ""
}

// lookup finds the row for a name as zoo.cfg spells it: the row of that name, else the longest family it belongs to.
func lookup(name string) *Key {
	var best *Key
	for i := range table {
		k := &table[i]
		if k.Name == name {
			return k
		}
		if f := k.family(); f != "" && len(name) > len(f) && strings.HasPrefix(name, f) {
			if best == nil || len(f) > len(best.family()) {
				best = k
			}
		}
	}
	return best
}

// lookupProperty finds the row a system property belongs to, and the name zoo.cfg would use for it.
func lookupProperty(property string) (*Key, string) {
	if name, ok := strings.CutPrefix(property, "zookeeper."); ok {
		if k := lookup(name); k != nil && k.Kind == Property {
			return k, name
		}
	}
	// fsync.warningthresholdms is the one key Apache reads under both names.
	if k := lookup(property); k != nil && (k.Kind == Direct || property == "fsync.warningthresholdms") {
		return k, property
	}
	return nil, ""
}

// suggestion guesses what an unknown name was meant to be, or returns empty.
func suggestion(name string) string {
	bare := strings.TrimPrefix(name, "zookeeper.")
	for i := range table {
		if strings.EqualFold(table[i].Name, bare) {
			return table[i].Name
		}
	}
	return ""
}
