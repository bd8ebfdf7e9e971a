package trial

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var mistakesFor = flag.Duration("trial.mistakes", 5*time.Second, "how long a run in virtual time is in which a mistake is to be found; from 30s on the slow ones are tried, too")

// A trial finds the mistakes that recipes are known for, in a few runs at most.
func TestMistakesAreFound(t *testing.T) {
	for i, m := range Mistakes() {
		if m.Slow && *mistakesFor < 30*time.Second || testing.Short() && m.Name != "generous" { // as the race detector is run
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			for range 20 {
				report := virtually(t, *mistakesFor, Mistakes()[i].Subject)
				for _, w := range report.Wrong {
					if strings.Contains(w, m.Finding) {
						t.Log(w)
						return
					}
				}
			}
			t.Fatal("nothing is found in 20 runs")
		})
	}
}

// What was done in one run is not held against the next one, in which a counter begins at nothing. Those that keep a journal of their own are
// tried, and right when nothing is broken.
func TestRunsBeginAnew(t *testing.T) {
	subjects := Recipes()
	for _, m := range Mistakes() {
		subjects = append(subjects, m.Subject)
	}
	subjects = slices.DeleteFunc(subjects, func(s Subject) bool {
		return !slices.Contains([]string{"doubling", "counter", "barrier", "double", "cache", "queue", "job"}, s.Name)
	})
	require.Len(t, subjects, 7)
	for range 2 {
		require.Empty(t, virtually(t, 0, subjects...).Wrong)
	}
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func TestOrdered(t *testing.T) {
	span := func(from, until int, token int64, shared bool) Span {
		return Span{What: "it", From: ms(from), Until: ms(until), Token: token, Shared: shared}
	}
	const alone, shared = false, true
	for name, c := range map[string]struct {
		spans []Span
		wrong int
	}{
		"one after the other":                  {[]Span{span(0, 1, 1, alone), span(1, 2, 2, alone)}, 0},
		"two at once":                          {[]Span{span(0, 2, 1, alone), span(1, 3, 2, alone)}, 1},
		"one within another":                   {[]Span{span(0, 9, 1, alone), span(1, 2, 2, alone), span(3, 4, 3, alone)}, 2},
		"a token that goes back":               {[]Span{span(0, 1, 2, alone), span(2, 3, 1, alone)}, 1},
		"one token for two":                    {[]Span{span(0, 1, 2, alone), span(2, 3, 2, alone)}, 1},
		"readers in any order":                 {[]Span{span(0, 5, 2, shared), span(1, 3, 1, shared), span(6, 7, 3, alone)}, 0},
		"a reader beside a writer":             {[]Span{span(0, 5, 1, alone), span(1, 2, 2, shared)}, 1},
		"a writer beside a reader":             {[]Span{span(0, 5, 1, shared), span(1, 2, 2, alone)}, 1},
		"a writer beside the first of two":     {[]Span{span(0, 5, 1, shared), span(1, 2, 2, shared), span(3, 4, 3, alone)}, 1},
		"a writer who becomes a reader":        {[]Span{span(0, 1, 1, alone), span(1, 4, 1, shared), span(2, 3, 2, shared)}, 0},
		"a reader from before the last writer": {[]Span{span(0, 1, 2, alone), span(2, 3, 1, shared)}, 1},
	} {
		require.Len(t, Ordered(c.spans), c.wrong, name)
	}
}

func TestFenced(t *testing.T) {
	require.Empty(t, fenced([]write{{"/a", 3, 2}, {"/a", 1, 1}, {"/a", 2, 1}, {"/b", 4, 1}}))
	require.Len(t, fenced([]write{{"/a", 3, 1}, {"/a", 1, 1}, {"/a", 2, 2}}), 1)
}

func TestCrowded(t *testing.T) {
	span := func(from, until, weight int) Span { return Span{From: ms(from), Until: ms(until), Weight: weight} }
	require.Empty(t, Crowded([]Span{span(0, 2, 2), span(1, 3, 1), span(2, 4, 2), span(3, 5, 1)}, 3))
	require.Len(t, Crowded([]Span{span(0, 2, 2), span(1, 3, 2)}, 3), 1)
	require.Len(t, Crowded([]Span{span(0, 9, 1), span(1, 2, 1), span(3, 5, 2), span(4, 5, 1)}, 3), 1)
}

func TestThrough(t *testing.T) {
	span := func(from, until int) Span { return Span{From: ms(from), Until: ms(until)} }
	require.Empty(t, through([]Span{span(2, 5)}, []Span{span(1, 3), span(3, 6), span(1, 6), span(7, 8)}))
	require.Len(t, through([]Span{span(2, 5)}, []Span{span(3, 4)}), 1)
}

func TestMet(t *testing.T) {
	came := func(user, came, entered, leaving, left int) *attendance {
		return &attendance{user: user, came: ms(came), entered: ms(entered), leaving: ms(leaving), left: ms(left), gone: ms(left),
			inside: Span{From: ms(entered), Until: ms(leaving)}}
	}
	require.Empty(t, met([]*attendance{came(0, 1, 3, 5, 8), came(1, 2, 3, 7, 8), came(0, 9, 12, 13, 14), came(1, 11, 12, 13, 14)}, 2))
	require.Len(t, met([]*attendance{came(0, 1, 3, 5, 8), came(1, 4, 5, 7, 8)}, 2), 1, "nobody else was there")
	require.Len(t, met([]*attendance{came(0, 1, 3, 5, 6), came(1, 2, 3, 7, 8)}, 2), 1, "left while another was inside")
	gaveUp := &attendance{user: 1, came: ms(1), gone: ms(2)}
	require.Len(t, met([]*attendance{came(0, 3, 4, 5, 6), gaveUp}, 2), 1, "the other had given up")
	gaveUp.standing = ms(2)
	require.Empty(t, met([]*attendance{came(0, 3, 4, 5, 6), gaveUp}, 2), "the other's node may still be there")
}

func TestAdded(t *testing.T) {
	add := func(began, ended int, delta, sum int64) addition {
		return addition{delta: delta, sum: sum, unknown: sum == 0, began: ms(began), ended: ms(ended)}
	}
	require.Empty(t, added([]addition{add(0, 1, 2, 2), add(2, 3, 1, 3), add(1, 9, 5, 0)}, 3))
	require.Empty(t, added([]addition{add(0, 1, 2, 2), add(2, 3, 1, 3), add(1, 9, 5, 0)}, 8))
	require.Empty(t, added([]addition{add(0, 5, 2, 3), add(1, 4, 1, 1)}, 3), "side by side")
	require.Len(t, added([]addition{add(0, 1, 2, 2), add(2, 3, 1, 3)}, 4), 1, "one too many")
	require.Len(t, added([]addition{add(0, 1, 2, 2), add(2, 3, 1, 3)}, 2), 2, "one lost, that somebody was told of")
	require.Len(t, added([]addition{add(0, 1, 2, 2), add(2, 3, 1, 3), add(1, 9, 2, 0)}, 2), 2, "one lost, and another that was not made")
	require.Len(t, added([]addition{add(0, 1, 2, 7), add(2, 3, 1, 8), add(1, 9, 5, 0)}, 7), 1, "one lost, beside an unknown one")
	require.Len(t, added([]addition{add(0, 1, 2, 1)}, 2), 1, "from less than nothing")
	require.Len(t, added([]addition{add(0, 5, 1, 1), add(1, 4, 1, 1)}, 2), 1, "one sum for two")
	require.Len(t, added([]addition{add(0, 1, 2, 3), add(2, 3, 1, 1)}, 3), 1, "back in time")
}

func TestDelivery(t *testing.T) {
	known := map[string]bool{"put": true, "perhaps": false}
	require.Empty(t, delivery(known, map[string]int{"put": 1}))
	require.Empty(t, delivery(known, map[string]int{"put": 1, "perhaps": 1}))
	require.Len(t, delivery(known, map[string]int{"perhaps": 1}), 1, "lost")
	require.Len(t, delivery(known, map[string]int{"put": 2}), 1, "twice")
	require.Len(t, delivery(known, map[string]int{"put": 1, "perhaps": 2}), 1, "twice")
	require.Len(t, delivery(known, map[string]int{"put": 1, "never": 1}), 1, "of nobody")
}

func TestOutdated(t *testing.T) {
	a, b := standing{text: "0 1", token: 3, session: 1}, standing{text: "1 1", token: 5, session: 2}
	lost := b
	lost.lost = true
	past := census{zxid: 4, there: map[string]standing{"/a": a}}
	after := census{zxid: 9, there: map[string]standing{"/a": a, "/b": b}}
	gone := census{zxid: 9}
	views := func(all ...any) map[string]standing {
		v := map[string]standing{}
		for i := 0; i < len(all); i += 2 {
			v[all[i].(string)] = all[i+1].(standing)
		}
		return v
	}
	require.Empty(t, outdated(past, after, nil), "it says that it is out of date")
	require.Empty(t, outdated(past, after, views("/a", a)))
	require.Empty(t, outdated(past, after, views("/a", a, "/b", b)), "who has come since")
	require.Empty(t, outdated(past, gone, views()), "who may have gone since")
	require.Len(t, outdated(past, after, views()), 1, "who is missing")
	require.Len(t, outdated(past, after, views("/a", standing{text: "0 0", token: 3, session: 1})), 1, "who has changed")
	require.Len(t, outdated(after, after, views("/a", a, "/b", lost)), 1, "who is not lost")
	require.Empty(t, outdated(gone, gone, views()))
	require.Empty(t, outdated(gone, gone, views("/b", lost)), "who is lost, and said to be")
	require.Len(t, outdated(gone, gone, views("/b", b)), 1, "who is gone")
}

func TestCoherent(t *testing.T) {
	s := func(text string, token int64) standing { return standing{text: text, token: token} }
	none := standing{}
	lost := standing{text: "0 2", token: 3, lost: true}
	tell := func(all ...standing) (out []told) {
		for i := 0; i < len(all); i += 2 {
			out = append(out, told{path: "/a", old: all[i], now: all[i+1]})
		}
		return out
	}
	require.Empty(t, coherent(tell(none, s("0 1", 3), s("0 1", 3), s("0 2", 3), s("0 2", 3), none, none, s("1 1", 4))))
	require.Empty(t, coherent(tell(none, s("0 1", 3), s("0 1", 3), s("0 1", 4))), "taken over in one step")
	require.Empty(t, coherent(tell(none, s("0 2", 3), s("0 2", 3), none, none, lost, lost, s("1 1", 4))), "kept as lost")
	require.Len(t, coherent(tell(none, s("0 2", 3), s("0 2", 3), s("0 1", 3))), 1, "older")
	require.Len(t, coherent(tell(none, s("0 1", 3), s("0 1", 3), s("0 1", 3))), 1, "of nothing")
	require.Len(t, coherent(tell(none, s("0 1", 3), s("0 1", 3), none, none, s("0 1", 3))), 1, "who was gone")
	require.Len(t, coherent(tell(s("0 1", 3), none)), 1, "who was never there")
	require.Len(t, coherent(tell(none, s("0 1", 3), s("0 1", 3), none, none, s("1 1", 2))), 1, "back in time")
}

func TestUnfounded(t *testing.T) {
	r := newRoll(nil)
	u := &User{Trial: &Trial{run: &run{}}, Number: 1}
	u.sessions = map[int64]stint{7: {user: 1, life: 1}, 8: {user: 1, life: 1, lost: true}, 9: {user: 2, life: 1}}
	w, text := r.wish(u)
	at := func(session int64) standing { return standing{text: text, token: 3, session: session} }
	gone := func(s standing) string { return r.unfounded(u.Trial, told{at: time.Hour, old: s}) }
	w.given = time.Minute
	require.Empty(t, gone(at(7)), "who may not have been there")
	r.grant(w)
	require.Contains(t, gone(at(7)), "is said to be gone")
	require.Contains(t, r.unfounded(u.Trial, told{old: at(7), now: standing{text: text, token: 4, session: 7}}), "is said to be gone", "and to have come again")
	require.Empty(t, gone(at(8)), "whose session was lost")
	w.given = time.Minute
	require.Empty(t, gone(at(7)), "who gave himself up")
	require.NotEmpty(t, r.unfounded(u.Trial, told{at: time.Second, old: at(7)}), "who did so later")
	require.Contains(t, r.unfounded(u.Trial, told{now: at(9)}), "the session is not")
	require.Contains(t, r.unfounded(u.Trial, told{now: at(6)}), "the session is not", "of nobody")
	require.Contains(t, r.unfounded(u.Trial, told{now: standing{text: "0 2", token: 3, session: 7}}), "nobody wrote")
	require.Contains(t, r.unfounded(u.Trial, told{now: standing{text: "who?", token: 3, session: 7}}), "nobody wrote")
}

func TestUnbraked(t *testing.T) {
	on := func(at int, path string) told {
		return told{at: ms(at), path: path, now: standing{text: path, token: int64(at + 1), up: true}}
	}
	off := func(at int, path string, token int64) told {
		return told{at: ms(at), path: path, old: standing{text: path, token: token, up: true}}
	}
	lost := func(at int, path string, token int64) told {
		return told{at: ms(at), path: path, now: standing{text: path, token: token, up: true, lost: true}}
	}
	anybody := func(told) bool { return true }
	three := []told{on(0, "/a"), on(0, "/b"), on(0, "/c")}
	with := func(more ...told) []told { return append(slices.Clone(three), more...) }
	require.Empty(t, unbraked(with(off(100, "/a", 1)), anybody), "one is never too many")
	require.Len(t, unbraked(with(off(100, "/a", 1), off(101, "/b", 1)), anybody), 1)
	require.Empty(t, unbraked(with(off(100, "/a", 1), off(101, "/b", 1)), func(o told) bool { return o.path == "/c" }), "who had said so")
	require.Empty(t, unbraked(with(off(100, "/a", 1), off(101, "/b", 1), lost(102, "/a", 1), lost(102, "/b", 1)), anybody), "kept a moment later")
	require.Empty(t, unbraked(with(off(100, "/a", 1), on(101, "/d"), off(300, "/b", 1)), anybody), "another in its place")
	require.Empty(t, unbraked(with(off(100, "/a", 1), off(2000, "/b", 1)), anybody), "one now and one then")
	require.Len(t, unbraked(with(off(100, "/a", 1), off(900, "/b", 1)), anybody), 1, "one after the other")
}
