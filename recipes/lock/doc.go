// Package lock lets one at a time hold something, or one who writes or many who read, or no more than so many, among all processes that
// use the same ZooKeeper ensemble.
//
//	m := lock.NewMutex(c, "/printers/3", nil)
//	hold, err := m.Lock(ctx)
//	if err != nil {
//		return err
//	}
//	defer hold.Release(context.WithoutCancel(ctx))
//	return print(hold.Context(), hold.Token(), pages)
//
// A [Mutex] is the description of a lock; to acquire it is to be given a [Hold]. Two Holds of one Mutex exclude each other whoever
// acquired them: there is no ownership by goroutine, and any goroutine may release. Who holds a lock says so by the Hold's Context: to lock
// once more with that is refused, or counted where Options.Reentrant allows it.
//
// To wait for no longer than a while is a matter of the context, whose cause Lock fails with and which bounds everything, what is done
// twice too: context.WithTimeout(ctx, 10*time.Second). Not to wait at all is TryLock.
//
// # How it works
//
// The contenders stand in line, each as an ephemeral sequential node in the lock's directory; the first holds. The layout
// is that of Curator's InterProcessMutex, to the byte:
//
//	<path>/_c_<uuid>-lock-<number>
//
// so Curator's InterProcessMutex and LeaderSelector, go-zookeeper's Lock, and a Mutex on the same path exclude each other, first come
// first served. Curator's semaphores and read-write locks, and kazoo's locks, use other names and do not: such contenders on one path do
// not see each other, which Options.Logger is told and [Mutex.Inspect] shows. With Options.Layout a lock is one with kazoo's instead. All
// three languages share one if kazoo's side names its contenders as Curator does, in a subclass of its Lock with "-lock-" for _NODE_NAME and
// the only of its _EXCLUDE_NAMES. Package ticket has the details of the line: who watches whom, how numbers wrap, what happens to a create
// whose answer was lost.
//
// To lock takes one round trip to the servers if nobody is ahead: the create with the list right behind it. Who waits sets a watch on the one
// ahead, and takes one round trip from when that is gone: the list again, and if it has been idle for long a majority's word that its
// session lives, at the same time. To release takes one, the delete. TryLock looks at the list first, which is one more. Each contender has
// two watches, that of the one ahead and the own node's, which is set when the create was answered, and holds up nobody.
//
// # Readers and writers
//
// An [RWMutex] is held by one writer or by many readers. Its layout is that of Curator's InterProcessReadWriteLock, with which it
// shares a path:
//
//	<path>/_c_<uuid>-__WRIT__<number>
//	<path>/_c_<uuid>-__READ__<number>
//
// All stand in one line. A writer waits for everybody ahead, and watches the nearest; a reader waits for the writers ahead, and
// watches the nearest of them. So nobody starves, a writer that leaves wakes the next writer or the readers up to it, and a reader that
// leaves wakes a writer at most. Costs are those of a Mutex.
//
// [Hold.Downgrade] makes a writer a reader in its place: one transaction exchanges the node for one with the other marker and the same
// number, so that at no moment a writer could come in. Those who watched the writer look again. There is no way back: two readers who
// wanted it would wait for each other. A reader who locks for writing with a context that comes from its hold would wait for itself,
// and is refused with [ErrNested], as far as it can be told: through the same client.
//
// # Permits
//
// A [Semaphore] gives out permits, up to a limit. Its layout is that of Curator's InterProcessSemaphoreV2, with which it shares a path,
// and with a limit of one that of InterProcessSemaphoreMutex:
//
//	<path>/locks/_c_<uuid>-lock-<number>      a door: who asks for permits
//	<path>/leases/_c_<uuid>-lease-<number>    the permits, one node each
//
// The door is a mutex. Who is behind it waits until there is room for all it wants, and takes that at once; so two who want many do not wait
// for each other, who wants many is not overtaken by who wants few, and a permit that is released wakes one. It is sure of a permit when
// fewer than the limit are before it, in a list that is younger than the permit: the door makes it fair, and is not what the limit rests on.
// [Semaphore.Acquire] returns [Holds], which are held and released as one.
//
// The limit is the caller's, who must all say the same, or a number in a node (NewSharedSemaphore), four bytes as in Curator's
// SharedCount. When that changes those who wait are told; each permit made after the change obeys it.
//
// The token of a permit is no fence: permits are not held in the order of their tokens. Guard tells that the permits are there. To acquire
// takes three round trips if nobody is ahead, however many permits it is for: to go through the door and see meanwhile how much room there
// is, to make the permits, all at once, and to leave the door; to release takes one. Who waits for permits has one watch on their directory,
// who waits at the door one on who is ahead, each permit that of its own node: a permit that is released wakes who is behind the door, and
// when that one has gone through, the next is woken to come there. A shared limit is read each time that permits are counted, and watched by who
// waits for them.
//
// # Several locks
//
// A [Multi] locks several Mutexes, all or none. It takes them in the order of their paths, whatever order they were given in, so that two
// Multis do not wait for each other; one context bounds it all; what it has it gives back when it fails. They are held in one session, as
// [Holds], whose Context ends when one of them does. It costs the sum of its locks, and waits for one after the other. (Curator's
// InterProcessMultiLock takes its locks in the order given: one that shares paths with a Multi should be given them sorted.)
//
// # Letting go
//
// A holder can be asked to let go: [Revoke], or Curator's Revoker, writes a word to its node, and [Hold.Revoked] tells the holder, who
// releases, or says no with [Hold.Refuse]. It is a request, from whoever may write to the node, and does nothing by itself.
//
// Two options bound what a holder that does not let go does to others. With Options.MaxHold a hold ends after so long, and the next one
// comes in however stuck the holder is. With Options.Delay a [Mutex] stays free for a while behind a holder that did not release
// it, as Consul's and Chubby's locks do, so that what it sent last arrives before the next one begins. How does the next one know? A holder
// makes a mark, <path>.held, before it holds, and removes it when it releases. Who is first in the line and finds one waits for the delay,
// counted from when one of its process has seen it first. So it costs a write to lock and one to release, and nothing where it is not asked
// for; a mark stays when nobody comes any more. All contenders of this package must agree on it, and others are not delayed.
//
// # What a lock is worth
//
// Holding means: the server accepted this node, nobody was ahead of it, and a majority of the servers has confirmed, lately enough, that the
// session which owns it lives. While a lock is held its session is kept, see client.Session.Keep: when no majority confirms it any
// more, because this process, or its server, is cut off, Hold.Context ends before the servers can give the lock to the next, be they
// Bellwether's or Apache's. An outage ends nothing if the client is connected again within a third of the session's timeout. The Err of the
// context reads the clocks, so that it is right after the process was stopped, too. It costs the servers eight transactions per session
// timeout, which change nothing, for each client that holds locks, however many, and less if it writes anyway.
//
// What happens to a hold, of whatever kind:
//
//	connection lost, and made again within T/3    nothing; T is the session's timeout
//	not made again, or the session expires        its Context ends before anybody else holds
//	client closed                                 its Context ends, then the servers are told
//	its node is removed by somebody               its Context ends when the client is told, which may be after another holds
//	process dies                                  its node goes when the servers' timeout is over
//	it lasts for Options.MaxHold                  its Context ends, then its node is removed in the background
//
// and to a Lock that waits:
//
//	connection lost                               it keeps its place, as long as the session lives
//	session expires, its node is removed          it goes to the end of the line
//	its ctx ends                                  what it made is removed, in the background if that takes longer than Options.Cleanup
//
// Nothing is let go on suspicion: a hold goes on while nobody else can have it. Who would rather stop at the first sign of trouble, since the
// work needs the servers anyway, follows client.Client.States and releases when the connection is suspended, as
// leader.Options.EndWhenSuspended does for a leader.
//
// What remains is the time between looking at the context and the effect of what is done then: a process may be paused right there. Work
// that would be harmed by that carries the hold's token, a number that grows from holder to holder, to where the work takes effect, and is
// refused there once a greater token was seen; where readers share, a greater token of a writer. For data in ZooKeeper itself,
// [Hold.Guard] makes a multi fail if the lock is not held at the moment of the change. Package fence has what refuses older tokens: for a
// table of an SQL database, and for a resource behind HTTP.
//
// # Looking at it
//
// Inspect tells who holds and who waits, since when and from where; the context of a hold why it ended. With the client's TracerProvider to wait
// for a lock is a span, lock.wait, and to hold it another, lock.hold, linked to it; with its MeterProvider there are
// bellwether.lock.wait.duration and .count, and bellwether.lock.hold.duration, .count and .lost.
package lock
