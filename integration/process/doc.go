// Package process runs servers as what they are in production: processes of their own, with a zoo.cfg, a data directory and
// ports on loopback. It knows Apache's and ours, alone and as ensembles, and can do to them what happens to processes: end them without
// warning, stop and continue them, start them again from their own data, and come between any two of them.
//
//	e := process.StartEnsemble(t, process.Options{Kinds: []process.Kind{process.Bellwether}, Size: 3, Proxied: true})
//	leader := e.MustLeader(t)
//	e.Network.Isolate(leader)
//	e.Servers[leader].Kill()
//
// Where a peer is an environment variable says, which .ci/peers.sh and .ci/run set; a test that needs one that is not set fails. A test's
// end ends every process it started, by its id. When the test failed, the end of what each server printed is shown, and
// the directory with zoo.cfg, data and log of each is kept.
//
// # Between the servers
//
// With Options.Proxied every server reaches every other through two proxies of this package, one to its election port and one to
// its quorum port, and bytes from one server to another pass only when the [Network] lets that direction pass, whoever dialed. A
// dialer on the election port says where it wants to be dialed itself; the proxy puts its own address there, or the answer
// would go around it.
//
// A Server and an Ensemble may be used by several goroutines, as may a Network.
package process
