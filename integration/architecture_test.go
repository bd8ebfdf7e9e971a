package integration

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/bellwether-zk/bellwether"

// A room is one package (or, ending in /..., a folder of them) and what it may import directly besides the standard library.
type room struct {
	name   string
	may    []string // rooms of this module
	beyond []string // prefixes of other modules' packages
	pure   bool     // a machine: no goroutines' tools, clocks, sockets, files
	why    string
}

const in = "ensemble/internal/"

func internal(names ...string) []string {
	for i, n := range names {
		names[i] = in + n
	}
	return names
}

var (
	words  = internal("jute", "znode", "wire", "txn", "packet")
	organs = internal("request", "session", "auth", "propose", "tree", "watch", "quorum", "election", "zab")

	otel = []string{"go.opentelemetry.io/otel"}

	// public is what programs import.
	public = append(under("recipes/", "barrier", "cache", "counter", "discovery", "discovery/catalog", "discovery/choose", "discovery/grpcresolver",
		"discovery/health", "discovery/promsd", "discovery/transport", "group", "job", "leader", "lease", "lock", "lock/fence", "node", "partition", "queue", "ticket"),
		"client", "client/typed", "client/schema", "client/migrate", "ensemble", "ensemble/ensembletest")
)

// recipes are what each recipe may enter, and some others.
func recipes(names ...string) []string {
	return append(under("recipes/", names...), "client", "recipes/internal/telemetry", "recipes/internal/retry")
}

func under(dir string, names ...string) (rooms []string) {
	for _, name := range names {
		rooms = append(rooms, dir+name)
	}
	return rooms
}

