package admin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// javaDate is how Java prints a moment.
func javaDate(t time.Time) string { return t.Format("Mon Jan 02 15:04:05 MST 2006") }

func dump(s Source) string {
	var b strings.Builder
	b.WriteString("SessionTracker dump:\n")
	if deadlines, ok := s.SessionDeadlines(); ok {
		dumpDeadlines(&b, deadlines)
	} else {
		dumpLeases(&b, s.Leases())
	}
	dumpEphemerals(&b, s.Ephemerals())
	dumpConnections(&b, s.IdleDeadlines())
	return b.String()
}

// dumpDeadlines is what a server says that ends sessions itself (class SessionTrackerImpl).
func dumpDeadlines(b *strings.Builder, deadlines []Deadline) {
	sessions := 0
	for _, d := range deadlines {
		sessions += len(d.Sessions)
	}
	fmt.Fprintf(b, "Session Sets (%d)/(%d):\n", len(deadlines), sessions)
	for _, d := range deadlines {
		fmt.Fprintf(b, "%d expire at %s:\n", len(d.Sessions), javaDate(d.At))
		for _, id := range d.Sessions {
			fmt.Fprintf(b, "\t%v\n", id)
		}
	}
}

// dumpLeases is what a learner says (class LearnerSessionTracker).
func dumpLeases(b *strings.Builder, leases []Lease) {
	fmt.Fprintf(b, "Global Sessions(%d):\n", len(leases))
	for _, l := range leases {
		fmt.Fprintf(b, "%v\t%dms\n", l.Session, l.Timeout.Milliseconds())
	}
}

func dumpEphemerals(b *strings.Builder, owned []Owned) {
	fmt.Fprintf(b, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(owned))
	for _, o := range owned {
		fmt.Fprintf(b, "%v:\n", o.Session)
		for _, p := range o.Paths {
			b.WriteString("\t" + p + "\n")
		}
	}
}

func dumpConnections(b *strings.Builder, conns []IdleConnection) {
	byTime := make(map[int64][]IdleConnection)
	for _, c := range conns {
		byTime[c.At.UnixMilli()] = append(byTime[c.At.UnixMilli()], c)
	}
	fmt.Fprintf(b, "Connections dump:\nConnections Sets (%d)/(%d):\n", len(byTime), len(conns))
	for _, at := range slices.Sorted(maps.Keys(byTime)) {
		set := byTime[at]
		fmt.Fprintf(b, "%d expire at %s:\n", len(set), javaDate(set[0].At))
		for _, c := range set {
			fmt.Fprintf(b, "\tip: /%s sessionId: %v\n", c.Addr, c.Session)
		}
	}
}

func watchSummary(s Source) string {
	conns, paths, watches := s.WatchCounts()
	return fmt.Sprintf("%d connections watching %d paths\nTotal watches:%d\n", conns, paths, watches)
}

func watchesBySession(s Source) string {
	var b strings.Builder
	for _, w := range s.Watches() {
		fmt.Fprintf(&b, "%v\n", w.Session)
		for _, p := range w.Paths {
			b.WriteString("\t" + p + "\n")
		}
	}
	b.WriteByte('\n')
	return b.String()
}

func watchesByPath(s Source) string {
	byPath := make(map[string][]string)
	for _, w := range s.Watches() {
		for _, p := range w.Paths {
			byPath[p] = append(byPath[p], w.Session.String())
		}
	}
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(byPath)) {
		b.WriteString(p + "\n")
		for _, id := range byPath[p] {
			b.WriteString("\t" + id + "\n")
		}
	}
	b.WriteByte('\n')
	return b.String()
}
