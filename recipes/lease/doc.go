// Package lease grants a lock until some time, and it lasts so long whatever becomes of its holder's session and process.
//
//	cleaning := lease.New(c, "/leases/cleaning", &lease.Options{ID: host, AtLeast: 15 * time.Minute})
//	grant, err := cleaning.TryAcquire(ctx, time.Hour)
//	if errors.Is(err, lease.ErrHeld) {
//		return nil // another one does it, or has just done it
//	}
//	if err != nil {
//		return err
//	}
//	defer grant.Release(context.WithoutCancel(ctx))
//	return clean(grant.Context(), grant.Token())
//
// A [Lease] is the description of one; to acquire it is to be given a [Grant]. It is for programs that come and go: which a clock starts on
// several machines, or which are restarted in the middle of their work and go on with it. For work that must stop when its process does,
// so that another can take over at once, there is package lock, and for times of a schedule package job.
//
// # How it works
//
// The layout is that of kazoo's NonBlockingLease, with which a Lease on the same path is one:
//
//	<path>/lease_holder                   persistent: {"version": 1, "holder": "…", "end": "2006-01-02T15:04:05"}, and more of ours
//	<path>/lease_fence                    persistent, ours alone: its version is another one for each grant
//	<path>/_c_<uuid>-__lock__<number>     ephemeral: who looks at them, in line, a contender of kazoo's Lock
//	<path>/_c_<uuid>-wait-<number>        ephemeral: who waits for the lease, in line, ours alone
//
// The line is a door: who stands first in it reads the records, and writes them in a transaction which fails if its place was lost
// meanwhile, or the records are others. A Grant is released by writing, without the door; the records stay, and with them the path.
// (kazoo's MultiNonBlockingLease is such leases at <path>/0, <path>/1 and so on, which are asked for one after the other.)
//
// The end in the record is UTC by the servers' clock. What that shows the node at the door tells, when it is made; how the clocks of those
// who want the lease are set does not matter. A holder counts from before its grant was written; and all others, for whom it may have
// been written later, take it for granted [Options].Margin longer.
//
// # What a lease is worth
//
// A Grant's Context ends before anybody else is granted the lease, as long as two things hold: clocks run so evenly that they differ by less
// than the margin in the time that the lease lasts, and so do the clocks of the servers from each other, of which another one counts when the
// lead of the ensemble changes. A margin of a second, which is the default, is right for servers whose clocks are kept by NTP, and for
// leases of hours.
//
// kazoo's users decide by their own clocks, and write when they may have lost their place: one whose clock is ahead by more than the margin,
// or who stood still at the door, takes a lease that is another's.
//
// [Grant.Guard] is exact in all of this: a multi with it fails if the lease is another's at the moment of the change. And [Grant.Token] grows
// from grant to grant, for what is not in ZooKeeper: between the look at a context and the effect of what is done then a process may stand
// still for any time. Package lock/fence has what refuses older tokens. kazoo's grants have none.
//
// # What happens when
//
// What happens to a Grant:
//
//	connection lost, session lost                  nothing; Renew and Release wait for the next one
//	client closed                                  nothing, but that it cannot be renewed or released any more: its time goes on
//	its time is over                               its Context ends with ErrExpired, a margin before another is granted the lease
//	this process or its machine stood still        its Context's Err reads the clocks, so that it is right at once
//	it is released                                 its Context ends with ErrReleased, then the servers are told
//	the same ID is granted the lease               its Context ends with ErrTaken when this client is told, which may be later
//	the record is removed, or taken by kazoo       the same
//	the fence is removed                           its Guard and Release fail, and Renew ends it with ErrTaken; its time goes on
//	process dies                                   the lease lasts; who comes back with the same ID is granted it at once, others when it is over
//
// and to who asks for the lease:
//
//	session lost, or its node is removed           it goes to the end of the line, at the door as where it waits
//	somebody releases at that moment               it looks again
//	its ctx ends                                   its node is removed, in the background if that takes longer than Options.Cleanup;
//	                                               client.ErrUnknown tells that the lease may have been granted
//	process dies                                   its node goes when its session's timeout is over, and those behind it wait so long
//	the record cannot be read                      it fails with ErrRecord, and changes nothing
//	a server refuses something                     it fails with that
//
// Nothing is let go on suspicion, and nothing for a lost session either: what ends a Grant is time. That is what a lease is for; where the loss
// of a session is to end it there is package lock.
//
// A view of one session, as client.Session.Client, asks in that session only. With a client of client.Wrap, whose session cannot be kept,
// nobody is let through the door: client.ErrWrapped.
//
// # Cost
//
// To ask for a lease takes nine requests at most, and as many to renew one; to release it three. A holder has one watch, on the record. Who waits
// has one on its own node, and one on the node ahead, or the first of them on the record: that one alone looks, when the record changes
// or its time is over, and keeps its session, see client.Session.Keep; when it is granted the lease the next is woken, to look on.
//
// # Looking at it
//
// [Lease.Inspect] tells whose a lease is, since when and until when, and a Grant's Context why it ended. With the client's TracerProvider to wait
// for a lease is a span, lease.wait, to be granted it another, lease.grant, linked to it, and so are lease.renew and lease.release; with its
// MeterProvider there are bellwether.lease.wait.duration and .count, bellwether.lease.grant.duration, .count and .lost, and
// bellwether.lease.operation.duration.
package lease