// The picture of the house. A package that is not in it fails the test, so that nobody adds a room without saying where it
// stands.
var house = []room{
	{name: in + "jute", pure: true, why: "the encoding stands on nothing"},
	{name: in + "znode", may: internal("jute"), pure: true, why: "the vocabulary needs only the encoding"},
	{name: in + "wire", may: internal("jute", "znode"), pure: true, why: "words are data and encoding only"},
	{name: in + "txn", may: internal("jute", "znode", "wire"), pure: true, why: "words are data and encoding only"},
	{name: in + "packet", may: internal("jute", "znode", "wire"), pure: true, why: "words are data and encoding only"},

	{name: in + "request", may: words, pure: true, why: "an organ speaks in words"},
	{name: in + "session", may: words, pure: true, why: "an organ speaks in words"},
	{name: in + "auth", may: words, pure: true, why: "an organ speaks in words"},
	{name: in + "tree", may: words, pure: true, why: "an organ speaks in words"},
	{name: in + "quorum", may: words, pure: true, why: "a membership is a value"},
	{name: in + "election", may: append(internal("quorum"), words...), pure: true, why: "votes are words, and a quorum decides"},
	{name: in + "watch", may: append(internal("request"), words...), pure: true, why: "watches belong to connections, which request names"},
	{name: in + "propose", may: append(internal("request", "tree", "auth"), words...), pure: true, why: "a plan is made of a request, the tree and who asks"},
	{name: in + "zab", may: append(internal("quorum"), words...), pure: true, why: "an organ; it counts with quorum, and speaks in packets"},
	{name: in + "peers", may: append(internal("quorum"), words...), pure: true, why: "who dials whom follows from who there is"},
	{name: in + "replica", may: append(organs, words...), pure: true, why: "a replica is the organs composed, and no I/O"},

	{name: in + "dialogue", may: words, pure: true, why: "who overhears a client and a server understands their words, and no more"},

	{name: in + "disk", beyond: []string{"golang.org/x/sys"}, why: "the file system knows nothing of ZooKeeper"},
	{name: in + "memnet", why: "a network knows nothing of ZooKeeper"},
	{name: in + "txnlog", may: append(internal("disk"), words...), why: "a sense: words and the disk"},
	{name: in + "snapshot", may: append(internal("disk"), words...), beyond: []string{"github.com/klauspost/compress"}, why: "a sense: words and the disk"},
	{name: in + "store", may: append(internal("disk", "txnlog", "snapshot"), words...), why: "the senses of one data directory; it meets organs only in server"},
	{name: in + "image", may: append(internal("tree", "snapshot", "txnlog"), words...), why: "a tree on its way between memory, disk and another server: the one room between senses and organs"},
	{name: in + "front", may: append(internal("request"), words...), why: "a sense: words, and the order of answers"},
	{name: in + "link", may: append(internal("quorum", "peers"), words...), why: "a sense: words, and the machine that says which connection survives"},
	{name: in + "admin", may: words, why: "sees one View that server makes, nothing else"},
	{name: in + "rawclient", may: words, why: "the protocol from the other side"},
	{name: in + "differential", may: append(internal("rawclient"), words...), why: "compares servers from outside"},

	{name: in + "server", may: append(internal("replica", "store", "image", "link", "front", "admin", "disk", "memnet", "snapshot", "txnlog"), append(organs, words...)...), why: "the one place where organs and senses meet"},
	{name: in + "zoocfg", may: words, why: "reads a file's text; server takes what it says"},
	{name: in + "inside", may: internal("server", "memnet"), why: "the door between ensemble and ensembletest opens on the server and its network"},
	{name: "ensemble", may: append(internal("inside", "server", "memnet", "disk", "txnlog", "snapshot", "store", "front", "replica"), append(organs, words...)...), why: "the public face of server, whose parts' options it fills in"},
	{name: "ensemble/ensembletest/proxy", may: append(internal("dialogue", "memnet"), words...), why: "stands between any client and any server, and imports neither"},
	{name: "ensemble/ensembletest", may: append([]string{"ensemble", "client", "ensemble/ensembletest/proxy"}, internal("inside", "server", "memnet", "disk", "txnlog", "tree", "watch", "znode")...), beyond: []string{"github.com/cenkalti/backoff/v4"}, why: "servers for other people's tests: the public packages, the disk and the network below to break them, and the state to look at"},
	{name: "ensemble/ensembletest/trouble", may: []string{"client", "ensemble/ensembletest", "ensemble/ensembletest/proxy"}, why: "breaks what there is to break, by the public packages alone"},
	{name: "ensemble/ensembletest/history", may: []string{"client"}, beyond: []string{"github.com/anishathalye/porcupine"}, why: "what clients were told, judged without knowing any server"},
	{name: "ensemble/ensembletest/conformance", may: append(internal("rawclient"), words...), why: "asks any server in the protocol itself, and knows none"},
	{name: "ensemble/sim/clock", pure: true, why: "the time of a simulated world stands on nothing"},
	{name: "ensemble/sim/judge", may: append([]string{"ensemble/sim/clock"}, words...), beyond: []string{"github.com/anishathalye/porcupine"}, pure: true, why: "who judges an ensemble must not share its organs' mistakes"},
	{name: "ensemble/sim/workload", may: append([]string{"ensemble/sim/clock", "ensemble/sim/judge"}, words...), pure: true, why: "a client knows the protocol, and the history it writes"},
	{name: "ensemble/sim/plan", may: []string{"ensemble/sim/clock"}, pure: true, why: "what shall go wrong is data"},
	{name: "ensemble/sim", may: append(append([]string{"ensemble/sim/clock", "ensemble/sim/judge", "ensemble/sim/workload", "ensemble/sim/plan"}, internal("replica", "store", "image", "peers", "disk", "snapshot", "txnlog")...), append(organs, words...)...), pure: true, why: "the simulator is what package server is, without goroutines, clock and sockets"},
	{name: "ensemble/cmd/bellwether", may: append(append([]string{"ensemble"}, internal("zoocfg", "rawclient", "server")...), words...), beyond: []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/jedib0t/go-pretty"}, why: "flags, signals, exit codes"},

	{name: "client", beyond: append([]string{"github.com/go-zookeeper/zk", "github.com/cenkalti/backoff/v4"}, otel...), why: "a service that imports a lock must not drag in a server"},
	{name: "client/typed", may: []string{"client"}, beyond: []string{"github.com/cenkalti/backoff/v4"}, why: "types stand on the client alone"},
	{name: "client/schema", may: []string{"client"}, why: "rules about what a client is about to do"},
	{name: "client/migrate", may: []string{"client"}, why: "a recipe would be a lock, and the transaction is one"},
	{name: "recipes/internal/telemetry", may: []string{"client"}, beyond: otel, why: "what recipes are seen by is made of what the client was given"},
	{name: "recipes/internal/telemetry/telemetrytest", beyond: otel, why: "keeps what it is told, whoever tells it"},
	{name: "recipes/internal/retry", may: []string{"client"}, why: "what may be tried again is told by what the client's errors say"},
	{name: "recipes/ticket", may: recipes(), beyond: otel, why: "recipes stand on the client alone"},
	{name: "recipes/lock", may: recipes("ticket"), beyond: otel, why: "who stands first in line holds"},
	{name: "recipes/lock/fence", why: "what a lock protects knows tokens, and no lock"},
	{name: "recipes/leader", may: recipes("ticket"), beyond: otel, why: "who stands first in line leads"},
	{name: "recipes/node", may: recipes(), beyond: append([]string{"github.com/cenkalti/backoff/v4"}, otel...), why: "recipes stand on the client alone"},
	{name: "recipes/barrier", may: recipes("ticket"), beyond: otel, why: "who comes says who it is as who stands in line does"},
	{name: "recipes/counter", may: append(recipes("lock", "ticket"), "client/typed"), beyond: otel, why: "a value among types, and a lock for those who are beaten"},
	{name: "recipes/cache", may: recipes(), beyond: otel, why: "recipes stand on the client alone"},
	{name: "recipes/queue", may: recipes("ticket"), beyond: otel, why: "a queue, and lines of those who wait"},
	{name: "recipes/job", may: recipes("leader", "ticket"), beyond: otel, why: "who leads runs it, and says who it is"},
	{name: "recipes/lease", may: recipes("ticket"), beyond: otel, why: "who stands first in line looks at a lease"},
	{name: "recipes/group", may: recipes("cache", "node"), beyond: otel, why: "nodes that live while members do, and a mirror of them"},
	{name: "recipes/partition", may: recipes("cache", "group", "lock", "node", "ticket"), beyond: otel, why: "a group divides what is held by locks"},
	{name: "recipes/discovery", may: recipes("cache", "node"), beyond: otel, why: "an instance is a node that lives while its process does, and a view of them a mirror"},
	{name: "recipes/discovery/health", why: "a check asks the instance, and knows nothing of where it is listed"},
	{name: "recipes/discovery/choose", may: recipes("discovery"), why: "who chooses knows who there is"},
	{name: "recipes/discovery/catalog", may: []string{"client", "recipes/discovery"}, why: "a door to HTTP, on discovery"},
	{name: "recipes/discovery/promsd", may: []string{"client", "recipes/discovery"}, why: "a door to Prometheus, on discovery"},
	{name: "recipes/discovery/transport", may: recipes("discovery", "discovery/choose"), why: "a door from HTTP, on discovery, and who chooses"},
	{name: "recipes/discovery/grpcresolver", may: []string{"client", "recipes/discovery"}, beyond: []string{"github.com/cenkalti/backoff/v4", "google.golang.org/grpc"}, why: "a door to gRPC, on discovery"},
	{name: "integration/...", may: append(public, "ensemble/ensembletest/proxy", "ensemble/ensembletest/history", "ensemble/ensembletest/conformance"), beyond: []string{"github.com/cenkalti/backoff/v4", "github.com/go-zookeeper/zk"}, why: "black box: public packages only"},
	{name: "examples/...", may: public, why: "examples show the public packages"},
}

// impure is what a machine must not import: with it come goroutines, clocks, sockets, files or hidden state.
var impure = []string{"context", "log", "log/slog", "math/rand", "net", "net/http", "os", "sync/atomic", "syscall", "time", "crypto/rand"}

func roomOf(pkg string) *room {
	for i := range house {
		name := house[i].name
		if name == pkg || strings.HasSuffix(name, "/...") && strings.HasPrefix(pkg+"/", strings.TrimSuffix(name, "...")) {
			return &house[i]
		}
	}
	return nil
}

func TestArchitecture(t *testing.T) {
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	files := 0
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && file != root) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		files++
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		checkFile(t, file, filepath.ToSlash(rel))
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, files, 20, "the walk found the source")
}

