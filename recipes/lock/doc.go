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
// Holding means: the server accepted this node, nobody was ahead of it, and the session that owns it was alive. The session can end
// without its holder's doing, when the connection is cut for longer than the session's timeout; then the servers give the lock to the
// next. Hold.Context ends when the client knows. Between the one and the other, and while a process is paused, two may believe that they
// hold; see package client for how long. Work that would be harmed by that carries the hold's token, a number that grows from holder to
// holder, to where the work takes effect, and is refused there once a greater token was seen. For data in ZooKeeper itself,
// [Hold.Guard] makes a multi fail if the lock is not held at the moment of the change.
package lock
