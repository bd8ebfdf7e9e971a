// Package differential holds two servers beside each other: the same random operations go to both, and everything either says
// must be equal, reply for reply and event for event, in each session's order. It is what shows that a Bellwether server cannot
// be told from Apache's; nothing but tests uses it.
//
// A [Generator] makes steps from a seed and from what the servers answered so far; a [Player] performs them against one server; a
// step's [Outcome] is everything that server said, as lines of text in which only what may differ has been replaced:
// session ids by the order they were opened in, times by the zxid of the change they belong to, children by
// their sorted list, and the order in which one session's ephemeral nodes vanish. Zxids are compared as they are.
//
// One session acts at a time, and before the next one does, every other session is made to show its events by a ping, so that
// two correct servers have no freedom left. What a session does in its turn is one request, or a pipelined burst.
//
// [Run] plays and compares; its error is a [*Mismatch], which says how to play the same again. The tests that start servers are
// behind the build tag interop. They find their servers through the environment variables that .ci/peers.sh sets, and BELLWETHER,
// the path of the binary:
//
//	. .ci/peers.sh
//	BELLWETHER=/some/where/bellwether go test -tags interop -v ./ensemble/internal/differential
//
// Flags of the test binary: -seed N plays one seed again, -operations N says how far, -single N how much of it one at a time.
package differential
