package queue

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Order says in which order a queue gives out its items. It is a part of the items' names: all who use a queue must agree.
type Order int

// The orders, with the Curator class each shares its names with.
const (
	FIFO       Order = iota // first in, first out (DistributedQueue)
	ByPriority              // the smallest [Item].Priority first, and first in, first out among equals (DistributedPriorityQueue)
	ByTime                  // the earliest [Item].At first, and none before its time (DistributedDelayQueue)
	ByID                    // first in, first out, and [Queue.Remove] finds an item by its [Item].ID (DistributedIdQueue)

	// Simple is first in, first out, for who shares a queue with SimpleDistributedQueue: nothing but data, and no claims, since Curator's consumers
	// would not respect them; so items are taken by [Queue.Pop] and not by Take, and have no Key.
	Simple
)

// mark opens the name of each item.
func (o Order) mark() string {
	if o == Simple {
		return "qn-"
	}
	return "queue-"
}

// A name is an item's node name, taken apart.
type name struct {
	text     string
	order    Order // by which the fields below were read
	number   int32
	priority int32
	at       time.Time
	id       string
}

// prefix is the name of a new item but for its number.
func (o Order) prefix(i *Item) string {
	switch mark := o.mark(); o {
	case ByPriority:
		sign := 1
		if i.Priority < 0 {
			sign = 0
		}
		return fmt.Sprintf("%s%d%08X", mark, sign, uint32(i.Priority))
	case ByTime:
		return fmt.Sprintf("%s|%08X|", mark, max(i.At.UnixMilli(), 0))
	case ByID:
		return mark + "|" + idInName(i.ID) + "|"
	default:
		return mark
	}
}

// idInName is an id as it stands in names, and with it what is the same id.
func idInName(id string) string { return strings.NewReplacer("/", "_", "|", "_").Replace(id) }

// parse reads a name. What does not begin as items do, or has no number, is not ok. Where the part that the order is about is missing, as in what
// Curator puts back into a priority queue, it is zero.
func (o Order) parse(text string) (name, bool) {
	rest, ok := strings.CutPrefix(text, o.mark())
	if !ok {
		return name{}, false
	}
	head, number, ok := cutNumber(rest)
	n := name{text: text, order: o, number: number}
	switch {
	case o == ByPriority && len(head) == 9 && (head[0] == '0' || head[0] == '1'):
		if p, err := strconv.ParseUint(head[1:], 16, 32); err == nil {
			n.priority = int32(p)
		}
	case o == ByTime && between(head):
		if ms, err := strconv.ParseInt(head[1:len(head)-1], 16, 64); err == nil {
			n.at = time.UnixMilli(ms)
		}
	case o == ByID && between(head):
		n.id = head[1 : len(head)-1]
	}
	return n, ok
}

// between tells whether something stands between two bars.
func between(s string) bool { return len(s) >= 2 && s[0] == '|' && s[len(s)-1] == '|' }

// cutNumber takes the number off the end, ten digits, behind a minus when the counter of a directory has wrapped.
func cutNumber(s string) (head string, number int32, ok bool) {
	at := len(s) - 10
	if at < 0 {
		return "", 0, false
	}
	for _, c := range []byte(s[at:]) {
		if c < '0' || c > '9' {
			return "", 0, false
		}
	}
	if at > 0 && s[at-1] == '-' {
		at--
	}
	n, err := strconv.ParseInt(s[at:], 10, 32)
	return s[:at], int32(n), err == nil
}

// stem is the name without its number: the prefix of one that is to stand in the same place of the order.
func (n name) stem() string {
	head, _, _ := cutNumber(strings.TrimPrefix(n.text, n.order.mark()))
	return n.order.mark() + head
}

// before orders names, negative where a is given out first. Numbers wrap: they are compared by serial arithmetic.
func (n name) compare(b name) int {
	return cmp.Or(
		cmp.Compare(n.priority, b.priority),
		n.at.Compare(b.at),
		cmp.Compare(n.number-b.number, 0),
		strings.Compare(n.text, b.text),
	)
}

// parseAll reads the names of items, in order, and returns apart what is none.
func (o Order) parseAll(texts []string) (items []name, foreign []string) {
	for _, text := range texts {
		if n, ok := o.parse(text); ok {
			items = append(items, n)
		} else {
			foreign = append(foreign, text)
		}
	}
	slices.SortFunc(items, name.compare)
	slices.Sort(foreign)
	return items, foreign
}

// laterName is the name an item waits by until its time comes, in a directory of its own; parseLater takes it apart.
func laterName(at time.Time, item string) string {
	return fmt.Sprintf("%08X|%s", max(at.UnixMilli(), 0), item)
}

func parseLater(text string) (at time.Time, item string, ok bool) {
	head, item, ok := strings.Cut(text, "|")
	ms, err := strconv.ParseInt(head, 16, 64)
	return time.UnixMilli(ms), item, ok && err == nil && strings.HasPrefix(item, FIFO.mark())
}
