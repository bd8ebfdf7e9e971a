package queue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The names are those of Curator's queues.
func TestNames(t *testing.T) {
	due := time.UnixMilli(0x18BCFE56800)
	for _, c := range []struct {
		order  Order
		item   Item
		prefix string
	}{
		{FIFO, Item{}, "queue-"},
		{ByPriority, Item{}, "queue-100000000"},
		{ByPriority, Item{Priority: 5}, "queue-100000005"},
		{ByPriority, Item{Priority: -5}, "queue-0FFFFFFFB"},
		{ByPriority, Item{Priority: -1 << 31}, "queue-080000000"},
		{ByTime, Item{At: due}, "queue-|18BCFE56800|"},
		{ByTime, Item{At: time.UnixMilli(0xAB)}, "queue-|000000AB|"},
		{ByTime, Item{}, "queue-|00000000|"},
		{ByID, Item{ID: "a/b|c"}, "queue-|a_b_c|"},
		{ByID, Item{}, "queue-||"},
		{Simple, Item{}, "qn-"},
	} {
		require.Equal(t, c.prefix, c.order.prefix(&c.item))
		for number, text := range map[int32]string{7: "0000000007", 1<<31 - 1: "2147483647", -1 << 31: "-2147483648"} {
			n, ok := c.order.parse(c.prefix + text)
			require.True(t, ok, c.prefix)
			require.Equal(t, number, n.number)
			require.Equal(t, c.item.Priority, n.priority)
			require.Equal(t, idInName(c.item.ID), n.id)
			require.Equal(t, c.prefix, n.stem())
			if c.order == ByTime && !c.item.At.IsZero() {
				require.True(t, c.item.At.Equal(n.at))
			}
		}
	}
	for _, text := range []string{"", "queue-", "queue-123456789", "queue-abcdefghij", "qn-0000000001", "lock-0000000001", "queue-9999999999"} {
		_, ok := FIFO.parse(text)
		require.False(t, ok, text)
	}
	n, ok := ByPriority.parse("queue-0000000012")
	require.True(t, ok, "what Curator has put back")
	require.Zero(t, n.priority)
}

func TestOrderOfNames(t *testing.T) {
	for order, want := range map[Order][]string{
		FIFO: {"queue-2147483646", "queue-2147483647", "queue--2147483648", "queue--2147483647"},
		ByPriority: {
			"queue-0FFFFFFFB0000000009", "queue-0FFFFFFFF0000000003", "queue-0000000006", "queue-1000000000000000007", "queue-1000000050000000001", "queue-1000000050000000002",
		},
		ByTime: {"queue-|00000001|0000000005", "queue-|0000000F|0000000001", "queue-|18BCFE56800|0000000002", "queue-|18BCFE56800|0000000003"},
		ByID:   {"queue-|b|0000000001", "queue-|a|0000000002"},
	} {
		shuffled := append([]string{"other"}, want[1:]...)
		names, foreign := order.parseAll(append(shuffled, want[0]))
		var got []string
		for _, n := range names {
			got = append(got, n.text)
		}
		require.Equal(t, want, got)
		require.Equal(t, []string{"other"}, foreign)
	}
	at, item, ok := parseLater(laterName(time.UnixMilli(0xABC), "queue-|a|0000000001"))
	require.True(t, ok)
	require.Equal(t, "queue-|a|0000000001", item)
	require.EqualValues(t, 0xABC, at.UnixMilli())
	for _, text := range []string{"", "00000ABC", "x|queue-0000000001", "00000ABC|x"} {
		_, _, ok := parseLater(text)
		require.False(t, ok, text)
	}
}
