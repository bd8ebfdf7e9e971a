package schema

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/bellwether-zk/bellwether/client"
)

// Allowance is what a rule says about a property of nodes. The zero Allowance is Can.
type Allowance int

// A property that nodes can have or not, must have, cannot have.
const (
	Can Allowance = iota
	Must
	Cannot
)

// String returns the allowance as it stands in JSON.
func (a Allowance) String() string {
	if a < Can || a > Cannot {
		return fmt.Sprintf("Allowance(%d)", int(a))
	}
	return [...]string{"can", "must", "cannot"}[a]
}

// Validator tells what is wrong with the data a node is to get, or nothing. The data may be nil, are not to be kept or changed, and are
// looked at by many goroutines.
type Validator func(path string, data []byte) error

// Rule says what may be done at one path, or at all that match a regular expression. The zero values of its fields allow everything.
type Rule struct {
	Name string // for errors; unique in its set
	Doc  string // what such a node is for

	// Path or Pattern is set: an exact path, or a regular expression of package regexp that must match the whole path.
	Path, Pattern string

	Ephemeral  Allowance // of the nodes that are created
	Sequential Allowance // of the nodes that are created
	Watched    Allowance // of reads

	Undeletable bool              // whether nodes cannot be deleted
	Validate    Validator         // of the data of a create or a set; nil: any
	Who         []string          // who may create, set and delete: identities as in client.Intent; none: everybody
	Metadata    map[string]string // for the program's own use
}

// Options say how a Set is used. The zero value works, and nil means the zero value.
type Options struct {
	// RefuseOthers refuses what no rule is about, reads included as far as somebody asks about them. Default: it is allowed.
	RefuseOthers bool
}

// Set is a list of rules that has been found to make sense.
type Set struct {
	rules        []Rule
	exact        map[string]int // of the rules with a Path, by it
	patterns     []pattern      // of the others, in order
	refuseOthers bool
}

type pattern struct {
	prefix string // of all that match: most patterns begin with a directory, and most paths with another one
	whole  *regexp.Regexp
	rule   int
}

// New makes a Set, or tells all that is wrong with the rules. It keeps none of the slice.
func New(rules []Rule, opts *Options) (*Set, error) {
	if opts == nil {
		opts = &Options{}
	}
	s := &Set{rules: slices.Clone(rules), exact: make(map[string]int), refuseOthers: opts.RefuseOthers}
	var problems []error
	names, texts := make(map[string]bool), make(map[string]bool)
	for i := range s.rules {
		r := &s.rules[i]
		wrong := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("schema: rule %d %q: %w", i, r.Name, fmt.Errorf(format, args...)))
		}
		switch {
		case r.Name == "":
			wrong("has no name")
		case names[r.Name]:
			wrong("has the name of an earlier one")
		}
		names[r.Name] = true
		for _, a := range []Allowance{r.Ephemeral, r.Sequential, r.Watched} {
			if a < Can || a > Cannot {
				wrong("has an unknown %v", a)
			}
		}
		if slices.Contains(r.Who, "") {
			wrong("who has an empty identity")
		}
		if err := s.place(i, texts); err != nil {
			wrong("%w", err)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return s, nil
}

// place puts a rule where it is found. texts are the patterns there have been.
func (s *Set) place(i int, texts map[string]bool) error {
	r := &s.rules[i]
	if (r.Path == "") == (r.Pattern == "") {
		return errors.New("has a path and a pattern, or neither")
	}
	if r.Path != "" {
		if _, there := s.exact[r.Path]; there {
			return fmt.Errorf("has the path of an earlier one, %s", r.Path)
		}
		s.exact[r.Path] = i
		return checkPath(r.Path)
	}
	if texts[r.Pattern] {
		return fmt.Errorf("has the pattern of an earlier one, %s", r.Pattern)
	}
	texts[r.Pattern] = true
	part, err := regexp.Compile(r.Pattern)
	if err != nil {
		return err
	}
	prefix, _ := part.LiteralPrefix()
	whole, err := regexp.Compile(`\A(?:` + r.Pattern + `)\z`)
	s.patterns = append(s.patterns, pattern{prefix, whole, i})
	return err
}

func checkPath(path string) error {
	if path == "/" {
		return nil
	}
	for i, element := range strings.Split(path, "/") {
		if (element == "") != (i == 0) || element == "." || element == ".." {
			return fmt.Errorf("has a path that no node can have, %q", path)
		}
	}
	return nil
}

// Rule returns the rule that decides about a path, if there is one.
func (s *Set) Rule(path string) (Rule, bool) {
	if r := s.find(path); r != nil {
		return *r, true
	}
	return Rule{}, false
}

func (s *Set) find(path string) *Rule {
	if i, there := s.exact[path]; there {
		return &s.rules[i]
	}
	for _, p := range s.patterns {
		if strings.HasPrefix(path, p.prefix) && p.whole.MatchString(path) {
			return &s.rules[p.rule]
		}
	}
	return nil
}

