package proxy

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/dialogue"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
)

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"", "/n", true}, {"/n", "/n", true}, {"/n", "/m", false}, {"/n", "/n/m", false}, {"/", "/", true}, {"/", "", true},
		{"/n/*", "/n/m", true}, {"/n/*", "/n", false}, {"/n/*", "/n/m/o", false}, {"/n-*", "/n-0000000001", true}, {"/*/m", "/n/m", true},
		{"/n/**", "/n/m", true}, {"/n/**", "/n/m/o", true}, {"/n/**", "/n", false}, {"/n/**", "/nm/o", false}, {"/n/**", "/n/", false},
		{"/*/lock/**", "/app/lock/a", true}, {"/*/lock/**", "/app/lock", false}, {"/*/lock/**", "/lock/a", false},
		{"/**", "/n", true}, {"/**", "/n/m", true}, {"/**", "/", false}, {"/n[12]", "/n2", true}, {`/n\*`, "/n*", true}, {`/n\*`, "/nm", false},
		{"/n", "not a path", false}, {"/n/**", "not a path", false},
	} {
		require.Equal(t, c.want, onPath(c.pattern, c.path), "%q on %q", c.path, c.pattern)
	}
}

func TestMatch(t *testing.T) {
	create := dialogue.Message{Part: dialogue.Request, Op: wire.OpCreate2, Targets: []dialogue.Target{{Op: wire.OpCreate2, Path: "/n"}}}
	unread := dialogue.Message{Part: dialogue.Request, Op: wire.OpGetData}
	ping := dialogue.Message{Part: dialogue.Request, Op: wire.OpPing}
	foreign := dialogue.Message{Part: dialogue.Request, Op: 77}
	answer := create
	answer.Part = dialogue.Reply
	event := dialogue.Message{Part: dialogue.Event, Op: wire.OpNotification, Targets: []dialogue.Target{{Op: wire.OpNotification, Path: "/n"}}}
	all := []dialogue.Message{create, unread, ping, foreign, answer, event, {}}
	for _, c := range []struct {
		match Match
		met   []dialogue.Message
		name  string
	}{
		{Request(OpCreate, ""), all[:1], "request create"},
		{Request(OpCreate, "/n"), all[:1], "request create /n"},
		{Request(OpCreate, "/m"), nil, "request create /m"},
		{Request(OpAny, ""), all[:2], "request any"},
		{Request(OpAny, "/n"), all[:1], "request any /n"},
		{Request(OpAll, ""), all[:4], "request all"},
		{Request(OpPing, ""), all[2:3], "request ping"},
		{Request(OpDelete, ""), nil, "request delete"},
		{Reply(OpCreate, "/*").Times(3), all[4:5], "reply to create /*"},
		{Reply(OpAll, "").Always(), all[4:6], "reply to all"},
		{Event(""), all[5:6], "event"},
		{Event("/n"), all[5:6], "event /n"},
		{Event("/m").Skip(1), nil, "event /m"},
	} {
		var met []dialogue.Message
		for _, m := range all {
			if c.match.meets(&m) {
				met = append(met, m)
			}
		}
		require.Equal(t, c.met, met, c.name)
		require.Equal(t, c.name, c.match.String())
	}
}

// A mistake in a test is told at once.
func TestMistakes(t *testing.T) {
	require.Panics(t, func() { Request(OpCreate, "/n[") })
	require.Panics(t, func() { Event("[/**") })
	require.Panics(t, func() { Reply(OpWhoAmI+1, "") })
	require.Panics(t, func() { Request(OpAny, "").Times(0) })
}

// Everything that clients may send has a name here.
func TestForms(t *testing.T) {
	for op := wire.Op(-20); op < 200; op++ {
		if op.Client() {
			require.Contains(t, forms, op, "%v", op)
			require.NotEmpty(t, forms[op].String(), "%v", op)
		}
	}
	require.Equal(t, "lose reply to create /n", (&Fault{match: Reply(OpCreate, "/n"), fate: isLost}).String())
	require.Equal(t, "delay by 1ns event", (&Fault{match: Event(""), waits: true, delay: 1}).String())
	require.Equal(t, "freeze event", (&Fault{match: Event(""), waits: true}).String())
}
