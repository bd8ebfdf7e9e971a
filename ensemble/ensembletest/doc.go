// Package ensembletest starts servers for tests: real ones, in the test's own process, ready when the call returns and gone when the
// test ends, which can be broken on command.
//
//	func TestRegistry(t *testing.T) {
//		e := ensembletest.Start(t, 3, nil) // three servers that agree, in about ten milliseconds
//		c := e.Connect(t)                  // a *client.Client, with its session open
//		…
//		e.Leader().Kill()                  // as kill -9 would; the others elect another one
//		…
//	}
//
// They are the servers of package ensemble, with their elections, their log and their snapshots, not an imitation of them; only the
// network and, unless [Options].OnDisk says otherwise, the disk are in memory. Any client of ZooKeeper that takes a dialer can be
// given [Ensemble.Dial] and [Ensemble.ConnectString], and with [Options].TCP it needs no dialer. Tests in other languages, or whole
// programs, use that too.
//
// Where there is no testing.TB, in an Example or in TestMain, [New] does the same and returns an error. An ensemble that tests share
// starts once; [Ensemble.Chroot] gives each of them a tree of its own:
//
//	var shared *ensembletest.Ensemble // TestMain: shared, err = ensembletest.New(ctx, 1, nil)
//
//	func TestThis(t *testing.T) { c := shared.Chroot(t).Connect(); … }
//
// # Virtual time
//
// Inside a testing/synctest bubble time passes when everybody waits, and takes no time. Servers, network, clients and recipes all run
// in there, with the timeouts of production:
//
//	synctest.Test(t, func(t *testing.T) {
//		e := ensembletest.Start(t, 3, nil)
//		holder, other := e.Connect(t), e.Connect(t)
//		…
//		e.CutClient(holder)          // holder is alone in the world
//		time.Sleep(20 * time.Second) // its session ends, in about a millisecond
//		…
//	})
//
// The clock stands still while anybody works: a loop that writes and never waits for time stays at one moment for ever. A network with a
// [Ensemble.Delay] in it, or a pause, makes time pass.
//
// An ensemble belongs to the bubble it was started in; using it from somewhere else fails the test, or panics where there is no
// test to fail, and says so. Outside of bubbles time is real, and a short Server.TickTime in [Options] makes timeouts short: sessions
// last 2 to 20 ticks, a silent server is noticed after 5. Servers that are closed or killed are noticed at once.
//
// # Faults
//
// Faults are methods, of a server or of the network between all:
//
//	Server.Stop, Kill, Crash         an orderly end; kill -9; a power failure that loses, or tears, what was not synced
//	Server.Restart                   the same server again, on what its disk has
//	Server.Pause, Resume             a process that is stopped and goes on later without noticing
//	Server.SlowDisk                  a disk that takes its time to sync
//	Server.FailNextSync              a disk that loses what it was to sync
//	Server.FillDisk, FreeDisk        a disk without space
//	Ensemble.Partition               groups that do not hear each other
//	Ensemble.Cut, CutOneWay          two servers that do not, in both directions or in one
//	Ensemble.CutFromLeader           a server that hears everybody but who leads
//	Ensemble.CutClient               a client that does not hear servers
//	Ensemble.Delay                   a slow way
//	Ensemble.Drop, DropBetween       connections that break
//	Ensemble.Duplicate, Reorder      notifications of an election that come twice, or late
//	Ensemble.Proxy                   one request, reply or event of a client: lost, cut off, late, frozen
//	Ensemble.Heal                    the end of all that is wrong with the network
//	Ensemble.Expire, ExpireSession   the end of a session, now
//	Ensemble.Sweep                   the end of containers and of nodes whose time is over, now
//	Ensemble.TransferLeadership      another leader, without loss
//	Ensemble.SetSequence             numbers of sequential nodes near their end
//	Ensemble.SetVersion              versions near their end
//	Options.EpochLength              zxids near their end
//
// The network is TCP's: what is cut off is late, not lost, and nothing but an election's notifications changes its order or comes twice;
// only a connection that breaks loses anything. A fault of the network concerns who talks through memory: all servers with each other, and the
// clients of [Ensemble.Connect] and [Ensemble.Dial], also with Options.TCP; not who comes through TCP.
//
// What goes wrong with one operation, and not with a way, is a matter of the client's proxy, which understands what it says:
//
//	e.Proxy(c).Lose(proxy.Reply(proxy.OpCreate, "/n")) // c's next create of /n is done, and c will not know
//
// Package proxy has the words for it, and stands between other clients and other servers too, Apache's among them.
//
// Package trouble draws lots which of all these comes next, for tests of what is to come through any of them.
//
// After a fault [Ensemble.WaitLeader] and [Ensemble.WaitCaughtUp] wait until the ensemble has dealt with it.
//
// # Looking inside
//
// What the servers have can be seen without a client, on each of them, also while it is cut off or paused:
//
//	Server.Tree, Node                all znodes, or one, with data, stat and ACL
//	Server.Dump                      the tree as text that is the same in every run, for golden files
//	Server.Sessions                  who is alive, with which ephemeral nodes, through which server
//	Server.Watches, Ensemble.Watches who waits to be told of what
//	Ensemble.Record                  what clients have asked and were told since then
//
// [Ensemble.Load] makes a tree to begin with.
//
// Whether what the clients were told can be true, whatever broke meanwhile, is what package history finds out, for one's own service too;
// and package conformance, whether some server does what programs rely on.
//
// # Logs
//
// Nothing is logged unless Options.Log, or the environment variable BELLWETHER_LOG, asks for it; but the last lines of what the
// servers would have said are kept, and shown when a test fails or a start does.
//
// All methods may be called by many goroutines. When an ensemble is closed no goroutine, connection or temporary file of it is left.
package ensembletest
