// Package migrate changes what a program keeps in ZooKeeper from one release to the next, each change once.
//
//	set := migrate.Set{ID: "orders", Migrations: []migrate.Migration{
//		{Name: "directories", Ops: []client.Op{
//			client.CreateOp("/orders", nil, nil),
//			client.CreateOp("/orders/open", nil, nil),
//		}},
//		{Name: "limits", Ops: []client.Op{client.CreateOp("/orders/limit", []byte("100"), nil)}},
//	}}
//	applied, err := migrate.Apply(ctx, c, "/migrations", set, nil)
//
// Every instance of the program does this when it starts. The first one finds nothing and makes the nodes; the others find that done. The
// next release has one more migration at the end of the list, and the first instance of it applies that one. A migration that was
// applied is never changed: what it should have been is the next one.
//
// # How it works
//
// Each migration leaves a metadata node behind, made in the same transaction: what is done is recorded, and what is recorded is
// done, wherever connections, sessions and processes end.
//
//	<metadataPath>/<set id>/meta-<number of ten digits>
//
// Its data are the SHA-256 of the migration's ops. Apply compares them with the set's, in order; one that differs is ErrMismatch, and
// nothing is applied. What is missing at the end is applied, one transaction after the other, so that each need fit a request by itself,
// and a crash between two leaves the first done. The layout is that of MigrationManager in Curator's curator-x-async, which applies all that
// is missing in one transaction; either goes on where the other stopped. Metadata nodes get the client's ACL for their path, and the
// client's Options.Check is asked about them.
//
// # Who is excluded
//
// The transaction is its own lock. The metadata node is not made as a sequential one but with the very name the servers would give it next,
// so a transaction fails, and changes nothing, if anybody added a metadata node since the set was read, Apply or Curator. Then the set is
// read again. So however many call Apply at once, each migration is done once, and no lock is left behind by those who crash.
//
// Curator's runner reads, and writes later without looking again; it relies on its lock, an InterProcessSemaphoreMutex at
// <lockPath>/<set id>. With [Options].LockPath the transaction contains the proof that this lock is free: it deletes the
// directory of the lock's leases, which fails while anybody has one, and makes it again; or, where there is no directory, makes it and
// deletes it. Somebody who takes the lock later reads later, too, and finds the metadata. Apply takes no lock, thus; it waits while
// another one holds it. This needs the permissions to create and to delete in the lock's directories. What was a container, and is
// made again, is an ordinary node then, with the client's ACL for it.
//
// Without LockPath, Apply and Curator's runner at the same moment are not kept apart in one case: when Curator has read the set, Apply
// then commits, and Curator commits after that, a migration can be applied twice. Programs with other layouts are not
// excluded in any way; nor is one that writes to the nodes of a migration, save by what the ops themselves expect.
//
// # What the hash covers
//
// For each op, Curator's path, the decimal number of its type, and the text that ZooKeeper's Java client has for the request:
//
//	create  <path>1'<path>,#<data>,v{s{<perms>,s{'<scheme>,'<id>}},…},<mode>\n
//	set     <path>5'<path>,#<data>,<version>\n
//	delete  <path>2'<path>,<version>\n
//	check   <path>13'<path>,<version>\n
//
// with the bytes of the data in hexadecimal, without a leading zero and, from 80 on, with ffffff before them; no # where there are none. In
// the text, not in the path before it, NUL, line feed, carriage return, comma, closing brace and percent sign are %00, %0A, %0D, %2C,
// %7D and %25. That is so with the Java clients 3.8 and 3.9. What follows:
//
//   - The ACL is part of it, also the default one of the client, Options.ACL or Options.ACLFor. A default that changes is ErrMismatch; give
//     the creates of migrations an ACL of their own.
//   - The path is the one below the connect string's chroot, with the directory of client.Client.Sub, as Curator has its namespace in it.
//   - Data can be told apart only almost: the bytes 01 10 and 11 00 have the same text.
//   - Curator creates a node without data with the address of its own host in it; its hash is another one on each host. Give it data.
//   - Curator takes the default charset of its JVM for this; it is the same here if that is UTF-8, or if all is ASCII.
//
// Some migrations of Curator cannot be written here: those that create containers or nodes with a time to live, for which client has no
// op. Data compressed by Curator are hashed compressed: give the same compressed bytes.
//
// # Concurrency
//
// Apply may be called by many goroutines and processes at once. It starts no goroutine.
package migrate
