package lost

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/ensemble/ensembletest/proxy"
)

// Nodes of a run.
const (
	canary = "/canary" // the client's, ephemeral
	secret = "/secret" // for one identity only
	dir    = "/d"      // in which nodes are created
	node   = "/e/n"    // which is changed
	marks  = "/marks"  // of MultiOnce
)

// An answer is what an operation returned, each kind its part.
type answer struct {
	paths []string // made, deleted, or read
	stat  client.Stat
	data  string
	found bool
	watch *client.Watch
}

// made is the i-th path of those, or none.
func (a answer) made(i int) string {
	if i >= len(a.paths) {
		return ""
	}
	return a.paths[i]
}

// A kind is an operation and what is known about it.
type kind struct {
	name      string
	opName    string // of its errors, as path is
	path      string
	ops       []proxy.Op  // what of it can be lost; first that which it is about
	nodes     []string    // that have to be there
	ephemeral bool        // it makes an ephemeral node
	exact     bool        // it finds out by itself what became of it
	cleans    bool        // and removes, in the background, what it is not sure of
	keeps     bool        // what it made is to stay when it is done
	read      bool        // it changes nothing
	closes    bool        // it is the session's end
	grants    bool        // it gives the client an identity
	parts     []string    // its error may name one of these instead of path
	refusing  client.Code // for which the servers refuse it; 0: they do not

	do func(ctx context.Context, c *client.Client) (answer, error)
	// times counts how often it took effect; wrong tells what no number of times explains.
	times func(s *story, after tree) (n int, wrong string)
	// right tells what is wrong with an answer, if it is done and nobody has touched anything else.
	right func(s *story, after tree) string
	// remains are the nodes that it has left, of those which it cleans up.
	remains func(t tree) []string
	// rival undoes what was done, or does it too; a rival that fails has changed nothing.
	rival func(ctx context.Context, w *client.Client, root string) error
	touch func(ctx context.Context, w *client.Client, root string) error // so that watches wake
}

// clean tells whether nothing is left to clean up.
func (k *kind) clean(s *story, t tree) bool {
	return !k.cleans || k.keeps && s.err == nil || len(k.remains(t)) == 0
}

var kinds = allKinds()

func allKinds() (all []*kind) {
	for _, protected := range []bool{false, true} {
		for _, o := range []client.CreateOptions{
			{}, {Mode: client.Ephemeral}, {Mode: client.PersistentSequential}, {Mode: client.EphemeralSequential}, {Mode: client.Container},
			{Mode: client.PersistentTTL, TTL: time.Hour}, {Mode: client.PersistentSequentialTTL, TTL: time.Hour},
			{Mode: client.EphemeralSequential, Parents: client.ContainerParents}, {Parents: client.PersistentParents},
		} {
			o.Protected = protected
			all = append(all, creating(o))
		}
	}
	own := creating(client.CreateOptions{Mode: client.PersistentSequential, Protected: true})
	own.name += ", own id"
	own.cleans = false
	own.do = func(ctx context.Context, c *client.Client) (answer, error) {
		made, err := c.Create(ctx, own.path, []byte("made"), &client.CreateOptions{
			Mode: client.PersistentSequential, Protected: true, ProtectionID: client.NewProtectionID()})
		return answer{paths: []string{made}}, err
	}
	refused := creating(client.CreateOptions{})
	refused.name, refused.nodes, refused.refusing, refused.rival = "create, refused", []string{dir, dir + "/n"}, client.ErrNodeExists, nil
	all = append(all, own, refused)
	all = append(all, setting(0), setting(client.AnyVersion), setting(7), deleting(0), deleting(client.AnyVersion), deleting(7), deletingTree(),
		settingACL(0), settingACL(client.AnyVersion))
	all = append(all, multis()...)
	all = append(all, reads()...)
	return append(all, addingAuth(), closing())
}

var modes = map[client.Mode]string{
	client.Persistent: "persistent", client.Ephemeral: "ephemeral", client.PersistentSequential: "persistent sequential",
	client.EphemeralSequential: "ephemeral sequential", client.Container: "container", client.PersistentTTL: "ttl",
	client.PersistentSequentialTTL: "ttl sequential",
}

