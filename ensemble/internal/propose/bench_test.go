package propose_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble/internal/auth"
	"github.com/bellwether-zk/bellwether/ensemble/internal/propose"
	"github.com/bellwether-zk/bellwether/ensemble/internal/request"
	"github.com/bellwether-zk/bellwether/ensemble/internal/session"
	"github.com/bellwether-zk/bellwether/ensemble/internal/tree"
	"github.com/bellwether-zk/bellwether/ensemble/internal/txn"
	"github.com/bellwether-zk/bellwether/ensemble/internal/wire"
	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// BenchmarkPlan plans with a thousand transactions in flight on a tree of 100 000 nodes; applying is not part of it.
func BenchmarkPlan(b *testing.B) {
	const nodes, inFlight = 100_000, 1000
	data := make([]byte, 100)
	paths := make([]string, nodes)
	for i := range paths {
		paths[i] = fmt.Sprintf("/dir%02d/node-%06d", i%100, i)
	}
	open := znode.OpenACL()
	for _, bench := range []struct {
		name string
		make func(i int) (wire.Op, wire.Record)
	}{
		{"setData", func(i int) (wire.Op, wire.Record) {
			return wire.OpSetData, &wire.SetDataRequest{Path: paths[i*7919%nodes], Data: data, Version: -1}
		}},
		{"create", func(i int) (wire.Op, wire.Record) {
			return wire.OpCreate, &wire.CreateRequest{Path: paths[i%100][:6] + "/s-", Data: data, ACL: open, Mode: znode.ModePersistentSequential, TTL: -1}
		}},
		{"createEphemeral", func(i int) (wire.Op, wire.Record) {
			return wire.OpCreate, &wire.CreateRequest{Path: paths[i%100][:6] + "/s-", Data: data, ACL: open, Mode: znode.ModeEphemeralSequential, TTL: -1}
		}},
		{"refused", func(i int) (wire.Op, wire.Record) {
			return wire.OpDelete, &wire.DeleteRequest{Path: "/none/none", Version: -1}
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			t := tree.New(tree.Options{})
			a, err := auth.New(auth.Config{})
			require.NoError(b, err)
			sessions := session.New(2000)
			for id := range znode.SessionID(inFlight) {
				sessions.Open(id+1, 30_000, 0)
			}
			p := propose.New(t, sessions, a, propose.Config{MaxRecord: 1 << 30})
			var zxid znode.Zxid
			var out tree.Result
			plan := func(op wire.Op, rec wire.Record) txn.Txn {
				zxid++
				return p.Plan(&request.Request{Conn: 1, Session: 1, Op: op, Record: rec}, zxid, int64(zxid))
			}
			for i := range 100 {
				x := plan(wire.OpCreate, &wire.CreateRequest{Path: paths[i][:6], ACL: open, TTL: -1})
				t.Apply(&x, &out)
			}
			for _, path := range paths {
				x := plan(wire.OpCreate, &wire.CreateRequest{Path: path, Data: data, ACL: open, TTL: -1})
				t.Apply(&x, &out)
			}
			p.Applied(zxid)
			requests := make([]request.Request, inFlight)
			for i := range requests {
				requests[i] = request.Request{Conn: 1, Session: znode.SessionID(i + 1)}
				requests[i].Op, requests[i].Record = bench.make(i)
			}
			window := make([]txn.Txn, inFlight)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if zxid++; i >= inFlight {
					p.Applied(window[i%inFlight].Zxid)
				}
				window[i%inFlight] = p.Plan(&requests[i%inFlight], zxid, int64(zxid))
			}
		})
	}
}
