package dialogue_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/dialogue"
	"github.com/bellwether-zk/bellwether/ensemble/internal/jute"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func frame(records ...interface{ AppendJute([]byte) []byte }) []byte {
	b, start := wire.BeginFrame(nil)
	for _, r := range records {
		b = r.AppendJute(b)
	}
	return wire.EndFrame(b, start)
}

// ask is a whole request.
func ask(xid int32, op wire.Op, r wire.Record) []byte {
	h := wire.RequestHeader{Xid: xid, Op: op}
	if r == nil {
		return frame(h)
	}
	return frame(h, r)
}

func answer(xid int32) []byte { return frame(wire.ReplyHeader{Xid: xid, Zxid: 7}) }

var (
	hello   = frame(&wire.ConnectRequest{Timeout: 1000, Password: make([]byte, wire.PasswordLen)})
	welcome = frame(&wire.ConnectResponse{Timeout: 1000, Session: 5, Password: make([]byte, wire.PasswordLen)})
)

// say is one line for each frame.
func say(frames []dialogue.Frame) string {
	var all []string
	for _, f := range frames {
		line := []string{"opaque", "request", "reply", "event"}[f.Part]
		if f.Part != dialogue.Opaque {
			line += fmt.Sprintf(" %d %v", f.Xid, f.Op)
		}
		for _, target := range f.Targets {
			line += fmt.Sprintf(" [%v %s]", target.Op, target.Path)
		}
		all = append(all, line)
	}
	return strings.Join(all, "\n")
}

// opened is a dialogue whose handshake is over.
func opened() *dialogue.Dialogue {
	d := new(dialogue.Dialogue)
	d.Client(hello, nil)
	d.Server(welcome, nil)
	return d
}

func TestRequests(t *testing.T) {
	create := &wire.CreateRequest{Path: "/c", Data: []byte("x"), ACL: []znode.ACL{{}}}
	watch := &wire.WatchRequest{Path: "/w", Watch: true}
	for want, b := range map[string][]byte{
		"request 1 create [create /c]":                             ask(1, wire.OpCreate, create),
		"request 2 create2 [create2 /c]":                           ask(2, wire.OpCreate2, create),
		"request 3 createContainer [createContainer /c]":           ask(3, wire.OpCreateContainer, create),
		"request 4 createTTL [createTTL /c]":                       ask(4, wire.OpCreateTTL, &wire.CreateRequest{Path: "/c", HasTTL: true}),
		"request 5 delete [delete /d]":                             ask(5, wire.OpDelete, &wire.DeleteRequest{Path: "/d"}),
		"request 6 exists [exists /w]":                             ask(6, wire.OpExists, watch),
		"request 7 getData [getData /w]":                           ask(7, wire.OpGetData, watch),
		"request 8 getChildren [getChildren /w]":                   ask(8, wire.OpGetChildren, watch),
		"request 9 getChildren2 [getChildren2 /w]":                 ask(9, wire.OpGetChildren2, watch),
		"request 10 setData [setData /s]":                          ask(10, wire.OpSetData, &wire.SetDataRequest{Path: "/s"}),
		"request 11 getACL [getACL /a]":                            ask(11, wire.OpGetACL, &wire.PathRequest{Path: "/a"}),
		"request 12 setACL [setACL /a]":                            ask(12, wire.OpSetACL, &wire.SetACLRequest{Path: "/a"}),
		"request 13 sync [sync /y]":                                ask(13, wire.OpSync, &wire.SyncRequest{Path: []byte("/y")}),
		"request 14 addWatch [addWatch /w]":                        ask(14, wire.OpAddWatch, &wire.AddWatchRequest{Path: "/w"}),
		"request 15 removeWatches [removeWatches /w]":              ask(15, wire.OpRemoveWatches, &wire.WatcherRequest{Path: "/w"}),
		"request 16 getEphemerals [getEphemerals /p]":              ask(16, wire.OpGetEphemerals, &wire.PrefixRequest{Prefix: "/p"}),
		"request 17 getAllChildrenNumber [getAllChildrenNumber /]": ask(17, wire.OpGetAllChildrenNumber, &wire.PathRequest{Path: "/"}),
		"request 18 checkWatches [checkWatches /w]":                ask(18, wire.OpCheckWatches, &wire.WatcherRequest{Path: "/w"}),
		"request 19 whoAmI":                                        ask(19, wire.OpWhoAmI, nil),
		"request -2 ping":                                          ask(-2, wire.OpPing, nil),
		"request -4 auth":                                          ask(-4, wire.OpAuth, &wire.AuthRequest{Scheme: "digest", Auth: []byte("a:b")}),
		"request 20 closeSession":                                  ask(20, wire.OpCloseSession, nil),
		"request 21 op 77":                                         ask(21, 77, &wire.PathRequest{Path: "/n"}),
		"request 22 getData":                                       ask(22, wire.OpGetData, nil),
		"request -8 setWatches [setWatches /d] [setWatches /e] [setWatches /c]": ask(-8, wire.OpSetWatches,
			&wire.SetWatchesRequest{Data: []string{"/d"}, Exist: []string{"/e"}, Child: []string{"/c"}}),
		"request 23 setWatches2 [setWatches2 /d] [setWatches2 /r]": ask(23, wire.OpSetWatches2,
			&wire.SetWatchesRequest{Two: true, Data: []string{"/d"}, PersistentRecursive: []string{"/r"}}),
		"request 24 multi [create /c] [delete /d] [setData /s] [check /k]": ask(24, wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{
			{Op: wire.OpCreate, Record: create}, {Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: "/d"}},
			{Op: wire.OpSetData, Record: &wire.SetDataRequest{Path: "/s"}}, {Op: wire.OpCheck, Record: &wire.CheckRequest{Path: "/k"}},
		}}),
		"request 25 multiRead [getData /w]": ask(25, wire.OpMultiRead, &wire.MultiRequest{Ops: []wire.MultiOp{{Op: wire.OpGetData, Record: watch}}}),
	} {
		d := opened()
		frames := d.Client(b, nil)
		require.Equal(t, want, say(frames))
		require.Equal(t, b, frames[0].Bytes)
		if xid := frames[0].Xid; xid != 0 {
			require.Equal(t, strings.Replace(want, "request", "reply", 1), say(d.Server(answer(xid), nil)), "it is what its reply answers")
			require.Equal(t, fmt.Sprintf("reply %d error", xid), say(d.Server(answer(xid), nil)), "only once")
		}
	}
}

