package ticket

import (
	"cmp"
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
	Marker string
	Number int32 // the server's number
}

// Parse reads the name of a ticket of one of the markers. Everything else that stands in the directory is not ok. Whatever precedes the
// marker is accepted, as Curator accepts it.
func Parse(name string, markers ...string) (Place, bool) {
	for _, marker := range markers {
		if p, ok := parse(name, marker); ok {
			return p, true
		}
	}
	return Place{}, false
}

func parse(name, marker string) (Place, bool) {
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
	return Place{Name: name, ID: id, Marker: marker, Number: int32(n)}, true
}

// readable tells whether numbers behind a marker can be read again, positive and negative.
func readable(marker string) bool {
	for _, number := range []string{"0123456789", "-987654321"} {
		if _, ok := parse(marker+number, marker); !ok {
			return false
		}
	}
	return marker != ""
}

// name is that of a ticket's node, without the directory.
func (p Place) name() string { return fmt.Sprintf("_c_%s-%s%010d", p.ID, p.Marker, p.Number) }

// before tells whether number a was given out before b: serial arithmetic, which holds across the wrap as long as the two are less than
// 2^31 apart.
func before(a, b int32) bool { return a-b < 0 }

// places splits the children of a directory into tickets of the markers, first to last, and others.
func places(names, markers []string) (line []Place, foreign []string) {
	for _, name := range names {
		if p, ok := Parse(name, markers...); ok {
			line = append(line, p)
		} else {
			foreign = append(foreign, name)
		}
	}
	slices.SortFunc(line, func(a, b Place) int { return cmp.Or(byNumber(a, b), strings.Compare(a.Name, b.Name)) })
	return line, foreign
}

// byNumber compares two tickets by when their numbers were given out.
func byNumber(a, b Place) int {
	switch {
	case before(a.Number, b.Number):
		return -1
	case before(b.Number, a.Number):
		return 1
	}
	return 0
}
