package job

import "time"

// Schedule says when something is to be done. Schedules of other packages fit, such as those of github.com/robfig/cron.
//
// Next returns the first time after t, or the zero time if there is none. It is called with times of the location time.Local, and should
// depend on nothing but t, and be the same in all processes: so a schedule of hours and days should name its location, where theirs may
// differ.
type Schedule interface {
	Next(t time.Time) time.Time
}

// Every is a schedule of one time in each period: of hours at each full one, of days at midnight UTC, of weeks on Mondays. Its times are the
// multiples of d since the year 1, UTC. d must be positive.
func Every(d time.Duration) Schedule { return every(d) }

type every time.Duration

// Next is Schedule's.
func (e every) Next(t time.Time) time.Time {
	if e <= 0 {
		return t
	}
	return t.Truncate(time.Duration(e)).Add(time.Duration(e))
}

// Daily is a schedule of one time a day, by the clocks of a place. On a day on which they show that time twice it is the first; and on one on
// which they never do, as they are set forward past it, it comes as long after midnight as on other days.
func Daily(hour, minute int, loc *time.Location) Schedule { return daily{hour, minute, loc} }

type daily struct {
	hour, minute int
	loc          *time.Location
}

// Next is Schedule's.
func (s daily) Next(t time.Time) time.Time {
	y, m, d := t.In(s.loc).Date()
	for ; ; d++ {
		if at := s.on(y, m, d); at.After(t) {
			return at
		}
	}
}

// on is the time on a day. time.Date leaves it open what it is on days on which the clocks are set; all processes must find the same.
func (s daily) on(year int, month time.Month, day int) time.Time {
	at := time.Date(year, month, day, s.hour, s.minute, 0, 0, s.loc)
	_, now := at.Zone()
	_, before := at.Add(-24 * time.Hour).Zone()
	if now == before {
		return at
	}
	old := time.Date(year, month, day, s.hour, s.minute, 0, 0, time.UTC).Add(-time.Duration(before) * time.Second).In(s.loc)
	if s.shown(old) || !s.shown(at) {
		return old
	}
	return at
}

func (s daily) shown(t time.Time) bool { return t.Hour() == s.hour && t.Minute() == s.minute }