// Replies are matched by their xid, and those to several of one xid in order.
func TestReplies(t *testing.T) {
	d := new(dialogue.Dialogue)
	require.Equal(t, "request 0 createSession", say(d.Client(hello, nil)))
	get := func(xid int32, path string) []byte { return ask(xid, wire.OpGetData, &wire.WatchRequest{Path: path}) }
	auth := func(scheme string) []byte { return ask(-4, wire.OpAuth, &wire.AuthRequest{Scheme: scheme}) }
	d.Client(slices.Concat(get(1, "/1"), get(2, "/2"), ask(9, wire.OpPing, nil), ask(-2, wire.OpPing, nil), auth("a"), get(3, "/3")), nil)
	event := wire.AppendNotification(nil, 8, znode.EventDeleted, "/gone")
	b := slices.Concat(welcome, answer(1), event, answer(-4), answer(2), answer(-2), answer(3), answer(-2), answer(4))
	require.Equal(t, strings.TrimSpace(`
reply 0 createSession
reply 1 getData [getData /1]
event -1 notification [notification /gone]
reply -4 auth
reply 2 getData [getData /2]
reply -2 ping
reply 3 getData [getData /3]
reply -2 ping
reply 4 error`), say(d.Server(b, nil)))
}

// What is too long, or no frame at all, passes at once; after a long frame frames are understood again.
func TestOpaque(t *testing.T) {
	d := opened()
	long := make([]byte, 4+dialogue.MaxFrame+1)
	copy(long, jute.AppendInt32(nil, dialogue.MaxFrame+1))
	ping := ask(-2, wire.OpPing, nil)
	require.Equal(t, "opaque", say(d.Client(long[:4], nil)), "nobody waits for the rest")
	require.Equal(t, "opaque\nrequest -2 ping", say(d.Client(slices.Concat(long[4:], ping), nil)))
	require.Equal(t, "opaque", say(d.Server(long, nil)))
	require.Equal(t, "reply -2 ping", say(d.Server(answer(-2), nil)))
	require.Equal(t, "opaque", say(d.Client(frame(jute32(3)), nil)), "a frame that is no request")
	require.Equal(t, "opaque", say(d.Server(frame(jute32(3)), nil)))

	require.Empty(t, d.Client([]byte("ru"), nil))
	require.Equal(t, "ru", string(d.ClientRest()))
	require.Equal(t, "opaque\nopaque", say(d.Client([]byte("ok"), nil)))
	require.Empty(t, d.ClientRest())
	require.Equal(t, "opaque", say(d.Client(ping, nil)))
	require.Equal(t, "opaque", say(d.Server([]byte{0, 0}, nil)), "an answer without frames, though it could be the beginning of one")
}