func creating(o client.CreateOptions) *kind {
	in := dir
	k := &kind{name: "create " + modes[o.Mode], opName: "create", ops: []proxy.Op{proxy.OpCreate}, nodes: []string{dir}}
	if o.Parents != client.NoParents {
		k.name += ", parents"
		in = dir + "/p/q"
		k.parts = []string{dir + "/p", in}
	}
	sequential := strings.HasSuffix(modes[o.Mode], "sequential")
	k.ephemeral = strings.HasPrefix(modes[o.Mode], "ephemeral")
	k.path = in + "/n"
	if sequential {
		k.path += "-"
	}
	if o.Protected {
		k.name = "protected " + k.name
		k.ops = append(k.ops, proxy.OpSync, proxy.OpGetChildren, proxy.OpDelete)
		k.exact, k.cleans, k.keeps = true, true, true
	} else if !sequential && o.Parents == client.NoParents {
		k.rival = func(ctx context.Context, w *client.Client, root string) error {
			return w.Delete(ctx, root+k.path, client.AnyVersion)
		}
	}
	k.do = func(ctx context.Context, c *client.Client) (answer, error) {
		made, err := c.Create(ctx, k.path, []byte("made"), &o)
		return answer{paths: []string{made}}, err
	}
	k.times = func(s *story, after tree) (int, string) { return came(s.before, after, in), "" }
	k.remains = func(t tree) []string { return t.below(in) }
	k.right = func(s *story, after tree) string {
		return asMade(after, s.answer.made(0), k.path, k.ephemeral, sequential, o.Protected)
	}
	return k
}

// asMade tells what is wrong with a node that was made.
func asMade(t tree, made, asked string, ephemeral, sequential, protected bool) string {
	n, there := t[made]
	name := path.Base(made)
	if protected {
		_, rest, ok := client.ParseProtected(name)
		if !ok {
			return fmt.Sprintf("%s has no protected name", made)
		}
		name = rest
	}
	number, named := strings.CutPrefix(name, path.Base(asked))
	switch {
	case path.Dir(made) != path.Dir(asked) || !named || sequential != (len(number) == 10):
		return fmt.Sprintf("%s is no name for %s", made, asked)
	case !there:
		return fmt.Sprintf("%s is said to be made and is not there", made)
	case n.data != "made" || n.stat.Version != 0:
		return fmt.Sprintf("%s has %q in version %d", made, n.data, n.stat.Version)
	case ephemeral && n.stat.EphemeralOwner != t[canary].stat.EphemeralOwner, !ephemeral && n.stat.EphemeralOwner != 0:
		return fmt.Sprintf("%s is owned by %x", made, n.stat.EphemeralOwner)
	}
	return ""
}

func setting(version int32) *kind {
	k := &kind{name: "set" + versionName(version), opName: "set", path: node, ops: []proxy.Op{proxy.OpSetData}, nodes: []string{"/e", node}}
	switch {
	case version > 0:
		k.refusing = client.ErrBadVersion
	case version < 0: // with a version it would be refused, rightly
		k.rival = func(ctx context.Context, w *client.Client, root string) error {
			_, err := w.Set(ctx, root+node, []byte("rival"), client.AnyVersion)
			return err
		}
	}
	k.do = func(ctx context.Context, c *client.Client) (a answer, err error) {
		a.stat, err = c.Set(ctx, node, []byte("new"), version)
		return a, err
	}
	k.times = func(s *story, after tree) (int, string) {
		return int(after[node].stat.Version-s.before[node].stat.Version) - s.rivals, ""
	}
	k.right = func(s *story, after tree) string {
		if n := after[node]; n.data != "new" || n.stat != s.answer.stat {
			return fmt.Sprintf("%q and %+v were set, %+v was said", n.data, n.stat, s.answer.stat)
		}
		return ""
	}
	return k
}

