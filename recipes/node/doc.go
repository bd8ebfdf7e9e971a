// Package node keeps a node in the tree for as long as its owner lives, whatever happens to it meanwhile.
//
//	n, err := node.Keep(ctx, c, "/services/mail/1", []byte("10.0.0.7:25"), nil)
//	if err != nil {
//		return err
//	}
//	defer n.Close(context.WithoutCancel(ctx))
//
// A [Node] is a wish: this data at this path. What is there is read and compared, and written only where it differs, so a reconnect, or ten of
// them, is no change to anybody who watches. If the node is removed or overwritten it is put right; if the session is lost, the next one
// takes the node over.
//
// # Layout
//
// The node is ephemeral, and goes with its owner's session:
//
//	<path>                  ephemeral, the data
//
// With Options.TTL it outlives sessions, and goes when its owner has not been seen for that long. The layout is that of Curator's
// PersistentTtlNode:
//
//	<path>                  persistent with a time to live, the data
//	<path>/touch            persistent with a time to live, written three times in it
//
// With Options.Persistent it stays until somebody deletes it, and with Options.Sequential it gets a number, and a name that tells it from
// all others, when it is made for the first time:
//
//	<path>                               persistent, the data
//	<dir>/_c_<uuid>-<name><number>       ephemeral, the data
//
// Missing parents are made as containers.
//
// # Whose node it is
//
// A new session finds the node of the one before, which the servers have not ended yet, or which they never will hear the end of. It is not
// taken for the new session's: it would go with its owner. It is deleted and made again in one transaction, so that nobody sees it missing.
// A node of somebody else's session is left alone, unless Options.Replace or Options.Succeeds says otherwise: [Node.Status] says ErrTaken, and
// the node is made when the other one goes; Options.Patience bounds how long [Keep] waits for that. An ephemeral node tells by its owner
// whose it is. The other kinds have none: two who keep one share it.
//
// # What happens when
//
// While the connection is suspended nothing is known, and nothing is done on suspicion: Status says what was, and client.Client.States that it may
// not be so any more. When the session is lost the node stays until the servers end the
// session, or until it is taken over. A crash leaves it for the session's timeout, or its time to live, or for ever, as its kind is. Close
// removes it, and returns when that is certain.
//
// What somebody has done to the node is put right at once if it was left alone for half a minute, and else after a pause that grows up to ten
// seconds, so that two who want different data at one path leave the servers time for others.
//
// It costs one round trip to begin with, a create and a read behind it that sets a watch, and one for each reconnect; a sequential node, whose
// name has to be known first, and one whose parent is missing take more to begin with. Of many that begin together, see [BeginAll], each costs
// its read, behind one transaction for up to 128 of them: two round trips. Other data cost a read, a write and a read, and so
// does what is put right; to close three requests. One with a time to live writes three times in it. There is one watch, on the node.
//
// # Looking at it
//
// [Node.Status] tells what is known of the node and why it is not there, and [Node.Inspect] asks the servers what is. With the client's
// TracerProvider each time in which the node is wanted and not there is a span, node.wait, and each in which it is there another,
// node.presence, linked to it; with its MeterProvider there are bellwether.node.wait.duration and .count, and
// bellwether.node.presence.duration, .count and .lost, and bellwether.node.repairs. Those of a registration of package discovery, and of a
// member of package group, are called after these.
package node
