// Package proxy stands between clients and servers of ZooKeeper, understands what they say to each other, and breaks it on command: a
// request that never arrives, a reply that is lost after the server has done what was asked, an answer that comes late.
//
//	p := proxy.New(nil)
//	defer p.Close()
//	addr, err := p.Listen("127.0.0.1:2181") // for a client in any process; Dial is for one in this process
//	…
//	lost := p.Lose(proxy.Reply(proxy.OpCreate, "/jobs/job-"))
//	// The next create of /jobs/job-: the server does it, and the client will never know, for its connection breaks.
//	<-lost.Struck()
//
// The server may be any that speaks ZooKeeper's protocol, Apache's too, and so may the client: nothing is asked of them but to connect
// to another address, or to take a dialer. In an ensemble of package ensembletest each client of Connect talks through a proxy of its
// own, which Ensemble.Proxy returns.
//
// # Faults
//
// A fault is what happens, and to what:
//
//	Proxy.Lose      the frame does not arrive, and the connection breaks
//	Proxy.Cut       the frame arrives, and the connection breaks behind it
//	Proxy.Freeze    the frame waits until the fault ends, and all that comes behind it waits too
//	Proxy.Delay     the frame takes longer, and all that comes behind it does too
//	Proxy.Swallow   the frame does not arrive, and nobody notices
//
//	Request         what a client asks, on its way to the server
//	Reply           what the server answers, on its way back
//	Event           what the server tells whoever has left a watch
//
// so that a create can fail in each of the ways there are:
//
//	p.Lose(proxy.Request(proxy.OpCreate, "/n"))    it was lost before the server heard of it, and is not done
//	p.Lose(proxy.Reply(proxy.OpCreate, "/n"))      it is done, and its reply was lost
//	p.Cut(proxy.Request(proxy.OpCreate, "/n"))     the connection broke at once: done or not, as the server likes
//	p.Freeze(proxy.Request(proxy.OpCreate, "/n"))  it is done later, perhaps when nobody waits for it any more
//	p.Freeze(proxy.Reply(proxy.OpCreate, "/n"))    it is done, and who asked cannot tell for a while
//
// A fault meets the next frame that matches and no other, unless [Match.Times], [Match.Always] or [Match.Skip] says otherwise: which
// matters, since most clients ask again. [Fault.Struck] tells when it has, and [Fault.End] ends it. Where several faults meet a frame it
// is delayed and frozen by all that say so, and the oldest of those that would lose, cut or swallow it does.
//
// A connection is TCP's. What goes one way stays in order and nothing is lost of it while it lives; so what waits holds up all
// behind it, pings too, and lets the other way pass. What a connection said before it was cut arrives. The one exception is
// Swallow, which no network does: it is for what a client does about a server with a fault of its own.
//
// A connection on which nobody hears anybody any more, and nobody is told, is
//
//	p.Freeze(proxy.Request(proxy.OpAll, "").Always())
//	p.Freeze(proxy.Reply(proxy.OpAll, "").Always())
//
// while [Proxy.Drop] breaks all connections at once.
//
// # Ops and paths
//
// An [Op] is what is asked, whichever of its forms a client chooses: OpCreate is create, create2, createContainer and createTTL. A multi
// is an OpMulti, and also each of the operations in it: Request(OpCreate, "/n") is a multi that creates /n too.
//
// A path is the server's, with the chroot that a client may have, and for a sequential node without the number: what is asked for. ""
// is any, others are patterns as of path.Match, where * is one name or a part of it; in the end of one /** is everything below.
//
// What cannot be understood passes unharmed: four-letter words, garbage, TLS, and frames of more than 4 MiB. Other frames go on when all
// of them has come.
//
// # Where it lives
//
// A proxy may be used in a testing/synctest bubble, with a dialer that may, such as ensembletest's; then it belongs to the bubble. All methods may be called by many goroutines. After [Proxy.Close] no goroutine or connection is left.
package proxy
