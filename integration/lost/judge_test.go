package lost

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
)

const (
	own   = 7 // the client's session
	uuid  = "_c_00000000-0000-4000-8000-000000000000-"
	uuid2 = "_c_00000000-0000-4000-8000-000000000001-"
)

// kindOf finds a kind by its name.
func kindOf(t *testing.T, name string) *kind {
	t.Helper()
	for _, k := range kinds {
		if k.name == name {
			return k
		}
	}
	t.Fatalf("there is no kind %q", name)
	return nil
}

// before is the tree of a run that has not begun.
func before(k *kind) tree {
	t := tree{"": {}, canary: {stat: client.Stat{EphemeralOwner: own}}}
	for _, p := range k.nodes {
		t[p] = znode{data: "before"}
	}
	return t
}

// A change is something that happens to a tree.
type change func(t tree)

// after is what changes make of a tree.
func after(t tree, changes ...change) tree {
	t = maps.Clone(t)
	for _, c := range changes {
		c(t)
	}
	return t
}

func counted(t tree, dir string, children int32) {
	n := t[dir]
	n.stat.Cversion++
	n.stat.NumChildren += int(children)
	t[dir] = n
}

func parent(p string) string { return p[:strings.LastIndexByte(p, '/')] }

func makes(p string) change {
	return func(t tree) {
		counted(t, parent(p), 1)
		t[p] = znode{data: "made"}
	}
}

func makesEphemeral(p string) change {
	return func(t tree) {
		makes(p)(t)
		t[p] = znode{data: "made", stat: client.Stat{EphemeralOwner: own}}
	}
}

func deletes(p string) change {
	return func(t tree) {
		counted(t, parent(p), -1)
		delete(t, p)
	}
}

func sets(p, data string) change {
	return func(t tree) {
		n := t[p]
		n.data, n.stat.Version = data, n.stat.Version+1
		t[p] = n
	}
}

func setsACL(p string) change {
	return func(t tree) {
		n := t[p]
		n.stat.Aversion++
		t[p] = n
	}
}

// closes is the end of the client.
func closes(t tree) {
	for p, n := range t {
		if n.stat.EphemeralOwner == own {
			deletes(p)(t)
		}
	}
}

var (
	errLost    = fmt.Errorf("%w: %w", client.ErrUnknown, client.ErrConnectionLoss)
	errUnsure  = fmt.Errorf("%w: %w", client.ErrUnknown, errLeft)
	errExpired = fmt.Errorf("%w: %w: %w", client.ErrUnknown, client.ErrConnectionLoss, client.ErrSessionExpired)
)

