// Package examples holds one small runnable program per idea. Start with quickstart:
//
//	go run ./examples/quickstart    # a lock that passes from hand to hand, and outlives a server
//	go run ./examples/failover      # what servers do, and a program sees, when the leader is lost
//	go run ./examples/scheduler     # a small service on several machines, and how to test one
package examples