// versionName tells the kinds apart that expect the right version, none, and a wrong one.
func versionName(version int32) string {
	switch version {
	case client.AnyVersion:
		return ", any version"
	case 0:
		return ", version"
	}
	return ", refused"
}

func deleting(version int32) *kind {
	k := &kind{name: "delete" + versionName(version), opName: "delete", path: node, ops: []proxy.Op{proxy.OpDelete}, nodes: []string{"/e", node}}
	if version > 0 {
		k.refusing = client.ErrBadVersion
	} else {
		k.rival = func(ctx context.Context, w *client.Client, root string) error {
			_, err := w.Create(ctx, root+node, []byte("rival"), nil)
			return err
		}
	}
	k.do = func(ctx context.Context, c *client.Client) (answer, error) {
		return answer{}, c.Delete(ctx, node, version)
	}
	k.times = func(s *story, after tree) (int, string) { return went(s.before, after, "/e"), "" }
	k.right = func(_ *story, after tree) string {
		if _, there := after[node]; there {
			return "it is still there"
		}
		return ""
	}
	return k
}

// deletingTree takes effect, for the judge, if it is done and all is gone, or if it is not, and more is gone than it says.
func deletingTree() *kind {
	const top = "/t"
	k := &kind{name: "deletetree", opName: "deletetree", path: top, ops: []proxy.Op{proxy.OpMulti, proxy.OpGetChildren, proxy.OpExists, proxy.OpDelete},
		nodes: []string{top, top + "/a", top + "/a/x", top + "/a/y", top + "/b"}}
	k.do = func(ctx context.Context, c *client.Client) (a answer, err error) {
		a.paths, err = c.DeleteTree(ctx, top, nil)
		return a, err
	}
	k.times = func(s *story, after tree) (int, string) {
		said := slices.Clone(s.answer.paths)
		slices.Sort(said)
		if len(slices.Compact(slices.Clone(said))) != len(said) {
			return 0, fmt.Sprintf("it says twice what it has deleted: %v", said)
		}
		left := after.within(top)
		for _, p := range said {
			if slices.Contains(left, p) {
				return 0, fmt.Sprintf("it says that %s is deleted", p)
			}
		}
		if s.err != nil {
			return min(1, len(k.nodes)-len(left)-len(said)), ""
		}
		if len(left) > 0 {
			return 0, ""
		}
		return 1, ""
	}
	k.right = func(s *story, after tree) string {
		if left := after.within(top); len(left) > 0 || len(s.answer.paths) != len(k.nodes) {
			return fmt.Sprintf("%v is left, %v is said to be deleted", left, s.answer.paths)
		}
		return ""
	}
	return k
}

func settingACL(version int32) *kind {
	k := &kind{name: "setacl" + versionName(version), opName: "setacl", path: node, ops: []proxy.Op{proxy.OpSetACL}, nodes: []string{"/e", node}}
	k.do = func(ctx context.Context, c *client.Client) (a answer, err error) {
		a.stat, err = c.SetACL(ctx, node, client.WorldACL(client.PermRead|client.PermAdmin), version)
		return a, err
	}
	k.times = func(s *story, after tree) (int, string) {
		return int(after[node].stat.Aversion - s.before[node].stat.Aversion), ""
	}
	k.right = func(s *story, after tree) string {
		if n := after[node]; n.stat != s.answer.stat {
			return fmt.Sprintf("%+v is there, %+v was said", n.stat, s.answer.stat)
		}
		return ""
	}
	return k
}

