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
// A Barrier costs each who waits one watch. A Double costs each member four round trips to enter, and one for each who comes meanwhile; one
// more, which nobody waits for, and a watch on its own node while it is in; to leave, one watch each on the member that leaves last, which waits for the others one by one.
//
// # Looking at it
//
// [Double.Inspect] tells who is there, who is in, and how many are missing; [Barrier.Inspect] since when it is raised. With the client's
// TracerProvider a Wait and an Enter are spans, barrier.wait, and a round another, barrier.round, linked to its Enter; with its MeterProvider
// there are bellwether.barrier.wait.duration and .count, and bellwether.barrier.round.duration, .count and .lost.
package barrier
