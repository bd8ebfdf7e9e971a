// Package choose picks one of a service's instances for each request.
//
//	c := choose.New(mail, choose.TwoChoices(), &choose.Options{Zone: "eu"}) // mail is a *discovery.Service
//	defer c.Close()
//	…
//	pick, err := c.Pick()
//	if err != nil {
//		return err
//	}
//	err = send(ctx, pick.Entry.HostPort(), message)
//	pick.Done(err)
//
// # Who can be chosen
//
// When instances come, go or change, or one is found bad, a [Chooser] works out anew who the candidates are, in this order:
//
//   - those that Options.Query means, and that are up; those that discovery keeps though they are lost are among them, for they are likely to
//     live;
//   - of them those that are not ejected: when requests to one have failed, it is left out for a while, and then tried with one request
//     at a time before it is one like the others (half-open). Never more than half of all are ejected, see Options.MaxEjected;
//   - of them those in the own zone, if enough of its instances are left, and otherwise all;
//   - of them a part, in a large fleet, so that not everybody has connections to everybody.
//
// If nobody is left, the least bad are candidates instead: who is ejected, or else who is starting or draining. Only when all are down,
// or there are none, a request fails, with [ErrNone].
//
// A [Strategy] chooses one of the candidates for a request: [RoundRobin], [Random], [Weighted], [LeastOutstanding], [TwoChoices], [Sticky], or
// the caller's own. [Chooser.PickFor] chooses by a key instead, so that the same key comes to the same instance as long as that is there,
// and [Chooser.PickOther] for a request that was tried elsewhere. An instance that is new, or has been ejected, gets its share little by little,
// with Options.SlowStart.
//
// # Looking at it
//
// With the MeterProvider of the service's client there are, for each service, bellwether.discovery.picks, .candidates, .ejected and .outstanding,
// which are asked for when somebody collects, and cost a request nothing, and bellwether.discovery.ejections and .probes.
//
// # Cost
//
// To pick and to be done takes no lock, no memory and no look at the clock, save while an instance is warming or half-open. RoundRobin, Random,
// Weighted, TwoChoices and Sticky take the same time whatever the number of candidates; LeastOutstanding looks at each of them, and so do
// PickFor and PickOther. What changes the candidates costs in proportion to all instances, once.
//
// In a second of one core's time so many millions of ten instances are picked, and in brackets picked and done: Sticky 75 (32), Random 48 (24),
// Weighted 38 (25), RoundRobin 33 (21), TwoChoices 25 (22), LeastOutstanding 14 (11). Of a thousand LeastOutstanding picks a third of a million,
// and PickFor takes 16 µs. The package's benchmarks tell what it is elsewhere.
package choose
