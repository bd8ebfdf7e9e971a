package ticket

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bellwether-zk/bellwether/client"
)

// Place is one ticket as others see it: its node's name, taken apart.
type Place struct {
	Name   string // of the node, without the directory
	ID     string // the id of the create that made it, "" if the name bears none
	Number int32  // the server's number
}

// Parse reads the name of a ticket of a marker. Everything else that stands in the directory is not ok. Whatever precedes the marker
// is accepted, as Curator accepts it.
func Parse(name, marker string) (Place, bool) {
	i := strings.LastIndex(name, marker)
	if i < 0 {
		return Place{}, false
	}
	digits := name[i+len(marker):]
	n, err := strconv.ParseInt(digits, 10, 32)
	// The server's format is Java's %010d: ten characters at least, a minus being one of them.
	if err != nil || fmt.Sprintf("%010d", n) != digits {
		return Place{}, false
	}
	id, _, _ := client.ParseProtected(name)
	return Place{Name: name, ID: id, Number: int32(n)}, true
}

// before tells whether number a was given out before b: serial arithmetic, which holds across the wrap as long as the two are less than
// 2^31 apart.
func before(a, b int32) bool { return a-b < 0 }

// places splits the children of a directory into tickets of the marker, first to last, and others.
func places(names []string, marker string) (line []Place, foreign []string) {
	for _, name := range names {
		if p, ok := Parse(name, marker); ok {
			line = append(line, p)
		} else {
			foreign = append(foreign, name)
		}
	}
	slices.SortFunc(line, func(a, b Place) int {
		switch {
		case before(a.Number, b.Number):
			return -1
		case before(b.Number, a.Number):
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return line, foreign
}
