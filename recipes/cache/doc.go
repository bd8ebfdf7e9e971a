// Package cache is a local mirror of a node, its children, or a whole subtree: reads that cost no round trip, and that say when they may
// be out of date.
//
//	services, err := cache.Open(ctx, c, "/services", nil)
//	if err != nil {
//		return err
//	}
//	defer services.Close()
//
//	node, ok := services.Get("/services/mail")
//	for change := range services.Watch(ctx) {
//		fmt.Println(change.Kind, change.Path)
//	}
//
// # What a mirror is worth
//
// A [Cache] has each node as it was at some moment, and learns of each change a little later than the servers; two nodes may be seen as they
// were at different moments. Who must not act on an old value checks the version in the same multi, or holds a lock.
//
// What a mirror must not be is old without saying so. While the connection is gone [Cache.StaleSince] tells since when, and the last known
// nodes stay. When it is back, in the same session or another, every node is read again and compared by the transactions that created and
// last changed it, so that a node which was deleted and made again meanwhile is told as that, though its version is the same. Only when
// all of it was read the cache is current again. A connection that is silent without being closed is noticed after two thirds of the session's
// timeout, and one to a server that is cut off from its leader when that server gives up its leader, so the mirror may be older by that
// than it knows. What a server without a majority says, with client.Options.ReadOnly, is mirrored and called stale.
//
// # Changes
//
// [Cache.Watch] begins with what there is and goes on with what changes: states, not a log. A loop that is slower than the changes gets the
// difference between what it was told and what is, so nothing piles up, and no removal is left out. Within one step parents are added before
// their children, and removed after them. A node that stays is never missing in the mirror, nor is one that was replaced in one transaction
// while its parent stayed.
//
// # Cost
//
// A node costs the servers two watches, one if it is ephemeral, and this process about 1.5 kB beside its path and data. To open a cache takes
// two reads for each node, one if it is ephemeral, sixteen at a time; a write one, a node that comes or goes three, two if it is ephemeral, and
// one that is replaced in one transaction four to six; a reconnect as many as to open it.
// Readers take no locks and do not wait for anything.
//
// # Looking at it
//
// [Cache.Status] tells how much there is and of when. With the client's MeterProvider there are bellwether.cache.nodes and .size, and
// bellwether.cache.stale.count and .duration for mirrors that may be out of date.
package cache
