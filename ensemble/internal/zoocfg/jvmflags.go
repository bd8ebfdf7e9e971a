package zoocfg

import "strings"

// A SystemProperty is one -Dname=value.
type SystemProperty struct {
	Name, Value string
	// Origin says where it was given, for messages: "command line", "SERVER_JVMFLAGS".
	Origin string
}

// SystemPropertyFlag reads one argument of the form -Dname=value, or -Dname for an empty value, as a Java launcher
// does. ok is false when the argument is no such thing.
func SystemPropertyFlag(arg, origin string) (p SystemProperty, ok bool) {
	body, found := strings.CutPrefix(arg, "-D")
	if !found || body == "" || body[0] == '=' {
		return SystemProperty{}, false
	}
	name, value, _ := strings.Cut(body, "=")
	return SystemProperty{Name: name, Value: value, Origin: origin}, true
}

// JVMFlags reads the environment variable SERVER_JVMFLAGS. Apache's zkServer.sh hands it to java unquoted, so it is
// cut at blanks, tabs and line ends and nowhere else: quotes and backslashes in it are ordinary characters. Entries
// other than -D mean something only to a JVM and are returned as others, for the warning that names them.
func JVMFlags(flags string) (props []SystemProperty, others []string) {
	for _, word := range strings.FieldsFunc(flags, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' }) {
		if p, ok := SystemPropertyFlag(word, "SERVER_JVMFLAGS"); ok {
			props = append(props, p)
		} else {
			others = append(others, word)
		}
	}
	return props, others
}
