package discovery

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A script of comings and goings: "+a" comes, "-a" goes, "~a" says goodbye, a number lets so many seconds pass, and behind "=" stands what is
// listed then, what is lost in brackets.
func TestBrake(t *testing.T) {
	for _, script := range []string{
		"+a +b +c +d -a -b = c d",
		"+a +b +c +d -a -b -c = (a) (b) (c) d",
		"+a +b +c +d -a -b = c d 20 -c = (a) (b) (c) d",
		"+a +b +c +d -a -b = c d 31 -c = d",
		"+a +b +c -a -b -c = (a) (b) (c) 119 = (a) (b) (c) 1 =",
		"+a -a =",
		"+a +b -a -b = (a) (b) +a = a",
		"+a +b +c +d -a -b -c -d +b = (a) b (c) (d) +d = b d",
		"+a +b +c +d ~a ~b ~c -a -b -c = d",
		"+a +b +c +d +e +f -a -b -c -d -e +x = (b) (c) (d) (e) f x +y = f x y",
		"+a +b +c +d -a +x -b +y -c +z = d x y z",
		"+a +b +c +d -a -b -c 60 -d = (a) (b) (c) (d) 60 =",
	} {
		b := brake[struct{}]{share: 0.5, window: 30 * time.Second, hold: 2 * time.Minute}
		now := time.Unix(0, 0)
		words := strings.Fields(script)
		for i := 0; i < len(words); i++ {
			name := words[i][1:]
			switch words[i][0] {
			case '+':
				b.added(&Entry[struct{}]{Path: name})
			case '~':
				b.added(&Entry[struct{}]{Path: name, Instance: Instance[struct{}]{Status: Draining}})
			case '-':
				b.removed(name, now)
			case '=':
				b.settle(now)
				var got []string
				for _, e := range b.listed() {
					if e.Lost.IsZero() {
						got = append(got, e.Path)
					} else {
						got = append(got, "("+e.Path+")")
					}
				}
				var want []string
				for i+1 < len(words) && !strings.ContainsAny(words[i+1][:1], "+-~=0123456789") {
					i++
					want = append(want, words[i])
				}
				require.Equal(t, want, got, script)
			default:
				var seconds int
				_, err := fmt.Sscan(words[i], &seconds)
				require.NoError(t, err)
				for end := now.Add(time.Duration(seconds) * time.Second); ; {
					alarm := b.settle(now)
					if alarm.IsZero() || alarm.After(end) {
						now = end
						break
					}
					require.True(t, alarm.After(now))
					now = alarm
				}
			}
		}
	}
}

// Whatever comes and goes, nobody is listed twice, whoever is there is listed as that, and in the end it is believed.
func TestBrakeKeepsTruth(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 50 {
		b := brake[struct{}]{share: r.Float64(), window: 30 * time.Second, hold: 2 * time.Minute}
		now := time.Unix(0, 0)
		there := map[string]bool{}
		for range 200 {
			name := string(rune('a' + r.IntN(12)))
			switch {
			case there[name] && r.IntN(2) == 0:
				b.removed(name, now)
				delete(there, name)
			default:
				e := &Entry[struct{}]{Path: name}
				e.ID, e.Address = "same", fmt.Sprint(r.IntN(5))
				b.added(e)
				there[name] = true
			}
			now = now.Add(time.Duration(r.IntN(3)*r.IntN(20)) * time.Second)
			b.settle(now)
			all := b.listed()
			require.True(t, slices.IsSortedFunc(all, func(a, b *Entry[struct{}]) int { return strings.Compare(a.Path, b.Path) }))
			found := 0
			for i, e := range all {
				require.True(t, i == 0 || all[i-1].Path != e.Path, "%s is there twice", e.Path)
				require.Equal(t, there[e.Path], e.Lost.IsZero())
				if there[e.Path] {
					found++
				}
			}
			require.Len(t, there, found)
		}
		require.Zero(t, b.settle(now.Add(time.Hour)))
		require.Len(t, b.listed(), len(there))
	}
}
