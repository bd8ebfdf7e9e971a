package schema_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/schema"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
)

var errEmpty = errors.New("empty")

func notEmpty(_ string, data []byte) error {
	if len(data) == 0 {
		return errEmpty
	}
	return nil
}

func mustSet(t *testing.T, opts *schema.Options, rules ...schema.Rule) *schema.Set {
	t.Helper()
	set, err := schema.New(rules, opts)
	require.NoError(t, err)
	return set
}

func TestCheck(t *testing.T) {
	set := mustSet(t, nil,
		schema.Rule{Name: "instances", Pattern: "/services/[^/]+", Ephemeral: schema.Must, Sequential: schema.Cannot, Validate: notEmpty},
		schema.Rule{Name: "spare", Pattern: "/services/.*", Undeletable: true},
		schema.Rule{Name: "special", Path: "/services/special", Ephemeral: schema.Cannot, Watched: schema.Cannot},
		schema.Rule{Name: "line", Pattern: "/line/.*", Sequential: schema.Must, Watched: schema.Must},
		schema.Rule{Name: "config", Path: "/config", Undeletable: true, Who: []string{"digest:ann", "sasl"}},
		schema.Rule{Name: "root", Path: "/", Undeletable: true},
	)
	ann, ben := []string{"ip", "digest:ann"}, []string{"digest:ben"}
	for _, tt := range []struct {
		i    client.Intent
		rule string // that is violated
		want string // what is said
	}{
		{client.Intent{Op: "create", Path: "/services/a", Mode: client.Ephemeral, Data: []byte("x")}, "", ""},
		{client.Intent{Op: "create", Path: "/services/a", Data: []byte("x")}, "instances", "must be ephemeral"},
		{client.Intent{Op: "create", Path: "/services/a", Mode: client.Container, Data: []byte("x")}, "instances", "must be ephemeral"},
		{client.Intent{Op: "create", Path: "/services/a", Mode: client.EphemeralSequential, Data: []byte("x")}, "instances", "cannot be sequential"},
		{client.Intent{Op: "create", Path: "/services/a", Mode: client.PersistentSequentialTTL}, "instances", "must be ephemeral, cannot be sequential, cannot have these data: empty"},
		{client.Intent{Op: "create", Path: "/services/a", Mode: client.Ephemeral}, "instances", "cannot have these data: empty"},
		{client.Intent{Op: "set", Path: "/services/a", Data: []byte("x")}, "", ""},
		{client.Intent{Op: "set", Path: "/services/a"}, "instances", "cannot have these data: empty"},
		{client.Intent{Op: "delete", Path: "/services/a"}, "", ""},
		{client.Intent{Op: "setacl", Path: "/services/a"}, "", ""},
		{client.Intent{Op: "create", Path: "/services/a/b"}, "", ""},
		{client.Intent{Op: "delete", Path: "/services/a/b"}, "spare", "cannot be deleted"},
		{client.Intent{Op: "delete", Path: "/services"}, "", ""},
		{client.Intent{Op: "delete", Path: "/a/services/b"}, "", ""},
		{client.Intent{Op: "create", Path: "/services/special"}, "", ""},
		{client.Intent{Op: "create", Path: "/services/special", Mode: client.EphemeralSequential}, "special", "cannot be ephemeral"},
		{client.Intent{Op: "delete", Path: "/services/special"}, "", ""},
		{client.Intent{Op: "getw", Path: "/services/special", Watch: true}, "special", "cannot be watched"},
		{client.Intent{Op: "get", Path: "/services/special"}, "", ""},
		{client.Intent{Op: "create", Path: "/line/", Mode: client.PersistentSequential}, "", ""},
		{client.Intent{Op: "create", Path: "/line/_c_1-n-"}, "line", "must be sequential"},
		{client.Intent{Op: "children", Path: "/line/n"}, "line", "must be watched"},
		{client.Intent{Op: "children", Path: "/line/n", Watch: true}, "", ""},
		{client.Intent{Op: "existsw", Path: "/line/n", Watch: true}, "", ""},
		{client.Intent{Op: "check", Path: "/line/n"}, "", ""},
		{client.Intent{Op: "set", Path: "/config", Identities: ann}, "", ""},
		{client.Intent{Op: "set", Path: "/config", Identities: ben}, "config", "is for digest:ann, sasl only"},
		{client.Intent{Op: "create", Path: "/config"}, "config", "is for digest:ann, sasl only"},
		{client.Intent{Op: "setacl", Path: "/config", Identities: ben}, "config", "is for digest:ann, sasl only"},
		{client.Intent{Op: "delete", Path: "/config", Identities: ben}, "config", "cannot be deleted, is for digest:ann, sasl only"},
		{client.Intent{Op: "delete", Path: "/config", Identities: ann}, "config", "cannot be deleted"},
		{client.Intent{Op: "get", Path: "/config", Identities: ben}, "", ""},
		{client.Intent{Op: "delete", Path: "/"}, "root", "cannot be deleted"},
		{client.Intent{Op: "create", Path: "/elsewhere"}, "", ""},
	} {
		err := set.Check(tt.i)
		if tt.rule == "" {
			require.NoError(t, err, "%+v", tt.i)
			continue
		}
		require.ErrorIs(t, err, schema.ErrViolation, "%+v", tt.i)
		require.Equal(t, strings.Contains(tt.want, "empty"), errors.Is(err, errEmpty))
		var v *schema.Violation
		require.ErrorAs(t, err, &v)
		require.Equal(t, []string{tt.i.Op, tt.i.Path, tt.rule, tt.want}, []string{v.Op, v.Path, v.Rule, v.Err.Error()})
		require.Equal(t, fmt.Sprintf("schema violation: %s %s (rule %s)", tt.i.Path, tt.want, tt.rule), err.Error())
	}
}

