package zoocfg

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf16"
)

// FuzzParse checks that no text makes Parse panic, that a malformed text is an *Error with a reason in each problem,
// and that what was read can be described.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		minimal,
		"dataDir:/d\nclientPort 2181\n4lw.commands.whitelist=*\nautopurge.purgeInterval=1h\nsnapCount=0x10\n",
		"dataDir=/d\ndynamicConfigFile=/dyn\nserver.1=[::1]:1:2:observer|h:1:2;3;4\ngroup.1=1:2\nweight.1=3\n",
		"\\u00e9=\\ud83d\\ude00\\\r\n  x\n!c\n=\n:\n\\",
		"enforce.auth.enabled=true\nenforce.auth.schemes=sasl\nsecureClientPort=1\ntickTime=-1\nsslQuorum=maybe",
	} {
		f.Add([]byte(seed), "-Dzookeeper.snapCount=1 -Djute.maxbuffer=#10 -Xmx1g", []byte("server.1=h:1:2;2181"))
	}
	f.Add([]byte(minimal+"initLimit=1\nsyncLimit=1\nserver.2=h:1:2:observer\nserver.3=h:1:2\nserver.4=h:1:2"), "", []byte("3"))
	f.Fuzz(func(t *testing.T, text []byte, flags string, dynamic []byte) {
		props, _ := JVMFlags(flags)
		cfg, err := Parse(Input{Name: "zoo.cfg", Text: text, Properties: props,
			ReadFile: func(string) ([]byte, error) { return dynamic, nil }})
		if err != nil {
			bad, ok := errors.AsType[*Error](err)
			if !ok || len(bad.Problems) == 0 {
				t.Fatalf("error %#v", err)
			}
			for _, p := range bad.Problems {
				if p.Reason == "" || p.Kind == nil {
					t.Fatalf("problem %#v", p)
				}
			}
		} else if cfg.DataDir == "" || cfg.ClientAddr == "" || cfg.TickTime <= 0 ||
			cfg.MinSessionTimeout > cfg.MaxSessionTimeout || cfg.Storage.PurgeRetain < minRetained {
			t.Fatalf("accepted %+v", cfg)
		} else if m := &cfg.Membership; m.Distributed() && (!runnable(m) || m.Groups != nil || m.Weights != nil) {
			t.Fatalf("accepted %+v", m)
		}
		for _, s := range cfg.Describe(true) {
			if s.Effect.String() == "" || s.Origin == "" {
				t.Fatalf("setting %+v", s)
			}
		}
	})
}

// runnable reports whether a server among several would know who it is, where everybody is, and how long to wait.
func runnable(m *Membership) bool {
	own := false
	for _, member := range m.Members {
		if len(member.Addresses) != 1 || member.ID < 1 || member.ID > maxServerID {
			return false
		}
		own = own || m.HasID && m.ID == member.ID
	}
	return own && m.InitLimit > 0 && m.SyncLimit > 0
}

// FuzzEntries checks that writing entries out, escaped, and reading them again changes nothing.
func FuzzEntries(f *testing.F) {
	f.Add([]byte("a=b\\\n c\nd:\\u0041 e\n#x\n"))
	f.Add([]byte("\\ud83d\\ude00=\xe9\\t\n\\=\\:\\ =x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := Entries(text)
		if err != nil {
			return
		}
		var b strings.Builder
		for _, e := range entries {
			escape(&b, e.Key)
			b.WriteByte('=')
			escape(&b, e.Value)
			b.WriteByte('\n')
		}
		again, err := Entries([]byte(b.String()))
		if err != nil || len(again) != len(entries) {
			t.Fatalf("%q: %v, %d entries instead of %d", b.String(), err, len(again), len(entries))
		}
		for i := range entries {
			if again[i].Key != entries[i].Key || again[i].Value != entries[i].Value {
				t.Fatalf("got %+v, want %+v", again[i], entries[i])
			}
		}
	})
}

// escape writes s so that no character of it can be taken for syntax.
func escape(b *strings.Builder, s string) {
	const hex = "0123456789abcdef"
	for _, unit := range utf16.Encode([]rune(s)) {
		b.WriteString(`\u`)
		for shift := 12; shift >= 0; shift -= 4 {
			b.WriteByte(hex[unit>>shift&15])
		}
	}
}
