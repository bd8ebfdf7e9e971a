// Package client is a session with a ZooKeeper ensemble, of Bellwether's servers or Apache's 3.5 and later.
//
// It stands on github.com/go-zookeeper/zk, which speaks the protocol, and adds what a program that coordinates with others needs:
// contexts, sessions that are values, and errors that say what is known.
//
//	c, err := client.Connect(ctx, "zk1:2181,zk2:2181,zk3:2181/app", nil)
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//
//	path, err := c.Create(ctx, "/jobs/job-", payload, &client.CreateOptions{
//		Mode:    client.EphemeralSequential,
//		Parents: client.ContainerParents,
//	})
//
// # Sessions
//
// Everything ZooKeeper does for coordination hangs on sessions: ephemeral nodes live as long as the session that made them, and the
// servers end a session they have not heard of for its timeout. A [Client] holds one session at a time. When it is lost, the client opens
// another by itself; but nothing begun in the old one is ever carried out in the new one. What must not outlive its session takes the
// [Session] as a value: Session.Context ends with it, and the view Session.Client runs operations in it and in no other.
//
// Each session has a connection object of the library for itself, so that requests queued while disconnected die with their
// session instead of being executed, to everybody's surprise, in the next.
//
// # Outcomes
//
// An operation returns when it is done, or when its context ends, at once and with the context's cause. While there is no
// connection it waits. Every error is an [*Error]; what kind it is, errors.Is tells:
//
//	_, err := c.Set(ctx, "/config", data, stat.Version)
//	switch {
//	case errors.Is(err, client.ErrBadVersion): // somebody was faster
//	case errors.Is(err, client.ErrUnknown):    // it may have happened: read and see
//	}
//
// A write that failed without [ErrUnknown] did not happen and will not happen. With it, the request was, or may have been, on its way when
// the connection broke or the context ended. Writes are not repeated by the client unless they can be recognised: a create with
// CreateOptions.Protected by its name, what is done by [Client.MultiOnce] by a mark. These look for what a lost answer would have told,
// as long as their session lives, and repeat what had no effect; so they happen exactly once. Reads are repeated after a broken
// connection until their context ends; Options.Retry sets the pace.
//
// Requests of several goroutines are under way at the same time. Where one wants to know how a directory looks with the node it makes there,
// [Client.CreateAndList] asks for both in one round trip.
//
// # Watches
//
// [Client.GetW], [Client.ExistsW] and [Client.ChildrenW] read and return a [Watch], which wakes once when what was read may
// have changed. It also wakes when the connection was made anew, since what a server reports about the meantime is not complete in every
// case; so waking means: read again. [Client.WatchNode], [Client.WatchChildren] and [Client.WatchTree] do the reading again, as loops over
// what has changed, in one session after the other:
//
//	for change, err := range c.WatchTree(ctx, "/config", nil) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(change.Kind, change.Path)
//	}
//
// A loop that is slower than the changes is told of the last state, not of each; one that wants each puts [Queued] in between. All loops and
// watches on one path share one watch on the server.
//
// # Places
//
// A path is relative to the chroot of the connect string. [Client.Sub] is a view of a directory, for parts of a program that need not know
// where they are; Options.ACLFor gives nodes the ACL of their place; Options.Check is asked about each write before it is sent, and package
// client/schema makes such checks from rules. Package client/typed has values instead of bytes, and package client/migrate changes to a
// tree that are made once.
//
// # Who the servers are
//
// [Client.Config] reads the ensemble's configuration: its members, their roles and addresses. [Client.Reconfig] changes it while the
// ensemble runs, where the servers allow that. With Options.FollowConfig a client connects to members that its connect string does not
// name, too, once it has reached them, and leaves out those who are members no more; what the connect string names stays, so that a
// configuration with addresses only the servers know each other by does no harm.
//
// # Who is sure of a session
//
// A session that nobody relies on is taken for lost when a server says so, or when nothing was heard from any server for the whole
// negotiated timeout while disconnected. That is no proof for who holds something: the servers count from an earlier moment, and one that
// is cut off from its leader goes on answering. So who holds something that two must not have asks for more with [Session.Keep], as the
// recipes do. While a session is kept the client has a majority of the servers confirm it several times per timeout, and ends it by
// itself at its [Session.Deadline], which is earlier than the moment any server can end it: the session's Context is over before
// somebody else can hold what it held. Who asks, by Err, has the clocks read, so that a process that stood still is not told what was true
// before.
//
// That rests on clocks which differ in their pace by less than a tenth, and cannot help against a pause between the question and
// what is done upon its answer. What must not happen twice needs a fencing token, or a check in the same multi.
//
// # Servers without a majority
//
// With Options.ReadOnly a client also takes a server that has lost its majority and goes on answering reads, where servers offer that
// (readonlymode.enabled on Apache's); its state is then [StateReadOnly]. Reads bring what that server has, which may be old. What takes
// a majority fails at once with [ErrNotReadOnly] and has not happened: writes, and Sync, too; no lock is granted. All the while the client
// looks for a server with a majority, and moves there when it has found one.
//
// What such a server says is no sign of life: a session that a majority opened is lost when none was heard for its timeout, attached or
// not. A session that such a server opened is known to nobody else, and is lost with its connection. Apache's servers from 3.7 on turn away
// sessions they did not open, so a client is suspended until its session is lost, and reads in the next one; their local sessions
// (localSessionsEnabled) they forget when they lose the majority, and the client reads in the next one at once. They open sessions
// without a majority only where there may be local ones. Elsewhere there is nothing to read, and who connects is told ErrNotReadOnly
// when his context ends.
//
// # Looking on
//
// [Client.States] tells of the connection, Options.Hooks are functions to be told of it and of the operations; spans and metrics go to
// OpenTelemetry's API, lines to log/slog. None of it happens, or costs anything, unless it is asked for. Packages that work through a client
// are seen in the same places, with [Client.Instruments].
//
// [Wrap] makes a client of a connection that other code has made, for those who cannot change that, and says what that costs.
//
// # What this version does not promise
//
// A create that was cancelled may leave a node behind, which ErrUnknown says; one with CreateOptions.Protected leaves none. When a session
// ends while something is under way in it, nobody can tell any more whether that happened.
//
// # Concurrency
//
// Clients, sessions and watches may be used by many goroutines. A client runs a handful of goroutines and one for each
// operation that is waiting; Close waits for all of them. With a Dialer to a network in memory it runs in a testing/synctest bubble.
package client
