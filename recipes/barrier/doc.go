// Package barrier is for processes that wait for one another.
//
// A [Barrier] is a gate somebody else opens:
//
//	gate := barrier.New(c, "/import/done")
//	err := gate.Wait(ctx) // until it is lowered
//
// A [Double] is where a number of processes meet: nobody goes on before all have come, and nobody leaves before all are done.
//
//	meeting := barrier.NewDouble(c, "/import/step-3", 5, nil)
//	round, err := meeting.Enter(ctx)
//	if err != nil {
//		return err
//	}
//	work(round.Context())
//	return round.Leave(ctx)
//
// # Layout
//
// It is that of Curator's DistributedBarrier and DistributedDoubleBarrier, and of kazoo's Barrier and DoubleBarrier, which may all meet at one
// path:
//
//	<path>                a Barrier that is raised: persistent
//
//	<path>/<uuid>         somebody at a Double: ephemeral
//	<path>/ready          a round goes on: persistent; its data are the names of its members
//
// # Rounds
//
// When as many are there as a Double is for, one of them makes the node ready in a transaction that checks all their nodes: each of them was
// alive at that moment. Who stands in it is in; who came too late, or was one too many, waits for the next round. A ready that nobody is left
// of, since all who stood in it died, is removed by who finds it: it lets nobody in. So a Double can be used again, and what a crash
// leaves behind does not harm it. In Curator, and kazoo, such a node lets one pass alone, or all wait for ever.
//
// A ready made by Curator or kazoo has no names in it. Then whoever was there before it is in, as it is for them. With them a Double has
// their weaknesses: they go on alone when they find a ready, and kazoo's member removes it when it begins to leave, so that one who
// comes then may be let in with those who have not left yet. Where kazoo's take part each meeting wants a path of its own.
//
// # What happens when
//
// What happens to an Enter that waits:
//
//	its ctx ends                                  it leaves no node, or has entered
//	connection lost                               it keeps its place, as long as the session lives
//	session expires, its node is removed          it comes again, with the next session; a view of one session fails. The node of the
//	                                              session before is removed first, should the servers not have ended that
//
// and to who is in a round:
//
//	connection lost, and made again within T/3    nothing; T is the session's timeout
//	not made again, or the session expires        its Context ends before the others can take it for one who has left
//	client closed                                 its Context ends, then the others take it for one who has left
//	its node is removed by somebody               its Context ends when the client is told, which may be after the others went on
//	process dies                                  its node goes when the servers' timeout is over
//
// Leave says the same. That a member died instead of leaving the others cannot tell; nor can they, until the servers have ended its session,
// that one who waited is there no more: a round may begin with it.
//
// Nobody leaves on suspicion: a member is in its round while the others cannot take it for one who has left. Who would rather leave when it
// cannot reach the servers follows client.Client.States, and leaves when the connection is suspended; the others hear of it when the
// connection is back, or the session over.
//
// A Barrier is raised or not as the server knows which a client is connected to, and that may be a moment behind. Who was told otherwise that it
// was raised, and must not pass, calls client.Client.Sync first. Who waits already misses nothing.
//
// # Cost
//
// To wait at a Barrier is one request, and one more when it is lowered, with one watch in between.
//
// To come to a Double is two requests, one after the other, the node and the list. Who waits has one watch, on the directory, and lists it
// again for each who comes or goes. Who finds that all are there takes two more to begin the round, which those who find it at the same time
// try together, and two more again to find itself in it, which is all for who was not in time to try. In the round it has one more watch, on
// its own node, set by a request that nobody waits for. To leave is a list and the removal of the own node, and then to wait for the member
// that leaves last, which waits for the others, each with one watch, a read and a list for each member it waits for.
//
// # Looking at it
//
// [Double.Inspect] tells who is there, who is in, and how many are missing; [Barrier.Inspect] since when it is raised. With the client's
// TracerProvider a Wait and an Enter are spans, barrier.wait, and a round another, barrier.round, linked to its Enter; with its MeterProvider
// there are bellwether.barrier.wait.duration and .count, and bellwether.barrier.round.duration, .count and .lost.
package barrier
