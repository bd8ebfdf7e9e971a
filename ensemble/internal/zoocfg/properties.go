package zoocfg

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Entry is one key and value of a properties file, in the order of the file.
type Entry struct {
	Key, Value string
	// Line is where the entry begins, counted from 1.
	Line int
}

// SyntaxError says why a properties file cannot be read, and where.
type SyntaxError struct {
	Line   int
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Entries reads text as java.util.Properties.load does and returns every entry, repeated keys included (for Java the
// last of them counts).
//
// Bytes are ISO 8859-1, as Java reads a stream, so a file written in UTF-8 means the same odd path to both servers.
// Blank lines and lines whose first character other than space, tab and form feed is # or ! are skipped. A line ends
// with \n, \r or \r\n; a backslash before it joins the next line, whose leading blanks are dropped. The key ends at
// the first unescaped =, : or blank; blanks, at most one = or :, and blanks again separate it from the value. In both,
// \t \n \r \f and \uXXXX are what they say and any other escaped character stands for itself. An incomplete \uXXXX
// is the one possible error (*SyntaxError).
//
// A ready-made reader (magiconair/properties) was tried: it ends a value at the \n of a joined \r\n, knows no joined
// line inside a key and no empty key, refuses a backslash at the end of the file, starts a goroutine for each parse
// and keeps no line numbers.
func Entries(text []byte) ([]Entry, error) {
	var entries []Entry
	s := lineScanner{text: text, line: 1}
	for s.next() {
		key, rest := splitEntry(s.logical)
		k, err := unescape(key)
		if err != nil {
			return nil, &SyntaxError{Line: s.start, Reason: err.Error()}
		}
		v, err := unescape(rest)
		if err != nil {
			return nil, &SyntaxError{Line: s.start, Reason: err.Error()}
		}
		entries = append(entries, Entry{Key: k, Value: v, Line: s.start})
	}
	return entries, nil
}

// lineScanner cuts a file into logical lines: comments and blank lines gone, joined lines joined.
type lineScanner struct {
	text    []byte
	pos     int
	line    int    // number of the line pos is in
	start   int    // number of the line logical begins in
	logical []byte // escapes still in place, line ends removed
}

// next moves to the next logical line and reports whether there is one.
func (s *lineScanner) next() bool {
	for s.pos < len(s.text) {
		s.skipBlanks()
		if s.pos == len(s.text) {
			return false
		}
		switch c := s.text[s.pos]; {
		case isLineEnd(c):
			s.skipLineEnd()
		case c == '#' || c == '!':
			for s.pos < len(s.text) && !isLineEnd(s.text[s.pos]) {
				s.pos++
			}
		default:
			s.start, s.logical = s.line, s.logical[:0]
			if s.gather() {
				return true
			}
		}
	}
	return false
}

// gather collects one logical line, up to and including its unescaped end. It reports false for a line that holds
// nothing but a backslash and so joins nothing to the next: that one begins anew, and may be a comment.
func (s *lineScanner) gather() bool {
	for s.pos < len(s.text) {
		c := s.text[s.pos]
		switch {
		case isLineEnd(c):
			s.skipLineEnd()
			return true
		case c != '\\':
			s.logical = append(s.logical, c)
			s.pos++
		case s.pos+1 == len(s.text): // a backslash that escapes the end of the file says nothing
			s.pos++
		case isLineEnd(s.text[s.pos+1]):
			s.pos++
			s.skipLineEnd()
			if len(s.logical) == 0 {
				return false
			}
			s.skipBlanks()
		default:
			s.logical = append(s.logical, c, s.text[s.pos+1])
			s.pos += 2
		}
	}
	return true
}

func (s *lineScanner) skipBlanks() {
	for s.pos < len(s.text) && isBlank(s.text[s.pos]) {
		s.pos++
	}
}

// skipLineEnd passes one \n, \r or \r\n.
func (s *lineScanner) skipLineEnd() {
	if s.text[s.pos] == '\r' && s.pos+1 < len(s.text) && s.text[s.pos+1] == '\n' {
		s.pos++
	}
	s.pos++
	s.line++
}

// splitEntry separates the key of a logical line from its value, both still escaped.
func splitEntry(line []byte) (key, value []byte) {
	end := 0
	for end < len(line) && !isBlank(line[end]) && line[end] != '=' && line[end] != ':' {
		if line[end] == '\\' && end+1 < len(line) {
			end++
		}
		end++
	}
	rest := trimBlanks(line[end:])
	if len(rest) > 0 && (rest[0] == '=' || rest[0] == ':') {
		rest = trimBlanks(rest[1:])
	}
	return line[:end], rest
}

func trimBlanks(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	return b
}

// unescape resolves the escapes of a key or value. It works in UTF-16 units as Java does, so that a character written
// as two \u escapes comes out whole.
func unescape(b []byte) (string, error) {
	units := make([]uint16, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			units = append(units, uint16(b[i]))
			continue
		}
		i++
		switch b[i] {
		case 't':
			units = append(units, '\t')
		case 'n':
			units = append(units, '\n')
		case 'r':
			units = append(units, '\r')
		case 'f':
			units = append(units, '\f')
		case 'u':
			u, ok := hexUnit(b[i+1:])
			if !ok {
				return "", fmt.Errorf(`\u must be followed by four hexadecimal digits`)
			}
			units = append(units, u)
			i += 4
		default:
			units = append(units, uint16(b[i]))
		}
	}
	return string(utf16.Decode(units)), nil
}

// hexUnit reads the four digits of a \uXXXX.
func hexUnit(b []byte) (uint16, bool) {
	if len(b) < 4 || strings.ContainsAny(string(b[:4]), "_+-") {
		return 0, false
	}
	u, err := strconv.ParseUint(string(b[:4]), 16, 16)
	return uint16(u), err == nil
}

func isBlank(c byte) bool   { return c == ' ' || c == '\t' || c == '\f' }
func isLineEnd(c byte) bool { return c == '\n' || c == '\r' }
