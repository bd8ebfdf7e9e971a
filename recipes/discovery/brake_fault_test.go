package discovery_test

import (
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/ensembletest"
	"github.com/bellwether-zk/bellwether/recipes/discovery"
)

// mirrored is an instance as it stands in a node, which never comes again once it is gone.
type mirrored struct {
	path  string
	token int64
}

// A witness knows what has stood in the nodes of a service, and since when it does not any more.
type witness struct {
	zxid  int64 // of the newest tree that was seen
	there map[mirrored]bool
	gone  map[mirrored]time.Time // when it was seen first that they were not there
}

// look looks at the servers' trees, and believes the newest. Nothing moves meanwhile.
func (v *witness) look(w *world) {
	var newest *ensembletest.Server
	for _, s := range w.e.Servers() {
		if s.Running() && s.Zxid() >= v.zxid {
			newest, v.zxid = s, s.Zxid()
		}
	}
	if newest == nil {
		return // who had it is down
	}
	there := map[mirrored]bool{}
	for path, n := range newest.Tree() {
		there[mirrored{path, n.Stat.Czxid}] = true
	}
	for one := range v.there {
		if !there[one] {
			v.gone[one] = time.Now()
		}
	}
	v.there = there
}

// blind is how long a watcher may not notice that it hears nothing, or only from a server that hears nothing itself, with some time for what is late.
const blind = 15 * time.Second

// pass lets time pass, and sees to it that the watchers never show what is not so without saying it: who is gone is kept as lost, or the view is
// stale; who is kept is gone, as many others are, and not longer than it is said.
func (w *world) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(time.Until(end), time.Second))
		synctest.Wait()
		w.witness.look(w)
		for _, x := range w.watchers {
			w.mustBeHonest(x)
		}
	}
}

func (w *world) mustBeHonest(x *watcher) {
	lost := 0
	all, stale := x.view.Instances(), !x.view.StaleSince().IsZero()
	for _, e := range all {
		one := mirrored{e.Path, e.Token}
		if !w.witness.there[one] && w.witness.gone[one].IsZero() {
			w.witness.gone[one] = time.Now() // it has come and gone between two looks
		}
		if e.Lost.IsZero() {
			silent := !stale && !w.witness.there[one] && time.Since(w.witness.gone[one]) > blind
			require.False(w.t, silent, "%s is gone since %v, and nobody says it", e.Path, w.witness.gone[one])
			continue
		}
		lost++
		w.done["kept"]++
		require.False(w.t, w.witness.there[one] && time.Since(e.Lost) > blind, "%s is said to be lost since %v, and is there", e.Path, e.Lost)
		require.Less(w.t, time.Since(e.Lost), x.opts.KeepLost, "%s is kept for too long", e.Path)
		require.True(w.t, e.Available(), "%s was not up, and is kept", e.Path)
	}
	if lost > 0 {
		require.Greater(w.t, lost, 1, "one alone is kept")
		require.Greater(w.t, float64(lost), x.opts.MassLoss*float64(len(all)), "so few are no mass")
	}
}

// lose has all registrants vanish at once when it is quiet, and come again: then it is known what is kept, and until when.
func (w *world) lose() {
	t := w.t
	before := map[*watcher]map[string]string{}
	for _, x := range w.watchers {
		before[x] = told2(x.view.Instances())
	}
	for _, p := range w.live {
		w.e.CutClient(p.client)
		require.NoError(t, w.e.ExpireSession(t.Context(), p.client.Session().ID()))
	}
	w.pass(5 * time.Second)
	for _, x := range w.watchers {
		lost, stay := 0, map[string]string{}
		for path, text := range before[x] {
			if w.witness.has(path) {
				stay[path] = text
				delete(before[x], path)
			} else {
				lost++
			}
		}
		kept := map[string]string{}
		for path, text := range stay {
			kept[path] = text
		}
		if lost > 1 && float64(lost) > x.opts.MassLoss*float64(lost+len(stay)) {
			for path, text := range before[x] {
				kept[path] = text + " lost"
			}
			w.done["braked"]++
		}
		require.Equal(t, kept, told2(x.view.Instances()))
		before[x] = stay
	}
	w.pass(longest)
	for _, x := range w.watchers {
		require.Equal(t, before[x], told2(x.view.Instances()), "in the end it is believed")
	}
	w.e.Heal()
	w.pass(time.Minute)
}

func (v *witness) has(path string) bool {
	for one := range v.there {
		if one.path == path {
			return true
		}
	}
	return false
}

// brakes are those of the watchers: as most have it but for the time, one that is easy to alarm, and none.
var brakes = []discovery.LookupOptions{
	{MassLoss: 0.5, KeepLost: longest}, {MassLoss: 0.2, LossWindow: 10 * time.Second, KeepLost: 15 * time.Second}, {MassLoss: 1, KeepLost: longest},
}

// longest is how long what is lost is kept at most.
const longest = 20 * time.Second
