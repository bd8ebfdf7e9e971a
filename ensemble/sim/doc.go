// Package sim runs a whole ensemble, its clients, its network and its disks in one goroutine, from one seed: the shipped code of
// replicas, elections, broadcast, logs, snapshots and encodings, with everything around it made up, so that years of accidents
// happen in an afternoon and each of them can be had again.
//
// The one idea is that time and chance have one owner. Whatever is to happen (bytes arrive, a disk is done, a timer is due, a
// fault strikes) is an event in one queue, in order of its time; whatever is left to chance is drawn from the seed, each concern
// from a source of its own. So a seed is a story, the same each time it is told, of which every sentence went into a hash:
//
//	rep := sim.Run(sim.Draw(4711), nil)    // rep.Violations is what must not happen and did
//
// What is where:
//
//	world.go                       the queue of events, chance, the hash
//	network.go                     streams of bytes between nodes; what may stand in their way
//	server.go, life.go             a machine with its disk and clocks; one run of its process: what package server is around a
//	                               replica, without goroutines
//	lane.go                        its store: one thing after the other, each takes its time, a crash may come between
//	link.go, votes.go, guest.go    its connections: to leader and learners, on the election port, to clients
//	clients.go                     the machines of the clients
//	faults.go, cuts.go             a plan is carried out
//	simulation.go                  a run from the beginning to the judge's verdict
//	scenario*.go                   accidents told in advance, in testdata/scenarios, instead of drawn
//
// What clients do is package workload's, what goes wrong package plan's, what is right package judge's: none of them sees a server.
// Everything shipped is driven through its usual door. A server's process is killed by forgetting it; what is left is its disk as
// [disk.Mem.CrashClone] leaves it, torn writes and all.
//
// Runs share nothing and may go on beside each other. A run belongs to one goroutine.
package sim
