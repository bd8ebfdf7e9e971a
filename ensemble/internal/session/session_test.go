package session_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/session"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func TestDeadlineIsTheNextMultipleOfTheTick(t *testing.T) {
	for _, c := range []struct{ now, timeout, want int64 }{{0, 4000, 6000}, {1, 3999, 6000}, {1, 3998, 4000}, {1999, 4000, 6000}, {2000, 4000, 8000}} {
		tr := session.New(2000)
		require.True(t, tr.Open(1, int32(c.timeout), c.now))
		next, ok := tr.Next()
		require.True(t, ok)
		require.Equal(t, c.want, next, "%+v", c)
		require.Empty(t, tr.Expired(c.want-1))
		require.Equal(t, []znode.SessionID{1}, tr.Expired(c.want))
		require.Equal(t, znode.CodeSessionExpired, tr.Check(1))
	}
}

func TestLifeOfASession(t *testing.T) {
	tr := session.New(1000)
	require.Equal(t, znode.CodeSessionExpired, tr.Check(7))
	require.False(t, tr.Touch(7, 0))
	require.True(t, tr.Open(7, 5000, 0))
	require.Equal(t, znode.CodeOK, tr.Check(7))
	timeout, ok := tr.Timeout(7)
	require.True(t, ok)
	require.Equal(t, int32(5000), timeout)

	require.True(t, tr.Touch(7, 3000))
	require.True(t, tr.Touch(7, 1000), "an old report")
	next, _ := tr.Next()
	require.Equal(t, int64(9000), next, "an old report brings nothing forward")

	require.True(t, tr.SetTimeout(7, 2000, 3000), "a new negotiation does")
	next, _ = tr.Next()
	require.Equal(t, int64(6000), next)
	require.Equal(t, []session.Bucket{{Deadline: 6000, Sessions: []znode.SessionID{7}}}, tr.Buckets())

	tr.SetClosing(7)
	require.Equal(t, znode.CodeSessionExpired, tr.Check(7))
	require.False(t, tr.Touch(7, 3000))
	require.False(t, tr.Open(7, 5000, 3000), "closing is final")
	_, ok = tr.Timeout(7)
	require.False(t, ok)
	_, ok = tr.Next()
	require.False(t, ok)
	require.Equal(t, 1, tr.Len())
	tr.Close(7)
	tr.Close(7)
	require.Zero(t, tr.Len())
	require.True(t, tr.Open(7, 5000, 3000), "an id that was forgotten is free")
}

// TestPauseIsForgiven: the process sleeps for a minute. Whoever was heard of first lives; whoever was not has a tick to be heard.
func TestPauseIsForgiven(t *testing.T) {
	tr := session.New(1000)
	tr.Open(1, 5000, 0)
	tr.Open(2, 5000, 0)
	require.Empty(t, tr.Expired(1000))

	tr.Touch(1, 61_000)
	require.Empty(t, tr.Expired(61_000), "nobody could be heard meanwhile")
	next, _ := tr.Next()
	require.Equal(t, int64(65_000), next, "of the minute one tick counts: it is as if it were 2000")
	require.Empty(t, tr.Expired(64_999))
	require.Equal(t, []znode.SessionID{2}, tr.Expired(65_000))
	next, _ = tr.Next()
	require.Equal(t, int64(67_000), next)
	require.Equal(t, []znode.SessionID{1}, tr.Expired(67_000))
}

func TestSleepingUntilNextIsNoPause(t *testing.T) {
	tr := session.New(1000)
	tr.Open(1, 60_000, 0)
	next, _ := tr.Next()
	require.Equal(t, []znode.SessionID{1}, tr.Expired(next+1000), "a tick late is not a pause either")
}

// model is the slow, obvious Tracker: it looks at every session for every question.
type model struct {
	tick     int64
	deadline map[znode.SessionID]int64
	timeout  map[znode.SessionID]int64
	closing  map[znode.SessionID]bool
}

func (m *model) at(id znode.SessionID, now int64) int64 {
	d := now + m.timeout[id] + 1
	for d%m.tick != 0 {
		d++
	}
	return d
}

func (m *model) open(id znode.SessionID) bool { _, ok := m.deadline[id]; return ok }

