// Package queue hands over work: each item that is put is done by one who takes it, and is not lost when that one fails.
//
//	jobs := queue.New(c, "/jobs", nil)
//	err := jobs.Put(ctx, queue.Item{Data: []byte("resize 17.jpg")})
//
//	d, err := jobs.Take(ctx)
//	if err != nil {
//		return err
//	}
//	if err := work(d.Context(), d.Data()); err != nil {
//		return d.Nack(ctx, time.Minute, err) // it is given out again, in a minute
//	}
//	return d.Ack(ctx, client.SetOp("/images/17", thumbnail, version)) // both, or none
//
// To take an item is to claim it: it stays in the queue until it is acknowledged, and is given to the next if the one who has it dies, says
// that it cannot be done, or takes too long. So an item may be begun more than once; it is finished once. What is done with it in ZooKeeper,
// given to [Delivery.Ack], is done in the same transaction and so exactly once. What is done elsewhere can use [Delivery.Token]. Where an item may
// as well be lost with who has it, [Queue.Pop] takes it without a claim: it is removed first.
//
// ZooKeeper is not made for many items: all are in the memory of each server, a node is 1 MiB at most, and so is the list of a queue's names,
// which is some 40 000 items. [Options].MaxItems keeps a queue from that. Apache's servers of 3.9 give out 2³¹ numbers in a directory and no
// more: then Put fails with client.ErrNodeExists, until the queue is empty and somebody removes its directory.
//
// # Layout
//
// The items are Curator's, and so are the claims, of consumers with a lockPath; with [Options].Claims for that path, programs of Curator put
// into a queue, and take from it, beside ours.
//
//	<path>/queue-<number>                          an item FIFO: DistributedQueue
//	<path>/queue-<0 or 1><8 hex digits><number>    ByPriority, 1 for those from 0 up: DistributedPriorityQueue
//	<path>/queue-|<milliseconds in hex>|<number>   ByTime, since 1970: DistributedDelayQueue
//	<path>/queue-|<id>|<number>                    ByID: DistributedIdQueue
//	<path>/qn-<number>                             Simple: SimpleDistributedQueue
//	<path>-claims/<name of the item>               ephemeral: a claim, with Options.ID
//	<path>-later/<milliseconds in hex>|<name>      an item given back for later, but ByTime
//	<path>-dead/<name with a new number>           a dead letter
//	<path>-keys/key-<Item.Key>                     an item's key, written when the item is done, and kept for Options.KeepKeys
//	<path>-marks/<uuid>                            ephemeral: tells whether a transaction has happened; a few for each client
//	<path>-takers, <path>-putters                  lines of those who wait, see package ticket
//
// The data are 0x00010001, then for each record 1, its length in four bytes and its bytes, then 2. Behind that stands what this package notes:
// JSON with the fields "key", "attempts" and "reason", none of which need be there. Curator does not look there. Of a [Simple] queue the data are
// the item's and nothing else; so there is no place for notes, and no claims, keys, attempts and dead letters: who takes, by Pop, removes first. The
// queues of kazoo, which have nothing but data either, under other names, are not shared.
//
// The directories of items and claims are persistent, as Curator makes them, the others containers, and so is that of a Simple queue. Marks stay until
// their session ends.
//
// # How it works
//
// To put is one transaction: the item, its key, and a mark by which it is known whether it has happened when the answer is lost. (A protected
// name would not do: by the time one looks for it, the item may have been taken, and would be put again.)
//
// To take lists items and claims, chooses an item nobody has claimed, reads it, and claims it by one transaction: it writes the item, with the
// attempt counted, which makes the item's version this claim's own, and creates the claim. Of several who want it one succeeds, and the others
// take another. A list serves for several items, so an item may be claimed by the time it is read: who sees that it was claimed before asks
// whether it is, which costs less than to try. To acknowledge is one transaction: remove the claim, the item by its version, and the key, and do
// what else the caller wants. It fails if the claim is gone, or somebody else has claimed since. Several items can be put, claimed and
// acknowledged by one transaction each: [Queue.Put], [Queue.TakeUpTo], [AckAll]. To pop is one transaction, which removes the item by its version
// and fails if it is claimed.
//
// Those who find nothing stand in line. The first of them watches items and claims, and knows when the next is due; the others watch the one
// ahead. So one who waits is woken by what comes, and not all. Those who wait for room stand in another line.
//
// # Order
//
// An item has its place by its name, and keeps it: what is given back stands where it stood. One consumer that takes and finishes one item
// after the other gets them in the order, but for what has come to stand ahead since it listed the queue, half a second before at most.
//
// With several consumers the order is that in which items are begun, about. Each consumer takes the first item that nobody has, unless another
// is quicker. Then it goes on somewhere among the first ones, and takes one after the other from there: the further from the first the more often
// it was beaten, but no further than the square of [Options].Window, and nearer again when it is not beaten any more. So consumers that
// want an item every few milliseconds part, each with a run of its own, and an item may wait for a fraction of a second while later ones are
// begun; consumers that work on each item for longer than half a second list the queue for each, and take the first, or one of a few.
//
// What several do at once ends in any order. An item that is given back for later, or whose consumer has died, comes late. Numbers may wrap. A
// priority that Curator has lost by putting an item back is 0.
//
// # Shards
//
// A [Sharded] queue is several queues in one: <path>/queue-000 and so on, with their other directories in <path>-shards and the keys of all in
// <path>-keys. Each Put goes to one of them, and each Take takes from any. It is for more items than one list can have, and spares consumers
// each other's company; there is no order among the shards. Who waits, waits in each.
//
// # Time
//
// When an item is due, ByTime or after [Delivery.Nack] with a delay, is said by the clock of the one who puts or gives it back, and judged by
// the clock of the one who takes, as in Curator: by as much as these differ it is early or late. Options.MaxWork is measured by the process
// that has the item.
//
// # What happens
//
// to a delivery:
//
//	connection lost, and made again within T/3   nothing; T is the session's timeout
//	not made again, or the session expires       its Context ends before the item is given to another; Ack fails
//	client closed                                its Context ends, then the servers are told
//	the claim or the item is removed by others   its Context ends when the client is told, not in the first tenth of a second; Ack fails
//	Options.MaxWork is over                      its Context ends, and the item is given back
//	process dies                                 the item is given to another when the servers' timeout is over
//
// None is given up on suspicion: it goes on while nobody else can be given the item. Whose work makes no sense without the servers, and who would
// rather let another one begin it, follows client.Client.States, and calls [Delivery.Release] when the connection is suspended: it arrives when
// the connection is back in time, and else the session's end does the same.
//
// And to an operation:
//
//	connection lost during Put, Ack, Nack        the client finds out what has happened, and does it if it has not
//	session ends during Put, Ack, Nack           client.ErrUnknown, if the transaction was on its way; else Put goes on in the next session
//	ctx ends during Put, Ack, Nack               client.ErrUnknown; another Ack or Nack finds out
//	session or ctx ends during Pop               client.ErrUnknown, and the item, if the transaction was on its way; else as Take
//	ctx ends during Take                         nothing is taken; what was being claimed is given back, and does not count as an attempt
//	session ends during Take                     it goes on in the next one
//
// A client.ErrUnknown of Put can be resolved with Item.Key, for as long as the item is in the queue and [Options].KeepKeys: to put it again is
// [ErrDuplicate] if it was put. That of Ack can with an effect among its operations that can be looked at.
//
// An item that fails again and again, by Nack or by those who die of it, is put among the dead letters after [Options].MaxAttempts, as is one
// that nobody can read, with the reason: [Queue.DeadLetters], [Queue.Revive], [Queue.Discard].
//
// # Among Curator's programs
//
// All consumers of Curator must have a lockPath: those without it take what ours have claimed, whose Ack then fails with [ErrLost]. Curator's
// own consumers finish what they have begun, also when their session has ended and the item is given to another: then an Ack here fails with
// ErrLost although the item was worked on. They do not count attempts, leave keys behind, do not see an item that was given back until
// another comes or goes, and what they put back has no priority any more. Their producers may put twice.
//
// # Cost
//
// Put is one request. With MaxItems it is two if others put, too, two more each time one of them is quicker, and seven more for who waits for room, two
// of which again for each who stands ahead and leaves.
//
// To take and acknowledge is three, the read, the claim and the removal, and three lists, which are asked for at once, for every Options.Window
// items, or every half a second; to pop is two, the read and the removal, and the lists, of which a Simple queue needs one. Each time somebody
// else is quicker costs a request or two more: with 16 consumers that do nothing else it is about one for each item. A delivery that lasts longer
// than a tenth of a second is watched, by one request more; who finds nothing and waits has eleven more.
//
// Of items that are put, taken or acknowledged together each costs a request to be read, and no other. A key is one more node in the transactions,
// and no request. The data go over the network three times, as a claim writes them anew.
//
// A claim has one watch, and the first of those who wait has two. Whoever has claimed something keeps its session, see client.Session.Keep. An item
// that is given back for later costs two requests when its time has come.
//
// # Looking at it
//
// [Queue.Inspect] tells what is in the queue, in its order, since when, who has what, with which token, and who waits; [Delivery.Context] why
// an item was lost. With the client's TracerProvider to wait for an item is a span, queue.wait, and to have one another, queue.delivery, linked to
// it; with its MeterProvider there are bellwether.queue.wait.duration and .count, bellwether.queue.delivery.duration, .count and .lost,
// bellwether.queue.operation.duration, and bellwether.queue.conflicts, .dead and .length.
package queue
