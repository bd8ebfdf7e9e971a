package zab

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bellwether-zk/bellwether/ensemble/internal/packet"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

func z(epoch, counter uint32) znode.Zxid { return znode.MakeZxid(epoch, counter) }

func TestFollows(t *testing.T) {
	for _, c := range []struct {
		prev, next znode.Zxid
		want       bool
	}{
		{z(1, 1), z(1, 2), true},
		{z(1, 1), z(1, 1), false},
		{z(1, 1), z(1, 3), false},
		{z(1, 2), z(1, 1), false},
		{z(1, 7), z(2, 1), true},
		{z(1, 7), z(4, 1), true},
		{z(1, 7), z(2, 0), false},
		{z(1, 0xffffffff), z(2, 0), false},
		{z(2, 0), z(2, 1), true},
		{0, z(0, 1), true},
		{0, z(1, 1), true},
		{z(1, 1), -1, false},
	} {
		require.Equal(t, c.want, Follows(c.prev, c.next), "%v, %v", c.prev, c.next)
	}
}

// A history with a gap cannot be: what a server learned in synchronisation is in it, and it can give that to others (ZOOKEEPER-4925).
func TestHistoryRefusesGaps(t *testing.T) {
	h := NewHistory(z(1, 3), 10, 1000)
	require.NoError(t, h.Add(Record{Zxid: z(1, 4)}))
	for _, bad := range []znode.Zxid{z(1, 4), z(1, 6), z(1, 3), z(2, 0)} {
		err := h.Add(Record{Zxid: bad})
		require.ErrorIs(t, err, ErrGap, "%v", bad)
		require.ErrorContains(t, err, bad.String())
	}
	require.NoError(t, h.Add(Record{Zxid: z(2, 1)}))
	require.Equal(t, []znode.Zxid{z(1, 3), z(1, 4), z(2, 1)}, []znode.Zxid{h.Base(), h.First(), h.Last()})
}

// TestPlan is the decision table, against a history 1:4 1:5 3:1 3:2 3:3 that goes on from 1:3, of which 3:3 is not committed yet.
func TestPlan(t *testing.T) {
	h := NewHistory(z(1, 3), 100, 1<<20)
	for _, zxid := range []znode.Zxid{z(1, 4), z(1, 5), z(3, 1), z(3, 2), z(3, 3)} {
		require.NoError(t, h.Add(Record{Zxid: zxid}))
	}
	upto := z(3, 2)
	diff := func(from znode.Zxid) Plan { return Plan{Type: packet.TypeDiff, Zxid: upto, From: from} }
	trunc := func(to znode.Zxid) Plan { return Plan{Type: packet.TypeTrunc, Zxid: to, From: to} }
	snap := Plan{Type: packet.TypeSnap}
	for _, c := range []struct {
		name       string
		last       znode.Zxid
		ours, java Plan
	}{
		{"the same", z(3, 2), diff(z(3, 2)), diff(z(3, 2))},
		{"in the history", z(1, 5), diff(z(1, 5)), diff(z(1, 5))},
		{"the base", z(1, 3), diff(z(1, 3)), diff(z(1, 3))},
		{"before the base", z(1, 2), snap, snap},
		{"nothing", 0, snap, snap},
		{"nothing to be believed", -1, snap, snap},
		{"a zxid below zero", z(0x80000000, 5), snap, snap},
		{"ahead in the same epoch", z(3, 9), trunc(z(3, 2)), trunc(z(3, 2))},
		{"what is only proposed, on an earlier link", z(3, 3), trunc(z(3, 2)), trunc(z(3, 2))},
		{"ahead in an epoch we do not know", z(4, 1), trunc(z(3, 2)), trunc(z(3, 2))},
		{"ahead, the beginning of an epoch", z(4, 0), Plan{packet.TypeDiff, z(4, 0), z(4, 0)}, Plan{packet.TypeDiff, z(4, 0), z(4, 0)}},
		{"a tail of an old epoch", z(1, 7), trunc(z(1, 5)), snap},
		{"a tail of an epoch we never saw", z(2, 1), trunc(z(1, 5)), snap},
		{"the beginning of an epoch", z(3, 0), diff(z(3, 0)), diff(z(3, 0))},
		{"the beginning of an epoch without transactions", z(2, 0), diff(z(2, 0)), diff(z(2, 0))},
	} {
		require.Equal(t, c.ours, h.Plan(c.last, upto, true), c.name)
		require.Equal(t, c.java, h.Plan(c.last, upto, false), c.name)
	}

	fresh := NewHistory(0, 10, 1000)
	require.Equal(t, Plan{Type: packet.TypeDiff}, fresh.Plan(0, 0, true), "a new ensemble")
	require.Equal(t, snap, fresh.Plan(z(1, 2), 0, true), "0 is nothing one could cut to")
}

// TestHistoryModel compares with a slice that remembers everything.
func TestHistoryModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maxCount, maxBytes := rapid.IntRange(0, 20).Draw(t, "count"), rapid.IntRange(0, 2000).Draw(t, "bytes")
		h := NewHistory(0, maxCount, maxBytes)
		all := []Record{{}} // from the base on
		keep := everything
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				r := Record{Zxid: h.Last() + 1, Payload: make([]byte, rapid.IntRange(0, 200).Draw(t, "size"))}
				if rapid.IntRange(0, 5).Draw(t, "epoch") == 0 {
					r.Zxid = z(h.Last().Epoch()+1, 1)
				}
				require.NoError(t, h.Add(r))
				all = append(all, r)
			},
			"keep": func(t *rapid.T) {
				keep = rapid.SampledFrom(all).Draw(t, "keep").Zxid
				h.Keep(keep)
			},
			"truncate": func(t *rapid.T) {
				to := rapid.SampledFrom(all).Draw(t, "to").Zxid
				h.Truncate(to)
				if keep != everything {
					keep = min(keep, to)
				}
				all = slices.DeleteFunc(all, func(r Record) bool { return r.Zxid > to })
			},
			"reset": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
					h.Reset(h.Last())
					if keep != everything {
						keep = min(keep, h.Base())
					}
					all = all[len(all)-1:]
				}
			},
			"": func(t *rapid.T) {
				require.Equal(t, all[len(all)-1].Zxid, h.Last())
				bytes := 0
				for i := range h.Len() {
					r := h.At(i)
					bytes += len(r.Payload) + overhead
					require.Equal(t, all[len(all)-h.Len()+i].Zxid, r.Zxid)
					require.True(t, h.Has(r.Zxid))
					require.Equal(t, i+1, h.After(r.Zxid))
					require.Equal(t, i, h.After(r.Zxid-1))
				}
				require.Equal(t, bytes, h.Bytes())
				require.True(t, h.Has(h.Base()))
				require.Zero(t, h.After(h.Base()))
				if h.Len() > 0 {
					require.Equal(t, all[len(all)-h.Len()-1].Zxid, h.Base())
				}
				within := h.Len() <= max(maxCount, 1) && h.Bytes() <= maxBytes
				require.True(t, within || h.Len() == 1 || h.First() > keep, "%d records, %d bytes", h.Len(), h.Bytes())
			},
		})
	})
}
