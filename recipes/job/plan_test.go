package job

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/client"
)

func at(text string) time.Time {
	t, err := time.Parse(time.DateTime, "2026-03-28 "+text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestSchedules(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	for _, c := range []struct {
		schedule    Schedule
		after, want string
	}{
		{Every(time.Hour), "2026-03-28T10:00:00Z", "2026-03-28T11:00:00Z"},
		{Every(time.Hour), "2026-03-28T10:59:59.999Z", "2026-03-28T11:00:00Z"},
		{Every(time.Hour), "2026-03-28T10:59:59.999+05:30", "2026-03-28T06:00:00Z"},
		{Every(24 * time.Hour), "2026-03-28T23:30:00-02:00", "2026-03-30T00:00:00Z"},
		{Every(7 * 24 * time.Hour), "2026-03-28T10:00:00Z", "2026-03-30T00:00:00Z"},
		{Every(0), "2026-03-28T10:00:00Z", "2026-03-28T10:00:00Z"},
		{Daily(3, 30, time.UTC), "2026-03-28T03:29:59Z", "2026-03-28T03:30:00Z"},
		{Daily(3, 30, time.UTC), "2026-03-28T03:30:00Z", "2026-03-29T03:30:00Z"},
		{Daily(3, 30, time.UTC), "2026-12-31T03:30:00Z", "2027-01-01T03:30:00Z"},
		{Daily(1, 30, berlin), "2026-03-28T23:30:00Z", "2026-03-29T00:30:00Z"},
		{Daily(2, 30, berlin), "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"}, // there is no 2:30 that day
		{Daily(2, 30, berlin), "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"},
		{Daily(2, 30, berlin), "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"}, // the first of two
		{Daily(2, 30, berlin), "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		{Daily(3, 30, berlin), "2026-10-24T12:00:00Z", "2026-10-25T02:30:00Z"},
		{Daily(3, 30, berlin), "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"},
	} {
		after, err := time.Parse(time.RFC3339, c.after)
		require.NoError(t, err)
		require.Equal(t, c.want, c.schedule.Next(after).UTC().Format(time.RFC3339Nano), "%v after %s", c.schedule, c.after)
	}
}

// list is a schedule of some times.
type list []time.Time

func (l list) Next(t time.Time) time.Time {
	for _, next := range l {
		if next.After(t) {
			return next
		}
	}
	return time.Time{}
}

func TestPlan(t *testing.T) {
	hourly := plan{path: "/j", schedule: Every(time.Hour), attempts: 1}
	with := func(change func(p *plan)) plan {
		p := hourly
		change(&p)
		return p
	}
	ran := func(scheduled string, o Outcome) record {
		r := record{Record: Record{Scheduled: at(scheduled), Started: at(scheduled), Attempt: 1, Outcome: o}}
		return r
	}
	fresh := record{stat: client.Stat{Ctime: at("10:20:00")}}
	for name, c := range map[string]struct {
		plan plan
		last record
		now  string
		want step
	}{
		"new":                  {hourly, fresh, "10:30:00", step{do: wait, at: at("11:00:00"), scheduled: at("11:00:00"), attempt: 1}},
		"due":                  {hourly, ran("10:00:00", Done), "11:00:00", step{do: begin, at: at("11:00:00"), scheduled: at("11:00:00"), attempt: 1}},
		"failed":               {hourly, ran("10:00:00", Failed), "10:00:01", step{do: wait, at: at("11:00:00"), scheduled: at("11:00:00"), attempt: 1}},
		"unknown":              {hourly, ran("10:00:00", Unknown), "10:00:01", step{do: wait, at: at("11:00:00"), scheduled: at("11:00:00"), attempt: 1}},
		"late":                 {hourly, ran("10:00:00", Done), "11:40:00", step{do: begin, at: at("11:00:00"), scheduled: at("11:00:00"), attempt: 1}},
		"late for several":     {hourly, ran("10:00:00", Done), "14:40:00", step{do: begin, at: at("14:00:00"), scheduled: at("14:00:00"), missed: at("11:00:00"), attempt: 1}},
		"the clock went back":  {hourly, ran("10:00:00", Done), "06:00:00", step{do: wait, at: at("11:00:00"), scheduled: at("11:00:00"), attempt: 1}},
		"each":                 {with(func(p *plan) { p.each = true }), ran("10:00:00", Done), "14:40:00", step{do: begin, at: at("11:00:00"), scheduled: at("11:00:00"), attempt: 1}},
		"too late":             {with(func(p *plan) { p.maxLate = time.Minute }), ran("10:00:00", Done), "14:40:00", step{do: wait, at: at("15:00:00"), scheduled: at("15:00:00"), missed: at("11:00:00"), attempt: 1}},
		"just in time":         {with(func(p *plan) { p.maxLate = time.Minute }), ran("10:00:00", Done), "14:01:00", step{do: begin, at: at("14:00:00"), scheduled: at("14:00:00"), missed: at("11:00:00"), attempt: 1}},
		"each that can":        {with(func(p *plan) { p.each, p.maxLate = true, 2*time.Hour }), ran("10:00:00", Done), "14:40:00", step{do: begin, at: at("13:00:00"), scheduled: at("13:00:00"), missed: at("11:00:00"), attempt: 1}},
		"at least":             {with(func(p *plan) { p.atLeast = 90 * time.Minute }), ran("10:00:00", Done), "11:00:00", step{do: wait, at: at("11:30:00"), scheduled: at("11:00:00"), attempt: 1}},
		"too late by at least": {with(func(p *plan) { p.atLeast, p.maxLate = 90*time.Minute, time.Minute }), ran("10:00:00", Done), "11:00:00", step{do: wait, at: at("12:00:00"), scheduled: at("12:00:00"), missed: at("11:00:00"), attempt: 1}},
		"again":                {with(func(p *plan) { p.attempts = 2 }), ran("10:00:00", Unknown), "10:20:00", step{do: begin, at: at("10:00:00"), scheduled: at("10:00:00"), attempt: 2}},
		"again when stopped":   {with(func(p *plan) { p.attempts = 2 }), ran("10:00:00", Stopped), "11:20:00", step{do: begin, at: at("10:00:00"), scheduled: at("10:00:00"), attempt: 2}},
		"not again":            {with(func(p *plan) { p.attempts = 2 }), ran("10:00:00", Failed), "10:20:00", step{do: wait, at: at("11:00:00"), scheduled: at("11:00:00"), attempt: 1}},
		"too late for again":   {with(func(p *plan) { p.attempts, p.maxLate = 2, time.Minute }), ran("10:00:00", Unknown), "10:20:00", step{do: wait, at: at("11:00:00"), scheduled: at("11:00:00"), attempt: 1}},
		"the end":              {with(func(p *plan) { p.schedule = list{at("09:00:00")} }), ran("09:00:00", Done), "10:20:00", step{do: rest}},
		"the end, too late":    {with(func(p *plan) { p.schedule, p.maxLate = list{at("10:00:00")}, 1 }), ran("09:00:00", Done), "10:20:00", step{do: rest}},
		"the last":             {with(func(p *plan) { p.schedule = list{at("10:00:00"), at("10:10:00")} }), ran("09:00:00", Done), "10:20:00", step{do: begin, at: at("10:10:00"), scheduled: at("10:10:00"), missed: at("10:00:00"), attempt: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.plan.next(c.last, at(c.now))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
	for _, bad := range []Schedule{Every(0), Every(-time.Second), list{at("10:00:00")}} {
		p := with(func(p *plan) { p.schedule = backwards{bad} })
		_, err := p.next(ran("10:00:00", Done), at("10:20:00"))
		require.ErrorIs(t, err, client.ErrBadArguments)
	}
}

type backwards struct{ Schedule }

func (b backwards) Next(t time.Time) time.Time { return b.Schedule.Next(t.Add(-time.Hour)) }

func TestJitter(t *testing.T) {
	p := plan{path: "/j", schedule: Every(time.Hour), jitter: time.Minute}
	var sum time.Duration
	seen := map[time.Duration]bool{}
	for i := range 200 {
		d := p.shift(at("10:00:00").Add(time.Duration(i) * time.Hour))
		require.GreaterOrEqual(t, d, time.Duration(0))
		require.Less(t, d, time.Minute)
		require.Equal(t, d, p.shift(at("10:00:00").Add(time.Duration(i)*time.Hour).Local()))
		sum += d
		seen[d] = true
	}
	require.Greater(t, len(seen), 190)
	require.InDelta(t, 30, (sum / 200).Seconds(), 8)
	other := plan{path: "/k", jitter: time.Minute}
	require.NotEqual(t, p.shift(at("10:00:00")), other.shift(at("10:00:00")))
}

// The last of many late times is the same as one finds by looking at each.
func TestLatest(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 500 {
		var times list
		for now := at("00:00:00"); len(times) < 50; {
			now = now.Add(1 + time.Duration(r.ExpFloat64()*float64(time.Duration(1)<<r.IntN(40))))
			times = append(times, now)
		}
		p := plan{schedule: times}
		first := times[r.IntN(len(times))]
		now := first.Add(time.Duration(r.ExpFloat64() * float64(times[49].Sub(times[0])/2)))
		want := first
		for _, one := range times {
			if one.After(want) && !one.After(now) {
				want = one
			}
		}
		got, err := p.latest(first, now)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	p := plan{schedule: Every(time.Second)}
	year := at("00:00:00").AddDate(1, 0, 0)
	asked := 0
	p.schedule = counting{p.schedule, &asked}
	got, err := p.latest(at("00:00:00"), year)
	require.NoError(t, err)
	require.Equal(t, year, got)
	require.Less(t, asked, 100, "it does not look at each")
}

type counting struct {
	Schedule
	n *int
}

func (c counting) Next(t time.Time) time.Time { *c.n++; return c.Schedule.Next(t) }