// Check returns nil if an operation may be sent, or a *Violation. It is made for client.Options.Check.
func (s *Set) Check(i client.Intent) error {
	r := s.find(i.Path)
	var problems problems
	switch {
	case r != nil:
		problems = r.problems(&i)
	case s.refuseOthers:
		problems = append(problems, errors.New("has no rule"))
	}
	if len(problems) == 0 {
		return nil
	}
	v := &Violation{Op: i.Op, Path: i.Path, Err: problems}
	if r != nil {
		v.Rule = r.Name
	}
	return v
}

// problems are all that is wrong with an operation.
func (r *Rule) problems(i *client.Intent) (p problems) {
	switch i.Op {
	case "create":
		p.allow(r.Ephemeral, ephemeral(i.Mode), "ephemeral")
		p.allow(r.Sequential, sequential(i.Mode), "sequential")
		p.validate(r, i)
		p.permit(r, i)
	case "set":
		p.validate(r, i)
		p.permit(r, i)
	case "setacl":
		p.permit(r, i)
	case "delete":
		if r.Undeletable {
			p = append(p, errors.New("cannot be deleted"))
		}
		p.permit(r, i)
	case "get", "exists", "children":
		p.allow(r.Watched, i.Watch, "watched")
	default:
		p.allow(r.Watched, i.Watch || r.Watched == Must, "watched") // none that could have a watch and has not
	}
	return p
}

// problems are an error when there is one.
type problems []error

func (p *problems) allow(a Allowance, is bool, what string) {
	switch {
	case a == Must && !is:
		*p = append(*p, errors.New("must be "+what))
	case a == Cannot && is:
		*p = append(*p, errors.New("cannot be "+what))
	}
}

func (p *problems) validate(r *Rule, i *client.Intent) {
	if r.Validate == nil {
		return
	}
	if err := r.Validate(i.Path, i.Data); err != nil {
		*p = append(*p, fmt.Errorf("cannot have these data: %w", err))
	}
}

func (p *problems) permit(r *Rule, i *client.Intent) {
	if len(r.Who) > 0 && !slices.ContainsFunc(i.Identities, func(id string) bool { return slices.Contains(r.Who, id) }) {
		*p = append(*p, fmt.Errorf("is for %s only", strings.Join(r.Who, ", ")))
	}
}

// Error returns all of them in one line.
func (p problems) Error() string {
	texts := make([]string, len(p))
	for i, err := range p {
		texts[i] = err.Error()
	}
	return strings.Join(texts, ", ")
}

// Unwrap returns all of them.
func (p problems) Unwrap() []error { return p }

func ephemeral(m client.Mode) bool {
	return m == client.Ephemeral || m == client.EphemeralSequential
}

func sequential(m client.Mode) bool {
	return m == client.PersistentSequential || m == client.EphemeralSequential || m == client.PersistentSequentialTTL
}

// ErrViolation tells that an operation is not what the rules allow. It was not sent.
var ErrViolation = errors.New("schema violation")

// Violation is an operation that was refused, and why. It answers errors.Is with ErrViolation, and with what a validator said.
type Violation struct {
	Rule string // its name, or "" if no rule is about the path
	Op   string
	Path string
	Err  error
}

// Error returns "schema violation: path reason, … (rule name)".
func (v *Violation) Error() string {
	text := ErrViolation.Error() + ": " + v.Path + " " + v.Err.Error()
	if v.Rule == "" {
		return text
	}
	return text + " (rule " + v.Rule + ")"
}

// Unwrap returns ErrViolation, and the reason.
func (v *Violation) Unwrap() []error { return []error{ErrViolation, v.Err} }

// String returns the rules for people to read, in the order in which they are looked at.
func (s *Set) String() string {
	var b strings.Builder
	for _, isExact := range []bool{true, false} {
		for i := range s.rules {
			if r := &s.rules[i]; (r.Path != "") == isExact {
				r.describe(&b)
			}
		}
	}
	return b.String()
}

func (r *Rule) describe(b *strings.Builder) {
	if r.Path != "" {
		fmt.Fprintf(b, "%s: %s\n", r.Name, r.Path)
	} else {
		fmt.Fprintf(b, "%s: all that is %s\n", r.Name, r.Pattern)
	}
	if r.Doc != "" {
		fmt.Fprintf(b, "  %s\n", r.Doc)
	}
	fmt.Fprintf(b, "  %v be ephemeral, %v be sequential, %v be watched, %v be deleted", r.Ephemeral, r.Sequential, r.Watched, deletable(r))
	if r.Validate != nil {
		b.WriteString("; data are checked")
	}
	if len(r.Who) > 0 {
		fmt.Fprintf(b, "; by %s only", strings.Join(r.Who, ", "))
	}
	b.WriteByte('\n')
}

func deletable(r *Rule) Allowance {
	if r.Undeletable {
		return Cannot
	}
	return Can
}
