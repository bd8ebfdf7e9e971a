// Package typed gives the nodes of a ZooKeeper tree the types of Go.
//
// A [Node] is one node whose data are a value of some type, a [Directory] is a parent whose children all have values of one
// type, and a [Codec] says how a value is written: as JSON unless [Options] say otherwise.
//
//	limits := typed.NewNode[Limits](c, "/app/limits", nil)
//	err := limits.Create(ctx, Limits{Users: 100})
//	…
//	v, stat, err := limits.Get(ctx)
//	v.Users = 200
//	_, err = limits.Set(ctx, v, stat.Version) // client.ErrBadVersion if somebody was faster
//
// Reading, changing and writing again if somebody was faster is what Update does:
//
//	_, _, err := limits.Update(ctx, func(v Limits) (Limits, error) {
//		v.Users += 100
//		return v, nil
//	})
//
// # Values that cannot be read
//
// A node may have been written by somebody else. Data that are no value of the type are an error of their own kind, with the node's path:
//
//	errors.Is(err, typed.ErrDecode)
//
// and concern that node only. A Watch of a node yields the error and goes on, so that the value that is written next is seen; a
// [Listing] has such nodes in Bad, beside the others.
//
// # Lost answers
//
// A change fails as the client's does: without client.ErrUnknown it has not happened. With it, the answer was lost, and an Update that is
// simply called once more could count twice. Options.Marks lets Update, Set and Delete find out by themselves, with
// [client.Client.MultiOnce]: each then happens exactly once, at the price of a second node that comes and goes with each change.
//
// # Formats
//
// JSON is encoding/json's: a field that the type does not have is ignored, so that programs of different age can share a node. It
// is not kept either: Set and Update write what the type has, and nothing else. Who must keep what it does not know has a
// type that does, such as map[string]json.RawMessage.
//
// [Gzip] writes and reads what Curator's compressed() and decompressed() do: one gzip member, and no mark on the node that tells it from
// other data. Its readers must know, and a node that holds something else is an ErrDecode.
//
// # Concurrency
//
// Nodes and directories hold no resources and need no closing. They may be used by many goroutines, if their codec may be, as those of this
// package. The loops of Watch run on the goroutine of the caller; that of a directory has one more for each child, and waits for them when
// it ends.
package typed
