package lost

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// A Table counts what became of runs.
type Table struct {
	runs  int
	cells map[[2]string]map[outcome]int
	sums  map[[2]string]map[outcome]int // kinds of operations, and circumstances
}

// columns are what is lost, of the first fault of a plan.
var columns = []string{"request lost", "reply lost", "request cut", "reply cut", "request late", "reply late", "request swallowed", "reply swallowed", "way back late", "nothing"}

// column is what was lost first.
func (r Result) column() string {
	if r.story.strikes == 0 {
		return "nothing"
	}
	if r.Plan.away {
		return "way back late"
	}
	f := r.Plan.faults[0]
	frame := "request "
	if f.reply {
		frame = "reply "
	}
	return frame + map[way]string{lose: "lost", cut: "cut", freeze: "late", swallow: "swallowed"}[f.way]
}

// circumstances are the caller's and the session's.
func (r Result) circumstances() string {
	switch s := r.story; {
	case s.left && s.ended:
		return "caller left, session ended"
	case s.left:
		return "caller left"
	case s.ended:
		return "session ended"
	}
	return "all else well"
}

// class is what the client promises of an operation.
func (k *kind) class() string {
	switch {
	case k.read:
		return "reads"
	case k.exact:
		return "exactly-once writes"
	}
	return "plain writes"
}

// Add counts a run.
func (t *Table) Add(r Result) {
	if t.cells == nil {
		t.cells, t.sums = map[[2]string]map[outcome]int{}, map[[2]string]map[outcome]int{}
	}
	t.runs++
	count(t.cells, r.Plan.kind.name, r.column(), r.story.outcome())
	count(t.sums, r.Plan.kind.class(), r.circumstances(), r.story.outcome())
}

func count(in map[[2]string]map[outcome]int, row, column string, o outcome) {
	at := [2]string{row, column}
	if in[at] == nil {
		in[at] = map[outcome]int{}
	}
	in[at][o]++
}

// String is the table: of each operation and each fault how many were done, not done and unknown.
func (t *Table) String() string {
	var rows []string
	for _, k := range kinds {
		rows = append(rows, k.name)
	}
	return fmt.Sprintf("%d runs; done/not done/unknown by what was lost first\n", t.runs) + print(t.cells, rows, columns) +
		print(t.sums, []string{"plain writes", "exactly-once writes", "reads"},
			[]string{"all else well", "caller left", "session ended", "caller left, session ended"})
}

func print(cells map[[2]string]map[outcome]int, rows, columns []string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\t%s\n", strings.Join(columns, "\t"))
	for _, row := range rows {
		fmt.Fprint(w, row)
		for _, column := range columns {
			if cell := cells[[2]string{row, column}]; cell != nil {
				fmt.Fprintf(w, "\t%d/%d/%d", cell[done], cell[notDone], cell[unknown])
			} else {
				fmt.Fprint(w, "\t-")
			}
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // to memory
	return b.String()
}
