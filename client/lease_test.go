package client

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var dawn = time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return dawn.Add(time.Duration(math.Round(seconds*1e3)) * time.Millisecond)
}

// A touch counts once a majority has answered what was sent half a tick later, and some; ticks are half of the timeout if nobody knows.
func TestLease(t *testing.T) {
	var l lease
	l.opened(at(0), 16*time.Second, 0)
	require.Equal(t, at(14.4), l.until(), "a session that was opened needs no more proof")
	l.answered(at(1), false)
	l.answered(at(2), false)
	l.answered(at(5), false)
	require.Equal(t, at(14.4), l.until(), "one server's word is none")
	l.answered(at(5), true)
	require.Equal(t, at(14.4), l.until(), "the leader need not have heard of it")
	l.answered(at(6.9), true)
	require.Equal(t, at(15.4), l.until(), "of the first it has")
	l.answered(at(7), true)
	require.Equal(t, at(16.4), l.until())
	l.answered(at(30), true)
	require.Equal(t, at(6.9+14.4), l.until(), "and of this one it has not heard yet; the one of 7 is taken for that of 6.9")

	l.opened(at(31), 16*time.Second, 2*time.Second)
	require.Equal(t, at(6.9+14.4), l.until(), "this can have been somebody who was the leader")
	l.answered(at(31.01), true)
	require.Equal(t, at(31+14.4), l.until(), "it was not")
	l.answered(at(32), false)
	l.answered(at(33), true)
	require.Equal(t, at(31+14.4), l.until())
	l.answered(at(33.25), true)
	require.Equal(t, at(32+14.4), l.until(), "half a tick and a quarter")

	require.False(t, l.over(at(32+14.3)))
	require.True(t, l.over(at(32+14.4)))
	require.False(t, l.over(at(0)), "a clock that was set back proves nothing")
}

// Either clock ends a lease: the one that stands still while the machine sleeps, and the one that people set.
func TestLeaseHasTwoClocks(t *testing.T) {
	now := time.Now() // with both
	var l lease
	l.opened(now, 10*time.Second, 0)
	require.False(t, l.over(now.Add(8*time.Second)))
	require.True(t, l.over(now.Add(9*time.Second)))
	require.True(t, l.over(now.Round(0).Add(9*time.Second)), "the machine slept")
	require.False(t, l.over(now.Round(0).Add(8*time.Second)))
}

// However answers come, a proof is never later than what the rule says of all of them, and little of it is remembered.
func TestLeaseIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const timeout = 16 * time.Second
		tick := time.Duration(rapid.IntRange(1, 8).Draw(t, "tick")) * time.Second
		half := tick/2 + tick/8
		var l lease
		var touches []time.Time
		l.opened(at(0), timeout, tick)
		exact, now := at(0), 0.0
		for range rapid.IntRange(1, 300).Draw(t, "answers") {
			now += rapid.Float64Range(0, 3).Draw(t, "pause")
			sent := at(now)
			byMajority := rapid.Bool().Draw(t, "by majority")
			l.answered(sent, byMajority)
			for _, earlier := range touches {
				if byMajority && sent.Sub(earlier) >= half && earlier.After(exact) {
					exact = earlier
				}
			}
			touches = append(touches, sent)
			if l.proof.After(exact) || exact.Sub(l.proof) > timeout/touchesPerTimeout {
				t.Fatalf("proved %v, in fact it is %v", l.proof.Sub(dawn), exact.Sub(dawn))
			}
			if len(l.touches) > touchesPerTimeout+1 {
				t.Fatalf("%d touches", len(l.touches))
			}
		}
	})
}

// Who asks after the end is told the truth, though no timer has run yet; who relies on nothing is not bothered.
func TestWhoAsksReadsTheClocks(t *testing.T) {
	c, err := newCore("127.0.0.1:1", nil)
	require.NoError(t, err)
	session := func() *Session {
		g := newGeneration(c, 1)
		g.ledger.opens(time.Now(), grant{timeout: time.Hour}, 0)
		return &Session{gen: g, ctx: leasedContext{g.ctx, g}}
	}
	stop := func(s *Session) { // the process stood still
		s.gen.ledger.lease.proof = time.Now().Add(-54 * time.Minute)
	}
	s, idle := session(), session()
	_, sure := s.gen.ledger.hold(s.gen.alarm)
	require.True(t, sure)
	require.NoError(t, s.Err())
	require.NoError(t, s.Context().Err())
	stop(s)
	stop(idle)
	require.ErrorIs(t, s.Context().Err(), context.Canceled)
	require.ErrorIs(t, s.Err(), ErrSessionExpired)
	require.ErrorIs(t, context.Cause(s.Context()), errUnproved)
	require.NoError(t, idle.Err())
	_, sure = idle.gen.ledger.hold(idle.gen.alarm)
	require.False(t, sure, "it has to be proved first")
	idle.gen.end(ErrClosed)
}
