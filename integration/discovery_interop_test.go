//go:build interop

package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	bwclient "github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/integration/process"
	"github.com/bellwether-zk/bellwether/recipes/cache"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
)

// javaDetails is Registrant.Details.
type javaDetails struct {
	Protocol string         `json:"protocol"`
	Limit    int            `json:"limit"`
	Names    []string       `json:"names"`
	More     map[string]any `json:"more"`
}

// What we register Curator's service discovery finds, and the other way, by query, cache and provider, with payloads of every kind; and what
// becomes of it.
func TestDiscoveryWithCurator(t *testing.T) {
	command := javaProgram(t, "CURATOR_CP", "Registrant", "discovery/*")
	for _, k := range []process.Kind{process.Apache39, process.Bellwether} {
		t.Run(k.Name, func(t *testing.T) {
			server := startPeer(t, k).Addr
			c := mustConnect(t, server)
			for _, form := range []string{"old", "full"} {
				t.Run(form, func(t *testing.T) {
					base := "/services/" + form
					curator := startCuratorProgram(t, command, server, base, form)
					curatorFindsOurs(t, curator, c, base)
					curatorFindsMany(t, curator, c, base)
					weFindCurators(t, curator, c, base)
					theBytesAreCurators(t, curator, c, base, form)
				})
			}
		})
	}
}

func mustRegister[T any](t *testing.T, c *bwclient.Client, base, class string, i discovery.Instance[T]) *discovery.Registration[T] {
	t.Helper()
	r := discovery.NewRegistry(c, base, &discovery.Options[T]{Codec: discovery.Curator[T](class)})
	i.Name, i.Address = "ours", "10.0.0.7"
	g, err := r.Register(t.Context(), i, nil)
	require.NoError(t, err)
	return g
}

func curatorFindsOurs(t *testing.T, curator *curatorContender, c *bwclient.Client, base string) {
	ctx := t.Context()
	curator.mustAnswer(t, "query ours", "")
	curator.mustAnswer(t, "cached ours", "")
	curator.mustAnswer(t, "next ours", "none")
	eventually := func(ask, want string) {
		t.Helper()
		var got string
		require.Eventually(t, func() bool {
			var err error
			got, err = curator.ask(ask)
			require.NoError(t, err)
			return got == want
		}, 10*time.Second, 10*time.Millisecond, "%s: %s", ask, &got)
	}
	mustBe := func(want string) {
		t.Helper()
		curator.mustAnswer(t, "query ours", want)
		eventually("cached ours", want)
	}

	one := mustRegister(t, c, base, "", discovery.Instance[any]{ID: "1", Port: 25, TLSPort: 465, URISpec: "{scheme}://{address}:{ssl-port}/{[}{name}{]}"})
	const first = "1 10.0.0.7 25 465 DYNAMIC true https://10.0.0.7:465/{ours} null"
	mustBe(first)
	eventually("next ours", "1")
	require.NoError(t, one.Update(ctx, func(i *discovery.Instance[any]) { i.Status = discovery.Draining }))
	mustBe("1 10.0.0.7 25 465 DYNAMIC false https://10.0.0.7:465/{ours} null")
	eventually("next ours", "none")
	require.NoError(t, one.Update(ctx, func(i *discovery.Instance[any]) { i.Status = discovery.Up }))
	mustBe(first)

	two := mustRegister(t, c, base, "Registrant$Details", discovery.Instance[javaDetails]{
		ID: "2", Type: discovery.Static, Zone: "eu", Weight: 7, Tags: []string{"a"},
		Payload: javaDetails{Protocol: "smtp <&>", Limit: 9, Names: []string{"x"}, More: map[string]any{"n": 1}},
	})
	const second = "2 10.0.0.7 null null STATIC true null Details:Details(smtp <&> 9 [x] {n=1})"
	mustBe(first + ", " + second)
	three := mustRegister(t, c, base, "java.lang.Long", discovery.Instance[int64]{ID: "3", Type: discovery.DynamicSequential, Payload: 5})
	four := mustRegister(t, c, base, "", discovery.Instance[[]string]{ID: "4", Type: discovery.Permanent, Payload: []string{"a", "b"}})
	five := mustRegister(t, c, base, "", discovery.Instance[map[string]any]{ID: "5", Payload: map[string]any{"zone": "eu"}})
	mustBe(first + ", " + second + ", 3 10.0.0.7 null null DYNAMIC_SEQUENTIAL true null Long:5, " +
		"4 10.0.0.7 null null PERMANENT true null ArrayList:[a, b], 5 10.0.0.7 null null DYNAMIC true null LinkedHashMap:{zone=eu}")
	curator.mustAnswer(t, "names", "ours")
	for _, close := range []func() error{
		func() error { return two.Close(ctx) }, func() error { return three.Close(ctx) }, func() error { return four.Close(ctx) },
		func() error { return five.Close(ctx) },
	} {
		require.NoError(t, close())
	}
	r := discovery.NewRegistry[any](c, base, nil)
	require.NoError(t, r.Remove(ctx, "ours", "4"))
	mustBe(first)
	require.NoError(t, one.Close(ctx))
	mustBe("")
}