func checkFile(t *testing.T, file, rel string) {
	pkg := path.Dir(rel)
	r := roomOf(pkg)
	if r == nil {
		t.Errorf("%s: package %s stands nowhere in the picture of the house; give it a room in architecture_test.go", rel, pkg)
		return
	}
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	if n := concurrent(parsed); r.pure && n != nil {
		t.Errorf("%s: a machine has no goroutine and no channel (%s)", fset.Position(n.Pos()), r.why)
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		if reason := r.refuses(imported); reason != "" {
			t.Errorf("%s imports %s: %s (%s)", rel, imported, reason, r.why)
		}
	}
}

// concurrent is where a file starts a goroutine, or has a channel; nil if it does not.
func concurrent(file *ast.File) (found ast.Node) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
			found = n
		}
		return found == nil
	})
	return found
}

// refuses says why r may not import a package, or nothing.
func (r *room) refuses(imported string) string {
	switch inner, ours := strings.CutPrefix(imported, module+"/"); {
	case ours:
		if !slices.Contains(r.may, inner) && roomOf(inner) != r {
			return "not among the rooms it may enter: " + strings.Join(r.may, ", ")
		}
	case strings.Contains(strings.SplitN(imported, "/", 2)[0], "."):
		for _, prefix := range r.beyond {
			if imported == prefix || strings.HasPrefix(imported, prefix+"/") {
				return ""
			}
		}
		return "not among the modules it may use"
	case r.pure && slices.Contains(impure, imported):
		return "a machine has no goroutine, clock, socket, file or hidden state"
	}
	return ""
}

