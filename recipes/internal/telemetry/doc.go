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
// Durations are histograms, what is said to be now goes up and down, the rest are counters. Several objects of one kind in a process add up.
//
//	name                                       unit         attributes                        what
//
//	bellwether.lock.wait.duration              s            recipe, error.type                from asking for a lock until it is held, or not
//	bellwether.lock.wait.count                 {call}       recipe                            calls that wait now
//	bellwether.lock.hold.duration              s            recipe, end                       how long a lock was held
//	bellwether.lock.hold.count                 {hold}       recipe                            locks held now
//	bellwether.lock.hold.lost                  {hold}       recipe, end                       holds that ended without their holder's wish
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
//	bellwether.cache.nodes                     {node}                                         nodes mirrored now
//	bellwether.cache.size                      By                                             data of those nodes
//	bellwether.cache.stale.count               {cache}                                        mirrors that may be out of date now
//	bellwether.cache.stale.duration            s                                              how long a mirror was stale
//
// # Attributes
//
// Each has few values; paths, ids and tokens stand in spans alone.
//
//	bellwether.recipe       mutex, rwmutex.read, rwmutex.write, semaphore; election; barrier, double_barrier; ephemeral_node, sequential_node,
//	                        persistent_node, ttl_node; counter, value; queue; job
//	bellwether.operation    the method: add, set, compare_and_swap, update; put, ack, nack, release; run
//	bellwether.end          why something is not held any more: released, closed, left, resigned, removed, session_lost, client_closed, canceled,
//	                        deadline_exceeded, and what a recipe knows besides: taken, term_over, suspended, acknowledged, given_back,
//	                        lost, too_long, max_hold
//	error.type              of failures: client.ErrorType's, and what a recipe knows besides: held, limit, taken, overflow, full, duplicate, empty, lost,
//	                        too_long, finished, failed, overran, stopped, panicked
//
// # Spans
//
// All are of kind internal, and children of the span in the caller's context:
//
//	<family>.wait           such as lock.wait: from asking until held, or not; the operations of the client are below it where it waits for them
//	<family>.<hold>         such as lock.hold, leader.term: until it ends; it has a link to its wait, and is an error if it was lost
//	<family>.<operation>    such as counter.update
//
// Their attributes are bellwether.recipe and bellwether.path; of what is held, bellwether.token, bellwether.session and bellwether.end.
package telemetry