func TestRefuseOthers(t *testing.T) {
	set := mustSet(t, &schema.Options{RefuseOthers: true}, schema.Rule{Name: "n", Path: "/n"})
	for _, op := range []string{"create", "set", "delete", "setacl", "check", "get", "existsw"} {
		require.NoError(t, set.Check(client.Intent{Op: op, Path: "/n"}))
		err := set.Check(client.Intent{Op: op, Path: "/m"})
		require.ErrorIs(t, err, schema.ErrViolation)
		require.EqualError(t, err, "schema violation: /m has no rule")
	}
	_, covered := set.Rule("/m")
	require.False(t, covered)
	r, covered := set.Rule("/n")
	require.True(t, covered)
	require.Equal(t, "n", r.Name)
}

func TestNewTellsAllThatIsWrong(t *testing.T) {
	_, err := schema.New([]schema.Rule{
		{Path: "/a"},
		{Name: "twice", Path: "/a"},
		{Name: "twice", Path: "/b", Ephemeral: 7},
		{Name: "both", Path: "/c", Pattern: "/c"},
		{Name: "neither"},
		{Name: "slash", Path: "/d/"},
		{Name: "relative", Path: "e"},
		{Name: "dots", Path: "/e/../f"},
		{Name: "open", Pattern: "/a)(b"},
		{Name: "backwards", Pattern: "/(?<!a)b"},
		{Name: "first", Pattern: "/x.*"},
		{Name: "again", Pattern: "/x.*"},
		{Name: "who", Path: "/who", Who: []string{""}},
	}, nil)
	for _, want := range []string{
		"rule 0 \"\": has no name", "rule 1 \"twice\": has the path of an earlier one, /a", "rule 2 \"twice\": has the name", "Allowance(7)", "rule 3 \"both\"",
		"rule 4 \"neither\"", `"/d/"`, `"e"`, `"/e/../f"`, "rule 8 \"open\": error parsing regexp", "rule 9 \"backwards\"", "rule 11 \"again\": has the pattern",
		"rule 12 \"who\"",
	} {
		require.ErrorContains(t, err, want)
	}
	require.Len(t, strings.Split(err.Error(), "\n"), 13, "rule 2 is wrong twice, rule 10 is not")
}

// The whole path has to match, whatever the expression looks like.
func TestPatternsMatchTheWholePath(t *testing.T) {
	for _, pattern := range []string{"/a|/b", "(?i)/A|/B", "/[ab]", "^/a$|/b"} {
		set := mustSet(t, nil, schema.Rule{Name: "n", Pattern: pattern})
		for path, want := range map[string]bool{"/a": true, "/b": true, "/ab": false, "/a/b": false, "/x/b": false, "/a\n": false} {
			_, covered := set.Rule(path)
			require.Equal(t, want, covered, "%s %q", pattern, path)
		}
	}
}

const curators = `[
	{"name": "instance", "path": "/services/[^/]+", "isRegex": true, "schemaValidator": "full", "documentation": "who serves",
	 "ephemeral": "MUST", "sequential": "Cannot", "watched": "can", "canBeDeleted": true, "metadata": {"owner": "us"}},
	{"name": "config", "path": "/config/", "who": ["digest:ann"]},
	{"name": "all", "path": "/"}
]`

func TestLoad(t *testing.T) {
	rules, err := schema.Load(strings.NewReader(curators), map[string]schema.Validator{"full": notEmpty})
	require.NoError(t, err)
	require.ErrorIs(t, rules[0].Validate("/", nil), errEmpty)
	rules[0].Validate = nil
	require.Equal(t, []schema.Rule{
		{Name: "instance", Pattern: "/services/[^/]+", Doc: "who serves", Ephemeral: schema.Must, Sequential: schema.Cannot, Metadata: map[string]string{"owner": "us"}},
		{Name: "config", Path: "/config", Undeletable: true, Who: []string{"digest:ann"}},
		{Name: "all", Path: "/", Undeletable: true},
	}, rules)
	mustSet(t, nil, rules...)
}