// TestJudge has one story a case: what was said, what happened, and what of it must be noticed. What happened is, and the client closed,
// at the end; more tells what came after the call had returned.
func TestJudge(t *testing.T) {
	struck := story{strikes: 1}
	left := story{strikes: 1, left: true}
	ended := story{strikes: 1, ended: true}
	said := func(s story, paths ...string) story { s.answer.paths = paths; return s }
	stat := func(v, a int32) story {
		return story{strikes: 1, answer: answer{stat: client.Stat{Version: v, Aversion: a}}}
	}
	rival := func(s story) story { s.rivals = 1; return s }
	all := []string{"/t/a/x", "/t/a/y", "/t/a", "/t/b", "/t"}
	fell := []change{deletes("/t/a/x"), deletes("/t/a/y"), deletes("/t/a"), deletes("/t/b"), deletes("/t")}
	whole := []change{makes("/m/new"), sets("/m/set", "new"), deletes("/m/del")}
	for _, c := range []struct {
		kind, want string
		story      story
		err        error
		happened   []change
		more       []change
	}{
		{"create persistent", "", said(struck, "/d/n"), nil, []change{makes("/d/n")}, nil},
		{"create persistent", "took effect 0 times", said(struck, "/d/n"), nil, nil, nil},
		{"create persistent", "took effect 2 times", said(struck, "/d/n"), nil, []change{makes("/d/n"), deletes("/d/n"), makes("/d/n")}, nil},
		{"create persistent", "took effect 2 times in the end", rival(said(struck, "/d/n")), nil, []change{makes("/d/n")}, []change{deletes("/d/n"), makes("/d/n")}},
		{"create persistent", "is not there", said(struck, "/d/n"), nil, []change{makes("/d/n"), deletes("/d/n")}, nil},
		{"create persistent", "has \"before\"", said(struck, "/d/n"), nil, []change{makes("/d/n"), func(t tree) { t["/d/n"] = znode{data: "before"} }}, nil},
		{"create persistent", "is owned by", said(struck, "/d/n"), nil, []change{makesEphemeral("/d/n")}, nil},
		{"create persistent", "is no name for", said(struck, "/d/o"), nil, []change{makes("/d/o")}, nil},
		{"create persistent", "", struck, errLost, []change{makes("/d/n")}, nil},
		{"create persistent", "", struck, errLost, nil, nil},
		{"create persistent", "", struck, errLost, nil, []change{makes("/d/n")}},
		{"create persistent", "took effect 2 times", struck, errLost, []change{makes("/d/n")}, []change{deletes("/d/n"), makes("/d/n")}},
		{"create persistent", "there is no reason", struck, client.ErrNodeExists, nil, nil},
		{"create persistent", "took effect 1 times", struck, client.ErrNodeExists, []change{makes("/d/n")}, nil},
		{"create persistent", "there is no reason", story{}, errLost, nil, nil},
		{"create persistent", "there is no reason", struck, errUnsure, nil, nil},
		{"create persistent", "", left, errUnsure, nil, nil},
		{"create persistent", "", left, errLeft, nil, nil},
		{"create persistent", "took effect 1 times", left, errLeft, nil, []change{makes("/d/n")}},
		{"create persistent", "there is no reason", struck, errLeft, nil, nil},
		{"create persistent", "there is no reason", struck, client.ErrSessionExpired, nil, nil},
		{"create persistent", "", ended, client.ErrSessionExpired, nil, nil},
		{"create persistent", "took effect 1 times", ended, client.ErrSessionExpired, []change{makes("/d/n")}, nil},
		{"create, refused", "", struck, client.ErrNodeExists, nil, nil},
		{"create, refused", "has to be refused", said(struck, "/d/n"), nil, nil, nil},
		{"create ephemeral", "", said(struck, "/d/n"), nil, []change{makesEphemeral("/d/n")}, nil},
		{"create ephemeral", "is owned by 0", said(struck, "/d/n"), nil, []change{makes("/d/n")}, nil},
		{"create ephemeral", "outlives its session", said(struck, "/d/n"), nil, []change{makesEphemeral("/d/n")}, []change{func(t tree) {
			t["/d/left"] = znode{stat: client.Stat{EphemeralOwner: own + 1}}
		}}},
		{"create persistent sequential", "took effect 2 times", said(struck, "/d/n-0000000001"), nil, []change{makes("/d/n-0000000000"), makes("/d/n-0000000001")}, nil},
		{"create persistent sequential", "took effect 2 times", struck, errLost, []change{makes("/d/n-0000000000"), makes("/d/n-0000000001")}, nil},
		{"create ephemeral sequential", "took effect 2 times", struck, errLost, []change{makesEphemeral("/d/n-0000000000")}, []change{makesEphemeral("/d/n-0000000001")}},

		{"protected create persistent", "", said(struck, "/d/"+uuid+"n"), nil, []change{makes("/d/" + uuid + "n")}, nil},
		{"protected create persistent", "no protected name", said(struck, "/d/n"), nil, []change{makes("/d/n")}, nil},
		{"protected create persistent sequential", "took effect 2 times", said(struck, "/d/"+uuid+"n-0000000001"), nil,
			[]change{makes("/d/" + uuid + "n-0000000000"), makes("/d/" + uuid + "n-0000000001")}, nil},
		{"protected create persistent", "could have found out", struck, errLost, nil, nil},
		{"protected create persistent", "", left, errUnsure, nil, nil},
		{"protected create persistent", "it has left", left, errUnsure, nil, []change{makes("/d/" + uuid + "n")}},
		{"protected create persistent", "", left, errUnsure, []change{makes("/d/" + uuid + "n")}, []change{deletes("/d/" + uuid + "n")}},
		{"protected create persistent", "took effect 2 times", left, errUnsure, nil, []change{
			makes("/d/" + uuid + "n"), deletes("/d/" + uuid + "n"), makes("/d/" + uuid2 + "n"), deletes("/d/" + uuid2 + "n"),
		}},
		{"protected create ephemeral", "it has left", left, errUnsure, nil, []change{makesEphemeral("/d/" + uuid + "n")}},
		{"protected create ttl", "it has left", ended, errExpired, nil, []change{makes("/d/" + uuid + "n")}},
		{"protected create persistent sequential, own id", "", left, errUnsure, nil, []change{makes("/d/" + uuid + "n-0000000000")}},

		{"set, version", "", stat(1, 0), nil, []change{sets(node, "new")}, nil},
		{"set, version", "was said", stat(2, 0), nil, []change{sets(node, "new")}, nil},
		{"set, version", "there is no reason", struck, client.ErrBadVersion, []change{sets(node, "new")}, nil},
		{"set, any version", "took effect 2 times", stat(2, 0), nil, []change{sets(node, "new"), sets(node, "new")}, nil},
		{"set, any version", "took effect 2 times in the end", stat(1, 0), nil, []change{sets(node, "new")}, []change{sets(node, "new")}},
		{"set, any version", "", rival(struck), errLost, []change{sets(node, "new"), sets(node, "rival")}, nil},
		{"set, any version", "took effect 2 times", rival(struck), errLost, []change{sets(node, "new"), sets(node, "rival"), sets(node, "new")}, nil},
		{"set, refused", "has to be refused", struck, errLost, []change{sets(node, "new")}, nil},
		{"delete, version", "", struck, nil, []change{deletes(node)}, nil},
		{"delete, version", "there is no reason", struck, client.ErrNoNode, []change{deletes(node)}, nil},
		{"delete, any version", "took effect 2 times", rival(struck), errLost, []change{deletes(node), makes(node), deletes(node)}, nil},
		{"delete, any version", "still there", struck, nil, []change{deletes(node), makes(node)}, nil},
		{"setacl, any version", "", stat(0, 1), nil, []change{setsACL(node)}, nil},
		{"setacl, any version", "took effect 2 times", struck, errLost, []change{setsACL(node), setsACL(node)}, nil},
		{"deletetree", "", said(struck, all...), nil, fell, nil},
		{"deletetree", "took effect 0 times", said(struck, all[:4]...), nil, fell[:4], nil},
		{"deletetree", "is said to be deleted", said(struck, all[:4]...), nil, fell, nil},
		{"deletetree", "says twice", said(struck, append(all, "/t")...), nil, fell, nil},
		{"deletetree", "", said(left, all[:2]...), errLeft, fell[:2], nil},
		{"deletetree", "took effect 1 times", said(left, all[:2]...), errLeft, fell[:3], nil},
		{"deletetree", "says that /t/b is deleted", said(left, "/t/b"), errLeft, nil, nil},

		{"multi", "", said(struck, "/m/new"), nil, whole, nil},
		{"multi", "by halves", said(struck, "/m/new"), nil, whole[:2], nil},
		{"multi", "there is no reason", struck, client.ErrNodeExists, whole, nil},
		{"multi, repeatable", "took effect 2 times", struck, errLost, []change{
			makes("/m/p-0000000000"), makesEphemeral("/m/e-0000000001"), sets("/m/set", "new"),
			makes("/m/p-0000000002"), makesEphemeral("/m/e-0000000003"), sets("/m/set", "new"),
		}, nil},
		{"multi once", "", struck, nil, []change{sets("/m/set", "new")}, nil},
		{"multi once", "it has left", struck, nil, []change{makes("/marks"), sets("/m/set", "new"), makesEphemeral("/marks/" + uuid + "mark")}, nil},
		{"multi once", "took effect 2 times", struck, nil, []change{sets("/m/set", "new"), sets("/m/set", "new")}, nil},
		{"multi once", "could have found out", struck, errLost, nil, nil},
		{"multi once", "it has left", left, errUnsure, nil, []change{makes("/marks"), makes("/marks/" + uuid + "mark")}},

		{"get", "", story{strikes: 1, answer: answer{data: "before"}}, nil, nil, nil},
		{"get", "the data is said to be", story{strikes: 1, answer: answer{data: "other"}}, nil, nil, nil},
		{"get", "a read is done or not", struck, errLost, nil, nil},
		{"get", "there is no reason", struck, client.ErrConnectionLoss, nil, nil},
		{"exists", "not to be there", struck, nil, nil, nil},
		{"childrenw", "children are said to be", said(struck, "a"), nil, nil, nil},
		{"addauth", "took effect 0 times", struck, nil, nil, nil},
		{"addauth", "", story{strikes: 1, granted: true}, nil, nil, nil},
		{"addauth", "took effect 1 times", story{strikes: 1, left: true, granted: true}, errLeft, nil, nil},
		{"close", "took effect 0 times", struck, nil, nil, nil},
		{"close", "", struck, nil, []change{closes}, nil},
		{"close", "", struck, errLost, nil, nil},
	} {
		k := kindOf(t, c.kind)
		s := c.story
		if c.err != nil {
			s.err = &client.Error{Op: k.opName, Path: k.path, Err: c.err}
		}
		s.before = before(k)
		s.soon = after(s.before, c.happened...)
		s.calm = after(s.soon, c.more...)
		s.late = after(s.calm, closes)
		wrong := strings.Join(verdict(k, &s), "; ")
		if c.want == "" {
			require.Empty(t, wrong, "%s, %v", c.kind, c.err)
		} else {
			require.Contains(t, wrong, c.want, "%s, %v", c.kind, c.err)
		}
	}
}

// What an error says about itself counts too.
func TestJudgeOfWords(t *testing.T) {
	k := kindOf(t, "set, version")
	for want, err := range map[string]error{
		"no *client.Error":        errLost,
		"about \"setdata\"":       &client.Error{Op: "setdata", Path: node, Err: errLost},
		"about the path \"/e/o\"": &client.Error{Op: "set", Path: "/e/o", Err: errLost},
		"about the path \"\"":     &client.Error{Op: "set", Err: errLost},
	} {
		s := story{strikes: 1, err: err, before: before(k)}
		s.late = after(s.before, closes)
		require.Contains(t, strings.Join(verdict(k, &s), "; "), want)
	}
}

// A seed makes one plan; seeds in a row have all kinds of operations.
func TestPlans(t *testing.T) {
	w := &World{Client: client.Options{SessionTimeout: 10}}
	seen := map[string]bool{}
	for seed := range uint64(len(kinds)) {
		p := NewPlan(seed, w)
		require.Equal(t, p.String(), NewPlan(seed, w).String())
		require.NotEqual(t, p.end, told, "nobody can")
		seen[p.kind.name] = true
	}
	require.Len(t, seen, len(kinds), "and each has a name of its own")
}
