package discovery

import (
	"encoding/json"
	"strconv"
	"strings"
)

// URISpec is how URIs of an instance are made: text with variables in braces, as in "{scheme}://{address}:{port}/api" (UriSpec in Curator,
// which also reads this form). What the variables are is told at [Instance.URI]. "{[}" and "{]}" are braces.
type URISpec string

// URI returns what the instance's URISpec makes of its variables: scheme (https if there is a TLS port, otherwise http), name, id,
// address, port, ssl-port, registration-time-utc (in milliseconds) and service-type (in lower case). vars, which may be nil, has further
// ones, and goes before these. A variable that nobody knows, or that has no value, is empty. It is empty without a URISpec.
func (i *Instance[T]) URI(vars map[string]string) string {
	var b strings.Builder
	for _, p := range i.URISpec.parts() {
		value, ok := p.Value, !p.Variable
		if !ok {
			value, ok = vars[p.Value]
		}
		if !ok {
			value = i.variable(p.Value)
		}
		b.WriteString(value)
	}
	return b.String()
}

func (i *Instance[T]) variable(name string) string {
	switch name {
	case "[":
		return "{"
	case "]":
		return "}"
	case "scheme":
		if i.TLSPort != 0 {
			return "https"
		}
		return "http"
	case "name":
		return i.Name
	case "id":
		return i.ID
	case "address":
		return i.Address
	case "port":
		return number(i.Port)
	case "ssl-port":
		return number(i.TLSPort)
	case "registration-time-utc":
		return strconv.FormatInt(millis(i.Registered), 10)
	case "service-type":
		return strings.ToLower(string(i.kind()))
	default:
		return ""
	}
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// uriPart is a piece of a URISpec as Curator writes it.
type uriPart struct {
	Value    string `json:"value"`
	Variable bool   `json:"variable"`
}

// parts takes a spec apart. A brace that opens or closes nothing is text, and stands in parts of its own, as it does when it is written in
// braces.
func (s URISpec) parts() []uriPart {
	var parts []uriPart
	text := func(t string) {
		for t != "" {
			i := strings.IndexAny(t, "{}")
			if i < 0 {
				i = len(t)
			}
			if i > 0 {
				parts = append(parts, uriPart{Value: t[:i]})
			}
			if t = t[i:]; t != "" {
				parts = append(parts, uriPart{Value: map[byte]string{'{': "[", '}': "]"}[t[0]], Variable: true})
				t = t[1:]
			}
		}
	}
	rest := string(s)
	for {
		before, behind, ok := strings.Cut(rest, "{")
		name, next, closed := strings.Cut(behind, "}")
		if !ok || !closed {
			text(rest)
			return parts
		}
		text(before)
		parts = append(parts, uriPart{Value: name, Variable: true})
		rest = next
	}
}

// json is what Curator writes.
func (s URISpec) json() any {
	if s == "" {
		return nil
	}
	return struct {
		Parts []uriPart `json:"parts"`
	}{s.parts()}
}

// readURISpec reads what Curator writes, and what it reads: the text itself.
func readURISpec(raw json.RawMessage) (URISpec, error) {
	if raw == nil {
		return "", nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return URISpec(text), nil
	}
	var spec struct {
		Parts []uriPart `json:"parts"`
	}
	if err := json.Unmarshal(raw, &spec); err != nil {
		return "", err
	}
	var b strings.Builder
	for _, p := range spec.Parts {
		switch {
		case p.Variable && strings.Contains(p.Value, "}"): // which no text can name, and nobody knows: it is empty wherever it stands
		case p.Variable:
			b.WriteString("{" + p.Value + "}")
		default:
			b.WriteString(braces.Replace(p.Value))
		}
	}
	return URISpec(b.String()), nil
}

// braces writes braces that are text.
var braces = strings.NewReplacer("{", "{[}", "}", "{]}")
