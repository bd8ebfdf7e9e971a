// Package schema says what a program may do where in ZooKeeper, and refuses what is not so before it is sent.
//
//	set, err := schema.New([]schema.Rule{
//		{Name: "services", Path: "/services", Undeletable: true},
//		{Name: "instance", Pattern: "/services/[^/]+", Ephemeral: schema.Must, Validate: isJSON, Doc: "one for each that serves"},
//	}, nil)
//	…
//	c, err := client.Connect(ctx, servers, &client.Options{Check: set.Check})
//
// The servers know ACLs, and no more: a lock's node that is persistent by mistake, or a configuration of half a line, they take, and the
// trouble comes to light elsewhere, and later. A [Set] of rules is checked where the mistake is made. It is an agreement among
// programs, not a protection: who does not use it is not bound by it.
//
// # Which rule
//
// One rule decides about an operation: the one whose Path is exactly the path of the operation; or else the first one whose Pattern matches
// the whole of it; or else there is none, and [Options].RefuseOthers decides. Paths are those below the chroot of the connect string; a view of
// client.Client.Sub does not change them.
//
// A sequential or protected node is created under the name that was asked for, and everything later is about the name it got. A pattern
// for it must match both:
//
//	/queue/item-                    is asked for
//	/queue/item-0000000007          was made
//	/queue/_c_<uuid>-item-0000000007  was made, protected
//
// so "/queue/.*" is the usual one. Parents that are made on the way are creates, too, as containers or persistent nodes, without data.
//
// # What a rule says
//
//	create   whether nodes are ephemeral, and sequential; what data they may have; who may
//	set      what data; who may
//	setacl   who may
//	delete   whether at all; who may
//	reads    whether with a watch
//
// The parts of a multi are checked one by one, and a check in it only for there being a rule. Plain reads are not asked about
// by client.Options.Check: so a rule by which nodes must be watched refuses nothing there, and one by which they cannot does.
//
// # Curator's schemas
//
// The rules are those of SchemaSet in Curator, with who may in addition, and [Load] reads its JSON:
//
//	[
//	    {
//	        "name": "instance",            of the rule; required
//	        "path": "/services/[^/]+",     required
//	        "isRegex": true,               whether path is a regular expression; default false
//	        "schemaValidator": "json",     the name of a validator; default none
//	        "documentation": "…",          default none
//	        "ephemeral": "must",           "can", "must" or "cannot"; default "can"
//	        "sequential": "can",           the same
//	        "watched": "can",              the same
//	        "canBeDeleted": true,          default false, see below
//	        "metadata": {"owner": "us"},   anything one likes
//	        "who": ["digest:deployer"]     not Curator's, which ignores it; default everybody
//	    }
//	]
//
// Curator says that nodes can be deleted if canBeDeleted is not there, and refuses to delete them. Load goes by what it does (5.4 and 5.9), so
// that a file means the same to both. Where Curator takes what it does not understand for something else, Load refuses it: a
// field with another name, a boolean in quotes, two rules of one name. Regular expressions are Go's (RE2), which are Java's but for those
// that look around, go back, or are possessive; those are refused, too.
//
// # Concurrency
//
// A Set does not change, and may be used by many goroutines and clients.
package schema
