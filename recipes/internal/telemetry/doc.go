// Package telemetry is what recipes are seen by: spans and metrics, by the providers of the client they work through, and only where it
// has any.
//
// A recipe is a wait, and then something held, until it is given up or lost. It says so, and that is all it has to do:
//
//	var mutex = telemetry.Recipe{Family: telemetry.Lock, Name: "mutex", Words: []telemetry.Word{{Err: ErrReleased, Word: "released"}, …}}
//
//	kit := telemetry.Of(c) // in NewMutex
//
//	ctx, wait := kit.Wait(ctx, &mutex, path)
//	t, err := line.lock(ctx)
//	if err != nil {
//		wait.Failed(err)
//		return nil, err
//	}
//	wait.Held(telemetry.Held{Session: t.Session(), Life: t.Context(), Path: t.Path(), Token: t.Token()})
//
// Where nobody asked, the Kit is nil, and all of this does nothing, allocates nothing and takes a few nanoseconds. The instruments are made
// once for each client.
//
// # Metrics
//
// Durations are histograms, what is said to be now goes up and down, staleness is a gauge, the rest are counters. Several objects of one kind in
// a process add up; of staleness the longest counts. How requests are chosen for is asked when somebody collects, and costs them nothing.
//
//	name                                       unit         attributes                        what
//
//	bellwether.lock.wait.duration              s            recipe, error.type                from asking for a lock until it is held, or not
//	bellwether.lock.wait.count                 {call}       recipe                            calls that wait now
//	bellwether.lock.hold.duration              s            recipe, end                       how long a lock was held
//	bellwether.lock.hold.count                 {hold}       recipe                            locks held now
//	bellwether.lock.hold.lost                  {hold}       recipe, end                       holds that ended without their holder's wish
//
//	bellwether.lease.wait.duration             s            recipe, error.type                from asking for a lease until it is granted, or not
//	bellwether.lease.wait.count                {call}       recipe                            calls that wait now
//	bellwether.lease.grant.duration            s            recipe, end                       how long a lease was granted
//	bellwether.lease.grant.count               {grant}      recipe                            leases granted to this process now
//	bellwether.lease.grant.lost                {grant}      recipe, end                       grants that ended without their holder's wish
//	bellwether.lease.operation.duration        s            recipe, operation, error.type     renew, release
//
//	bellwether.leader.wait.duration            s            recipe, error.type                from standing for election until leading, or not
//	bellwether.leader.wait.count               {call}       recipe                            candidates that do not lead now
//	bellwether.leader.term.duration            s            recipe, end                       how long a term was
//	bellwether.leader.term.count               {term}       recipe                            terms that go on now: 1 is to lead
//	bellwether.leader.term.lost                {term}       recipe, end                       terms that ended without their leader's wish
//	bellwether.leader.changes                  {change}                                       changes of leadership that Watch told of
//
//	bellwether.barrier.wait.duration           s            recipe, error.type                from coming to a barrier until it lets in
//	bellwether.barrier.wait.count              {call}       recipe                            calls that wait now
//	bellwether.barrier.round.duration          s            recipe, end                       from Enter to Leave
//	bellwether.barrier.round.count             {round}      recipe                            rounds this process is in now
//	bellwether.barrier.round.lost              {round}      recipe, end                       rounds that ended without their member's wish
//
//	bellwether.node.wait.duration              s            recipe, error.type                from wanting a node until it is there, each time it is not
//	bellwether.node.wait.count                 {node}       recipe                            nodes that are wanted and not there now
//	bellwether.node.presence.duration          s            recipe, end                       how long a node was there
//	bellwether.node.presence.count             {presence}   recipe                            nodes that are there now
//	bellwether.node.presence.lost              {presence}   recipe, end                       times a node went that was wanted
//	bellwether.node.repairs                    {repair}     recipe                            times one was put right that was gone, or another
//
//	bellwether.counter.operation.duration      s            recipe, operation, error.type     changes of numbers
//	bellwether.counter.conflicts               {conflict}                                     tries of a change that somebody else's came before
//
//	bellwether.queue.wait.duration             s            recipe, error.type                from asking for an item until it is given out, or not
//	bellwether.queue.wait.count                {call}       recipe                            calls that wait now
//	bellwether.queue.delivery.duration         s            recipe, end                       how long an item was in hand
//	bellwether.queue.delivery.count            {delivery}   recipe                            items in hand now
//	bellwether.queue.delivery.lost             {delivery}   recipe, end                       items that were taken away from who had them
//	bellwether.queue.operation.duration        s            recipe, operation, error.type     put, ack, nack, release
//	bellwether.queue.conflicts                 {conflict}                                     items that somebody else was quicker to claim
//	bellwether.queue.dead                      {item}                                         items put among the dead letters
//	bellwether.queue.length                    {item}                                         items in a queue, each time it was listed
//
//	bellwether.job.operation.duration          s            recipe, operation, error.type     runs
//	bellwether.job.run.count                   {run}                                          runs that go on now
//	bellwether.job.run.lateness                s                                              from the time of the schedule to the beginning of its run
//	bellwether.job.gaps                        {run}                                          runs before which times were left out
//	bellwether.job.unknown                     {run}                                          runs nobody knows the outcome of
//
//	bellwether.group.wait.duration             s            recipe, error.type                from wanting to be a member until registered, each time it is not
//	bellwether.group.wait.count                {member}     recipe                            those that want to be members and are not now
//	bellwether.group.membership.duration       s            recipe, end                       how long a member was registered
//	bellwether.group.membership.count          {membership} recipe                            members that are registered now
//	bellwether.group.membership.lost           {membership} recipe, end                       times one was not any more that wanted to be
//	bellwether.group.repairs                   {repair}     recipe                            times one was put right that was gone, or another
//	bellwether.group.members                   {member}                                       members that Views know now
//
//	bellwether.partition.wait.duration         s            recipe, error.type                from being meant for a part until owning it, or not any more
//	bellwether.partition.wait.count            {part}       recipe                            parts that are to be this process's and are not now
//	bellwether.partition.part.duration         s            recipe, end                       how long a part was owned; those that moved are handed over
//	bellwether.partition.part.count            {part}       recipe                            parts owned now
//	bellwether.partition.part.lost             {part}       recipe, end                       parts whose owner lost them
//
//	bellwether.discovery.wait.duration         s            recipe, error.type                from wanting an instance listed until it is, each time it is not
//	bellwether.discovery.wait.count            {registration} recipe                          instances that are to be listed and are not now
//	bellwether.discovery.registration.duration s            recipe, end                       how long an instance was listed
//	bellwether.discovery.registration.count    {registration} recipe                          instances of this process that are listed now
//	bellwether.discovery.registration.lost     {registration} recipe, end                     times one was not any more that was to be
//	bellwether.discovery.repairs               {repair}     recipe                            times one was put right that was gone, or another
//	bellwether.discovery.unhealthy.count       {registration}                                 instances that are not to be listed now, as their checks fail
//
//	bellwether.discovery.instances             {instance}   service, status                   instances that views of a service know now
//	bellwether.discovery.staleness             s            service                           how long changes may have been missed by now; 0: not at all
//	bellwether.discovery.brakes                {brake}      service                           times so many went at once that they were kept, as lost
//
//	bellwether.discovery.candidates            {instance}   service                           instances that choosers choose from now
//	bellwether.discovery.ejected               {instance}   service                           instances that are left out, or half-open, now
//	bellwether.discovery.outstanding           {request}    service                           requests that were given an instance and are not done
//	bellwether.discovery.picks                 {pick}       service, error.type               times an instance was chosen; none: times there was none
//	bellwether.discovery.ejections             {ejection}   service                           times one was ejected, also anew
//	bellwether.discovery.probes                {probe}      service, error.type               requests that decided about an ejected one: well, failed, canceled
//	bellwether.discovery.attempts              {attempt}    service, resend_count, error.type requests of a transport, once for each instance they were sent to
//
//	bellwether.cache.nodes                     {node}                                         nodes mirrored now
//	bellwether.cache.size                      By                                             data of those nodes
//	bellwether.cache.stale.count               {cache}                                        mirrors that may be out of date now
//	bellwether.cache.stale.duration            s                                              how long a mirror was stale
//
// # Attributes
//
// Each has few values; paths, ids and tokens stand in spans alone.
//
//	bellwether.recipe       mutex, rwmutex.read, rwmutex.write, semaphore; lease; election; barrier, double_barrier; ephemeral_node, sequential_node,
//	                        persistent_node, ttl_node; counter, value; queue; job; membership; part; registration
//	bellwether.operation    the method: add, set, compare_and_swap, update; put, ack, nack, release; renew; run
//	bellwether.end          why something is not held any more: released, closed, left, resigned, removed, session_lost, client_closed, canceled,
//	                        deadline_exceeded, and what a recipe knows besides: taken, term_over, suspended, acknowledged, given_back,
//	                        lost, too_long, max_hold, moved, expired
//	bellwether.service      the name of a service, of which there are as many as the program looks up
//	bellwether.status       of instances: starting, up, draining, down; lost, those that a brake keeps; unreadable; other
//	error.type              of failures: client.ErrorType's, and what a recipe knows besides: held, limit, taken, overflow, full, duplicate, empty, lost,
//	                        too_long, finished, failed, overran, stopped, panicked, released, expired; of an attempt at a request the status of an answer that
//	                        counts against the instance, or unreached (nobody has seen the request), broken (the connection was), timeout,
//	                        deadline_exceeded, canceled, bad_request
//	http.request.resend_count  of an attempt: 0 for the first, and so on; OpenTelemetry's, as is all about a request that its otelhttp measures:
//	                        around Options.Base of a transport each attempt, around the transport the whole
//
// # Spans
//
// All are of kind internal, and children of the span in the caller's context:
//
//	<family>.wait           such as lock.wait: from asking until held, or not; the operations of the client are below it where it waits for them
//	<family>.<hold>         such as lock.hold, leader.term, discovery.registration: until it ends; it has a link to its wait, and is an error if it was lost
//	<family>.<operation>    such as counter.update
//
// Their attributes are bellwether.recipe and bellwether.path; of what is held, bellwether.token, bellwether.session and bellwether.end.
package telemetry