func TestLoadTellsAllThatIsWrong(t *testing.T) {
	_, err := schema.Load(strings.NewReader(`[
		{"name": "a", "path": "/a", "schemaValidator": "full", "ephemeral": "maybe", "sequental": "must", "isregex": true},
		{"name": "b", "isRegex": "true", "canBeDeleted": 1, "metadata": {"n": 1}},
		{"path": "/c"}
	]`), map[string]schema.Validator{"full": nil})
	for _, want := range []string{
		`rule 0 "a": there is no validator "full"`, `"maybe"`, `there is no field "isregex"`, `there is no field "sequental"`,
		`rule 1 "b": has no path`, "isRegex:", "canBeDeleted:", "metadata:",
	} {
		require.ErrorContains(t, err, want)
	}
	require.Len(t, strings.Split(err.Error(), "\n"), 8, "that there is no name New tells")
	for _, text := range []string{``, `{}`, `[1]`, `[{}`} {
		_, err := schema.Load(strings.NewReader(text), nil)
		require.Error(t, err, text)
	}
	_, err = schema.Load(failing{}, nil)
	require.ErrorIs(t, err, errEmpty)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errEmpty }

func TestString(t *testing.T) {
	set := mustSet(t, nil,
		schema.Rule{Name: "instance", Pattern: "/s/[^/]+", Ephemeral: schema.Must, Doc: "who serves", Validate: notEmpty},
		schema.Rule{Name: "config", Path: "/config", Undeletable: true, Watched: schema.Cannot, Who: []string{"digest:ann", "x509"}},
	)
	require.Equal(t, `config: /config
  can be ephemeral, can be sequential, cannot be watched, cannot be deleted; by digest:ann, x509 only
instance: all that is /s/[^/]+
  who serves
  must be ephemeral, can be sequential, can be watched, can be deleted; data are checked
`, set.String())
}

// With a client: nothing that is refused is sent, and all else is.
func TestClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		e := ensembletest.Start(t, 1, nil)
		set := mustSet(t, &schema.Options{RefuseOthers: true},
			schema.Rule{Name: "services", Path: "/services", Undeletable: true, Ephemeral: schema.Cannot},
			schema.Rule{Name: "instances", Pattern: "/services/.*", Ephemeral: schema.Must, Validate: notEmpty, Who: []string{"digest:ann"}},
		)
		c, err := client.Connect(ctx, e.ConnectString(), &client.Options{Dialer: e.Dial, Check: set.Check})
		require.NoError(t, err)
		defer c.Close()
		create := func(path string, opts client.CreateOptions) error {
			_, err := c.Create(ctx, path, []byte("x"), &opts)
			return err
		}
		require.ErrorIs(t, create("/services/a", client.CreateOptions{Mode: client.Ephemeral}), schema.ErrViolation)
		require.NoError(t, c.AddAuth(ctx, "digest", []byte("ann:secret")))
		require.NoError(t, create("/services/a", client.CreateOptions{Mode: client.Ephemeral, Parents: client.ContainerParents}))
		require.NoError(t, create("/services/s-", client.CreateOptions{Mode: client.EphemeralSequential, Protected: true}))

		seen := e.Record()
		defer seen.Stop()
		sub, err := c.Sub("/services")
		require.NoError(t, err)
		for name, do := range map[string]func() error{
			"persistent": func() error { return create("/services/b", client.CreateOptions{}) },
			"parent":     func() error { return create("/other/b", client.CreateOptions{Parents: client.ContainerParents}) },
			"data":       func() error { _, err := c.Set(ctx, "/services/a", nil, 0); return err },
			"delete":     func() error { return c.Delete(ctx, "/services", client.AnyVersion) },
			"multi": func() error {
				_, err := c.Multi(ctx, client.CheckOp("/services", 0), client.CreateOp("/services/b", []byte("x"), nil))
				return err
			},
			"watch": func() error { _, _, _, err := c.GetW(ctx, "/elsewhere"); return err },
			"sub":   func() error { _, err := sub.Create(ctx, "/b", []byte("x"), nil); return err },
		} {
			err := do()
			require.ErrorIs(t, err, schema.ErrViolation, name)
			require.NotErrorIs(t, err, client.ErrUnknown, name)
			var failed *client.Error
			require.ErrorAs(t, err, &failed, name)
		}
		require.Empty(t, seen.Operations(ensembletest.Match{}), "nothing was sent")
	})
}

func BenchmarkCheck(b *testing.B) {
	var rules []schema.Rule
	for i := range 20 {
		rules = append(rules, schema.Rule{Name: fmt.Sprint("p", i), Pattern: fmt.Sprintf("/app%d/[^/]+/.*", i)}, schema.Rule{Name: fmt.Sprint("x", i), Path: fmt.Sprint("/x", i)})
	}
	set, err := schema.New(rules, nil)
	require.NoError(b, err)
	for _, path := range []string{"/x7", "/app0/a/b", "/app19/a/b"} {
		b.Run(path[1:], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = set.Check(client.Intent{Op: "create", Path: path})
			}
		})
	}
}
