// Package examples holds one small runnable program per idea. Each ends by itself within a few seconds, and needs nothing but Go: the
// servers run inside the process. Start with quickstart:
//
//	go run ./examples/quickstart    # a lock that passes from hand to hand, and outlives a server
//	go run ./examples/failover      # what servers do, and a program sees, when the leader is lost
//	go run ./examples/scheduler     # a small service on several machines, and how to test one
//	go run ./examples/microservices # services that find each other, while they are replaced, killed, and lose a server
//
// Then there is one for each thing that programs agree on:
//
//	go run ./examples/election       # one of several processes works; it is killed, and another goes on
//	go run ./examples/fencing        # a file that a lock protects, and its token, when the holder stands still
//	go run ./examples/liveconfig     # settings that change while programs run, and nonsense that is kept out
//	go run ./examples/naming         # ids without end, names for good, numbers on loan
//	go run ./examples/membership     # who is there, with which capacity, and who has gone
//	go run ./examples/workqueue      # jobs that are done although a worker dies in the middle of one
//	go run ./examples/batch          # workers that begin and end together, and one that dies in between
//	go run ./examples/rate           # a limit that all processes keep together
//
// These run on other servers, too, Bellwether's or Apache ZooKeeper's, with -servers zk1:2181,zk2:2181: in a directory of their own below
// /examples, which is gone when they have ended.
package examples
