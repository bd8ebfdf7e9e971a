package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Load reads rules from Curator's JSON, see the package comment, for [New]. validators are those that rules may name. It fails with all that
// it does not understand, a validator that is not there among it.
func Load(from io.Reader, validators map[string]Validator) ([]Rule, error) {
	text, err := io.ReadAll(from)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	var objects []map[string]json.RawMessage
	if err := json.Unmarshal(text, &objects); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	var problems []error
	rules := make([]Rule, 0, len(objects))
	for i, o := range objects {
		l := &loader{fields: o, validators: validators}
		r := l.rule()
		for _, p := range l.problems {
			problems = append(problems, fmt.Errorf("schema: rule %d %q: %w", i, r.Name, p))
		}
		rules = append(rules, r)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return rules, nil
}

// loader reads one rule.
type loader struct {
	fields     map[string]json.RawMessage // those that have not been read
	validators map[string]Validator
	problems   []error
}

func (l *loader) rule() Rule {
	r := Rule{Name: take[string](l, "name"), Doc: take[string](l, "documentation")}
	path, isPattern := take[string](l, "path"), take[bool](l, "isRegex")
	switch {
	case path == "":
		l.problems = append(l.problems, errors.New("has no path"))
	case isPattern:
		r.Pattern = path
	case path != "/":
		r.Path = strings.TrimSuffix(path, "/")
	default:
		r.Path = path
	}
	if name := take[string](l, "schemaValidator"); name != "" {
		if r.Validate = l.validators[name]; r.Validate == nil {
			l.problems = append(l.problems, fmt.Errorf("there is no validator %q", name))
		}
	}
	r.Ephemeral, r.Sequential, r.Watched = l.allowance("ephemeral"), l.allowance("sequential"), l.allowance("watched")
	r.Undeletable = !take[bool](l, "canBeDeleted") // as Curator does, and not as it says
	r.Metadata = take[map[string]string](l, "metadata")
	r.Who = take[[]string](l, "who")
	unknown := make([]string, 0, len(l.fields))
	for name := range l.fields {
		unknown = append(unknown, name)
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		l.problems = append(l.problems, fmt.Errorf("there is no field %q", name))
	}
	return r
}

// take reads a field and takes it out. One that is not there is the zero value.
func take[T any](l *loader, name string) (v T) {
	raw, there := l.fields[name]
	if !there {
		return v
	}
	delete(l.fields, name)
	if err := json.Unmarshal(raw, &v); err != nil {
		l.problems = append(l.problems, fmt.Errorf("%s: %w", name, err))
	}
	return v
}

func (l *loader) allowance(name string) Allowance {
	text := take[string](l, name)
	if text == "" {
		return Can
	}
	for a := Can; a <= Cannot; a++ {
		if strings.EqualFold(text, a.String()) {
			return a
		}
	}
	l.problems = append(l.problems, fmt.Errorf("%s is %q, and should be can, must or cannot", name, text))
	return Can
}
