// Package fence refuses what comes too late from a former holder of a lock: where the work takes effect, in a table of an SQL database or
// behind an HTTP server.
//
// A holder may be paused between looking at its lock and writing, for longer than its session lasts; somebody else has the lock then, and no
// lock service can call back what is on its way. What can is the resource: each holder's token, lock.Hold.Token, is greater than that of all
// before it, so a resource that remembers the greatest it has seen knows who is late. The rule is one line: refuse a token that is
// less than the greatest, and remember one that is greater, in the same transaction as the work.
//
// A row of a table can be its own fence, with one more column, and Exec says when nothing was written:
//
//	err := fence.Exec(ctx, db, `UPDATE account SET balance = ?, token = ? WHERE id = ? AND token <= ?`, balance, hold.Token(), id, hold.Token())
//	if errors.Is(err, fence.ErrStale) { … } // somebody else has had the lock since
//
// Where one row is not enough, a Table has a row for each resource, which Table.Check raises and locks in the transaction of the work.
//
// A resource behind HTTP is fenced by a Handler; the holder's requests carry the token in a header, which a Transport puts there.
//
// Tokens compare if they are of one lock, and of one ensemble. Where the ensemble's data are restored from an old backup, they begin
// again lower: what a resource remembers has to be forgotten with it, by hand. The token of a Semaphore's permit is no fence.
package fence

import "errors"

// ErrStale tells that a greater token was seen: somebody else has had the lock since this one was given.
var ErrStale = errors.New("fencing token is older than one that was seen")
