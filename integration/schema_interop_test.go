//go:build interop

package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/schema"
)

// Schemas that Curator takes, with all that decides which of them is meant.
var schemas = []string{
	`[]`,
	`[{"name": "a", "path": "/a"}]`,
	`[
		{"name": "any a", "path": "/a/.*", "isRegex": true, "ephemeral": "must", "sequential": "CANNOT", "watched": "must", "canBeDeleted": true},
		{"name": "a b", "path": "/a/b", "ephemeral": "cannot", "watched": "Cannot", "canBeDeleted": false},
		{"name": "one letter", "path": "/[a-c]", "isRegex": true, "schemaValidator": "even", "metadata": {"x": "y"}},
		{"name": "any", "path": "/[ab]/?.*|/c", "isRegex": true, "sequential": "must", "documentation": "d", "canBeDeleted": true}
	]`,
	`[
		{"name": "slash", "path": "/b/", "isRegex": false, "sequential": "must"},
		{"name": "b", "path": "/b|/c", "isRegex": true, "schemaValidator": "even", "ephemeral": "must", "sequential": "must", "watched": "cannot"},
		{"name": "hidden", "path": "/b.*", "isRegex": true, "canBeDeleted": true, "who": ["ip"]}
	]`,
}

// Our rules say what Curator's schemas say about the same, loaded from the same text.
func TestSchemasAreCurators(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	classPaths := []string{"CURATOR_CP"}
	if full() {
		classPaths = append(classPaths, "CURATOR38_CP")
	}
	for _, classPath := range classPaths {
		t.Run(classPath, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			curator := startCuratorContender(t, javaProgram(t, classPath, "Schemas", "schema/*"), "", "")
			even := map[string]schema.Validator{"even": func(_ string, data []byte) error {
				if len(data)%2 != 0 {
					return errors.New("odd")
				}
				return nil
			}}
			for i, text := range schemas {
				for _, others := range []bool{true, false} {
					curator.mustAnswer(t, fmt.Sprintf("load %v %x", others, text), "loaded")
					rules, err := schema.Load(strings.NewReader(text), even)
					require.NoError(t, err)
					set, err := schema.New(rules, &schema.Options{RefuseOthers: !others})
					require.NoError(t, err)
					said := make(map[string]int)
					var questions, want []string
					for range 400 {
						asked, intent := anIntent(r)
						answer := "yes"
						if err := set.Check(intent); err != nil {
							require.ErrorIs(t, err, schema.ErrViolation)
							answer = "no"
						}
						said[answer]++
						questions, want = append(questions, asked), append(want, answer)
					}
					got, err := curator.ask(strings.Join(questions, "|"))
					require.NoError(t, err)
					answers := strings.Split(got, "|")
					require.Len(t, answers, len(want))
					for n := range want {
						require.Equal(t, answers[n], want[n], "%s of %s", questions[n], text)
					}
					require.True(t, i < 2 || said["yes"] > 20 && said["no"] > 20, "%v", said)
				}
			}
			for _, text := range []string{`[{"path": "/a"}]`, `[{"name": "a"}]`, `[{"name": "a", "path": "/a", "watched": "may"}]`, `[{"name": "a", "path": "(", "isRegex": true}]`,
				`[{"name": "a", "path": "/a"}, {"name": "b", "path": "/a"}]`, `[{"name": "a", "path": "/a"}, {"name": "a", "path": "/b"}]`} {
				curator.mustAnswer(t, fmt.Sprintf("load true %x", text), "refused")
				rules, err := schema.Load(strings.NewReader(text), nil)
				if err == nil {
					_, err = schema.New(rules, nil)
				}
				require.Error(t, err, text)
			}
		})
	}
}

// anIntent is something a client may be about to do, and how Curator is asked about it.
func anIntent(r *rand.Rand) (asked string, i bwclient.Intent) {
	i.Path = []string{"/a", "/b", "/c", "/d", "/a/b", "/a/c", "/a/b/c", "/b/a", "/ab", "/cc", "/d/a"}[r.IntN(11)]
	i.Identities = []string{"ip"} // of which Curator does not know
	data := make([]byte, r.IntN(4))
	switch r.IntN(5) {
	case 0, 1:
		i.Op, i.Mode, i.Data = "create", bwclient.Mode(r.IntN(7)), data
		return fmt.Sprintf("create %x %d %x", i.Path, i.Mode, data), i
	case 2:
		i.Op, i.Data = "set", data
		return fmt.Sprintf("set %x %x", i.Path, data), i
	case 3:
		i.Op = "delete"
		return fmt.Sprintf("delete %x", i.Path), i
	}
	i.Op, i.Watch = "get", r.IntN(2) == 0
	if i.Watch {
		return fmt.Sprintf("watch %x", i.Path), i
	}
	return fmt.Sprintf("read %x", i.Path), i
}
