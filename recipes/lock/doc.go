// Package lock lets one at a time hold something, among all processes that use the same ZooKeeper ensemble.
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
// acquired them: there is no ownership by goroutine and no re-entrance, and any goroutine may release.
//
// # How it works
//
// The contenders stand in line, each as an ephemeral sequential node in the lock's directory; the first holds. The layout
// is that of Curator's InterProcessMutex, to the byte:
//
//	<path>/_c_<uuid>-lock-<number>
//
// so Curator's InterProcessMutex and LeaderSelector, go-zookeeper's Lock, and a Mutex on the same path exclude each other, first come
// first served. Curator's semaphores and read-write locks, and kazoo's locks, use other names and do not. Package ticket has the details
// of the line: who watches whom, how numbers wrap, what happens to a create whose answer was lost.
//
// # What a lock is worth
//
// Holding means: the server accepted this node, nobody was ahead of it, and a majority of the servers has confirmed, lately enough, that the
// session which owns it lives. While a lock is held its session is kept, see client.Session.Keep: when no majority confirms it any
// more, because this process, or its server, is cut off, Hold.Context ends before the servers can give the lock to the next, be they
// Bellwether's or Apache's. An outage ends nothing if the client is connected again within a third of the session's timeout. The Err of the
// context reads the clocks, so that it is right after the process was stopped, too. It costs the servers eight transactions per session
// timeout, which change nothing, for each client that holds locks, however many.
//
// What remains is the time between looking at the context and the effect of what is done then: a process may be paused right there. Work
// that would be harmed by that carries the hold's token, a number that grows from holder to holder, to where the work takes effect, and is
// refused there once a greater token was seen. For data in ZooKeeper itself, [Hold.Guard] makes a multi fail if the lock is not held at
// the moment of the change.
package lock
