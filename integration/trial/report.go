package trial

import (
	"fmt"
	"strings"
)

// A Report is what a run has shown.
type Report struct {
	// Wrong is what must not be: with the time, a space, the recipe's name and a colon.
	Wrong []string
	// Turns came about, Troubled of them with a fault on the user's connection that took effect meanwhile.
	Turns, Troubled int
	// Struck is how many faults of users' connections took effect.
	Struck int

	lines []string
}

func (r *run) report() *Report {
	report := &Report{}
	for _, t := range r.trials {
		c := t.counts
		report.Wrong = append(report.Wrong, t.wrong...)
		report.Turns += c.turns
		report.Troubled += c.troubled
		report.Struck += c.struck
		report.lines = append(report.lines, fmt.Sprintf("%-10s %5d turns of %d users, %4d of them troubled, %4d came to nothing; %5d held, %5d guarded writes; %3d of %3d faults took effect, %3d sessions lost",
			t.Name, c.turns, len(t.users), c.troubled, c.failed, c.held, c.writes, c.struck, c.faults, c.sessions))
	}
	return report
}

// String is a line for each recipe, and one for all.
func (r *Report) String() string {
	return fmt.Sprintf("%s\n%d turns, %d of them with a fault that took effect on the user's connection, %d such faults; %d things wrong",
		strings.Join(r.lines, "\n"), r.Turns, r.Troubled, r.Struck, len(r.Wrong))
}
