// Package discovery registers services and looks them up: registrations that do not flap, and lookups that are never old without saying so.
//
//	services := discovery.NewRegistry[Details](c, "/services", nil)
//	defer services.Close(context.WithoutCancel(ctx))
//	_, err := services.Register(ctx, discovery.Instance[Details]{Name: "mail", Address: "10.0.0.7", Port: 25}, nil)
//	…
//	mail, err := services.Lookup(ctx, "mail", nil)
//	if err != nil {
//		return err
//	}
//	defer mail.Close()
//	for _, instance := range mail.Find(discovery.Query{Zone: "eu"}) {
//		fmt.Println(instance.HostPort(), instance.Payload)
//	}
//
// Package choose, below this one, picks an instance for each request, and package health has checks for RegisterOptions.Check.
//
// # Layout
//
// That of Curator's x-discovery, with which it is shared in both directions, and so with Spring Cloud ZooKeeper and Dubbo's application
// registry, whose payloads are structs for Curator to be told the class of:
//
//	<base>                                   container
//	<base>/<service>                         container
//	<base>/<service>/<id>                    an instance, JSON: ephemeral, or persistent if it is Static or Permanent
//	<base>/<service>/_c_<uuid>-<id><number>  one that is DynamicSequential
//
// [Curator] has the JSON. What Curator does not know stands in a field of its own, "bellwether"; an instance that is not up is written as
// not enabled, which Curator's readers obey, though Curator itself writes no such thing by default. Curator's number is put behind the id
// alone; the mark before it is what tells a create whose answer was lost, so that no instance is there twice. Nobody reads names of nodes.
//
// # Registrations
//
// A [Registration] is a wish, and package node grants it: what is there is read and compared, and written only where it differs. What happens:
//
//	connection lost, made again      nothing is written, nobody sees anything
//	session lost                     the next one takes the node over in one transaction, so that it is never missing
//	node removed, or overwritten     it is put right
//	the process starts again         the node of the dead process is replaced at once, if address and ports are the same
//	another's node has the id        it is left alone; Status says node.ErrTaken until it goes
//	Update                           the same node has other data
//	Check fails                      the node is removed until the check succeeds again
//	Close                            Draining, a pause for those who are coming, and then certainly gone
//	process dies                     gone when the servers end its session; static and permanent instances stay
//
// To register costs one round trip, a create and a read behind it that sets a watch; two if the instance is sequential; a reconnect one. Of eight
// and more that [Registry.RegisterAll] registers at once each costs its read, behind one transaction for up to 128 of them: two round trips, or
// some more if something is in the way. Of two processes that claim one id and one address, who comes last has it.
//
// # Lookups
//
// A [Service] mirrors the nodes of one service, with what package cache promises: after an outage everything is read again and compared by
// the transactions that made it, so that an instance which was replaced meanwhile by one of the same id is seen as that. During an outage
// the last known instances stay, and StaleSince tells since when. An instance that cannot be read is reported and does no harm to others; one
// that could be before stays as it was, with Err.
//
// When most of the instances vanish without having said so, it is likelier that they have lost the servers than that all have failed, and
// to send everything to the few that are left would not help. They are kept for some time, and marked as Lost, see [LookupOptions]. Who calls
// one that has failed in fact finds out, and calls another: package choose does.
//
// # Looking at it
//
// [Registration.Status] and [Registry.Inspect] tell what is known here, and on the servers. With the client's TracerProvider each time in which an
// instance is to be listed and is not is a span, discovery.wait, and each in which it is listed another, discovery.registration. With its
// MeterProvider there are bellwether.discovery.wait.duration and .count, bellwether.discovery.registration.duration, .count and .lost,
// bellwether.discovery.repairs and bellwether.discovery.unhealthy.count; and of each service that is looked up bellwether.discovery.instances, by
// their status, those that are kept as lost among them, bellwether.discovery.staleness, and bellwether.discovery.brakes.
//
// # Cost of lookups
//
// To look up costs a read for the names and one for each instance, and a watch for each; a change one read, and one for the names if an
// instance has come or gone.
package discovery