// The test itself must be able to fail.
func TestArchitectureRefuses(t *testing.T) {
	for pkg, imported := range map[string]string{
		in + "tree":    module + "/" + in + "disk",
		in + "propose": "time",
		"client":       module + "/ensemble",
		"recipes/lock": "github.com/stretchr/testify/require",
		in + "front":   module + "/" + in + "tree",
	} {
		require.NotEmpty(t, roomOf(pkg).refuses(imported), "%s must not import %s", pkg, imported)
	}
	for text, want := range map[string]bool{"go f()": true, "var c chan int; _ = c": true, "select {}": true, "f()": false} {
		parsed, err := parser.ParseFile(token.NewFileSet(), "", "package p; func f() { "+text+" }", 0)
		require.NoError(t, err)
		require.Equal(t, want, concurrent(parsed) != nil, text)
	}
	require.Nil(t, roomOf("ensemble/internal/util"))
	require.Empty(t, roomOf("client").refuses("github.com/go-zookeeper/zk"))
	require.Empty(t, roomOf(in+"wire").refuses(module+"/"+in+"jute"))
}

// What may come with the client and the recipes, however far below: these modules, and the standard library. Of OpenTelemetry it is the API;
// SDK and exporters are modules of their own. xxhash is what the API hashes attributes with.
var light = []string{
	"github.com/go-zookeeper/zk",
	"github.com/cenkalti/backoff/v4",
	"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/metric", "go.opentelemetry.io/otel/trace",
	"github.com/cespare/xxhash/v2",
}

