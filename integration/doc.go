// Package integration looks at Bellwether from outside: real processes, real sockets, other people's clients.
//
// The tests behind the build tag interop run scripted sessions of ZooKeeper's own Java client, zkCli, its C client, kazoo
// and Curator, and go-zookeeper/zk's own test-suite, against Apache ZooKeeper and against Bellwether, and require equal
// transcripts. What differs is listed, with the reason, in testdata/CLIENT/differences-SERVER.txt; an empty list means
// that the client cannot tell the two apart.
//
// Ensembles are broken in every way processes and networks break, by tests that run against ours and, with INTEROP_FULL set or with
// -subject apache, against Apache's, which shows that they ask for nothing impossible: histories of many clients are judged, outages
// measured, strangers sent to the ports between the servers, and ensembles of both kinds of servers made to agree. What changes
// by chance is printed as flags with which to run it again; -fault-time, -fault-seed and -kills make runs longer.
//
// Our own client is tried on Apache's servers: what it says of operations that lost a request or a reply is judged (package lost, which
// does the same in virtual time in the tests of package client; -lost.runs and -lost.from), and holders of locks are cut off and stopped.
//
// All recipes are used at once while servers and connections break (package trial; -recipes.for and -recipes.seed), and beside Curator and
// kazoo, in one journal. What takes long is tried on ours or on Apache's, in turn, as INTEROP_TURN says: the newest of Apache's, and one of
// 3.5 to 3.8, which takes turns by itself.
//
// What recipes take, in time and in requests, is measured beside what Curator's, go-zookeeper's and etcd's take on servers of their own, in
// turns: tables for people. TestRecipesBesidePeers has the flags -beside.rounds, -beside.each and -beside.rows, and
// TestDiscoveryBesideCurators -discovery.instances.
//
// They find their peers through environment variables and fail when one is not set. To run them:
//
//	. .ci/peers.sh
//	go build -o /some/where/bellwether ./ensemble/cmd/bellwether
//	BELLWETHER=/some/where/bellwether go test -tags interop ./integration/
package integration
