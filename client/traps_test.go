package client_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"text/tabwriter"

	"github.com/stretchr/testify/require"

	"github.com/bellwether-zk/bellwether/ensemble"
)

// A trap is what go-zookeeper/zk lets its users fall into, and this package does not. The scenario is the same for both; what comes of it
// is compared word for word, also for the bare library: a release of it that has left a trap behind makes the row fail, and is noticed.
type trap struct {
	name     string
	seen     string // where others have met it
	servers  int
	options  ensemble.Options
	realTime bool // as a resolver does not work in a bubble
	scenario func(t *testing.T, s *stage, c contender) string
	bare     string // what comes of it with the bare library
	ours     string // and with this package
}

var traps = []trap{
	{
		name: "a holder is cut off", seen: "CURATOR-460, CURATOR-465, etcd-io/etcd#11007", servers: 3, scenario: holderCutOff,
		bare: "not told for ten minutes; disconnected when the servers gave it up",
		ours: "told before the servers gave it up",
	},
	{
		name: "a holder's server is cut off from its leader", seen: "CURATOR-460, vitessio/vitess#15756", servers: 3, scenario: holderBehindFollower,
		bare: "not told for ten minutes; connected when the servers gave it up",
		ours: "told before the servers gave it up",
	},
	{
		name: "a server accepts and stays silent", seen: "go-zookeeper/zk#79, #83, #145", servers: 3, scenario: silentServer,
		bare: "waited for longer than the session lived",
		ours: "the next server was asked in time",
	},
	{
		name: "a server begins to answer, and stops", seen: "samuel/go-zookeeper PR #48", servers: 3, scenario: halfAnswer,
		bare: "not connected within ten minutes, and not closed within ten more",
		ours: "connected again",
	},
	{
		name: "a request waits while the session ends", seen: "CURATOR-498", servers: 3, scenario: queuedAcrossSessions,
		bare: "made in the next session",
		ours: "refused, and not made",
	},
	{
		name: "a session ends between two requests", seen: "CURATOR-604, CURATOR-696", servers: 1, scenario: nextSession,
		bare: "the second is carried out in another session",
		ours: "the second is refused",
	},
	{
		name: "a listener is slow", seen: "go-zookeeper/zk's channel of 6", servers: 1, scenario: slowListener,
		bare: "has not heard of the session's end",
		ours: "has heard of the session's end",
	},
	{
		name: "the reply to a sequential create is lost", seen: "CURATOR-45, docker/libkv#12", servers: 3, scenario: lostCreate,
		bare: "2 nodes",
		ours: "1 node, the one returned",
	},
	{
		name: "the reply to a protected create is lost, and that to the search", seen: "CURATOR-79, python-zk/kazoo#732", servers: 3, scenario: lostSearch,
		bare: "1 node, and an error",
		ours: "1 node, the one returned",
	},
	{
		name: "the reply to a protected create in the root is lost", seen: "CURATOR-45", servers: 3, scenario: lostInRoot,
		bare: "1 node, and an error",
		ours: "1 node, the one returned",
	},
	{
		name: "a stranger's node is called _c_x", seen: "go-zookeeper/zk, CreateProtectedEphemeralSequential", servers: 3, scenario: shortSibling,
		bare: "panic",
		ours: "1 node, the one returned",
	},
	{
		name: "the caller of a create gives up", seen: "go-zookeeper/zk#12, CURATOR-79", servers: 1, scenario: givenUp,
		bare: "1 node of which nobody knows",
		ours: "no node",
	},
	{
		name: "a call is cancelled while disconnected", seen: "go-zookeeper/zk#12, #48", servers: 3, scenario: cancelled,
		bare: "goes on for more than a minute",
		ours: "returns at once",
	},
	{
		name: "a write fails", seen: "go-zookeeper/zk, ErrConnectionClosed", servers: 1, scenario: doneOrNot,
		bare: "the error is the same whether it was done or not sent",
		ours: "the error tells that it was not sent, or may be done",
	},
	{
		name: "the reply to a transaction is lost", seen: "Curator and kazoo, multi", servers: 3, scenario: lostMulti,
		bare: "done, and reported as failed: zk: node already exists",
		ours: "done, and reported as done",
	},
	{
		name: "the reply to an increment is lost", seen: "Curator and kazoo, counters", servers: 3, scenario: lostIncrement,
		bare: "counted twice",
		ours: "counted once",
	},
	{
		name: "the reply to a delete is lost", seen: "CURATOR-678, etcd-io/etcd#22123", servers: 3, scenario: lostDelete,
		bare: "done, and reported as failed: zk: node does not exist",
		ours: "done, and reported as done",
	},
	{
		name: "a parent is swept before its child comes", seen: "CURATOR-326", servers: 1, scenario: sweptParent,
		bare: "fails: zk: node does not exist",
		ours: "made",
	},
	{
		name: "a kind of node is switched off", seen: "go-zookeeper/zk, codes without a name", servers: 1, scenario: switchedOff,
		bare: "an error without a kind: unknown error: -6",
		ours: "unimplemented",
	},
	{
		name: "the connection breaks twice, and nodes change meanwhile", seen: "ZOOKEEPER-4655, go-zookeeper/zk PR #35", servers: 1, scenario: missedChange,
		bare: "4 of 6 watches wake",
		ours: "6 of 6 watches wake",
	},
	{
		name: "watches do not fit into one request", seen: "samuel/go-zookeeper#83", servers: 1, options: ensemble.Options{Limits: ensemble.Limits{FrameBytes: 16 << 10}}, scenario: manyWatches,
		bare: "each new connection is broken by it",
		ours: "one connection, and it works",
	},
	{
		name: "nobody waits for a watch any more", seen: "CURATOR-14, CURATOR-286, apache/curator#1292", servers: 1, scenario: abandonedWatches,
		bare: "100 on the server after a reconnect",
		ours: "0 on the server after a reconnect",
	},
	{
		name: "the only server is away for a moment", seen: "go-zookeeper/zk, a second after each round", servers: 1, scenario: shortOutage,
		bare: "a second is lost",
		ours: "a few milliseconds are lost",
	},
	{
		name: "a server gets another address", seen: "go-zookeeper/zk PR #107, PR #156, python-zk/kazoo#794", servers: 1, realTime: true, scenario: anotherAddress,
		bare: "its name is resolved once",
		ours: "its name is resolved each time",
	},
	{
		name: "the client is closed while it connects", seen: "go-zookeeper/zk, Close", servers: 1, scenario: closedWhileConnecting,
		bare: "a connection is left for more than a minute",
		ours: "nothing is left",
	},
	{
		name: "what answers is not ZooKeeper", seen: "go-zookeeper/zk, WithMaxBufferSize", servers: 1, scenario: garbage,
		bare: "64 MiB are reserved for it",
		ours: "it is not believed",
	},
	{
		name: "a request is too large for the server", seen: "CURATOR-690", servers: 1, scenario: tooLarge,
		bare: "the connection breaks, for all",
		ours: "refused before it is sent",
	},
	{
		name: "an answer is too large for the client", seen: "CURATOR-690, go-zookeeper/zk, WithMaxBufferSize", servers: 1, scenario: largeAnswer,
		bare: "the connection breaks, for all",
		ours: "refused, and the others get their answers",
	},
}

// Every row is a trap, and is none here. With -v it tells what the libraries did.
func TestTraps(t *testing.T) {
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "when\tgo-zookeeper/zk\tthis package\tseen")
	for _, row := range traps {
		t.Run(row.name, func(t *testing.T) {
			bare := row.play(t, connectBare)
			require.Equal(t, row.bare, bare, "has the library been mended?")
			ours := row.play(t, connectOurs)
			require.Equal(t, row.ours, ours)
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", row.name, bare, ours, row.seen)
		})
	}
	w.Flush()
	t.Log("\n" + table.String())
}

// play plays the scenario with one of the clients, on a stage of its own.
func (r *trap) play(t *testing.T, connect func(t *testing.T, s *stage, servers string) contender) (outcome string) {
	in := synctest.Test
	if r.realTime {
		in = func(t *testing.T, f func(*testing.T)) { f(t) }
	}
	in(t, func(t *testing.T) {
		s := newStage(t, r.servers, r.options)
		s.connect = connect
		outcome = r.scenario(t, s, s.enter(t, s.ConnectString()))
		s.mustHaveBroken(t)
	})
	return outcome
}
