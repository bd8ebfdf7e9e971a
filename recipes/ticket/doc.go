// Package ticket is an ordered place in a line: what locks and leaders are made of.
//
// A line is a directory. A ticket is an ephemeral sequential node in it, named as Curator names the nodes of its mutex, latches and
// leases:
//
//	<dir>/_c_<uuid>-<marker><number>
//
// The server counts the numbers up, so they put the tickets in order; the marker ("lock-", "latch-", …) tells one recipe's tickets from
// another's; the UUID tells which create made the node, so that a create whose answer was lost is recognised instead of repeated; and the
// node goes when the session goes, so that nobody waits for the dead.
//
//	t, err := ticket.Take(ctx, c, "/printers/3", "lock-", nil)
//	if err != nil {
//		return err
//	}
//	defer t.Return(ctx)
//	if err := t.Wait(ctx); err != nil {
//		return err
//	}
//	// first in the line
//
// # Being first
//
// First is the ticket nobody is ahead of. Numbers are compared by serial arithmetic on 32 bits, since the counter wraps from
// 2147483647 to -2147483648; where two tickets bear the same number, as newer servers give out at the end of the range, the node
// created first is ahead. A ticket that waits watches one node, the nearest ahead of it, and asks again when it wakes: one departure wakes
// one waiter. "First" takes three proofs, see Ticket.Wait: the own name in the list, its session's ownership of the node, and a majority's
// word that the session lives.
//
// To take a ticket takes one round trip, the create with the list right behind it (client.Client.CreateAndList); to wait, one more for a
// watch on the ticket ahead, and one for the list when that is gone; to return, one. A watch on the own node is set meanwhile, and nobody
// waits for it.
//
// A line may have tickets of several kinds, told apart by their markers (Options.Others), and a kind may wait for some of those ahead only
// (Options.Rule), as the readers of a lock wait for the writers. Who is the first of all can become one of another kind without
// leaving its place: Ticket.Exchange.
//
// Children that are not tickets of the line are left alone. They are no contenders, and yet a sign that another recipe uses the
// directory: Options.Foreign tells, and so does Inspect, which reads who stands in the line, since when, from where, with which token.
//
// # Leaving
//
// A ticket belongs to one session of the client. Ticket.Context ends, with a cause, when that session ends, when somebody else deletes
// the node, and when the ticket is returned. Returning removes exactly this node, and goes on until that is certain, also after
// the caller's context ended; the same holds for a ticket whose taking was cancelled half-way. Only the end of the process
// leaves a node to its session's timeout.
//
// What happens to a ticket:
//
//	connection lost                  it keeps its place, as long as the session lives; a Wait goes on when the connection is back
//	session expires                  its Context ends before anybody behind it can be first, if it was first; who wants a place takes another
//	client closed                    its Context ends, then the servers are told
//	its node is removed by somebody  its Context ends when the client is told, which may be after another is first
//	ctx of Take ends                 no node stays behind
//	ctx of Wait ends                 it stays where it is
//	process dies                     its node goes when the servers' timeout is over
//
// Directories are containers, which servers remove when they have been empty for a while, at any moment. They are made again as needed.
package ticket