type jute32 int32

func (n jute32) AppendJute(b []byte) []byte { return jute.AppendInt32(b, int32(n)) }

// A server that never answers makes nobody remember more and more.
func TestMemoryIsBounded(t *testing.T) {
	d := opened()
	path := "/" + strings.Repeat("long", 1000)
	for xid := range int32(1000) {
		require.Equal(t, fmt.Sprintf("request %d getData [getData %s]", xid+1, path), say(d.Client(ask(xid+1, wire.OpGetData, &wire.WatchRequest{Path: path}), nil)))
	}
	known := 0
	for xid := range int32(1000) {
		if d.Server(answer(xid+1), nil)[0].Op == wire.OpGetData {
			known++
		}
	}
	require.InDelta(t, 1<<20/4100, known, 10)
	d.Client(ask(1, wire.OpSync, &wire.SyncRequest{Path: []byte(path)}), nil)
	require.Equal(t, "reply 1 sync [sync "+path+"]", say(d.Server(answer(1), nil)), "there is room again")
}

// However the bytes are cut, the same frames come out, and the bytes are the same.
func TestPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var up, down []byte
		up, down = append(up, hello...), append(down, welcome...)
		for xid := range int32(rapid.IntRange(0, 20).Draw(t, "requests")) {
			path := "/" + rapid.StringMatching(`[a-z]{0,30}`).Draw(t, "path")
			data := make([]byte, rapid.SampledFrom([]int{0, 1, 100, 5000}).Draw(t, "data"))
			up = append(up, ask(xid+1, wire.OpSetData, &wire.SetDataRequest{Path: path, Data: data})...)
			down = append(down, answer(xid+1)...)
		}
		whole, cut := new(dialogue.Dialogue), new(dialogue.Dialogue)
		for _, side := range []struct {
			bytes     []byte
			one, many func([]byte, []dialogue.Frame) []dialogue.Frame
		}{{up, whole.Client, cut.Client}, {down, whole.Server, cut.Server}} {
			want := side.one(side.bytes, nil)
			var got []dialogue.Frame
			for rest := side.bytes; len(rest) > 0; {
				n := rapid.IntRange(1, min(len(rest), 300)).Draw(t, "piece")
				if rapid.Bool().Draw(t, "large") {
					n = len(rest)
				}
				for _, f := range side.many(slices.Clone(rest[:n]), nil) {
					got = append(got, dialogue.Frame{Message: f.Message, Bytes: slices.Clone(f.Bytes)})
				}
				rest = rest[n:]
			}
			require.Equal(t, want, got)
		}
	})
}

// Whatever comes passes unharmed.
func FuzzDialogue(f *testing.F) {
	get := ask(1, wire.OpGetData, &wire.WatchRequest{Path: "/n"})
	multi := ask(2, wire.OpMulti, &wire.MultiRequest{Ops: []wire.MultiOp{{Op: wire.OpDelete, Record: &wire.DeleteRequest{Path: "/d"}}}})
	f.Add(slices.Concat(hello, get, multi), slices.Concat(welcome, answer(1), wire.AppendNotification(nil, 1, znode.EventCreated, "/n")), 3)
	f.Add([]byte("ruok"), []byte("imok"), 1)
	f.Add(slices.Concat(hello, []byte{0, 0x40, 0, 1, 9, 9, 9}), slices.Concat(welcome, []byte{0xff}), 5)
	f.Add(slices.Concat(hello, []byte{0, 0, 0, 0}, get[:9]), slices.Concat(welcome, answer(3)[:10]), 2)
	f.Fuzz(func(t *testing.T, up, down []byte, step int) {
		d := new(dialogue.Dialogue)
		for _, side := range []struct {
			in   []byte
			say  func([]byte, []dialogue.Frame) []dialogue.Frame
			rest func() []byte
		}{{up, d.Client, d.ClientRest}, {down, d.Server, d.ServerRest}} {
			var out []byte
			for piece := range slices.Chunk(side.in, max(step, 1)) {
				for _, frame := range side.say(piece, nil) {
					out = append(out, frame.Bytes...)
				}
			}
			require.LessOrEqual(t, len(side.rest()), 4+dialogue.MaxFrame)
			require.True(t, bytes.Equal(side.in, append(out, side.rest()...)), "%x went in, %x and %x came out", side.in, out, side.rest())
		}
	})
}