// Many that we register at once are made in few transactions, on Apache's servers as on ours, and Curator finds all of them.
func curatorFindsMany(t *testing.T, curator *curatorContender, c *bwclient.Client, base string) {
	ctx := t.Context()
	many := make([]discovery.Instance[any], 40)
	for i := range many {
		many[i] = discovery.Instance[any]{Name: "many", ID: fmt.Sprint(i), Address: "10.0.0.7", Port: 1000 + i}
	}
	all, err := discovery.NewRegistry[any](c, base, nil).RegisterAll(ctx, many, nil)
	require.NoError(t, err)
	made := map[int64]bool{}
	for _, g := range all {
		_, stat, err := c.Get(ctx, g.Path())
		require.NoError(t, err)
		made[stat.Czxid] = true
	}
	require.Len(t, made, 2, "one with the directory, and the others together")
	found, err := curator.ask("query many")
	require.NoError(t, err)
	require.Len(t, strings.Split(found, ", "), len(many))
	for _, g := range all {
		require.NoError(t, g.Close(ctx))
	}
	curator.mustAnswer(t, "query many", "")
}

// curators are the kinds of payloads that Registrant has, and what they are for us.
var curators = map[string]any{
	"none": nil, "text": `a "text" <&> é`, "int": 5.0, "long": 5.0, "double": 2.5, "bool": true, "list": []any{"a", 1.0, true},
	"map":     map[string]any{"zone": "eu", "n": 5.0, "list": []any{"x", "y"}, "inner": map[string]any{"deep": 1.0}},
	"details": map[string]any{"protocol": "smtp", "limit": 7.0, "names": []any{"a", "b"}, "more": map[string]any{"n": 5.0}},
}

func weFindCurators(t *testing.T, curator *curatorContender, c *bwclient.Client, base string) {
	ctx := t.Context()
	r := discovery.NewRegistry[any](c, base, nil)
	mail, err := r.Lookup(ctx, "theirs", nil)
	require.NoError(t, err)
	defer mail.Close()
	types := []discovery.Type{discovery.Dynamic, discovery.DynamicSequential, discovery.Static, discovery.Permanent}
	known := map[string]*discovery.Entry[any]{}
	n := 0
	for kind := range curators {
		curator.mustAnswer(t, fmt.Sprintf("register theirs %s %d %s %s", kind, 1000+n, types[n%len(types)], kind), "registered")
		n++
	}
	for change := range mail.Watch(ctx) {
		if change.Kind == cache.Added {
			known[change.New.ID] = change.New
		}
		if len(known) == len(curators) {
			break
		}
	}
	for kind, want := range curators {
		e := known[kind]
		require.NoError(t, e.Err)
		require.Equal(t, want, e.Payload, kind)
		require.Equal(t, "theirs", e.Name)
		require.Equal(t, "10.0.0.1", e.Address)
		require.Equal(t, fmt.Sprintf("http://10.0.0.1:%d/theirs", e.Port), e.URI(nil))
		require.Equal(t, e.Type == discovery.Dynamic || e.Type == discovery.DynamicSequential, e.Owner != 0)
		require.True(t, e.Available())
		require.EqualValues(t, 1_700_000_000_123, e.Registered.UnixMilli())
	}
	names, err := r.Names(ctx)
	require.NoError(t, err)
	require.Contains(t, names, "theirs")
	for kind, e := range known {
		if e.Type != discovery.DynamicSequential { // which Curator does not find again
			curator.mustAnswer(t, "update theirs "+kind+" 7", "updated")
		}
	}
	mustEventuallyBe(t, mail, func(e *discovery.Entry[any]) bool { return e.Port == 7 || e.Type == discovery.DynamicSequential })
	details := discovery.NewRegistry(c, base, &discovery.Options[*javaDetails]{Codec: discovery.Curator[*javaDetails]("Registrant$Details")})
	curator.mustAnswer(t, "register typed one 25 DYNAMIC details", "registered")
	all, err := details.Inspect(ctx, "typed")
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, &javaDetails{Protocol: "smtp", Limit: 7, Names: []string{"a", "b"}, More: map[string]any{"n": 5.0}}, all[0].Payload)
}

func mustEventuallyBe(t *testing.T, s *discovery.Service[any], all func(*discovery.Entry[any]) bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, e := range s.Instances() {
			if !all(e) {
				return false
			}
		}
		return true
	}, 10*time.Second, 10*time.Millisecond)
}

// What Curator has written we write again byte for byte, and what we write Curator does.
func theBytesAreCurators(t *testing.T, curator *curatorContender, c *bwclient.Client, base, form string) {
	ctx := t.Context()
	codec := discovery.Curator[json.RawMessage]("")
	for kind := range curators {
		curator.mustAnswer(t, "register bytes "+kind+" 25 DYNAMIC "+kind, "registered")
		data, _, err := c.Get(ctx, base+"/bytes/"+kind)
		require.NoError(t, err)
		i, err := codec.Decode(data)
		require.NoError(t, err)
		again, err := codec.Encode(i)
		require.NoError(t, err)
		if form == "full" {
			again = append(again[:len(again)-1], `,"enabled":true}`...) // which we leave out, as Curator does by default
		}
		require.Equal(t, string(data), string(again))
	}
	for _, status := range []discovery.Status{discovery.Up, discovery.Down} {
		ours, err := codec.Encode(&discovery.Instance[json.RawMessage]{
			Name: "a", ID: "b", Address: "ü", Port: 1, TLSPort: 2, URISpec: "{scheme}://x", Registered: time.UnixMilli(7), Status: status,
			Payload: json.RawMessage(`{"@class":"Registrant$Details","protocol":"<&>","limit":1,"names":[],"more":{}}`),
		})
		require.NoError(t, err)
		want := string(ours)
		switch {
		case form == "full" && status == discovery.Up:
			want = want[:len(want)-1] + `,"enabled":true}`
		case form == "old" && status == discovery.Down: // Curator loses it, and so must not be the one who writes
			want = want[:len(want)-len(`,"enabled":false}`)] + "}"
		}
		curator.mustAnswer(t, "again "+string(ours), want)
	}
}