// Doors lead to what others have built, and have that below them, of one module each. Nobody in the house goes through them.
var doors = map[string]string{
	"recipes/discovery/grpcresolver": "google.golang.org/grpc",
}

// A service that imports a lock, or discovery, drags in nothing else: no server, no SDK, no gRPC, whatever the modules above come to import
// one day.
func TestClientAndRecipesStayLight(t *testing.T) {
	var rooms []string
	for pkg := range dependencies(t, "./client/...", "./recipes/...") {
		if inner, ours := strings.CutPrefix(pkg, module+"/"); ours && doors[inner] == "" {
			rooms = append(rooms, "./"+inner)
		}
	}
	found := dependencies(t, rooms...)
	require.Contains(t, found, "github.com/go-zookeeper/zk", "the list is one")
	for _, heavy := range found.heavy() {
		t.Errorf("%s must not be there: %s", heavy, strings.Join(found.way(heavy), " → "))
	}
}

// Each door has behind it what it is named for.
func TestDoors(t *testing.T) {
	for door, leadsTo := range doors {
		found := dependencies(t, "./"+door)
		require.True(t, slices.ContainsFunc(found.heavy(), func(pkg string) bool { return found[pkg].module == leadsTo }), door)
	}
}

// A service that registers itself, or looks others up and chooses one, and goes through no door has none in it.
func TestDiscoveryHasNoDoors(t *testing.T) {
	for pkg := range dependencies(t, "./recipes/discovery", "./recipes/discovery/choose") {
		inner, _ := strings.CutPrefix(pkg, module+"/recipes/discovery/")
		require.NotContains(t, []string{"catalog", "grpcresolver", "health", "promsd", "transport"}, inner)
	}
}

// The test itself must be able to fail.
func TestHeavyIsFound(t *testing.T) {
	found := dependencies(t, "./ensemble")
	require.Contains(t, found.heavy(), module+"/ensemble/internal/tree")
	require.Contains(t, found.heavy(), "github.com/klauspost/compress/snappy")
	way := found.way("github.com/klauspost/compress/snappy")
	require.Equal(t, module+"/ensemble", way[0])
	require.Greater(t, len(way), 2)
	require.Equal(t, "github.com/klauspost/compress/snappy", way[len(way)-1])
}

// imports are packages beyond the standard library by path.
type imports map[string]imported

type imported struct {
	module  string
	imports []string
}

// dependencies are packages of this module, and all that they import, directly or not. Nothing is fetched for that.
func dependencies(t *testing.T, packages ...string) imports {
	t.Helper()
	format := `{{if not .Standard}}{{.ImportPath}} {{.Module.Path}}{{range .Imports}} {{.}}{{end}}{{end}}`
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps", "-f", format}, packages...)...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOPROXY=off")
	out, err := cmd.Output()
	require.NoError(t, err)
	found := make(imports)
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		found[words[0]] = imported{module: words[1], imports: words[2:]}
	}
	return found
}

// heavy are the packages that client and recipes must not have below them.
func (all imports) heavy() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(pkg string) bool {
		inner, ours := strings.CutPrefix(pkg, module+"/")
		if ours {
			top, _, _ := strings.Cut(inner, "/")
			return top == "client" || top == "recipes"
		}
		return slices.Contains(light, all[pkg].module)
	})
}

// way is a chain of imports that leads to a package, as long as somebody imports what is its first.
func (all imports) way(to string) []string {
	for pkg, p := range all {
		if slices.Contains(p.imports, to) {
			return append(all.way(pkg), to)
		}
	}
	return []string{to}
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir("..")
	require.NoError(t, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		require.Contains(t, []string{"ensemble", "recipes", "client", "integration", "examples", "go.mod", "go.sum", "README.md"}, e.Name())
	}
}