func (m *model) expired(now int64) []znode.SessionID {
	var ids []znode.SessionID
	for id, d := range m.deadline {
		if d <= now {
			ids = append(ids, id)
			m.closing[id] = true
			delete(m.deadline, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (m *model) buckets() []session.Bucket {
	by := map[int64][]znode.SessionID{}
	for id, d := range m.deadline {
		by[d] = append(by[d], id)
	}
	var out []session.Bucket
	for d, ids := range by {
		slices.Sort(ids)
		out = append(out, session.Bucket{Deadline: d, Sessions: ids})
	}
	slices.SortFunc(out, func(a, b session.Bucket) int { return int(a.Deadline - b.Deadline) })
	return out
}

func TestTrackerAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tick := rapid.Int64Range(1, 7).Draw(t, "tick")
		tr := session.New(tick)
		m := &model{tick, map[znode.SessionID]int64{}, map[znode.SessionID]int64{}, map[znode.SessionID]bool{}}
		now := rapid.Int64Range(0, 1000).Draw(t, "start")
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += rapid.Int64Range(0, tick).Draw(t, "pass") // never a pause
			id := znode.SessionID(rapid.IntRange(1, 6).Draw(t, "id"))
			timeout := rapid.Int32Range(1, 30).Draw(t, "timeout")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1:
				require.Equal(t, !m.closing[id], tr.Open(id, timeout, now))
				if !m.closing[id] {
					m.timeout[id] = int64(timeout)
					m.deadline[id] = m.at(id, now)
				}
			case 2:
				require.Equal(t, m.open(id), tr.Touch(id, now))
				if m.open(id) {
					m.deadline[id] = max(m.deadline[id], m.at(id, now))
				}
			case 3:
				require.Equal(t, m.open(id), tr.SetTimeout(id, timeout, now))
				if m.open(id) {
					m.timeout[id] = int64(timeout)
					m.deadline[id] = m.at(id, now)
				}
			case 4:
				tr.SetClosing(id)
				if m.open(id) {
					m.closing[id] = true
					delete(m.deadline, id)
				}
			case 5:
				tr.Close(id)
				delete(m.closing, id)
				delete(m.deadline, id)
			}
			got := tr.Expired(now)
			slices.Sort(got)
			require.Equal(t, m.expired(now), got)
			require.Equal(t, m.buckets(), tr.Buckets())
			require.Equal(t, len(m.deadline)+len(m.closing), tr.Len())
			next, ok := tr.Next()
			require.Equal(t, len(m.deadline) > 0, ok)
			if ok {
				require.Equal(t, m.buckets()[0].Deadline, next)
			}
		}
	})
}

// TestPasswords holds what java.util.Random gives for the same ids.
func TestPasswords(t *testing.T) {
	for id, want := range map[uint64]string{
		1: "054cc74a37327db215e702e20c73f005", 0x100000000000001: "054cc74a37327db215e702e20c73f005",
		0xffffffffffffffff: "20f62cb5648dc2d771471c8a2486a9ee", 0x8000000000000001: "054cc74a37327db215e702e20c73f005",
		0x10001f2c4b0001: "4adedc1c9877b23462977242d5b1dfba",
	} {
		p := session.Password(znode.SessionID(id))
		require.Equal(t, want, hex.EncodeToString(p[:]), "%x", id)
		require.True(t, session.PasswordMatches(znode.SessionID(id), p[:]))
		require.False(t, session.PasswordMatches(znode.SessionID(id), p[:15]))
		require.False(t, session.PasswordMatches(znode.SessionID(id), make([]byte, 16)))
	}
	zero := session.Password(0)
	require.False(t, session.PasswordMatches(0, zero[:]), "session 0 never validates")
}

func TestIDs(t *testing.T) {
	g := session.NewIDs(1, 0x18bcfe56800)
	first := g.Next()
	require.Equal(t, znode.SessionID(0x01_8bcfe56800_0000), first, "server, 40 bits of milliseconds, 16 bits to count on")
	require.Equal(t, first+1, g.Next())

	g = session.NewIDs(0, 0)
	require.Equal(t, znode.SessionID(1), g.Next(), "0 is nobody")
	g = session.NewIDs(128, 0)
	require.Equal(t, znode.SessionID(-1<<63+1), g.Next(), "a container's mark is nobody's id")
	g = session.NewIDs(3, 1<<40-1)
	for range 1 << 17 {
		require.Equal(t, int64(3), int64(g.Next())>>56, "the count never reaches the server's byte")
	}
}

func TestNegotiate(t *testing.T) {
	for _, c := range [][4]int32{{10, 4, 40, 10}, {1, 4, 40, 4}, {50, 4, 40, 40}, {-1, 4, 40, 4}} {
		require.Equal(t, c[3], session.Negotiate(c[0], c[1], c[2]), "%v", c)
	}
}

func BenchmarkTouch(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tr := session.New(2000)
			for i := range n {
				tr.Open(znode.SessionID(i+1), 30_000, int64(i%2000))
			}
			b.ReportAllocs()
			now := int64(2000)
			for i := 0; b.Loop(); i++ {
				if i%n == 0 {
					now += 1000
				}
				tr.Touch(znode.SessionID(i%n+1), now)
			}
		})
	}
}
