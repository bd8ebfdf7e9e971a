// Bellwether is a server that clients of Apache ZooKeeper take for Apache ZooKeeper 3.9, and a client to ask any such server
// one thing from a shell.
//
// # Serving
//
//	bellwether server [-Dname=value ...] zoo.cfg
//
// serves in the foreground what an ordinary zoo.cfg describes; the least such file is
//
//	dataDir=/var/lib/bellwether
//	clientPort=2181
//
// The server reads -D properties and the environment variable SERVER_JVMFLAGS as Apache's start script hands them to its
// server: the variable is cut at blanks, quotes in it mean nothing, and only its -D entries count. Where a file and a property
// set the same thing the file wins, except for the few names Apache reads without "zookeeper." in front (jute.maxbuffer,
// readonlymode.enabled, znode.container.*). The log is text, on standard error, one line for each event a person would act on.
//
// A zoo.cfg with several server lines makes the server one of an ensemble. It then needs initLimit, syncLimit and, in dataDir, the
// file myid with its number:
//
//	initLimit=10
//	syncLimit=5
//	server.1=one.example:2888:3888
//	server.2=two.example:2888:3888
//	server.3=three.example:2888:3888
//	server.4=four.example:2888:3888:observer
//
// The lines may stand in a file of their own, named by dynamicConfigFile, which is read at the start and never written.
//
// # What becomes of a key
//
//	bellwether config check [-a] [-o text|json] [-Dname=value ...] zoo.cfg
//
// lists each key with its effect without starting anything, -a the keys that are not set, too. A key is honoured; or idle, since
// it concerns servers that are several; or not supported, and then named in one warning when the server starts; or refused,
// since ignoring it would be unsafe: TLS on any port, SASL between servers or demanded of clients, and among several servers groups,
// weights, local sessions and several addresses for one server. All that is wrong is reported at once. Three decisions are worth knowing:
//
//   - forceSync=no is not supported: an acknowledged write is on disk, always.
//   - A number that Java would silently replace by its default (snapCount=1OO) keeps the server from starting.
//   - There is no HTTP admin server; admin.* is named in the warning only if it is set.
//
// # Ending
//
// SIGTERM and SIGINT end the server cleanly: connections are closed, everything acknowledged is on disk, the exit code is 0.
// Sessions survive in the data directory and may be resumed after a restart. A second signal ends the program at once, which
// costs nothing but the time to replay the log. On Windows there is no SIGTERM to send: Ctrl-C, Ctrl-Break and closing the
// console end the server cleanly, and a terminated process counts as a crash, which the data survives as it survives any other.
//
// # Asking
//
//	bellwether client [-server HOST:PORT] ls|get|stat|create|set|delete|watch ...
//
// opens a session, does one thing and closes the session. Output is for reading, or with -o json one JSON value on a line.
//
//	bellwether client ls -R /                         paths, parents first
//	bellwether client get /a                          the data, and a line end; --raw without it
//	bellwether client create -s /line/member- text    prints the path with its sequence number
//	bellwether client create -e --hold /alive         an ephemeral node, until interrupted
//	bellwether client create -c /boxes                a container
//	bellwether client create -t 5m /note text         a node with a time to live, where the server allows those
//	bellwether client create --acl digest:bob:HASH:cdrwa,world:anyone:r /b
//	bellwether client set -v 3 /a text                only if the version is 3
//	bellwether client delete /a
//	bellwether client watch -R -n 10 --timeout 1m /   ten events, or a minute
//
// --auth digest:user:password authenticates first. --data-file takes data from a file, - from standard input. In JSON, data
// that is not UTF-8 is in base64, times are in UTC, and zxids and session ids are written as ZooKeeper writes them.
//
// When a connection breaks before the answer to a change has come (exit code 30, or 31 when time ran out), the change may have
// happened. The command never sends anything twice.
//
// # Exit codes
//
//	 0  done
//	 1  anything not listed here
//	 2  the command line or the configuration is wrong
//	 3  server: the data directory cannot be used, or what is in it is damaged
//	 5  server: the client address cannot be listened on
//	 6  server: a write or sync of the log failed; nothing was acknowledged after it
//	20  client: the server answered with another error than these:
//	21  client: no node
//	22  client: node exists
//	23  client: bad version
//	24  client: not authorised
//	30  client: no server could be reached, or the connection broke
//	31  client: time ran out before the answer, or before the events asked for
package main