func multis() []*kind {
	const in, set, del, fresh = "/m", "/m/set", "/m/del", "/m/new"
	nodes := []string{in, set, del}
	sets := func(s *story, after tree) int { return int(after[set].stat.Version - s.before[set].stat.Version) }
	anyway := client.SetOp(set, []byte("new"), client.AnyVersion)
	multi := func(name string, once bool, ops ...client.Op) *kind {
		k := &kind{name: name, opName: "multi", ops: []proxy.Op{proxy.OpMulti}, nodes: nodes, parts: []string{in, set, del, fresh, marks}}
		k.do = func(ctx context.Context, c *client.Client) (answer, error) {
			if once {
				results, err := c.MultiOnce(ctx, marks, ops...)
				return answerOf(results), err
			}
			results, err := c.Multi(ctx, ops...)
			return answerOf(results), err
		}
		k.times = func(s *story, after tree) (int, string) { return sets(s, after), "" }
		if once {
			k.ops = append(k.ops, proxy.OpSync, proxy.OpExists, proxy.OpDelete, proxy.OpCreate)
			k.exact, k.cleans = true, true
			k.remains = func(t tree) []string { return t.below(marks) }
		}
		return k
	}
	mixed := []client.Op{client.CreateOp(fresh, []byte("made"), nil), anyway, client.DeleteOp(del, 0), client.CheckOp(in, client.AnyVersion)}
	whole := func(s *story, after tree) (int, string) {
		_, made := after[fresh]
		_, kept := after[del]
		n := sets(s, after)
		if made == kept || made != (n > 0) {
			return n, fmt.Sprintf("a transaction by halves: made %v, deleted %v, set %d times", made, !kept, n)
		}
		return n, ""
	}
	made := func(s *story, after tree) string { return asMade(after, s.answer.made(0), fresh, false, false, false) }

	plain := multi("multi", false, mixed...)
	plain.times, plain.right = whole, made
	again := multi("multi, repeatable", false, client.CreateOp("/m/p-", []byte("made"), &client.CreateOptions{Mode: client.PersistentSequential}),
		anyway, client.CreateOp("/m/e-", []byte("made"), &client.CreateOptions{Mode: client.EphemeralSequential}))
	again.ephemeral = true
	again.times = func(s *story, after tree) (int, string) {
		n := sets(s, after)
		if c := came(s.before, after, in); c != 2*n {
			return n, fmt.Sprintf("a transaction by halves: made %d, set %d times", c, n)
		}
		return n, ""
	}
	again.right = func(s *story, after tree) string {
		if wrong := asMade(after, s.answer.made(0), "/m/p-", false, true, false); wrong != "" {
			return wrong
		}
		return asMade(after, s.answer.made(1), "/m/e-", true, true, false)
	}
	refused := multi("multi, refused", false, anyway, client.CheckOp(set, 7))
	refused.refusing = client.ErrBadVersion
	once := multi("multi once", true, anyway)
	once.nodes = append(slices.Clone(nodes), marks)
	onceMixed := multi("multi once, mixed", true, mixed...)
	onceMixed.nodes = once.nodes // the third one makes marks
	onceMixed.times, onceMixed.right = whole, made
	onceRefused := multi("multi once, refused", true, anyway, client.CheckOp(set, 7))
	onceRefused.refusing = client.ErrBadVersion
	return []*kind{plain, again, refused, once, onceMixed, onceRefused}
}

// answerOf has the paths that a multi made.
func answerOf(results []client.Result) (a answer) {
	for _, r := range results {
		if r.Path != "" {
			a.paths = append(a.paths, r.Path)
		}
	}
	return a
}

// reading is an operation that changes nothing; right, unless it is nil, complains about an answer. A watch that it set is woken in the end.
func reading(name, at string, op proxy.Op, do func(ctx context.Context, c *client.Client) (answer, error), right func(s *story) string) *kind {
	k := &kind{name: name, opName: name, path: at, ops: []proxy.Op{op}, nodes: []string{"/e", node, node + "/a", node + "/b"}, read: true, do: do}
	k.times = func(*story, tree) (int, string) { return 0, "" }
	k.right = func(s *story, _ tree) string {
		if right == nil {
			return ""
		}
		return right(s)
	}
	k.touch = func(ctx context.Context, w *client.Client, root string) error {
		if _, err := w.Set(ctx, root+node, []byte("touched"), client.AnyVersion); err != nil {
			return err
		}
		for _, fresh := range []string{"/e/absent", node + "/c"} {
			if _, err := w.Create(ctx, root+fresh, nil, nil); err != nil {
				return err
			}
		}
		return nil
	}
	return k
}

