package znode

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The nodes every tree has from the beginning. None of them can be deleted.
const (
	Root       = "/"
	System     = "/zookeeper"
	Quota      = "/zookeeper/quota"
	ConfigNode = "/zookeeper/config"

	// QuotaLimits and QuotaStats are the names of the two nodes below Quota + path that make a quota.
	QuotaLimits = "zookeeper_limits"
	QuotaStats  = "zookeeper_stats"
)

// Reserved reports whether path is one of the four nodes that cannot be deleted.
func Reserved(path string) bool {
	return path == Root || path == System || path == Quota || path == ConfigNode
}

// Split cuts a path at its last slash: "/a/b" into "/a" and "b", "/a" into "/" and "a". ok is false without a slash.
func Split(path string) (parent, name string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	switch {
	case i < 0:
		return "", "", false
	case i == 0:
		return Root, path[1:], true
	}
	return path[:i], path[i+1:], true
}

// Join is the path of the child called name below parent.
func Join(parent, name string) string {
	if parent == Root {
		return Root + name
	}
	return parent + "/" + name
}

// ValidatePath checks the rules a path must obey to be written (class PathUtils): absolute, no trailing slash, no empty, "."
// or ".." component, no control characters, no surrogates or private use (U+D800 to U+F8FF), nothing from U+FFF0 up, which
// leaves no character outside the basic plane. Bytes that are not UTF-8 stand for U+FFFD and so are refused too. The error
// says what is wrong and answers errors.Is(err, CodeBadArguments).
func ValidatePath(path string) error {
	if path == Root {
		return nil
	}
	switch {
	case path == "":
		return badPath(path, "is empty")
	case path[0] != '/':
		return badPath(path, "does not start with a slash")
	case path[len(path)-1] == '/':
		return badPath(path, "ends with a slash")
	}
	for rest := path[1:]; ; {
		name, tail, more := strings.Cut(rest, "/")
		if name == "" || name == "." || name == ".." {
			return badPath(path, fmt.Sprintf("has a component %q", name))
		}
		if !more {
			break
		}
		rest = tail
	}
	for i := 0; i < len(path); {
		if c := path[i]; c < utf8.RuneSelf {
			if c < 0x20 || c == 0x7f {
				return badPath(path, fmt.Sprintf("has a control character at byte %d", i))
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(path[i:])
		if r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0 {
			return badPath(path, fmt.Sprintf("has the character %U at byte %d", r, i))
		}
		i += n
	}
	return nil
}

func badPath(path, what string) error {
	return fmt.Errorf("%w: path %q %s", CodeBadArguments, path, what)
}