// sameStat complains about an answer that is not about the node as it was.
func sameStat(s *story) string {
	if want := s.before[node].stat; s.answer.stat != want {
		return fmt.Sprintf("%s has %+v, %+v was said", node, want, s.answer.stat)
	}
	return ""
}

func sameData(s *story) string {
	if s.answer.data != "before" {
		return fmt.Sprintf("the data is said to be %q", s.answer.data)
	}
	return sameStat(s)
}

func isThere(s *story) string {
	if !s.answer.found {
		return "it is said not to be there"
	}
	return sameStat(s)
}

func isAbsent(s *story) string {
	if s.answer.found {
		return "it is said to be there"
	}
	return ""
}

func sameNames(s *story) string {
	slices.Sort(s.answer.paths)
	if !slices.Equal(s.answer.paths, []string{"a", "b"}) {
		return fmt.Sprintf("the children are said to be %v", s.answer.paths)
	}
	return sameStat(s)
}

func reads() []*kind {
	absent := reading("existsw", "/e/absent", proxy.OpExists, func(ctx context.Context, c *client.Client) (a answer, err error) {
		_, a.found, a.watch, err = c.ExistsW(ctx, "/e/absent")
		return a, err
	}, isAbsent)
	absent.name += ", absent"
	return []*kind{
		reading("get", node, proxy.OpGetData, func(ctx context.Context, c *client.Client) (a answer, err error) {
			data, stat, err := c.Get(ctx, node)
			return answer{data: string(data), stat: stat}, err
		}, sameData),
		reading("getw", node, proxy.OpGetData, func(ctx context.Context, c *client.Client) (a answer, err error) {
			data, stat, w, err := c.GetW(ctx, node)
			return answer{data: string(data), stat: stat, watch: w}, err
		}, sameData),
		reading("exists", node, proxy.OpExists, func(ctx context.Context, c *client.Client) (a answer, err error) {
			a.stat, a.found, err = c.Exists(ctx, node)
			return a, err
		}, isThere),
		reading("existsw", node, proxy.OpExists, func(ctx context.Context, c *client.Client) (a answer, err error) {
			a.stat, a.found, a.watch, err = c.ExistsW(ctx, node)
			return a, err
		}, isThere),
		absent,
		reading("children", node, proxy.OpGetChildren, func(ctx context.Context, c *client.Client) (a answer, err error) {
			a.paths, a.stat, err = c.Children(ctx, node)
			return a, err
		}, sameNames),
		reading("childrenw", node, proxy.OpGetChildren, func(ctx context.Context, c *client.Client) (a answer, err error) {
			a.paths, a.stat, a.watch, err = c.ChildrenW(ctx, node)
			return a, err
		}, sameNames),
		reading("acl", node, proxy.OpGetACL, func(ctx context.Context, c *client.Client) (a answer, err error) {
			acl, stat, err := c.ACL(ctx, node)
			if err == nil && !slices.Equal(acl, client.WorldACL(client.PermAll)) {
				return answer{}, nil // which sameStat refuses
			}
			return answer{stat: stat}, err
		}, sameStat),
		reading("sync", node, proxy.OpSync, func(ctx context.Context, c *client.Client) (answer, error) {
			return answer{}, c.Sync(ctx, node)
		}, nil),
	}
}

func addingAuth() *kind {
	return &kind{name: "addauth", opName: "addauth", ops: []proxy.Op{proxy.OpAuth}, grants: true,
		do: func(ctx context.Context, c *client.Client) (answer, error) {
			return answer{}, c.AddAuth(ctx, "digest", []byte("u:p"))
		},
		times: func(s *story, _ tree) (int, string) {
			if s.granted {
				return 1, ""
			}
			return 0, ""
		},
	}
}

func closing() *kind {
	return &kind{name: "close", opName: "close", ops: []proxy.Op{proxy.OpCloseSession}, closes: true,
		do: func(_ context.Context, c *client.Client) (answer, error) { return answer{}, c.Close() },
		times: func(_ *story, after tree) (int, string) {
			if _, there := after[canary]; there {
				return 0, ""
			}
			return 1, ""
		},
	}
}
